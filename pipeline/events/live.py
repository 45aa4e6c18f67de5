"""Stretches of high scores as they happen: those that `find_stretches` finds when all scores are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mulde.pipeline.events.find import Rule, Stretch

_ROUNDING = 1e-9  # as in `find_stretches`


@dataclass(frozen=True)
class Began:
    """A stretch that has lasted long enough to count, and goes on."""

    start: int
    """0-based frame."""
    start_seconds: float
    peak: int
    score: float
    """So far."""


@dataclass(frozen=True)
class Ended:
    """A stretch that nothing can be added to any more."""

    stretch: Stretch
    start_seconds: float
    stop_seconds: float


@dataclass(frozen=True)
class _Open:
    """Frames in a row; its end is known when a frame follows that does not belong to it."""

    start: int
    start_seconds: float
    stop: int
    stop_seconds: float
    peak: int
    score: float
    is_said: bool = False


class LiveStretches:
    """Takes the scores of frames in order, and says which stretches begin and end.

    A stretch ends for good when the gap over which stretches are merged has passed.
    """

    def __init__(self, threshold: float, rule: Rule) -> None:
        self._threshold, self._rule = threshold, rule
        self._release = rule.release_score(threshold)
        self._run: _Open | None = None  # frames above the release score, up to the last frame
        self._kept: _Open | None = None  # what reached the threshold before, and may go on
        self._last_seconds = 0.0
        self._step = 0.0

    @property
    def open_since(self) -> float | None:
        """When that begins which may still become, or go on as, a stretch; None where there is nothing."""
        first = self._kept or self._run
        return None if first is None else first.start_seconds

    def push(self, frame: int, seconds: float, score: float, step_seconds: float) -> list[Began | Ended]:
        """Take the next frame: its number, time and score, and the usual distance of frames in seconds."""
        said: list[Began | Ended] = []
        longest_step = self._rule.longest_step(step_seconds)
        is_high = score >= self._release
        pauses = self._run is not None and seconds - self._last_seconds > longest_step
        if self._run is not None and (pauses or not is_high):
            self._close(min(self._last_seconds + self._step, seconds), said)
        if is_high:
            if self._run is None:
                self._run = _Open(frame, seconds, frame + 1, seconds, frame, score)
            run = replace(self._run, stop=frame + 1, stop_seconds=seconds + step_seconds)
            self._run = run if score <= run.score else replace(run, peak=frame, score=score)
        self._last_seconds, self._step = seconds, step_seconds
        self._settle(seconds, said)
        self._tell_beginning(said)
        return said

    def finish(self) -> list[Began | Ended]:
        """Take it that no frame follows."""
        said: list[Began | Ended] = []
        if self._run is not None:
            self._close(self._last_seconds + self._step, said)
        self._end(said)
        return said

    def _close(self, stop_seconds: float, said: list[Began | Ended]) -> None:
        """End the frames in a row; they count if they reached the threshold."""
        assert self._run is not None
        run, self._run = replace(self._run, stop_seconds=stop_seconds), None
        if run.score < self._threshold:
            return
        if self._kept is not None and not self._joins(self._kept, run):
            self._end(said)
        self._kept = run if self._kept is None else _joined(self._kept, run)
        self._tell_beginning(said)

    def _settle(self, seconds: float, said: list[Began | Ended]) -> None:
        """End what nothing can be added to any more."""
        start = self._run.start_seconds if self._run is not None else seconds
        if self._kept is not None and start - self._kept.stop_seconds > self._rule.merge_gap_seconds:
            self._end(said)

    def _end(self, said: list[Began | Ended]) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and self._is_long_enough(kept):
            stretch = Stretch(kept.start, kept.stop, kept.peak, kept.score)
            said.append(Ended(stretch, kept.start_seconds, kept.stop_seconds))

    def _tell_beginning(self, said: list[Began | Ended]) -> None:
        """Tell of a stretch, once, when it is clear that it counts."""
        whole = self._kept
        if self._run is not None and self._run.score >= self._threshold:
            # its last frame may turn out to be shown for no time at all
            run = replace(self._run, stop_seconds=self._last_seconds)
            goes_on = whole is not None and self._joins(whole, run)
            whole = _joined(whole, run) if whole is not None and goes_on else run
        if whole is None or whole.is_said or not self._is_long_enough(whole):
            return
        said.append(Began(whole.start, whole.start_seconds, whole.peak, whole.score))
        if self._kept is not None and whole.start == self._kept.start:
            self._kept = replace(self._kept, is_said=True)
        elif self._run is not None:
            self._run = replace(self._run, is_said=True)

    def _joins(self, kept: _Open, run: _Open) -> bool:
        return run.start_seconds - kept.stop_seconds <= self._rule.merge_gap_seconds

    def _is_long_enough(self, stretch: _Open) -> bool:
        return stretch.stop_seconds - stretch.start_seconds >= self._rule.least_seconds - _ROUNDING


def _joined(first: _Open, second: _Open) -> _Open:
    higher = second if second.score > first.score else first
    return _Open(
        first.start,
        first.start_seconds,
        second.stop,
        second.stop_seconds,
        higher.peak,
        higher.score,
        first.is_said or second.is_said,
    )
