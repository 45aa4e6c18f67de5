"""One self-contained HTML page a run: metrics, ROC curve, and the score curve of every test video."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mulde.data.atomic import encode, write_bytes
from mulde.data.sealed import BLANK, seal
from mulde.pipeline.metrics.events import EventTable, event_curve, runs
from mulde.pipeline.metrics.frames import roc_curve
from mulde.pipeline.metrics.records import Metric, Metrics
from mulde.pipeline.metrics.roc import RocCurve
from mulde.pipeline.metrics.video_scores import VideoScores, check_finite

MAX_POINTS = 800
"""Points a drawn curve has at most: about one a pixel of the page's width."""

_FLAT_SHARE = 1 / 20
"""Where the typical video would stay below this share of a linear score axis, the axis is compressed."""

# Colours that matplotlib draws with; the page's style sheet replaces them, once for light and once for dark.
_COLOURS = {
    "#000001": "var(--curve)",
    "#000002": "var(--faint)",
    "#000003": "var(--label)",
    "#000004": "var(--peak)",
    "#000005": "var(--grid)",
    "#000006": "var(--muted)",
}
_CURVE, _FAINT, _LABEL, _PEAK, _GRID, _MUTED = _COLOURS

_SVG_METADATA = ("Creator", "Date", "Format", "Type")


@dataclass(frozen=True)
class ReportVideo:
    """What the page shows of one test video; raises ValueError where its arrays do not fit together."""

    name: str
    scores: NDArray[np.float64]
    """(T,), one score a decoded frame as it was measured, finite, higher = more anomalous."""
    unsmoothed: NDArray[np.float64] | None = None
    """(T,), the same before smoothing; None draws the smoothed curve alone."""
    labels: NDArray[np.uint8] | None = None
    """(T,), 1 = abnormal, 0 = normal; None where nobody labelled this video."""
    seconds: NDArray[np.float64] | None = None
    """(T,), when each frame is shown; None where nobody knows."""
    labelled_events: tuple[str, ...] = ()
    """What the labels call the events of this video, and where these are."""
    warnings: tuple[str, ...] = ()
    """What decoding and scoring had to say, a sentence each."""
    thumbnail_jpeg: bytes | None = None
    """The frame of the highest score as a JPEG file, boxes already drawn."""
    picture_note: str = ""
    """Why there is no such picture although one was wanted."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 1:
            raise ValueError(f"{self.name}: scores have shape {self.scores.shape}, not (T,)")
        for what, array in (
            ("unsmoothed scores", self.unsmoothed),
            ("labels", self.labels),
            ("times", self.seconds),
        ):
            if array is not None and array.shape != self.scores.shape:
                raise ValueError(f"{self.name}: {what} {array.shape} do not match scores {self.scores.shape}")
        check_finite(self.name, self.scores)
        if self.unsmoothed is not None:
            check_finite(self.name, self.unsmoothed)
        if self.thumbnail_jpeg is not None and not self.thumbnail_jpeg.startswith(b"\xff\xd8"):
            raise ValueError(f"{self.name}: the thumbnail is not a JPEG file")

    @property
    def peak_frame(self) -> int | None:
        """Return the first frame with the highest score, None for a video without frames."""
        return int(self.scores.argmax()) if self.scores.size else None


@dataclass(frozen=True)
class ReportFailure:
    """A video that the run could not finish."""

    video: str
    stage: str
    reason: str


@dataclass(frozen=True)
class ReportRun:
    """Everything that the page of one run shows."""

    name: str
    preset: str
    data: str
    """Which videos, in words or as a path."""
    date: str
    """Shown as given, so that equal input gives an equal page."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of each package that takes part."""
    videos: Sequence[ReportVideo] = ()
    metrics: Metrics | None = None
    """None where there is nothing to evaluate against, or nothing was evaluated."""
    no_metrics_reason: str = "There are no labels for these videos, so there is nothing to measure against"
    failures: Sequence[ReportFailure] = ()
    caution: str = ""
    """Why nothing here must be taken for a result; "" where it may."""


def write_report(run: ReportRun, folder: Path) -> Path:
    """Write the page to `folder/index.html`, whole or not at all, and return its path."""
    page = render_report(run)
    path = folder / "index.html"
    write_bytes(path, seal(encode(page)))
    return path


