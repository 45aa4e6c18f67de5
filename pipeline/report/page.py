"""One self-contained HTML page per run: what happened, when, where and why, and the numbers behind it.

The page loads nothing and sends nothing: pictures are data, curves are drawn by uPlot (1.6.32, MIT licence,
in `vendor`), and a policy in its head forbids the browser whatever was not written here.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mulde.data import atomic
from mulde.data.sealed import BLANK, seal
from mulde.data.spelling import printable
from mulde.pipeline.events.record import Event, Threshold, time_in_video
from mulde.pipeline.events.thresholds import rate_in_words
from mulde.pipeline.metrics.records import Metric, Metrics
from mulde.pipeline.pictures.stills import EventStills
from mulde.pipeline.report import numbers
from mulde.pipeline.report.curves import encode, outline
from mulde.pipeline.report.records import Rates, ReportEvent, ReportRun, ReportVideo, Stretch, clock_at

_UPLOT = "uplot-1.6.32"
_FLAT_SHARE = 1 / 20
"""Where the typical video would stay below this share of a linear score axis, the axis is compressed."""
_HEADROOM = 0.05
"""Above the highest curve, as a share of its height."""
_OUTLINE_POINTS = 240
_MOST_CHIPS = 12
"""Events that are named below a curve."""
_N_WORST = 10
_MOST_RATE_POINTS = 500
_OWN_WIDTH = 30
"""Where the longest video is so many times as long as the middle one, each has the whole timeline."""
_N_MARKS = 5
_BAR_WIDTH, _BAR_HEIGHT, _LEAST_WIDTH = 1000, 26, 3


def write_report(run: ReportRun, folder: Path) -> Path:
    """Write the page to `folder/index.html`, whole or not at all, and return its path."""
    page = render_report(run)
    path = folder / "index.html"
    atomic.write_bytes(path, seal(atomic.encode(page)))
    return path


def render_report(run: ReportRun) -> str:
    """Return the page as HTML that needs no other file and no network; equal input gives equal text."""
    axis = _score_axis(run)
    style, script = _style(), _script()
    shown = run.events or run.moments
    events = [_EventView.of(number, event, run) for number, event in enumerate(shown, start=1)]
    return _template().render(
        checksum=BLANK,
        run=run,
        policy=_policy(style, script),
        style=style,
        script=script,
        lead=_lead(run),
        nothing=_nothing(run),
        versions=sorted(run.versions.items()),
        has_threshold=_threshold(run) is not None,
        has_listed=_listed(run) != _threshold(run),
        n_alarms=sum(view.is_alarm for view in events),
        cards=[view for view in events if view.picture],
        rows=[view for view in events if not view.picture],
        notes=[each.picture_note for each in shown if each.picture_note],
        videos=_video_views(run, axis),
        axis_marks=_axis_marks(run.videos),
        is_labelled=any(video.abnormal is not None for video in run.videos),
        is_compressed=axis.linear_width is not None,
        is_reduced=any(video.curve.frame.size < video.curve.n_frames for video in run.videos),
        headline=_headline(run.metrics),
        is_measured_only=run.metrics is not None and not run.events,
        tiles=_tiles(run.metrics),
        worst_alarms=_worst(run.videos, highest=True),
        worst_misses=_worst(run.videos, highest=False),
        scenes=[
            {"name": scene.name, "facts": scene.facts, "uris": [_data_uri(jpeg) for jpeg in scene.pictures]}
            for scene in run.scenes
        ],
        data=_data(run, events, axis),
    )


# --- The frame of the page ---


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mulde.pipeline.report"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=numbers.percent,
        count=numbers.count,
        score=numbers.score,
        duration=numbers.duration,
        rate=lambda per_day: rate_in_words(per_day) if per_day else "never",
    )
    return environment.get_template("report.html")


def _shown(value: object) -> object:
    """Return a value as the page shows it: control characters in names and reasons are spelt out."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")  # which what is marked as safe has
    return printable(str(value), keep="\n\t") if is_text else value


def _style() -> str:
    return f"{_asset('vendor', f'{_UPLOT}.min.css')}\n{_asset('templates', 'report.css')}"


