"""mulde from Python: the same numbers as from the command line, and not a word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mulde
from mulde.pipeline.progress import Status

FAST = {"detector": {"widths": [32], "max_steps": 60}, "extract": {"flow": {"preset": "ultrafast"}}}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def test_clip(scene: Path) -> Path:
    return sorted((scene / "test").iterdir())[0]


@pytest.mark.slow
def test_it_gives_what_the_command_line_gives_and_prints_nothing(
    cli, scene: Path, test_clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[Status] = []
    run = mulde.train(scene / "normal", "py", progress=told.append, workers=2, **FAST)
    result = run.score(test_clip, progress=told.append)
    assert capfd.readouterr() == ("", "")
    assert {"scene", "extract", "train velocity", "score"} <= {status.title for status in told}
    assert cli("score", "--model", "py", test_clip).code == 0
    written = np.loadtxt(f"py/new/scores/{test_clip.stem}.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(written[:, 2], result.scores)
    np.testing.assert_allclose(written[:, 1], result.seconds, atol=1e-6)
    saved = result.save("saved")
    assert saved.read_bytes() == Path(f"py/new/scores/{test_clip.stem}.csv").read_bytes()
    again = mulde.load("py").score(test_clip)
    np.testing.assert_array_equal(again.scores, result.scores)
    assert result.objects is not None
    assert len(result.objects.frame) == len(result.objects.box_xyxy) == len(result.objects.total)
    assert set(result.objects.streams) == {"velocity", "direction", "place", "stillness"}


@pytest.mark.slow
def test_results_of_a_run_are_read_back(cli, scene: Path, test_clip: Path) -> None:
    settings = ["detector.widths=[32]", "detector.max_steps=60", "extract.flow.preset=ultrafast"]
    assert cli("run", "--dataset", scene, "--out", "run", *settings).code == 0
    run = mulde.load("run")
    assert run.metrics is not None
    result = run.result(test_clip.stem)
    np.testing.assert_array_equal(result.scores, run.score(test_clip).scores)
    table = pytest.importorskip("pandas") and result.to_pandas()
    assert list(table.columns) == ["frame", "time", "score", "alarm"]
    assert len(table) == len(result.scores)
    assert result.plot().get_title() == test_clip.stem
    assert result.source is not None
    assert result.source.path == test_clip
    scene.rename(scene.with_name("moved"))
    assert run.result(test_clip.stem).source is None


@pytest.mark.slow
def test_videos_that_cannot_be_read_do_not_stop_the_others(scene: Path, test_clip: Path) -> None:
    run = mulde.train(scene / "normal", "py", workers=2, **FAST)
    broken = scene / "broken.mp4"
    broken.write_bytes(b"no video")
    results = run.score_all([test_clip, broken])
    assert [video.name for video in results.videos] == [test_clip.stem]
    assert [failure.video for failure in results.failures] == ["broken"]
    with pytest.raises(mulde.InputError, match=r"broken\.mp4"):
        run.score(broken)
    with pytest.raises(mulde.InputError, match="several videos: score_all"):
        run.score(scene / "test")
    for call in (run.score, run.watch):
        with pytest.raises(mulde.InputError, match=r"detector\.beta does not change the detectors in py"):
            call(test_clip, detector={"beta": 3})
    for idle in ({"preset": "object"}, {"detector": {}}, {"data": {"test": ["a.mp4"]}}):
        with pytest.raises(mulde.InputError, match="leave it out"):
            run.score(test_clip, **idle)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mulde.load("nothere"), "nothere is no run with a trained model"),
        (lambda: mulde.train("nothere", "py"), "nothere is not there"),
        (
            lambda: mulde.train(".", "py", detector={"betta": 1}),
            r"betta: did you mean detector\.beta",
        ),
        (lambda: mulde.train(".", "py", workers=0), "workers = 0 is not allowed"),
    ],
)
def test_mistakes(call, message: str) -> None:
    with pytest.raises(mulde.InputError, match=message):
        call()


def test_evaluate_is_the_auc() -> None:
    scores, labels = {"a": [0.1, 0.4, 0.35, 0.8]}, {"a": [0, 0, 1, 1]}
    numbers = {number.key: number.value for number in mulde.evaluate(scores, labels).numbers}
    assert numbers["micro_auc"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ({"a": [0.1]}, {}, "a has scores but no labels"),
        ({"a": [0.1, 0.2]}, {"a": [0]}, "a: .* differ in shape"),
        ({"a": [float("nan")]}, {"a": [0]}, "a: 1 of 1 scores are NaN"),
        ({"a": [0.1]}, {"a": [3]}, "labels must be 0"),
        ({"a": [0.1]}, {"a": [0.9]}, "labels must be 0"),
        ({"a": [0.1]}, {"a": [float("nan")]}, "labels must be 0"),
        ({"a": [0.1]}, {"a": [256]}, "labels must be 0"),
        ({"a": [0.1]}, {"a": ["abnormal"]}, "labels must be 0"),
        ({"a": ["high"]}, {"a": [1]}, "a: scores must be numbers, one a frame, found <U4"),
        ({"a": [None, "x"]}, {"a": [1, 0]}, "a: scores must be numbers, one a frame, found could not"),
        ({"a": [[1], [1, 2]]}, {"a": [1, 0]}, "a: scores must be numbers"),
        ({"a": 0.5}, {"a": [1]}, r"a: scores must be numbers, one a frame, found float64 of shape \(\)"),
        ([[0.1, 0.2]], {"a": [0, 1]}, "scores must be by name of the video, .* not a list"),
        ({"a": [0.1, 0.2]}, [[0, 1]], "labels must be by name of the video, .* not a list"),
        ({"a": [0.1]}, {"a": [1], "b": [0]}, "1 of 2 labelled videos have no scores .* the first is b"),
    ],
)
def test_what_cannot_be_evaluated_is_named(scores, labels, message: str) -> None:
    with pytest.raises(mulde.InputError, match=message):
        mulde.evaluate(scores, labels)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_rates_that_are_none(rate: float) -> None:
    with pytest.raises(mulde.InputError, match=r"frames_per_second is .* must be a number above 0"):
        mulde.evaluate({"a": [0.1, 0.2]}, {"a": [0, 1]}, frames_per_second=rate)


def test_evaluate_knows_scenes_as_the_command_does(cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=20) for name in ("cam1/1", "cam1/2", "cam2/1")}
    for name, values in scores.items():
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "s" / f"{name}.npy", values)
    labels = tmp_path / "labels.csv"
    labels.write_text("video,start,end\ncam1/1,3,9\ncam1/2,,\ncam2/1,2,12\n")
    options = ("--labels", labels, "--out", "theirs", "evaluate.n_resamples=0")
    assert cli("evaluate", "--scores", tmp_path / "s", *options).code == 0
    numbers = {number.key: number.value for number in mulde.evaluate(scores, labels).numbers}
    assert (
        numbers["scene_auc"] == json.loads(Path("theirs/metrics.json").read_text())["scene_auc"] is not None
    )
