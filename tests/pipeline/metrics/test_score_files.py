"""The forms in which others write scores, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.pipeline.metrics.score_files import read_score_files

SCORES = [0.5, 2.0, 1e-300]


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


TABLE = "frame,time,score\n0,0.0,0.5\n1,0.04,2.0\n2,0.08,1e-300\n"

FORMS = {
    "ours": (TABLE, 25.0),
    "with labels": ("frame,time,score,label\n0,0.0,0.5,0\n1,0.04,2.0,1\n2,0.08,1e-300,0\n", 25.0),
    "another order": ("Score, frame\n0.5,0\n2.0,1\n1e-300,2\n", None),
    "one column": ("score\n0.5\n2.0\n1e-300\n", None),
    "no header": ("0.5\n2.0\n1e-300\n", None),
    "byte-order mark and blank lines": ("\ufeffscore\n\n0.5\n2.0\n1e-300\n\n", None),
    "semicolons and decimal commas": ("frame;time;score\n0;0,0;0,5\n1;0,04;2,0\n2;0,08;1e-300\n", 25.0),
    "as spreadsheets say it": ("sep=;\nscore;label\n0,5;0\n2;1\n1e-300;0\n", None),
    "tabs": ("frame\tscore\n0\t0.5\n1\t2.0\n2\t1e-300\n", None),
    "times that say nothing": ("time,score\n0,0.5\n0,2.0\n0,1e-300\n", None),
}


@pytest.mark.parametrize(("text", "fps"), FORMS.values(), ids=FORMS)
def test_a_csv(tmp_path: Path, text: str, fps: float | None) -> None:
    put(tmp_path / "cam 1" / "01.csv", text)
    (file,) = read_score_files(tmp_path)
    assert (file.name, file.scores.tolist()) == ("cam 1/01", SCORES)
    assert file.fps == (None if fps is None else pytest.approx(fps))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_npy(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    np.save(tmp_path / "01.avi.npy", np.array([3, 1, 2], dtype=dtype).reshape(shape))
    (file,) = read_score_files(tmp_path)
    assert (file.name, file.scores.tolist(), file.scores.dtype) == ("01", [3, 1, 2], np.float64)


def test_npz_holds_an_array_a_video_in_natural_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **{"cam/10": np.ones(2), "cam/9.mp4": np.zeros(3)})
    files = read_score_files(tmp_path / "all.npz")
    assert [(file.name, file.scores.size) for file in files] == [("cam/9", 3), ("cam/10", 2)]


def test_an_npz_with_a_score_that_is_none_is_not_called_damaged(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", a=np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=r"all\.npz cannot be used \(a: 1 of 2 scores are NaN"):
        read_score_files(tmp_path / "all.npz")


def test_other_files_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", TABLE)
    put(tmp_path / "a.h5", "whatever")
    put(tmp_path / "._a.csv", "junk")
    put(tmp_path / ".old" / "b.csv", TABLE)
    assert [file.name for file in read_score_files(tmp_path)] == ["a"]


MISTAKES = {
    "nothing": ({}, "holds no scores"),
    "empty file": (
        {"a.csv": ""},
        r"a.csv cannot be used \(a: expected one score per frame, found shape \(0,\)",
    ),
    "only a header": ({"a.csv": "frame,time,score\n"}, r"a.csv cannot be used \(a: expected one score"),
    "two columns": ({"a.csv": "1,2\n3,4\n"}, "no header that calls one of them score"),
    "a gap": ({"a.csv": "frame,score\n0,1\n2,1\n"}, "must count from 0 without gaps"),
    "1-based": ({"a.csv": "frame,score\n1,1\n2,1\n"}, "must count from 0 without gaps"),
    "no number": ({"a.csv": "score\n0.5\nhigh\n"}, r"line 3: score is high, which is no number"),
    "no number, no header": ({"a.csv": "0.5\nhigh\n"}, "could not convert"),
    "short row": ({"a.csv": "frame,score\n0,1\n1\n"}, r"line 3: score is nothing"),
    "long row": ({"a.csv": "frame,score\n0,1\n1,2,3\n"}, r"a\.csv:3: expected frame,score, found '1,2,3'"),
    "NaN": ({"a.csv": "score\n0.5\nnan\n"}, "a: 1 of 2 scores are NaN or infinite, the first at frame 1"),
    "twice": ({"a.csv": TABLE, "a.avi.csv": TABLE}, "holds scores of video a twice"),
    "no array": ({"a.npy": "text"}, "a.npy cannot be used"),
}


@pytest.mark.parametrize(("files", "message"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        put(tmp_path / name, text)
    with pytest.raises(InputError, match=message):
        read_score_files(tmp_path)


def test_object_arrays_and_tables_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy cannot be used"):
        read_score_files(tmp_path)
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match=r"expected one score per frame, found shape \(3, 2\)"):
        read_score_files(tmp_path)


def test_paths_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are not there"):
        read_score_files(tmp_path / "no")
    put(tmp_path / "a.txt", "1 2")
    with pytest.raises(InputError, match=r"a\.txt cannot be used: give a folder"):
        read_score_files(tmp_path / "a.txt")
    put(tmp_path / "b.npz", "no archive")
    with pytest.raises(InputError, match=r"b\.npz cannot be used"):
        read_score_files(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("name", "content"), [("a.npy", b"PK\x03\x04"), ("a.npy", b"\x93NUMPY\x01\x00\x08\x00((((((((")]
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"scores .*a\.npy cannot be used"):
        read_score_files(tmp_path)
