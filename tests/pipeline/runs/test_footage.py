"""Where new footage is, is kept beside its scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.data.video import Video
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage, record_footage


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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"videos": {"a": {}}}'])
def test_what_is_damaged_is_said(content: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.footage.write_text(content)
    with pytest.raises(InputError, match=r"damaged .* run `mulde score --model` again"):
        read_footage(run)
