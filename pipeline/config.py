"""Everything that can be configured, with its default; read from YAML, options and key=value."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mulde.data.errors import InputError
from mulde.extractors.settings import (
    BoxSettings,
    FlowSettings,
    HogSettings,
    SceneSettings,
    StillnessSettings,
    VelocitySettings,
)

StreamName = Literal["velocity", "direction", "stillness", "hog"]
PRESETS: dict[str, dict[str, Any]] = {
    # boxes and features from motion alone: no weights, no GPU, no network
    "motion": {},
}


class Section(BaseModel):
    """A group of settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Where the videos and labels are: two folders, or the root of a data set."""

    normal: Path | None = None
    """Folder of videos without anomalies, to learn from."""
    test: Path | None = None
    """Folder of videos to score."""
    labels: Path | None = None
    """Abnormal intervals or frames of the test videos; without them nothing is evaluated."""
    dataset: Path | None = None
    """Root of a data set in place of the three."""
    layout: str = "auto"
    """Layout of `dataset`; see `mulde.data.layouts.LAYOUTS`."""


class ExtractConfig(Section):
    """From frames to features."""

    streams: tuple[StreamName, ...] = Field(("velocity", "direction", "stillness"), min_length=1)
    """Kinds of features; `hog` is there to be asked for."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    stall_seconds: float = Field(120.0, gt=0)
    """A worker that gives no frame for so long is stopped, and the video tried once more with PyAV."""
    scene: SceneSettings = SceneSettings()
    boxes: BoxSettings = BoxSettings()
    flow: FlowSettings = FlowSettings()
    velocity: VelocitySettings = VelocitySettings()
    stillness: StillnessSettings = StillnessSettings()
    hog: HogSettings = HogSettings()

    @field_validator("streams")
    @classmethod
    def _once_each(cls, streams: tuple[StreamName, ...]) -> tuple[StreamName, ...]:
        if len(set(streams)) < len(streams):
            raise ValueError("a stream is named twice")
        return streams


class DetectorConfig(Section):
    """The density of each stream; see `mulde.detector.MULDE`.

    `widths` and `max_steps` suit features of a few dimensions and a CPU; the paper trains (4096, 4096) units
    for up to 1000 epochs.
    """

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((256, 256), min_length=1)
    max_steps: int | None = Field(500, ge=1)
    epochs: int = Field(1000, ge=1)
    batch_size: int = Field(2048, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    beta: float = Field(0.1, ge=0)
    sigma_low: float = Field(1e-3, gt=0)
    sigma_high: float = Field(1.0, gt=0)
    n_scales: int = Field(16, ge=1)
    aggregation: Literal["resolved", "gmm", "gmm_raw", "largest", "max", "mean", "median"] = "resolved"
    n_components: int = Field(5, ge=1)

    @model_validator(mode="after")
    def _scales_in_order(self) -> DetectorConfig:
        if self.sigma_low > self.sigma_high:
            raise ValueError(f"sigma_low {self.sigma_low} is above sigma_high {self.sigma_high}")
        return self


class ScoreConfig(Section):
    """From objects to frames."""

    smoothing_sigma_frames: float = Field(3.0, ge=0)
    """Gaussian smoothing in time; 0 for none."""
    causal: bool = False
    """Smooth over the past only, as live footage demands."""
    log_tail: bool = True
    """Let fused scores grow only logarithmically beyond the training range, before they are smoothed."""


class Config(Section):
    """A run."""

    preset: str = "motion"
    data: DataConfig = DataConfig()
    extract: ExtractConfig = ExtractConfig()
    detector: DetectorConfig = DetectorConfig()
    score: ScoreConfig = ScoreConfig()
    out: Path | None = None
    """Folder of the run; runs/<dataset>-<preset> if not given."""
    cache: Path = Path(".cache/mulde")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Videos that are extracted at the same time."""
    seed: int = 0

    def to_yaml(self) -> str:
        """Return everything, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(
    file: Path | None = None, *, options: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Config:
    """Put a configuration together: preset, then the YAML file, then options, then key=value.

    Args:
        options: values by dotted key, such as {"data.normal": Path("a")}.
        overrides: "key=value" with a dotted key and a YAML value, such as "detector.beta=0.05".

    Raises:
        InputError: a key is unknown (the text names the nearest), or a value is not allowed.
    """
    given: dict[str, Any] = _read_yaml(file) if file else {}
    where = str(file) if file else "the options"
    for key, value in (options or {}).items():
        _put(given, key, value, where)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"{override!r} is no key=value; a configuration file ends in .yaml")
        _put(given, key.strip(), _parse_value(key, text), override)
    preset = given.get("preset", Config().preset)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}: known are {', '.join(PRESETS)}")
    _refuse_unknown(given, Config().model_dump())
    try:
        return Config.model_validate(_merge(PRESETS[preset], given))
    except ValidationError as error:
        first = error.errors()[0]
        # a value that fits no member of a union is reported below the key, with the member's name
        path = [str(part) for part in first["loc"]]
        name = ".".join(path[: _depth(Config().model_dump(), path)])
        raise InputError(f"{name} = {first['input']!r} is not allowed: {first['msg']}") from None


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"configuration {file} cannot be read ({error.strerror}): check the path") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"configuration {file} is no YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"configuration {file} must hold key: value pairs, such as 'preset: motion'")
    return content


def _parse_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise InputError(f"the value of {key} is no YAML: {text!r}") from None


def _put(target: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    *parents, last = dotted.split(".")
    for name in parents:
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise InputError(f"{where}: {name} is not a group of settings")
    target[last] = value


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> None:
    for key, value in given.items():
        name = f"{prefix}{key}"
        if key not in known:
            raise InputError(f"unknown configuration key {name}{_nearest(name)}")
        if isinstance(known[key], Mapping):
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is a group of settings: give {name}.<key>=value")
            _refuse_unknown(value, known[key], f"{name}.")


def _depth(known: Any, path: Sequence[str]) -> int:
    if not path or not isinstance(known, Mapping) or path[0] not in known:
        return 0
    return 1 + _depth(known[path[0]], path[1:])


def _nearest(name: str) -> str:
    keys = _dotted(Config().model_dump())
    by_leaf = [key for key in keys if key.split(".")[-1] == name.split(".")[-1]]
    near = by_leaf or difflib.get_close_matches(name, keys, n=1, cutoff=0.4)
    return f": did you mean {near[0]}?" if near else f": known are {', '.join(sorted(Config.model_fields))}"


def _dotted(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in values.items():
        keys += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return keys
