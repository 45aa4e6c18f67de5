"""Miniature copies of the benchmarks as published, traps included, with moving figures to learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

N_FRAMES = 24
HEIGHT, WIDTH = 96, 128
ABNORMAL = (8, 20)
"""Frames in which something abnormal is in the picture: 0-based, half-open."""

WriteVideo = Callable[..., Path]
Build = Callable[[Path, WriteVideo], Path]


@dataclass(frozen=True)
class Clip:
    """A rendered clip and what is abnormal in it."""

    frames: NDArray[np.uint8]
    """(T, H, W, 3) RGB."""
    masks: NDArray[np.uint8]
    """(T, H, W), 1 = abnormal."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(T,), 1 = abnormal."""
        return self.masks.any((1, 2)).astype(np.uint8)


def render(
    seed: int, abnormal: tuple[int, int] | None = None, n_frames: int = N_FRAMES, width: int = WIDTH
) -> Clip:
    """Render three figures that walk through; from `abnormal[0]` to `abnormal[1]` a fast one comes along."""
    random = np.random.default_rng(seed)
    background = np.random.default_rng(0).integers(60, 120, (HEIGHT, width, 3), dtype=np.uint8)
    frames = np.repeat(background[None], n_frames, axis=0)  # (T, H, W, 3)
    masks = np.zeros((n_frames, HEIGHT, width), dtype=np.uint8)
    for _ in range(3):
        x, y = random.integers(0, width), random.integers(4, HEIGHT - 24)
        speed = random.choice([-2, 2])
        for t in range(n_frames):
            left = int(x + speed * t) % (width - 10)
            frames[t, y : y + 20, left : left + 8] = 220
    for t in range(*abnormal) if abnormal else ():
        left = int(9 * t) % (width - 26)
        frames[t, 60:76, left : left + 24] = 20
        masks[t, 60:76, left : left + 24] = 1
    return Clip(frames, masks)


def write_images(folder: Path, frames: Iterable[NDArray[np.uint8]], name: str, first: int) -> None:
    """Write a folder of images named such as "{:03d}.jpg", numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / name.format(number))


def as_cells(values: list[Any]) -> NDArray[np.object_]:
    """Give a 1×T cell array as MATLAB has it."""
    cells = np.empty((1, len(values)), dtype=object)
    cells[0, :] = values
    return cells


def save_mat_73(path: Path, name: str, cells: list[NDArray[Any]]) -> None:
    """Write a 1×T cell array as MATLAB 7.3 does: HDF5, by columns, cells behind references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        kept = [references.create_dataset(f"c{k}", data=cell.T).ref for k, cell in enumerate(cells)]
        file.create_dataset(name, data=np.array(kept, dtype=h5py.ref_dtype)[:, None])
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def make_junk(folder: Path) -> None:
    """Leave what macOS leaves in archives."""
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._01.avi").write_bytes(b"\0")
    (folder / "._001.tif").write_bytes(b"\0")


def make_ucsd_ped(root: Path, write_video: WriteVideo) -> Path:
    """UCSDped2: tif frames from 001, UCSDped2.m beside its backup that differs, masks for some clips."""
    root = root / "UCSDped2"
    for k in (1, 2):
        frames = render(k).frames[..., 0]
        write_images(root / "Train" / f"Train{k:03d}", frames, "{:03d}.tif", first=1)
    for k in (1, 2):
        clip = render(10 + k, ABNORMAL if k == 1 else None)
        write_images(root / "Test" / f"Test{k:03d}", clip.frames[..., 0], "{:03d}.tif", first=1)
    write_images(root / "Test" / "Test001_gt", 255 * render(11, ABNORMAL).masks, "{:03d}.bmp", first=1)
    lines = [f"[{ABNORMAL[0] + 1}:{ABNORMAL[1]}]", "[]"]
    text = "".join(f"TestVideoFile{{end+1}}.gt_frame = {line};\n" for line in lines)
    (root / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + text)
    (root / "Test" / "UCSDped2.m~").write_text(text.replace("9:20", "1:24"))
    (root / "Test" / "._UCSDped2.m").write_bytes(b"\0\5\x16\7")
    make_junk(root / "Test" / "Test001")
    return root


def make_repack(root: Path, write_video: WriteVideo) -> Path:
    """ped2 repacked: jpg frames from 000, clips 01 …, ped2.mat with a cell a clip."""
    root = root / "ped2"
    for k in (1, 2):
        write_images(root / "training/frames" / f"{k:02d}", render(k).frames, "{:03d}.jpg", first=0)
        clip = render(10 + k, ABNORMAL if k == 1 else None)
        write_images(root / "testing/frames" / f"{k:02d}", clip.frames, "{:03d}.jpg", first=0)
    cell = np.array([[ABNORMAL[0] + 1], [ABNORMAL[1]]], dtype=np.uint16)
    savemat(root / "ped2.mat", {"gt": as_cells([cell, np.zeros((2, 0))])})
    return root


