"""Networks that turn pictures or clips into vectors: which one, with which weights, how it is run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.extractors.networks.images import ImageSpec, to_network
from mulde.extractors.networks.library import Library
from mulde.extractors.networks.machine import Machine, cut, mixed_precision, on_loading, run_batches
from mulde.extractors.networks.weights import Weights, find_weights, record_of
from mulde.extractors.prefetch import prefetched
from mulde.extractors.settings import EncoderSettings

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
RANDOM = "random"
"""In place of weights: a network as it is before training, to try things out without a network connection."""
DEFAULT = "default"
"""In place of a tag: the weights that the network is best known with."""
RELATIVE_TOLERANCE = 1e-4
"""By how much of a vector's length it may differ, on a GPU or in mixed precision, when the batch has another
size: kernels sum in another order then. On a processor in float32 it has the same bits."""
_MOST_AT_A_TIME = {"float32": 1, "bfloat16": 4, "float16": 4}
"""On a processor. Small batches stay in its caches: mobilenet_v2 takes 17 ms a picture alone, and 36 ms in
batches of 32; in bfloat16 it takes 9 ms in batches of 4."""
_BATCHES_AHEAD = 2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoder:
    """A network with its weights."""

    library: Library
    network: str
    """Library and name, such as "torchvision/resnet50"."""
    weights: Weights | None
    """None for random weights."""
    tag: str
    """Tag of published weights; "default" if there is no other."""
    options: EncoderSettings
    machine: Machine = field(default_factory=Machine, compare=False)

    @property
    def name(self) -> str:
        """The network's name in its library."""
        return self.network.partition("/")[2]

    @property
    def spec(self) -> ImageSpec:
        """What pictures it wants."""
        return self.library.image_spec(self.name, self.tag)

    @property
    def n_features(self) -> int:
        """D; the network is built for it."""
        return self._load()[1]

    def settings(self) -> dict[str, Any]:
        """Return what decides the vectors: the content of the weights, not their name; batches do not."""
        weights = f"random, seed {self.options.seed}" if self.weights is None else self.weights.digest
        return {
            "network": self.network,
            "weights": weights,
            "preprocessing": self.tag,
            "fit": self.options.fit,
            "precision": self.options.precision,
        }

    def check(self) -> None:
        """Raise InputError if package, network or weights are not there; warn of random weights."""
        self.library.check_name(self.name)
        names = self.library.names()
        if self.name not in names:
            raise InputError(f"unknown network {self.network}: known are {', '.join(names)}")
        if self.weights is not None:
            self._check_tag(self.weights)
            self.weights.require()
            return
        _log.warning(
            "%s has random weights, as asked for: its features mean little, and so do the scores",
            self.network,
        )

    def _check_tag(self, weights: Weights) -> None:
        if weights.path is None and not _is_file(self.options.weights) and record_of(weights.name) is None:
            known = ", ".join(self.library.tags(self.name)) or "none"
            raise InputError(
                f"weights {self.options.weights!r} are not known for {self.network}: published are {known}; "
                "or give the path of a file"
            )

    def __call__(
        self, items: Sequence[T], pictures: Callable[[Sequence[T]], NDArray[np.uint8]]
    ) -> NDArray[np.float32]:
        """Return a vector per item, (len(items), D) float32.

        Args:
            items: what pictures or clips are made from, so many at a time.
            pictures: makes (n, h, w, 3) or (n, T, h, w, 3) uint8 of n items.
        """
        import torch

        network, n_features = self._load()
        device = self.machine.torch_device()
        spec, precision = self.spec, self.options.precision

        on_processor = device.type == "cpu"

        def prepare(batch: Sequence[T]) -> torch.Tensor:
            images = torch.from_numpy(pictures(batch))
            return to_network(images, spec) if on_processor else images  # a GPU is faster at it

        def run(batch: torch.Tensor) -> torch.Tensor:
            values = batch if on_processor else to_network(batch.to(device), spec)
            # not inference_mode, under which no weight wants gradients, see `_load`
            with torch.no_grad(), mixed_precision(device, precision):
                vectors: torch.Tensor = network(values)
            return vectors.float().cpu()

        batch_size = self.options.batch_size
        if on_processor:
            batch_size = min(batch_size, _MOST_AT_A_TIME[precision])
        prepared = map(prepare, cut(items, batch_size))
        works_ahead = self.machine.works_ahead and len(items) > batch_size
        with prefetched(prepared, _BATCHES_AHEAD) if works_ahead else nullcontext(prepared) as batches:
            results = run_batches(run, batches, self.network)
        if not results:
            return np.zeros((0, n_features), np.float32)
        return np.asarray(torch.cat(results).numpy())

    def _load(self) -> tuple[Any, int]:
        path = None if self.weights is None else self.weights.require()
        device = self.machine.torch_device()
        modified_ns = 0 if path is None else path.stat().st_mtime_ns
        with on_loading(self.network):
            return _load(self.library, self.name, path, modified_ns, self.options.seed, device)


def make_encoder(
    setting: str, options: EncoderSettings, libraries: dict[str, Library], machine: Machine
) -> Encoder:
    """Put an encoder together; nothing is loaded, and nothing fetched.

    Args:
        setting: the group that the options are, such as "clip", for messages.

    Raises:
        InputError: there is no such library.
    """
    prefix, slash, _ = options.encoder.partition("/")
    if not slash or prefix not in libraries:
        raise InputError(
            f"`{setting}.encoder` = {options.encoder!r} is not allowed: it is LIBRARY/NAME, where LIBRARY is "
            f"{' or '.join(libraries)}"
        )
    library, chosen = libraries[prefix], options.weights
    if chosen == RANDOM:
        return Encoder(library, options.encoder, None, DEFAULT, options, machine)
    if _is_file(chosen):
        weights = find_weights(chosen, machine.weights_folder)
        return Encoder(library, options.encoder, weights, DEFAULT, options, machine)
    tag = library.default_tag if chosen == DEFAULT else chosen
    record = f"{options.encoder}/{tag}" if tag else options.encoder
    weights = find_weights(record, machine.weights_folder)
    return Encoder(library, options.encoder, weights, tag or DEFAULT, options, machine)


def _is_file(weights: str) -> bool:
    path = Path(weights).expanduser()
    return path.is_file() or "/" in weights or path.suffix in (".pt", ".pth", ".bin", ".safetensors")


@lru_cache(maxsize=4)
def _load(
    library: Library, name: str, path: Path | None, modified_ns: int, seed: int, device: torch.device
) -> tuple[torch.nn.Module, int]:
    """Load a network once a process."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, n_features = library.build(name, path)
    # Weights stay as they are, with gradients wanted: a batch is multiplied by such a matrix in one product,
    # by others in many, with copies: ten times as long for CLIP in bfloat16. Under no_grad nothing is kept.
    network = network.eval().to(device)
    for layer in network.modules():  # as `to_network` has them; up to twice as fast on a CPU
        if isinstance(layer, torch.nn.Conv2d):
            layer.to(memory_format=torch.channels_last)
        elif isinstance(layer, torch.nn.Conv3d):
            layer.to(memory_format=torch.channels_last_3d)
    return network, n_features
