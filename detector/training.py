"""Train an energy network on standardised features that stay on the device."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mulde.detector.network import EnergyNetwork, objective

Progress = Callable[[int, int, float], None]

_STEPS_BETWEEN_REPORTS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained. The defaults are those of `MULDE`, which documents each field."""

    beta: float
    sigma_low: float
    sigma_high: float
    learning_rate: float
    batch_size: int
    epochs: int
    max_steps: int | None
    lr_decay: float
    lr_decay_epochs: int | None
    ema_decay: float | None

    def n_batches(self, n_samples: int) -> int:
        """Return the steps of one epoch."""
        return math.ceil(n_samples / self.batch_size)

    def n_steps(self, n_samples: int) -> int:
        """Return the steps of the whole training."""
        n_steps = self.epochs * self.n_batches(n_samples)
        return n_steps if self.max_steps is None else min(n_steps, self.max_steps)

    def learning_rate_in(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if self.lr_decay_epochs is None:
            return self.learning_rate
        return self.learning_rate * self.lr_decay ** (epoch // self.lr_decay_epochs)


def train(
    network: EnergyNetwork,
    x: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> Tensor:
    """Train a network in place and leave it in evaluation mode.

    Args:
        network: on the device of x.
        x: standardised features, (N, d), N ≥ 1.
        settings: the recipe.
        generator: on the device of x; decides the order of the rows, the noise scales and the noise.
        progress: called as progress(step, n_steps, loss) every few steps and after the last one.

    Returns:
        The loss of every step, (n_steps,), on the CPU.

    Raises:
        ValueError: the loss stopped being finite.
    """
    n_steps = settings.n_steps(len(x))
    losses = torch.zeros(n_steps, device=x.device)  # read at the end: no host sync a step
    optimiser = torch.optim.Adam(
        network.parameters(), lr=settings.learning_rate, betas=(0.5, 0.9), fused=True
    )
    average = None if settings.ema_decay is None else WeightAverage(network, settings.ema_decay)
    batches = _endless_batches(len(x), settings, generator)
    network.train()
    with _global_random_state_of(generator):
        for step in range(n_steps):
            epoch, rows = next(batches)
            optimiser.param_groups[0]["lr"] = settings.learning_rate_in(epoch)
            losses[step] = _step(network, optimiser, x[rows], settings, generator)
            if average is not None:
                average.update(network)
            if progress is not None and ((step + 1) % _STEPS_BETWEEN_REPORTS == 0 or step + 1 == n_steps):
                progress(step + 1, n_steps, float(losses[step]))
    if average is not None:
        average.copy_to(network)
    network.eval()
    return _finite(losses.cpu())


@contextmanager
def _global_random_state_of(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global state for dropout, which takes no generator, and restore it afterwards."""
    devices = [generator.device] if generator.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(generator.initial_seed())
        yield


def _endless_batches(
    n_samples: int, settings: TrainingSettings, generator: torch.Generator
) -> Iterator[tuple[int, Tensor]]:
    """Yield (epoch, row numbers); an epoch's batches differ by at most one row, so none is tiny and noisy."""
    epoch = 0
    while True:
        order = torch.randperm(n_samples, generator=generator, device=generator.device)
        for rows in order.tensor_split(settings.n_batches(n_samples)):
            yield epoch, rows
        epoch += 1


def _step(
    network: EnergyNetwork,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    settings: TrainingSettings,
    generator: torch.Generator,
) -> Tensor:
    """Take one optimiser step on the rows x (n, d) and return their loss, a detached scalar."""
    sigma = _log_uniform(len(x), settings, generator)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    loss = objective(network, x, sigma, noise, settings.beta)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()
    return loss.detach()


def _log_uniform(n: int, settings: TrainingSettings, generator: torch.Generator) -> Tensor:
    """Return n noise scales, (n, 1), log-uniform on [sigma_low, sigma_high]."""
    low, high = math.log(settings.sigma_low), math.log(settings.sigma_high)
    u = torch.rand((n, 1), generator=generator, device=generator.device)
    return torch.exp(low + (high - low) * u)


def _finite(losses: Tensor) -> Tensor:
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0, 0])
        raise ValueError(
            f"training diverged: the loss is {losses[step]} at step {step + 1} of {len(losses)}; "
            "lower learning_rate"
        )
    return losses


class WeightAverage:
    """An exponential moving average of a network's weights, without the bias to its first ones."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.weights = [weight.detach().clone() for weight in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.n_updates += 1
        # As in TensorFlow's ExponentialMovingAverage: short memory first, or the random start would stay.
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        torch._foreach_lerp_(self.weights, [w.detach() for w in network.parameters()], 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        for weight, average in zip(network.parameters(), self.weights, strict=True):
            weight.copy_(average)
