"""Whatever a file of a stranger holds, reading it works or ends in one sentence; never in a traceback.

Each case is a whole file with mutations: of its bytes, and of values in HDF5, JSON and archives. A few are
tried whenever tests run; `make fuzz` tries more, MULDE_FUZZ_EXAMPLES of each.
"""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fuzz_readers
import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from mulde.data.cache.store import write_rows
from mulde.data.features import FeatureRows
from mulde.data.foreign import apart
from mulde.data.identity import SourceIdentity
from mulde.data.video import DecodeReport
from mulde.detector import MULDE
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.sections import Config
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, object_datasets, write_scores

FEW = int(os.environ.get("MULDE_FUZZ_EXAMPLES", "10"))
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
    "labels-text": ("a.txt", "0 1 1 0\n0,1\n"),
    "boxes-csv": (
        "a.csv",
        'video,frame,x1,y1,x2,y2,score,class,track\na,3,1,2,3.5,4,0.5,person,7\n"b",0,0,0,9,9,,,\n',
    ),
    "boxes-mot": ("a.txt", "1,-1,10,20,3.5,40,0.9,-1,-1,-1\n\n2,-1,11,20,3,40,1,-1,-1,-1\n"),
    "clip_lengths-text": ("a.txt", "180 330\n450"),
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


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "_LEAST_SECONDS", 120.0)  # what the readers import takes a while
        apart.read_apart(fuzz_readers.read, Path(__file__))
        patch.setattr(apart, "_LEAST_SECONDS", 15.0)
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def check(work: Path, kind: str, name: str, content: bytes, beside: dict[str, bytes] | None = None) -> None:
    """Read a file in a process of its own: a library that crashes must not end the tests."""
    folder = work / kind
    folder.mkdir(exist_ok=True)
    for other, its in (beside or {}).items():
        (folder / other).write_bytes(its)
    (folder / name).write_bytes(content)
    defect = apart.read_apart(fuzz_readers.read, folder / name)
    assert defect == "", f"{content[:2000]!r}"


quickly = settings(
    max_examples=FEW,
    deadline=None,
    derandomize=FEW <= 10,  # an ordinary run of the tests is the same every time
    database=None,
    phases=[Phase.generate],  # what has failed is short enough
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("kind", TEXTS)
@quickly
@given(data=st.data())
def test_text(work: Path, kind: str, data: st.DataObject) -> None:
    name, text = TEXTS[kind]
    check(work, kind, name, data.draw(mutations(text.encode())))


@pytest.mark.parametrize("kind", JSON)
@quickly
@given(data=st.data())
def test_json(work: Path, kind: str, data: st.DataObject) -> None:
    name, value = JSON[kind]
    text = json.dumps(data.draw(other_values(value))).encode()
    check(work, kind, name, data.draw(st.one_of(st.just(text), mutations(text))))


@quickly
@given(data=st.data())
def test_metrics(work: Path, data: st.DataObject) -> None:
    text = json.dumps(data.draw(other_values(json.loads(measured())))).encode()
    check(work, "metrics", "metrics.json", data.draw(st.one_of(st.just(text), mutations(text))))


@pytest.mark.parametrize("kind", ["config-values", "model_config"])
@quickly
@given(data=st.data())
def test_configuration(work: Path, kind: str, data: st.DataObject) -> None:
    values = data.draw(other_values(yaml.safe_load(Config().to_yaml())))
    text = json.dumps(values).encode()  # JSON is YAML, surrogates and all
    check(work, kind, "config.yaml", data.draw(st.one_of(st.just(text), mutations(text))))


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        ("labels-npy", "a.npy", PER_FRAME),
        ("clip_lengths-npy", "a.npy", np.array([180, 330, 450])),
        ("features-npy", "a.npy", np.ones((9, 3), np.float32)),
        ("masks-npy", "a.npy", np.tri(12, dtype=np.uint8)[None].repeat(3, axis=0)),
        ("scores-npy", "a.npy", np.arange(9.0)),
    ],
)
@quickly
@given(data=st.data())
def test_array(work: Path, kind: str, name: str, values: Any, data: st.DataObject) -> None:
    check(work, kind, name, data.draw(mutations(npy(values))))


