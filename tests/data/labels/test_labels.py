from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.data.errors import InputError
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.files import read_labels
from mulde.data.labels.labels import Labels, NamedEvent
from mulde.data.labels.regions import NO_TRACK, Regions
from mulde.data.video import Video


def video(name: str) -> Video:
    return Video(name=name, path=Path(name), split_folder=Path())


def array(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


class TestFrames:
    @pytest.mark.parametrize(
        ("intervals", "n_frames", "expected"),
        [
            ((), 0, []),
            ((), 3, [0, 0, 0]),
            (((0, 1),), 1, [1]),
            (((1, 3),), 4, [0, 1, 1, 0]),
            (((2, 4),), 4, [0, 0, 1, 1]),
            (((0, 1), (3, 4)), 4, [1, 0, 0, 1]),
            (((0, 3), (1, 2)), 4, [1, 1, 1, 0]),
        ],
    )
    def test_intervals(self, intervals, n_frames, expected):
        frames = Labels(intervals={"a": intervals}).frames("a", n_frames)
        assert frames.dtype == np.uint8
        assert frames.tolist() == expected

    def test_intervals_may_end_one_frame_too_late(self, caplog):
        labels = Labels(intervals={"a": ((1, 4),)})
        assert labels.frames("a", 3).tolist() == [0, 1, 1]
        labels.frames("a", 3)
        assert caplog.text.count("reach frame 4, 3 are decoded") == 1  # every stage asks, one is enough
        assert labels.misfit("a", 4) == ""

    @pytest.mark.parametrize(
        ("intervals", "expected"),
        [(((1, 90),), [0, 1, 1]), (((0, 1), (2, 9)), [1, 0, 1]), (((1, 2),), [0, 1, 0])],
    )
    def test_intervals_that_are_clipped(self, caplog, intervals, expected):
        labels = Labels(intervals={"a": intervals}, clip_intervals=True)
        assert labels.frames("a", 3).tolist() == expected
        assert ("they end there" in caplog.text) == (intervals[-1][1] > 3)

    def test_clipping_leaves_no_interval_out(self):
        with pytest.raises(InputError, match="labels for a reach frame 9"):
            Labels(intervals={"a": ((0, 1), (5, 9))}, clip_intervals=True).frames("a", 3)

    def test_intervals_beyond_the_last_frame(self):
        with pytest.raises(InputError, match="labels for a reach frame 200, but it has 180 decoded frames"):
            Labels(intervals={"a": ((0, 200),)}).frames("a", 180)

    @pytest.mark.parametrize(
        ("n_frames", "expected", "warns"),
        [(3, [0, 1, 1], False), (2, [0, 1], True), (4, [0, 1, 1, 1], True)],
    )
    def test_array_is_fitted_by_one_frame(self, caplog, n_frames, expected, warns):
        labels = Labels(arrays={"cam/a": array(0, 1, 1)})
        with caplog.at_level(logging.WARNING):
            assert labels.frames("cam/a", n_frames).tolist() == expected
        assert ("cam/a" in caplog.text) == warns

    @pytest.mark.parametrize("n_frames", [0, 1, 5, 100])
    def test_array_of_another_length(self, n_frames):
        with pytest.raises(InputError, match=f"labels for a are for 3 frames, but it has {n_frames} decoded"):
            Labels(arrays={"a": array(0, 1, 1)}).frames("a", n_frames)

    def test_the_result_is_the_callers(self):
        labels = Labels(arrays={"a": array(0, 0)})
        labels.frames("a", 2)[:] = 1
        assert labels.frames("a", 2).tolist() == [0, 0]

    def test_unlabelled_is_an_error_that_names_the_nearest(self):
        with pytest.raises(InputError, match="no labels for video Test02; the nearest are Test002"):
            Labels(intervals={"Test002": (), "other": ()}).frames("Test02", 3)

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=5))
    def test_a_frame_is_abnormal_where_an_interval_covers_it(self, starts_and_lengths):
        intervals = tuple((start, start + length) for start, length in starts_and_lengths)
        frames = Labels(intervals={"a": intervals}).frames("a", 40)
        assert frames.tolist() == [int(any(s <= t < e for s, e in intervals)) for t in range(40)]


