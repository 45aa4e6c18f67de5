"""The state of a training on disk, so that one that was interrupted goes on as if nothing had happened."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mulde.data.atomic import write_bytes
from mulde.data.foreign.text import parse_json
from mulde.data.sealed import KEY, check, seal
from mulde.detector.network import EnergyNetwork

_NUMBERS = "numbers"


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """All that decides how a training goes on."""

    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    """State of Adam: for parameter i, its step, and first and second moment."""
    average: dict[str, Tensor] | None
    """Running average of the weights."""
    best: dict[str, Tensor] | None
    """Weights with the lowest held-out loss so far."""
    losses: Tensor
    """(step,) of every step so far."""
    held_out: Tensor
    """(n_looks, 2) float64, steps done and held-out loss."""
    best_loss: float
    best_step: int
    step: int
    seconds: float
    """Time spent so far, for a budget of minutes."""

    @classmethod
    def take(
        cls,
        network: EnergyNetwork,
        optimiser: torch.optim.Optimizer,
        average: EnergyNetwork | None,
        **rest: Any,
    ) -> TrainingState:
        """Return the present state; tensors are shared, not copied."""
        moments = {
            f"{index}.{name}": value
            for index, values in optimiser.state_dict()["state"].items()
            for name, value in values.items()
        }
        return cls(
            weights=dict(network.state_dict()),
            moments=moments,
            average=None if average is None else dict(average.state_dict()),
            **rest,
        )

    def put_into(
        self, network: EnergyNetwork, optimiser: torch.optim.Optimizer, average: EnergyNetwork | None
    ) -> None:
        """Bring a network, its optimiser and its average to this state."""
        network.load_state_dict(self.weights)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in self.moments.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        if average is not None and self.average is not None:
            average.load_state_dict(self.average)


class Checkpoint:
    """A file that holds the latest state of one training.

    Args:
        path: of the file; its folder is made if need be.
        fingerprint: of all that the training depends on; the state of another training is not used.
        device: where loaded tensors go.
        seconds_between: least time from one save to the next.
    """

    def __init__(
        self,
        path: Path,
        fingerprint: str,
        device: torch.device,
        *,
        seconds_between: float,
    ) -> None:
        self.path, self._fingerprint, self._device = path, fingerprint, device
        self._seconds_between, self._saved = seconds_between, time.monotonic()

    def save_sometimes(self, state: Callable[[], TrainingState]) -> None:
        """Write the state if the last time is long enough ago."""
        if time.monotonic() - self._saved >= self._seconds_between:
            self.save(state())
            self._saved = time.monotonic()

    def save(self, state: TrainingState) -> None:
        """Write the state; a kill meanwhile leaves the one before."""
        tensors = {"losses": state.losses, "held_out": state.held_out}
        for group in ("weights", "moments", "average", "best"):
            named = getattr(state, group) or {}
            tensors |= {f"{group}.{name}": value for name, value in named.items()}
        numbers = {
            "fingerprint": self._fingerprint,
            "best_loss": None if math.isinf(state.best_loss) else state.best_loss.hex(),
            "best_step": state.best_step,
            "step": state.step,
            "seconds": state.seconds,
        }
        content = save(
            {name: value.contiguous() for name, value in tensors.items()},
            metadata={_NUMBERS: json.dumps(numbers), KEY: "0" * 32},
        )
        write_bytes(self.path, seal(content))

    def load(self) -> TrainingState | None:
        """Return the state, or None if there is none of this training or the file is damaged."""
        try:
            if not check(self.path):
                return None
            with safe_open(self.path, "pt", device=str(self._device)) as file:
                numbers = parse_json(file.metadata()[_NUMBERS])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            if numbers.pop("fingerprint") != self._fingerprint:
                return None
            return _state(numbers, tensors)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _state(numbers: dict[str, Any], tensors: dict[str, Tensor]) -> TrainingState:
    best_loss = numbers.pop("best_loss")
    groups = {
        group: {
            name.removeprefix(f"{group}."): value
            for name, value in tensors.items()
            if name.startswith(f"{group}.")
        }
        for group in ("weights", "moments", "average", "best")
    }
    return TrainingState(
        weights=groups["weights"],
        moments=groups["moments"],
        average=groups["average"] or None,
        best=groups["best"] or None,
        losses=tensors["losses"].cpu(),
        held_out=tensors["held_out"].cpu(),
        best_loss=math.inf if best_loss is None else float.fromhex(best_loss),
        best_step=int(numbers["best_step"]),
        step=int(numbers["step"]),
        seconds=float(numbers["seconds"]),
    )
