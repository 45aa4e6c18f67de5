"""Where new footage is, is kept beside its scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.data.video import Video
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage, record_footage, require_own_names


def test_a_run_of_a_data_set_has_none(tmp_path: Path) -> None:
    assert read_footage(RunFolder(tmp_path)) is None


def test_what_is_written_comes_back_and_is_added_to(tmp_path: Path) -> None:
    run, model = RunFolder(tmp_path / "new"), RunFolder(tmp_path / "run")
    first = Video("a/\udcff<b>", tmp_path / "a.mp4", tmp_path, "door")
    second = Video("c", tmp_path / "c", tmp_path, "")
    record_footage(run, model, [second], 10.0)
    record_footage(run, model, [second], 12.5)
    known = read_footage(run)
    assert known is not None
    assert (known.videos, known.frames_per_second) == ({"c": second}, 12.5)
    assert known.model_run.folder == model.folder
    record_footage(run, model, [Video("d", tmp_path / "d.mp4", tmp_path)], 12.5)
    assert [*read_footage(run).videos] == ["c", "d"]  # type: ignore[union-attr]
    record_footage(run, model, [first], 12.5)
    assert len(read_footage(run).videos) == 3  # type: ignore[union-attr]


def of_others(name: str = "a", scene: object = "", rate: str = "25") -> str:
    row = json.dumps({"path": "/a.mp4", "split_folder": "/", "scene": scene})
    return f'{{"model_run": "/run", "frames_per_second": {rate}, "videos": {{"{name}": {row}}}}}'


def test_that_of_others_is_read(tmp_path: Path) -> None:
    RunFolder(tmp_path).footage.write_text(of_others("cam1/a"))
    assert [*read_footage(RunFolder(tmp_path)).videos] == ["cam1/a"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"videos": {"a": {}}}', of_others(""), of_others("../a"), of_others("a/../../b"),
        of_others("/tmp/a"), of_others(scene=5), of_others(rate="0"), of_others(rate="NaN"),
        of_others(rate="1" + "0" * 400),
    ],
)  # fmt: skip
def test_what_is_damaged_is_said(content: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.footage.write_text(content)
    with pytest.raises(InputError, match=r"damaged .* run `mulde score --model` again"):
        read_footage(run)


@pytest.mark.parametrize(
    ("known", "has_scores", "is_of_data_set", "message"),
    [
        (None, False, True, None),
        ("a.mp4", False, False, None),
        ("a.mp4", True, False, None),
        ("link.mp4", True, False, None),
        ("b/a.mp4", False, False, None),
        (
            "b/a.mp4",
            True,
            False,
            r"a\.csv has the scores of .*b/a\.mp4, and .*a\.mp4 has the same name",
        ),
        (None, True, False, None),  # of a version that kept no list
        (None, True, True, r"a\.csv has the scores of a test video of this run"),
    ],
)
def test_scores_of_another_video_are_not_replaced(
    tmp_path: Path, known: str | None, has_scores: bool, is_of_data_set: bool, message: str | None
) -> None:
    run, video = RunFolder(tmp_path / "run"), Video("a", tmp_path / "a.mp4", tmp_path)
    (tmp_path / "link.mp4").symlink_to(video.path)
    run.scores.mkdir(parents=True)
    if known is not None:
        record_footage(run, run, [Video("a", tmp_path / known, tmp_path)], 10.0)
    if has_scores:
        run.csv("a").touch()
    if is_of_data_set:
        run.config.touch()
    if message is None:
        require_own_names(run, [video])
        return
    with pytest.raises(InputError, match=message):
        require_own_names(run, [Video("other", tmp_path / "c.mp4", tmp_path), video])
