"""`mulde watch`: a trained model on live footage."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from mulde.data.errors import InputError
from mulde.pipeline.cli.console import log_to_file, set_up_logging
from mulde.pipeline.cli.options import (
    CLIP_SECONDS_AROUND,
    EXIT_DONE,
    EXIT_SOME_FAILED,
    adding,
    budget_of,
    budget_options,
)

if TYPE_CHECKING:
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.watch.attend import Attendant, Wishes

_log = logging.getLogger(__name__)
_TOKEN = "MULDE_PAGE_TOKEN"  # noqa: S105  # the name of a variable of the environment


@click.command()
@click.argument("source")
@click.argument("settings", nargs=-1, metavar="[key=value ...]")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN",
    help="The run whose model watches.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of events.jsonl. [RUN/watch]"
)
@click.option("--camera", default="", metavar="NAME", help="Which of the cameras of RUN, if it has several.")
@click.option(
    "--follow",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="SOURCE grows: end when nothing has come for so long.",
)
@adding(budget_options("that RUN was trained with"))
@click.option("--scores", is_flag=True, help="Print the score of every frame, too.")
@click.option("--clips", is_flag=True, help="Write a clip of each event.")
@click.option(
    "--before",
    type=click.FloatRange(0, 30),
    metavar="SECONDS",
    help=f"Length of a clip before its event. [{CLIP_SECONDS_AROUND:g}]",
)
@click.option(
    "--after",
    type=click.FloatRange(0, 30),
    metavar="SECONDS",
    help=f"Length of a clip after its event. [{CLIP_SECONDS_AROUND:g}]",
)
@click.option("--webhook", metavar="URL", help="Post what happens to an address, as JSON.")
@click.option("--mqtt", metavar="URL", help="Publish what happens: mqtt://HOST/TOPIC.")
@click.option(
    "--page",
    metavar="PORT",
    help="Serve a page for this machine; HOST:PORT for others, who need $MULDE_PAGE_TOKEN or a new token.",
)
@click.option("--trust", is_flag=True, help="Run code that a RUN from elsewhere names.")
def watch(
    source: str,
    settings: Sequence[str],
    model: Path | None,
    out: Path | None,
    camera: str,
    follow: float | None,
    false_alarms_per_day: float | None,
    false_alarms_per_hour: float | None,
    scores: bool,
    clips: bool,
    before: float | None,
    after: float | None,
    webhook: str | None,
    mqtt: str | None,
    page: str | None,
    trust: bool,
) -> int:
    """Watch a SOURCE, and print what happens as it happens: a JSON record a line.

    A SOURCE is an address (rtsp://, http://, also of a playlist), the number of a camera, a pipe, or a file
    or folder, with --follow one that grows; or a file of several cameras, cameras.yaml. An address is opened
    again whenever it is lost.
    """
    from mulde.pipeline.watch.address import listening
    from mulde.pipeline.watch.attend import Wishes

    if not clips and (before is not None or after is not None):
        raise InputError("--before and --after are of clips: give --clips, too")
    set_up_logging(logging.INFO)
    budget = budget_of(false_alarms_per_day, false_alarms_per_hour)
    if budget is not None:
        settings = [*settings, f"score.false_alarms_per_day={budget!r}"]
    around = [CLIP_SECONDS_AROUND if given is None else given for given in (before, after)]
    wishes = Wishes(webhook, mqtt, (around[0], around[1]) if clips else None, on_board=page is not None)
    with ExitStack() as stack:
        listener = (
            None if page is None else stack.enter_context(listening(page, os.environ.get(_TOKEN) or None))
        )
        if source.endswith((".yaml", ".yml")):
            if camera or follow is not None:
                raise InputError(f"--camera and --follow are of one camera: name them in {source}")
            attendants = _open_several(Path(source), settings, model, out, wishes, trust=trust)
        else:
            attendants = [_open_one(source, settings, model, out, wishes, camera, follow, trust=trust)]
        stack.enter_context(_all_ready(attendants))
        for each in attendants:
            said_by = f"{each.name}: " if each.name else ""
            _log.info("%s%s", said_by, each.watcher.threshold.text, extra={"thread_meant": _thread_of(each)})
        if listener is not None:
            from mulde.pipeline.watch.server import PageServer

            boards = [each.board for each in attendants if each.board is not None]
            stack.enter_context(PageServer(listener, boards).running())
            # not to the log, which is kept: it has the token
            click.echo(f"the page is at {listener.url_with_token}", err=True)
        with closing(_seen(attendants)) as records:
            return _print(records, scores=scores)


def _open_one(
    source: str,
    settings: Sequence[str],
    model: Path | None,
    out: Path | None,
    wishes: Wishes,
    camera: str,
    follow: float | None,
    *,
    trust: bool,
) -> Attendant:
    from mulde.pipeline.config.words import in_users_words, respelled
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.runs.origin import load_config_of_model
    from mulde.pipeline.watch.attend import Attendant
    from mulde.pipeline.watch.sources import open_source
    from mulde.pipeline.watch.watcher import Watcher

    if model is None:
        raise InputError("whose model watches? Give --model RUN; only a file of cameras can name it itself")
    run = RunFolder(model)
    if not run.model_config.exists():
        raise InputError(f"{model} is no run with a trained model: --model takes the folder of a run")
    opened = open_source(source, follow_seconds=follow)
    config = load_config_of_model(run, overrides=settings, trust=trust)
    with in_users_words(), respelled(camera="--camera"):
        watcher = Watcher(run, config, camera=camera)
    return Attendant(watcher, opened, RunFolder(_folder(out, run)), wishes)


def _open_several(
    file: Path,
    settings: Sequence[str],
    model: Path | None,
    out: Path | None,
    wishes: Wishes,
    *,
    trust: bool,
) -> list[Attendant]:
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.watch.attend import Attendant
    from mulde.pipeline.watch.cameras import open_cameras

    return [
        Attendant(
            camera.watcher,
            camera.source,
            RunFolder(_folder(out, camera.run, camera.name)),
            wishes,
            name=camera.name,
        )
        for camera in open_cameras(file, model=model, settings=settings, trust=trust)
    ]


@contextmanager
def _all_ready(attendants: Sequence[Attendant]) -> Iterator[None]:
    """Hold the folders of all, with their logs, and have them ready; at the end they end side by side."""
    opened: list[ExitStack] = []
    try:
        for each in attendants:
            stack = ExitStack()
            opened.append(stack)
            stack.enter_context(each.folder.held())
            stack.enter_context(log_to_file(each.folder.log, thread=_thread_of(each)))
            stack.enter_context(each.ready())
        yield
    finally:
        errors = _close_all(
            {_thread_of(each): stack for each, stack in zip(attendants, opened, strict=False)}
        )
    for error in errors:  # where nothing else went wrong
        raise error


def _close_all(stacks: Mapping[str, ExitStack]) -> list[Exception]:
    """Close each in a thread of its name, by which logs tell last words apart; return what failed."""
    errors: list[Exception] = []

    def close(stack: ExitStack) -> None:
        try:
            stack.close()
        except Exception as error:  # passed on, whatever it is
            errors.append(error)

    threads = [Thread(target=close, args=(stack,), name=name or None) for name, stack in stacks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _thread_of(attendant: Attendant) -> str:
    """Return how the thread of one of several cameras is called, by which its log knows what is its own."""
    return f"camera {attendant.name}" if attendant.name else ""


def _folder(out: Path | None, run: RunFolder, name: str = "") -> Path:
    """Return where what is seen goes; no link may lead out of a run."""
    if out is not None:
        return out / name
    folder = run.folder / "watch" / name
    run.require_inside(folder)
    return folder


def _seen(attendants: Sequence[Attendant]) -> Generator[dict[str, Any], None, None]:
    """Give the records of all; several are watched side by side, and one that fails stops no other."""
    from mulde.pipeline.config.words import respelled
    from mulde.pipeline.watch.cameras import given_up_alone, side_by_side

    if not attendants[0].name:
        with respelled(camera="--camera"):
            yield from attendants[0].records()
        return

    def feed(attendant: Attendant) -> Callable[[], Generator[dict[str, Any], None, None]]:
        return lambda: attendant.records(given_up_alone(attendant.name, attendant.watch()))

    feeds = {each.name: feed(each) for each in attendants}
    with closing(side_by_side(feeds, [each.source for each in attendants])) as seen:
        for _, record in seen:
            yield record


def _print(records: Iterable[dict[str, Any]], *, scores: bool) -> int:
    """Print records as they come; return the exit code."""
    n_given_up = 0
    for record in records:
        n_given_up += record["type"] == "lost" and record["next_try_seconds"] is None
        if record["type"] != "frame" or scores:
            click.echo(json.dumps(record, ensure_ascii=False))
    return EXIT_SOME_FAILED if n_given_up else EXIT_DONE
