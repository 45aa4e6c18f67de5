"""A camera whose header says 25 frames per second and which gives five: stages go by the times of frames."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mulde.data.decode.readers import open_frames
from mulde.data.video import Video

FAST = ["detector.widths=[32]", "detector.max_steps=30", "extract.flow.preset=ultrafast", "--workers", "2"]
STEP_SECONDS = 0.2


def slow_down(source: Path) -> int:
    """Put an MP4 file's pictures into a Matroska file of that camera, in its place; return their number."""
    with open_frames(Video("v", source, source.parent)) as frames:
        pictures = [frame.rgb for frame in frames]
    with av.open(str(source.with_suffix(".mkv")), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for index, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = 5 * index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source.unlink()
    return len(pictures)


@pytest.mark.slow
def test_report_events_and_hours_agree_with_the_scores(cli, scene: Path) -> None:
    n_frames = {path.stem: slow_down(path) for path in sorted((scene / "test").glob("*.mp4"))}
    assert cli("run", "--dataset", scene, "--out", "run", *FAST).code == 0
    peaks = []
    for name, n in n_frames.items():
        with Path(f"run/scores/{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        seconds, scores = (np.array([float(row[title]) for row in rows]) for title in ("time", "score"))
        np.testing.assert_allclose(seconds, np.arange(n) * STEP_SECONDS, atol=1e-3)
        peaks.append((int(scores.argmax()), int(seconds[scores.argmax()])))
    page = Path("run/report/index.html").read_text()
    shown = {
        (int(frame), 60 * int(m) + int(s))
        for frame, m, s in re.findall(r"frame (\d+) \((\d+):(\d\d)\)", page)
    }
    assert shown == set(peaks)
    assert "container claims" not in page
    events = json.loads(Path("run/metrics.json").read_text())["events"]
    assert events["hours"] == pytest.approx(sum(n_frames.values()) * STEP_SECONDS / 3600, rel=1e-3)
