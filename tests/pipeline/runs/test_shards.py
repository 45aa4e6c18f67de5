"""Parts of an extraction: which videos are whose, and what is told of them."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.data.errors import InputError
from mulde.data.sealed import read_json, write_json
from mulde.data.video import Video
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.shards import (
    SILENT_SECONDS,
    Heart,
    Shard,
    ShardProgress,
    failed_before,
    read_status,
    split_by_length,
)

FAILURE = Failure("a", "extract", "cut short", "/videos/a.mp4")


def videos(number: int) -> list[Video]:
    return [Video(f"v{index}", Path(f"/videos/v{index}.mp4"), Path("/videos")) for index in range(number)]


@pytest.mark.parametrize(
    ("text", "expected"), [("1/1", Shard(1, 1)), ("3/8", Shard(3, 8)), ("10/10", Shard(10, 10))]
)
def test_a_part_by_its_name(text: str, expected: Shard) -> None:
    assert Shard.parse(text) == expected


@pytest.mark.parametrize("text", ["", "1", "/", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.5/4", " 1/4"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--shard .* is no part: give I/N"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("seconds", "n_shards", "expected"),
    [
        ([], 2, [[], []]),
        ([5.0], 3, [[0], [], []]),
        ([1.0, 1.0, 1.0, 3.0], 2, [[3], [0, 1, 2]]),
        ([8.0, 7.0, 6.0, 5.0, 4.0], 2, [[0, 3, 4], [1, 2]]),
        ([0.0, 0.0, 0.0, 0.0], 2, [[0, 2], [1, 3]]),  # nothing is known of these: as many to each
    ],
)
def test_who_gets_what(seconds: list[float], n_shards: int, expected: list[list[int]]) -> None:
    some = videos(len(seconds))
    assert split_by_length(some, seconds, n_shards) == [[some[i] for i in part] for part in expected]


@given(st.lists(st.floats(0, 1e5), max_size=40), st.integers(1, 9), st.randoms())
def test_parts_are_disjoint_complete_balanced_and_the_same_everywhere(
    seconds: list[float], n_shards: int, random: object
) -> None:
    some = videos(len(seconds))
    length = dict(zip(some, seconds, strict=True))
    parts = split_by_length(some, seconds, n_shards)
    assert sorted(video.name for part in parts for video in part) == sorted(video.name for video in some)
    loads = [sum(length[video] for video in part) for part in parts]
    # no better can be done than the mean, and the longest
    best = max([*seconds, sum(seconds) / n_shards], default=0.0)
    assert max(loads) <= best * (2 - 1 / n_shards) * (1 + 1e-9)
    shuffled = some.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = split_by_length(shuffled, [length[video] for video in shuffled], n_shards)
    assert [set(part) for part in again] == [set(part) for part in parts]


def test_nothing_is_told_of_a_run_that_has_not_begun(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert (read_status(run), failed_before(run, "extract")) == ([], {})


def test_what_is_told_while_parts_work(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for number in (2, 1):
        shard = Shard(number, 3)
        heart = Heart(shard.folder(run), shard)
        heart.beat(now=True)
        heart.beat(state="running", n_videos=10, n_cached=2)  # a moment later: not written
        heart.beat(now=True, n_done=4, n_failed=1, seconds=8.0, n_frames=100, share=0.5)
        shard.folder(run).record_failures("extract", [replace(FAILURE, path=f"/videos/{number}.mp4")])
    parts = read_status(run)
    assert [part.progress.number for part in parts] == [1, 2]
    for part in parts:
        told = part.progress
        assert (part.state, told.n_finished, told.frames_per_second, told.seconds_left) == (
            "running",
            5,
            12.5,
            8,
        )
    assert failed_before(run, "extract").keys() == {"/videos/1.mp4", "/videos/2.mp4"}
    assert failed_before(run, "score") == {}


def test_a_beat_is_not_written_at_every_frame(tmp_path: Path) -> None:
    heart = Heart(RunFolder(tmp_path), Shard(1, 1))
    heart.beat(now=True)
    before = (tmp_path / "progress.json").read_bytes()
    for n_frames in range(100):
        heart.beat(n_frames=n_frames)
    assert (tmp_path / "progress.json").read_bytes() == before


def _told_by(
    run: RunFolder,
    pid: int,
    host: str,
    silent_seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    said: str = "running",
) -> str:
    """Return the state of a part whose process was this."""
    heart = Heart(run, Shard(1, 1))
    heart._last = replace(heart._last, pid=pid, host=host or heart._last.host)
    heart.beat(now=True, state=said)
    now = time.time()
    monkeypatch.setattr("mulde.pipeline.runs.shards.time.time", lambda: now + silent_seconds)
    return read_status(run)[0].state


def test_a_process_that_is_gone_is_told_from_one_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert _told_by(run, process.pid, "", 0, monkeypatch) == "running"
        # a long batch of a network on this machine is no reason to give it up
        assert _told_by(run, process.pid, "", 10 * SILENT_SECONDS, monkeypatch) == "running"
        process.kill()
        monkeypatch.undo()
        for _ in range(100):  # killed, and not waited for
            if (state := _told_by(run, process.pid, "", 0, monkeypatch)) == "killed":
                break
            time.sleep(0.05)
        assert state == "killed"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("said", "silences", "state"),
    [
        ("running", 0.5, "running"),
        ("running", 2, "killed"),
        ("scene", 9, "scene"),  # which takes longer, and says nothing meanwhile
        ("scene", 11, "killed"),
        ("ended", 1e6, "ended"),
    ],
)
def test_on_another_machine_only_silence_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, silences: float, state: str
) -> None:
    silent_seconds = silences * SILENT_SECONDS
    assert _told_by(RunFolder(tmp_path), 1, "another", silent_seconds, monkeypatch, said) == state


def test_parts_of_an_earlier_cut_are_not_counted(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for shard in (Shard(1, 2), Shard(2, 2), Shard(1, 4)):
        Heart(shard.folder(run), shard).beat(now=True)
    assert [part.progress.n_shards for part in read_status(run)] == [4]


@pytest.mark.parametrize("pid", [-1, 0, 10**30])
def test_what_is_no_process_is_gone(pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _told_by(RunFolder(tmp_path), pid, "", 0, monkeypatch) == "killed"


@pytest.mark.parametrize(
    "changed",
    [{"share": math.nan}, {"share": 2.0}, {"seconds": math.inf}, {"hours": -1.0}, {"updated": math.nan}],
)
def test_numbers_that_cannot_be_are_passed_over(changed: dict[str, float], tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    Heart(run, Shard(1, 1)).beat(now=True)
    told = read_json(tmp_path / "progress.json")
    write_json(tmp_path / "progress.json", told)
    assert len(read_status(run)) == 1
    write_json(tmp_path / "progress.json", {**told, **changed})
    assert read_status(run) == []


def test_what_has_hardly_begun_has_no_end_yet() -> None:
    told = ShardProgress(1, 1, "a", 1, 0.0, "running", seconds=9.0, share=1e-320)
    assert told.seconds_left is None


def test_a_damaged_file_is_passed_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for shard in (Shard(1, 2), Shard(2, 2)):
        Heart(shard.folder(run), shard).beat(now=True)
    (Shard(1, 2).folder(run).folder / "progress.json").write_text("{")
    assert [part.progress.number for part in read_status(run)] == [2]
