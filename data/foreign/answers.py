"""What the process that reads a stranger's file answers: plain data and arrays of numbers, and no pickle.

An answer is a file of safetensors, with its length in front: sizes are checked before memory is taken, and
nothing that it can hold is run, whoever has written it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from mulde.data.foreign.text import parse_json

Plain: TypeAlias = str | int | Mapping[str, NDArray[Any]] | None
"""Text, a whole number, or arrays by name: of numbers, or of objects that are such arrays."""

KINDS_OF_NUMBERS = "iuf"
"""The kinds of dtype that an answer can hold, of at most 8 bytes a number."""
_LENGTH = struct.Struct("<Q")
_MOST_NESTED = 8
_METADATA, _TREE, _REFUSED, _RESULT, _ARRAYS = "__metadata__", "tree", "refused", "result", "arrays"


class AnswerError(Exception):
    """What came is no answer."""


class RefusedError(Exception):
    """The answer is why there is none; its text says it."""


def encode_result(result: Plain) -> bytes:
    """Return a result as an answer.

    Raises:
        TypeError: it is no plain data.
    """
    if result is None or isinstance(result, str | int):
        return _encode({_RESULT: result}, {})
    if not isinstance(result, Mapping):
        raise TypeError(f"{type(result).__name__} is no plain data")
    arrays: dict[str, NDArray[Any]] = {}
    return _encode({_ARRAYS: {name: _to_tree(value, arrays) for name, value in result.items()}}, arrays)


def encode_refusal(text: str) -> bytes:
    """Return why a file cannot be read as an answer."""
    return _encode({_REFUSED: text}, {})


def write_answer(stream: IO[bytes], answer: bytes) -> None:
    """Write what was encoded, for `read_answer`."""
    stream.write(_LENGTH.pack(len(answer)))
    stream.write(answer)
    stream.flush()


def read_answer(stream: IO[bytes], most_bytes: int) -> Plain:
    """Read an answer, and return the result in it.

    Raises:
        RefusedError: it is a refusal.
        AnswerError: it is none, or is longer than `most_bytes`.
        EOFError: there is none, or not all of it.
    """
    (n_bytes,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if n_bytes > most_bytes:
        raise AnswerError(f"{n_bytes} bytes, where {most_bytes} are the most")
    content = _read(stream, n_bytes)
    try:
        tree, arrays = _decode(content)
        refusal = str(tree[_REFUSED]) if _REFUSED in tree else None
        result = None if refusal is not None else _result(tree, arrays)
    except Exception as error:  # whatever is wrong in it
        raise AnswerError(f"{type(error).__name__}: {error}") from None
    if refusal is not None:
        raise RefusedError(refusal)
    return result


def _read(stream: IO[bytes], n_bytes: int) -> bytes:
    content = stream.read(n_bytes)
    if len(content) < n_bytes:
        raise EOFError(f"{len(content)} bytes of {n_bytes}")
    return content


def _encode(tree: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    return save(arrays, metadata={_TREE: json.dumps(tree)})


def _decode(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the tree, which is in the header, and the arrays."""
    arrays = load(content)  # checks the header, whose length is in front
    (n_bytes,) = _LENGTH.unpack_from(content)
    header = parse_json(content[_LENGTH.size : _LENGTH.size + n_bytes])
    return parse_json(header[_METADATA][_TREE]), arrays


def _result(tree: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Plain:
    if _ARRAYS in tree:
        return {name: _from_tree(part, arrays, 0) for name, part in tree[_ARRAYS].items()}
    result = tree[_RESULT]
    if result is not None and not isinstance(result, str | int):
        raise TypeError(f"{type(result).__name__} is no plain data")
    return result


def _to_tree(value: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return what JSON can hold of an array; its numbers are put aside."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} is no array")
    if value.dtype == object:
        return {"cells": [_to_tree(part, arrays) for part in value.ravel()], "shape": value.shape}
    if value.dtype.kind not in KINDS_OF_NUMBERS or value.dtype.itemsize > np.dtype(np.float64).itemsize:
        raise TypeError(f"an array of {value.dtype} is no plain data")
    name = str(len(arrays))
    arrays[name] = np.asarray(value, value.dtype.newbyteorder("="), order="C")
    return {"array": name}


def _from_tree(tree: dict[str, Any], arrays: dict[str, NDArray[Any]], depth: int) -> NDArray[Any]:
    if depth > _MOST_NESTED:
        raise ValueError(f"it is nested more than {_MOST_NESTED} deep")
    if "array" in tree:
        return arrays[tree["array"]]
    cells = np.empty(len(tree["cells"]), dtype=object)
    for index, part in enumerate(tree["cells"]):
        cells[index] = _from_tree(part, arrays, depth + 1)
    shape = tuple(tree["shape"])
    if min(shape, default=0) < 0 or math.prod(shape) != len(cells):
        raise ValueError(f"{len(cells)} cells are not {shape}")
    return cells.reshape(shape)
