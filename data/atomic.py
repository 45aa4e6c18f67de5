"""Write files so that they are there complete or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mulde.data.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success the file is synced and takes the place of `path`.

    The folder must be there. An exception leaves what was at `path` as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole, with its folder.

    What is not Unicode, in a path of the user's, becomes an escape such as \\udcff, which JSON gives back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def require_writable(folder: Path, what: str, remedy: str) -> None:
    """Make a folder if need be and check that files can be written to it.

    Args:
        what: what the folder is to the user, such as "cache folder".
        remedy: the way out, such as "choose another with --out DIR".

    Raises:
        InputError: nothing can be written; the text names the folder, the reason and the way out.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{what} {folder} cannot be written ({reason}): {remedy}") from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
