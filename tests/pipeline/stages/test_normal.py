"""`mulde normal`: marked events are told of no more, raise the threshold, and are learnt on request."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.events.files import read_events, read_threshold
from mulde.pipeline.marks.record import read_marks
from mulde.pipeline.open_job import open_job
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.hold_out import read_marked
from mulde.pipeline.stages.run import run_stages

FAST = (
    "detector.widths=[32]", "detector.max_steps=40", "extract.flow.preset=ultrafast",
    "extract.streams=[velocity]",
)  # fmt: skip
MANY = "score.false_alarms_per_day=24000"


@pytest.fixture(scope="module")
def finished_once(scene_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a scene with two events; not to be changed."""
    place = tmp_path_factory.mktemp("finished")
    options = {"data.dataset": scene_once, "out": place / "run", "cache": place / "cache", "workers": 2}
    job = open_job(load_config(options=options, overrides=[*FAST, MANY]))
    run_stages(job, ["extract", "train", "score", "evaluate", "report"])
    return place / "run"


@pytest.fixture
def run(cli, finished_once: Path) -> RunFolder:
    """A copy of it that a test may change."""
    shutil.copytree(finished_once, "run")
    return RunFolder(Path("run"))


def todo(cli, *settings: object) -> set[str]:
    works = json.loads(cli("plan", "run", *settings, "--json").out)
    return {work["stage"] for work in works if work["todo"]}


@pytest.mark.slow
def test_from_a_false_alarm_to_the_next_model(cli, run: RunFolder, scene_once: Path) -> None:
    first, second = read_events(run)
    before, model = read_threshold(run), (run.model / "manifest.json").read_bytes()
    assert (todo(cli), json.loads(cli("normal", "run", "--list", "--json").out)) == (set(), [])

    # marked: it is told of no more, and nothing is trained
    result = cli("normal", "run", 2)
    assert result.code == 0, result.err
    (mark,) = read_marks(run)
    assert (mark.event.video, mark.event.id) == (second.video, f"{second.video}:{second.start_frame}")
    assert mark.event.watched_seconds == pytest.approx(4.0)
    assert mark.event.id in cli("normal", "run", "--list").out
    assert cli("normal", "run", mark.event.id).code == 0  # again
    assert len(read_marks(run)) == 1
    assert todo(cli) == {"hold_out", "events", "evaluate", "report"}
    assert "1 event marked as normal: to join the threshold" in cli("plan", "run").out
    result = cli("score", "run")
    assert "left out: 1 event marked as normal" in result.out
    assert read_events(run) == (first,)
    assert read_threshold(run) == before
    rows = run.csv(second.video).read_text(encoding="utf-8").splitlines()[1:]
    assert not any(row.endswith(",1") for row in rows)

    # calibrated
    assert cli("train", "run").code == 0
    assert cli("run", "run").code == 0
    assert "marked as normal" in json.loads((run.folder / "metrics.json").read_text())["caution"]
    assert todo(cli) == set()
    threshold = read_threshold(run)
    ((piece,), _) = read_marked(run) or ([], 0)
    assert piece.smoothed(ScoreConfig()).max() == pytest.approx(second.score, rel=0.02)
    assert "1 event marked as normal" in threshold.text
    assert threshold.normal_hours == pytest.approx(before.normal_hours + 4 / 3600)
    assert threshold.score >= before.score
    assert (run.model / "manifest.json").read_bytes() == model

    # watched again
    clip = scene_once / "test" / f"{second.video}.mp4"
    watched = cli("watch", clip, "--model", "run", MANY)
    assert {json.loads(line)["type"] for line in watched.out.splitlines()} == {"opened", "closed"}

    # taken back: as it was before
    assert cli("normal", "run", mark.event.id, "--undo").code == 0
    assert not run.normal_list.exists() and not list(run.normal.iterdir())
    assert "hold_out" in todo(cli)
    assert cli("run", "run").code == 0
    assert (read_events(run), read_threshold(run)) == ((first, second), before)
    assert not run.marked.exists()
    assert cli("cache", "verify", "run").code == 0


