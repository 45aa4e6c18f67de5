"""`python -m mulde.pipeline` is `mulde`."""

from mulde.pipeline.cli.main import main

if __name__ == "__main__":
    main()
