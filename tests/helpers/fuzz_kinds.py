"""Kinds of files that strangers may make: whole ones, how they are changed, and what lies beside them."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fuzz_readers
import h5py
import numpy as np
import yaml
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load, save
from scipy.io import savemat

from mulde.data.cache.store import write_rows
from mulde.data.features import FeatureRows
from mulde.data.identity import SourceIdentity
from mulde.data.sealed import digest, seal
from mulde.data.video import DecodeReport
from mulde.detector import MULDE
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.sections import Config
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.models.held_out import HeldOutPiece, save_held_out
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, object_datasets, write_scores

N = fuzz_readers.N_FRAMES
PER_FRAME = np.arange(N) % 2

# What parsers stumble over: limits of numbers, what ends or nests something, halves of characters
TOKENS = [
    *(b"\x00", b"\xff" * 4, b"\x00" * 8, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x00\x00\x00\x80"),
    *(b"nan", b"inf", b"-inf", b"1e400", b"1e300", b"-1", b"9" * 30, b"9" * 5000, b"1_0", b"0x1F", b"1:2:3"),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r",
        b":",
        b"&a ",
        b"*a",
        b"!!timestamp ",
    ),
    *(b"null", b"true", b"[" * 500, b"{}", b"..", b"/", b"\xe9", b"\xef\xbb\xbf", b"\xff\xfe", b"sep=;\n"),
    *(
        "\u2028".encode(),
        "½".encode(),
        "٣".encode(),
        b"\x1b[2J",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"!!python/name:os ",
    ),
]


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    """Return content with a few bytes changed, put in, taken out or said twice."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 24))
        kind = draw(st.sampled_from(["set", "token", "over", "cut", "twice", "end"]))
        if kind == "set":
            data[start : start + 1] = bytes([draw(st.integers(0, 255))])
        elif kind in ("token", "over"):
            token = draw(st.sampled_from(TOKENS))
            data[start : start + (len(token) if kind == "over" else 0)] = token
        elif kind == "cut":
            del data[start:stop]
        elif kind == "twice":
            data[start:start] = data[start:stop] * draw(st.sampled_from([1, 1, 50]))
        else:
            del data[start:]
    return bytes(data)


VALUES = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        2**31,
        2**53,
        2**63,
        10**30,
        0.5,
        1e300,
        float("nan"),
        float("inf"),
        "",
    ),
    *(
        "a",
        "..",
        "/",
        "../../x",
        "\x1b[2J",
        "\ud800",
        "nan",
        "1e400",
        [],
        {},
        [[]],
        [None],
        {"a": {}},
        ["a", 1],
    ),
]


