"""Do what operators want done to a frame; what two of them share is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mulde.data.video import Frame
from mulde.extractors.base import Preparation


class Preparer:
    """Runs preparations, and the parts that they are made from, on the frames of one video in order."""

    def __init__(self, preparations: Iterable[Preparation]) -> None:
        self._wanted = tuple(dict.fromkeys(preparations))
        self._steps: dict[Preparation, Callable[..., Any]] = {}  # parts come before what is made from them
        for preparation in self._wanted:
            self._add(preparation)

    def __call__(self, frame: Frame) -> dict[Preparation, Any]:
        """Return what each preparation makes of the next frame."""
        made: dict[Preparation, Any] = {}
        for preparation, step in self._steps.items():
            made[preparation] = step(frame, *(made[part] for part in preparation.parts))
        return {preparation: made[preparation] for preparation in self._wanted}

    def _add(self, preparation: Preparation) -> None:
        for part in preparation.parts:
            self._add(part)
        if preparation not in self._steps:
            self._steps[preparation] = preparation.start()


def prepare_with(preparation: Preparation) -> Callable[[Frame], Any]:
    """Return the function that does one preparation alone, parts included."""
    preparer = Preparer([preparation])
    return lambda frame: preparer(frame)[preparation]
