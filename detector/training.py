"""Train an energy network: when to stop, at which rate, and how to go on after an interruption."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mulde.data.errors import InputError
from mulde.detector.batches import Batches, derived_seed
from mulde.detector.checkpoint import Checkpoint, TrainingState
from mulde.detector.network import EnergyNetwork
from mulde.detector.objective import PlainObjective, objective
from mulde.detector.settings import TrainingSettings

_NOISE, _DROPOUT, _HELD_OUT = 1, 2, 3
"""Kinds of `derived_seed`."""
_ROWS_A_PASS = 2048
_LEAST_DRAWS = 4096  # about
_LEAST_RATE = 0.01  # of the learning rate, where a cosine ends


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainingSettings):
    """How a network is trained, and with which noise."""

    sigma_low: float
    sigma_high: float

    def n_steps(self, n_batches: int) -> int:
        """Return the steps of the whole training, of n_batches an epoch."""
        n_steps = self.epochs * n_batches
        return n_steps if self.max_steps is None else min(n_steps, self.max_steps)

    def learning_rate_at(self, epoch: int, share_done: float) -> float:
        """Return the learning rate of an epoch, counted from 0, when a share of the training is done."""
        if self.schedule == "step":
            return self.learning_rate * self.lr_decay ** (epoch // self.lr_decay_epochs)
        if self.schedule == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, share_done)))
            return self.learning_rate * (_LEAST_RATE + (1 - _LEAST_RATE) * factor)
        return self.learning_rate


@dataclass(frozen=True)
class Look:
    """How training stands; what a `progress` callback is given."""

    step: int
    """Steps done."""
    n_steps: int
    """Steps that there will be at most."""
    loss: float
    """Mean training loss since the look before."""
    held_out_loss: float | None
    """Loss of the held-out rows, always with the same noise; None where no rows are held out."""
    learning_rate: float
    rows_per_second: float
    seconds_left: float
    """At most; training may stop earlier."""


Progress = Callable[[Look], None]


@dataclass(frozen=True)
class History:
    """What a training went through."""

    losses: NDArray[np.float32]
    """(n_steps,) training loss of every step."""
    held_out: NDArray[np.float64]
    """(n_looks, 2): steps done and held-out loss; (0, 2) where no rows were held out."""
    best_step: int
    """Steps after which the weights that were kept were reached."""


@dataclass
class _Progression:
    """What changes while training goes on, besides weights and optimiser."""

    losses: list[Tensor] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    best_loss: float = math.inf
    best_step: int = 0
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains a network in place and leaves it in evaluation mode, with the best weights that were seen.

    Args:
        network: on the device of the rows.
        batches: training rows.
        held_out: standardised rows that decide when to stop, (n, k) on the device; None for none.
        recipe: how.
        seed: of the order of rows, the noise scales and the noise.
        progress: called with a `Look` every `steps_between_looks` steps and after the last one.
        checkpoint: where to keep the state; training goes on from what is there.
    """

    def __init__(
        self,
        network: EnergyNetwork,
        batches: Batches,
        held_out: Tensor | None,
        recipe: Recipe,
        seed: int,
        *,
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self._network, self._batches, self._recipe, self._seed = network, batches, recipe, seed
        self._progress, self._checkpoint = progress, checkpoint
        self._device = network.out.weight.device
        self._optimiser = torch.optim.Adam(
            network.parameters(), lr=recipe.learning_rate, betas=(0.5, 0.9), fused=True
        )
        self._plain = PlainObjective(network, recipe.beta, recipe.precision) if network.is_plain else None
        self._average = None if recipe.ema_decay is None else copy.deepcopy(network).eval()
        self._best: dict[str, Tensor] | None = None
        self._judge = None if held_out is None else HeldOutLoss(held_out, recipe, seed)
        self._state = _Progression()
        self._n_steps = recipe.n_steps(batches.n_batches)

    def run(self) -> History:
        """Train until the last step, the end of the time, or no more gain on held-out rows.

        Raises:
            ValueError: the loss stopped being finite.
        """
        self._resume()
        self._network.train()
        with _forked_random_state(self._device):
            while not self._is_over():
                self._train_until_look()
                self._look()
        self._keep_best()
        self._network.eval()
        if self._checkpoint is not None:
            self._checkpoint.remove()
        state = self._state
        return History(
            torch.cat(state.losses).numpy() if state.losses else np.zeros(0, np.float32),
            np.array(state.held_out, dtype=np.float64).reshape(-1, 2),
            state.best_step if self._best is not None else state.step,
        )

    def _is_over(self) -> bool:
        state, recipe = self._state, self._recipe
        if state.step >= self._n_steps:
            return True
        if recipe.minutes is not None and state.seconds >= 60 * recipe.minutes:
            return True
        if recipe.patience is None or self._judge is None:
            return False
        return state.step - state.best_step >= recipe.patience * recipe.steps_between_looks

    def _train_until_look(self) -> None:
        state = self._state
        n = min(self._recipe.steps_between_looks, self._n_steps - state.step)
        losses = torch.empty(n, device=self._device)  # read together: no host sync a step
        started, first, before = time.monotonic(), state.step, state.seconds
        batches = self._batches_from(first)
        for i in range(n):
            epoch, batch = next(batches)
            self._optimiser.param_groups[0]["lr"] = self._rate(epoch)
            losses[i] = self._step(batch)
            state.step += 1
            state.seconds = before + time.monotonic() - started
            if self._recipe.minutes is not None and state.seconds >= 60 * self._recipe.minutes:
                losses = losses[: i + 1]
                break
        state.losses.append(losses.cpu())
        state.seconds = before + time.monotonic() - started
        self._rows_per_second = (state.step - first) * self._batches.n_rows / self._batches.n_batches
        self._rows_per_second /= max(1e-9, state.seconds - before)
        _check_finite(state.losses[-1], first, self._n_steps)

    def _batches_from(self, step: int) -> Iterator[tuple[int, Tensor]]:
        if not hasattr(self, "_stream"):
            self._stream = self._batches.starting_at(step)
        return self._stream

    def _rate(self, epoch: int) -> float:
        done = self._state.step / self._n_steps
        if self._recipe.minutes is not None:
            done = max(done, self._state.seconds / (60 * self._recipe.minutes))
        return self._recipe.learning_rate_at(epoch, done)

    def _step(self, x: Tensor) -> Tensor:
        """Take one optimiser step on the rows x (n, k) and return their loss, a detached scalar."""
        recipe, step = self._recipe, self._state.step
        generator = torch.Generator(x.device).manual_seed(derived_seed(self._seed, _NOISE, step))
        sigma, noise = draw_noise(x.shape, recipe, generator)
        if self._plain is not None:
            loss = self._plain(x, sigma, noise)
        else:
            torch.manual_seed(derived_seed(self._seed, _DROPOUT, step))  # dropout takes no generator
            loss = objective(self._network, x, sigma, noise, recipe.beta)
            self._optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
        self._optimiser.step()
        if self._average is not None:
            assert recipe.ema_decay is not None
            update_average(self._average, self._network, recipe.ema_decay, step + 1)
        return loss.detach()

    def _look(self) -> None:
        """Judge the weights by held-out rows, tell how it stands, and keep the state."""
        state = self._state
        judged = self._average or self._network
        held_out = None
        if self._judge is not None:
            judged.eval()
            held_out = self._judge(judged)
            self._network.train()
            state.held_out.append((state.step, held_out))
            if held_out < state.best_loss:
                state.best_loss, state.best_step = held_out, state.step
                self._best = _copy_of_weights(judged)
        if self._progress is not None:
            self._progress(self._describe(held_out))
        if self._checkpoint is not None:
            self._checkpoint.save_sometimes(self._to_state)

    def _describe(self, held_out: float | None) -> Look:
        state = self._state
        left = (self._n_steps - state.step) * state.seconds / max(1, state.step)
        if self._recipe.minutes is not None:
            left = min(left, max(0.0, 60 * self._recipe.minutes - state.seconds))
        return Look(
            state.step,
            self._n_steps,
            float(state.losses[-1].mean()),
            held_out,
            self._optimiser.param_groups[0]["lr"],
            self._rows_per_second,
            left,
        )

    def _keep_best(self) -> None:
        kept = self._best or (None if self._average is None else _copy_of_weights(self._average))
        if kept is not None:
            self._network.load_state_dict(kept)

    def _resume(self) -> None:
        found = self._checkpoint.load() if self._checkpoint is not None else None
        if found is None:
            return
        try:
            found.put_into(self._network, self._optimiser, self._average)
            looks = [(int(step), float(loss)) for step, loss in found.held_out]
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            assert self._checkpoint is not None
            told = " ".join(str(error).split())[:200]
            raise InputError(
                f"{self._checkpoint.path} says that it is of this training, but is not ({told}): delete it"
            ) from None
        self._best = found.best
        self._state = _Progression(
            [found.losses], looks, found.best_loss, found.best_step, found.step, found.seconds
        )

    def _to_state(self) -> TrainingState:
        state = self._state
        return TrainingState.take(
            self._network,
            self._optimiser,
            self._average,
            best=self._best,
            losses=torch.cat(state.losses),
            held_out=torch.tensor(state.held_out, dtype=torch.float64).reshape(-1, 2),
            best_loss=state.best_loss,
            best_step=state.best_step,
            step=state.step,
            seconds=state.seconds,
        )


class HeldOutLoss:
    """The objective on rows that training does not see, always with the same noise, so that losses
    compare.
    """

    def __init__(self, x: Tensor, recipe: Recipe, seed: int) -> None:
        generator = torch.Generator(x.device).manual_seed(derived_seed(seed, _HELD_OUT, 0))
        # Few rows are judged with many draws of noise, or the noise would decide
        self._x, self._beta = x.repeat(max(1, _LEAST_DRAWS // len(x)), 1), recipe.beta
        self._sigma, self._noise = draw_noise(self._x.shape, recipe, generator)

    @torch.no_grad()
    def __call__(self, network: EnergyNetwork) -> float:
        """Return the mean loss of all rows."""
        total = 0.0
        for start in range(0, len(self._x), _ROWS_A_PASS):
            part = slice(start, start + _ROWS_A_PASS)
            x = self._x[part]
            loss = objective(network, x, self._sigma[part], self._noise[part], self._beta)
            total += float(loss) * len(x)
        return total / len(self._x)


def draw_noise(shape: torch.Size, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a noise scale per row, (n, 1), log-uniform on [sigma_low, sigma_high], and noise (n, k)."""
    low, high = math.log(recipe.sigma_low), math.log(recipe.sigma_high)
    u = torch.rand((shape[0], 1), generator=generator, device=generator.device)
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return torch.exp(low + (high - low) * u), noise


@torch.no_grad()
def update_average(average: EnergyNetwork, network: EnergyNetwork, decay: float, n_updates: int) -> None:
    """Move a running average of the weights on by the n-th update."""
    # As in TensorFlow's ExponentialMovingAverage: short memory first, or the random start would stay.
    decay = min(decay, (1 + n_updates) / (10 + n_updates))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


@contextmanager
def _forked_random_state(device: torch.device) -> Iterator[None]:
    """Leave torch's global random state, which dropout reads, as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _copy_of_weights(network: EnergyNetwork) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def _check_finite(losses: Tensor, first_step: int, n_steps: int) -> None:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0, 0])
        raise ValueError(
            f"training diverged: the loss is {losses[step]} at step {first_step + step + 1} of {n_steps}; "
            "lower learning_rate"
        )