class TestRecord:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"intervals": {"a": ((3, 3),)}}, "no interval"),
            ({"intervals": {"a": ((-1, 3),)}}, "no interval"),
            ({"arrays": {"a": array(0, 2)}}, "0 or 1"),
            ({"arrays": {"a": array(0, 1)[None]}}, "0 or 1"),
            ({"arrays": {"a": array(0)}, "intervals": {"a.mp4": ()}}, "keep one"),
            ({"intervals": {"a": (), "a.avi": ()}}, "twice"),
        ],
    )
    def test_checks_itself(self, arguments, message):
        with pytest.raises(InputError, match=message):
            Labels(**arguments)

    def test_digest_is_of_the_content(self):
        one = Labels(intervals={"a": ((0, 2), (4, 5)), "b": ()})
        assert one.digest == Labels(intervals={"b.mp4": (), "a": ((4, 5), (0, 2))}).digest
        others = [
            Labels(),
            Labels(intervals={"a": ((0, 2), (4, 5))}),
            Labels(intervals={"a": ((0, 2), (4, 6)), "b": ()}),
            Labels(arrays={"a": array(0, 1)}),
            Labels(arrays={"a": array(1, 0)}),
            Labels(intervals={"a": ((0, 2), (4, 5)), "b": ()}, clip_intervals=True),
        ]
        assert len({one.digest, *(other.digest for other in others)}) == 7

    def test_digest_of_what_is_not_read_yet_is_of_its_files(self, tmp_path):
        file = tmp_path / "masks.mat"

        def labels() -> Labels:
            def fail():
                raise AssertionError("read")

            return Labels(
                arrays={"a": Deferred((file,), fail)}, region_sources={"a": Deferred((file,), fail)}
            )

        digests = [labels().digest]
        file.write_text("one")
        digests += [labels().digest, labels().digest]
        file.write_text("other")
        digests.append(labels().digest)
        assert digests[1] == digests[2]
        assert len(set(digests)) == 3

    def test_what_is_read_later_is_read_once_and_checked(self):
        calls = []

        def read():
            calls.append(1)
            return array(0, 1)

        labels = Labels(arrays={"a": Deferred((), read), "b": Deferred((), lambda: array(2))})
        assert not calls
        assert labels.frames("a", 2).tolist() == labels.frames("a", 2).tolist() == [0, 1]
        assert len(calls) == 1
        with pytest.raises(InputError, match="labels for b: expected one uint8"):
            labels.frames("b", 1)


class TestRegionsOfLabels:
    def test_known_unknown_and_none(self):
        some = Regions.from_rows([(3, 0, 0, 4, 4, 7)])
        labels = Labels(
            intervals={"normal": (), "abnormal": ((0, 1),)},
            arrays={"quiet": array(0, 0), "loud": array(0, 1)},
            region_sources={"a.mp4": Deferred((), lambda: some)},
        )
        assert labels.regions("a") is some
        assert [len(labels.regions(name)) for name in ("normal", "quiet")] == [0, 0]
        assert [labels.regions(name) for name in ("abnormal", "loud", "unlabelled")] == [None] * 3

    def test_without_any_regions_nothing_is_known(self):
        assert Labels(intervals={"normal": ()}).regions("normal") is None


class TestCheckAgainst:
    def test_nothing_to_check(self):
        assert Labels().check_against([]) == ()

    def test_gives_the_unlabelled_videos(self):
        labels = Labels(intervals={"a.mp4": ()}, arrays={"b": array(0)})
        videos = [video("a"), video("b"), video("c")]
        assert labels.check_against(videos) == (video("c"),)
        assert [labels.has(v.name) for v in videos] == [True, True, False]

    @pytest.mark.parametrize(("label", "video"), [("caf\xe9", "cafe\u0301"), ("cafe\u0301.mp4", "caf\xe9")])
    def test_accents_apart_or_not(self, label, video):
        labels = Labels(intervals={label: ((1, 2),)})
        assert labels.check_against([Video(video, Path(video), Path())]) == ()
        assert labels.frames(video, 3).tolist() == [0, 1, 0]

    def test_names_the_nearest_video(self):
        labels = Labels(intervals={"Tst002": ((0, 1),)})
        with pytest.raises(InputError, match=r"labels for video Tst002, which is not there; .* Test002"):
            labels.check_against([video("Test002"), video("cam/other")])


