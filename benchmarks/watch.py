"""Measure `mulde watch` on made cameras that send in real time: latency, frames a second, cores, memory.

    python benchmarks/watch.py [FOLDER] [--sizes 360x240@25 640x360@25 1920x1080@25] [--cameras 1 4]
        [--seconds 20] [--over http|udp] [--soak MINUTES [--kills 5] [--away MINUTES]]

A scene of each size is rendered into FOLDER and learnt with the preset `motion`. FFmpeg sends a clip of it
over and over, as fast as a camera does: over HTTP, where the sender waits for whoever is slow, or over UDP,
where frames are dropped. `ffmpeg` has to be installed.

Latency is from when a frame could be taken at the earliest until its score is there: the time of the score
less the time of the frame in the footage, less the smallest such difference at which any frame was taken.

With --soak, the first size and number of cameras run for so long, with clips and all that a page shows, and
senders are killed, and come back after some seconds. What was told is compared with the events in the
scores that were given, and with what the receiver of a webhook got, which is away for a while in between.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from rich.console import Console

from mulde.data.rendered.render import render_scene
from mulde.data.times import usual_rate
from mulde.data.video import Frame
from mulde.pipeline.events.find import Rule
from mulde.pipeline.events.live import Ended, LiveStretches
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.watch.attend import Attendant, Wishes
from mulde.pipeline.watch.cameras import OpenCamera, given_up_alone, open_cameras, side_by_side
from mulde.pipeline.watch.happenings import Beginning, Happening
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Lost
from mulde.pipeline.watch.watcher import Closed, Opened, Seen

WARM_UP_SECONDS = 5.0
AWAY_SECONDS = 3.0
RENDERED_WIDTH_PX = 640
"""Of larger sizes about so much is rendered, and scaled up."""
MANY = 24_000
"""False alarms a day, so that there are events enough."""
stdout = Console(width=120)


@dataclass(frozen=True)
class Made:
    """Footage of one size, and a run that knows its scene."""

    size: str
    fps: float
    clip: Path
    run: Path


def make(folder: Path, text: str) -> Made:
    """Render footage of a size, such as 640x360@25, and learn from it, unless that is there."""
    size, _, rate = text.partition("@")
    width, height = map(int, size.split("x"))
    fps, place = float(rate or 25), folder / text
    if not (place / "clip.mp4").exists():
        stdout.print(f"rendering {text}")
        scale = max(1, round(width / RENDERED_WIDTH_PX))
        small = width // scale // 2 * 2, height // scale // 2 * 2
        render_scene(place / "small", size=small, n_normal=2, n_test=1, seconds=12.0, fps=fps)
        clips = [*sorted((place / "small/normal").iterdir()), *(place / "small/test").iterdir()]
        (place / "normal").mkdir(exist_ok=True)
        for clip in clips[:-1]:
            encode(["-i", str(clip), "-vf", f"scale={width}:{height}"], place / "normal" / clip.name)
        # what is normal, and then what is not
        inputs = [word for clip in clips for word in ("-i", str(clip))]
        joined = f"concat=n={len(clips)},scale={width}:{height}"
        encode([*inputs, "-filter_complex", joined], place / "clip.mp4")
    stdout.print(f"learning {text}")
    options = ["--normal", place / "normal", "--out", place / "run", "--cache", place / "cache"]
    for stage in ("extract", "train"):  # in other processes, whose memory is not this one's
        command = [sys.executable, "-m", "mulde", stage, *options, "detector.max_steps=60", "--quiet"]
        subprocess.run([str(part) for part in command], check=True)
    return Made(text, fps, place / "clip.mp4", place / "run")


def encode(what: Sequence[str], file: Path) -> None:
    """Have FFmpeg write a file, as quickly as it can."""
    command = ["ffmpeg", "-v", "error", "-y", *what, "-c:v", "libx264", "-preset", "ultrafast", "-g", "25"]
    subprocess.run([*command, "-bf", "0", str(file.with_suffix(".part.mp4"))], check=True)
    file.with_suffix(".part.mp4").rename(file)


class Sender:
    """Sends a clip over and over, as a camera does; it may be killed, and comes back."""

    def __init__(self, clip: Path, over: str) -> None:
        with socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM
        ) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._clip, self._over = clip, over
        self.address = f"{over}://127.0.0.1:{port}" + ("" if over == "udp" else "/live.ts")
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)

    @contextmanager
    def running(self) -> Iterator[Sender]:
        self._thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            self.kill()
            self._thread.join()

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _work(self) -> None:
        listens = () if self._over == "udp" else ("-listen", "1")
        target = f"{self.address}?pkt_size=1316" if self._over == "udp" else self.address
        command = ["ffmpeg", "-v", "quiet", "-re", "-stream_loop", "-1", "-i", str(self._clip), "-c", "copy"]
        while not self._is_over.is_set():
            with self._lock:
                self._process = subprocess.Popen(
                    [*command, "-f", "mpegts", *listens, target], stdin=subprocess.DEVNULL
                )
            self._process.wait()
            self._is_over.wait(AWAY_SECONDS)


@dataclass
class Timing:
    """When frames of a camera were taken, and scored."""

    taken: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By number: the time by the clock, and in the footage."""
    scored: list[tuple[float, float]] = field(default_factory=list)
    """Likewise."""

    def take(self, frame: Frame) -> None:
        if len(self.taken) < 10**6:
            self.taken[frame.index] = time.monotonic(), frame.seconds

    def latencies(self, since: float) -> np.ndarray:
        """Return the latency of each frame that was scored after a time, in seconds."""
        earliest = min(clock - seconds for clock, seconds in self.taken.values())
        return np.array([clock - seconds - earliest for clock, seconds in self.scored if clock >= since])


