from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mulde.data.decode.readers import open_frames
from mulde.data.errors import InputError
from mulde.data.files import natural_key
from mulde.data.layouts.catalogue import LAYOUTS, find_videos, open_dataset, open_folders, recognise_layout
from mulde.data.layouts.find_videos import find_all
from mulde.data.layouts.published import PUBLISHED
from mulde.data.layouts.ucsd import read_ground_truth

JUNK = (
    "@eaDir/001.jpg/SYNOPHOTO_THUMB_M.jpg", "@eaDir/a.mp4/SYNOVIDEO.mp4", "#recycle/old.mp4", "@tmp/x.avi",
    ".@__thumb/s100a.jpg", ".thumbnails/a.png", "__MACOSX/._a.mp4", "__MACOSX/b.mp4", "lost+found/c.mp4",
    "System Volume Information/d.mp4", "$RECYCLE.BIN/e.mp4", "$Recycle.Bin/f.jpg", "._x.jpg", "._x.mp4",
    "Thumbs.db", "desktop.ini", ".DS_Store",
)  # fmt: skip


def save_pages(path: Path, n: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.new("RGB", (16, 12), (40 * page, 200, 9)) for page in range(n)]
    several = {"save_all": True, "append_images": others} if others else {}
    first.save(path, **several)
    return path


