"""What a user can get wrong, as exceptions whose text is the whole message."""

from __future__ import annotations

import importlib
from typing import Any


class InputError(ValueError):
    """A file, folder, label or setting cannot be used; the text says which, and the way out."""


class VideoError(InputError):
    """One video cannot be read; the other videos can go on."""


def require_package(module: str, extra: str) -> Any:
    """Import an optional package.

    Raises:
        InputError: it is not installed; the text has the command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise InputError(f"{error.name} is not installed: pip install 'mulde[{extra}]'") from None