def test_learnt_with_the_old_model_kept(cli, run: RunFolder, scene: Path) -> None:
    first, _ = read_events(run)
    model = (run.model / "manifest.json").read_bytes()
    assert cli("normal", "run", 1).code == 0
    assert "train" not in todo(cli)
    assert {"train", "hold_out", "score"} <= todo(cli, "train.marked=learn")
    result = cli("train", "run", "train.marked=learn")
    assert result.code == 0, result.err
    (earlier,) = run.earlier.iterdir()
    assert (earlier / "model/manifest.json").read_bytes() == model
    assert (run.model / "manifest.json").read_bytes() != model
    assert todo(cli, "train.marked=learn") == {"score", "events", "evaluate", "report"}
    assert cli("score", "run", "train.marked=learn").code == 0
    assert first.video not in {event.video for event in read_events(run)}
    assert "1 event marked as normal" in read_threshold(run).text
    # the way back
    result = cli("score", "--model", earlier, scene / "test" / f"{first.video}.mp4", MANY)
    assert result.code == 0, result.err
    assert [event.score for event in read_events(RunFolder(earlier / "new"))] == pytest.approx([first.score])
    # damage of what is kept is found
    path = next(run.normal.rglob("velocity.h5"))
    path.write_bytes(path.read_bytes()[:-8])
    assert "velocity.h5" in cli("cache", "verify", "run").err
    assert "cannot be read" in cli("train", "run").err


def test_of_other_footage_and_of_what_was_watched(cli, run: RunFolder, scene: Path, tmp_path: Path) -> None:
    first, _ = read_events(run)
    clip = tmp_path / "yard.mp4"
    shutil.copy(scene / "test" / f"{first.video}.mp4", clip)
    assert cli("score", "--model", "run", clip, MANY).code == 0
    assert cli("normal", "run", "yard:999").code == 2
    (event,) = read_events(RunFolder(Path("run/new")))
    assert cli("normal", "run", f"yard:{event.start_frame}").code == 0
    other = scene / "test" / f"{first.video}.mp4"  # of another name: what is not scored again is left out too
    assert cli("score", "--model", "run", other, MANY).code == 0
    assert [e.video for e in read_events(RunFolder(Path("run/new")))] == [first.video]
    assert cli("score", "--model", "run", clip, MANY).code == 0
    assert [e.video for e in read_events(RunFolder(Path("run/new")))] == [first.video]
    assert cli("normal", "run", f"yard:{event.start_frame}", "--undo").code == 0

    # live: a pipe has no file that features could be made from again; here a file stands for it
    watched = cli("watch", clip, "--model", "run", MANY, "--out", "seen")
    (told,) = (r for r in map(json.loads, watched.out.splitlines()) if r["type"] == "event")
    refused = cli("normal", "run", told["event_id"], "--from", "run/watch")
    assert refused.code == 2
    result = cli("normal", "run", told["event_id"], "--from", "seen")
    assert result.code == 0, result.err
    shutil.rmtree("seen")
    clip.unlink()
    trained = cli("train", "run")
    assert "1 event marked as normal" in trained.err, trained.err
    ((piece,), _) = read_marked(run) or ([], 0)
    assert piece.smoothed(ScoreConfig(causal=True)).max() == pytest.approx(told["score"], rel=0.02)
    assert cli("score", "run").code == 0
    assert "1 event marked as normal" in read_threshold(run).text
    # features from other settings do not fit, which is said
    result = cli("plan", "run", "extract.streams=[velocity,place]")
    assert f"{told['event_id']} were made with other settings" in result.err


def test_mistakes(cli, run: RunFolder) -> None:
    Path("scene").mkdir()
    Path("seen").mkdir()
    for arguments, message in [
        (("run",), "which events?"),
        (("run", 1, "--list"), "which events?"),
        (("run", "--list", "--undo"), "which events?"),
        (("run", 3), "has 2 events: there is no 3. one"),
        (("run", 0), "has 2 events"),
        (("run", 1, "--from", "seen"), "there are no events in seen: those of `mulde score --out DIR`"),
        (("run", "gate:1"), "there is no event gate:1 in run, run/new, run/watch: give a rank"),
        (("run", "gate:1", "--undo"), "gate:1 is not marked as normal; marked are: none"),
        (("run", 1, "--undo"), "1 is not marked as normal"),
        (("run", "gate:1", "--undo", "--trust"), "--from and --trust are for marking"),
        (("run", "--list", "--from", "scene"), "--from and --trust are for marking"),
        (("scene", 1), "is no run with a trained model"),
    ]:
        result = cli("normal", *arguments)
        assert (result.code, message in result.err) == (2, True), result.err
        assert read_marks(run) == ()
