"""Why something was unusual: which stream stood out, and what a person would say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.events.causes import Cause
from mulde.pipeline.events.reasons import Usual, in_words, phrase, stand_out
from mulde.pipeline.models.model import StreamModel

RowOf = Callable[[str, int], "NDArray[np.float32] | None"]
"""Gives the features (D,) of a row of a stream; None where they could not be measured."""
_NOTHING_STANDS_OUT = "unusual, but nothing was found that stands out"


def explain(cause: Cause | None, models: Mapping[str, StreamModel], row_of: RowOf) -> tuple[str, str]:
    """Return the stream that drove a cause, "" where there is none, and the reason in words.

    Args:
        models: by stream.
    """
    if cause is None:
        return "", _NOTHING_STANDS_OUT
    means = {stream: model.calibration.unmeasured for stream, model in models.items()}
    streams = stand_out(cause.scores, means)
    rows = {stream: row_of(stream, cause.rows[stream]) for stream in streams}
    phrases = [_phrase(stream, row, models[stream]) for stream, row in rows.items()]
    return streams[0], in_words(phrases, _sigma(rows[streams[0]], models[streams[0]]))


def _phrase(stream: str, row: NDArray[np.float32] | None, model: StreamModel) -> str:
    return phrase(stream, row, Usual(model.detector.mean_, model.detector.scale_))


def _sigma(row: NDArray[np.float32] | None, model: StreamModel) -> float | None:
    found = None if row is None else model.detector.deciding_sigma(row[None])
    return None if found is None else float(found[0])
