"""A checksum of its content in every file that mulde keeps, so that what was changed since is not believed.

It stands at the beginning of a file, as 32 hexadecimal digits after the word "checksum", in whatever form the
file allows: a key of JSON, a comment of YAML or HTML, the user block of HDF5. It is the XXH3 of the whole
file with zeros in its own place. Files of earlier versions have none, and are read as before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from mulde.data.atomic import encode, write_bytes
from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json

BLANK = "checksum: " + "0" * 32
"""What `seal` fills in, for a comment."""
KEY = "checksum"
"""What the checksum is called in JSON, where it is the first of all keys."""
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZEROS = b"0" * 32
_HEAD_BYTES, _BLOCK_BYTES = 4096, 2**20
_WORD = b"checksum"
_PLACE = re.compile(_WORD + rb"\W{1,4}([0-9a-f]{32})(?![0-9a-f])")
_DIGITS = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_FIRST_BYTES = 80  # the digits of a checksum lie within; other digests do not come so early


class ChangedError(InputError):
    """A file is not what was written."""


def digest(content: bytes) -> str:
    """Return the XXH3 of bytes as 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(content)


def seal(content: bytes) -> bytes:
    """Fill in the checksum of a file whose first 4 kB hold `BLANK`, or the key of JSON with zeros."""
    place = _PLACE.search(content[:_HEAD_BYTES])
    assert place is not None and place[1] == _ZEROS, "no place for a checksum"
    start, stop = place.span(1)
    return content[:start] + digest(content).encode() + content[stop:]


def check(path: Path) -> bool:
    """Read a file in full; return whether it has a checksum, which is right then.

    Raises:
        ChangedError: the checksum is not that of the content.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        found = _find(path, head)
        if found is None:
            return False
        known, zeroed = found
        if _digest_of_rest(zeroed, file) != known:
            raise _changed(path)
    return True


def seal_stream(stream: BinaryIO) -> None:
    """Fill in the checksum of an open file; see `seal`."""
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    place = _PLACE.search(head)
    assert place is not None and place[1] == _ZEROS, "no place for a checksum"
    known = _digest_of_rest(head, stream)
    stream.seek(place.start(1))
    stream.write(known.encode())


def read_bytes(path: Path) -> bytes:
    """Read a file that may have a checksum.

    Raises:
        ChangedError: the checksum is not that of the content.
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    found = _find(path, content[:_HEAD_BYTES])
    if found is not None:
        known, zeroed = found
        if digest(zeroed + content[_HEAD_BYTES:]) != known:
            raise _changed(path)
    return content


def is_whole(path: Path) -> bool:
    """Whether a file is there and can be read, and is what was written, as far as its checksum tells."""
    try:
        check(path)
    except (OSError, ChangedError):
        return False
    return True


def is_sealed(path: Path) -> bool:
    """Whether a file begins as one that has a checksum, right or wrong.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _find(path, file.read(_HEAD_BYTES)) is not None
        except ChangedError:
            return True


def write_json(path: Path, content: Mapping[str, Any], **options: Any) -> None:
    """Write JSON with a checksum as its first key.

    Args:
        options: of `json.dumps`.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    text = json.dumps({KEY: _ZEROS.decode(), **content}, **{"indent": 2, "ensure_ascii": False, **options})
    write_bytes(path, seal(encode(text + "\n")))


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote, or JSON of before, without a checksum.

    Raises:
        ChangedError: the checksum is not that of the content.
        ValueError: it is no JSON, or no object.
        OSError: it cannot be read.
    """
    content = parse_json(read_bytes(path))
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    content.pop(KEY, None)
    return content


def _find(path: Path, head: bytes) -> tuple[str, bytes] | None:
    """Return the checksum in the head of a file, and the head with zeros in its place.

    None where there is none. A single damage leaves the word or the digits, and so does not hide it.
    """
    if head.startswith(_HDF5):  # of before: a file with a checksum has a user block in front
        return None
    place = _PLACE.search(head)
    if place is None:
        if _DIGITS.search(head[:_FIRST_BYTES]) or _WORD in head[:_FIRST_BYTES]:
            raise _changed(path)
        return None
    start, stop = place.span(1)
    return place[1].decode(), head[:start] + _ZEROS + head[stop:]


def _digest_of_rest(head: bytes, stream: BinaryIO) -> str:
    """Return the digest of a head and all that comes after it in an open file."""
    total, block = xxhash.xxh3_128(head), bytearray(_BLOCK_BYTES)
    while n_bytes := stream.readinto(block):  # type: ignore[attr-defined]
        total.update(memoryview(block)[:n_bytes])
    return total.hexdigest()


def _changed(path: Path) -> ChangedError:
    return ChangedError(f"{path} was changed after it was written")