class TestSeconds:
    REGULAR = np.arange(40) / 10

    @pytest.mark.parametrize(
        ("interval", "seconds", "abnormal"),
        [
            ((1.0, 2.0), REGULAR, range(10, 20)),
            ((1.05, 2.01), REGULAR, range(11, 21)),
            ((0.0, 0.1), REGULAR, range(1)),
            ((1.02, 1.04), REGULAR, range(10, 11)),  # between two frames
            ((3.5, 4.0), REGULAR, range(35, 40)),
            ((3.5, 5.0), REGULAR, range(35, 40)),  # whole seconds
            ((3.95, 4.0), REGULAR, range(39, 40)),
            ((0.0, 1.0), np.round(np.arange(60) / 30, 6), range(30)),
            ((2.0, 3.0), np.round(np.arange(120) * 1001 / 30000, 6), range(60, 90)),
            ((1.0, 2.0), np.array([0, 0.9, 1.0, 1.7, 3.0]), range(2, 4)),  # the frames' own times
        ],
    )
    def test_frames_that_are_shown_then(self, interval, seconds, abnormal):
        frames = Labels(seconds_intervals={"a.mp4": (interval,)}).frames("a", len(seconds), seconds)
        assert frames.nonzero()[0].tolist() == list(abnormal)

    def test_nothing_happened(self):
        labels = Labels(seconds_intervals={"a": ()})
        assert labels.frames("a", 3, np.arange(3.0)).tolist() == [0, 0, 0]
        assert labels.frames("a", 0, np.empty(0)).tolist() == []
        assert labels.has("a")
        assert labels.names == ("a",)

    @pytest.mark.parametrize("interval", [(1.0, 5.2), (4.1, 4.9), (100.0, 200.0)])
    def test_beyond_the_end(self, interval):
        labels = Labels(seconds_intervals={"a": (interval,)})
        with pytest.raises(InputError, match=r"labels for a reach .* s, but it lasts 4\.00 s"):
            labels.frames("a", 40, self.REGULAR)

    def test_beyond_the_end_by_less_than_a_second_is_told(self):
        labels = Labels(seconds_intervals={"a": ((1.0, 4.5),)})
        assert "reach 4.5 s, it lasts 4.00 s" in labels.misfit("a", 40, self.REGULAR)

    def test_without_times(self):
        with pytest.raises(InputError, match="labels for a are in seconds, and nothing says when"):
            Labels(seconds_intervals={"a": ((1.0, 2.0),)}).frames("a", 40)

    def test_digest_knows_unit_and_names(self):
        labels = [
            Labels(intervals={"a": ((1, 2),)}),
            Labels(seconds_intervals={"a": ((1, 2),)}),
            Labels(seconds_intervals={"a": ((1, 2.5),)}),
            Labels(seconds_intervals={"a": ((1, 2),)}, event_names={"a": {(1, 2): "fight"}}),
        ]
        assert len({each.digest for each in labels}) == len(labels)

    def test_events(self):
        names = {"a": {(2.0, 3.0): "fall", (1.0, 2.0): "fight"}}
        labels = Labels(seconds_intervals={"a": ((1.0, 2.0), (2.0, 3.0), (3.0, 3.5))}, event_names=names)
        assert labels.events("a", 40, self.REGULAR) == (
            NamedEvent("fight", 10, 20),
            NamedEvent("fall", 20, 30),
        )
        assert labels.events("b", 40) == ()
        labels = Labels(intervals={"a": ((1, 41),)}, event_names={"a": {(1, 41): "x"}})
        assert labels.events("a", 40) == (NamedEvent("x", 1, 40),)

    @pytest.mark.parametrize(
        ("intervals", "fps", "said", "doubted"),
        [
            ({}, 25, False, False),
            ({"a": ()}, 25, False, False),
            ({"a": ((2, 5),)}, 25, False, True),
            ({"a": ((2, 5), (300, 310))}, 25, False, False),
            ({"a": ((2, 5),), "b": ((500, 600),)}, 25, False, False),
            ({"a": ((2, 5),), "b": ((30, 41),)}, 25, False, True),
            ({"a": ((2, 5),)}, 25, True, False),
            ({"a": ((2, 5),)}, 10, False, True),
            ({"a": ((2, 5),)}, 1, False, False),  # frames are seconds
            ({"c": ((2, 5),)}, 25, False, False),  # not there
        ],
    )
    def test_doubt(self, caplog, intervals, fps, said, doubted):
        labels = Labels(intervals=intervals, may_be_seconds=not said)
        times = dict.fromkeys("ab", np.arange(40 * fps) / fps)
        assert ("Call the columns start_s and end_s" in labels.doubt(times)) == doubted
        labels.tell_doubt(times)
        labels.tell_doubt(times)
        assert len(caplog.records) == doubted

    @pytest.mark.parametrize(
        ("header", "doubted"),
        [("start,end", True), ("start_frame,end_frame", False), ("start_s,end_s", False)],
    )
    def test_who_is_doubted(self, tmp_path, header, doubted):
        (tmp_path / "labels.csv").write_text(f"video,{header}\na,2,5\n")
        labels = read_labels(tmp_path / "labels.csv")
        assert bool(labels.doubt({"a": np.arange(1000) / 25})) == doubted


