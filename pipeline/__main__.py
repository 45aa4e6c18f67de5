"""`python -m mulde.pipeline` is `mulde`."""

from mulde.__main__ import main

if __name__ == "__main__":
    main()