def render_report(run: ReportRun) -> str:
    """Return the page as HTML that needs no other file and no network; equal input gives equal text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mulde.pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, count=_count, score=_score)
    axis = _score_axis(run.videos)
    return environment.get_template("report.html").render(
        checksum=BLANK,
        run=run,
        versions=sorted(run.versions.items()),
        tiles=_tiles(run.metrics),
        videos=_video_views(run, axis),
        is_labelled=any(video.labels is not None for video in run.videos),
        has_unsmoothed=any(video.unsmoothed is not None for video in run.videos),
        is_compressed=axis.linear_width is not None,
        roc_svg=_draw_roc(run.videos),
        events_svg=_draw_events(run.videos, None if run.metrics is None else run.metrics.events),
        max_points=MAX_POINTS,
    )


@dataclass(frozen=True)
class _Tile:
    """A headline number."""

    metric: Metric
    unsmoothed: float | None


@dataclass(frozen=True)
class _VideoView:
    """One video as the template shows it."""

    anchor: str
    video: ReportVideo
    n_abnormal: int | None
    auc: float | None
    max_score: float | None
    peak: str
    thumbnail_uri: str | None
    svg: str


def _tiles(metrics: Metrics | None) -> list[_Tile]:
    if metrics is None:
        return []
    raw = metrics.unsmoothed
    others = {} if raw is None else {number.key: number.value for number in raw.numbers}
    return [_Tile(metric, others.get(metric.key)) for metric in metrics.numbers]


def _video_views(run: ReportRun, axis: _ScoreAxis) -> list[_VideoView]:
    measured = () if run.metrics is None else run.metrics.per_video
    aucs = {video.name: video.auc for video in measured}
    return [
        _VideoView(
            anchor=f"video-{number}",
            video=video,
            n_abnormal=None if video.labels is None else int(np.count_nonzero(video.labels)),
            auc=aucs.get(video.name),
            max_score=None if video.peak_frame is None else float(video.scores[video.peak_frame]),
            peak=_peak(video),
            thumbnail_uri=_data_uri(video.thumbnail_jpeg),
            svg=_draw_scores(video, axis, salt=f"video-{number}"),
        )
        for number, video in enumerate(run.videos, start=1)
    ]


def _peak(video: ReportVideo) -> str:
    if video.peak_frame is None:
        return ""
    frame = f"frame {_count(video.peak_frame)}"
    if video.seconds is None:
        return frame
    return f"{frame} ({_clock(float(video.seconds[video.peak_frame]))})"


def _data_uri(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


# --- Numbers as people read them ---


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}\u202f%"


def _count(value: float) -> str:
    """Return a whole number with narrow spaces between thousands: 40 791."""
    return f"{value:,.0f}".replace(",", "\u202f")


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _clock(seconds: float) -> str:
    """Return minutes and seconds, with hours where there are any: 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


# --- Curves ---


