"""`python -m mulde` is `mulde`."""

from mulde.pipeline.cli.main import main

if __name__ == "__main__":
    main()