@contextmanager
def opened(made: Made, n_cameras: int, over: str) -> Iterator[tuple[list[OpenCamera], list[Sender]]]:
    """Have senders, and cameras that watch them."""
    with ExitStack() as stack:
        senders = [stack.enter_context(Sender(made.clip, over).running()) for _ in range(n_cameras)]
        time.sleep(1.0)
        entries = [{"name": f"c{k}", "source": sender.address} for k, sender in enumerate(senders)]
        setting = f"score.false_alarms_per_day={MANY}"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "cameras.yaml"
            content = {"model": str(made.run), "settings": [setting], "cameras": entries}
            file.write_text(json.dumps(content), encoding="utf-8")
            cameras = open_cameras(file)
        yield cameras, senders


def measure(made: Made, n_cameras: int, over: str, seconds: float) -> str:
    """Watch for some seconds; return a line of the table."""
    timings = {f"c{k}": Timing() for k in range(n_cameras)}
    with opened(made, n_cameras, over) as (cameras, _):

        def feed(camera: OpenCamera) -> Callable[[], Generator[Seen, None, None]]:
            timing = timings[camera.name]
            return lambda: camera.watcher.watch(camera.source, on_frame=timing.take)

        feeds = {camera.name: feed(camera) for camera in cameras}
        n_opened, since, cpu, n_scored = 0, float("inf"), 0.0, 0
        with closing(side_by_side(feeds, [camera.source for camera in cameras])) as seen:
            for name, each in seen:
                now = time.monotonic()
                if isinstance(each, Opened):
                    n_opened += 1
                    if n_opened == n_cameras:
                        since = now + WARM_UP_SECONDS
                if isinstance(each, ScoredFrame):
                    timings[name].scored.append((now, each.seconds))
                    if now >= since:
                        cpu = cpu or time.process_time()
                        n_scored += 1
                if now >= since + seconds:
                    used, lasted = time.process_time() - cpu, now - since
                    break
        n_dropped = sum(camera.source.health.n_dropped for camera in cameras)
    latencies = np.concatenate([timing.latencies(since) for timing in timings.values()])
    return row(
        made.size,
        n_cameras,
        over,
        f"{n_scored / lasted:.1f}",
        f"{made.fps * n_cameras:.0f}",
        f"{np.median(latencies):.2f}",
        f"{np.quantile(latencies, 0.95):.2f}",
        f"{used / lasted:.2f}",
        n_dropped,
        f"{memory_mb():.0f}",
    )


