"""Every layout on a miniature copy with the traps of the real one; see tests/helpers/miniature_layouts.py."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from miniature_layouts import ABNORMAL, MINIATURES, N_FRAMES, UBNORMAL_LISTS, as_cells
from scipy.io import savemat

from mulde.data.errors import InputError
from mulde.data.labels.matrices import read_clip_intervals, read_label_matrix
from mulde.data.layouts.catalogue import GENERAL, LAYOUTS, open_dataset, recognise_layout
from mulde.data.layouts.dataset import Dataset
from mulde.data.layouts.nwpu_campus import read_ground_truth
from mulde.data.layouts.ubnormal import read_tracks
from mulde.data.layouts.ucf_crime import read_annotations as read_ucf
from mulde.data.layouts.xd_violence import read_annotations as read_xd

SPECIAL = [name for name in LAYOUTS if name != GENERAL]
ABNORMAL_FRAMES = list(range(*ABNORMAL))

Copy = Callable[[str], Path]


@pytest.fixture
def copy(miniatures: dict[str, Path], tmp_path: Path) -> Copy:
    """Give a function that copies a miniature, so that a test may change it."""

    def make(layout: str) -> Path:
        return Path(shutil.copytree(miniatures[layout], tmp_path / miniatures[layout].name))

    return make


def abnormal_frames(dataset: Dataset, name: str, n_frames: int = N_FRAMES) -> list[int]:
    assert dataset.labels is not None
    return dataset.labels.frames(name, n_frames).nonzero()[0].tolist()


def names(dataset: Dataset) -> tuple[list[str], list[str]]:
    return [video.name for video in dataset.normal], [video.name for video in dataset.test]


def test_every_layout_has_a_miniature():
    assert MINIATURES.keys() == LAYOUTS.keys()


class TestRecognition:
    @pytest.mark.parametrize("given", SPECIAL)
    @pytest.mark.parametrize("asked", SPECIAL)
    def test_only_its_own_layout_recognises_a_folder(self, miniatures, given, asked):
        assert LAYOUTS[asked].recognise(miniatures[given]) == (asked == given)

    @pytest.mark.parametrize("given", LAYOUTS)
    def test_it_is_found_without_being_told(self, miniatures, given):
        assert recognise_layout(miniatures[given]) == given

    @pytest.mark.parametrize("given", SPECIAL)
    def test_one_folder_above_gives_the_same(self, miniatures, given):
        root = miniatures[given]
        if given == "avenue":  # whose archives are two, so that the miniature is given from above
            root = root / "Avenue Dataset"
        above, itself = open_dataset(root.parent), open_dataset(root)
        assert recognise_layout(root.parent) == given
        assert names(above) == names(itself)
        assert above.labels.digest == itself.labels.digest

    @pytest.mark.parametrize("asked", SPECIAL)
    def test_a_folder_of_videos_has_none_of_them(self, miniatures, asked):
        assert not LAYOUTS[asked].recognise(miniatures["folder"])
        with pytest.raises(InputError):
            open_dataset(miniatures["folder"], asked)

    def test_two_data_sets_in_one_folder(self, copy):
        root = copy("ubnormal")
        copy("repack")
        with pytest.raises(InputError, match=r"fits the layouts repack and ubnormal: .*`layout`"):
            open_dataset(root.parent)
        assert open_dataset(root.parent, "repack").name == "UCSDped2"

    @pytest.mark.parametrize("given", LAYOUTS)
    def test_all_labels_fit(self, miniatures, given):
        dataset = open_dataset(miniatures[given])
        assert dataset.labels.check_against(dataset.test) == ()
        for video in dataset.test:
            dataset.labels.frames(video.name, N_FRAMES)  # no error

    @pytest.mark.parametrize("given", LAYOUTS)
    def test_regions_lie_on_abnormal_frames(self, miniatures, given):
        dataset = open_dataset(miniatures[given])
        known = {"ucsd_ped", "avenue", "shanghaitech", "ubnormal", "folder"}
        assert dataset.labels.has_regions == (given in known)
        for name in dataset.labels.region_sources:
            regions = dataset.labels.regions(name)
            assert sorted(set(regions.frame.tolist())) == abnormal_frames(dataset, name)
            widths = regions.box_xyxy[:, 2:] - regions.box_xyxy[:, :2]
            assert (widths == (24, 16)).all()


class TestUcsd:
    def test_masks_are_regions_and_no_clips(self, miniatures):
        dataset = open_dataset(miniatures["ucsd_ped"])
        assert names(dataset) == (["Train001", "Train002"], ["Test001", "Test002"])
        assert abnormal_frames(dataset, "Test001") == ABNORMAL_FRAMES  # not those of the backup
        assert list(dataset.labels.region_sources) == ["Test001"]
        assert len(dataset.labels.regions("Test002")) == 0  # normal throughout
        assert dataset.published.abnormal_frames == 1648


class TestRepack:
    def test_labels_count_from_one_and_frames_from_zero(self, miniatures):
        dataset = open_dataset(miniatures["repack"])
        assert (dataset.name, dataset.frames_per_second) == ("UCSDped2", 10)
        assert names(dataset) == (["01", "02"], ["01", "02"])
        assert abnormal_frames(dataset, "01") == ABNORMAL_FRAMES
        assert abnormal_frames(dataset, "02") == []

    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            (np.zeros((0, 0)), ()),
            (np.array([[61], [180]]), ((60, 180),)),
            (np.array([[61, 180]]), ((60, 180),)),
            (np.array([[5, 140], [90, 200]], dtype=np.uint16), ((4, 90), (139, 200))),
        ],
    )
    def test_cells(self, tmp_path, cell, expected):
        savemat(tmp_path / "ped2.mat", {"gt": as_cells([cell, np.array([[1], [1]])])})
        assert read_clip_intervals(tmp_path / "ped2.mat") == [expected, ((0, 1),)]

    @pytest.mark.parametrize("cell", [np.zeros((3, 2)), np.array([[0], [5]]), np.array([[5], [4]])])
    def test_bad_cells(self, tmp_path, cell):
        savemat(tmp_path / "ped2.mat", {"gt": as_cells([cell])})
        with pytest.raises(InputError, match=r"ped2\.mat: clip 1: expected"):
            read_clip_intervals(tmp_path / "ped2.mat")

    def test_another_matrix(self, tmp_path):
        savemat(tmp_path / "ped2.mat", {"masks": np.zeros(3)})
        with pytest.raises(InputError, match=r"ped2\.mat holds neither gt .* but masks"):
            read_label_matrix(tmp_path / "ped2.mat")

    def test_missing_clips_shift_nothing(self, copy):
        root = copy("repack")
        shutil.rmtree(root / "testing/frames/01")
        dataset = open_dataset(root)
        assert abnormal_frames(dataset, "02") == []
        assert dataset.notes == ("1 of 2 test clips that ped2.mat labels are missing: 1",)

    def test_missing_frames(self, copy):
        root = copy("repack")
        (root / "testing/frames/01/003.jpg").unlink()
        dataset = open_dataset(root)
        assert dataset.labels.names == ("02",)
        assert "frames are missing from 01" in dataset.notes[0]

    def test_frames_from_one_on(self, copy):
        root = copy("repack")
        folder = root / "testing/frames/01"
        for k in reversed(range(N_FRAMES)):
            (folder / f"{k:03d}.jpg").rename(folder / f"{k + 1:03d}.jpg")
        assert open_dataset(root).notes == ()

    def test_ai_vads_matrix_of_avenue(self, copy):
        root = copy("repack")
        (root / "ped2.mat").unlink()
        savemat(root / "avenue.mat", {"01": np.zeros((1, N_FRAMES)), "02": np.ones((1, N_FRAMES))})
        dataset = open_dataset(root)
        assert (dataset.name, dataset.frames_per_second) == ("avenue", 25)
        assert abnormal_frames(dataset, "02") == list(range(N_FRAMES))

    def test_without_labels(self, copy):
        root = copy("repack")
        (root / "ped2.mat").unlink()
        dataset = open_dataset(root)
        assert (dataset.labels, dataset.name) == (None, "ped2")
        assert "no labels" in dataset.notes[0]


class TestAvenue:
    def test_masks_in_both_versions_one_a_frame_too_long(self, miniatures, caplog):
        dataset = open_dataset(miniatures["avenue"])
        assert names(dataset) == (["01", "02"], ["01", "02"])
        assert abnormal_frames(dataset, "01") == ABNORMAL_FRAMES
        assert not caplog.text
        assert abnormal_frames(dataset, "02", N_FRAMES - 1) == ABNORMAL_FRAMES
        assert "labels for 02 are for 24 frames, 23 are decoded" in caplog.text
        with pytest.raises(InputError, match="labels for 02 are for 24 frames, but it has 22"):
            dataset.labels.frames("02", N_FRAMES - 2)

    def test_missing_videos_are_named(self, miniatures):
        notes = open_dataset(miniatures["avenue"]).notes
        assert notes[0].startswith("14 of 16 training videos are missing: 03, 04")
        assert notes[1].startswith("19 of 21 test videos are missing: 03,")

    def test_ai_vads_matrix_where_there_are_no_masks(self, copy):
        root = copy("avenue")
        savemat(root / "avenue.mat", {"01": np.eye(1, N_FRAMES), "02": np.ones((1, N_FRAMES))})
        assert "avenue.mat, which differs from them, is not used" in open_dataset(root).notes[-1]
        shutil.rmtree(root / "ground_truth_demo")
        dataset = open_dataset(root)
        assert abnormal_frames(dataset, "01") == [0]
        assert not dataset.labels.has_regions
        assert "no regions are known" in dataset.notes[-1]
        savemat(root / "avenue.mat", {"gt": as_cells([np.array([[3], [4]]), np.array([[1], [1]])])})
        assert abnormal_frames(open_dataset(root), "01") == [2, 3]  # the community's file of the same name
        (root / "avenue.mat").unlink()
        assert open_dataset(root).labels is None

    def test_a_video_without_masks(self, copy):
        root = copy("avenue")
        (root / "ground_truth_demo/testing_label_mask/2_label.mat").unlink()
        dataset = open_dataset(root)
        assert dataset.labels.names == ("01",)
        assert "1 of 2 test videos have no labels: 02" in dataset.notes


class TestShanghaiTech:
    def test_training_videos_and_test_folders(self, miniatures):
        dataset = open_dataset(miniatures["shanghaitech"])
        assert names(dataset) == (["01_001", "01_002", "04_001"], ["01_0014", "01_0015", "04_0011"])
        assert [video.is_frame_folder for video in (*dataset.normal, *dataset.test)] == [False] * 3 + [
            True
        ] * 3
        assert [video.scene for video in dataset.test] == ["01", "01", "04"]
        assert dataset.scenes == ("01", "04")
        assert dataset.frames_per_second == 24
        assert dataset.notes == ()
        assert abnormal_frames(dataset, "01_0014") == ABNORMAL_FRAMES
        assert abnormal_frames(dataset, "04_0011") == list(range(N_FRAMES))

    def test_extracted_training_frames(self, copy):
        root = copy("shanghaitech")
        shutil.rmtree(root / "training/videos")
        shutil.copytree(root / "testing/frames/01_0015", root / "training/frames/01_001")
        assert names(open_dataset(root))[0] == ["01_001"]

    def test_the_weakly_supervised_split_is_noted(self, copy):
        root = copy("shanghaitech")
        (root / "training/videos/01_002.avi").rename(root / "training/videos/01_0016.avi")
        (note,) = open_dataset(root).notes
        assert "weakly supervised split (238/199)" in note
        assert note.endswith(": 01_0016")

    def test_what_is_missing_is_noted(self, copy):
        root = copy("shanghaitech")
        shutil.rmtree(root / "testing/frames/01_0014")
        (root / "testing/test_frame_mask/01_0015.npy").unlink()
        (root / "testing/frames/04_0011/007.jpg").unlink()
        assert open_dataset(root).notes == (
            "1 of 2 labelled test clips are missing: 01_0014",
            "1 of 2 test clips have no labels: 01_0015",
            "frames are missing from 04_0011: their labels would not fit, left out",
        )
        shutil.rmtree(root / "testing/test_frame_mask")
        assert open_dataset(root).labels is None


class TestUbnormal:
    def test_one_class_split(self, miniatures):
        dataset = open_dataset(miniatures["ubnormal"])
        normal, test = names(dataset)
        assert normal == ["Scene1/normal_scene_1_scenario_1", "Scene2/normal_scene_2_scenario_1"]
        assert "Scene1/normal_scene_1_scenario1_10" in test  # the list has one more underscore
        assert len(test) == len(UBNORMAL_LISTS["normal_test"]) + len(UBNORMAL_LISTS["abnormal_test"])
        assert dataset.scenes == ("Scene1", "Scene2")
        assert dataset.protocol == (
            "one-class: 1 abnormal training videos and 1 validation videos are left out"
        )
        assert dataset.notes == ()

    def test_tracks_and_their_correction(self, miniatures):
        dataset = open_dataset(miniatures["ubnormal"])
        for name in ("Scene1/abnormal_scene_1_scenario_2_fog", "Scene2/abnormal_scene_2_scenario_1"):
            assert abnormal_frames(dataset, name) == ABNORMAL_FRAMES
        tracks = dataset.labels.regions("Scene1/abnormal_scene_1_scenario_2_fog").track
        assert tracks.tolist() == [0] * 3 + [1] * 9

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("2,10,19", [(2, 10, 20)]),
            ("2,10,19\r\n7,0,0\r\n", [(2, 10, 20), (7, 0, 1)]),
            ("2.000000000000000000e+00,1.000000000000000000e+01,1.900000000000000000e+01\n", [(2, 10, 20)]),
        ],
    )
    def test_read_tracks(self, tmp_path, text, expected):
        path = tmp_path / "v_tracks.txt"
        path.write_bytes(text.encode())
        assert [(track.value, track.start, track.end) for track in read_tracks(path)] == expected

    @pytest.mark.parametrize("line", ["1,2", "1,5,4", "1,-1,4", "1,1.5,4", "a,1,2", "1,2,inf", "1,2,nan"])
    def test_bad_tracks(self, tmp_path, line):
        path = tmp_path / "v_tracks.txt"
        path.write_text("1,2,3\n" + line)
        with pytest.raises(InputError, match=r"v_tracks\.txt:2: expected object,start,end"):
            read_tracks(path)

    def test_without_lists(self, copy):
        root = copy("ubnormal")
        (root / "scripts/normal_training_video_names.txt").unlink()
        with pytest.raises(InputError, match=r"lacks normal_training_video_names\.txt, .*scripts"):
            open_dataset(root)

    def test_what_is_missing_is_noted(self, copy):
        root = copy("ubnormal")
        (root / "Scene2/normal_scene_2_scenario_1.mp4").unlink()
        shutil.rmtree(root / "Scene2/abnormal_scene_2_scenario_1_annotations")
        dataset = open_dataset(root)
        assert dataset.notes == (
            "1 of 2 normal training videos are missing: normal_scene_2_scenario_1",
            "1 abnormal test videos have no _tracks.txt, so no labels: Scene2/abnormal_scene_2_scenario_1",
        )
        assert not dataset.labels.has("Scene2/abnormal_scene_2_scenario_1")


class TestUcfCrime:
    def test_one_class_split_by_file_names(self, miniatures):
        dataset = open_dataset(miniatures["ucf_crime"])
        assert names(dataset) == (
            [f"Training-Normal-Videos-Part-1/Normal_Videos00{k}_x264" for k in (1, 2)],
            [
                "Anomaly-Videos-Part-1/Abuse/Abuse028_x264",
                "Anomaly-Videos-Part-1/Arson/Arson011_x264",
                "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264",  # not its copy for event recognition
            ],
        )
        assert dataset.protocol.startswith("one-class: 1 abnormal training videos are left out; every video")
        assert dataset.notes == ()

    def test_two_intervals_count_from_one(self, miniatures):
        dataset = open_dataset(miniatures["ucf_crime"])
        assert abnormal_frames(dataset, "Anomaly-Videos-Part-1/Abuse/Abuse028_x264") == ABNORMAL_FRAMES

    def test_intervals_are_clipped_and_it_is_said(self, miniatures, caplog):
        dataset = open_dataset(miniatures["ucf_crime"])
        with caplog.at_level(logging.WARNING):
            found = abnormal_frames(dataset, "Anomaly-Videos-Part-1/Arson/Arson011_x264")
        assert found == list(range(12, N_FRAMES))
        assert "reach frame 90, 24 are decoded: they end there" in caplog.text

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("a.mp4  Normal  -1  -1  -1  -1  ", ()),
            ("a.mp4  Abuse  165  240  -1  -1", ((164, 240),)),
            ("a.mp4\tAbuse\t0\t240\t300\t300", ((0, 240), (299, 300))),
            ("a.mp4 Abuse 165 240 -1 -1\na.MP4 Abuse 10 20 -1 -1", ((164, 240), (9, 20))),
            ("a.mp4 Abuse 165 240 -1 -1\na.mp4 Normal -1 -1 -1 -1", ((164, 240),)),
        ],
    )
    def test_read_annotations(self, tmp_path, line, expected):
        path = tmp_path / "a.txt"
        path.write_text(line + "\n\n")
        assert read_ucf(path) == {"a": expected}

    @pytest.mark.parametrize(
        "line", ["a.mp4", "a.mp4 Abuse", "a.mp4 Abuse 1", "a.mp4 Abuse x y", "a.mp4 A 9 3", "a.mp4 A -1 3"]
    )
    def test_bad_annotations(self, tmp_path, line):
        path = tmp_path / "a.txt"
        path.write_text(line)
        with pytest.raises(InputError, match=r"a\.txt:1: expected `Abuse028"):
            read_ucf(path)

    def test_without_the_training_list(self, copy):
        root = copy("ucf_crime")
        (root / "Anomaly_Train.txt").unlink()
        dataset = open_dataset(root)
        assert len(dataset.normal) == 2
        assert "told by their folders" in dataset.notes[0]

    def test_lists_in_a_folder_of_their_own(self, copy):
        root = copy("ucf_crime")
        (root / "videos").mkdir()
        for folder in (
            "Anomaly-Videos-Part-1",
            "Testing_Normal_Videos_Anomaly",
            "Training-Normal-Videos-Part-1",
        ):
            (root / folder).rename(root / "videos" / folder)
        (root / "splits").mkdir()
        (root / "Anomaly_Train.txt").rename(root / "splits" / "Anomaly_Train.txt")
        annotations = root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
        annotations.rename(root / "videos" / "Temporal_Anomaly_Annotation.txt")  # as some copies call it
        shutil.rmtree(root / "Normal_Videos_event")
        dataset = open_dataset(root)
        assert (len(dataset.normal), len(dataset.test), dataset.notes) == (2, 3, ())

    def test_a_suffix_in_capitals(self, copy):
        root = copy("ucf_crime")
        for name in (
            "Anomaly-Videos-Part-1/Arson/Arson011",
            "Training-Normal-Videos-Part-1/Normal_Videos001",
        ):
            (root / f"{name}_x264.mp4").rename(root / f"{name}_x264.MP4")
        dataset = open_dataset(root)
        assert (len(dataset.normal), len(dataset.test), dataset.notes) == (2, 3, ())
        assert dataset.labels.has("Anomaly-Videos-Part-1/Arson/Arson011_x264")

    def test_missing_and_double_videos_are_noted(self, copy):
        root = copy("ucf_crime")
        (root / "Training-Normal-Videos-Part-1/Normal_Videos002_x264.mp4").unlink()
        shutil.copytree(root / "Anomaly-Videos-Part-1", root / "z")
        assert [note.partition(":")[0] for note in open_dataset(root).notes] == [
            "3 videos are there twice, one each is used; not z/Abuse/Abuse001_x264.mp4, "
            "z/Abuse/Abuse028_x264.mp4, z/Arson/Arson011_x264.mp4",
            "1 of 2 normal training videos are missing",
        ]


class TestXdViolence:
    def test_one_class_split_by_labels_in_names(self, miniatures):
        dataset = open_dataset(miniatures["xd_violence"])
        normal, test = names(dataset)
        assert normal == [
            "1-1004/A.Beautiful.Mind.2001__#00-01-45_00-02-50_label_A",
            "1005-2004/v=_0KbKmj_1A0__#1_label_A",
        ]
        assert all(name.startswith("videos/") for name in test)
        assert len(test) == 3
        assert "1 violent training videos are left out" in dataset.protocol
        assert abnormal_frames(dataset, "videos/v=38GQ9L2meyE__#1_label_B6-0-0") == ABNORMAL_FRAMES
        assert abnormal_frames(dataset, "videos/v=wQrV75N2BrI__#1_label_A") == []

    def test_test_videos_must_lie_apart(self, copy):
        root = copy("xd_violence")
        for folder in ("1-1004", "1005-2004"):
            for path in list((root / folder).iterdir()):
                path.rename(root / "videos" / path.name)
        with pytest.raises(InputError, match="put the test videos into a folder of their own"):
            open_dataset(root)

    def test_what_is_missing_is_noted(self, copy):
        root = copy("xd_violence")
        path = root / "annotations.txt"
        path.write_text(path.read_text().replace("Casino", "Kasino"))
        dataset = open_dataset(root)
        assert dataset.notes == (
            "1 of 2 annotated videos are missing: Kasino.Royale.2006__#00-10-22_00-10-40_label_G-0-0",
            "1 violent test videos are not annotated: "
            "videos/Casino.Royale.2006__#00-10-22_00-10-40_label_G-0-0",
        )

    def test_lines_of_one_video_add_up(self, tmp_path):
        path = tmp_path / "annotations.txt"
        path.write_text("a 12 40\nb 0 3\na.mp4 80 95\n")
        assert read_xd(path) == {"a": ((12, 40), (80, 95)), "b": ((0, 3),)}

    @pytest.mark.parametrize("line", ["a 1", "a 5 5", "a x 3", "a -1 3"])
    def test_bad_annotations(self, tmp_path, line):
        path = tmp_path / "annotations.txt"
        path.write_text(f"b 0 3\n\n{line}")
        with pytest.raises(InputError, match=r"annotations\.txt:3: expected"):
            read_xd(path)


class TestNwpuCampus:
    def test_reads(self, miniatures):
        dataset = open_dataset(miniatures["nwpu_campus"])
        assert names(dataset) == (["D001_01", "D001_02", "D002_01"], ["D001_01", "D002_03"])
        assert dataset.scenes == ("D001", "D002")
        assert abnormal_frames(dataset, "D001_01") == ABNORMAL_FRAMES

    def test_what_is_missing_is_noted(self, copy):
        root = copy("nwpu_campus")
        np.savez(root / "groundtruth/NWPU_Campus_gt.npz", D009_01=np.array([0, 1]))
        assert open_dataset(root).notes == (
            "1 of 1 labelled test videos are missing: D009_01",
            "2 of 2 test videos have no labels: D001_01, D002_03",
        )
        (root / "groundtruth/NWPU_Campus_gt.npz").unlink()
        assert open_dataset(root).labels is None

    @pytest.mark.parametrize("values", [np.array([0, 2]), np.array([None]), b"junk"])
    def test_bad_ground_truth(self, tmp_path, values):
        path = tmp_path / "gt.npz"
        path.write_bytes(values) if isinstance(values, bytes) else np.savez(path, a=values, allow_pickle=True)
        with pytest.raises(InputError, match=r"gt\.npz"):
            read_ground_truth(path)


class TestFolder:
    def test_labels_of_frames_and_regions(self, miniatures):
        dataset = open_dataset(miniatures["folder"])
        assert abnormal_frames(dataset, "a") == ABNORMAL_FRAMES
        assert set(dataset.labels.regions("a").track.tolist()) == {0}
        assert len(dataset.labels.regions("b")) == 0


@pytest.mark.parametrize(
    "cell", [[[np.nan], [3.0]], [[1.0], [np.inf]], [[1.0], [1e300]], [[0.0], [3.0]], 5.0]
)
def test_intervals_of_matlab_that_are_none(tmp_path: Path, cell: object) -> None:
    savemat(tmp_path / "ped2.mat", {"gt": as_cells([np.array(cell)])})
    with pytest.raises(InputError, match=r"ped2\.mat: clip 1: expected"):
        read_label_matrix(tmp_path / "ped2.mat")


@pytest.mark.parametrize("read", [read_ucf, read_xd, read_tracks])
def test_lists_in_another_encoding(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "list.txt").write_bytes("\ncaf\xe9.mp4 Abuse 1 2\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.txt:2: this is no UTF-8 text"):
        read(tmp_path / "list.txt")
