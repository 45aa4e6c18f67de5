"""Read text and JSON that somebody else may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mulde.data.errors import InputError
from mulde.data.files import require_file


def read_text(path: Path, *, encoding: str = "utf-8-sig") -> str:
    """Read a text file as a whole, with or without a byte-order mark.

    Raises:
        InputError: it is not there, cannot be read, or is in another encoding; the text names file and line.
    """
    require_file(path)
    try:
        content = path.read_bytes()
        return content.decode(encoding)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the file") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: this is no UTF-8 text: save it as UTF-8") from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; raises ValueError for all that is none, and for what is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
