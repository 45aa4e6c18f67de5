"""How fast the detector trains and scores, against the textbook's loop and the machine's own matrix products.

    python benchmarks/detector.py                     # d = 34, 512 and 1152, 4096x4096 units: some minutes
    python benchmarks/detector.py --widths 512 512    # quicker
    python benchmarks/detector.py --device cuda       # on a GPU; captured graphs of a step are timed too

The textbook's loop is what one writes from the paper: a loader, the input gradient by double backward, also
on the clean batch, where nothing needs it; to score, a pass and a gradient for each noise scale. Everything
is measured in this process, in turns, and the best time of each is taken; "share" is of the rate of one
matrix product (batch x width) @ (width x width) in float32. By default, one scale decides a score, and only
that one is computed.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from mulde.detector.network import EnergyNetwork
from mulde.detector.objective import PlainObjective, objective

N_SCALES, BETA, LEARNING_RATE, SIGMA_LOW = 16, 0.1, 5e-4, 1e-3


class Textbook:
    """Training and scoring as written down from the paper, with torch alone."""

    def __init__(self, n_features: int, widths: list[int], x: Tensor, batch_size: int) -> None:
        sizes = [n_features + 1, *widths]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.GELU()]
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).to(x.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.9))
        self.loader = DataLoader(TensorDataset(x.cpu()), batch_size=batch_size, shuffle=True, drop_last=True)
        self.device = x.device
        self.batches = self._endless()

    def _endless(self) -> Iterator[Tensor]:
        while True:
            for (x,) in self.loader:
                yield x.to(self.device)

    def energy_and_gradient(
        self, x: Tensor, sigma: Tensor, *, keep_graph: bool = True
    ) -> tuple[Tensor, Tensor]:
        x = x.clone().requires_grad_()
        energy = self.network(torch.cat([x, sigma], dim=1))
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=keep_graph)
        return energy, gradient

    def step(self) -> float:
        x = next(self.batches)
        sigma, noise = draw(x)
        _, gradient = self.energy_and_gradient(x + sigma * noise, sigma)
        clean, _ = self.energy_and_gradient(x, sigma)
        matching = (sigma**2 / 2 * (gradient - noise / sigma).square().sum(dim=1, keepdim=True)).mean()
        loss = matching + BETA / 2 * clean.square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def score(self, x: Tensor) -> Tensor:
        columns = []
        for sigma in torch.linspace(SIGMA_LOW, 1, N_SCALES):
            column = sigma.to(x.device).expand(len(x), 1)
            energy, _ = self.energy_and_gradient(x, column, keep_graph=False)
            columns.append(energy.detach())
        return torch.cat(columns, dim=1)


class Ours:
    """The same with what `mulde.detector` trains and scores with."""

    def __init__(
        self, n_features: int, widths: list[int], x: Tensor, batch_size: int, precision: str
    ) -> None:
        self.network = EnergyNetwork(n_features, widths).to(x.device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=LEARNING_RATE,
            betas=(0.5, 0.9),
            fused=True,
            capturable=x.device.type == "cuda",
        )
        self.objective = PlainObjective(self.network, BETA, precision)  # type: ignore[arg-type]
        self.x, self.batch_size = x, batch_size
        self.dtype = getattr(torch, precision)

    def step(self) -> None:
        x = self.x[torch.randperm(len(self.x), device=self.x.device)[: self.batch_size]]
        self.objective(x, *draw(x))
        self.optimiser.step()

    def captured(self) -> Callable[[], object]:
        """Return a step whose kernels are recorded once and launched together (CUDA graphs)."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()

        def replay() -> None:
            graph.replay()

        self.graph, replay.owner = graph, self  # type: ignore[attr-defined]  # what it reads and writes
        return replay

    @torch.no_grad()
    def score(self, x: Tensor) -> Tensor:
        sigmas = torch.linspace(SIGMA_LOW, 1, N_SCALES, device=x.device)
        return self.network.energies(x, sigmas, dtype=self.dtype)


