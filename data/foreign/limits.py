"""How much of somebody's file may be unpacked into memory, and how large a picture may be."""

from __future__ import annotations

import math
import os

from mulde.data.errors import InputError

UNPACK_VARIABLE = "MULDE_UNPACK_GB"
PICTURE_VARIABLE = "MULDE_MEGAPIXELS"
_UNPACK_GB, _MEGAPIXELS = 1.0, 100.0
_MOST_TIMES_LARGER = 100  # features pack two to one, labels and masks perhaps fifty


def check_unpacked(where: str, n_bytes: int, stored_bytes: int) -> None:
    """Check what would be taken into memory of a file, before it is.

    Up to 1 GB, or as much as the environment variable MULDE_UNPACK_GB says, is taken from any file; more only
    where the file holds at least a hundredth of it.

    Args:
        where: the file, and perhaps the place in it.
        n_bytes: what it would take in memory.
        stored_bytes: what of it the file holds, packed or not.

    Raises:
        InputError: it is more than that.
    """
    if n_bytes > most_unpacked(stored_bytes):
        raise InputError(
            f"{where} would take {n_bytes / 1e9:.3g} GB of memory, and holds {stored_bytes} bytes: it is cut "
            f"short, or made to take up memory. If neither, set {UNPACK_VARIABLE}={math.ceil(n_bytes / 1e9)} "
            "in the environment"
        )


def most_unpacked(stored_bytes: int) -> int:
    """Return what may be taken into memory of a file that holds so much; see `check_unpacked`.

    Raises:
        InputError: the environment variable is no number.
    """
    return max(limit_bytes(), _MOST_TIMES_LARGER * stored_bytes)


def limit_bytes() -> int:
    """Return what may be taken into memory of any file, however small it is.

    Raises:
        InputError: the environment variable is no number.
    """
    return int(positive_number(UNPACK_VARIABLE, _UNPACK_GB) * 1e9)


def check_picture(where: str, width: int, height: int) -> None:
    """Check the size of a picture before its pixels are read.

    Raises:
        InputError: it has more than 100 megapixels, or than the environment variable MULDE_MEGAPIXELS says.
    """
    megapixels, most = width * height / 1e6, most_pixels() / 1e6
    if megapixels > most:
        raise InputError(
            f"{where} claims {width}x{height} pixels, {megapixels:.3g} megapixels, but at most {most:g} are "
            f"read: make it smaller, or set {PICTURE_VARIABLE}={math.ceil(megapixels)} in the environment"
        )


def most_pixels() -> int:
    """Return how many pixels a picture may have.

    Raises:
        InputError: the environment variable is no number.
    """
    return int(positive_number(PICTURE_VARIABLE, _MEGAPIXELS) * 1e6)


def positive_number(variable: str, default: float) -> float:
    """Return what an environment variable says, or a default.

    Raises:
        InputError: it is no number above 0.
    """
    text = os.environ.get(variable, "")
    try:
        value = float(text or default)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"the environment variable {variable} is {text!r}, but must be a number above 0")
    return value
