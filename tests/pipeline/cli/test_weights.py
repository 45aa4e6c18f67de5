"""`mulde weights`, and what a run says at once when weights are missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mulde.extractors.networks.catalogue import CATALOGUE

RunCli = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_other_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep out what the user has fetched."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_list_shows_licences_and_what_is_here(cli: RunCli) -> None:
    kept = Path("cache/weights") / CATALOGUE["yolo11n"].file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"weights")
    result = cli("weights", "list", "--cache", "cache")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines() if line.strip()}
    assert set(CATALOGUE) <= set(lines)
    assert "AGPL-3.0" in lines["yolo11n"]
    assert "cache" in lines["yolo11n"]
    assert "cache" not in lines["yolo11s"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "unknown weights nothing: `mulde weights list` shows the known ones"),
        (
            ["yolo11n", "--offline"],
            "`mulde weights fetch yolo11n --cache .cache/mulde` gets them (yolo11n: AGPL-3.0",
        ),
    ],
)
def test_fetch_says_what_is_wrong(cli: RunCli, arguments: list[str], message: str) -> None:
    result = cli("weights", "fetch", *arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "object"], "`mulde weights fetch yolo11s yolo11s-pose "),
        (["--preset", "frame"], "`mulde weights fetch "),
        (
            ["--preset", "object", "extract.streams=[velocity]", "extract.boxes.yolo.weights=a/b.pt"],
            "at a/b.pt",
        ),
        (["extract.boxes.finder=torchvision"], "`mulde weights fetch fasterrcnn_resnet50_fpn_v2 "),
    ],
)
def test_missing_weights_end_a_run_before_it_starts(
    cli: RunCli, scene: Path, arguments: list[str], message: str
) -> None:
    started = time.monotonic()
    result = cli("run", "--dataset", scene, "--offline", "--out", "run", *arguments)
    assert time.monotonic() - started < 5  # a busy machine; the imports are most of it
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert not list(Path(".cache/mulde").rglob("*.h5"))  # not even the scene was learnt


@pytest.mark.slow  # worker processes import ultralytics
def test_run_writes_down_its_weights(cli: RunCli, scene: Path) -> None:
    """Licences come before anything is extracted; a mistake in the configuration ends the run with 2."""
    broken = Path("broken.pt")
    broken.write_bytes(b"no network")
    result = cli(
        "extract", "--dataset", scene, "--out", "run", "--workers", 2,
        "extract.boxes.finder=yolo", "extract.boxes.yolo.weights=broken.pt", "extract.streams=[velocity]",
    )  # fmt: skip
    assert result.code == 2, result.err  # every video would meet the same: a mistake in the configuration
    assert "broken.pt cannot be loaded as a YOLO network" in " ".join(result.err.split())
    (used,) = json.loads(Path("run/weights.json").read_text())
    assert used["name"] == "broken.pt"
    assert used["licence"] == "not known: a file of your own"


@pytest.mark.slow  # starts worker processes
def test_error_that_is_nobody_s_video_s_ends_the_run_with_1(cli: RunCli, scene: Path) -> None:
    Path("faulty.py").write_text(
        "from dataclasses import dataclass\n"
        "from mulde.extractors.base import Extractor, RgbFrame\n"
        "@dataclass(frozen=True)\n"
        "class Faulty(Extractor):\n"
        "    name = 'faulty'\n"
        "    code_version = 1\n"
        "    preparation = RgbFrame()\n"
        "    n_features = 1\n"
        "    def describe(self, around, centre, objects):\n"
        "        raise KeyError('a slip')\n"
    )
    result = cli(
        "extract", "--dataset", scene, "--out", "run", "--workers", 2,
        "extract.plugins=[faulty.py]", "extract.streams=[faulty]",
    )  # fmt: skip
    assert result.code == 1
    assert "a slip" in result.err
    assert "faulty.py" in result.err  # where it was
    assert json.loads(Path("run/failures.json").read_text())
