"""Networks so small that their vectors can be worked out by hand; real ones, run as any other."""

from __future__ import annotations

from pathlib import Path

import torch

from mulde.extractors.networks.catalogue import WeightsRecord
from mulde.extractors.networks.encoders import Encoder
from mulde.extractors.networks.images import ImageSpec
from mulde.extractors.networks.library import Library
from mulde.extractors.networks.machine import Machine
from mulde.extractors.settings import EncoderSettings

SPEC = ImageSpec(12, 16, 18, (0.5, 0.25, 0.125), (0.25, 0.5, 0.75), "bilinear")


class Quadrants(torch.nn.Module):
    """The mean colour of each quarter of a picture, (n, 12): red of all four, then green, then blue."""

    largest_batch = 1000

    def __init__(self) -> None:
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d((2, 2))
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.largest_batch:
            raise torch.cuda.OutOfMemoryError("as a GPU has it")
        self.batches.append(len(x))
        return self.pool(x).flatten(1)


class EachMean(torch.nn.Module):
    """The mean red of each frame of a clip, (n, T)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0].mean(dim=(2, 3))


class TinyLibrary(Library):
    """One network of each kind."""

    def __init__(self, length_frames: int = 4) -> None:
        self.length_frames = length_frames

    def names(self) -> list[str]:
        return ["quadrants", "each_mean"]

    def image_spec(self, name: str, tag: str) -> ImageSpec:
        return SPEC

    def tags(self, name: str) -> list[str]:
        return ["first", "second"]

    def record(self, name: str, tag: str) -> WeightsRecord | None:
        return None

    def build(self, name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
        return (Quadrants(), 12) if name == "quadrants" else (EachMean(), self.length_frames)


TINY = TinyLibrary()


def tiny_encoder(options: EncoderSettings, name: str = "quadrants", library: Library = TINY) -> Encoder:
    """An encoder as the recipe would make it."""
    return Encoder(library, f"tiny/{name}", None, "default", options, Machine())
