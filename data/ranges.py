"""What a setting may be: read from its annotation, checked, and said in words."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types

_LOWER, _UPPER = (annotated_types.Ge, annotated_types.Gt), (annotated_types.Le, annotated_types.Lt)
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    dict: "a group of settings",
}
_LISTS = (tuple, list, Sequence)
_KINDS: dict[Any, Any] = {bool: bool, int: Integral, float: Real, str: str, Path: Path, dict: Mapping}


def hints_of(settings: type) -> dict[str, Any]:
    """Return the annotations of a class of settings by name, ranges included."""
    return get_type_hints(settings, include_extras=True)


def misfits(settings: type, values: object) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and what is allowed of every attribute of `values` that `settings` does not allow."""
    for name, hint in hints_of(settings).items():
        value = getattr(values, name)
        if not is_allowed(value, hint):
            yield name, value, describe(hint)


def is_allowed(value: object, hint: Any) -> bool:
    """Whether a value has the type of an annotation, and lies in its range."""
    kind, bounds = _split(hint)
    if _is_union(kind):
        return any(is_allowed(value, member) for member in get_args(kind))
    if get_origin(kind) is Literal:
        return any(value == known and type(value) is type(known) for known in get_args(kind))
    if get_origin(kind) in _LISTS:
        if not isinstance(value, Sequence) or isinstance(value, str):
            return False
        members = get_args(kind)[0]
        is_long_enough = all(_within(bound, len(value)) for bound in bounds)
        return is_long_enough and all(is_allowed(item, members) for item in value)
    if kind is type(None):
        return value is None
    kind = get_origin(kind) or kind
    if kind not in _KINDS:
        return True
    is_flag = isinstance(value, bool)
    return (
        is_flag == (kind is bool)
        and isinstance(value, _KINDS[kind])
        and all(_within(b, value) for b in bounds)
    )


def describe(hint: Any, *, none: str = "None") -> str:
    """Say what an annotation allows, such as "a number in [0, 1)" or "None or a whole number ≥ 1"."""
    kind, bounds = _split(hint)
    if _is_union(kind):
        members = sorted(get_args(kind), key=_rank)
        return " or ".join(describe(member, none=none) for member in members)
    if kind is type(None):
        return none
    if get_origin(kind) is Literal:
        known = [str(value) for value in get_args(kind)]
        return f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    if get_origin(kind) in _LISTS:
        least = next((b.min_length for b in bounds if isinstance(b, annotated_types.MinLen)), 0)
        start = f"a list of at least {least}" if least else "a list"
        return f"{start}, each {describe(get_args(kind)[0], none=none)}"
    word = _WORDS.get(get_origin(kind) or kind, "given otherwise")
    return " ".join([word, *_interval(bounds)])


def _rank(hint: Any) -> int:
    """Say None first and lists last: "None or a path or a list, each a path"."""
    kind = _split(hint)[0]
    return 0 if kind is type(None) else 2 if get_origin(kind) in _LISTS else 1


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotation without its bounds, and these."""
    if get_origin(hint) is Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _within(bound: Any, value: Any) -> bool:
    if isinstance(bound, annotated_types.Ge):
        return bool(value >= bound.ge)
    if isinstance(bound, annotated_types.Gt):
        return bool(value > bound.gt)
    if isinstance(bound, annotated_types.Le):
        return bool(value <= bound.le)
    if isinstance(bound, annotated_types.Lt):
        return bool(value < bound.lt)
    if isinstance(bound, annotated_types.MultipleOf):
        return bool(value % bound.multiple_of == 0)
    if isinstance(bound, annotated_types.MinLen):
        return bool(value >= bound.min_length)  # of the length
    return True


def _interval(bounds: Sequence[Any]) -> Iterator[str]:
    low = next((b for b in bounds if isinstance(b, _LOWER)), None)
    high = next((b for b in bounds if isinstance(b, _UPPER)), None)
    if low is not None and high is not None:
        opening = f"[{low.ge}" if isinstance(low, annotated_types.Ge) else f"({low.gt}"
        closing = f"{high.le}]" if isinstance(high, annotated_types.Le) else f"{high.lt})"
        yield f"in {opening}, {closing}"
    elif low is not None:
        yield f"≥ {low.ge}" if isinstance(low, annotated_types.Ge) else f"> {low.gt}"
    elif high is not None:
        yield f"≤ {high.le}" if isinstance(high, annotated_types.Le) else f"< {high.lt}"
    yield from (f"divisible by {b.multiple_of}" for b in bounds if isinstance(b, annotated_types.MultipleOf))
