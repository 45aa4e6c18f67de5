"""`mulde datasets` on miniature copies: what it counts, and what it finds that does not add up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from miniature_layouts import ABNORMAL, MINIATURES, N_FRAMES, render

from mulde.data.layouts.catalogue import LAYOUTS
from mulde.data.layouts.examine import examine_dataset

N_ABNORMAL = ABNORMAL[1] - ABNORMAL[0]
COUNTS = {
    # normal videos, test videos, abnormal frames, videos with regions
    "ucsd_ped": (2, 2, N_ABNORMAL, 1),
    "repack": (2, 2, N_ABNORMAL, 0),
    "avenue": (2, 2, 2 * N_ABNORMAL, 2),
    "shanghaitech": (3, 3, N_ABNORMAL + N_FRAMES, 3),
    "ubnormal": (2, 4, 2 * N_ABNORMAL, 2),
    "ucf_crime": (2, 3, N_ABNORMAL + N_FRAMES - 12, 0),
    "xd_violence": (2, 3, 2 * N_ABNORMAL, 0),
    "nwpu_campus": (3, 2, N_ABNORMAL, 0),
    "folder": (2, 2, N_ABNORMAL, 1),
}
FAST = ["detector.widths=[32]", "detector.max_steps=60", "extract.flow.preset=ultrafast", "--workers", "2"]


@pytest.fixture
def folder(miniatures: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the data set of two folders that a test may change."""
    return Path(shutil.copytree(miniatures["folder"], tmp_path / "site"))


