"""The version of mulde that runs."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def mulde_version() -> str:
    """Return the installed version, or "unknown" where the source tree is used without an install."""
    try:
        return metadata.version("mulde")
    except metadata.PackageNotFoundError:
        return "unknown"
