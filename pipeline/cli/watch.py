"""`mulde watch`: a trained model on live footage."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import click

from mulde.data.errors import InputError
from mulde.pipeline.cli.console import log_to_file, set_up_logging
from mulde.pipeline.cli.options import CLIP_SECONDS_AROUND, EXIT_DONE, EXIT_SOME_FAILED

_log = logging.getLogger(__name__)
_TOKEN = "MULDE_PAGE_TOKEN"  # noqa: S105  # the name of a variable of the environment


@click.command()
@click.argument("source")
@click.argument("settings", nargs=-1, metavar="[key=value ...]")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
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
    model: Path,
    out: Path | None,
    camera: str,
    follow: float | None,
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
    or folder, with --follow one that grows. An address is opened again whenever it is lost.
    """
    from mulde.pipeline.config.words import in_users_words, respelled
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.runs.origin import load_run_config
    from mulde.pipeline.watch.address import listening
    from mulde.pipeline.watch.board import Camera
    from mulde.pipeline.watch.clips import ClipRecorder
    from mulde.pipeline.watch.mqtt import Mqtt
    from mulde.pipeline.watch.outputs import EventFolder, Webhook, as_record
    from mulde.pipeline.watch.sources import Lost, open_source
    from mulde.pipeline.watch.watcher import Watcher

    if not clips and (before is not None or after is not None):
        raise InputError("--before and --after are of clips: give --clips, too")
    set_up_logging(logging.INFO)
    run = RunFolder(model)
    if not run.model_config.exists():
        raise InputError(f"{model} is no run with a trained model: --model takes the folder of a run")
    opened = open_source(source, follow_seconds=follow)
    config = load_run_config(run.model_config, overrides=settings, trust=trust)
    with ExitStack() as stack:
        listener = (
            None if page is None else stack.enter_context(listening(page, os.environ.get(_TOKEN) or None))
        )
        with in_users_words(), respelled(camera="--camera"):
            watcher = Watcher(run, config, camera=camera)
        folder = RunFolder(out or model / "watch")
        if out is None:
            for written in ("", "events.jsonl", "pictures", "clips", "outbox"):
                run.require_inside(folder.folder / written)
        stack.enter_context(folder.held())
        kept = stack.enter_context(closing(EventFolder(folder.folder)))
        stack.enter_context(log_to_file(folder.log))
        receivers: list[Webhook | Mqtt | Camera] = []
        if webhook is not None:
            receivers.append(stack.enter_context(Webhook(webhook, folder.folder / "outbox").running()))
        if mqtt is not None:
            receivers.append(stack.enter_context(Mqtt(mqtt).running()))
        shown = None
        if listener is not None:
            from mulde.pipeline.watch.server import PageServer

            name = camera or model.absolute().name
            shown = Camera(name, watcher.threshold, opened.health, folder.folder)
            receivers.append(shown)
            stack.enter_context(PageServer(listener, [shown]).running())
            # not to the log, which is kept: it has the token
            click.echo(f"the page is at {listener.url_with_token}", err=True)
        stack.enter_context(respelled(camera="--camera"))
        _log.info("%s", watcher.threshold.text)
        n_given_up = 0
        recorder = None
        if clips:
            recorder = ClipRecorder(
                folder.folder,
                before_seconds=CLIP_SECONDS_AROUND if before is None else before,
                after_seconds=CLIP_SECONDS_AROUND if after is None else after,
                may_wait=opened.may_wait,
            )
            stack.enter_context(recorder.running())
        all_seen = watcher.watch(
            opened,
            on_frame=None if recorder is None else recorder.take,
            on_view=None if shown is None else shown.show,
        )
        for seen in all_seen if recorder is None else recorder.attend(all_seen):
            n_given_up += isinstance(seen, Lost) and seen.next_try_seconds is None
            record = kept.keep(as_record(seen, watcher.threshold), seen)
            if record["type"] != "frame" or scores:
                click.echo(json.dumps(record, ensure_ascii=False))
            for receiver in receivers:
                receiver.put(record)
    return EXIT_SOME_FAILED if n_given_up else EXIT_DONE
