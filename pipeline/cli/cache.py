"""The commands of the feature cache: list, verify, repair, prune, export, import."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.cache.places import open_storage
from mulde.data.cache.storage import DEFAULT_PLACE, Place, is_address
from mulde.data.errors import InputError
from mulde.data.files import name_without_suffix
from mulde.data.foreign.text import read_text
from mulde.data.spelling import counted
from mulde.pipeline.cli.console import print_json, stderr, stdout
from mulde.pipeline.cli.options import EXIT_DONE, EXIT_USAGE, json_option, to_place
from mulde.pipeline.config.words import respell, respelled

if TYPE_CHECKING:
    from mulde.data.cache.care import Damage, Removal

_FOLDER = click.Path(path_type=Path)
_at = click.option(
    "--cache",
    "folder",
    type=to_place,
    metavar="DIR",
    default=DEFAULT_PLACE,
    show_default=True,
    help="Folder of the cache, or its address, such as s3://bucket/prefix.",
)
_runs = click.argument("runs", nargs=-1, type=_FOLDER, metavar="[RUN ...]")
_dry_run = click.option("--dry-run", is_flag=True, help="Only show what would be done.")


@click.group()
def cache() -> None:
    """Look into the feature cache, mend it, and take features in and out."""


@cache.command("list")
@_at
@json_option
def list_(folder: Place, as_json: bool) -> int:
    """Show what is cached, by stream and settings."""
    from mulde.data.cache.entries import list_streams
    from mulde.data.exchange.exports import describe_origin

    _require_folder(folder)
    streams = list_streams(folder)
    if as_json:
        print_json(
            [
                {
                    "stream": stream.stream,
                    "key": stream.key,
                    "videos": stream.size[0],
                    "size_bytes": stream.size[1],
                    "folder": f"{folder}/{stream.stream}/{stream.key}",
                    "description": stream.description,
                }
                for stream in streams
            ]
        )
        return EXIT_DONE
    table = Table("stream", "key", "videos", "size", "of", box=None, pad_edge=False)
    for stream in streams:
        n_files, n_bytes = stream.size
        table.add_row(
            escape(stream.stream),
            stream.key,
            str(n_files),
            _megabytes(n_bytes),
            escape(describe_origin(stream.description)),
        )
    stdout.print(table)
    return EXIT_DONE


@cache.command()
@_runs
@_at
def verify(runs: Sequence[Path], folder: Place) -> int:
    """Read every file of the cache, or of runs, in full; exit 2 if one is damaged or nobody knows what it is.

    What it says and holds is compared with its checksum. Files of earlier versions have none: their
    number is said.
    """
    is_damaged = False
    for place, damage in _examine(runs, folder):
        problems = [*damage.left, *(item.reason for item in damage.items if item.is_damaged)]
        for problem in problems:
            stderr.print(f"mulde: {problem}", markup=False)
        unsealed = f", {damage.n_unsealed} without a checksum" if damage.n_unsealed else ""
        where = f"{place}: " if runs else ""
        stdout.print(
            f"{where}{counted(damage.n_checked, 'file')}, {len(problems)} damaged{unsealed}", markup=False
        )
        is_damaged |= bool(problems)
    return EXIT_USAGE if is_damaged else EXIT_DONE


@cache.command()
@_runs
@_at
@_dry_run
def repair(runs: Sequence[Path], folder: Place, dry_run: bool) -> int:
    """Delete what is damaged, or was left by a killed process, in the cache or in runs.

    The next `mulde run` makes it again, and `mulde extract` what is in the cache. Every file is read in full.
    What another process works on is left alone, and so is what cannot be made again, such as imported
    features (exit 2).
    """
    is_left = False
    for place, damage in _examine(runs, folder, is_held=not dry_run):
        for problem in damage.left:
            stderr.print(f"mulde: left: {respell(problem, {'replace': '--replace'})}", markup=False)
        removed = _remove(place, damage.items, dry_run=dry_run)
        where = f"{place}: " if runs else ""
        told = f"{counted(damage.n_checked, 'file')} checked, {removed}; {len(damage.left)} left alone"
        stdout.print(f"{where}{told}", markup=False)
        is_left |= bool(damage.left)
    return EXIT_USAGE if is_left else EXIT_DONE


def _examine(runs: Sequence[Path], folder: Place, *, is_held: bool = False) -> Iterator[tuple[Place, Damage]]:
    """Yield what is wrong with each run, or with the cache where none is named.

    Args:
        is_held: whether a run is held against other processes meanwhile, until the next is asked for.
    """
    from mulde.data.cache.care import find_damage
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.stages.care import find_run_damage, require_run

    if not runs:
        _require_folder(folder)
        yield folder, find_damage(folder)
    for run in map(RunFolder, runs):
        require_run(run)
        with run.held(tidy=False) if is_held else nullcontext():
            yield run.folder, find_run_damage(run)


@cache.command()
@_at
@_dry_run
@click.option("--stream", metavar="NAME", help="Only features of this kind, whatever their source.")
@click.option("--key", metavar="KEY", help="Only features whose key begins so, whatever their source.")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Only what was made before that.",
)
@click.option("--yes", is_flag=True, help="Delete without being asked.")
def prune(
    folder: Place, dry_run: bool, stream: str | None, key: str | None, days: float | None, yes: bool
) -> int:
    """Delete features that no video stands for any more; or those that are named.

    Without --stream, --key and --older-than: what was made from a video that is gone or has changed since.
    With one or more of them: all that fits each, imported features among them. It lists what goes, and asks.
    """
    from mulde.data.cache.care import find_orphans, find_selected

    _require_folder(folder)
    if stream is None and key is None and days is None:
        items = find_orphans(folder)
    else:
        items = find_selected(folder, stream=stream, key=key, older_than_days=days)
    for item in items:
        stdout.print(f"{_below(folder, item)}: {item.reason}", markup=False)
    if items and not (dry_run or yes) and not _agrees(len(items)):
        raise InputError("nothing was deleted: say yes, or give --yes")
    stdout.print(_remove(folder, items, dry_run=dry_run or not items, tell=False))
    return EXIT_DONE


def _agrees(n_files: int) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"nothing was deleted: {counted(n_files, 'file')} would go, give --yes to delete")
    return click.confirm(f"Delete {counted(n_files, 'file')}?", default=False, err=True)


@cache.command()
@click.argument("out", type=_FOLDER, metavar="OUT.h5")
@click.option("--stream", required=True, metavar="NAME", help="Which features.")
@click.option("--key", metavar="KEY", help="The beginning of their key, where there are several kinds.")
@_at
def export(out: Path, stream: str, key: str | None, folder: Place) -> int:
    """Pack a stream into one HDF5 file, a group per video: for h5py, MATLAB, Julia, `mulde cache import`."""
    from mulde.data.cache.entries import BOXES_STREAM
    from mulde.data.exchange.exports import export_stream, find_stream
    from mulde.data.exchange.traits import UNKNOWN
    from mulde.pipeline.features.imported import known_traits

    _require_folder(folder)
    with respelled(key="--key", cache="--cache DIR"):
        found = find_stream(folder, stream, key)
        traits = known_traits(found)
        n_videos = export_stream(found, out, traits or UNKNOWN)
    if traits is None and found.stream != BOXES_STREAM:
        stderr.print(
            f"mulde: what detectors should know of {stream}, of a plug-in, is not in the file: say it with "
            "--one-unit and --whiten where it is imported",
            markup=False,
        )
    stdout.print(f"{counted(n_videos, 'video')}, {_megabytes(out.stat().st_size)}: {out}", markup=False)
    return EXIT_DONE


_OPTIONS_OF_IMPORT = {
    "names": "--videos", "clip_lengths": "--clip-lengths", "lengths": "--lengths", "boxes": "--boxes",
    "allow_pickle": "--allow-pickle", "n_whitened": "--whiten", "replace": "--replace", "split": "--as",
    "cache": "--cache DIR",
}  # fmt: skip
"""By the fields of `ImportRequest` and its source, and what else messages name."""


@cache.command("import")
@click.argument("source", type=_FOLDER)
@click.option("--stream", required=True, metavar="NAME", help="What the features are, such as pose.")
@click.option(
    "--as", "split", required=True, metavar="SPLIT", help="Name of the split, such as ped2/training."
)
@click.option("--fps", type=float, metavar="F", help="Frame rate of the videos. [what the files say, or 25]")
@click.option(
    "--videos", type=_FOLDER, metavar="NAMES.txt", help="Names of the videos, a line each. [01, 02, …]"
)
@click.option(
    "--clip-lengths", type=_FOLDER, metavar="FILE", help="Frames of each video, or their running sums."
)
@click.option("--lengths", metavar="N,N,...", help="Frames of each video, in place of the file.")
@click.option(
    "--boxes", type=_FOLDER, metavar="FILE", help="A box for each row, in the form of the features."
)
@click.option("--allow-pickle", is_flag=True, help="Read arrays of Python objects: only of files you trust.")
@click.option("--whiten", type=int, metavar="K", help="Let detectors use K whitened principal components.")
@click.option(
    "--one-unit/--own-units",
    default=None,
    help="Whether the features share a unit, so that detectors must not scale them apart. [what the files "
    "say, or not]",
)
@click.option("--replace", is_flag=True, help="Replace other features that were imported under these names.")
@_at
def import_(
    source: Path, stream: str, split: str, fps: float | None, videos: Path | None, clip_lengths: Path | None,
    lengths: str | None, boxes: Path | None, allow_pickle: bool, whiten: int | None, one_unit: bool | None,
    replace: bool, folder: Place,
) -> int:  # fmt: skip
    """Take features that were made elsewhere into the cache.

    SOURCE is a folder with a .npy, .npz or .h5 file per video; or one file for a whole split, with the length
    of each clip. A file holds a row per frame, or rows with `frame` (and `box`), or one array of objects a
    frame, as AI-VAD keeps them. All is checked, and goes in whole or not at all. Runs then name the split:

    mulde run --normal-features ped2/training --test-features ped2/testing extract.streams=[pose]
    """
    from mulde.data.exchange.imports import ImportRequest, import_features
    from mulde.data.exchange.sources import ForeignSource

    foreign = ForeignSource(
        source,
        names=None if videos is None else _read_names(videos),
        clip_lengths=clip_lengths,
        lengths=None if lengths is None else _parse_lengths(lengths),
        boxes=boxes,
        allow_pickle=allow_pickle,
    )
    with respelled(**_OPTIONS_OF_IMPORT):
        request = ImportRequest(
            foreign, stream, split, fps=fps, n_whitened=whiten, has_one_unit=one_unit, replace=replace
        )
        found = import_features(request, folder)
    content = found.content
    if found.was_there:
        stdout.print(f"up to date, these features were imported before: {found.folder}", markup=False)
        return EXIT_DONE
    taken = f"; {found.taken.text}, as the files say" if found.taken.text else ""
    assumed = " (assumed, see --fps)" if content.is_fps_assumed else ""
    stdout.print(
        f"{stream} of {split}: {counted(content.n_videos, 'video')}, {counted(content.n_frames, 'frame')}, "
        f"{counted(content.n_rows, 'row')} of {counted(content.n_features, 'feature')}, {content.fps:g} "
        f"frames/s{assumed}{taken}: {found.folder}",
        markup=False,
    )
    return EXIT_DONE


def _read_names(path: Path) -> tuple[str, ...]:
    try:
        lines = read_text(path).splitlines()
    except InputError as error:
        raise InputError(f"video names, a line each: {error}") from None
    return tuple(name_without_suffix(line.strip()) for line in lines if line.strip())


def _parse_lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"--lengths {text!r} must be whole numbers with commas, such as 180,150") from None


def _remove(folder: Place, items: Sequence[Removal], *, dry_run: bool, tell: bool = True) -> str:
    """Delete files, or only show them; return in words what was done."""
    from mulde.data.cache.care import remove

    if tell:
        for item in items:
            stdout.print(f"{_below(folder, item)}: {item.reason}", markup=False)
    size = sum(item.size_bytes for item in items)
    if dry_run:
        return f"{counted(len(items), 'file')} ({_megabytes(size)}) would be deleted"
    removed = remove(folder, items)
    for item in removed.busy:
        stderr.print(f"mulde: left: another process works on {item.path}", markup=False)
    return f"{counted(removed.n_files, 'file')} ({_megabytes(removed.n_bytes)}) deleted"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"


def _below(folder: Place, item: Removal) -> str:
    return str(item.path.relative_to(open_storage(folder).folder))


def _require_folder(folder: Place) -> None:
    if not is_address(folder) and not Path(folder).is_dir():
        raise InputError(f"there is no cache at {folder}: give --cache DIR")