def _script() -> str:
    licence = _asset("vendor", "uplot-LICENSE").strip()
    uplot = _asset("vendor", f"{_UPLOT}.min.js")
    script = f"/*! uPlot\n{licence}\n*/\n{uplot}\n{_asset('templates', 'report.js')}"
    assert "</script" not in script
    return script


def _asset(folder: str, name: str) -> str:
    return (resources.files("mulde.pipeline.report") / folder / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a content security policy under which nothing but this style and this script has any effect."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_sha256(style)}'; script-src '{_sha256(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


# --- What happened ---


def _lead(run: ReportRun) -> str:
    """Return what came out, in a sentence or two."""
    if not run.videos:
        return "Nothing was scored."
    n_all = len(run.videos) + run.n_more_videos
    footage = f"{numbers.duration(sum(video.seconds for video in run.videos))} of footage"
    if run.n_more_videos:
        footage = f"of which {numbers.count(len(run.videos))} are shown"
    if not run.events:
        is_quiet = _listed(run) is not None
        return f"{'Nothing stood out' if is_quiet else 'Scores'} in {_videos(n_all)}, {footage}."
    n_events = len(run.events) + run.n_more_events
    n_alarms = sum(_is_alarm(run, each.event) for each in run.events) + run.n_more_alarms
    n_videos = len({each.event.video for each in run.events})
    if run.n_more_events or n_videos == n_all:
        where = f"{'all ' if n_all > 1 else ''}{_videos(n_all)}"
    else:
        where = f"{numbers.count(n_videos)} of {_videos(n_all)}"
    first = run.events[0].event
    strongest = "The strongest: " if n_events > 1 else ""
    reason = f", {first.reason.partition('; ')[0]}" if first.reason else ""  # all of it is told below
    return (
        f"{numbers.count(n_events)} event{_s(n_events)}{_of_them_alarms(n_alarms, n_events)} in {where}, "
        f"{footage}. "
        f"{strongest}{first.when} in {first.video}{reason}."
    )


def _of_them_alarms(n_alarms: int, n_events: int) -> str:
    """Return how many events are alarms, to follow their number; "" where all are."""
    if n_alarms == n_events:
        return ""
    if n_events == 1:
        return ", no alarm,"
    some = "none" if n_alarms == 0 else numbers.count(n_alarms)
    return f", {some} of them {'an alarm' if n_alarms < 2 else 'alarms'},"


def _is_alarm(run: ReportRun, event: Event) -> bool:
    return run.threshold is not None and run.threshold.is_alarm(event.score)


def _videos(number: int) -> str:
    return f"{numbers.count(number)} video{_s(number)}"


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _nothing(run: ReportRun) -> str:
    """Return why there is no event."""
    level = _listed(run)
    if level is None:
        return "There is no threshold for these scores, so that nothing is called an event."
    peaks = [video.curve.score.max() for video in run.videos if video.curve.n_frames]
    highest = f" The highest score is {numbers.score(max(peaks))}." if peaks else ""
    return f"No score reaches {numbers.score(level)}, from which on events are listed.{highest}"


def _threshold(run: ReportRun) -> float | None:
    return None if run.threshold is None else run.threshold.score


def _listed(run: ReportRun) -> float | None:
    """Return the score from which on events are listed."""
    return None if run.threshold is None else run.threshold.listed_score


@dataclass(frozen=True)
class _StillView:
    uri: str
    offset: str
    """From the peak, in words."""
    is_peak: bool


@dataclass(frozen=True)
class _EventView:
    """An event as the template shows it."""

    number: int
    event: Event
    index: int
    """Of its video."""
    is_alarm: bool
    peak_seconds: float
    when: str
    facts: str
    picture: str
    """A data address; "" where there is none."""
    size: tuple[int, int]
    box: tuple[float, float, float, float] | None
    """x, y, width, height in pixels of the frame."""
    strip: tuple[_StillView, ...]

    @property
    def anchor(self) -> str:
        return f"video-{self.index + 1}"

    @classmethod
    def of(cls, number: int, shown: ReportEvent, run: ReportRun) -> _EventView:
        event, stills = shown.event, shown.stills
        index = next(k for k, video in enumerate(run.videos) if video.name == event.video)
        curve = run.videos[index].curve
        nearest = int(np.abs(curve.frame - event.peak_frame).argmin())
        box = event.box_xyxy
        last = event.stop_frame - 1
        frames = f"frame{_s(last - event.start_frame + 1)} {numbers.count(event.start_frame)}" + (
            f" to {numbers.count(last)}" if last > event.start_frame else ""
        )
        return cls(
            number,
            event,
            index,
            _is_alarm(run, event),
            float(curve.seconds[nearest]),
            event.when,
            f"score {numbers.score(event.score)} · {numbers.duration(event.n_seconds)} · {frames}"
            if run.events
            else f"score {numbers.score(event.score)} · {frames}",
            "" if stills is None else _data_uri(stills.peak.jpeg),
            (0, 0) if stills is None else stills.peak.size,
            None if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1]),
            () if stills is None else tuple(_strip(stills)),
        )