def write_at(path: Path, ticks: Iterable[int], *, rate: int) -> None:
    """Write a frame at each tick of a clock of `rate` a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), tick % 256, np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def notes(root: Path, **options: bool) -> list[str]:
    return list(examine_dataset(root, **options).notes)


def test_without_a_folder_it_lists_the_layouts(cli) -> None:
    result = cli("datasets")
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()[1:]] == list(LAYOUTS)
    assert json.loads(cli("datasets", "--json").out) == {n: layout.looks_for for n, layout in LAYOUTS.items()}


@pytest.mark.parametrize("count_frames", [False, True])
@pytest.mark.parametrize("layout", MINIATURES)
def test_counts(miniatures, layout: str, count_frames: bool) -> None:
    facts = examine_dataset(miniatures[layout], count_frames=count_frames)
    n_normal, n_test, n_abnormal, n_with_regions = COUNTS[layout]
    n_frames = n_test * N_FRAMES - (layout == "avenue")
    values = facts.to_dict()
    assert values["layout"] == layout
    assert (values["normal"]["videos"], values["normal"]["frames"]) == (n_normal, n_normal * N_FRAMES)
    assert (values["test"]["videos"], values["test"]["frames"]) == (n_test, n_frames)
    assert values["test"]["frames_are_counted"] or not count_frames
    assert values["test"]["sizes"] == {"128×96": n_test}
    assert values["labels"] == {
        "videos": n_test,
        "frames": n_frames,
        "abnormal_frames": n_abnormal,
        "videos_with_regions": n_with_regions,
        "events": {},
    }


def test_table_and_json_say_the_same(cli, miniatures) -> None:
    root = miniatures["shanghaitech"]
    table, values = cli("datasets", root), json.loads(cli("datasets", root, "--json").out)
    assert table.code == 0
    rows = {line[:28].strip(): line[28:].split() for line in table.out.splitlines()[2:11]}
    assert rows["videos"] == ["3", "330", "3", "107"]
    assert rows["frames"] == ["~72", "274,515", "72", "40,791"]  # test frames are images
    assert rows["abnormal frames"] == ["36", "17,326"]
    assert "2 scenes: 01, 04" in table.out
    assert all(note in table.out for note in values["does_not_add_up"])
    assert values["published"]["abnormal_frames"] == 17326


def test_protocol_is_told(cli, miniatures) -> None:
    assert "one-class: 1 abnormal training videos" in cli("datasets", miniatures["ucf_crime"]).out


def test_names_are_printed_as_they_are(cli, folder: Path) -> None:
    (folder / "test" / "[red]:x:.mp4").write_bytes(b"")
    assert "[red]:x:.mp4 is empty (0 bytes)" in cli("datasets", folder).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "is not there"),
        (["."], "has no known layout. Looked for"),
        ([".", "--layout", "avenue"], "does not have layout avenue"),
        ([".", "--layout", "avenu"], "unknown layout 'avenu'"),
    ],
)
def test_what_cannot_be_read_is_bad_input(cli, arguments: list[str], message: str) -> None:
    result = cli("datasets", *arguments)
    assert (result.code, message in result.err) == (2, True)


@pytest.mark.parametrize("command", [("datasets",), ("plan", "--dataset")])
def test_two_data_sets_in_one_folder_are_told_apart_by_an_option(cli, miniatures, command) -> None:
    for name in ("ubnormal", "repack"):
        shutil.copytree(miniatures[name], Path("both"), dirs_exist_ok=True)
    result = cli(*command, "both")
    assert result.code == 2
    assert "fits the layouts repack and ubnormal" in result.err
    assert "--layout NAME" in result.err


class TestWhatDoesNotAddUp:
    def test_nothing(self, folder: Path) -> None:
        assert notes(folder) == notes(folder, count_frames=True) == []

    def test_published_counts(self, miniatures) -> None:
        assert notes(miniatures["repack"]) == [
            "counts differ from the published ones, in brackets: normal videos 2 (16), "
            "normal frames 48 (2,550), test videos 2 (12), test frames 48 (2,010), abnormal frames 12 (1,648)"
        ]

    def test_labels_one_frame_too_long(self, miniatures) -> None:
        found = notes(miniatures["avenue"], count_frames=True)
        assert "labels for 02 are for 24 frames, 23 are decoded" in found

    def test_labels_of_another_length(self, folder: Path) -> None:
        (folder / "labels/labels.csv").write_text("video,start,end\na,8,99\nb,,\n")
        facts = examine_dataset(folder, count_frames=True)
        assert any("labels for a reach frame 99, but it has 24" in note for note in facts.notes)
        assert facts.labels.n_videos == 1  # b

    def test_regions_and_frames_that_disagree(self, folder: Path) -> None:
        (folder / "labels/regions.csv").write_text(
            "video,frame,x1,y1,x2,y2\na,7,0,0,9,9\na,8,0,0,9,9\na,30,0,0,9,9\n"
        )
        found = notes(folder, count_frames=True)
        assert found[-3:] == [
            "regions of a reach frame 30, but it has 24 frames",
            "1 frames of a have a region, but are labelled normal",
            f"{N_ABNORMAL - 1} frames of a are labelled abnormal, but have no region",
        ]

    @pytest.mark.parametrize("count_frames", [False, True])
    def test_a_video_that_cannot_be_read(self, folder: Path, count_frames: bool) -> None:
        path = folder / "normal" / "1.mp4"
        path.write_bytes(path.read_bytes()[:1500])
        facts = examine_dataset(folder, count_frames=count_frames)
        assert facts.normal.n_frames == N_FRAMES
        assert any("normal video 1" in note and "cannot be opened" in note for note in facts.notes)

    def test_a_video_that_was_cut(self, folder: Path, write_video) -> None:
        path = folder / "normal" / "cut.avi"
        write_video(path, render(3).frames, bf=0, g=1)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert any("1 of 3 normal videos: not regular" in note and ": cut" in note for note in notes(folder))
        facts = examine_dataset(folder, count_frames=True)
        assert facts.normal.n_frames < 3 * N_FRAMES
        assert any("container claims" in note for note in facts.notes)

    @pytest.mark.parametrize("count_frames", [False, True])
    @pytest.mark.parametrize("suffix", ["mkv", "avi"])
    def test_a_header_that_says_another_rate(self, tmp_path: Path, suffix: str, count_frames: bool) -> None:
        """A camera that says 25 frames per second and gives 5, and labels in seconds."""
        for split in ("normal", "test"):
            (tmp_path / split).mkdir()
            write_at(tmp_path / split / f"slow.{suffix}", range(0, 300, 5), rate=25)
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels/labels.csv").write_text("video,start_s,end_s\nslow,4,6\n")
        facts = examine_dataset(tmp_path, count_frames=count_frames)
        assert facts.normal.to_dict()["fps"] == {"5": 1}
        assert (facts.test.n_frames, facts.labels.n_abnormal_frames) == (60, 10)
        said = "header says 25 frames per second, but they come at 5, which counts: slow"
        assert sum(said in note for note in facts.notes) == 2

    def test_frames_of_different_sizes(self, folder: Path, write_video) -> None:
        write_video(folder / "test" / "c.mp4", render(3, width=64).frames)
        assert "test videos have frames of different sizes: 128×96 (2), 64×96 (1)" in notes(folder)

    def test_a_damaged_image(self, folder: Path) -> None:
        (folder / "test/b/1.png").write_bytes(b"junk")
        assert any(note.startswith("test video b: ") and "1.png" in note for note in notes(folder))


@pytest.mark.slow
@pytest.mark.parametrize("layout", MINIATURES)
def test_the_pipeline_runs_on_every_layout(cli, miniatures, layout: str) -> None:
    of_a_second = [
        "extract.rate=all",
        "score.smoothing_sigma_seconds=0.05",
        "extract.flow.seconds_around=0.04",
    ]
    result = cli("run", "--dataset", miniatures[layout], "--out", "run", *FAST, *of_a_second)
    assert result.code == 0, result.err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["counts"]["abnormal_frames"] == COUNTS[layout][2]
    assert metrics["micro_auc"] > 0.8  # labels and frames belong together
    assert np.isfinite(metrics["micro_auc"])


def test_what_is_passed_over_is_told_by_datasets_and_by_a_run(cli, folder: Path) -> None:
    (folder / "test" / "a.xyz").touch()
    (folder / "test" / "b.braw").touch()
    (folder / "test" / "@eaDir").mkdir()
    (folder / "test" / "@eaDir" / "c.mp4").touch()
    told = "test videos: 2 files of other kinds are passed over: a.xyz, b.braw"
    assert f"- {told}\n" in cli("datasets", folder).out
    planned = cli("plan", "--dataset", folder)
    assert planned.code == 0
    assert planned.err.count(told) == 1
