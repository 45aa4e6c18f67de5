"""`mulde status`: how far an extraction is, over all machines that take part."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.errors import InputError
from mulde.pipeline.cli.console import print_json, stdout
from mulde.pipeline.cli.options import EXIT_DONE, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mulde.pipeline.runs.shards import ShardStatus

_MOST_FAILURES = 10


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def status(run: Path, as_json: bool) -> int:
    """Show how far the extraction of a run is: done, running, failed, rate and time left, over all shards."""
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.runs.shards import read_status

    parts = read_status(RunFolder(run))
    if not parts:
        raise InputError(f"nothing was extracted for {run} yet: run `mulde extract` with --out {run}")
    total = summarise(parts)
    if as_json:
        print_json({**total, "shards": [_in_json(part) for part in parts]})
        return EXIT_DONE
    has_hours = any(part.progress.hours for part in parts)  # known where videos were divided by length
    table = Table("shard", "state", "done", "of", "failed", *["hours"] * has_hours, "frames/s", "left", "on",
                  box=None, pad_edge=False)  # fmt: skip
    for part in parts:
        of = part.progress
        table.add_row(
            f"{of.number}/{of.n_shards}", part.state, str(of.n_finished), str(of.n_videos), str(of.n_failed),
            *[f"{of.hours:.2f}" if of.hours else ""] * has_hours, f"{of.frames_per_second:.1f}",
            "" if part.state == "killed" else _duration(of.seconds_left), escape(of.host),
        )  # fmt: skip
    stdout.print(table)
    states = ", ".join(f"{count} {state}" for state, count in total["states"].items())
    left = total["seconds_left"]
    stdout.print(
        f"{total['n_done']} of {total['n_videos']} videos done, {total['n_failed']} failed; "
        f"shards: {states}; {total['frames_per_second']:.1f} frames/s"
        + (f", about {_duration(left)} left" if left else ""),
        markup=False,
    )
    failures = [failure for part in parts for failure in part.failures]
    for failure in failures[:_MOST_FAILURES]:
        stdout.print(f"  {failure.video} ({failure.stage}): {failure.reason}", markup=False)
    if len(failures) > _MOST_FAILURES:
        stdout.print(f"  and {len(failures) - _MOST_FAILURES} more, see --json")
    return EXIT_DONE


def summarise(parts: Sequence[ShardStatus]) -> dict[str, Any]:
    """Return the sums over all parts; of those that have not begun nothing is known but how many they are."""
    states = Counter(part.state for part in parts)
    running = [part.progress for part in parts if part.state == "running"]
    left = [of.seconds_left for of in running]
    n_waiting = parts[0].progress.n_shards - len(parts)
    return {
        "n_videos": sum(part.progress.n_videos for part in parts),
        "n_done": sum(part.progress.n_finished for part in parts),
        "n_failed": sum(part.progress.n_failed for part in parts),
        "frames_per_second": sum(of.frames_per_second for of in running),
        "seconds_left": max((seconds for seconds in left if seconds is not None), default=None),
        "states": {**states, **({"not begun": n_waiting} if n_waiting else {})},
    }


def _in_json(part: ShardStatus) -> dict[str, Any]:
    of = part.progress
    return {
        **asdict(of),
        "state": part.state,
        "n_done": of.n_finished,
        "frames_per_second": of.frames_per_second,
        "seconds_left": None if part.state == "killed" else of.seconds_left,
        "failures": [asdict(failure) for failure in part.failures],
    }


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    )
