"""`mulde render`, `mulde clips` and `mulde scene`: what a run found, to look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mulde.pipeline.cli.console import Bars, set_up_logging, stderr, stdout
from mulde.pipeline.cli.options import CLIP_SECONDS_AROUND, EXIT_DONE, EXIT_SOME_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from mulde.pipeline.stages.pictures import Drawn

_RUN = click.Path(path_type=Path, exists=True, file_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("run", type=_RUN)
@click.argument("videos", metavar="[VIDEO ...]", nargs=-1)
@click.option("--out", type=_FOLDER, help="Folder of the videos. [RUN/rendered]")
def render(run: Path, videos: Sequence[str], out: Path | None) -> int:
    """Write videos with what was found in them: boxes, the score over time, the reason.

    A VIDEO is a name as in RUN/scores, or the path of a file; without any, all of them. RUN is the folder of
    a run, or one that `mulde score --model` made. Sound and the times of frames are kept.
    """
    from mulde.pipeline.stages.pictures import open_scored, render_videos

    set_up_logging(logging.INFO)
    scored = open_scored(run)
    with scored.run.held():
        return _tell_all(render_videos(scored, videos, out, Bars()))


@click.command()
@click.argument("run", type=_RUN)
@click.option("--out", type=_FOLDER, help="Folder of the clips. [RUN/clips]")
@click.option(
    "--before",
    type=click.FloatRange(min=0),
    default=CLIP_SECONDS_AROUND,
    show_default=True,
    help="Seconds before an event.",
)
@click.option(
    "--after",
    type=click.FloatRange(min=0),
    default=CLIP_SECONDS_AROUND,
    show_default=True,
    help="Seconds after an event.",
)
@click.option("--most", type=click.IntRange(min=1), metavar="N", help="Of the strongest events. [all]")
def clips(run: Path, out: Path | None, before: float, after: float, most: int | None) -> int:
    """Cut a clip of each event, the strongest first: with what was found drawn in, and as it is (_plain)."""
    from mulde.pipeline.stages.pictures import cut_clips, open_scored

    set_up_logging(logging.INFO)
    scored = open_scored(run)
    with scored.run.held():
        return _tell_all(
            cut_clips(scored, out, before_seconds=before, after_seconds=after, n_most=most, progress=Bars())
        )


@click.command()
@click.argument("run", type=_RUN)
def scene(run: Path) -> int:
    """Write pictures of what a run has learnt of its scene: the empty place, how large objects are where."""
    from mulde.pipeline.stages.pictures import draw_scenes

    set_up_logging(logging.INFO)
    _tell(draw_scenes(run))
    return EXIT_DONE


def _tell_all(drawn: Drawn) -> int:
    """Print what was written and what was not; return the exit code."""
    _tell(drawn.paths)
    for failure in drawn.failures:
        stderr.print(f"mulde: {failure.video}: {failure.reason}", markup=False)
    if not drawn.failures:
        return EXIT_DONE
    return EXIT_SOME_FAILED if drawn.paths else EXIT_USAGE


def _tell(paths: Sequence[Path]) -> None:
    for path in paths:
        stdout.print(str(path), markup=False)