@pytest.mark.parametrize(
    ("kind", "arrays"),
    [
        (
            "features-npz",
            {"features": np.ones((9, 3), np.float32), "frame": np.arange(9), "n_frames": np.array(N)},
        ),
        ("features-npz2", {"a": np.ones((9, 3), np.float32), "b": np.ones((4, 3), np.float32)}),
        ("ground_truth", {"D001_01": PER_FRAME, "D002_01": PER_FRAME}),
        ("scores-npz", {"a": np.arange(9.0), "b": np.arange(4.0)}),
    ],
)
@quickly
@given(data=st.data())
def test_archive(work: Path, kind: str, arrays: dict[str, Any], data: st.DataObject) -> None:
    content = npz(**arrays)
    check(work, kind, "a.npz", data.draw(st.one_of(mutations(content), other_members(content))))


@pytest.mark.parametrize("kind", ["matrix-cells", "matrix-frames", "masks-mat"])
@quickly
@given(data=st.data())
def test_matlab(work: Path, kind: str, data: st.DataObject) -> None:
    mask = np.tri(12, dtype=np.uint8)
    content = {
        "matrix-cells": mat(gt=cells(np.array([[2.0, 9], [11, 12]]), np.array([3.0, 4]))),
        "matrix-frames": mat(**{"v01": PER_FRAME, "v02": PER_FRAME}).replace(b"v01", b"01\0"),
        "masks-mat": mat(volLabel=cells(mask, mask, mask)),
    }[kind]
    check(work, kind, "a.mat", data.draw(mutations(content)))


@pytest.mark.parametrize("kind", ["features-h5", "features-h5s", "matrix-h5", "entry", "run_scores"])
@quickly
@given(data=st.data())
def test_hdf5(work: Path, kind: str, data: st.DataObject) -> None:
    beside = {}
    if kind == "entry":
        content = cached(work)
    elif kind == "run_scores":
        run = scored(work)
        content, beside = run.objects("a").read_bytes(), {"a.csv": run.csv("a").read_bytes()}
    else:
        content = {"features-h5": hdf5(objects), "features-h5s": hdf5(of_several), "matrix-h5": mat73()}[kind]
    name = "a.mat" if kind == "matrix-h5" else "a.h5"
    check(work, kind, name, data.draw(st.one_of(mutations(content), other_hdf5(content))), beside)


@quickly
@given(data=st.data())
def test_scene(work: Path, data: st.DataObject) -> None:
    from safetensors.numpy import save

    arrays = SCENE.to_arrays()
    name = data.draw(st.sampled_from(sorted(arrays)))
    other = data.draw(st.sampled_from([np.zeros(0), np.zeros((2, 2)), np.full(2, np.nan), np.zeros(3, "u1")]))
    content = data.draw(st.one_of(mutations(save(arrays)), st.just(save({**arrays, name: other}))))
    beside = {"manifest.json": json.dumps(MANIFEST).encode()}
    check(work, "scenes", "scene-0.safetensors", content, beside)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return detector_in(tmp_path_factory.mktemp("fitted"))


@quickly
@given(data=st.data())
def test_detector(work: Path, fitted: Path, data: st.DataObject) -> None:
    from hashlib import sha256

    from safetensors.numpy import load, save

    manifest = json.loads((fitted / "manifest.json").read_text())
    tensors = load(next(fitted.glob("*.safetensors")).read_bytes())
    name = data.draw(st.sampled_from(sorted(tensors)))
    other = data.draw(
        st.sampled_from([np.zeros(0, "f4"), np.zeros((2, 2)), np.full(2, np.nan), np.array([2**40, 2**40])])
    )
    changed = data.draw(st.sampled_from([tensors, {**tensors, name: other}, {}]))
    payload = data.draw(st.one_of(st.just(save(changed)), mutations(save(tensors))))
    manifest = data.draw(st.one_of(st.just(manifest), other_values(manifest)))
    digest = sha256(payload).hexdigest()
    manifest["tensors_sha256"] = digest
    manifest.pop("manifest_sha256", None)
    manifest["manifest_sha256"] = sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    text = json.dumps(manifest).encode()
    check(work, "detector", "manifest.json", text, {f"tensors-{digest[:16]}.safetensors": payload})


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "jpeg", "webp"])
@quickly
@given(data=st.data())
def test_image(work: Path, kind: str, data: st.DataObject) -> None:
    content = picture(kind, 1 if kind == "jpeg" else 3)
    check(work, f"image-{kind}", f"a.{kind}", data.draw(mutations(content)))
