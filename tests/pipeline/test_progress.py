"""Progress: what listeners are told."""

from __future__ import annotations

import pytest

from mulde.pipeline.progress import Status, Tracked, silent


def test_work_that_does_nothing_begins_and_is_over() -> None:
    told: list[Status] = []
    with Tracked(told.append, "extract", 0, "videos"):
        pass
    assert told == [Status("extract", 0, 0, "videos"), Status("extract", 0, 0, "videos", is_over=True)]


def test_each_update_is_told() -> None:
    told: list[Status] = []
    with Tracked(told.append, "train", 0, "steps") as tracked:
        tracked.update(1, "loss 3", total=4)
        tracked.update(2, share=0.9)
    assert told[1:] == [
        Status("train", 1, 4, "steps", "loss 3", 0.25),
        Status("train", 2, 4, "steps", "", 0.9),
        Status("train", 2, 4, "steps", "", 0.9, is_over=True),
    ]


def test_work_that_fails_is_over_too() -> None:
    told: list[Status] = []
    with pytest.raises(ValueError, match="x"), Tracked(told.append, "score", 3, "videos"):
        raise ValueError("x")
    assert told[-1].is_over


def test_nobody_needs_to_listen(capsys: pytest.CaptureFixture[str]) -> None:
    with Tracked(silent, "score", 3, "videos") as tracked:
        tracked.update(1)
    assert capsys.readouterr() == ("", "")
