"""Boxes and tracks of others: CSV of many videos, MOT text of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from mulde.data.errors import InputError
from mulde.data.exchange.boxes import read_boxes

HEADER = "video,frame,x1,y1,x2,y2"


def written(folder: Path, *lines: str, name: str = "boxes.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_header_alone_has_no_videos(tmp_path):
    assert read_boxes(written(tmp_path, HEADER)) == {}


def test_csv_is_sorted_by_video_and_frame_and_keeps_the_order_within_a_frame(tmp_path):
    lines = (
        f"{HEADER},score,class,track",
        "b,3,1,2,3,4,0.5,person,7", "a,2,5,5,9,9,,,", "", "b,0,0,0,1.5,1,1,car,8", "b,3,0,0,2,2,0.25,,-1",
    )  # fmt: skip
    found = read_boxes(written(tmp_path, *lines))
    assert list(found) == ["a", "b"]
    b = found["b"]
    assert_array_equal(b.frame, [0, 3, 3])
    assert_array_equal(b.box_xyxy, np.float32([[0, 0, 1.5, 1], [1, 2, 3, 4], [0, 0, 2, 2]]))
    assert_array_equal(b.score, np.float32([1, 0.5, 0.25]))
    assert_array_equal(b.class_name, ["car", "person", ""])
    assert_array_equal(b.track, [8, 7, -1])
    assert np.isnan(found["a"].score).all()
    assert_array_equal(found["a"].track, [-1])


def test_mot_counts_frames_from_one_and_has_widths(tmp_path):
    path = written(tmp_path, "2,5,10,20,3,4,0.5,-1,-1,-1", "1,-1,0,0,2,2,1,-1,-1,-1", name="walk.txt")
    found = read_boxes(path)["walk"]
    assert_array_equal(found.frame, [0, 1])
    assert_array_equal(found.box_xyxy, [[0, 0, 2, 2], [10, 20, 13, 24]])
    assert_array_equal(found.track, [-1, 5])
    assert_array_equal(found.score, np.float32([1, 0.5]))


def test_folder_has_a_video_a_file_and_an_empty_one_has_no_boxes(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.txt"):
        read_boxes(tmp_path)
    (tmp_path / "still.txt").touch()
    written(tmp_path, "3,1,0,0,2,2", name="walk.txt")
    found = read_boxes(tmp_path)
    assert list(found) == ["still", "walk"]
    assert len(found["still"].frame) == 0
    assert_array_equal(found["walk"].frame, [2])
    assert np.isnan(found["walk"].score).all()


def test_line_of_a_file_in_a_folder_is_named(tmp_path):
    path = written(tmp_path, "1,1,0,0,2,2", "2,one,0,0,2,2", name="walk.txt")
    with pytest.raises(InputError) as caught:
        read_boxes(tmp_path)
    assert str(caught.value) == f"{path}, line 2: track is 'one', no number"


@pytest.mark.parametrize(
    ("lines", "first_frame", "frames"),
    [
        ((HEADER, "a,1,0,0,2,2", "a,3,0,0,2,2"), None, [1, 3]),
        ((HEADER, "a,1,0,0,2,2", "a,3,0,0,2,2"), 1, [0, 2]),
        (("1,1,0,0,2,2", "3,1,0,0,2,2"), None, [0, 2]),
        (("1,1,0,0,2,2", "3,1,0,0,2,2"), 0, [1, 3]),
    ],
)
def test_frames_count_from_what_was_said(tmp_path, lines, first_frame, frames):
    (found,) = read_boxes(written(tmp_path, *lines), first_frame).values()
    assert_array_equal(found.frame, frames)


def test_one_frame_too_early_tells_of_the_setting(tmp_path):
    with pytest.raises(InputError, match=r"from 1 on, unless `boxes\.first_frame` is 0; of this kind: 1"):
        read_boxes(written(tmp_path, "0,1,0,0,2,2", "1,1,0,0,2,2"))


def test_videos_in_sub_folders_are_named_with_them(tmp_path):
    (tmp_path / "cam").mkdir()
    written(tmp_path / "cam", "1,1,0,0,2,2", name="walk.v2.txt")
    assert list(read_boxes(tmp_path)) == ["cam/walk.v2"]


def test_digest_tells_each_value_apart(tmp_path):
    lines = [
        ("a,0,1,1,2,2,,,", "a,1,1,1,2,2,,,"),
        ("a,0,1,1,2,2,,,", "a,2,1,1,2,2,,,"),
        ("a,0,1,1,2,3,,,", "a,1,1,1,2,2,,,"),
        ("a,0,1,1,2,2,0.5,,", "a,1,1,1,2,2,,,"),
        ("a,0,1,1,2,2,,person,", "a,1,1,1,2,2,,,"),
        ("a,0,1,1,2,2,,,", "a,1,1,1,2,2,,person,"),
        ("a,0,1,1,2,2,,,4", "a,1,1,1,2,2,,,"),
        ("a,0,1,1,2,2,,,",),
    ]
    header = f"{HEADER},score,class,track"
    digests = [read_boxes(written(tmp_path, header, *each))["a"].digest for each in lines]
    assert len({*digests}) == len(lines)
    turned = (header, lines[1][1], "b,0,0,0,9,9,,,", lines[1][0])  # another order, and another video beside
    assert read_boxes(written(tmp_path, *turned))["a"].digest == digests[1]


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "walk.txt"
    path.write_bytes(b"\xff\xfe1,1,1")
    for given_path in (path, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_boxes(given_path)
    with pytest.raises(InputError, match=r"missing\.csv is not there"):
        read_boxes(tmp_path / "missing.csv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "line 1: expected a header"),
        (("a,b",), "line 1: expected a header"),
        (("video,frame,x1,y1,x2",), "line 1: the header is"),
        ((f"{HEADER},colour",), "line 1: the header is"),
        ((HEADER, "", "a,0,1,1,2,x"), "line 3: y2 is 'x', no number"),
        ((HEADER, "a,0,1,1,2,2", "a,0.5,1,1,2,2"), "line 3: the frame must"),
        ((HEADER, "a,-1,1,1,2,2"), "line 2: the frame must be a whole number from 0 on"),
        ((HEADER, "a,nan,1,1,2,2"), "line 2: the frame must"),
        ((HEADER, "a,0,nan,1,2,2"), "line 2: the box must be finite"),
        ((HEADER, "a,0,1,1,2,1e300"), "line 2: the box must be finite"),
        ((HEADER, ",0,1,1,2,2"), "line 2: the video has no name"),
        ((HEADER, "a,0,20,10,8,24"), "line 2: x2 or y2 is the smaller one: is it width or height?"),
        ((f"{HEADER},track", "a,0,1,1,2,2,0.5"), "line 2: the track must"),
        ((HEADER, "a,0,1,1,2"), "line 2: 5 cells"),
        ((HEADER, "a,0,1,1,2,2", "", "a,0,1,1,2"), "line 4: 5 cells"),
        (("0,1,1,1,2,2,1",), "line 1: the frame must be a whole number from 1 on"),
        (("1,1,1,1,-1,2,1",), "line 1: x2 or y2 is the smaller one"),
        (("1,1,1",), "line 1: 3 columns"),
    ],
)
def test_what_is_no_box_is_named_by_file_and_line(tmp_path, lines, message):
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        read_boxes(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "01_0014", "Test, 1"]),
            st.integers(0, 10**6),
            st.floats(-100, 1000, width=32),
            st.floats(1, 500, width=32),
            st.integers(-1, 10**9),
        ),
        max_size=30,
    )
)
def test_what_was_written_is_read(tmp_path_factory, rows):
    lines = [
        f'"{video}",{frame},{x!r},{x!r},{x + size!r},{x + size!r},{track}'
        for video, frame, x, size, track in rows
    ]
    found = read_boxes(written(tmp_path_factory.mktemp("boxes"), f"{HEADER},track", *lines))
    assert set(found) == {video for video, *_ in rows}
    for video, boxes in found.items():
        expected = sorted((row for row in rows if row[0] == video), key=lambda row: row[1])
        assert_array_equal(boxes.frame, [frame for _, frame, *_ in expected])
        assert_array_equal(boxes.track, [track for *_, track in expected])
        corners = [[x, x, x + size, x + size] for _, _, x, size, _ in expected]
        assert_array_equal(boxes.box_xyxy, np.float32(corners))


@pytest.mark.parametrize(
    ("length", "message"), [(100_000, "would take 9.6 GB of memory"), (140_000, "cannot be read")]
)
def test_one_long_name_does_not_widen_all(tmp_path: Path, length: int, message: str) -> None:
    lines = ["a,0,0,0,1,1"] * 1999
    with pytest.raises(InputError, match=message):
        read_boxes(written(tmp_path, HEADER, *lines, f"{'b' * length},0,0,0,1,1"))
