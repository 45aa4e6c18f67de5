"""What a data set is, and what a layout has to do: find the videos, their split and their labels on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mulde.data.labels.labels import Labels
from mulde.data.layouts.published import Published
from mulde.data.video import Video


@dataclass(frozen=True)
class Dataset:
    """Normal videos to learn from, test videos to score, and what is known about the latter."""

    name: str
    normal: tuple[Video, ...]
    test: tuple[Video, ...]
    labels: Labels | None = None
    """Labels of the test videos; None where there are none at all."""
    frames_per_second: float | None = None
    """Rate of folders of images; None where the layout does not say. Files have their own."""
    notes: tuple[str, ...] = ()
    """What does not add up, a sentence each."""
    protocol: str = ""
    """How the split was made from what is there, where that is a choice; "" where nothing was left out."""
    published: Published | None = None
    """What the complete set holds, as published."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """The cameras, in order; () where the layout knows of only one."""
        return tuple(sorted({video.scene for video in (*self.normal, *self.test)} - {""}))


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on disk."""

    looks_for: str
    """What `recognise` looks for, in plain words, for the user whose folder is none."""
    recognise: Callable[[Path], bool]
    """Whether a folder has this layout; it looks at names alone and is quick."""
    read: Callable[[Path], Dataset]
    """Make the data set; raises InputError where the folder cannot be used."""
