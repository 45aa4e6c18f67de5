"""What a user can get wrong, as exceptions whose text is the whole message."""

from __future__ import annotations

import importlib
from typing import Any

from mulde.data.spelling import printable


class InputError(ValueError):
    """A file, folder, label or setting cannot be used; the text says which, and the way out.

    A setting is named by its field, in backticks: how the user gives it, the pipeline says (`config.words`).
    """

    def __str__(self) -> str:
        return printable(super().__str__())  # it may name any file


class VideoError(InputError):
    """One video cannot be read; the other videos can go on."""


class PackageMissingError(InputError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'mulde[{extra}]'")
        self.package, self.extra = package, extra

    def __reduce__(self) -> tuple[type[PackageMissingError], tuple[str, str]]:
        return type(self), (self.package, self.extra)  # so that it comes back from a worker process


def require_package(module: str, extra: str) -> Any:
    """Import an optional package.

    Raises:
        PackageMissingError: it is not installed; the text has the command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise PackageMissingError(error.name, extra) from None
