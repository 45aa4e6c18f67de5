"""Metrics on the terminal: each number with its interval and its protocol."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from mulde.data.spelling import counted
from mulde.pipeline.cli.console import stdout
from mulde.pipeline.events.thresholds import rate_in_words
from mulde.pipeline.metrics.alarms import AlarmCount
from mulde.pipeline.metrics.bootstrap import LEVEL, ConfidenceInterval
from mulde.pipeline.metrics.events import EventTable
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.report.numbers import percent

_MAX_SCENES = 20


def print_metrics(metrics: Metrics) -> None:
    """Print the numbers, the scenes where there are several, and the events."""
    counts, treatment = metrics.counts, metrics.treatment
    if metrics.caution:
        stdout.print(f"caution: {metrics.caution}", markup=False)
    stdout.print(
        f"{counted(counts.videos, 'test video')}, {counted(counts.frames, 'frame')}, "
        f"{counts.abnormal_frames} of them abnormal"
    )
    named = f"protocol {treatment.protocol}: " if treatment.protocol else ""
    stdout.print(f"{named}{treatment.text}", markup=False)
    if treatment.remark:
        stdout.print(treatment.remark, markup=False)
    if treatment.uses_test_data:
        stdout.print(
            f"this protocol {treatment.uses_test_data}: its numbers do not compare with those of protocols "
            "that do not",
            markup=False,
        )
    stdout.print(_numbers(metrics))
    if any(number.interval for number in metrics.numbers):
        stdout.print(metrics.interval_protocol, markup=False)
    if metrics.per_scene:
        stdout.print(_scenes(metrics))
    if metrics.events is None:
        stdout.print(f"labelled events: none counted, {metrics.no_events_reason}", markup=False)
    else:
        stdout.print(_events(metrics.events))
        stdout.print(metrics.events.protocol, markup=False)
    if metrics.alarms is not None:
        _print_alarms(metrics.alarms)


def _print_alarms(alarms: AlarmCount) -> None:
    """Print what the threshold promised beside what was observed."""
    table = Table(
        "false alarms",
        "promised",
        "observed",
        "95 % interval",
        "labelled events found",
        box=None,
        pad_edge=False,
    )
    but = ", not supported by the footage" if alarms.is_extrapolated else ""
    low, high = (
        rate_in_words(rate) if rate else "never" for rate in (alarms.low_per_day, alarms.high_per_day)
    )
    table.add_row(
        f"{alarms.false_alarms} in {_footage(alarms.normal_hours)} of normal test footage",
        f"{rate_in_words(alarms.promised_per_day)}{but}",
        rate_in_words(alarms.observed_per_day) if alarms.false_alarms else "never",
        f"{low} to {high}",
        f"{alarms.found} of {alarms.n_events}",
    )
    stdout.print(table)
    stdout.print(alarms.protocol, markup=False)


def _percent(value: float | None) -> str:
    return percent(value, n_decimals=2, unit=" %")


def _numbers(metrics: Metrics) -> Table:
    smoothing = metrics.treatment.smoothing
    title = f"smoothed, {smoothing.sigma_text}" if smoothing and smoothing.sigma_text else "scores"
    raw = metrics.unsmoothed
    table = Table("", title, f"{100 * LEVEL:g} % interval", box=None, pad_edge=False)
    if raw is not None:
        table.add_column("unsmoothed")
    table.add_column("of what")
    for number in metrics.numbers:
        cells = [number.title, _percent(number.value), _interval(number.interval)]
        if raw is not None:
            other = raw.get(number.key)
            cells.append(_percent(other.value if other else None))
        table.add_row(*cells, number.definition if not number.reason else f"not defined: {number.reason}")
    return table


def _interval(interval: ConfidenceInterval | None) -> str:
    if interval is None:
        return "–"
    note = f" ({interval.n_undefined} undefined)" if interval.n_undefined else ""
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f}{note}"


def _scenes(metrics: Metrics) -> Table:
    table = Table("scene", "AUC", "videos", "frames", "abnormal", box=None, pad_edge=False)
    for row in metrics.per_scene[:_MAX_SCENES]:
        table.add_row(
            escape(row.scene) or "(none)",
            _percent(row.auc),
            str(row.n_videos),
            str(row.n_frames),
            str(row.n_abnormal),
        )
    if len(metrics.per_scene) > _MAX_SCENES:
        table.add_row(f"and {len(metrics.per_scene) - _MAX_SCENES} more, all in metrics.json")
    return table


def _events(events: EventTable) -> Table:
    table = Table(
        "false alarms per hour, at most",
        "labelled events found",
        "false alarms",
        "threshold",
        box=None,
        pad_edge=False,
    )
    for point in events.points:
        table.add_row(
            f"{point.allowed_per_hour:g}",
            f"{point.found} of {events.n_events}",
            f"{point.false_alarms} in {_footage(events.hours)}",
            "nothing is flagged" if point.threshold is None else f"{point.threshold:.4g}",
        )
    return table


def _footage(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
