"""Print how fast features are extracted beside the bound: decoding and the networks alone, in one run.

    python benchmarks/extract.py FOLDER [--preset motion] [--seconds 20] [--cpu-time] [key=value ...]

One process, and one thread for networks; others decode and prepare ahead, as `mulde extract --workers 1` has
it, unless there is one core only or --no-ahead is given. Clip by clip, until `--seconds` of extraction are
up: first the whole extraction, with a count of the frames that it decodes; then the same clip decoded alone
by our reader, by bare decord, and by `ffmpeg -f null` where it is installed (ten times over, so that its
start does not count); then every network alone, on a fifth of the batches that it met in this clip. So a
machine that is slower for a while is so for both sides. The bound is the time of decoding plus that of the
networks; optical flow and background are above it. On a GPU its utilisation during extraction is printed
too. With --profile, where the time goes, all in one thread.

    python benchmarks/extract.py ped2/testing --preset object extract.streams=[velocity,pose] \\
        extract.boxes.yolo.weights=yolov8n.pt extract.pose.weights=yolo11n-pose.pt
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import os
import pstats
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mulde.data.decode.readers import FrameReader, open_frames, sample_frames
from mulde.data.layouts.find_videos import find_videos
from mulde.data.video import Frame, Video
from mulde.extractors.scene import learn_scene
from mulde.pipeline.config.load import load_config
from mulde.pipeline.features.scenes import grey_of
from mulde.pipeline.stages.extract import ExtractTask, extract_video

PARTS = {
    "optical flow": ("flow.py", "flow"),
    "what moves": ("movement.py", "compare"),
    "crops": ("pose.py", "crop_square"),
    "pictures for encoders": ("images.py", "fit_image", "to_network"),
    "decoding": ("readers.py", "__next__"),
    "windows": ("motion.py", "boxes_of"),
    "what came to stay": ("movement.py", "follow"),
    "describing": ("velocity.py", "describe"),
    "writing": ("store.py", "append", "commit"),
    "identity": ("identity.py", "identify"),
}
"""The file and the functions whose time, with all that they call, makes a part."""
_FFMPEG_LOOPS = 10
_ONE_BATCH_IN = 5  # of those that a network meets, for running it alone
OUR_READER, DECORD, FFMPEG = "decoding, our reader", "decoding, decord", "decoding, ffmpeg -f null"
OTHER_DECODERS = (DECORD, FFMPEG)
BOUND, WHOLE = "bound: decoding and networks", "whole extraction"
_MOST_BATCHES = 64
Clock = Callable[[], float]
Batch = tuple[tuple[Any, ...], dict[str, Any], Callable[[], Any]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--preset", default="motion")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--ahead",
        action=argparse.BooleanOptionalAction,
        default=(os.cpu_count() or 1) > 1,
        help="decode and prepare ahead in a thread",
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes; slows it down")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds, for a busy machine")
    parser.add_argument("--ffmpeg", default="ffmpeg")
    options = parser.parse_intermixed_args()
    ahead = options.ahead and not options.profile  # a profile sees one thread
    clock = time.process_time if options.cpu_time else time.perf_counter
    config = load_config(options={"preset": options.preset}, overrides=options.settings)
    videos = find_videos(options.folder)
    greys = [grey for video in videos[:8] for grey in sample_frames(video, 12, grey_of)]
    scene = learn_scene(greys, config.extract.scene)
    profile = cProfile.Profile() if options.profile else None
    networks = Networks(clock)
    spent: Counter[str] = Counter()
    n_clips = n_frames = 0
    with tempfile.TemporaryDirectory() as folder, count_decoded() as decoded, gpu_utilisation() as busy:

        def extract(video: Video, cache: Path) -> int:
            task = ExtractTask(
                video, scene, config.extract, cache, 25.0, device=config.device, works_ahead=ahead
            )
            report = extract_video(task, lambda n_frames, n_expected=None: None).report
            assert report is not None
            return report.n_frames

        started = clock()
        extract(videos[0], Path(folder) / "first")
        print(f"(the first clip took {clock() - started:.1f} s with loading networks)")
        decoded.clear()
        busy.clear()
        for video in videos:
            with networks.watched(), profile or contextlib.nullcontext():
                started = clock()
                n_frames += extract(video, Path(folder) / "measured")
                seconds = clock() - started
            spent[WHOLE] += seconds
            n_clips += 1
            n_decoded = decoded["frames"]
            alone = decode_alone(video, options.ffmpeg, clock) | networks.run_alone()
            decoded["frames"] = n_decoded
            spent.update(alone)
            bound = sum(alone[name] for name in alone if name not in OTHER_DECODERS)
            spent[BOUND] += bound
            print(f"{video.name}: {seconds:.1f} s, {seconds / bound:.2f} times the bound", flush=True)
            if spent[WHOLE] > options.seconds:
                break
    print(f"{n_clips} clips, {n_frames} frames of {scene.size[0]}x{scene.size[1]}")
    print(f"  frames decoded during extraction {decoded['frames']:8d}")
    for name in [*(name for name in spent if name not in (BOUND, WHOLE)), BOUND, WHOLE]:
        print(f"  {name:32s} {1000 * spent[name] / n_frames:8.2f} ms/frame")
    print(f"  extraction / bound               {spent[WHOLE] / spent[BOUND]:8.2f}")
    if busy:
        print(f"  GPU utilisation                  {sum(busy) / len(busy):8.0f} %")
    if profile:
        print_profile(profile, n_frames)


@dataclass
class Calls:
    """How many items a network was asked for, and some of the batches with their precision."""

    n_batches: int = 0
    n_items: int = 0
    one_batch_in: int = _ONE_BATCH_IN
    batches: list[tuple[Batch, int]] = field(default_factory=list)

    @property
    def n_items_kept(self) -> int:
        """Items of the batches that were kept."""
        return sum(n_items for _, n_items in self.batches)

    def keep(self, batch: Batch, n_items: int) -> None:
        """Keep a batch; where they become many, every other one is let go."""
        self.batches.append((batch, n_items))
        if len(self.batches) > _MOST_BATCHES:
            self.batches = self.batches[::2]
            self.one_batch_in *= 2


class Networks:
    """Watches networks while features are extracted, then runs them alone on the same batches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[Any, Calls] = defaultdict(Calls)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Take note of every call of a network, though not of the layers inside of it."""
        import torch

        depth = 0
        forward = torch.nn.Module.__call__

        def call(network: torch.nn.Module, *args: Any, **options: Any) -> Any:
            nonlocal depth
            if depth == 0:
                self._note(network, args, options)
            depth += 1
            try:
                return forward(network, *args, **options)
            finally:
                depth -= 1

        torch.nn.Module.__call__ = call  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            torch.nn.Module.__call__ = forward  # type: ignore[method-assign]

    def _note(self, network: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        calls = self._calls[network]
        n_items = len(args[0])
        calls.n_items += n_items
        calls.n_batches += 1
        if calls.n_batches % calls.one_batch_in == 1:
            calls.keep((args, options, precision_now()), n_items)

    def run_alone(self) -> Counter[str]:
        """Run each network on the batches that were kept, and forget them.

        Returns:
            The seconds that all batches would have taken, by network.
        """
        import torch

        spent: Counter[str] = Counter()
        for number, (network, calls) in enumerate(self._calls.items(), start=1):
            with torch.no_grad():  # as encoders do; inference_mode would be slower
                started = self._clock()
                for (args, options, precision), _ in calls.batches:
                    with precision():
                        network(*args, **options)
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            seconds = (self._clock() - started) / calls.n_items_kept * calls.n_items
            spent[f"network {number}: {type(network).__name__}"] = seconds
        self._calls.clear()
        return spent


def precision_now() -> Callable[[], Any]:
    """Return what makes a context with the mixed precision that is on now, or with none."""
    import torch

    for device in ("cuda", "cpu"):
        if torch.is_autocast_enabled(device):
            return partial(torch.autocast, device, torch.get_autocast_dtype(device))
    return contextlib.nullcontext


@contextlib.contextmanager
def count_decoded() -> Iterator[Counter[str]]:
    """Give a counter of the frames that any reader gives."""
    counter: Counter[str] = Counter()
    give = FrameReader.__next__

    def count(reader: FrameReader) -> Frame:
        frame = give(reader)
        counter["frames"] += 1
        return frame

    FrameReader.__next__ = count  # type: ignore[method-assign]
    try:
        yield counter
    finally:
        FrameReader.__next__ = give  # type: ignore[method-assign]


@contextlib.contextmanager
def gpu_utilisation() -> Iterator[list[int]]:
    """Give a list that fills with the GPU's utilisation in percent, ten times a second; empty without one."""
    import torch

    seen: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            try:
                seen.append(torch.cuda.utilization())
            except (RuntimeError, ModuleNotFoundError):  # no NVML
                return

    if torch.cuda.is_available():
        threading.Thread(target=look, daemon=True).start()
    yield seen
    stop.set()


def decode_alone(video: Video, ffmpeg: str, clock: Clock) -> Counter[str]:
    """Return the seconds that decoding a clip alone takes, by decoder."""
    spent = Counter({OUR_READER: seconds_for(lambda: decode_ours(video), clock)})
    if not video.is_frame_folder:
        spent[DECORD] = seconds_for(lambda: decode_decord(video), clock)
        if shutil.which(ffmpeg):
            loops = seconds_for(lambda: decode_ffmpeg(ffmpeg, video), time.perf_counter)
            spent[FFMPEG] = loops / _FFMPEG_LOOPS
    return spent


def seconds_for(decode: Callable[[], object], clock: Clock) -> float:
    """Return how long a clip takes."""
    started = clock()
    decode()
    return clock() - started


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


def decode_ffmpeg(program: str, video: Video) -> None:
    """Decode to nowhere, several times."""
    loops = ["-stream_loop", str(_FFMPEG_LOOPS - 1)]
    command = [program, "-v", "error", "-threads", "1", *loops, "-i", str(video.path), "-f", "null", "-"]
    subprocess.run(command, check=True)


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
