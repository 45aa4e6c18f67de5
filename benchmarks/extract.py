"""Print how fast features are extracted beside how fast the same clips decode, in one run.

    python benchmarks/extract.py FOLDER [--seconds 20] [--ffmpeg ffmpeg]

One process and one thread for everything: the rate of the whole extraction of the motion preset, of decoding
alone by our readers, by bare decord, and by `ffmpeg -f null` where it is installed (ten times over, so that
its start does not count); then where the time of the extraction goes. Clips are taken in turn until
`--seconds` are up for extraction; the others read the same clips.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mulde.data.find_videos import find_videos
from mulde.data.readers import open_frames, sample_frames
from mulde.data.video import Video
from mulde.extractors.scene import SceneModel, learn_scene
from mulde.pipeline.config import ExtractConfig
from mulde.pipeline.extract import ExtractTask, extract_video

PARTS = {
    "optical flow": ("flow.py", "flow"),
    "decoding": ("readers.py", "__next__"),
    "background, windows": ("motion_boxes.py", "find", "<lambda>"),
    "stillness": ("stillness.py", "follow"),
    "describing": ("velocity.py", "describe"),
    "writing": ("cache.py", "append", "commit"),
    "identity": ("identity.py", "identify"),
}
"""The file and the functions whose time, with all that they call, makes a part."""
_FFMPEG_LOOPS = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--ffmpeg", default="ffmpeg")
    options = parser.parse_args()
    videos = find_videos(options.folder)
    images = [frame.rgb for video in videos[:8] for frame in sample_frames(video, 12)]
    scene = learn_scene(images, ExtractConfig().scene)
    decode_ours(videos[0])  # imports and the first page faults are nobody's
    with tempfile.TemporaryDirectory() as folder:
        profile = cProfile.Profile()
        done, n_frames, seconds = extract_some(videos, scene, Path(folder), options.seconds, profile)
    rates = {"extraction": n_frames / seconds, "decoding, our reader": rate(decode_ours, done)}
    if all(not video.is_frame_folder for video in done):
        rates["decoding, decord"] = rate(decode_decord, done)
        if shutil.which(options.ffmpeg):
            rates["decoding, ffmpeg -f null"] = rate(lambda v: decode_ffmpeg(options.ffmpeg, v), done)
    print(f"{len(done)} clips, {n_frames} frames of {scene.size[0]}x{scene.size[1]}, one process, one thread")
    for name, value in rates.items():
        print(f"  {name:26s} {value:8.1f} frames/s  {value / rates['extraction']:6.1f} x extraction")
    print_profile(profile, n_frames)


def extract_some(
    videos: tuple[Video, ...], scene: SceneModel, cache: Path, budget: float, profile: cProfile.Profile
) -> tuple[list[Video], int, float]:
    """Extract clips in turn until the budget of seconds is used."""
    done: list[Video] = []
    n_frames, started = 0, time.perf_counter()
    for video in videos:
        task = ExtractTask(video, scene, ExtractConfig(), cache, 25.0)
        profile.enable()
        result = extract_video(task, lambda n: None)
        profile.disable()
        assert result.report is not None
        done.append(video)
        n_frames += result.report.n_frames
        if time.perf_counter() - started > budget:
            break
    return done, n_frames, time.perf_counter() - started


def rate(decode: Callable[[Video], int], videos: list[Video]) -> float:
    """Return frames a second over all clips."""
    started = time.perf_counter()
    n_frames = sum(decode(video) for video in videos)
    return n_frames / (time.perf_counter() - started)


def decode_ours(video: Video) -> int:
    """Read every frame as extraction does."""
    with open_frames(video) as reader:
        return sum(1 for _ in reader)


def decode_decord(video: Video) -> int:
    """Read every frame with decord alone."""
    import decord

    reader = decord.VideoReader(str(video.path), num_threads=1)
    for _ in range(len(reader)):
        reader.next().asnumpy()
    return len(reader)


def decode_ffmpeg(program: str, video: Video) -> int:
    """Decode to nowhere."""
    loops = ["-stream_loop", str(_FFMPEG_LOOPS - 1)]
    command = [program, "-v", "error", "-threads", "1", *loops, "-i", str(video.path), "-f", "null", "-"]
    subprocess.run(command, check=True)
    with open_frames(video) as reader:
        return _FFMPEG_LOOPS * (reader.info.n_frames_claimed or 0)


def print_profile(profile: cProfile.Profile, n_frames: int) -> None:
    """Print milliseconds a frame by part."""
    stats = pstats.Stats(profile)
    print(f"where it goes, of {1000 * stats.total_tt / n_frames:.1f} ms a frame under the profiler:")  # type: ignore[attr-defined]
    for part, names in PARTS.items():
        spent = sum(
            cumulative
            for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items()  # type: ignore[attr-defined]
            if Path(file).name == names[0] and function in names[1:]
        )
        print(f"  {part:26s} {1000 * spent / n_frames:8.2f} ms")


if __name__ == "__main__":
    main()