class Compiled:
    """Our objective with its closed-form input gradient through autograd, compiled by torch."""

    def __init__(self, n_features: int, widths: list[int], x: Tensor, batch_size: int) -> None:
        self.network = EnergyNetwork(n_features, widths).to(x.device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=LEARNING_RATE, betas=(0.5, 0.9), fused=True
        )
        self.x, self.batch_size = x, batch_size
        self.objective = torch.compile(objective)

    def step(self) -> None:
        x = self.x[torch.randperm(len(self.x), device=self.x.device)[: self.batch_size]]
        loss = self.objective(self.network, x, *draw(x), BETA)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def draw(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return noise scales (N, 1), log-uniform on [1e-3, 1], and noise (N, d)."""
    u = torch.rand(len(x), 1, device=x.device)
    return torch.exp(u * -math.log(SIGMA_LOW) + math.log(SIGMA_LOW)), torch.randn_like(x)


def wait() -> None:
    """Wait until a GPU has done what it was given."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def best_seconds(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the best time of each task; they take turns, so that a busy moment hits all alike."""
    best = dict.fromkeys(tasks, math.inf)
    for turn in range(repeats + 1):  # the first turn warms up
        for name, task in tasks.items():
            wait()
            started = time.perf_counter()
            task()
            wait()
            if turn:
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def product_rate(batch_size: int, width: int, dtype: torch.dtype, device: str) -> float:
    """Return FLOP/s of one matrix product."""
    a = torch.randn(batch_size, width, device=device).to(dtype)
    b = torch.randn(width, width, device=device).to(dtype)
    out = torch.empty_like(a)
    seconds = best_seconds({"": lambda: torch.mm(a, b, out=out)}, 10)[""]
    return 2 * batch_size * width * width / seconds


def flops(n_rows: int, n_features: int, widths: list[int], n_products: int) -> float:
    """Return FLOP of so many products of every layer with a batch."""
    sizes = [n_features + 1, *widths]
    return 2.0 * n_products * n_rows * sum(a * b for a, b in pairwise(sizes))


def measure_speed(arguments: argparse.Namespace, console: Console) -> None:
    batch_size, widths = arguments.batch, arguments.widths
    device = arguments.device
    rates = [product_rate(batch_size, widths[-1], dtype, device) for dtype in (torch.float32, torch.bfloat16)]
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    console.print(
        f"{where}, torch {torch.__version__}; one product of "
        f"{batch_size}x{widths[-1]} and {widths[-1]}x{widths[-1]}: {rates[0] / 1e9:.0f} GFLOP/s in float32, "
        f"{rates[1] / 1e9:.0f} in bfloat16"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("d", "", "textbook", "ours", "ratio", "share", "ours, bfloat16", "ratio", "share"):
        table.add_column(title, justify="right")
    for d in arguments.dims:
        x = torch.randn(4 * batch_size, d, device=device)
        loops = {
            "textbook": Textbook(d, widths, x, batch_size),
            "float32": Ours(d, widths, x, batch_size, "float32"),
            "bfloat16": Ours(d, widths, x, batch_size, "bfloat16"),
        }
        step = best_seconds({name: loop.step for name, loop in loops.items()}, arguments.repeats)
        # 9 products a layer: forward and its two backward, for clean and perturbed rows, and input gradient,
        # with two backward again
        work = flops(batch_size, d, widths, 9)
        table.add_row(
            str(d), "step", f"{step['textbook']:.4f} s",
            f"{step['float32']:.4f} s", f"{step['textbook'] / step['float32']:.2f}x",
            f"{work / step['float32'] / rates[0]:.0%}",
            f"{step['bfloat16']:.4f} s", f"{step['textbook'] / step['bfloat16']:.2f}x",
            f"{work / step['bfloat16'] / rates[0]:.0%}",
        )  # fmt: skip
        if device == "cuda":
            others = {
                "graph": Ours(d, widths, x, batch_size, "float32").captured(),
                "graph, bfloat16": Ours(d, widths, x, batch_size, "bfloat16").captured(),
                "compiled autograd": Compiled(d, widths, x, batch_size).step,
            }
            for name, seconds in best_seconds(others, arguments.repeats).items():
                ratio = step["textbook"] / seconds
                table.add_row("", f"step, {name}", "", f"{seconds:.4f} s", f"{ratio:.2f}x", "", "", "", "")
        rows = x[:batch_size]
        tasks = {name: partial(loop.score, rows) for name, loop in loops.items()}
        score = best_seconds(tasks, arguments.repeats)
        work = flops(batch_size, 0, widths, N_SCALES)
        table.add_row(
            "", f"score, {N_SCALES} scales", f"{score['textbook']:.4f} s",
            f"{score['float32']:.4f} s", f"{score['textbook'] / score['float32']:.2f}x",
            f"{work / score['float32'] / rates[0]:.0%}",
            f"{score['bfloat16']:.4f} s", f"{score['textbook'] / score['bfloat16']:.2f}x",
            f"{work / score['bfloat16'] / rates[0]:.0%}",
        )  # fmt: skip
    console.print(table)


def measure_loss(arguments: argparse.Namespace, console: Console) -> None:
    """Train from the same weights on the same rows, and compare losses on rows that nobody saw."""
    d, widths = arguments.dims[0], [min(width, 512) for width in arguments.widths]
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(d, d, generator=generator) / math.sqrt(d)
    x, held_out = (torch.tanh(torch.randn(n, d, generator=generator) @ mixing) for n in (16_384, 4096))
    loops = {
        "textbook": Textbook(d, widths, x, arguments.batch),
        "ours": Ours(d, widths, x, arguments.batch, "float32"),
        "ours, bfloat16": Ours(d, widths, x, arguments.batch, "bfloat16"),
    }
    first = loops["ours"].network
    loops["ours, bfloat16"].network.load_state_dict(first.state_dict())
    loops["textbook"].network.load_state_dict(
        dict(zip(loops["textbook"].network.state_dict(), first.state_dict().values(), strict=True))
    )
    console.print(f"held-out loss after {arguments.loss_steps} steps, d = {d}, units {widths}:")
    for name, loop in loops.items():
        torch.manual_seed(1)
        for _ in range(arguments.loss_steps):
            loop.step()
        judged = first if name == "ours" else EnergyNetwork(d, widths)
        judged.load_state_dict(
            dict(zip(judged.state_dict(), loop.network.state_dict().values(), strict=True))
        )
        torch.manual_seed(2)
        with torch.no_grad():
            loss = objective(judged, held_out, *draw(held_out), BETA)
        console.print(f"  {name}: {loss.item():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dims", type=int, nargs="+", default=[34, 512, 1152])
    parser.add_argument("--widths", type=int, nargs="+", default=[4096, 4096])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--loss-steps", type=int, default=300, help="0 leaves the comparison of losses out")
    arguments = parser.parse_args()
    console = Console(width=120)
    torch.manual_seed(0)
    measure_speed(arguments, console)
    if arguments.loss_steps:
        measure_loss(arguments, console)


if __name__ == "__main__":
    main()