def make(root: Path, *names: str) -> Path:
    """Make empty files; a name that ends in "/" is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


class TestNaturalOrder:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ([], []),
            (["10", "9", "1"], ["1", "9", "10"]),
            (["frame10.jpg", "frame2.jpg"], ["frame2.jpg", "frame10.jpg"]),
            (["b1", "a10", "a2"], ["a2", "a10", "b1"]),
            (["1", "a", "01", ""], ["", "01", "1", "a"]),
            (["01_0014", "01_002", "01_0014_x"], ["01_002", "01_0014", "01_0014_x"]),
        ],
    )
    def test_order(self, names, expected):
        ordered = sorted(names, key=natural_key)
        assert ordered == expected


class TestFindVideos:
    @pytest.mark.parametrize(
        ("files", "names"),
        [
            (["a.mp4"], ["a"]),
            (["a10.avi", "a9.MKV", "notes.txt"], ["a9", "a10"]),
            (["a.mp4", ".hidden.mp4", ".trash/b.mp4", "._a.mp4"], ["a"]),
            (["cam1/a.mp4", "cam2/a.mp4"], ["cam1/a", "cam2/a"]),
            (["clip/001.jpg", "clip/002.jpg", "other/1.tif"], ["clip", "other"]),
            (["cam1/clip/001.png", "a.day.2.mp4"], ["a.day.2", "cam1/clip"]),
            (["a.mp4/001.png"], ["a"]),
        ],
    )
    def test_names(self, tmp_path, files, names):
        assert [video.name for video in find_videos(make(tmp_path, *files))] == names

    def test_a_folder_of_images_is_named_after_itself(self, tmp_path):
        make(tmp_path, "clip/001.jpg", "clip/002.jpg")
        (video,) = find_videos(tmp_path / "clip")
        assert (video.name, video.path, video.is_frame_folder) == ("clip", tmp_path / "clip", True)

    @pytest.mark.parametrize(
        ("files", "notes"),
        [
            (["a.mp4"], []),
            (
                ["poster.jpg", "a.mp4", "clips/1.png", "clips/b/b.avi"],
                ["2 images are passed over, as there are videos beside or below: clips/1.png, poster.jpg"],
            ),
            (["a.mp4", "b.xyz"], ["1 file of another kind is passed over: b.xyz"]),
            (
                ["a.mp4", "10.avif", "9.avif", "c/d.zip", "b.mp4.part", "noname", "z.braw"],
                ["6 files of other kinds are passed over: 9.avif, 10.avif, b.mp4.part, c/d.zip, noname …"],
            ),
            (
                ["clip/1.jpg", "clip/2.jpg", "clip/2.heic"],
                ["1 file of another kind is passed over: clip/2.heic"],
            ),
            (
                ["a.mp4", "a.srt", "README", "labels.csv", "labels/a.npy", "gt.mat", "a.wav", "notes.TXT"],
                [],
            ),
            (["a.mp4", *JUNK], []),
        ],
    )
    def test_what_is_passed_over_is_named_once(self, tmp_path, files, notes):
        found = find_all([make(tmp_path, *files)])
        assert list(found.notes) == notes

    def test_junk_displaces_nothing(self, tmp_path):
        make(tmp_path, "v/001.jpg", "v/002.jpg", "w.mp4", *JUNK, *(f"v/{name}" for name in JUNK))
        assert [video.name for video in find_videos(tmp_path)] == ["v", "w"]

    def test_what_is_there_instead_of_videos(self, tmp_path):
        make(tmp_path, "1.avif", "2.avif")
        with pytest.raises(InputError, match=r"holds no videos: .*; 2 files of other kinds .*: 1\.avif, 2"):
            find_videos(tmp_path)

    @pytest.mark.parametrize(
        ("stacks", "stills", "names", "note"),
        [
            (["a.gif"], [], ["a"], ""),
            (["a.tif", "b.tif"], [], ["a", "b"], ""),
            (["v/a.webp"], [], ["v/a"], ""),
            (["a.gif"], ["poster.png"], ["a"], "1 image is passed over, as there are videos"),
            ([], ["v/1.gif", "v/2.gif"], ["v"], ""),
            (["v/preview.gif"], ["v/1.jpg", "v/2.jpg"], ["v"], "1 animation is passed over, as the folder"),
            (["v/2.tif"], ["v/1.tif", "v/3.tif"], ["v"], ""),
        ],
    )
    def test_images_of_several_pages(self, tmp_path, stacks, stills, names, note):
        for name in (*stacks, *stills):
            save_pages(tmp_path / name, 3 if name in stacks else 1)
        found = find_all([tmp_path])
        assert [video.name for video in found.videos] == names
        assert note in " ".join(found.notes)
        assert len(found.notes) == bool(note)

    def test_one_image_of_several_pages(self, tmp_path):
        (video,) = find_all([save_pages(tmp_path / "stack.tif", 2)]).videos
        assert (video.name, video.is_frame_folder) == ("stack", False)
        with pytest.raises(InputError, match=r"still\.tif is an image"):
            find_all([save_pages(tmp_path / "still.tif", 1)])

    def test_the_order_of_the_paths_does_not_matter(self, tmp_path):
        make(tmp_path, "n10.mp4", "n9.mp4", "more/n1.mp4")
        paths = [tmp_path / "n10.mp4", tmp_path / "more", tmp_path / "n9.mp4"]
        for some in permutations(paths):
            assert [video.name for video in find_all(some).videos] == ["n1", "n9", "n10"]

    def test_pipes_and_devices_are_no_videos(self, tmp_path):
        make(tmp_path, "a.mp4")
        os.mkfifo(tmp_path / "pipe.mp4")
        (tmp_path / "zero.mp4").symlink_to("/dev/zero")
        (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")  # which is told when it cannot be read
        found = find_all([tmp_path])
        assert [video.name for video in found.videos] == ["a", "gone"]
        assert found.notes == ("2 files of other kinds are passed over: pipe.mp4, zero.mp4",)

    def test_scene_is_the_first_sub_folder(self, tmp_path):
        make(tmp_path, "a.mp4", "cam1/day/b.mp4", "cam2/001.jpg", "cam3/clip/001.jpg")
        scenes = {video.name: video.scene for video in find_videos(tmp_path)}
        assert scenes == {"a": "", "cam1/day/b": "cam1", "cam2": "", "cam3/clip": "cam3"}

    def test_links(self, tmp_path):
        make(tmp_path, "real/a.mp4", "videos/")
        (tmp_path / "videos" / "b.mp4").symlink_to(tmp_path / "real" / "a.mp4")
        (tmp_path / "videos" / "linked").symlink_to(tmp_path / "real")
        (tmp_path / "videos" / "loop").symlink_to(tmp_path / "videos")
        assert [video.name for video in find_videos(tmp_path / "videos")] == ["b", "linked/a"]

    @pytest.mark.parametrize("twins", [("a.mp4", "a.avi"), ("a.mp4", "a/001.jpg"), ("s/a.mp4", "s/a.mkv")])
    def test_two_videos_of_one_name(self, tmp_path, twins):
        make(tmp_path, *twins, "other.mp4")
        with pytest.raises(InputError) as error:
            find_videos(tmp_path)
        assert all(str(tmp_path / twin).removesuffix("/001.jpg") in str(error.value) for twin in twins)

    @pytest.mark.parametrize(
        ("folder", "message"),
        [
            ("missing", "is not there"),
            ("file.mp4", "is a file"),
            ("empty", "holds no videos: looked .*mp4.*tif"),
        ],
    )
    def test_nothing_to_find(self, tmp_path, folder, message):
        make(tmp_path, "file.mp4", "empty/notes.txt", "empty/.a.mp4")
        with pytest.raises(InputError, match=f"{folder} {message}"):
            find_videos(tmp_path / folder)


class TestFolderLayout:
    @pytest.mark.parametrize(
        ("normal", "test"),
        [("normal", "test"), ("training", "testing"), ("train", "test"), ("Train", "Test")],
    )
    def test_names_of_the_splits(self, tmp_path, normal, test):
        root = make(tmp_path / "site", f"{normal}/a.mp4", f"{test}/b.mp4", f"{test}/c.mp4")
        dataset = open_dataset(root)
        assert recognise_layout(root) == "folder"
        assert (dataset.name, dataset.labels, dataset.notes) == ("site", None, ())
        assert dataset.frames_per_second is None
        assert [v.name for v in dataset.normal] == ["a"]
        assert [v.name for v in dataset.test] == ["b", "c"]

    def test_csv_labels(self, tmp_path):
        make(tmp_path, "normal/a.mp4", "test/b.mp4", "test/c.mp4")
        (tmp_path / "labels.csv").write_text("video,start,end\nb.mp4,1,2\n")
        dataset = open_dataset(tmp_path)
        assert dataset.labels.frames("b", 3).tolist() == [0, 1, 0]
        assert dataset.notes == (
            "1 of 2 test videos has no labels, so it is not evaluated: c; a line `c,,` says that nothing "
            "happened",
        )

    def test_label_folder(self, tmp_path):
        make(tmp_path, "normal/a.mp4", "test/b.mp4", "labels/")
        np.save(tmp_path / "labels" / "b.npy", np.array([0, 1]))
        assert open_dataset(tmp_path, "folder").labels.names == ("b",)

    def test_labels_of_another_data_set(self, tmp_path):
        make(tmp_path, "normal/a.mp4", "test/b.mp4")
        (tmp_path / "labels.csv").write_text("video,start,end\nbb,1,2\n")
        with pytest.raises(InputError, match="labels for video bb"):
            open_dataset(tmp_path)

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (["normal/a.mp4"], "no folder test/ or testing/"),
            (["normal/a.mp4", "train/a.mp4", "test/b.mp4"], "holds normal and train"),
            (["normal/a.mp4", "test/b.mp4", "labels.csv", "labels/"], "holds labels and labels.csv"),
            (["normal/a.mp4", "test/"], "test holds no videos"),
        ],
    )
    def test_unusable(self, tmp_path, files, message):
        with pytest.raises(InputError, match=message):
            open_dataset(make(tmp_path, *files), "folder")


class TestOpenFolders:
    def test_one_folder_for_both_is_noted(self, tmp_path):
        make(tmp_path, "day/a.mp4", "day/b.mp4")
        dataset = open_folders(tmp_path / "day", tmp_path / "day")
        assert dataset.notes == ("2 of 2 normal videos are test videos too: a, b",)

    @pytest.mark.parametrize("link", [Path.hardlink_to, Path.symlink_to])
    def test_links_to_one_file_are_noted(self, tmp_path, link):
        make(tmp_path, "usual/a.mp4", "usual/b.mp4", "today/cam/c.mp4")
        link(tmp_path / "today/cam/d.mp4", tmp_path / "usual/b.mp4")
        dataset = open_folders(tmp_path / "usual", tmp_path / "today")
        assert dataset.notes == ("1 of 2 normal videos is a test video too: b",)

    def test_name_of_folders_that_lie_apart(self, tmp_path):
        make(tmp_path, "x/usual/a.mp4", "y/today/a.mp4")
        assert open_folders(tmp_path / "x/usual", tmp_path / "y/today").name == "today"

    def test_files_and_folders_and_nothing_to_score(self, tmp_path):
        make(tmp_path, "quiet/a.mp4", "b.mp4")
        dataset = open_folders([tmp_path / "quiet", tmp_path / "b.mp4"])
        assert [video.name for video in dataset.normal] == ["a", "b"]
        assert (dataset.test, dataset.labels, dataset.name) == ((), None, "quiet")

    def test_a_link_to_a_file_keeps_its_name(self, tmp_path):
        make(tmp_path, "x/a.mp4", "y/")
        (tmp_path / "y/b.mp4").symlink_to(tmp_path / "x/a.mp4")
        (video,) = open_folders(tmp_path / "y/b.mp4").normal
        assert (video.name, video.split_folder) == ("b", tmp_path / "y")
        (same,) = open_folders(tmp_path / "y").normal
        assert (same.name, same.split_folder) == (video.name, video.split_folder)

    def test_one_file_of_each(self, tmp_path):
        make(tmp_path, "x/a.mp4", "y/b.mp4")
        dataset = open_folders(tmp_path / "x/a.mp4", tmp_path / "y/b.mp4")
        assert (dataset.name, dataset.normal[0].path) == ("b", tmp_path / "x/a.mp4")


class TestFindAll:
    @pytest.mark.parametrize(
        ("files", "paths", "names"),
        [
            ([], [], []),
            (["a.mp4"], ["a.mp4"], ["a"]),
            (["mon/a.mp4", "mon/b.mp4"], ["mon"], ["a", "b"]),
            (["mon/a.mp4", "tue/b.mp4"], ["mon", "tue"], ["a", "b"]),
            (["mon/a.mp4", "tue/a.mp4", "tue/b.mp4"], ["mon", "tue"], ["b", "mon/a", "tue/a"]),
            (["mon/a.mp4", "tue/a.mp4"], ["mon/a.mp4", "tue"], ["mon/a", "tue/a"]),
            (["mon/c1/a.mp4", "tue/c1/a.mp4"], ["mon", "tue"], ["mon/c1/a", "tue/c1/a"]),
            (["a.strange"], ["a.strange"], ["a.strange"]),
        ],
    )
    def test_names(self, tmp_path, files, paths, names):
        make(tmp_path, *files)
        videos = find_all([tmp_path / path for path in paths]).videos
        assert [video.name for video in videos] == names

    @pytest.mark.parametrize(
        ("files", "paths", "message"),
        [
            ([], ["nothere.mp4"], r"nothere\.mp4 is not there"),
            (["a.jpg"], ["a.jpg"], "is an image: name the folder"),
            (["a.mp4"], ["a.mp4", "a.mp4"], r"a\.mp4 is named twice"),
            (["x/a.mp4"], ["x/a.mp4", "x"], r"a\.mp4 is named twice"),
            (
                ["x/day/a.mp4", "y/day/a.mp4"],
                ["x/day", "y/day"],
                r"x/day/a\.mp4 and .*y/day/a\.mp4 would",
            ),
            (["empty/"], ["empty"], "holds no videos"),
        ],
    )
    def test_mistakes(self, tmp_path, files, paths, message):
        make(tmp_path, *files)
        with pytest.raises(InputError, match=message):
            find_all([tmp_path / path for path in paths])


class TestOpenDataset:
    def test_unknown_layout(self, tmp_path):
        with pytest.raises(
            InputError, match=r"unknown layout 'ped2': it is auto, avenue, folder, .*ucsd_ped"
        ):
            open_dataset(tmp_path, "ped2")

    def test_nothing_recognised(self, tmp_path):
        with pytest.raises(InputError, match=r"has no known layout\. Looked for .*UCSDped.*normal/.*test/"):
            open_dataset(make(tmp_path, "a.mp4"))

    @pytest.mark.parametrize("layout", ["auto", *LAYOUTS])
    def test_missing_root(self, tmp_path, layout):
        with pytest.raises(InputError, match="is not there"):
            open_dataset(tmp_path / "missing", layout)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_empty_root(self, tmp_path, layout):
        assert not LAYOUTS[layout].recognise(tmp_path)
        with pytest.raises(InputError):
            open_dataset(tmp_path, layout)


@pytest.fixture
def ped1(tmp_path) -> Path:
    """A small UCSDped1 with everything that the real one has: gaps, masks, backups, junk."""
    root = tmp_path / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1"
    make(root, *(f"Train/Train{n:03d}/{f:03d}.tif" for n in range(1, 35) if n != 7 for f in (1, 2)))
    make(root, *(f"Test/Test{n:03d}/{f:03d}.tif" for n in (2, 4) for f in range(1, 9)))
    make(
        root, "Test/Test002/._001.tif", "Test/Test002/.DS_Store", "Test/._Test001",
        *(f"Test/Test002_gt/{f:03d}.bmp" for f in range(1, 9)),
    )  # fmt: skip
    (root / "Test" / "UCSDped1.m").write_text(
        "TestVideoFile = {};\n"
        "TestVideoFile{end+1}.gt_frame = [1:2];\n"
        "TestVideoFile{end+1}.gt_frame = [1:2, 5:6];\r\n"
        "% TestVideoFile{end+1}.gt_frame = [1:8];\n"
        "TestVideoFile{end+1}.gt_frame = [3:4];\n"
        "TestVideoFile{end+1}.gt_frame = [8:8];"
    )
    (root / "Test" / "UCSDped1.m~").write_text("TestVideoFile{end+1}.gt_frame = [1:8];\n" * 4)
    (root / "Test" / "._UCSDped1.m").write_bytes(b"\x00\x05\x16\x07")
    return root


class TestUcsd:
    def test_labels_belong_to_the_clip_of_their_number(self, ped1):
        dataset = open_dataset(ped1)
        assert recognise_layout(ped1) == "ucsd_ped"
        assert (dataset.name, dataset.frames_per_second) == ("UCSDped1", 10)
        assert [v.name for v in dataset.test] == ["Test002", "Test004"]
        assert len(dataset.normal) == 33
        assert dataset.labels.names == ("Test002", "Test004")
        assert dataset.labels.frames("Test002", 8).tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
        assert dataset.labels.frames("Test004", 8).tolist() == [0, 0, 0, 0, 0, 0, 0, 1]

    def test_what_is_missing_is_noted(self, ped1):
        assert open_dataset(ped1).notes == (
            "1 of 34 training clips are missing: Train007",
            "2 of 4 test clips that UCSDped1.m labels are missing: Test001, Test003",
        )

    def test_parent_folder(self, ped1):
        assert open_dataset(ped1.parent).test == open_dataset(ped1).test

    def test_parent_of_both(self, ped1):
        make(ped1.parent, "UCSDped2/Train/Train001/001.tif", "UCSDped2/Test/Test001/001.tif")
        with pytest.raises(InputError, match="holds UCSDped1 and UCSDped2: give one"):
            open_dataset(ped1.parent)

    @pytest.mark.parametrize("n_masks", [0, 7])
    def test_masks_that_are_not_one_a_frame(self, ped1, n_masks):
        for mask in sorted((ped1 / "Test" / "Test002_gt").iterdir())[n_masks:]:
            mask.unlink()
        dataset = open_dataset(ped1)
        assert not dataset.labels.has_regions
        assert ("Test002_gt holds 7 masks for 8 frames" in dataset.notes[-1]) == (n_masks == 7)

    def test_frames_missing_from_a_clip(self, ped1):
        (ped1 / "Test" / "Test004" / "003.tif").unlink()
        dataset = open_dataset(ped1)
        assert not dataset.labels.has("Test004")
        assert "frames are missing from Test004" in dataset.notes[-1]

    def test_clips_without_images_or_labels(self, ped1):
        make(ped1, "Test/Test005/", "Test/Test006/001.tif")
        notes = open_dataset(ped1).notes
        assert "folders without images are left out: Test005" in notes
        assert "UCSDped1.m has no labels for Test006" in notes

    def test_without_ground_truth(self, ped1):
        (ped1 / "Test" / "UCSDped1.m").unlink()
        dataset = open_dataset(ped1)
        assert dataset.labels is None
        assert "no labels" in dataset.notes[-1]

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("x.gt_frame = [61:180];", [((60, 180),)]),
            ("x.gt_frame=[ 5:90 , 140 : 200 ];", [((4, 90), (139, 200))]),
            ("x.gt_frame = [5:90 140:200];", [((4, 90), (139, 200))]),
            ("x.gt_frame = [7];", [((6, 7),)]),
            ("x.gt_frame = [];", [()]),
            pytest.param(f"x.gt_frame = [1{' ' * 100_000}:2]", [((0, 2),)], id="blanks"),
            ("x = {}; % gt_frame = [1:2]", []),
        ],
    )
    def test_ground_truth(self, tmp_path, line, expected):
        path = tmp_path / "UCSDped1.m"
        path.write_text(line)
        assert read_ground_truth(path) == expected

    @pytest.mark.parametrize(
        "line",
        [
            "x.gt_frame = 3", "x.gt_frame = [a:3]", "x.gt_frame = [0:3]", "x.gt_frame = [4:3]",
            pytest.param("gt_frame=[" * 50_000, id="never closed"),
        ],
    )  # fmt: skip
    def test_bad_ground_truth(self, tmp_path, line):
        path = tmp_path / "UCSDped1.m"
        path.write_text("TestVideoFile = {};\n" + line)
        with pytest.raises(InputError, match=r"UCSDped1\.m:2: expected gt_frame") as error:
            read_ground_truth(path)
        assert len(str(error.value)) < 1000


def test_official_ucsd_clip(shared_folder):
    dataset = open_dataset(shared_folder / "ucsd_layout")
    assert dataset.name == "UCSDped2"
    assert dataset.labels.frames("Test002", 180).nonzero()[0].tolist() == list(range(94, 180))
    assert (
        "11 of 12 test clips that UCSDped2.m labels are missing: Test001, Test003 … Test012" in dataset.notes
    )
    with open_frames(dataset.test[0], frames_per_second=10) as frames:
        first = next(frames)
    assert first.rgb.shape == (240, 360, 3)
    assert (first.rgb[..., 0] == first.rgb[..., 2]).all()


def test_official_ped2_as_videos(shared_folder):
    dataset = open_dataset(shared_folder / "ped2")
    assert (len(dataset.normal), len(dataset.test), dataset.notes) == (16, 6, ())
    with open_frames(dataset.test[0]) as frames:
        assert frames.info.n_frames_claimed == 180
    assert int(dataset.labels.frames("Test001", 180).sum()) == 120


def test_official_ucsd_ground_truth(shared_folder):
    clips = read_ground_truth(shared_folder / "ucsd_layout" / "UCSDped2" / "Test" / "UCSDped2.m")
    assert len(clips) == 12
    assert sum(end - start for clip in clips for start, end in clip) == PUBLISHED["UCSDped2"].abnormal_frames
    assert [clip[0][0] for clip in clips[7:11]] == [0, 0, 0, 0]  # Test008 … Test011: from the first frame on
