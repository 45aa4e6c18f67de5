"""When a recording began by the clock: a date in its name, or what the file says itself."""

from __future__ import annotations

import re
from datetime import datetime

_DIRECTIVES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d?", "d": r"\d\d?", "H": r"\d\d?", "I": r"\d\d?", "M": r"\d\d?",
    "S": r"\d\d?", "f": r"\d{1,6}", "j": r"\d{1,3}", "p": r"[AaPp][Mm]", "b": r"[^\W\d_]+", "B": r"[^\W\d_]+",
    "z": r"(?:Z|[+-]\d\d:?\d\d)",
}  # fmt: skip
"""What `strptime` reads for each of its directives, as far as dates in names go."""
_SEPARATORS = r"[-_. T/]{0,2}"
_USUAL = re.compile(
    r"(?<!\d)(?P<Y>(?:19|20)\d\d)[-_.]?(?P<m>\d\d)[-_.]?(?P<d>\d\d)"
    rf"{_SEPARATORS}(?:at |ch\d+[-_])?{_SEPARATORS}"
    r"(?P<H>\d\d)[-_.:hH]?(?P<M>\d\d)[-_.:mM]?(?P<S>\d\d)(?!\d)"
)
"""20261128_130405, 2026-11-28 13.04.05, 2026-11-28/13-04-05, VID_20261128_130405, 20261128T130405."""
_EARLIEST_YEAR, _LATEST_YEAR = 1990, 9000
"""A camera without a clock writes the first day that it can."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return what finds a date like `pattern`, with the directives of `strptime`, in the name of a video.

    Raises:
        ValueError: it has an unknown directive, or none, or one twice.
    """
    parts = re.split(r"%(.)", pattern)  # text, directive, text, …
    directives = parts[1::2]
    if pattern and not directives:
        raise ValueError("it names no part of a date, such as %Y%m%d_%H%M%S")
    for directive in directives:
        if directive not in _DIRECTIVES:
            known = ", ".join(f"%{name}" for name in _DIRECTIVES)
            raise ValueError(f"%{directive} is not known: {known} are")
    if len(set(directives)) < len(directives):
        raise ValueError("it names a part of the date twice")
    return re.compile(
        "".join(
            re.escape(part) if index % 2 == 0 else f"(?:{_DIRECTIVES[part]})"
            for index, part in enumerate(parts)
        )
    )


def clock_in_name(name: str, pattern: str = "") -> datetime | None:
    """Return the date and time in the name of a video; None where there is none.

    Args:
        pattern: how it is written, see `compile_pattern`; if "", common forms are looked for.
    """
    if pattern:
        found = compile_pattern(pattern).search(name)
        return None if found is None else _parsed(found[0], pattern)
    return next(
        (
            clock
            for found in _USUAL.finditer(name)
            if (clock := _parsed("".join(found.groups()), "%Y%m%d%H%M%S")) is not None
        ),
        None,
    )


def clock_in_tags(tags: dict[str, str]) -> datetime | None:
    """Return the date and time in what a video file says of itself, with its time zone; None without one."""
    lower = {name.lower(): value for name, value in tags.items()}
    for name in ("com.apple.quicktime.creationdate", "creation_time", "date", "datetimeoriginal"):
        text = lower.get(name, "").strip()
        # Python 3.10 knows neither Z nor +0100
        text = re.sub(r"Z$", "+00:00", text)
        text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text) if "T" in text or ":" in text else ""
        try:
            clock = datetime.fromisoformat(text)
        except ValueError:
            continue
        if _EARLIEST_YEAR <= clock.year < _LATEST_YEAR:
            return clock
    return None


def _parsed(text: str, pattern: str) -> datetime | None:
    try:
        clock = datetime.strptime(text, pattern)  # a name seldom says which zone it means
    except ValueError:  # 2026-13-45
        return None
    return clock if clock.year < _LATEST_YEAR else None