def make_avenue(root: Path, write_video: WriteVideo) -> Path:
    """Avenue: numbered videos, masks in MATLAB 5 and 7.3, one clip a frame short of its masks."""
    root = root / "Avenue Dataset"
    masks = root.parent / "ground_truth_demo" / "testing_label_mask"
    masks.mkdir(parents=True)
    for k in (1, 2):
        write_video(root / "training_videos" / f"{k:02d}.avi", render(k).frames, fps=25)
        clip = render(10 + k, ABNORMAL)
        n_frames = N_FRAMES if k == 1 else N_FRAMES - 1
        write_video(root / "testing_videos" / f"{k:02d}.avi", clip.frames[:n_frames], fps=25)
        if k == 1:
            savemat(masks / f"{k}_label.mat", {"volLabel": as_cells(list(clip.masks))}, do_compression=True)
        else:
            save_mat_73(masks / f"{k}_label.mat", "volLabel", list(clip.masks))
    write_video(root.parent / "ground_truth_demo" / "testing_videos" / "1.avi", clip.frames, fps=25)
    make_junk(root / "testing_videos")
    return root.parent


def make_shanghaitech(root: Path, write_video: WriteVideo) -> Path:
    """ShanghaiTech: two cameras, training videos, test frames from 0, one clip without leading zeros."""
    root = root / "shanghaitech"
    for name, seed in (("01_001", 1), ("01_002", 2), ("04_001", 3)):
        write_video(root / "training/videos" / f"{name}.avi", render(seed).frames, fps=24)
    clips = {"01_0014": ABNORMAL, "01_0015": None, "04_0011": (0, N_FRAMES)}
    for kind in ("frame", "pixel"):
        (root / f"testing/test_{kind}_mask").mkdir(parents=True)
    for seed, (name, abnormal) in enumerate(clips.items(), start=10):
        clip = render(seed, abnormal)
        pattern = "{:d}.jpg" if name == "01_0015" else "{:03d}.jpg"
        write_images(root / "testing/frames" / name, clip.frames, pattern, first=0)
        np.save(root / f"testing/test_frame_mask/{name}.npy", clip.labels.astype(np.int8))
        np.save(root / f"testing/test_pixel_mask/{name}.npy", clip.masks)
    return root


UBNORMAL_LISTS = {
    "normal_training": ["normal_scene_1_scenario_1", "normal_scene_2_scenario_1"],
    "abnormal_training": ["abnormal_scene_1_scenario_3"],
    "normal_validation": ["normal_scene_1_scenario_5"],
    "abnormal_validation": [],
    "normal_test": ["normal_scene_1_scenario_1_10", "normal_scene_2_scenario_4"],
    "abnormal_test": ["abnormal_scene_1_scenario_2_fog", "abnormal_scene_2_scenario_1"],
}


def make_ubnormal(root: Path, write_video: WriteVideo) -> Path:
    """UBnormal: lists in scripts/, integers and floats, a correction, a name with an underscore less."""
    root = root / "UBnormal"
    (root / "scripts").mkdir(parents=True)
    for name, videos in UBNORMAL_LISTS.items():
        (root / "scripts" / f"{name}_video_names.txt").write_text("\r\n".join(videos))
        for number, video in enumerate(videos):
            scene = root / f"Scene{video.split('_')[2]}"
            is_odd = video == "normal_scene_1_scenario_1_10"
            stem = "normal_scene_1_scenario1_10" if is_odd else video
            clip = render(number + 10 * len(name), ABNORMAL if "abnormal" in name else None)
            write_video(scene / f"{stem}.mp4", clip.frames, fps=30)
            if "abnormal" in name:
                _annotate_ubnormal(scene / f"{stem}_annotations", stem, clip)
    return root


def _annotate_ubnormal(folder: Path, stem: str, clip: Clip) -> None:
    write_images(folder, 3 * clip.masks, f"{stem}_{{:04d}}_gt.png", first=0)
    start, last = ABNORMAL[0], ABNORMAL[1] - 1
    tracks = folder / f"{stem}_tracks.txt"
    if stem.endswith("_fog"):
        tracks.write_bytes(f"3,{start},{start + 2}\r\n3,{start + 3},{last}\r\n".encode())
    else:
        np.savetxt(tracks, [[3, 0, 2]], delimiter=",")  # wrong, in floats
        np.savetxt(folder / f"{stem}_new_tracks.txt", [[3, start, last]], delimiter=",")


