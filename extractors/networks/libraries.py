"""The packages that encoders come from: open_clip, torchvision, hiera."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from mulde.data.errors import InputError, require_package
from mulde.extractors.networks.catalogue import Task, WeightsRecord
from mulde.extractors.networks.images import ImageSpec
from mulde.extractors.networks.library import Library

if TYPE_CHECKING:
    import torch

EXTRA = "encoders"
"""Extra of this package that all of them are in."""
_SAFE_FILE = "open_clip_model.safetensors"  # what open_clip itself looks for first


class OpenClip(Library):
    """Image towers of CLIP and its successors; the vector is the image embedding, not normalised."""

    default_tag: ClassVar[str] = "openai"

    def names(self) -> list[str]:
        """Return the models that open_clip has a configuration of, and all of.

        Some get their text tower from a hub, which would be reached even for their image tower alone.
        """
        open_clip = require_package("open_clip", EXTRA)
        return [name for name in open_clip.list_models() if not self._needs_hub(name)]

    def check_name(self, name: str) -> None:
        """Raise InputError for a network whose text tower comes from a hub."""
        if name in require_package("open_clip", EXTRA).list_models() and self._needs_hub(name):
            raise InputError(
                f"open_clip/{name} cannot be used: it gets its text tower from a hub, even for pictures. "
                "Take another network, such as open_clip/ViT-B-16-quickgelu"
            )

    @staticmethod
    def _needs_hub(name: str) -> bool:
        config = require_package("open_clip", EXTRA).get_model_config(name)
        return "hf_model_name" in config.get("text_cfg", {})

    def image_spec(self, name: str, tag: str) -> ImageSpec:
        """Return what the tag's authors used, or those of the model's first published weights."""
        return _open_clip_spec(name, tag)

    def tags(self, name: str) -> list[str]:
        """Return open_clip's tags."""
        return list(require_package("open_clip", EXTRA).list_pretrained_tags_by_model(name))

    def record(self, name: str, tag: str) -> WeightsRecord | None:
        """Return what open_clip knows of a tag: a repository of Hugging Face, or an address."""
        open_clip = require_package("open_clip", EXTRA)
        known = open_clip.get_pretrained_cfg(name, tag)
        repository, _, file = known.get("hf_hub", "").rpartition("/")
        source = f"hf://{repository}/{file or _SAFE_FILE}" if repository else known.get("url")
        if not source:
            return None
        card = f"https://huggingface.co/{repository}" if repository else source
        n_features = open_clip.get_model_config(name)["embed_dim"]
        licence = f"not known: see {card}"
        return WeightsRecord(f"open_clip/{name}/{tag}", "appearance", n_features, licence, source)

    def build(self, name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
        """Build the whole model, for checkpoints hold it, and keep the image tower."""
        open_clip = require_package("open_clip", EXTRA)
        if path is None or _is_torchscript(path):
            with _no_warnings():  # that weights are random: the user has asked for it, or they come next
                model = open_clip.create_model(name)
            if path is not None:
                _load_torchscript(model, path)
        else:
            try:
                model = open_clip.create_model(name, pretrained=str(path), require_pretrained=True)
            except Exception as error:  # whatever a file that is not the model's leads to
                raise _misfit(path, f"open_clip/{name}", str(error)) from error
        model.visual.output_tokens = False  # CoCa's would give its patches as well
        return model.visual, int(open_clip.get_model_config(name)["embed_dim"])


class TorchvisionImages(Library):
    """Classification networks of torchvision; the vector is what the last layer sees."""

    task: ClassVar[Task] = "appearance"

    def names(self) -> list[str]:
        """Return the classification networks."""
        torchvision = require_package("torchvision", EXTRA)
        return list(torchvision.models.list_models(module=torchvision.models))

    def image_spec(self, name: str, tag: str) -> ImageSpec:
        """Return that of the published weights."""
        return _torchvision_spec(name, tag)

    def tags(self, name: str) -> list[str]:
        """Return torchvision's names of the network's weights."""
        return list(_torchvision_weights(name).__members__)

    def record(self, name: str, tag: str) -> WeightsRecord | None:
        """Return where torchvision has them; "" for the default ones."""
        weights = _torchvision_weights(name)
        if tag and tag not in weights.__members__:
            return None
        chosen = weights[tag or "DEFAULT"]
        return WeightsRecord(
            f"torchvision/{name}/{tag}".rstrip("/"),
            self.task,
            None,
            chosen.meta.get("license", "BSD-3-Clause"),
            chosen.url,
            Path(chosen.url).stem.rpartition("-")[2],  # torchvision puts its beginning into the file's name
            chosen.meta.get("_file_size"),
            "ImageNet" if self.task == "appearance" else "Kinetics",
        )

    def build(self, name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
        """Build the network without its last layer."""
        return _build_torchvision(name, path)


class TorchvisionClips(TorchvisionImages):
    """Video classification networks of torchvision; the vector is what the last layer sees."""

    task: ClassVar[Task] = "clip"

    def names(self) -> list[str]:
        """Return the video networks."""
        torchvision = require_package("torchvision", EXTRA)
        return list(torchvision.models.list_models(module=torchvision.models.video))

    def check_length(self, name: str, length_frames: int) -> None:
        """Raise InputError if clips are too short, or of another length than the network is made for."""
        least = _torchvision_weights(name).DEFAULT.meta.get("min_temporal_size") or 1
        # the position embeddings of MViT are for one length
        _refuse_length(
            f"torchvision/{name}", length_frames, least, least if name.startswith("mvit") else None
        )


class HieraClips(Library):
    """Hiera on clips (Ryali et al., ICML 2023); the vector is the mean token after the last normalisation."""

    def names(self) -> list[str]:
        """Return the video networks."""
        hiera = _import_hiera()
        return sorted(name for name in vars(hiera) if name.startswith("hiera_") and name.endswith("16x224"))

    def image_spec(self, name: str, tag: str) -> ImageSpec:
        """Return that of the Kinetics-400 weights: 224 px, mean and deviation of ImageNet."""
        return ImageSpec(224, 224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear")

    def tags(self, name: str) -> list[str]:
        """Return nothing: the default weights, fine-tuned on Kinetics-400, are the ones to use."""
        return []

    def record(self, name: str, tag: str) -> WeightsRecord | None:
        """Return nothing that the catalogue does not have."""
        return None

    def build(self, name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
        """Build the network without its classifier."""
        hiera = _import_hiera()
        network = getattr(hiera, name)(pretrained=False)
        n_features = int(network.head.projection.in_features)
        network.head = _identity()  # what is before it: the mean of all tokens, normalised
        if path is not None:
            state = {key: value for key, value in read_state(path).items() if not key.startswith("head.")}
            _load_state(network, state, path, f"hiera/{name}")
        return network, n_features

    def check_length(self, name: str, length_frames: int) -> None:
        """Raise InputError unless clips have 16 frames."""
        _refuse_length(f"hiera/{name}", length_frames, 16, 16)


IMAGE_LIBRARIES: dict[str, Library] = {"open_clip": OpenClip(), "torchvision": TorchvisionImages()}
"""By the name in front of the slash: encoders of pictures."""
CLIP_LIBRARIES: dict[str, Library] = {"torchvision": TorchvisionClips(), "hiera": HieraClips()}
"""By the name in front of the slash: encoders of clips."""


def published(name: str) -> WeightsRecord | None:
    """Return the record of weights that a library knows, from LIBRARY/NAME or LIBRARY/NAME/TAG."""
    library, network, tag = [*name.split("/", 2), ""][:3]
    for libraries in (IMAGE_LIBRARIES, CLIP_LIBRARIES):
        if library in libraries and network in libraries[library].names():
            return libraries[library].record(network, tag)
    return None


def read_state(path: Path) -> dict[str, Any]:
    """Read a state dict from a .safetensors file or a checkpoint of torch; nothing is unpickled but tensors.

    Raises:
        InputError: it is none.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file of another kind leads to
        raise InputError(
            f"{path} holds no state dict that can be read safely, as weights of networks are: is it another "
            "program's checkpoint? Give a file of weights alone"
        ) from error
    for name in ("state_dict", "model_state", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not state:
        raise InputError(f"{path} holds no state dict: give the weights of a network")
    return {key.removeprefix("module."): value for key, value in state.items()}


@cache
def _open_clip_spec(name: str, tag: str) -> ImageSpec:
    open_clip = require_package("open_clip", EXTRA)
    tags = open_clip.list_pretrained_tags_by_model(name)
    known = open_clip.get_pretrained_cfg(name, tag if tag in tags else next(iter(tags), ""))
    wanted = open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    height, width = wanted if isinstance(wanted, (list, tuple)) else (wanted, wanted)
    return ImageSpec(
        height,
        width,
        min(height, width),
        known.get("mean", open_clip.OPENAI_DATASET_MEAN),
        known.get("std", open_clip.OPENAI_DATASET_STD),
        known.get("interpolation", "bicubic"),
    )


@cache
def _torchvision_spec(name: str, tag: str) -> ImageSpec:
    weights = _torchvision_weights(name)
    known = (weights[tag] if tag in weights.__members__ else weights.DEFAULT).transforms()
    height, width = (known.crop_size * 2)[:2]
    before = known.resize_size[0] if len(known.resize_size) == 1 else tuple(known.resize_size)
    return ImageSpec(height, width, before, tuple(known.mean), tuple(known.std), known.interpolation.value)


def _import_hiera() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of timm's, about how hiera imports it
        return require_package("hiera", EXTRA)


def _torchvision_weights(name: str) -> Any:
    return require_package("torchvision", EXTRA).models.get_model_weights(name)


def _build_torchvision(name: str, path: Path | None) -> tuple[torch.nn.Module, int]:
    torchvision = require_package("torchvision", EXTRA)
    network = torchvision.models.get_model(name, weights=None)
    last, n_features = _last_layer(network)
    parent, _, child = last.rpartition(".")
    setattr(network.get_submodule(parent), child, _identity())
    if path is not None:
        state = {key: value for key, value in read_state(path).items() if not key.startswith(f"{last}.")}
        features = getattr(network, "features", None)
        # some share the features alone; that is enough where nothing else has weights
        is_all = features is not None and len(features.state_dict()) == len(network.state_dict())
        is_part = not any(key.startswith("features.") for key in state)
        target = features if features is not None and is_all and is_part else network
        _load_state(target, state, path, f"torchvision/{name}")
    return network, n_features


def _last_layer(network: torch.nn.Module) -> tuple[str, int]:
    """Return the name of the layer that gives the classes, and the length of the vectors that it sees."""
    import torch

    name, layer = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d | torch.nn.Conv3d)
    ][-1]
    return name, layer.in_features if isinstance(layer, torch.nn.Linear) else layer.in_channels


def _identity() -> torch.nn.Module:
    import torch

    return torch.nn.Identity()


def _load_state(network: torch.nn.Module, state: dict[str, Any], path: Path, name: str) -> None:
    try:
        network.load_state_dict(state)
    except (RuntimeError, AttributeError) as error:
        raise _misfit(path, name, str(error)) from None


def _misfit(path: Path, name: str, reason: str) -> InputError:
    text = " ".join(reason.split())
    return InputError(f"the weights {path} do not fit {name}: was it another network? ({text[:300]})")


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep a library from logging warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _is_torchscript(path: Path) -> bool:
    """Whether a file is of the kind in which OpenAI has published CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _load_torchscript(model: torch.nn.Module, path: Path) -> None:
    import torch

    script = cast(Any, torch.jit.load)(str(path), map_location="cpu")
    # such a file also holds sizes and masks, and numbers of 16 bits
    wanted = model.state_dict().keys()
    state = {key: value.float() for key, value in script.state_dict().items() if key in wanted}
    _load_state(model, state, path, "open_clip")


def _refuse_length(network: str, length_frames: int, least: int, only: int | None) -> None:
    if length_frames < least or (only is not None and length_frames != only):
        wanted = f"{only}" if only is not None else f"at least {least}"
        raise InputError(
            f"`clip.length_frames` = {length_frames} is not allowed: {network} wants {wanted} frames"
        )
