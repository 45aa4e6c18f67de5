"""`python -m mulde.pipeline` is `mulde`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("mulde", run_name="__main__", alter_sys=True)