def _strip(stills: EventStills) -> list[_StillView]:
    peak = stills.peak
    return [
        _StillView(_data_uri(still.jpeg), _offset(still.seconds - peak.seconds), still.frame == peak.frame)
        for still in stills.strip
    ]


def _offset(seconds: float) -> str:
    if abs(seconds) < 0.005:
        return "at the peak"
    return f"{abs(seconds):.1f} s {'before' if seconds < 0 else 'after'}"


# --- Each video ---


@dataclass(frozen=True)
class _Bar:
    """A video on the timeline, in units of 1000 a width."""

    width: float
    path: str
    abnormal: tuple[tuple[float, float], ...]
    """Left edge and width of each stretch."""
    events: tuple[tuple[int, float, float, str, bool], ...]
    """Number, left edge, width and words of each event, and whether it is an alarm."""


@dataclass(frozen=True)
class _Peak:
    frame: int
    score: float


@dataclass(frozen=True)
class _VideoView:
    """One video as the template shows it."""

    anchor: str
    video: ReportVideo
    auc: float | None
    peak: _Peak | None
    length: str
    facts: str
    n_events: int
    chips: tuple[tuple[int, str, bool], ...]
    """Number and words of its strongest events, in order of time, and whether each is an alarm."""
    bar: _Bar


def _video_views(run: ReportRun, axis: _ScoreAxis) -> list[_VideoView]:
    aucs = {} if run.metrics is None else {video.name: video.auc for video in run.metrics.per_video}
    widths = _bar_widths(run.videos)
    views = []
    for index, video in enumerate(run.videos):
        events = [(n, e.event) for n, e in enumerate(run.events, start=1) if e.event.video == video.name]
        chips = sorted(events[:_MOST_CHIPS], key=lambda each: each[1].start_seconds)
        point = video.curve.peak
        peak = (
            None if point is None else _Peak(int(video.curve.frame[point]), float(video.curve.score[point]))
        )
        views.append(
            _VideoView(
                f"video-{index + 1}",
                video,
                aucs.get(video.name),
                peak,
                _length(video),
                _facts(video, peak, aucs.get(video.name), any(v.abnormal is not None for v in run.videos)),
                len(events),
                tuple((number, f"{number} · {event.when}", _is_alarm(run, event)) for number, event in chips),
                _bar(video, events, axis, widths[index], run.threshold),
            )
        )
    return views


def _length(video: ReportVideo) -> str:
    start = clock_at(video, 0)
    began = "" if start is None else f"{start:%Y-%m-%d %H:%M} · "
    return f"{began}{numbers.duration(video.seconds)}"


def _facts(video: ReportVideo, peak: _Peak | None, auc: float | None, is_labelled: bool) -> str:
    n_frames = video.curve.n_frames
    facts = [f"{numbers.count(n_frames)} frame{_s(n_frames)}", _length(video)]
    if video.n_abnormal is not None:
        facts.append(f"{numbers.count(video.n_abnormal)} abnormal")
    elif is_labelled:
        facts.append("not labelled")
    if auc is not None:
        facts.append(f"AUC {numbers.percent(auc)}")
    if peak is not None:
        assert video.curve.peak is not None
        at = numbers.clock(float(video.curve.seconds[video.curve.peak]))
        facts.append(f"highest score {numbers.score(peak.score)} at frame {numbers.count(peak.frame)} ({at})")
    return " · ".join(facts)


