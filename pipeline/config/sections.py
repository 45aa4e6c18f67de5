"""Everything that can be configured, with its range and default."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BeforeValidator, Field, TypeAdapter, create_model, field_validator, model_validator

from mulde.data.cache.storage import DEFAULT_PLACE, is_address
from mulde.data.ranges import hints_of, misfits
from mulde.data.recorded import compile_pattern
from mulde.detector.settings import PAPER, SETTINGS, EnergySettings, Fusion
from mulde.extractors.kinds import STREAMS
from mulde.extractors.networks.weights import WEIGHTS_FOLDER
from mulde.extractors.settings import BoxSettings, FlowSettings, SceneSettings
from mulde.pipeline.executors.kinds import ExecutorName
from mulde.pipeline.executors.settings import RaySettings
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.section import Section

# in this order: pydantic 2.9 turns a tuple into a path
_Paths = Annotated[tuple[Path, ...] | Path, Field(union_mode="left_to_right")]


class DataConfig(Section):
    """Where the videos and labels are: files and folders, or the root of a data set."""

    normal: _Paths | None = None
    """Videos without anomalies, to learn from: a file, a folder, or a list of them."""
    test: _Paths | None = None
    """Videos to score, likewise; not needed where something is only to be learnt."""
    labels: Path | None = None
    """Abnormal intervals or frames of the test videos; without them nothing is evaluated."""
    dataset: Path | None = None
    """Root of a data set in place of the three."""
    merge_cameras: bool = False
    """Whether one background is learnt from all cameras where test videos are of one that training lacks."""
    frames_per_second: Annotated[float, Gt(0)] | None = None
    """Rate of folders of images, which do not say; if not given, what the data set is known for, else 25.
    Also of scores that others made without times."""
    layout: str = "auto"
    """Layout of `dataset`, one of those that `mulde datasets` lists; "auto" finds out."""
    normal_features: str | None = None
    """In place of videos: the name under which features of normal videos were imported into the cache."""
    test_features: str | None = None
    """The name under which features of the test videos were imported."""


def _groups_of_streams() -> dict[str, Any]:
    """Return the group of settings of each stream that has one."""
    return {name: (kind.settings, kind.settings()) for name, kind in STREAMS.items() if kind.settings}


_OfStreams: Any = create_model("_OfStreams", __base__=Section, **_groups_of_streams())


class ExtractConfig(_OfStreams):
    """From frames to features."""

    plugins: tuple[Path, ...] = ()
    """Python files that define extractors of your own; see docs/extractors.md."""
    plugin_settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of plugins by the name of their stream."""
    streams: Annotated[tuple[str, ...], MinLen(1)] = ("velocity", "direction", "place", "stillness")
    """Kinds of features, each a key of `mulde.extractors.kinds.STREAMS` or, of imported
    features, as they were called then."""
    are_imported: bool = False
    """Whether they were imported; follows from `data.normal_features`, whatever is given here."""
    rate: Annotated[float, Gt(0)] | Literal["all"] = 10.0
    """About how many frames a second are looked at where streams are of objects; the scores of the others are
    interpolated. Streams of whole frames have every_frames."""
    decoder: Literal["auto", "decord", "pyav"] = "auto"
    """What reads video files: "auto" is PyAV; decord is given only files that decode whole, after a check."""
    threads: Annotated[int, Ge(1)] = 1
    """Threads of a network in each worker process: more than one pay only where there are idle cores."""
    weights_folder: Path = DEFAULT_PLACE / WEIGHTS_FOLDER
    """Where fetched weights are kept; if not given, `weights/` in the cache."""
    stall_seconds: Annotated[float, Gt(0)] = 300.0
    """A worker that gives no frame, and no batch of a network, for so long is stopped, and the video tried
    once more with PyAV."""
    scene: SceneSettings = SceneSettings()
    boxes: BoxSettings = BoxSettings()
    flow: FlowSettings = FlowSettings()

    @field_validator("streams")
    @classmethod
    def _once_each(cls, streams: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(streams)) < len(streams):
            raise ValueError("a stream is named twice")
        return streams


def _gathered() -> dict[str, Any]:
    """Return each setting of any density with all that it may be; a default of None: it was not given."""
    hints: dict[str, Any] = {}
    for settings in SETTINGS.values():
        for name, hint in hints_of(settings).items():
            hints[name] = hints[name] | hint if name in hints else hint
    return {name: (hint, None) for name, hint in hints.items()}


_AllSettings: Any = create_model("_AllSettings", __base__=Section, **_gathered())


