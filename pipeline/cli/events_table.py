"""Events on the terminal and for programs: the strongest first, with what their scores mean."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from mulde.data.spelling import counted
from mulde.pipeline.cli.console import stdout
from mulde.pipeline.events.files import as_row
from mulde.pipeline.events.record import Threshold, alarms_among
from mulde.pipeline.stages.find_events import Found

_MOST_SHOWN = 10
_MORE = 24
"""Times as many false alarms are proposed to who sees no event: one an hour in place of one a day."""
_MOST_A_DAY = 1e6  # that `score.false_alarms_per_day` can be
_LOWER_RANK = 2
"""Of the highest scores of normal footage; events are listed above the first of them anyhow."""


def print_events(found: Found) -> None:
    """Print the strongest events and the threshold behind them."""
    events, threshold = found.events, found.threshold
    n_alarms = sum(threshold.is_alarm(event.score) for event in events)
    if events:
        table = Table("when", "seconds", "video", "score", "alarm", "reason", box=None, pad_edge=False)
        for event in events[:_MOST_SHOWN]:
            table.add_row(
                event.when,
                f"{event.n_seconds:.1f}",
                escape(event.video),
                f"{event.score:.2f}",
                "yes" if threshold.is_alarm(event.score) else "",
                escape(event.reason),
            )
        alarms = alarms_among(n_alarms, len(events))
        order = "" if len(events) == 1 else "; the strongest first"
        stdout.print(f"{counted(len(events), 'event')}, {alarms}{order}:")
        stdout.print(table)
    elif threshold.listed_score is None:
        stdout.print("no events")
    else:
        # what was marked since hides how much normal footage the limit follows from
        setting = "score.false_alarms_per_day"
        more = f"a larger {setting}" if found.n_marked else f"{setting}={_further(threshold):.0f}"
        limit = f"{threshold.listed_score:.3f}"
        stdout.print(f"no events above a score of {limit}; {more} looks for less unusual ones", markup=False)
    if found.n_marked:
        stdout.print(
            f"left out: {counted(found.n_marked, 'event')} marked as normal (mulde normal RUN --list)"
        )
    stdout.print(threshold.text, markup=False)


def _further(threshold: Threshold) -> float:
    """Return a budget of false alarms a day for which events are listed from a lower score on.

    It follows from the normal footage that was left out: with one false alarm in all of it events are listed
    above the highest score there, as with less, so that two are the least.
    """
    two = _LOWER_RANK * 24 / threshold.normal_hours if threshold.normal_hours else 0.0
    return min(float(math.ceil(max(_MORE * threshold.false_alarms_per_day, two))), _MOST_A_DAY)


def found_in_json(found: Found | None) -> dict[str, Any]:
    """Return the threshold and the events, as threshold.json and events.json have them; null for none."""
    return {
        "threshold": found and asdict(found.threshold),
        "events": found and [as_row(event) for event in found.events],
    }