def _has_one_scale(videos: Sequence[ReportVideo]) -> bool:
    lengths = [video.seconds for video in videos if video.seconds > 0]
    return not lengths or max(lengths) < _OWN_WIDTH * float(np.median(lengths))


def _bar_widths(videos: Sequence[ReportVideo]) -> list[float]:
    longest = max((video.seconds for video in videos), default=0.0)
    if not _has_one_scale(videos) or longest == 0:
        return [float(_BAR_WIDTH)] * len(videos)
    return [max(_LEAST_WIDTH, _BAR_WIDTH * video.seconds / longest) for video in videos]


def _axis_marks(videos: Sequence[ReportVideo]) -> list[str]:
    """Return the times below the timeline; none where videos have scales of their own."""
    longest = max((video.seconds for video in videos), default=0.0)
    if not _has_one_scale(videos) or longest == 0:
        return []
    marks = [longest * k / (_N_MARKS - 1) for k in range(_N_MARKS)]
    return [time_in_video(mark) if longest < _N_MARKS else numbers.clock(mark) for mark in marks]


def _bar(
    video: ReportVideo,
    events: Sequence[tuple[int, Event]],
    axis: _ScoreAxis,
    width: float,
    threshold: Threshold | None,
) -> _Bar:
    length = video.seconds or 1.0

    def place(start: float, stop: float) -> tuple[float, float]:
        wide = max(_LEAST_WIDTH, width * (stop - start) / length)
        return round(min(width * start / length, width - wide), 1), round(wide, 1)

    seconds, scores = outline(video.curve, _OUTLINE_POINTS)
    x = [*(width * seconds / length), width]
    y = [_BAR_HEIGHT * (1 - axis.height(score)) for score in scores]
    steps = "".join(f"V{y[k]:.1f}H{x[k + 1]:.1f}" for k in range(len(y)))
    return _Bar(
        round(width, 1),
        f"M{x[0]:.1f} {_BAR_HEIGHT}{steps}V{_BAR_HEIGHT}Z" if y else "",
        tuple(place(stretch.start_seconds, stretch.stop_seconds) for stretch in video.abnormal or ()),
        tuple(
            (
                number,
                *place(event.start_seconds, event.stop_seconds),
                f"{number} · {event.when}",
                threshold is not None and threshold.is_alarm(event.score),
            )
            for number, event in events
        ),
    )


@dataclass(frozen=True)
class _ScoreAxis:
    """The vertical axis that all score curves share, so that their heights compare."""

    low: float
    high: float
    linear_width: float | None
    """Scores up to so much are drawn about linearly, higher ones by their logarithm; None: all linearly."""

    def height(self, score: float) -> float:
        """Return where a score stands, from 0 at the lowest to 1 at the highest."""
        low, high, value = (self._compress(each) for each in (self.low, self.high, score))
        return (value - low) / (high - low)

    def _compress(self, score: float) -> float:
        return score if self.linear_width is None else math.asinh(score / self.linear_width)


def _score_axis(run: ReportRun) -> _ScoreAxis:
    """Span the scores of all videos and the threshold, compressed where one would flatten most others."""
    curves = [video.curve.score for video in run.videos if video.curve.score.size]
    if not curves:
        return _ScoreAxis(0.0, 1.0, None)
    peaks = [float(curve.max()) for curve in curves]
    level = _threshold(run)
    low = min(0.0, *(float(curve.min()) for curve in curves))
    high = max(peaks) if level is None else max(*peaks, 1.1 * level)
    if math.isclose(low, high):
        room = max(0.5, 0.1 * abs(low))
        return _ScoreAxis(low - room, high + room, None)
    typical = float(np.median(peaks)) - low
    is_flat = 0 < typical < _FLAT_SHARE * (high - low)
    return _ScoreAxis(low, high + _HEADROOM * (high - low), typical if is_flat else None)


# --- For researchers ---


@dataclass(frozen=True)
class _Tile:
    """A number that is defined."""

    metric: Metric
    unsmoothed: float | None


