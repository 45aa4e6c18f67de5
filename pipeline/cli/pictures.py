"""`mulde render`, `mulde clips` and `mulde scene`: what a run found, to look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from mulde.data.errors import InputError, VideoError
from mulde.pipeline.cli.console import Bars, set_up_logging, stdout
from mulde.pipeline.cli.options import EXIT_DONE

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
    try:
        _tell(render_videos(open_scored(run), videos, out, Bars()))
    except VideoError as error:
        raise InputError(str(error)) from None
    return EXIT_DONE


@click.command()
@click.argument("run", type=_RUN)
@click.option("--out", type=_FOLDER, help="Folder of the clips. [RUN/clips]")
@click.option(
    "--before", type=click.FloatRange(min=0), default=3.0, show_default=True, help="Seconds before an event."
)
@click.option(
    "--after", type=click.FloatRange(min=0), default=3.0, show_default=True, help="Seconds after an event."
)
@click.option("--most", type=click.IntRange(min=1), metavar="N", help="Of the strongest events. [all]")
def clips(run: Path, out: Path | None, before: float, after: float, most: int | None) -> int:
    """Cut a clip of each event, the strongest first: with what was found drawn in, and as it is (_plain)."""
    from mulde.pipeline.stages.pictures import cut_clips, open_scored

    set_up_logging(logging.INFO)
    _tell(
        cut_clips(
            open_scored(run), out, before_seconds=before, after_seconds=after, n_most=most, progress=Bars()
        )
    )
    return EXIT_DONE


@click.command()
@click.argument("run", type=_RUN)
def scene(run: Path) -> int:
    """Write pictures of what a run has learnt of its scene: the empty place, how large objects are where."""
    from mulde.pipeline.stages.pictures import draw_scenes

    set_up_logging(logging.INFO)
    _tell(draw_scenes(run))
    return EXIT_DONE


def _tell(paths: Sequence[Path]) -> None:
    for path in paths:
        stdout.print(str(path), markup=False)
