"""Readers of the kinds of files that strangers may make; a module of its own: other processes import it."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import torch

from mulde.data.address import shown_address
from mulde.data.cache.entries import RowsInOrder, read_entry, read_frame_seconds, read_rows, verify_entry
from mulde.data.cache.folders import FolderStorage
from mulde.data.cache.index import EntryIndex
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.storage import FileState
from mulde.data.decode.image_folders import load_image
from mulde.data.decode.image_stacks import decode_stack, open_stack
from mulde.data.decode.report import Tally
from mulde.data.errors import InputError
from mulde.data.exchange.boxes import read_boxes
from mulde.data.exchange.clip_lengths import read_clip_lengths, resolve_lengths
from mulde.data.exchange.imports import list_imported
from mulde.data.exchange.sources import ForeignSource, read_foreign
from mulde.data.labels.files import read_labels
from mulde.data.labels.masks import frames_of_masks, load_mask_array, load_mask_cells, regions_of_masks
from mulde.data.labels.matrices import read_label_matrix
from mulde.data.layouts import nwpu_campus, ubnormal, ucf_crime, ucsd, xd_violence
from mulde.detector import load_detector
from mulde.detector.checkpoint import Checkpoint
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.events.files import as_row, read_events, read_threshold
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.experiments.compare import summarise
from mulde.pipeline.marks.excerpts import open_excerpt, read_event
from mulde.pipeline.marks.record import is_marked, marks_digest, read_marks, watched_hours
from mulde.pipeline.metrics.score_files import read_score_files
from mulde.pipeline.models.held_out import check_held_out, held_out_digest, load_held_out, load_watched_hours
from mulde.pipeline.models.model import read_manifest, read_scenes
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage
from mulde.pipeline.runs.origin import is_ours, load_run_config
from mulde.pipeline.runs.scores import (
    check_objects,
    open_scores,
    read_datasets,
    read_looked_at,
    read_objects,
    read_rows_behind,
    read_scores,
    those_whole,
)
from mulde.pipeline.runs.shards import Shard, failed_before, read_status
from mulde.pipeline.stages.evaluate import read_metrics
from mulde.pipeline.watch import address as address_of_page
from mulde.pipeline.watch.address import is_named_rightly, listening
from mulde.pipeline.watch.board import Camera
from mulde.pipeline.watch.cameras import read_cameras
from mulde.pipeline.watch.mqtt import Mqtt
from mulde.pipeline.watch.outputs import Webhook
from mulde.pipeline.watch.server import PageServer
from mulde.pipeline.watch.sources import Health, open_source

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


def _read_for_report(run: RunFolder) -> None:
    with open_scores(run, "a") as files:
        files.stream_scores(files.scores().seconds)
        files.objects_per_frame()


def run_scores(path: Path) -> None:
    """Read the scores of a run, of which one file is this, and the other lies beside it."""
    run = RunFolder(path.parent)
    run.scores.mkdir()
    for file in (run.csv("a"), run.objects("a")):
        shutil.copyfile(path.parent / file.name, file)
    for read in (read_scores, read_objects, read_datasets, read_rows_behind, read_looked_at):
        _tried(lambda _, read=read: read(run, "a"), path)
    _tried(lambda _: _read_for_report(run), path)
    those_whole(run, ["a"])
    check_objects(run.objects("a"))


def state(path: Path) -> None:
    """Read what a run says of itself."""
    folder = path.parent / "run"
    for name in ("state.json", "failures.json"):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
    _state_of(RunFolder(folder))


def journal(path: Path) -> None:
    """Read what a run of many videos adds to that."""
    _state_of(RunFolder(path.parent))


def _state_of(run: RunFolder) -> None:
    run.fingerprints("train")
    for seconds in run.stage_seconds().values():
        assert seconds >= 0
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


def events(path: Path) -> None:
    """Read the events of a run, and what is said of them."""
    for event in read_events(RunFolder(path.parent)):
        assert event.when
        as_row(event)


def threshold(path: Path) -> None:
    """Read the threshold of a run."""
    read_threshold(RunFolder(path.parent)).is_alarm(1.0)


def footage(path: Path) -> None:
    """Read where the videos of a run are."""
    read_footage(RunFolder(path.parent))


def progress(path: Path) -> None:
    """Read how far an extraction is."""
    folder = path.parent / "shards" / "1-of-2"
    folder.mkdir(parents=True)
    shutil.copyfile(path, folder / path.name)
    run = RunFolder(path.parent)
    failed_before(run, "extract")
    for told in read_status(run):
        _ = told.progress.seconds_left, told.progress.frames_per_second, told.progress.n_finished


def origin(path: Path) -> None:
    """Ask whether a configuration is our own."""
    (path.parent / "config.yaml").write_text("seed: 1")
    is_ours(path.parent / "config.yaml")


def held_out(path: Path) -> None:
    """Read scores of footage that was left out."""
    for read in (
        lambda found: load_held_out(found, "ab"), load_watched_hours, check_held_out,
        lambda found: held_out_digest(found, "ab"),
    ):  # fmt: skip
        _tried(read, path)
    for piece in load_held_out(path, "ab") or ():
        assert len(piece.smoothed(ScoreConfig())) == len(piece.seconds)


def checkpoint(path: Path) -> None:
    """Read the state of a training."""
    Checkpoint(path, "ab", torch.device("cpu"), seconds_between=1.0).load()


def index(path: Path) -> None:
    """Look a file up."""
    cache = path.parent / "cache"
    (cache / ".index").mkdir(parents=True)
    shutil.copyfile(path, cache / ".index" / path.name)
    for name in ("a", "b"):
        state = FileState(path.stat().st_size, path.stat().st_mtime_ns)
        EntryIndex(FolderStorage(cache)).find(str(cache / "velocity" / "0123"), name, state)


def request(path: Path) -> None:
    """Ask the page of `mulde watch`, which answers or closes the connection, and goes on."""
    with socket.create_connection(("127.0.0.1", _page()), timeout=10) as asked:
        with suppress(OSError):
            asked.sendall(path.read_bytes())
            asked.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionError):
            while len(answer) < 2**16 and (more := asked.recv(2**16)):
                answer += more
                if b"text/event-stream" in answer:
                    break
    assert b" 500 " not in answer[:20], answer[:200]


_OPEN = ExitStack()
"""What stays open until this process ends."""


@cache
def _page() -> int:
    """Serve a page until this process ends; return its port."""
    folder = Path(tempfile.mkdtemp())
    camera = Camera("door", Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text=""), Health(), folder)
    (folder / "clips").mkdir()
    (folder / "clips" / "3.mp4").write_bytes(bytes(range(200)))
    camera.put(
        {
            "type": "event", "video": "live", "start_frame": 3, "start_s": 0.3, "stop_s": 0.9,
            "start_clock": None, "score": 3.0, "alarm": True, "reason": "fast", "picture": "pictures/3.jpg",
            "clip": "clips/3.mp4",
        }
    )  # fmt: skip
    camera.put({"type": "clip", "clip": "clips/3.mp4", "error": ""})
    listener = _OPEN.enter_context(listening("0"))
    page = _OPEN.enter_context(PageServer(listener, [camera]).running())
    while not page._server.started:
        time.sleep(0.01)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return listener.port


def address(path: Path) -> None:
    """Take addresses of cameras, brokers, hooks and of the page apart."""
    text = path.read_bytes().decode(errors="surrogateescape")
    is_named_rightly(text, "localhost")
    for take in (_parse_page, _parse_broker, _parse_hook, Shard.parse, _parse_source):
        with suppress(InputError):
            take(text)


def _parse_page(text: str) -> None:
    address_of_page._parse(text)


def _parse_broker(text: str) -> None:
    Mqtt(text)


def _parse_hook(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Webhook(text, Path(folder))


def _parse_source(text: str) -> None:
    shown_address(text)
    if "://" in text:
        open_source(text)


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
        journal, events, threshold, footage, progress, origin, held_out, checkpoint, index, request, address,
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
_refused: list[str] = []
"""What some way of reading said of the file of now."""


def _tried(read: Callable[[Path], object], path: Path) -> None:
    """Read in one way, so that what it refuses does not keep the others from being tried."""
    try:
        read(path)
    except ValueError as error:
        if not type(error).__module__.startswith("mulde"):
            raise
        _refused.append(str(error))


def try_reader(kind: str, path: Path) -> None:
    """Read a file with the reader of a kind, which stands before any "-".

    Raises:
        InputError: it is refused.
    """
    _refused.clear()
    READERS[kind.partition("-")[0]](path)


def read(path: Path) -> str:
    """Read a file with the reader that its folder is named after; return the traceback of a defect, or ""."""
    try:
        _read_copy(path)
    except InputError:
        return ""
    except BaseException:
        return traceback.format_exc()
    return ""


def read_whole(path: Path) -> str:
    """Do as `read` for a file that must not be refused; return why it is."""
    try:
        _read_copy(path)
    except BaseException:
        return traceback.format_exc()
    return "\n".join(_refused)


def _read_copy(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # some readers put files beside it
        for beside in path.parent.iterdir():
            shutil.copyfile(beside, Path(folder) / beside.name)
        try_reader(path.parent.name, Path(folder) / path.name)