@st.composite
def other_values(draw: st.DrawFn, value: Any) -> Any:
    """Return plain data in which some values are others, have gone, or have other names."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        node = value
        while isinstance(node, dict | list) and node:
            keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and draw(st.integers(0, 4)):
                node = node[key]
                continue
            change = draw(st.sampled_from(["value", "value", "gone", "name"]))
            if change == "value":
                node[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            elif change == "gone":
                del node[key]
            elif isinstance(node, dict):
                node[draw(st.sampled_from(["", "..", "a", "/x"]))] = node.pop(key)
            break
    return value


def _hdf5_values() -> list[Any]:
    arrays = [
        *(np.zeros((0, 3), "f4"), np.zeros(3), np.zeros((2, 2, 2)), np.arange(N)[::-1], np.arange(N) - 5),
        *(np.full((N, 2), np.nan, "f4"), np.full(N, 2**62), np.zeros(N, "u1"), np.full((N, 2), 1e300)),
        *(np.zeros((N, 2), "c8"), np.zeros((N, 2), bool), np.array([b"a"] * N), np.zeros(N, [("a", "f4")])),
    ]
    links = [h5py.SoftLink("/"), h5py.ExternalLink("x.h5", "/")]
    return [*arrays, *links, np.float32(1), np.int64(-1), "text", b"text", ["a"] * N, h5py.Empty("f4")]


@st.composite
def other_hdf5(draw: st.DrawFn, content: bytes) -> bytes:
    """Return an HDF5 file in which some datasets or attributes are others."""
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        for _ in range(draw(st.integers(1, 3))):
            items: list[str] = []
            file.visit(items.append)
            place = file[draw(st.sampled_from(["/", *items]))] if items else file
            attributes = sorted(place.attrs)
            value = draw(st.sampled_from(_hdf5_values()))
            if attributes and draw(st.booleans()):
                name = draw(st.sampled_from(attributes))
                del place.attrs[name]
                if draw(st.integers(0, 3)) and not isinstance(value, h5py.SoftLink | h5py.ExternalLink):
                    text = draw(st.sampled_from(["[]", "{}", "[" * 3000, "1", "null", '{"a": 1}', "nan", ""]))
                    place.attrs[name] = draw(st.sampled_from([text, value]))
            elif items:
                name = draw(st.sampled_from(items))
                if name in file:
                    del file[name]
                    if draw(st.integers(0, 3)):
                        file[name] = value
    return stream.getvalue()


@st.composite
def other_members(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a zip file with a member that is mutated, so that sums and sizes are right."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, draw(mutations(old.read(name))))
    return stream.getvalue()


def hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def mat(**variables: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables)
    return stream.getvalue()


def cells(*values: Any) -> np.ndarray[Any, Any]:
    found = np.empty((1, len(values)), object)
    found[0, :] = list(values)
    return found


def _numbered(content: bytes) -> bytes:
    """Return a .mat file whose variables v01 and v02 are called 01 and 02."""
    for digit in (b"1", b"2"):
        content = content.replace(b"\3\0v0" + digit + b"\0", b"\2\x000" + digit + b"\0\0")
    return content


def mat73() -> bytes:
    def fill(file: h5py.File) -> None:
        references = file.create_group("#refs#")
        for name in "ab":
            references[name] = np.array([[2.0, 9], [11, 12]])
        gt = file.create_dataset("gt", (2, 1), dtype=h5py.ref_dtype)
        gt[:, 0] = [references[name].ref for name in "ab"]

    return hdf5(fill)


def objects(file: h5py.Group) -> None:
    file["features"], file["frame"] = np.ones((6, 3), np.float32), np.array([0, 0, 1, 3, 3, 9])
    file["box"] = np.tile(np.array([1, 2, 3, 4], np.float32), (6, 1))
    file["start"], file["stop"] = np.arange(6), np.arange(6) + 4
    file["frame_seconds"] = np.arange(N) / 10
    file.attrs["n_frames"], file.attrs["fps"], file.attrs["rows_are"] = N, 10.0, "objects"


def of_several(file: h5py.File) -> None:
    for name in ("a", "cam1/b"):
        objects(file.create_group(name))


def cached(tmp: Path) -> bytes:
    path = tmp / "entry.h5"
    rows = FeatureRows(
        np.ones((20, 2), np.float32),
        np.repeat(np.arange(10), 2),
        np.tile(np.array([1, 2, 3, 4], np.float32), (20, 1)),
    )
    with write_rows(path, "a", 2, has_boxes=True, has_spans=False, source="/a.mp4") as writer:
        writer.append(rows)
        report = DecodeReport("pyav", N, None, 10.0, width=64, height=48)
        writer.commit(SourceIdentity(1, 2, 1, "ab"), report, np.arange(N) / 10)
    return path.read_bytes()


def scored(tmp: Path) -> RunFolder:
    run = RunFolder(tmp / "scored")
    video = ScoredVideo("a", np.ones(N), np.ones(N), np.arange(N) / 10, 10.0, ("a warning",))
    frame, box = np.arange(5), np.ones((5, 4), np.float32)
    write_scores(run, video, object_datasets(frame, box, {"velocity": np.ones(5)}, np.ones(5)))
    return run


@cache
def measured() -> str:
    chosen = find_protocol("unsmoothed")
    videos = [VideoScores(name, np.arange(N) * 1.0, PER_FRAME.astype(np.uint8), fps=10) for name in "ab"]
    return evaluate_frames(videos, treatment=chosen.describe("unsmoothed", None), seed=0).to_json()


def picture(kind: str, n_pages: int) -> bytes:
    stream = io.BytesIO()
    pages = [Image.fromarray(np.full((24, 32, 3), 9 * k, np.uint8)) for k in range(n_pages)]
    pages[0].save(stream, kind, save_all=n_pages > 1, append_images=pages[1:])
    return stream.getvalue()


def detector_in(folder: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(64, 2))
    MULDE(widths=(8,), max_steps=3, random_state=0).fit(rows).save(folder, description={"stream": "a"})
    return folder


SCENE = SceneModel((64, 48), np.zeros((1, 48, 64), np.uint8), 16.0, 0.0, (16.0, 16.0), 0.5)
CALIBRATION = {"low": 0.0, "high": 1.0, "mean": 0.5}
MANIFEST = {
    "format_version": 3, "parts": {"": {"velocity": CALIBRATION}}, "scenes": [""], "provenance": {"seed": 0},
}  # fmt: skip
DESCRIPTION = {
    "imported_as": "a/b", "content": "ab", "n_features": 3, "is_of_objects": True, "n_whitened": None,
    "has_one_unit": False, "from": "/x", "imported_at": "2024", "folder": "/x",
}  # fmt: skip
COCO = {
    "videos": [{"id": 1, "name": "a"}],
    "images": [{"id": 2, "video_id": 1, "frame_id": 3}, {"id": "x", "file_name": "b/007.jpg"}],
    "annotations": [
        {"image_id": 2, "bbox": [0, 0, 1, 1], "category_id": 4, "track_id": 5},
        {"image_id": "x", "bbox": [0, 0, 1, 1], "score": 0.5},
    ],
    "categories": [{"id": 4, "name": "person"}],
}
TOLD = {
    "id": "a:3", "video": "a", "source": "/a.mp4", "scene": "", "start_seconds": 1.0, "stop_seconds": 3.0,
    "start_clock": "2026-11-28T13:04:05+00:00", "score": 1.5, "reason": "", "footage": "/a.mp4",
    "watched_seconds": 60.0,
}  # fmt: skip
TEXTS: dict[str, tuple[str, str]] = {
    "labels-intervals": ("a.csv", "video,start,end,event\na,3,9,fight\nb,,\na,12,20,\n"),
    "labels-seconds": ("a.csv", 'sep=;\nvideo;start_s;end_s\na;0:00:01,5;2\n"b";0,1;3\n'),
    "labels-regions": (
        "a.csv",
        "video,frame,x1,y1,x2,y2,track\na,3,1,2,30,40,0\na,4,1,2.5,30,40,0\nb,,,,,,\n",
    ),
    "labels-tabs": ("a.tsv", "file\tbegin\tend\na.mp4\t3\t9.0\n"),
    "labels-text": ("a.txt", "0 1 1 0\n0,1\n" + "1\n" * 34),
    "boxes-csv": (
        "a.csv",
        'video,frame,x1,y1,x2,y2,score,class,track\na,3,1,2,3.5,4,0.5,person,7\n"b",0,0,0,9,9,,,\n',
    ),
    "boxes-mot": ("a.txt", "1,-1,10,20,3.5,40,0.9,-1,-1,-1\n\n2,-1,11,20,3,40,1,-1,-1,-1\n"),
    "clip_lengths-text": ("a.txt", "180 330\n230"),
    "scores-csv": ("a.csv", "frame,time,score\n0,0.0,1.5\n1,0.1,2\n2,0.2,-1e3\n"),
    "scores-column": ("a.csv", "1.5\n2\n3\n"),
    "ucf": ("a.txt", "Abuse028_x264.mp4  Abuse  165  240  -1  -1\nb.mp4 Normal -1 -1 -1 -1\n"),
    "xd": ("a.txt", "b_label_B1-0-0 12 40 80 95\n"),
    "tracks": ("a.txt", "2,10,19\n3,1.0e+01,12\r\n"),
    "ucsd": ("a.m", "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [5:90, 140:200];\n"),
    "config": (
        "config.yaml",
        "data: {normal: [a, b]}\ndetector:\n  beta: 0.1\n  widths: [8, 8]\nworkers: 2\n",
    ),
    "cameras": (
        "cameras.yaml",
        "model: a\ncameras:\n- {name: b, source: 0, follow: 3, settings: [seed=1]}\n- name: c\n  source: d\n",
    ),
    "override": ("a.txt", "detector.widths=[8, 8]"),
}
JSON: dict[str, tuple[str, Any]] = {
    "boxes-coco": ("a.json", COCO),
    "manifest": ("manifest.json", MANIFEST),
    "description": ("stream.json", DESCRIPTION),
    "marks": ("normal.json", {"marks": [{"marked_at": "2026-11-28", **TOLD}]}),
    "excerpt": ("excerpt.json", {"event": TOLD, "streams": {"velocity": "ab"}}),
    "state-stages": ("a.json", {"train": {"": "ab"}, "score": {"a": "cd"}}),
    "state-failures": ("a.json", [{"video": "a", "stage": "extract", "reason": "b", "path": "/a"}]),
}


EVENTS = [
    {
        "video": "a", "start_frame": 3, "stop_frame": 9, "start_s": 0.3, "stop_s": 0.9, "peak_frame": 4,
        "start_clock": "2026-11-28T13:04:05+00:00", "score": 1.5, "x1": 1.0, "y1": 2.0, "x2": 30.0,
        "y2": 40.0, "stream": "velocity", "reason": "faster than usual",
    },
]  # fmt: skip
THRESHOLD = {
    "score": 2.0, "listed_score": 1.5, "false_alarms_per_day": 1.0, "normal_hours": 3.0,
    "is_extrapolated": True, "text": "a sentence",
}  # fmt: skip
FOOTAGE = {
    "model_run": "/run", "frames_per_second": 25.0,
    "videos": {"a": {"path": "/a.mp4", "split_folder": "/", "scene": ""}},
}  # fmt: skip
PROGRESS = {
    "number": 1, "n_shards": 2, "host": "a", "pid": 1, "updated": 1.0, "state": "running", "n_videos": 5,
    "n_cached": 1, "n_done": 2, "n_failed": 1, "hours": 1.0, "seconds": 60.0, "n_frames": 600, "share": 0.4,
}  # fmt: skip
JSON |= {
    "events": ("events.json", EVENTS),
    "threshold": ("threshold.json", THRESHOLD),
    "footage": ("footage.json", {"checksum": "0" * 32, **FOOTAGE}),
    "progress": ("progress.json", {"checksum": "0" * 32, **PROGRESS}),
    "origin": ("config.origin.json", {"checksum": "0" * 32, "plugins": {"/a.py": "ab"}, "signature": "ab"}),
}
ARRAYS: dict[str, tuple[str, Any]] = {
    "labels-npy": ("a.npy", PER_FRAME),
    "clip_lengths-npy": ("a.npy", np.array([180, 330, 230])),
    "features-npy": ("a.npy", np.ones((9, 3), np.float32)),
    "masks-npy": ("a.npy", np.tri(12, dtype=np.uint8)[None].repeat(3, axis=0)),
    "scores-npy": ("a.npy", np.arange(9.0)),
}
ARCHIVES: dict[str, dict[str, Any]] = {
    "features-npz": {
        "features": np.ones((9, 3), np.float32),
        "frame": np.arange(9),
        "n_frames": np.array(N),
    },
    "features-npz2": {"a": np.ones((9, 3), np.float32), "b": np.ones((4, 3), np.float32)},
    "ground_truth": {"D001_01": PER_FRAME, "D002_01": PER_FRAME},
    "scores-npz": {"a": np.arange(9.0), "b": np.arange(4.0)},
}
REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /cameras/0/clips/3.mp4 HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-90,100-\r\nIf-Range: a\r\n"
    b"\r\n",
    b"GET /cameras/0/picture HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"POST /metrics?token=a HTTP/1.1\r\nHost: localhost\r\nCookie: a=b; mulde-1=c\r\n"
    b"Authorization: Bearer a\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /page.css HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
)
ADDRESSES = (
    b"8080", b"[::1]:80", b"localhost:80", b"rtsp://me:secret@cam:554/h264?x=1#y", b"http://[fe80::1%25a]/b",
    b"mqtt://me:secret@broker:1883/cameras/door?a=b", b"https://hooks.example/a/b?c", b"0", b"/dev/video0",
)  # fmt: skip


Files = dict[str, bytes]
Change = Callable[[bytes], "st.SearchStrategy[bytes]"]


@dataclass(frozen=True)
class Kind:
    """A kind of file: whole ones, and how they are changed."""

    file: str
    """How it is called."""
    whole: Callable[[], tuple[bytes, ...]]
    """Files that are read without complaint."""
    changes: tuple[Change, ...] = (mutations,)
    """How one is changed, of what is allowed and of what is not."""
    files: Callable[[str, bytes], Files] = lambda name, content: {name: sealed(content)}
    """The file and those beside it, with checksums as whoever made them on purpose would give them."""
    is_library: bool = False
    """Whether a library in C reads most of it, of which coverage tells nothing."""


def sealed(content: bytes) -> bytes:
    """Return a file with the checksum that it has now, if it has one; a stranger can make it as well."""
    if content.startswith(b"\x89HDF"):
        return content
    found = re.search(rb"checksum\W{1,4}([0-9a-f]{32})(?![0-9a-f])", content[:4096])
    if found is None:
        return content
    return seal(content[: found.start(1)] + b"0" * 32 + content[found.end(1) :])


def json_bytes(value: Any) -> bytes:
    """Return JSON; what is no Unicode stays, as escapes."""
    return json.dumps(value).encode()


def changed_json(content: bytes) -> st.SearchStrategy[bytes]:
    """Return JSON with other values."""
    return other_values(json.loads(content)).map(json_bytes)


def _one(content: bytes) -> Callable[[], tuple[bytes, ...]]:
    return lambda: (content,)


@cache
def _in_folder(make: Callable[[Path], bytes]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder))


def _cached() -> tuple[bytes, ...]:
    return (_in_folder(cached),)


@cache
def _scored() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        run = scored(Path(folder))
        return {path.name: path.read_bytes() for path in (run.csv("a"), run.objects("a"))}


def _scores_of(name: str, content: bytes) -> Files:
    """Return both score files; the HDF5 file has the checksum of the table."""
    if name == "a.h5":
        return {**_scored(), name: sealed(content)}
    stream = io.BytesIO(_scored()["a.h5"])
    with h5py.File(stream, "r+") as file:
        file.attrs["csv_checksum"] = digest(content)
    return {"a.h5": sealed(stream.getvalue()), "a.csv": content}


@cache
def _fitted() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        detector_in(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _tensors() -> bytes:
    return next(content for name, content in _fitted().items() if name.startswith("tensors"))


def _detector_of(name: str, content: bytes) -> Files:
    """Return a detector of which one file is this; digests are right."""
    payload, text = (
        (_tensors(), content) if name == "manifest.json" else (content, _fitted()["manifest.json"])
    )
    sha256 = hashlib.sha256(payload).hexdigest()
    try:
        manifest = json.loads(text)
        manifest["tensors_sha256"] = sha256
        manifest.pop("manifest_sha256", None)
        manifest["manifest_sha256"] = hashlib.sha256(
            json.dumps(manifest, sort_keys=True).encode()
        ).hexdigest()
        text = json.dumps(manifest).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    return {"manifest.json": text, f"tensors-{sha256[:16]}.safetensors": payload}


@st.composite
def other_tensors(draw: st.DrawFn, content: bytes) -> bytes:
    """Return safetensors of which one is another."""
    arrays = load(content)
    other = [
        *(
            np.zeros(0, "f4"),
            np.zeros((2, 2)),
            np.full(2, np.nan),
            np.array([2**40, 2**40]),
            np.zeros(3, "u1"),
        ),
        *(np.zeros((0, 7)), np.float32(1), np.array([-1.0]), np.full((1, 48, 64), 255, np.uint8)),
    ]
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(arrays)))
        if draw(st.integers(0, 4)):
            arrays[name] = draw(st.sampled_from([np.asarray(each) for each in other]))
        else:
            del arrays[name]
        if not arrays:
            break
    return save(arrays)


def _held_out(name: str, content: bytes) -> Files:
    """Return a file of scores with the digest that its arrays and header have."""
    from mulde.pipeline.models.held_out import _digest_of

    try:
        arrays = load(content)
        length = int.from_bytes(content[:8], "little")
        said = json.loads(content[8 : 8 + length])["__metadata__"]["held_out"]
        header = json.loads(said)
        del header["digest"]
        header["digest"] = _digest_of(header, arrays)
        content = save(arrays, metadata={"held_out": json.dumps(header)})
    except Exception:  # it is no such file any more
        pass
    return {name: content}


def _held_out_whole() -> tuple[bytes, ...]:
    def write(folder: Path) -> bytes:
        piece = HeldOutPiece(np.arange(N) / 10, 10.0, np.arange(0, N, 2), np.ones(N // 2, np.float32))
        save_held_out(folder / "a", [piece, piece], "ab", watched_hours=1.0)
        return (folder / "a").read_bytes()

    return (_in_folder(write),)


@st.composite
def other_header(draw: st.DrawFn, content: bytes) -> bytes:
    """Return scores of held-out footage whose header says something else."""
    arrays, length = load(content), int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["held_out"])
    header = draw(other_values({**header, "fps": json.loads(header["fps"])}))
    if draw(st.booleans()) and isinstance(header, dict):
        header["fps"] = json.dumps(header.get("fps"))
    return save(arrays, metadata={"held_out": json.dumps(header)})


def _journal() -> tuple[bytes, ...]:
    lines = (b'{"train":{"":"ab"},"seconds":{"train":"1.5"}}', b'{"files":{"a":null}}')
    return (b"\n".join(lines),)


def _journal_of(name: str, content: bytes) -> Files:
    lines = (digest(line).encode() + b" " + line for line in content.split(b"\n"))
    return {name: b"\n".join(lines), "state.json": json_bytes({"train": {"": "cd"}})}


def _indexed() -> tuple[bytes, ...]:
    def write(folder: Path) -> bytes:
        from mulde.data.cache.entries import read_entry
        from mulde.data.cache.folders import FolderStorage
        from mulde.data.cache.index import EntryIndex

        path = folder / "cache" / "velocity" / "0123" / "a.h5"
        path.parent.mkdir(parents=True)
        path.write_bytes(_in_folder(cached))
        storage = FolderStorage(folder / "cache")
        storage.few = 1
        state, known = storage.state(str(path)), EntryIndex(storage)
        assert state is not None
        known.learn(str(path.parent), "a", state, read_entry(path))
        known.save()
        return (folder / "cache" / ".index" / "anywhere.sqlite").read_bytes()

    return (_in_folder(write),)


def _checkpoint() -> tuple[bytes, ...]:
    numbers = {"fingerprint": "ab", "best_loss": None, "best_step": 1, "step": 2, "seconds": 3.0}
    arrays = {"losses": np.ones(2, "f4"), "held_out": np.ones((1, 2)), "weights.a": np.ones(2, "f4")}
    return (seal(save(arrays, metadata={"numbers": json.dumps(numbers), "checksum": "0" * 32})),)


def _config_values() -> tuple[bytes, ...]:
    return (json_bytes(yaml.safe_load(Config().to_yaml())),)  # JSON is YAML, surrogates and all


def _measured_with(name: str, content: bytes) -> Files:
    return {name: content, "metrics.json": measured().encode()}


def _cut_out(name: str, content: bytes) -> Files:
    return {name: sealed(content), "velocity.h5": _cached()[0]}


def _with_manifest(name: str, content: bytes) -> Files:
    return {name: content, "manifest.json": json_bytes(MANIFEST)}


_OF_MATLAB = {
    "matrix-cells": lambda: (mat(gt=cells(np.array([[2.0, 9], [11, 12]]), np.array([3.0, 4]))),),
    "matrix-frames": lambda: (_numbered(mat(v01=PER_FRAME, v02=PER_FRAME)),),
    "masks-mat": lambda: (mat(volLabel=cells(*[np.tri(12, dtype=np.uint8)] * 3)),),
}
_OF_HDF5: dict[str, tuple[str, Callable[[], tuple[bytes, ...]]]] = {
    "features-h5": ("a.h5", lambda: (hdf5(objects),)),
    "features-h5s": ("a.h5", lambda: (hdf5(of_several),)),
    "matrix-h5": ("a.mat", lambda: (mat73(),)),
    "entry": ("a.h5", _cached),
}
KINDS: dict[str, Kind] = {
    **{kind: Kind(name, _one(text.encode())) for kind, (name, text) in TEXTS.items()},
    **{
        kind: Kind(name, _one(json_bytes(value)), (changed_json, mutations))
        for kind, (name, value) in JSON.items()
    },
    "excerpt": Kind(
        "excerpt.json", _one(json_bytes(JSON["excerpt"][1])), (changed_json, mutations), _cut_out
    ),
    "metrics": Kind("metrics.json", lambda: (measured().encode(),), (changed_json, mutations)),
    "config-values": Kind("config.yaml", _config_values, (changed_json, mutations)),
    "model_config": Kind("config.yaml", _config_values, (changed_json, mutations), _measured_with),
    **{kind: Kind(name, _one(npy(values)), is_library=True) for kind, (name, values) in ARRAYS.items()},
    **{
        kind: Kind("a.npz", _one(npz(**arrays)), (other_members, mutations), is_library=True)
        for kind, arrays in ARCHIVES.items()
    },
    **{kind: Kind("a.mat", whole, is_library=True) for kind, whole in _OF_MATLAB.items()},
    **{
        kind: Kind(name, whole, (other_hdf5, mutations), is_library=True)
        for kind, (name, whole) in _OF_HDF5.items()
    },
    "run_scores-h5": Kind(
        "a.h5", lambda: (_scored()["a.h5"],), (other_hdf5, mutations), _scores_of, is_library=True
    ),
    "run_scores-csv": Kind("a.csv", lambda: (_scored()["a.csv"],), files=_scores_of),
    "scenes": Kind(
        "scene-0.safetensors", lambda: (save(SCENE.to_arrays()),), (other_tensors, mutations), _with_manifest
    ),
    "detector-manifest": Kind(
        "manifest.json", lambda: (_fitted()["manifest.json"],), (changed_json, mutations), _detector_of
    ),
    "detector-tensors": Kind(
        "manifest.json", lambda: (_tensors(),), (other_tensors, mutations), _detector_of
    ),
    "held_out": Kind(
        "held_out.safetensors", _held_out_whole, (other_tensors, other_header, mutations), _held_out
    ),
    "checkpoint": Kind("a.safetensors", _checkpoint, (other_tensors, mutations)),
    "journal": Kind("state.jsonl", _journal, (mutations,), _journal_of),
    "index": Kind("anywhere.sqlite", _indexed, is_library=True),
    "request": Kind("request.txt", lambda: REQUESTS),
    "address": Kind("address.txt", lambda: ADDRESSES),
    **{
        f"image-{kind}": Kind(
            f"a.{kind}", lambda kind=kind: (picture(kind, 1 if kind == "jpeg" else 3),), is_library=True
        )
        for kind in ("png", "gif", "tiff", "jpeg", "webp")
    },
}  # fmt: skip
"""By name; what stands before a "-" is the reader."""