class TestCsv:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("video,start,end\n", {}),
            ("video,start,end\na,,\n", {"a": ()}),
            ("video,start,end\na,0,5\na,7,9\n", {"a": ((0, 5), (7, 9))}),
            ("\ufeffvideo,start,end\r\n a , 0 , 5 \r\n\r\n", {"a": ((0, 5),)}),
            ("Video, Start, End\ncam1/a.mp4,0,5\n", {"cam1/a": ((0, 5),)}),
            ("video,start,end\ncam1\\a.AVI,0,5", {"cam1/a": ((0, 5),)}),
            ('video,start,end\n"day, two.5",1,2', {"day, two.5": ((1, 2),)}),
            ("video,start,end\nstraße,1,2", {"straße": ((1, 2),)}),
        ],
    )
    def test_reads(self, tmp_path, content, expected):
        path = tmp_path / "labels.csv"
        path.write_bytes(content.encode())
        assert read_labels(path).intervals == expected

    @pytest.mark.parametrize(
        ("content", "frames", "seconds"),
        [
            ("video;start;end\na;0;5\n", {"a": ((0, 5),)}, {}),
            ("video\tstart\tend\na\t0\t5\n", {"a": ((0, 5),)}, {}),
            ("sep=;\r\nvideo;start;end\r\na;0;5\r\n", {"a": ((0, 5),)}, {}),
            ('"sep=\t"\nvideo\tstart\tend\na\t0\t5\n', {"a": ((0, 5),)}, {}),
            ("\ufeffsep=,\nvideo,start,end\na,0,5\n", {"a": ((0, 5),)}, {}),
            ("video,start,end\na,40.0,60.00\n", {"a": ((40, 60),)}, {}),
            ("video;start;end\na;40,0;60,0\n", {"a": ((40, 60),)}, {}),
            ("Video,Start frame,Stop frame\na,4,6\n", {"a": ((4, 6),)}, {}),
            ("end;video;start;;\n6;a;4;;\n;b;;;\n", {"a": ((4, 6),), "b": ()}, {}),
            ("video,start_s,end_s\na,1.5,2\nb,,\n", {}, {"a": ((1.5, 2),), "b": ()}),
            ("video;start (s);end (s)\na;1,5;2\n", {}, {"a": ((1.5, 2),)}),
            ("video,start_time,stop_time\na,00:01:30,01:02:03.5\n", {}, {"a": ((90, 3723.5),)}),
            ("file,start_sec,end_sec\na.mp4,0:05,1:30\n", {}, {"a": ((5, 90),)}),
            ("video;begin_time;end_time\na;0:05,25;90:00\n", {}, {"a": ((5.25, 5400),)}),
            ("video,start_seconds,end_seconds\na,0,5\na,7,9\n", {}, {"a": ((0, 5), (7, 9))}),
            (
                "video,start_frame,stop_frame,start_s,stop_s,start_clock,score\na,4,6,0.4,0.6,,9.5\n",
                {"a": ((4, 6),)},
                {},
            ),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_as_spreadsheets_save_it(self, tmp_path, content, frames, seconds, encoding):
        path = tmp_path / "labels.csv"
        path.write_bytes(content.encode(encoding))
        labels = read_labels(path)
        assert (labels.intervals, labels.seconds_intervals) == (frames, seconds)

    def test_tsv(self, tmp_path):
        path = tmp_path / "labels.tsv"
        path.write_text("video\tstart\tend\nday, two\t1\t2\n")
        assert read_labels(path).intervals == {"day, two": ((1, 2),)}
        assert read_labels(tmp_path).intervals == {"day, two": ((1, 2),)}

    @pytest.mark.parametrize(
        ("content", "events"),
        [
            ("video,start,end\na,1,2\n", {}),
            ("video,start,end,event\na,1,2,fight\na,2,4,\n", {"a": {(1, 2): "fight"}}),
            ("video,start,end,score,what\na,1,2,0.5,fight\n", {"a": {(1, 2): "fight"}}),
            ("video,start,end,remark,class\na,1,2,seen twice,fall\n", {"a": {(1, 2): "fall"}}),
            ("video,start,end,frames\na,1,2,1\n", {}),
            ("label;video;start_s;end_s\nfight;a;1,5;2\nfall;a;1,5;2\n", {"a": {(1.5, 2): "fight, fall"}}),
        ],
    )
    def test_names_of_events(self, tmp_path, content, events):
        path = tmp_path / "labels.csv"
        path.write_text(content)
        assert read_labels(path).event_names == events

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", ":1: .*video,start,end"),
            ("a,0,5\n", ":1: .*found 'a,0,5'"),
            ("video,start,end\na,0\n", ":2: .*both empty"),
            ("video,start,end\na,0,5\n\n,0,5\n", ":4: expected"),
            ("video,start,end\na,0,5,1\n", ":2: expected"),
            ("video,start,end\na,zero,5\n", ":2: .*whole frame numbers.*'zero','5'"),
            ("video,start,end\na,0.5,5\n", ":2: .*whole"),
            ("video,start,end\na,3,\n", ":2: .*both empty"),
            ("video,start,end\na,5,5\n", ":2: .*no interval"),
            ("video,start,end\na,00:05,00:09\n", ":2: .*whole frame numbers; times go .*start_s and end_s"),
            ("video,start_s,end_s\na,1,x\n", ":2: .*seconds, mm:ss or hh:mm:ss .*found '1','x'"),
            ("video,start_s,end_s\na,1,nan\n", ":2: .*no interval"),
            ("video,start_s,end_s\na,1,inf\n", ":2: .*no interval"),
            ("video,start_s,end_s\na,0:01:75,0:02:00\n", ":2: .*hh:mm:ss"),
            ("video,start_s,end_s\na,1:75:00,2:00:00\n", ":2: .*hh:mm:ss"),
            ("video,start_s,end_s\na,00:00:01:12,00:00:02:00\n", ":2: .*hh:mm:ss"),
            ("sep=;\nvideo;start;end\na;0;zero\n", ":3: .*whole"),
            ("video;start;end\na;1.000;2.000\n", ":2: .*whole frame numbers.*'1.000','2.000'"),
            ("video,start,end_s\na,0,5\n", ":1: "),
            ("video,begin_page,end_page\na,0,5\n", ":1: "),
            ("video,start,end\na,-1,5\n", ":2: .*no interval"),
        ],
    )
    def test_bad_line_is_named(self, tmp_path, content, message):
        path = tmp_path / "labels.csv"
        path.write_text(content)
        with pytest.raises(InputError, match=f"labels.csv{message}"):
            read_labels(path)

    def test_not_text(self, tmp_path):
        path = tmp_path / "labels.csv"
        path.write_bytes(b"video,start,end\n\xff\xfe,0,1\n")
        with pytest.raises(InputError, match="UTF-8"):
            read_labels(path)


