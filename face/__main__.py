"""The command `mulde`, as is `python -m mulde`: an interrupt ends it in one sentence, however early."""

from __future__ import annotations

import signal
import sys

_EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; a request to end (SIGTERM) is an interrupt, as Ctrl-C is."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        from mulde.pipeline.cli.main import main as run  # its imports take a moment

        run()
    except KeyboardInterrupt:
        print("mulde: interrupted; the same command goes on with what is not finished", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)


def _interrupt(signal_number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
