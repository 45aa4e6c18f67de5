"""`mulde normal`: events that were false alarms."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.errors import InputError
from mulde.data.spelling import counted
from mulde.pipeline.cli.console import print_json, set_up_logging, stdout
from mulde.pipeline.cli.options import EXIT_DONE, json_option

if TYPE_CHECKING:
    from mulde.pipeline.marks.record import Mark

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("run", type=_FOLDER)
@click.argument("events", nargs=-1, metavar="[EVENT ...]")
@click.option(
    "--from", "place", type=_FOLDER, metavar="DIR", help="Where the events are. [RUN, RUN/new, RUN/watch]"
)
@click.option("--list", "is_list", is_flag=True, help="Show what is marked.")
@click.option("--undo", is_flag=True, help="Take marks back.")
@click.option("--trust", is_flag=True, help="Run code that a RUN from elsewhere names.")
@json_option
def normal(
    run: Path,
    events: Sequence[str],
    place: Path | None,
    is_list: bool,
    undo: bool,
    trust: bool,
    as_json: bool,
) -> int:
    """Mark EVENTs of a RUN as false alarms: they are normal.

    An EVENT is a row of events.csv (1 is the strongest), VIDEO:START_FRAME, or the event_id that
    `mulde watch` gave; with --undo also a row of --list. They are not told of again, and `mulde train RUN`
    has them count towards the threshold; with train.marked=learn they are learnt from as well.
    """
    from mulde.pipeline.marks.record import read_marks
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.stages.normal import mark_as_normal, take_back

    set_up_logging(logging.INFO)
    folder = RunFolder(run)
    if is_list == bool(events) or (is_list and undo):
        raise InputError(
            f"which events? mulde normal {run} EVENT ..., with --undo to take marks back; or --list alone"
        )
    if (is_list or undo) and (place is not None or trust):
        raise InputError("--from and --trust are for marking events, not for --list and --undo")
    if is_list:
        marks = list(read_marks(folder))
        said = f"{counted(len(marks), 'event')} marked as normal"
    else:
        with folder.held():
            marks = take_back(folder, events) if undo else mark_as_normal(folder, events, place, trust=trust)
        verb = "not marked as normal any more" if undo else "marked as normal"
        said = f"{counted(len(marks), 'event')} {verb}; `mulde plan {run}` shows what follows from it"
    if as_json:
        print_json([{"marked_at": mark.marked_at, **asdict(mark.event)} for mark in marks])
        return EXIT_DONE
    if marks:
        stdout.print(_table(marks))
    stdout.print(said, markup=False)
    return EXIT_DONE


def _table(marks: Sequence[Mark]) -> Table:
    table = Table("event", "when", "seconds", "score", "marked", "reason", box=None, pad_edge=False)
    for mark in marks:
        event = mark.event
        table.add_row(
            escape(event.id),
            event.when,
            f"{event.stop_seconds - event.start_seconds:.1f}",
            f"{event.score:.2f}",
            mark.marked_at,
            escape(event.reason),
        )
    return table
