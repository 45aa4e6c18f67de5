"""`mulde weights`, and what a run says at once when weights are missing."""

from __future__ import annotations

import json
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
        (["nothing"], "a file's path; `mulde weights list` shows the known ones"),
        (
            ["yolo11n", "--offline"],
            "in place of a name; `mulde weights fetch yolo11n --cache .cache/mulde` gets them",
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
    result = cli("run", "--dataset", scene, "--offline", "--out", "run", *arguments)
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
def test_error_in_an_extractor_is_that_of_each_video(cli: RunCli, scene: Path) -> None:
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
    assert result.code == 3
    assert "a slip" in result.err
    assert "faulty.py" in Path("run/run.log").read_text()  # where it was
    assert json.loads(Path("run/failures.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "there", "to_fetch"),
    [
        ([], [], ""),
        (["extract.boxes.finder=yolo"], [], "yolo11s (AGPL-3.0, 18 MB)"),
        (["extract.boxes.finder=yolo", "extract.boxes.yolo.weights=yolov8n.pt"], [],
         "yolov8n (AGPL-3.0)"),
        (["extract.boxes.finder=yolo"], ["yolo11s"], ""),
        (["extract.boxes.finder=yolo", "extract.streams=[velocity,pose]"], ["yolo11s"],
         "yolo11s-pose (AGPL-3.0, 19 MB)"),
        (["extract.boxes.finder=torchvision", "extract.streams=[velocity,pose]"], [],
         "fasterrcnn_resnet50_fpn_v2 (BSD-3-Clause, 167 MB), yolo11s-pose (AGPL-3.0, 19 MB)"),
    ],
)  # fmt: skip
def test_plan_names_the_weights_that_a_run_would_fetch(
    cli: RunCli, scene: Path, arguments: list[str], there: list[str], to_fetch: str
) -> None:
    for name in there:
        kept = Path(".cache/mulde/weights") / CATALOGUE[name].file
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(b"weights")
    before = sorted(Path().rglob("*"))
    result = cli("plan", "--dataset", scene, "--out", "run", *arguments)
    assert result.code == 0, result.err
    lines = {line.split()[0]: line for line in result.out.splitlines()}
    assert lines["extract"].split(maxsplit=4)[1:4] == ["5", "0", "0"]
    said = lines["extract"].split(maxsplit=4)[4].strip()
    first = f"weights are fetched first: {to_fetch}; " if to_fetch else ""
    assert said == f"{first}the scene's background is learnt first"
    assert [lines[stage].split()[1] for stage in ("train", "score", "evaluate", "report")] == list("1211")
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "offline", "message"),
    [
        (["extract.boxes.finder=yolo", "--offline"], "",
         "`mulde weights fetch yolo11s --cache .cache/mulde`"),
        (["extract.boxes.finder=yolo"], "1", "`mulde weights fetch yolo11s --cache .cache/mulde`"),
        (["extract.boxes.finder=yolo", "extract.boxes.yolo.weights=a/b.pt"], "",
         "there is no file of weights at a/b.pt"),
        (["extract.boxes.finder=yolo", "extract.boxes.yolo.weights=yolo99"], "", "unknown weights yolo99"),
    ],
)  # fmt: skip
def test_plan_ends_as_a_run_would_where_weights_cannot_be_fetched(
    cli: RunCli,
    scene: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    offline: str,
    message: str,
) -> None:
    monkeypatch.setenv("MULDE_OFFLINE", offline)
    for command in ("plan", "run"):
        result = cli(command, "--dataset", scene, "--out", "run", *arguments)
        assert result.code == 2
        assert message in " ".join(result.err.split())


@pytest.mark.slow  # runs a network
def test_scores_are_evaluated_and_shown_without_the_weights(cli: RunCli, scene: Path) -> None:
    import torch
    from torchvision.models import mobilenet_v3_small

    torch.save(mobilenet_v3_small(weights=None).state_dict(), "my.pth")
    arguments = [
        "--dataset", scene, "--out", "run", "extract.streams=[appearance]", "detector.widths=[32]",
        "detector.max_steps=20", "extract.appearance.encoder=torchvision/mobilenet_v3_small",
        "extract.appearance.weights=my.pth", "--workers", 2, "extract.boxes.windows.max_windows=2",
    ]  # fmt: skip
    assert cli("run", *arguments).code == 0
    assert [line.split()[1] for line in cli("plan", *arguments).out.splitlines()[1:]] == ["0"] * 7
    Path("my.pth").unlink()
    for command in ("evaluate", "report"):
        result = cli(command, *arguments)
        assert result.code == 0, result.err
        assert "whether the scores are up to date is not known" in result.err
    for command in ("plan", "train", "score", "run"):
        result = cli(command, *arguments)
        assert result.code == 2
        assert "there is no file of weights at my.pth" in result.err
