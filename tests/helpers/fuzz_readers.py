"""Readers of the kinds of files that strangers may make; a module of its own: other processes import it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from mulde.data.cache.entries import RowsInOrder, read_entry, read_frame_seconds, read_rows, verify_entry
from mulde.data.cache.rows import CachedRows
from mulde.data.decode.image_folders import load_image
from mulde.data.decode.image_stacks import decode_stack, open_stack
from mulde.data.decode.report import Tally
from mulde.data.exchange.boxes import read_boxes
from mulde.data.exchange.clip_lengths import read_clip_lengths, resolve_lengths
from mulde.data.exchange.imports import list_imported
from mulde.data.exchange.sources import ForeignSource, read_foreign
from mulde.data.labels.files import read_labels
from mulde.data.labels.masks import frames_of_masks, load_mask_array, load_mask_cells, regions_of_masks
from mulde.data.labels.matrices import read_label_matrix
from mulde.data.layouts import nwpu_campus, ubnormal, ucf_crime, ucsd, xd_violence
from mulde.detector import load_detector
from mulde.pipeline.config.load import load_config
from mulde.pipeline.events.record import Event
from mulde.pipeline.experiments.compare import summarise
from mulde.pipeline.marks.excerpts import open_excerpt, read_event
from mulde.pipeline.marks.record import is_marked, marks_digest, read_marks, watched_hours
from mulde.pipeline.metrics.score_files import read_score_files
from mulde.pipeline.models.model import read_manifest, read_scenes
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.origin import load_run_config
from mulde.pipeline.runs.scores import read_datasets, read_objects, read_scores
from mulde.pipeline.stages.evaluate import read_metrics
from mulde.pipeline.watch.cameras import read_cameras

N_FRAMES = 40


def labels(path: Path) -> None:
    """Read labels, and what of them is read later."""
    found = read_labels(path)
    for name in found.names:
        seconds = [index / 10 for index in range(N_FRAMES)]
        found.regions(name)
        found.frames(name, N_FRAMES, seconds)
        found.events(name, N_FRAMES, seconds)
        found.doubt({name: seconds})
    _ = found.digest


def features(path: Path) -> None:
    """Read all videos of a source."""
    for video in read_foreign(ForeignSource(path)):
        assert len(video.rows) == len(video.rows.frame)


def clip_lengths(path: Path) -> None:
    """Read lengths, and tell them from sums."""
    resolve_lengths(read_clip_lengths(path), None, str(path))


def boxes(path: Path) -> None:
    """Read boxes of others, and what says whether they have changed."""
    for found in read_boxes(path).values():
        assert found.digest


def masks(path: Path) -> None:
    """Read masks, and the labels that they are made into."""
    found = load_mask_array(path) if path.suffix == ".npy" else load_mask_cells(path)
    frames_of_masks(found)
    regions_of_masks(found)


def scores(path: Path) -> None:
    """Read scores that others made: an archive, or a file in a folder."""
    read_score_files(path if path.suffix == ".npz" else path.parent)


def entry(path: Path) -> None:
    """Read a cached file in every way."""
    for read in (read_entry, read_rows, read_frame_seconds, verify_entry):
        _tried(read, path)
    CachedRows([path]).read(0, 10)
    rows = RowsInOrder(path, block_rows=4)
    for index in range(N_FRAMES):
        rows.in_frame(index)


def description(path: Path) -> None:
    """Read what a folder of the cache says of itself."""
    cache = path.parent / "cache"
    home = cache / "velocity" / "0123"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, home / "stream.json")
    list_imported(cache)


def run_scores(path: Path) -> None:
    """Read the scores of a run, whose other file is whole."""
    run = RunFolder(path.parent)
    for read in (read_scores, read_objects, read_datasets):
        _tried(lambda found, read=read: read(run, found.stem), path)


def state(path: Path) -> None:
    """Read what a run says of itself."""
    folder = path.parent / "run"
    for name in ("state.json", "failures.json"):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
    run = RunFolder(folder)
    run.fingerprints("train")
    for failure in run.failures():
        assert isinstance(failure.video, str)


def metrics(path: Path) -> None:
    """Read metrics, and what is said of them."""
    found = read_metrics(path)
    if found is not None:
        found.to_json()


def config(path: Path) -> None:
    """Read a configuration as one's own, and as that of a run from elsewhere."""
    _tried(lambda found: load_config(found), path)
    _tried(load_run_config, path)


def override(path: Path) -> None:
    """Read key=value of the command line."""
    text = path.read_bytes().decode(errors="replace")
    load_config(overrides=[text])


def model_config(path: Path) -> None:
    """Compare runs of which one has this configuration."""
    model = path.parent / "model"
    model.mkdir(exist_ok=True)
    shutil.copyfile(path, model / "config.yaml")
    summarise(path.parent)


def manifest(path: Path) -> None:
    """Read the manifest of a run's model."""
    found = read_manifest(path.parent)
    assert found["parts"]


def scenes(path: Path) -> None:
    """Read a scene of a model, which lies beside it."""
    read_scenes(path.parent)


def detector(path: Path) -> None:
    """Read a detector, of which one file is this."""
    try:
        load_detector(path.parent, device="cpu")
    except ValueError as error:
        _ = str(error)


def marks(path: Path) -> None:
    """Read which events a run has marked as normal, and what they are compared by."""
    found = read_marks(RunFolder(path.parent))
    marks_digest(found), watched_hours(found)
    for mark in found:
        _ = mark.event.when, mark.event.folder_name
        is_marked(found, Event("a", 0, 9, 0.0, 4.0, None, 5, 1.0, None, "", ""), 2.0)


def excerpt(path: Path) -> None:
    """Read the features of an event that was marked as normal, but for the rows."""
    _tried(read_event, path.parent)
    open_excerpt(path.parent, {"velocity": "ab"})


def image(path: Path) -> None:
    """Read an image, and all its pages."""
    os.environ["MULDE_MEGAPIXELS"] = "4"  # the largest that are allowed take seconds a page
    _tried(load_image, path)
    stack = open_stack(path, 10)
    for frame in decode_stack(stack, range(len(stack.seconds)), Tally("pillow")):
        assert frame.rgb.ndim == 3


READERS: dict[str, Callable[[Path], object]] = {
    function.__name__: function
    for function in (
        labels, features, boxes, clip_lengths, masks, scores, entry, description, run_scores, state,
        metrics, config, override, model_config, manifest, scenes, detector, image, marks, excerpt,
    )
} | {
    "matrix": read_label_matrix,
    "ground_truth": nwpu_campus.read_ground_truth,
    "ucf": ucf_crime.read_annotations,
    "xd": xd_violence.read_annotations,
    "tracks": ubnormal.read_tracks,
    "ucsd": ucsd.read_ground_truth,
    "cameras": read_cameras,
}  # fmt: skip


def _tried(read: Callable[[Path], object], path: Path) -> None:
    """Read in one way, so that what it refuses does not keep the others from being tried."""
    try:
        read(path)
    except ValueError as error:
        if type(error).__module__.startswith("mulde"):
            return
        raise


def read(path: Path) -> str:
    """Read a file with the reader that its folder is named after; return the traceback of a defect, or ""."""
    import traceback

    from mulde.data.errors import InputError

    with tempfile.TemporaryDirectory() as folder:
        for beside in path.parent.iterdir():
            if beside.is_file():
                shutil.copyfile(beside, Path(folder) / beside.name)
        try:
            READERS[path.parent.name.partition("-")[0]](Path(folder) / path.name)
        except InputError:
            return ""
        except BaseException:
            return traceback.format_exc()
    return ""
