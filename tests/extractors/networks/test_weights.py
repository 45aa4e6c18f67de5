"""Weights: where they are, fetching them, and what is said when they cannot be had."""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.extractors.networks import weights
from mulde.extractors.networks.catalogue import CATALOGUE
from mulde.extractors.networks.weights import WeightsMissingError, fetch, find_weights, record_of

CONTENT = b"weights" * 1000


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own downloads and settings out."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("MULDE_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve a file of weights; its address."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "tiny.pt").write_bytes(CONTENT)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/tiny.pt"
        http.shutdown()


def put_into_catalogue(monkeypatch: pytest.MonkeyPatch, source: str, sha256: str | None = None) -> None:
    record = replace(CATALOGUE["yolo11n"], name="tiny", source=source, sha256=sha256)
    monkeypatch.setitem(CATALOGUE, "tiny", record)
    weights.record_of.cache_clear()


def test_catalogue_is_whole() -> None:
    for name, record in CATALOGUE.items():
        assert record.name == name
        assert record.licence
        assert record.source.startswith(("https://", "hf://"))
        assert (record.n_features is None) == (record.task == "boxes")
    files = [record.file for record in CATALOGUE.values()]
    assert len(set(files)) == len(files)


def test_no_names_fetch_nothing(tmp_path: Path) -> None:
    assert fetch([], tmp_path) == []


def test_fetched_weights_are_found_and_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str
) -> None:
    put_into_catalogue(monkeypatch, server, hashlib.sha256(CONTENT).hexdigest()[:8])
    folder = tmp_path / "cache" / "weights"
    assert find_weights("tiny", folder).path is None
    (path,) = fetch(["tiny"], folder)
    assert path.read_bytes() == CONTENT
    assert find_weights("tiny.pt", folder).path == path
    assert fetch(["tiny"], folder, offline=True) == [path]
    assert find_weights("tiny", folder).digest == hashlib.sha256(CONTENT).hexdigest()[:16]


def test_download_that_is_not_what_was_expected_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str
) -> None:
    put_into_catalogue(monkeypatch, server, "00000000")
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch(["tiny"], tmp_path / "weights")
    assert find_weights("tiny", tmp_path / "weights").path is None


@pytest.mark.parametrize("source", ["http://192.0.2.1/tiny.pt", "https://nowhere.invalid/tiny.pt"])
def test_unreachable_network_answers_at_once_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    put_into_catalogue(monkeypatch, source)
    started = time.monotonic()
    with pytest.raises(WeightsMissingError, match=r"\(tiny: AGPL-3\.0.*cannot be reached now\): fetch them"):
        fetch(["tiny"], tmp_path / "weights")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("by_variable", [True, False])
def test_offline_answers_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by_variable: bool
) -> None:
    if by_variable:
        monkeypatch.setenv("MULDE_OFFLINE", "1")
    with pytest.raises(WeightsMissingError, match=r"yolo11n: .*, yolo11n-pose: ") as caught:
        fetch(["yolo11n", "yolo11n-pose.pt"], tmp_path / "weights", offline=not by_variable)
    error = pickle.loads(pickle.dumps(caught.value))  # as from a worker
    assert (str(error), error.names) == (str(caught.value), ("yolo11n", "yolo11n-pose"))
    assert error.folder == tmp_path / "weights"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "unknown weights nothing: give a known name, or a file's path"),
        ("a/b.pt", r"there is no file of weights at a/b\.pt"),
        ("my.onnx", r"there is no file of weights at my\.onnx"),
    ],
)
def test_what_does_not_exist_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_weights(name, tmp_path).require()


@pytest.mark.parametrize("name", ["yolov8s", "yolov9c.pt", "yolov10b", "yolo12x", "yolo26n", "yolov8n-pose"])
def test_families_of_yolo_are_known(name: str) -> None:
    record = record_of(name)
    assert record is not None
    assert record.licence == "AGPL-3.0"
    assert record.source.endswith(f"/{name.removesuffix('.pt')}.pt")


def test_torch_hub_s_own_downloads_are_used(tmp_path: Path) -> None:
    record = CATALOGUE["fcos_resnet50_fpn"]
    kept = tmp_path / "torch" / "hub" / "checkpoints" / record.file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT)
    assert find_weights(record.name, tmp_path / "weights").path == kept


def test_digest_of_a_large_file_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    large = tmp_path / "large.pt"
    with large.open("wb") as stream:
        stream.truncate(65 * 2**20)
    folder = tmp_path / "weights"
    digest = find_weights(str(large), folder).digest
    assert "large.pt" in (folder / "digests.json").read_text()
    weights._digest.cache_clear()
    monkeypatch.setattr(hashlib, "sha256", None)  # not read again
    assert find_weights(str(large), folder).digest == digest
