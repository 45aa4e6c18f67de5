"""The contract of a package that encoders come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from mulde.extractors.networks.catalogue import WeightsRecord
from mulde.extractors.networks.images import ImageSpec

if TYPE_CHECKING:
    import torch


class Library(ABC):
    """A package of networks; those that are known are in `mulde.extractors.networks.libraries`."""

    default_tag: ClassVar[str] = ""
    """Tag of the weights that a network is best known with; empty where they have the network's name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the networks it has.

        Raises:
            InputError: the package is not installed.
        """

    @abstractmethod
    def image_spec(self, name: str, tag: str) -> ImageSpec:
        """Return what pictures the network wants; `tag` names the published weights, or "default"."""

    @abstractmethod
    def build(self, name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
        """Return a network that gives (n, D) for (n, 3, [T,] h, w), and D; on the CPU.

        Args:
            path: its weights; None leaves them random.

        Raises:
            InputError: the file does not fit.
        """

    @abstractmethod
    def tags(self, name: str) -> list[str]:
        """Return the names under which weights of a network were published."""

    @abstractmethod
    def record(self, name: str, tag: str) -> WeightsRecord | None:
        """Return where published weights are; None if there are none of that name."""

    def check_name(self, name: str) -> None:
        """Raise InputError with the reason if a network of the package cannot be had."""
        return

    def check_length(self, name: str, length_frames: int) -> None:
        """Raise InputError if the network takes no clips of that length."""
        return