def row(*cells: object) -> str:
    """Return a line of the table."""
    return "  ".join([f"{cells[0]:12}", *(f"{cell!s:>9}" for cell in cells[1:])])


def memory_mb() -> float:
    """Return what this process holds now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


@dataclass
class Account:
    """What a camera told of, and what its scores hold."""

    rule: Rule
    threshold: float
    n_frames: int = 0
    n_lost: int = 0
    told: list[tuple[int, int]] = field(default_factory=list)
    n_begun: int = 0
    held: list[tuple[int, int]] = field(default_factory=list)
    stretches: LiveStretches | None = None
    times: deque[float] = field(default_factory=partial(deque, maxlen=1001))
    fps: float = 25.0

    def take(self, seen: Seen) -> None:
        if isinstance(seen, Opened):
            self.stretches, self.fps = LiveStretches(self.threshold, self.rule), seen.frames_per_second
            self.times.clear()
        elif isinstance(seen, ScoredFrame) and self.stretches is not None:
            self.n_frames += 1
            self.times.append(seen.seconds)
            step = 1 / (usual_rate(np.array(self.times)) or self.fps)  # as it is known to who watches
            self._hold(self.stretches.push(seen.frame, seen.seconds, seen.score, step))
        elif isinstance(seen, Happening):
            self.told.append((seen.event.start_frame, seen.event.stop_frame))
        elif isinstance(seen, Beginning):
            self.n_begun += 1
        elif isinstance(seen, Closed) and self.stretches is not None:
            self._hold(self.stretches.finish())
            self.stretches = None
        elif isinstance(seen, Lost):
            self.n_lost += 1

    def compare(self, file: Path) -> str:
        """Return what was told, in records and in a file of them, beside what the scores hold."""
        lines = file.read_text(encoding="utf-8").splitlines()
        n_kept = sum(json.loads(line)["type"] == "event" for line in lines)
        n_missing = len([each for each in self.held if each not in self.told])
        n_doubled = len(self.told) - len(set(zip(self.told, _pieces(self.told), strict=True)))
        return (
            f"{self.n_frames} scored, lost {self.n_lost} times; {len(self.held)} events in the scores, "
            f"{len(self.told)} told, {n_kept} in the file, {n_missing} missing, {n_doubled} doubled"
        )

    def _hold(self, said: Sequence[object]) -> None:
        self.held += [(e.stretch.start, e.stretch.stop) for e in said if isinstance(e, Ended)]


class Receiver:
    """Takes what a webhook posts, unless it is away."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.records.append(json.loads(content))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._handler, self._server = Handler, ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._port = self._server.server_port
        self.address = f"http://127.0.0.1:{self._port}/events"

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        self._serve()
        try:
            yield self
        finally:
            self.go_away()

    def go_away(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def come_back(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._serve()

    def got(self) -> str:
        """Return what has come."""
        events = [record for record in self.records if record["type"] == "event"]
        n_events = len({(record["camera"], record["event_id"]) for record in events})
        n_clips = sum(record["type"] == "clip" and not record["error"] for record in self.records)
        return f"{n_events} got, {len(events) - n_events} more than once; {n_clips} clips"

    def _serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def soak(made: Made, n_cameras: int, over: str, minutes: float, n_kills: int, away_minutes: float) -> None:
    """Watch for long, with senders that are killed; print what became of memory, frames and events."""
    kept = Path(tempfile.mkdtemp(prefix="soak-"))
    started, memories = time.monotonic(), list[tuple[float, float]]()
    n_waiting = 0
    with opened(made, n_cameras, over) as (cameras, senders), ExitStack() as stack:
        receiver = stack.enter_context(Receiver().running())
        wishes = Wishes(webhook=receiver.address, clip_seconds_around=(3.0, 3.0), on_board=True)
        attendants = [
            Attendant(c.watcher, c.source, RunFolder(kept / c.name), wishes, name=c.name) for c in cameras
        ]
        accounts = {}
        for camera in cameras:
            threshold = camera.watcher.threshold.listed_score
            assert threshold is not None, "there is no threshold"
            accounts[camera.name] = Account(camera.watcher.rule, threshold)
        for attendant in attendants:
            stack.enter_context(attendant.folder.held())
            stack.enter_context(attendant.ready())

        def kill() -> None:
            for sender in senders:
                sender.kill()

        def come_back() -> None:
            nonlocal n_waiting
            n_waiting = sum(1 for _ in kept.glob("*/outbox/*.json"))
            receiver.come_back()

        plan = [(minutes * (k + 1) / (n_kills + 1), kill) for k in range(n_kills)]
        plan += [(minutes * 0.4, receiver.go_away), (minutes * 0.4 + away_minutes, come_back)]
        plan.sort(key=lambda each: each[0])

        def feed(attendant: Attendant) -> Callable[[], Generator[dict[str, object], None, None]]:
            def noted() -> Iterator[Seen]:
                for seen in given_up_alone(attendant.name, attendant.watch()):
                    accounts[attendant.name].take(seen)
                    yield seen

            return lambda: attendant.records(noted())

        feeds = {attendant.name: feed(attendant) for attendant in attendants}
        status = {}
        with closing(side_by_side(feeds, [camera.source for camera in cameras])) as records:
            for name, record in records:
                lasted = time.monotonic() - started
                if record["type"] == "status":
                    status[name] = record
                if not memories or lasted - memories[-1][0] >= minutes * 60 / 12:
                    memories.append((lasted, memory_mb()))
                while plan and lasted >= plan[0][0] * 60:
                    plan.pop(0)[1]()
                if lasted >= minutes * 60:
                    break
    stdout.print(
        f"{made.size}, {n_cameras} cameras over {over}, {minutes:g} min, {n_kills} kills of all senders"
    )
    stdout.print("memory: " + " · ".join(f"{mb:.0f} MB at {at / 60:.1f} min" for at, mb in memories))
    for camera in cameras:
        said = status.get(camera.name, {}).get("n_dropped", 0)
        stdout.print(
            f"{camera.name}: {camera.source.health.n_dropped} frames dropped ({said} said a minute ago or "
            f"less), {accounts[camera.name].compare(kept / camera.name / 'events.jsonl')}"
        )
    n_told = sum(len(account.told) for account in accounts.values())
    stdout.print(
        f"webhook: away for {away_minutes:g} min, {n_waiting} records waited when it was back; "
        f"{n_told} events told, {receiver.got()}"
    )
    shutil.rmtree(kept)


def _pieces(events: Sequence[tuple[int, int]]) -> list[int]:
    """Return the number of the piece of footage that each event is of: frames count anew in each."""
    piece, numbers, last = 0, [], -1
    for start, _ in events:
        piece += start < last
        last = start
        numbers.append(piece)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("watch-benchmark"))
    parser.add_argument("--sizes", nargs="+", default=["360x240@25", "640x360@25", "1920x1080@25"])
    parser.add_argument("--cameras", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--over", choices=("http", "udp"), default="http")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--away", type=float, default=10.0, metavar="MINUTES")
    options = parser.parse_args()
    if options.soak is not None:
        made = make(options.folder, options.sizes[0])
        away_minutes = min(options.away, options.soak / 2)
        soak(made, options.cameras[0], options.over, options.soak, options.kills, away_minutes)
        return
    head = ("size", "cameras", "over", "frames/s", "sent/s", "latency s", "95 % s", "cores", "dropped", "MB")
    stdout.print(row(*head))
    for size in options.sizes:
        made = make(options.folder, size)
        for n_cameras in options.cameras:
            stdout.print(measure(made, n_cameras, options.over, options.seconds))


if __name__ == "__main__":
    main()
