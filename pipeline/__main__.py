"""`python -m mulde.pipeline` is `mulde`."""

from mulde.pipeline.cli import main

if __name__ == "__main__":
    main()