def make_ucf_crime(root: Path, write_video: WriteVideo) -> Path:
    """UCF-Crime: parts, lists that name other folders, a twin, an interval that ends too late."""
    root = root / "UCF_Crimes"
    videos = {
        "Training-Normal-Videos-Part-1/Normal_Videos001_x264": None,
        "Training-Normal-Videos-Part-1/Normal_Videos002_x264": None,
        "Anomaly-Videos-Part-1/Abuse/Abuse001_x264": ABNORMAL,
        "Anomaly-Videos-Part-1/Abuse/Abuse028_x264": ABNORMAL,
        "Anomaly-Videos-Part-1/Arson/Arson011_x264": (12, N_FRAMES),
        "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264": None,
        "Normal_Videos_event/Normal_Videos_003_x264": None,
    }
    for seed, (name, abnormal) in enumerate(videos.items()):
        write_video(root / f"{name}.mp4", render(seed, abnormal).frames, fps=30)
    (root / "Anomaly_Train.txt").write_text(
        "Abuse/Abuse001_x264.mp4\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n"
        "Training_Normal_Videos_Anomaly/Normal_Videos002_x264.mp4\n"
    )
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text(
        "Abuse028_x264.mp4  Abuse  9  12  13  20  \n"
        "Arson011_x264.mp4  Arson  13  90  -1  -1  \n"
        "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  \n"
    )
    return root


def make_xd_violence(root: Path, write_video: WriteVideo) -> Path:
    """XD-Violence: odd names, violent training videos to leave out, a normal test video without a line."""
    root = root / "XD-Violence"
    videos = {
        "1-1004/A.Beautiful.Mind.2001__#00-01-45_00-02-50_label_A": None,
        "1005-2004/v=_0KbKmj_1A0__#1_label_A": None,
        "1-1004/Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6": ABNORMAL,
        "videos/v=38GQ9L2meyE__#1_label_B6-0-0": ABNORMAL,
        "videos/Casino.Royale.2006__#00-10-22_00-10-40_label_G-0-0": ABNORMAL,
        "videos/v=wQrV75N2BrI__#1_label_A": None,
    }
    for seed, (name, abnormal) in enumerate(videos.items()):
        write_video(root / f"{name}.mp4", render(seed, abnormal).frames, fps=24)
    (root / "annotations.txt").write_text(
        "v=38GQ9L2meyE__#1_label_B6-0-0 8 12 12 20\n"
        "Casino.Royale.2006__#00-10-22_00-10-40_label_G-0-0.mp4 8 20\n"
    )
    return root


def make_nwpu_campus(root: Path, write_video: WriteVideo) -> Path:
    """NWPU Campus: two cameras, an .npz of labels."""
    root = root / "NWPUCampusDataset"
    for name, seed in (("D001_01", 1), ("D001_02", 2), ("D002_01", 3)):
        write_video(root / "videos/Train" / f"{name}.avi", render(seed).frames, fps=25)
    labels = {}
    for name, abnormal in (("D001_01", ABNORMAL), ("D002_03", None)):
        clip = render(len(labels) + 10, abnormal)
        write_video(root / "videos/Test" / f"{name}.avi", clip.frames, fps=25)
        labels[name] = clip.labels.astype(np.int64)
    (root / "groundtruth").mkdir()
    np.savez(root / "groundtruth/NWPU_Campus_gt.npz", **labels)
    return root


def make_folder(root: Path, write_video: WriteVideo) -> Path:
    """Two folders of videos, with intervals and regions in a folder of labels."""
    root = root / "site"
    for k in (1, 2):
        write_video(root / "normal" / f"{k}.mp4", render(k).frames, fps=10)
    clip = render(11, ABNORMAL)
    write_video(root / "test" / "a.mp4", clip.frames, fps=10)
    write_images(root / "test" / "b", render(12).frames, "{:d}.png", first=1)
    (root / "labels").mkdir()
    (root / "labels/labels.csv").write_text(f"video,start,end\na.mp4,{ABNORMAL[0]},{ABNORMAL[1]}\nb,,\n")
    rows = [(t, *np.argwhere(clip.masks[t]).min(0)[::-1]) for t in range(*ABNORMAL)]
    (root / "labels/regions.csv").write_text(
        "video,frame,x1,y1,x2,y2,track\n"
        + "".join(f"a,{t},{x},{y},{x + 24},{y + 16},0\n" for t, x, y in rows)
    )
    return root


MINIATURES: dict[str, Build] = {
    "ucsd_ped": make_ucsd_ped,
    "repack": make_repack,
    "avenue": make_avenue,
    "shanghaitech": make_shanghaitech,
    "ubnormal": make_ubnormal,
    "ucf_crime": make_ucf_crime,
    "xd_violence": make_xd_violence,
    "nwpu_campus": make_nwpu_campus,
    "folder": make_folder,
}
"""By layout: a function that makes a copy below a folder and returns the folder to give to the program."""
