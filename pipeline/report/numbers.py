"""Numbers as people read them."""

from __future__ import annotations


def percent(value: float | None, *, n_decimals: int = 1, unit: str = "\u202f%") -> str:
    """Return a share as 87.3 %; a dash for None."""
    return "–" if value is None else f"{100 * value:.{n_decimals}f}{unit}"


def count(value: float) -> str:
    """Return a whole number with narrow spaces between thousands: 40 791."""
    return f"{value:,.0f}".replace(",", "\u202f")


def score(value: float | None) -> str:
    """Return a score with three digits that count; a dash for None."""
    return "–" if value is None else f"{value:.3g}"


def clock(seconds: float) -> str:
    """Return minutes and seconds, with hours where there are any: 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def duration(seconds: float) -> str:
    """Return how long something lasts in its two largest units: 3.4 s, 2 min 5 s, 1 h 20 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {second} s" if second else f"{minutes} min"
    hours, minute = divmod(round(seconds / 60), 60)
    return f"{hours} h {minute} min" if minute else f"{hours} h"