@contextmanager
def _drawing_style(salt: str) -> Iterator[None]:
    """Set the look of all figures; `salt` keeps the ids of one SVG apart from those of others in the page."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc must not change the page
        mpl.rcParams.update(
            {
                "axes.edgecolor": _MUTED,
                "axes.labelcolor": _MUTED,
                "axes.linewidth": 0.6,
                "axes.spines.right": False,
                "axes.spines.top": False,
                "font.size": 9,
                "grid.color": _GRID,
                "grid.linewidth": 0.6,
                "svg.fonttype": "none",
                "svg.hashsalt": salt,
                "xtick.color": _MUTED,
                "ytick.color": _MUTED,
                "ytick.major.size": 0,
            }
        )
        yield


@dataclass(frozen=True)
class _ScoreAxis:
    """The vertical axis that all score curves share, so that their heights compare."""

    low: float
    high: float
    linear_width: float | None
    """Scores up to `low + linear_width` are drawn about linearly, higher ones by their logarithm.

    None makes all of the axis linear.
    """

    def apply(self, axes: Axes) -> None:
        """Set scale, limits and ticks of the axes."""
        if self.linear_width is not None:
            axes.set_yscale("function", functions=(self._compress, self._expand))
            ticks = self._expand(np.linspace(0, self._compress(np.array(self.high)), 4))
            axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks], minor=False)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(4))
        margin = 0.04
        low, high = self._compress(np.array([self.low, self.high]))
        axes.set_ylim(*self._expand(np.array([low - margin * (high - low), high + margin * (high - low)])))

    def _compress(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.linear_width is None:
            return scores
        return np.arcsinh((scores - self.low) / self.linear_width)

    def _expand(self, heights: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.linear_width is None:
            return heights
        return np.sinh(heights) * self.linear_width + self.low


def _score_axis(videos: Sequence[ReportVideo]) -> _ScoreAxis:
    """Span the smoothed scores of all videos, compressed where one of them would flatten most others."""
    peaks = [float(video.scores.max()) for video in videos if video.scores.size]
    if not peaks:
        return _ScoreAxis(0.0, 1.0, None)
    low = min(float(video.scores.min()) for video in videos if video.scores.size)
    high = max(peaks)
    if math.isclose(low, high):
        room = max(0.5, 0.1 * abs(low))
        return _ScoreAxis(low - room, high + room, None)
    typical = float(np.median(peaks)) - low
    is_flat = 0 < typical < _FLAT_SHARE * (high - low)
    return _ScoreAxis(low, high, typical if is_flat else None)


def _draw_scores(video: ReportVideo, axis: _ScoreAxis, *, salt: str) -> str:
    """Return the score curve over shaded label intervals as an SVG element, "" for a video without frames."""
    n_frames = video.scores.size
    if n_frames == 0:
        return ""
    starts = _bin_starts(n_frames)
    with _drawing_style(salt):
        figure = Figure(figsize=(9.5, 2.5))
        axes = figure.add_axes((0.06, 0.13, 0.93, 0.84))
        axis.apply(axes)
        axes.set_xlim(-0.5, n_frames - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.xaxis.set_major_formatter(lambda frame, _: _count(frame))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if video.labels is not None:
            _shade_labels(axes, video.labels, starts)
        if video.unsmoothed is not None:
            axes.plot(*_max_pool(video.unsmoothed, starts), color=_FAINT, linewidth=0.8, gid="unsmoothed")
        axes.plot(*_max_pool(video.scores, starts), color=_CURVE, linewidth=1.4, gid="smoothed")
        peak = video.scores.argmax()
        axes.plot([peak], [video.scores[peak]], "o", color=_PEAK, markersize=4, clip_on=False, gid="peak")
        return _to_svg(figure)


def _shade_labels(axes: Axes, labels: NDArray[np.uint8], starts: NDArray[np.int64]) -> None:
    edges = np.append(starts, labels.size) - 0.5
    shaded = runs(np.maximum.reduceat(labels, starts) > 0)
    spans = [(edges[start], edges[stop] - edges[start]) for start, stop in shaded]
    axes.broken_barh(
        spans, (0, 1), transform=axes.get_xaxis_transform(), facecolors=_LABEL, linewidth=0, gid="labels"
    )


def _draw_roc(videos: Sequence[ReportVideo]) -> str:
    """Return the ROC curves over all labelled frames as an SVG element, "" where a class is missing."""
    labelled = [(video, video.labels) for video in videos if video.labels is not None]
    smoothed = roc_curve([VideoScores(video.name, video.scores, labels) for video, labels in labelled])
    if smoothed is None:
        return ""
    raw = [
        VideoScores(video.name, video.unsmoothed, labels)
        for video, labels in labelled
        if video.unsmoothed is not None
    ]
    # Two curves of different videos would invite a comparison that means nothing.
    unsmoothed = roc_curve(raw) if len(raw) == len(labelled) else None
    with _drawing_style("roc"):
        figure = Figure(figsize=(4, 4))
        axes = figure.add_axes((0.13, 0.12, 0.84, 0.84), aspect="equal")
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="false positive rate", ylabel="true positive rate")
        axes.grid()
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8, linestyle=":", gid="chance")
        if unsmoothed is not None:
            axes.plot(*_thin(unsmoothed), color=_FAINT, linewidth=1, clip_on=False, gid="unsmoothed")
        axes.plot(*_thin(smoothed), color=_CURVE, linewidth=1.6, clip_on=False, gid="smoothed")
        return _to_svg(figure)


def _draw_events(videos: Sequence[ReportVideo], table: EventTable | None) -> str:
    """Return the part of events found over false alarms per hour as an SVG element, "" without a table."""
    if table is None:
        return ""
    curve = event_curve(
        [(video.scores, video.labels) for video in videos if video.labels is not None],
        min_share=table.min_share,
    )
    allowed, found = curve.share_found()
    most = max(point.allowed_per_hour for point in table.points) or 1.0
    is_inside = allowed <= most * table.hours
    per_hour, found = allowed[is_inside] / table.hours, found[is_inside]
    with _drawing_style("events"):
        figure = Figure(figsize=(6, 2.6))
        axes = figure.add_axes((0.09, 0.19, 0.89, 0.77))
        axes.set(xlim=(0, most), ylim=(0, 1.02), xlabel="false alarms per hour", ylabel="events found")
        axes.grid()
        # The last step goes on to the edge: more false alarms find no less.
        x, y = np.append(per_hour, most), np.append(found, found[-1])
        axes.step(x, y, where="post", color=_CURVE, linewidth=1.6, clip_on=False, gid="smoothed")
        return _to_svg(figure)


def _bin_starts(n_frames: int) -> NDArray[np.int64]:
    """Return the first frame of each of at most MAX_POINTS bins of about equal length."""
    n_bins = min(n_frames, MAX_POINTS)
    return np.arange(n_bins, dtype=np.int64) * n_frames // n_bins


def _max_pool(
    scores: NDArray[np.float64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the frame and the score of the maximum of each bin, so that no peak is lost or moved."""
    frames = np.array(
        [start + part.argmax() for start, part in zip(starts, np.split(scores, starts[1:]), strict=True)]
    )
    return frames, scores[frames]


def _thin(curve: RocCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve with at most MAX_POINTS points, evenly spaced along its way."""
    x, y = curve.false_positive_rate, curve.true_positive_rate
    if x.size <= MAX_POINTS:
        return x, y
    way = np.linspace(0, 2, MAX_POINTS)  # x + y climbs from 0 to 2 without a rest
    return np.interp(way, x + y, x), np.interp(way, x + y, y)


def _to_svg(figure: Figure) -> str:
    """Return the figure as an SVG element that can stand in a page beside others.

    matplotlib writes a document of its own: prolog, metadata with web addresses, a fixed size, ids that
    every figure repeats, and more digits than a screen has pixels.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(_SVG_METADATA))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", svg)
    svg = re.sub(r'<g id="([a-z]+)">', r'<g class="\1">', svg)
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    svg = svg.replace("xlink:href=", "href=")
    return re.sub(r"#00000[1-6]", lambda colour: _COLOURS[colour[0]], svg)