def _tiles(metrics: Metrics | None) -> list[_Tile]:
    if metrics is None:
        return []
    raw = metrics.unsmoothed
    others = {} if raw is None else {number.key: number.value for number in raw.numbers}
    return [_Tile(number, others.get(number.key)) for number in metrics.numbers if number.value is not None]


def _headline(metrics: Metrics | None) -> str:
    """Return the first two numbers that are defined, for the line that unfolds the others."""
    found = [] if metrics is None else [each for each in metrics.numbers if each.value is not None][:2]
    return ", ".join(f"{each.title} {numbers.percent(each.value)}" for each in found)


@dataclass(frozen=True)
class _StretchView:
    video: str
    anchor: str
    stretch: Stretch
    at: str


def _worst(videos: Sequence[ReportVideo], *, highest: bool) -> list[_StretchView]:
    """Return the normal stretches of the highest scores, or the abnormal ones of the lowest peaks."""
    found = [
        _StretchView(video.name, f"video-{number}", stretch, numbers.clock(stretch.peak_seconds))
        for number, video in enumerate(videos, start=1)
        for stretch in (video.normal if highest else video.abnormal) or ()
    ]
    found.sort(key=lambda view: -view.stretch.score if highest else view.stretch.score)
    return found[:_N_WORST]


def thin(rates: Rates) -> Rates:
    """Return curves of at most a few hundred points, evenly spread along their ways."""
    x, y = rates.false_positive, rates.true_positive
    way = np.linspace(0, 2, _MOST_RATE_POINTS)  # x + y climbs from 0 to 2 without a rest
    if x.size > _MOST_RATE_POINTS:
        x, y = np.interp(way, x + y, x), np.interp(way, x + y, y)
    recall, precision = rates.recall, rates.precision
    if recall.size > _MOST_RATE_POINTS:
        kept = np.unique(np.linspace(0, recall.size - 1, _MOST_RATE_POINTS).astype(int))
        recall, precision = recall[kept], precision[kept]
    return Rates(x, y, recall, precision)


# --- For the script ---


def _data(run: ReportRun, events: Sequence[_EventView], axis: _ScoreAxis) -> dict[str, Any]:
    """Return what the script draws, as plain JSON types."""
    return {
        "threshold": _threshold(run),
        "listed": _listed(run),
        "axis": {"low": axis.low, "high": axis.high, "width": axis.linear_width},
        "events": [
            {
                "index": view.index,
                "from": view.event.start_seconds,
                "to": view.event.stop_seconds,
                "peak": view.peak_seconds,
                "video": view.event.video,
                "when": view.when,
                "reason": view.event.reason,
                "facts": view.facts,
            }
            for view in events
        ],
        "videos": [
            _video_data(video, index, events, is_moment=not run.events)
            for index, video in enumerate(run.videos)
        ],
        "rates": None if run.rates is None else _rates_data(run.rates, run.videos),
    }


def _video_data(
    video: ReportVideo, index: int, events: Sequence[_EventView], *, is_moment: bool
) -> Mapping[str, Any]:
    start = video.start_clock
    return {
        "clock": None if start is None else start.hour * 3600 + start.minute * 60 + start.second,
        "curve": encode(video.curve),
        "abnormal": [(stretch.start_seconds, stretch.stop_seconds) for stretch in video.abnormal or ()],
        "events": [
            (view.event.start_seconds, view.event.stop_seconds, view.is_alarm)
            for view in events
            if view.index == index and not is_moment
        ],
    }


def _rates_data(rates: Rates, videos: Sequence[ReportVideo]) -> Mapping[str, Any]:
    few = thin(rates)
    labelled = [video for video in videos if video.n_abnormal is not None]
    n_frames = sum(video.curve.n_frames for video in labelled)
    return {
        "roc": _rounded(few.false_positive, few.true_positive),
        "pr": _rounded(few.recall, few.precision),
        "abnormal": sum(video.n_abnormal or 0 for video in labelled) / max(n_frames, 1),
    }


def _rounded(*parts: Any) -> list[list[float]]:
    return [np.round(part, 5).tolist() for part in parts]