class TestRegionCsv:
    def test_reads_regions_and_the_frames_that_have_one(self, tmp_path):
        path = tmp_path / "regions.csv"
        path.write_text(
            "video,frame,x1,y1,x2,y2,track\na.mp4,4,1,2,3,4,0\na,3,0,0,9.5,9,1\na,4,5,5,6,6,\nb,,,,,,\n\n"
        )
        labels = read_labels(path)
        assert labels.intervals == {"a": ((3, 5),), "b": ()}
        regions = labels.regions("a")
        assert regions.frame.tolist() == [3, 4, 4]
        assert regions.box_xyxy.tolist() == [[0, 0, 9.5, 9], [1, 2, 3, 4], [5, 5, 6, 6]]
        assert regions.track.tolist() == [1, 0, NO_TRACK]
        assert len(labels.regions("b")) == 0

    @pytest.mark.parametrize("frames", ["labels.csv", "a.npy", None])
    def test_folder_with_labels_of_frames_and_of_regions(self, tmp_path, frames):
        (tmp_path / "regions.csv").write_text("video,frame,x1,y1,x2,y2\na,1,0,0,2,2\n")
        if frames == "labels.csv":
            (tmp_path / frames).write_text("video,start,end\na,1,3\n")
        elif frames:
            np.save(tmp_path / frames, np.array([0, 1, 1]))
        labels = read_labels(tmp_path)
        assert labels.frames("a", 3).tolist() == ([0, 1, 1] if frames else [0, 1, 0])
        assert labels.regions("a").track.tolist() == [NO_TRACK]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("a,1,0,0,2", ":2: expected video,frame,x1"),
            (",1,0,0,2,2", ":2: expected video,frame,x1"),
            ("a,1.5,0,0,2,2", ":2: expected numbers"),
            ("a,1,0,0,two,2", ":2: expected numbers"),
            ("a,,0,0,2,2", ":2: expected numbers"),
            ("a,-1,0,0,2,2", ":2: frame and track count from 0"),
            ("a,1,2,0,2,2", ":2: .* is no box"),
            ("a,1,0,0,nan,2", ":2: .* is no box"),
            ("a,1,-1,0,2,2", ":2: .* is no box"),
        ],
    )
    def test_bad_row_is_named(self, tmp_path, row, message):
        path = tmp_path / "regions.csv"
        path.write_text("video,frame,x1,y1,x2,y2\n" + row)
        with pytest.raises(InputError, match=f"regions.csv{message}"):
            read_labels(path)

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"labels.csv": "video,start,end\n", "a.txt": "0"}, "keep one kind"),
            ({"regions.csv": "video,frame,x1,y1,x2,y2\n"}, "holds no row"),
        ],
    )
    def test_unusable_folder(self, tmp_path, files, message):
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=message):
            read_labels(tmp_path)