class DetectorConfig(_AllSettings):
    """The density of each stream: its kind, and the settings of `mulde.detector.settings` for it.

    A setting that is not given has the value of the preset, or its default there.
    """

    kind: Literal["mulde", "msma", "single_scale", "knn", "gmm", "mahalanobis"] = "mulde"
    """Which density: a key of `mulde.detector.DETECTORS`."""
    preset: Literal["default", "paper"] = "default"
    """Set of defaults of kinds that train a network; "paper" is what the paper does, for a GPU."""
    tensorboard: bool = False
    """Write losses to RUN/tensorboard while training."""

    @model_validator(mode="after")
    def _fits_the_kind(self) -> DetectorConfig:
        kind = SETTINGS[self.kind]
        known = kind.__dataclass_fields__.keys()
        for name in sorted(self.model_fields_set - known - {"kind", "preset", "tensorboard"}):
            raise ValueError(
                f"{name} is no setting of detector.kind={self.kind}, which has {', '.join(sorted(known))}"
            )
        if not issubclass(kind, EnergySettings):
            for name in ("preset", "tensorboard"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"detector.kind={self.kind} trains no network: leave {name} out")
        settings = self.settings()
        for name, value, allowed in misfits(kind, SimpleNamespace(**settings)):
            raise ValueError(f"{name} of {self.kind} is {value!r}, but must be {allowed}")
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
        return defaults | {name: getattr(self, name) for name in self.model_fields_set & defaults.keys()}

    def resolved(self) -> dict[str, Any]:
        """Return all that decides about the density, without what is left open."""
        return {"kind": self.kind, "preset": self.preset, **self.settings()}


class TrainConfig(Section):
    """From features to detectors."""

    by: Literal["all", "scene"] = "all"
    """One detector per stream for all videos, or one for those of each scene."""
    memory_gb: Annotated[float, Gt(0)] | None = None
    """Features that take more are read while training; a quarter of the machine's memory if not given."""
    folds: Annotated[int, Ge(2)] | Literal[0] = 2
    """Parts of the normal footage. Each is scored by detectors that did not learn from it and are trained for
    half as long, so that the threshold means something; 0 for no threshold."""
    marked: Literal["calibrate", "learn"] = "calibrate"
    """Events that `mulde normal` has marked count towards the threshold, or are learnt from as well."""


_N_SEEING = 10
"""A third of the windows that overlap one: chosen on made anomalies, see docs/motion.md."""


class ScoreConfig(Section):
    """From objects to frames, and from frames to events."""

    smoothing_sigma_seconds: Annotated[float, Ge(0)] = 0.3
    """Gaussian smoothing in time; 0 for none. Papers' 3 frames are so much at 10 frames a second."""
    causal: bool = False
    """Smooth over the past only, as live footage demands."""
    log_tail: bool = True
    """Let scores grow only logarithmically beyond the training range, before streams are put together."""
    fusion: Fusion = "sum"
    """What an object has of the scores of its streams: their sum, in which what several agree on counts most,
    or their maximum (max), in which what one is sure of does, whatever the others say."""
    n_overlapping: Annotated[int, Ge(1)] | None = None
    """An object's score is the mean of the so many highest among those that overlap it, 0 standing for what
    is missing. By default 10 where boxes are windows, of which many see an object, and else 1: its own."""
    are_windows: bool = True
    """Whether boxes are windows, of which many see one object; RBDC and TBDC depend on it too. It follows
    from `extract.boxes.finder`; of imported features it can be given, where the import does not say it."""
    false_alarms_per_day: Annotated[float, Gt(0), Le(1e6)] = 1.0
    """Budget from which the threshold follows: false alarms in 24 hours of normal footage, on average."""
    event_least_seconds: Annotated[float, Ge(0)] = 0.3
    """A stretch of high scores that is shorter is no event."""
    event_merge_gap_seconds: Annotated[float, Ge(0)] = 2.0
    """Stretches that are no further apart are one event."""
    event_release: Annotated[float, Ge(0), Le(1)] = 0.5
    """Where an event begins and ends: 0 at the usual score of normal frames, 1 at the threshold."""
    recorded_at: str = ""
    """How names of videos say when recordings began, as in cam_%Y%m%d_%H%M%S; common forms and what files say
    themselves are understood without."""

    @field_validator("recorded_at")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        compile_pattern(pattern)
        return pattern

    @property
    def of_objects(self) -> dict[str, Any]:
        """Return what the scores of objects depend on, beside those of streams."""
        # without what is as it was before there was a choice: scores of then stay what they are
        fusion = {} if self.fusion == "sum" else {"fusion": self.fusion}
        return {"log_tail": self.log_tail, "n_overlapping": self.n_averaged, **fusion}

    @property
    def of_frames(self) -> dict[str, Any]:
        """Return what the scores of frames depend on; the rest is about events."""
        over_time = {name: getattr(self, name) for name in ("smoothing_sigma_seconds", "causal")}
        return {**over_time, **self.of_objects}

    @property
    def of_events(self) -> dict[str, Any]:
        """Return what only events depend on."""
        return self.model_dump(mode="json", exclude={*self.of_frames, "fusion", "are_windows"})

    @property
    def n_averaged(self) -> int:
        """How many scores the score of an object is the mean of."""
        return self.n_overlapping or (_N_SEEING if self.are_windows else 1)


