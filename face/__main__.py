"""The command `mulde`, as is `python -m mulde`: an interrupt ends it in one sentence, however early."""

from __future__ import annotations

import signal
import sys
import threading

_EXIT_INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """A request to end.

    Python kills itself by SIGINT at its end if a KeyboardInterrupt of its own passed through `exec` of text,
    even where it was caught later: so are named tuples and dataclasses made. Not so with one of ours.
    One that somebody swallowed is raised again: a compiled module does so while it is loaded (numpy.random).
    """

    is_heard = False

    def __del__(self) -> None:
        if not Interrupted.is_heard:  # not at once: an error in here goes nowhere
            threading.Timer(0.01, _interrupt_main_thread).start()


def main() -> None:
    """Run the command line; a request to end (SIGTERM) is an interrupt, as Ctrl-C is."""
    sys.unraisablehook = _say_of_others
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        if (
            signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):  # else a shell made it deaf to Ctrl-C
            signal.signal(signal.SIGINT, _interrupt)
        from mulde.pipeline.cli.main import main as run  # its imports take a moment

        run()
    except KeyboardInterrupt:
        Interrupted.is_heard = True
        print("mulde: interrupted; the same command goes on with what is not finished", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)


def _say_of_others(ignored: sys.UnraisableHookArgs) -> None:
    """Print what Python ignores, as in a weak reference's callback, unless it is raised again."""
    if not isinstance(ignored.exc_value, Interrupted):
        sys.__unraisablehook__(ignored)


def _interrupt_main_thread() -> None:
    """Send the signal to the thread that may be waiting for something, which another's would not wake."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _interrupt(signal_number: int, frame: object) -> None:
    raise Interrupted


if __name__ == "__main__":
    main()