class TestArrays:
    def test_folder_with_sub_folders(self, tmp_path):
        (tmp_path / "cam1").mkdir()
        np.save(tmp_path / "cam1" / "a.npy", np.array([False, True]))
        np.save(tmp_path / "b.mp4.npy", np.array([[0, 1, 1]], dtype=np.float64))
        (tmp_path / "c.txt").write_text("0 1\n1,0\n")
        (tmp_path / "._c.txt").write_text("junk")
        labels = read_labels(tmp_path)
        assert labels.names == ("b", "c", "cam1/a")
        assert labels.frames("cam1/a", 2).tolist() == [0, 1]
        assert labels.frames("b.mp4", 3).tolist() == [0, 1, 1]
        assert labels.frames("c", 4).tolist() == [0, 1, 1, 0]

    def test_single_file(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([0, 1]))
        assert read_labels(tmp_path / "a.npy").names == ("a",)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.array([]), "must hold one 0"),
            (np.array([0, 2]), "must hold one 0"),
            (np.array([0.0, np.nan]), "must hold one 0"),
            (np.zeros((2, 3)), r"found shape \(2, 3\)"),
            (np.array(1), "must hold one 0"),
            (np.array(["0", "1"]), "must hold one 0"),
            (np.array([{}, None], dtype=object), "is not 0/1 per frame"),
        ],
    )
    def test_bad_array(self, tmp_path, values, message):
        np.save(tmp_path / "a.npy", values, allow_pickle=True)
        with pytest.raises(InputError, match=rf"a\.npy.*{message}"):
            read_labels(tmp_path)

    @pytest.mark.parametrize(("name", "content"), [("a.txt", b"0 one"), ("a.npy", b""), ("a.npy", b"junk")])
    def test_bad_file(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is not 0/1 per frame"):
            read_labels(tmp_path)

    def test_two_files_for_one_video(self, tmp_path):
        (tmp_path / "a.txt").write_text("0")
        np.save(tmp_path / "a.npy", np.array([0]))
        with pytest.raises(InputError, match=r"a\.npy and .*a\.txt both label video a"):
            read_labels(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.csv", "not there"), ("empty", r"holds no \.npy or \.txt"), ("a.json", "are not .csv")],
)
def test_nothing_to_read(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / name)
