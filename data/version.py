"""Versions of mulde and of what it stands on."""

from __future__ import annotations

from functools import cache
from importlib import metadata

_SAME = {
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
}
"""Packages that bring the same as another."""


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or of one that brings the same; None without either."""
    for name in (package, *_SAME.get(package, ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


@cache
def mulde_version() -> str:
    """Return the installed version, or "unknown" where the source tree is used without an install."""
    return version_of("mulde") or "unknown"
