"""Everything that can be configured, with its default; read from YAML, options and key=value."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from mulde.data.errors import InputError
from mulde.detector.settings import (
    PAPER,
    SETTINGS,
    AggregationKind,
    EnergySettings,
    Precision,
    Schedule,
)
from mulde.extractors.networks.weights import WEIGHTS_FOLDER
from mulde.extractors.settings import (
    AppearanceSettings,
    BoxSettings,
    ClipSettings,
    FlowSettings,
    FrameSettings,
    HogSettings,
    PoseSettings,
    SceneSettings,
    StillnessSettings,
    VelocitySettings,
)
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.section import Section

_Width = Annotated[int, Field(ge=1)]
_MAY_BE_NONE = ("max_steps", "minutes", "ema_decay", "patience", "outlier_limit")
"""Settings of the detector for which null is a value, and not the default."""
StreamName = Literal["velocity", "direction", "stillness", "hog", "pose", "appearance", "clip", "frame"]
PRESETS: dict[str, dict[str, Any]] = {
    # boxes and features from motion alone: no weights, no GPU, no network
    "motion": {},
    # the paper's object-centric setup: a detector's boxes joined with motion boxes, described in three ways
    "object": {
        "extract": {
            "streams": ["velocity", "pose", "appearance"],
            "boxes": {"finder": "yolo", "join": "windows"},
        }
    },
    # the paper's frame-centric setup: clips of whole frames, described by a video network
    "frame": {"extract": {"streams": ["clip"]}},
}


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
    merge_cameras: bool = False
    """Whether one background is learnt from all cameras where test videos are of one that training lacks."""
    layout: str = "auto"
    """Layout of `dataset`; see `mulde.data.layouts.catalogue.LAYOUTS`."""
    normal_features: str | None = None
    """In place of videos: the name under which features of normal videos were imported into the cache."""
    test_features: str | None = None
    """The name under which features of the test videos were imported."""


class ExtractConfig(Section):
    """From frames to features."""

    plugins: tuple[Path, ...] = ()
    """Python files that define extractors of your own; see docs/extractors.md."""
    plugin_settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of plugins by the name of their stream."""
    streams: tuple[str, ...] = Field(("velocity", "direction", "stillness"), min_length=1)
    """Kinds of features, each a `StreamName` or, of imported features, as they were called then."""
    are_imported: bool = False
    """Whether they were imported; follows from `data.normal_features`, whatever is given here."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    threads: int = Field(1, ge=1)
    """Threads of a network in each worker process: more than one pay only where there are idle cores."""
    weights_folder: Path = Path(".cache/mulde/weights")
    """Where fetched weights are kept; if not given, `weights/` in the cache."""
    stall_seconds: float = Field(300.0, gt=0)
    """A worker that gives no frame, and no batch of a network, for so long is stopped, and the video tried
    once more with PyAV."""
    scene: SceneSettings = SceneSettings()
    boxes: BoxSettings = BoxSettings()
    flow: FlowSettings = FlowSettings()
    velocity: VelocitySettings = VelocitySettings()
    stillness: StillnessSettings = StillnessSettings()
    hog: HogSettings = HogSettings()
    pose: PoseSettings = PoseSettings()
    appearance: AppearanceSettings = AppearanceSettings()
    clip: ClipSettings = ClipSettings()
    frame: FrameSettings = FrameSettings()

    @field_validator("streams")
    @classmethod
    def _once_each(cls, streams: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(streams)) < len(streams):
            raise ValueError("a stream is named twice")
        return streams


class DetectorConfig(Section):
    """The density of each stream; see `mulde.detector` for what each setting does.

    A setting that is not given has the value of the preset, or the default in `mulde.detector.settings`.
    """

    kind: Literal["mulde", "msma", "single_scale", "knn", "gmm", "mahalanobis"] = "mulde"
    preset: Literal["default", "paper"] = "default"
    """Of kinds that train a network; "paper" is what the paper does, for a GPU."""
    tensorboard: bool = False
    """Write losses to RUN/tensorboard while training."""
    widths: Annotated[tuple[_Width, ...], Field(min_length=1)] | Literal["auto"] | None = None
    layer_norm: bool | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    beta: float | None = Field(None, ge=0)
    learning_rate: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    max_steps: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    """Of the whole stage, shared equally by all networks that are trained."""
    schedule: Schedule | None = None
    lr_decay: float | None = Field(None, gt=0, le=1)
    lr_decay_epochs: int | None = Field(None, ge=1)
    ema_decay: float | None = Field(None, ge=0, lt=1)
    held_out: float | None = Field(None, ge=0, lt=1)
    patience: int | None = Field(None, ge=1)
    steps_between_looks: int | None = Field(None, ge=1)
    precision: Precision | None = None
    outlier_limit: float | None = Field(None, gt=0)
    sigma_low: float | None = Field(None, gt=0)
    sigma_high: float | None = Field(None, gt=0)
    n_scales: int | None = Field(None, ge=1)
    aggregation: AggregationKind | None = None
    n_components: int | None = Field(None, ge=1)
    sigma: float | None = Field(None, gt=0)
    """Of single_scale."""
    k: int | None = Field(None, ge=1)
    """Of knn."""
    covariance_floor: float | None = Field(None, ge=0)
    """Of gmm and mahalanobis."""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> DetectorConfig:
        known = SETTINGS[self.kind].__dataclass_fields__.keys()
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        for name in sorted(given - known - {"kind", "preset", "tensorboard"}):
            raise ValueError(
                f"{name} is no setting of detector.kind={self.kind}, which has {', '.join(sorted(known))}"
            )
        if not issubclass(SETTINGS[self.kind], EnergySettings):
            for name in ("preset", "tensorboard"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"detector.kind={self.kind} trains no network: leave {name} out")
        settings = self.settings()
        if settings.get("sigma_low", 0) > settings.get("sigma_high", 0):
            raise ValueError(
                f"sigma_low {settings['sigma_low']} is above sigma_high {settings['sigma_high']}"
            )
        return self

    def settings(self) -> dict[str, Any]:
        """Return every setting of the kind: as given, else of the preset, else the default."""
        defaults = asdict(SETTINGS[self.kind]())
        if self.preset == "paper":
            defaults |= {name: value for name, value in PAPER.items() if name in defaults}
        given = {
            name: getattr(self, name)
            for name in self.model_fields_set & defaults.keys()
            if getattr(self, name) is not None or name in _MAY_BE_NONE
        }
        return {**defaults, **given}

    def resolved(self) -> dict[str, Any]:
        """Return all that decides about the density, without what is left open."""
        return {"kind": self.kind, "preset": self.preset, **self.settings()}


class TrainConfig(Section):
    """From features to detectors."""

    by: Literal["all", "scene"] = "all"
    """One detector a stream for all videos, or one for those of each scene."""
    memory_gb: float | None = Field(None, gt=0)
    """Features that take more are read while training; a quarter of the machine's memory if not given."""