class ReportConfig(Section):
    """The HTML page."""

    n_pictures: Annotated[int, Ge(0)] = 12
    """Events that are shown with pictures, the strongest first; the only thing that `report` decodes."""


def _absolute(path: Path | tuple[Path, ...]) -> Path | tuple[Path, ...]:
    return tuple(each.absolute() for each in path) if isinstance(path, tuple) else path.absolute()


def _with_absolute_files(settings: Any) -> Any:
    """Return settings in which boxes, and weights that are no name, can be found from any folder."""
    changes: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            changes[field.name] = _with_absolute_files(value)
        elif field.name == "weights" and value and Path(value).is_file():
            changes[field.name] = str(Path(value).absolute())
        elif field.name == "file" and value:
            paths = tuple(str(Path(each).absolute()) for each in settings.files)
            changes[field.name] = paths[0] if isinstance(value, str) else paths
    return replace(settings, **changes)


def _place(value: object) -> object:
    return value if is_address(value) else TypeAdapter(Path).validate_python(value)


CachePlace: TypeAlias = Annotated[Path | str, BeforeValidator(_place)]


class Config(Section):
    """A run."""

    preset: str = "motion"
    """Set of defaults: motion, camera, object or frame."""
    data: DataConfig = DataConfig()
    extract: ExtractConfig = ExtractConfig()
    detector: DetectorConfig = DetectorConfig()
    train: TrainConfig = TrainConfig()
    score: ScoreConfig = ScoreConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    report: ReportConfig = ReportConfig()
    out: Path | None = None
    """Folder of the run; runs/<dataset>-<preset> if not given."""
    cache: CachePlace = DEFAULT_PLACE
    """Folder of the feature cache, shared by runs; or an address such as s3://bucket/prefix."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda or cuda:N."""
    executor: ExecutorName = "local"
    """What extracts, trains and scores: local is this machine, ray a Ray cluster."""
    ray: RaySettings = RaySettings()
    workers: Annotated[int, Ge(1)] | None = None
    """Videos that are extracted at the same time, and tasks of any kind on a Ray cluster; if not given one a
    core, but at most 4 on a GPU, and as many as there is room for on a Ray cluster."""
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0
    """Seed of all that is random."""
    offline: bool = False
    """Fetch nothing: missing weights end the run at once. MULDE_OFFLINE=1 in the environment does it too."""

    @field_validator("device")
    @classmethod
    def _known_device(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
            raise ValueError("it must be auto, cpu, cuda or cuda:N")
        return device

    @model_validator(mode="before")
    @classmethod
    def _keep_weights_in_the_cache(cls, values: Any) -> Any:
        extract = values.get("extract", {})
        cache = values.get("cache")
        if isinstance(cache, str | Path) and not is_address(cache) and isinstance(extract, Mapping):
            folder = Path(cache) / WEIGHTS_FOLDER
            return {**values, "extract": {"weights_folder": folder, **extract}}
        return values

    def anchored(self) -> Config:
        """Return the same with absolute paths, so that it can be used from any folder."""

        def absolute(section: Section, *names: str) -> dict[str, Any]:
            given = {name: getattr(section, name) for name in names}
            return {name: _absolute(path) for name, path in given.items() if path is not None}

        data = absolute(self.data, "normal", "test", "labels", "dataset")
        extract = absolute(self.extract, "weights_folder")
        extract["plugins"] = tuple(path.absolute() for path in self.extract.plugins)
        groups = ("boxes", *(name for name, kind in STREAMS.items() if kind.settings))
        extract |= {name: _with_absolute_files(getattr(self.extract, name)) for name in groups}
        return self.model_copy(
            update={
                "data": self.data.model_copy(update=data),
                "extract": self.extract.model_copy(update=extract),
                **absolute(self, "out", *(() if is_address(self.cache) else ("cache",))),
            }
        )

    def to_yaml(self) -> str:
        """Return everything, defaults included."""
        values = self.model_dump(mode="json")
        values["detector"] = {"tensorboard": self.detector.tensorboard, **self.detector.resolved()}
        values["detector"] = json.loads(json.dumps(values["detector"]))  # tuples become lists
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