class ScoreConfig(Section):
    """From objects to frames."""

    smoothing_sigma_frames: float = Field(3.0, ge=0)
    """Gaussian smoothing in time; 0 for none."""
    causal: bool = False
    """Smooth over the past only, as live footage demands."""
    log_tail: bool = True
    """Let fused scores grow only logarithmically beyond the training range, before they are smoothed."""


class ReportConfig(Section):
    """The HTML page."""

    n_pictures: int = Field(6, ge=0)
    """Videos of which the frame of the highest score is shown; the only thing that `report` decodes."""


class Config(Section):
    """A run."""

    preset: str = "motion"
    data: DataConfig = DataConfig()
    extract: ExtractConfig = ExtractConfig()
    detector: DetectorConfig = DetectorConfig()
    train: TrainConfig = TrainConfig()
    score: ScoreConfig = ScoreConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()
    out: Path | None = None
    """Folder of the run; runs/<dataset>-<preset> if not given."""
    cache: Path = Path(".cache/mulde")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    workers: int | None = Field(default=None, ge=1)
    """Videos that are extracted at the same time; if not given one a core, but at most 4 on a GPU."""
    seed: int = 0
    offline: bool = False
    """Fetch nothing: missing weights end the run at once. MULDE_OFFLINE=1 in the environment does it too."""

    @model_validator(mode="before")
    @classmethod
    def _keep_weights_in_the_cache(cls, values: Any) -> Any:
        extract = values.get("extract", {})
        if isinstance(values.get("cache"), str | Path) and isinstance(extract, Mapping):
            folder = Path(values["cache"]) / WEIGHTS_FOLDER
            return {**values, "extract": {"weights_folder": folder, **extract}}
        return values

    def anchored(self) -> Config:
        """Return the same with absolute paths, so that it can be used from any folder."""

        def absolute(section: Section, *names: str) -> dict[str, Any]:
            given = {name: getattr(section, name) for name in names}
            return {name: path.absolute() for name, path in given.items() if path is not None}

        data = absolute(self.data, "normal", "test", "labels", "dataset")
        extract = absolute(self.extract, "weights_folder")
        extract["plugins"] = tuple(path.absolute() for path in self.extract.plugins)
        return self.model_copy(
            update={
                "data": self.data.model_copy(update=data),
                "extract": self.extract.model_copy(update=extract),
                **absolute(self, "out", "cache"),
            }
        )

    def to_yaml(self) -> str:
        """Return everything, defaults included."""
        values = self.model_dump(mode="json")
        values["detector"] = {"tensorboard": self.detector.tensorboard, **self.detector.resolved()}
        values["detector"] = json.loads(json.dumps(values["detector"]))  # tuples become lists
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


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
    from_file = copy.deepcopy(given)
    where = str(file) if file else "the options"
    for key, value in (options or {}).items():
        _put(given, key, value, where)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"{override!r} is no key=value; a configuration file ends in .yaml")
        _put(given, key.strip(), _parse_value(key, text), override)
    _refuse_idle_preset(file, from_file, given)
    preset = given.get("preset", Config().preset)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}: known are {', '.join(PRESETS)}")
    _refuse_unknown(given, Config().model_dump())
    try:
        config = Config.model_validate(_merge(PRESETS[preset], given))
        return _settle_streams(config)
    except ValidationError as error:
        first = error.errors()[0]
        # a value that fits no member of a union is reported below the key, with the member's name
        path = [str(part) for part in first["loc"]]
        name = ".".join(path[: _depth(Config().model_dump(), path)])
        raise InputError(f"{name} = {first['input']!r} is not allowed: {first['msg']}") from None


def _refuse_idle_preset(file: Path | None, from_file: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise InputError where a file, such as that of a run, gives what another preset is asked to set."""
    before, now = from_file.get("detector"), given.get("detector")
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return
    if now.get("preset", "default") != before.get("preset", "default"):
        fixed = sorted(before.keys() & PAPER.keys())
        if fixed:
            raise InputError(
                f"detector.preset={now['preset']} would not change detector.{', detector.'.join(fixed)}, "
                f"which {file} gives: take them out of it"
            )


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
        if isinstance(known[key], Mapping) and name != "extract.plugin_settings":
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is a group of settings: give {name}.<key>=value")
            _refuse_unknown(value, known[key], f"{name}.")


def _settle_streams(config: Config) -> Config:
    """Note whether features are imported; if not, check the names of streams against those that are known."""
    are_imported = config.data.normal_features is not None or config.data.test_features is not None
    extract = config.extract.model_copy(update={"are_imported": are_imported})
    config = config.model_copy(update={"extract": extract})
    if are_imported or extract.plugins:
        return config  # any name may do; it is looked for when data or plugins are opened
    known = get_args(StreamName)
    for name in extract.streams:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"extract.streams = {name!r} is not allowed: {hint}known are {', '.join(known)}")
    return config


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
