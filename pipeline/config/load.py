"""A configuration from a preset, a YAML file, options and key=value; mistakes are named in our words."""

from __future__ import annotations

import copy
import difflib
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mulde.data.atomic import encode, write_bytes
from mulde.data.errors import InputError
from mulde.data.foreign.text import read_text
from mulde.data.sealed import BLANK, is_whole, seal
from mulde.detector.settings import PAPER, SETTINGS, EnergySettings
from mulde.extractors.kinds import STREAMS
from mulde.pipeline.config.dotted import flat, name_of
from mulde.pipeline.config.reference import groups, reference
from mulde.pipeline.config.sections import Config, DetectorConfig

_MOST_NESTED = 50
_log = logging.getLogger(__name__)
PRESETS: dict[str, dict[str, Any]] = {
    # boxes and features from motion alone: no weights, no GPU, no network
    "motion": {},
    # for hours of one camera, which show how each place looks: docs/camera.md
    "camera": {
        "extract": {"streams": ["place", "texture"], "boxes": {"windows": {"least_novelty": 3.0}}},
        "score": {"fusion": "max"},
    },
    # the paper's object-centric setup: a detector's boxes joined with motion boxes, described in three ways
    "object": {
        "extract": {
            "streams": ["velocity", "pose", "appearance"],
            "boxes": {"finder": "yolo", "join": "windows"},
            # as in AI-VAD: such a box holds one whole object, a window often parts of several
            "velocity": {"over": "box"},
        }
    },
    # the paper's frame-centric setup: clips of whole frames, described by a video network
    "frame": {"extract": {"streams": ["clip"]}},
}


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
            raise InputError(
                f"{override!r} is neither key=value nor a configuration (.yaml) nor the folder of a run"
            )
        _put(given, key.strip(), _parse_value(key, text), override)
    _forget_other_density(from_file, given, {*(options or {}), *map(name_of, overrides)})
    _refuse_idle_preset(file, from_file, given)
    preset = given.get("preset", Config().preset)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}: known are {', '.join(PRESETS)}")
    _refuse_unknown(given)
    try:
        config = Config.model_validate(_merge(PRESETS[preset], given))
        _refuse_other_boxes(config, from_file, {*(options or {}), *map(name_of, overrides)})
        return _settle_streams(config)
    except ValidationError as error:
        raise InputError(_in_our_words(error, given)) from None


def write_config(path: Path, config: Config) -> None:
    """Write a configuration with everything in it, defaults included, and with a checksum.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    write_bytes(path, seal(encode(f"# {BLANK}\n{config.anchored().to_yaml()}")))


def _forget_other_density(
    from_file: Mapping[str, Any], given: dict[str, Any], given_now: Collection[str]
) -> None:
    """Leave out what a file, such as that of a run, says of a kind of density that is not asked for any more.

    What the new kind has as well stays, and what was given now, which is refused if it does not fit.
    """
    before, now = from_file.get("detector"), given.get("detector")
    if not isinstance(before, Mapping) or not isinstance(now, dict) or "detector" in given_now:
        return
    usual = DetectorConfig().kind
    settings = SETTINGS.get(now.get("kind", usual))
    if settings is None or now.get("kind", usual) == before.get("kind", usual):
        return
    known = {"kind", *settings.__dataclass_fields__}
    known |= {"preset", "tensorboard"} if issubclass(settings, EnergySettings) else set()
    for name in before.keys() - known:
        if f"detector.{name}" not in given_now:
            del now[name]


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


def _refuse_other_boxes(config: Config, from_file: Mapping[str, Any], given_now: Collection[str]) -> None:
    """Raise InputError where it is given that boxes are windows, or are not, and they are something else.

    What a file says, such as that of a run, gives way where other boxes are asked for now.
    """
    finder, said = config.extract.boxes.finder, config.score.are_windows
    if "are_windows" not in config.score.model_fields_set or _are_imported(config):
        return
    of_file = flat(_merge(PRESETS.get(str(from_file.get("preset")), {}), from_file))
    before = of_file.get("extract.boxes.finder", Config().extract.boxes.finder)
    is_given_now = bool({"score", "score.are_windows"} & set(given_now))
    if said != (finder == "windows") and (is_given_now or before == finder):
        raise InputError(
            f"score.are_windows = {said} is not allowed: boxes are of extract.boxes.finder={finder}, so that "
            f"they are {'' if finder == 'windows' else 'no '}windows: leave it out (score.n_overlapping says "
            "how many scores an object's is the mean of)"
        )


def _are_imported(config: Config) -> bool:
    return config.data.normal_features is not None or config.data.test_features is not None


_BOOL = "tag:yaml.org,2002:bool"


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without aliases, of which a few lines can stand for gigabytes, and of bounded depth.

    As in YAML 1.2, no and off are words; where a setting is true or false, they are taken for that later.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a node, or refuse it."""
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"aliases (*{event.anchor}) are not read: write the value out")
        if self._depth > _MOST_NESTED:
            raise yaml.YAMLError(f"it is nested more than {_MOST_NESTED} deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_PlainLoader.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> Any:
    """Parse YAML; raises ValueError for all that is none, has aliases, or is nested too deep."""
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:  # its own text repeats the line, which may hold a password
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{error.problem or error.context}{where}") from None
    except Exception as error:  # tags such as !!timestamp let nearly anything through
        raise ValueError(" ".join(str(error).split())) from None


def _read_yaml(file: Path) -> dict[str, Any]:
    if file.is_file() and not is_whole(file):
        _log.warning(
            "%s was changed after it was written: it is used as it is; if you have changed it, take its "
            "first line out",
            file,
        )
    try:
        content = parse_yaml(read_text(file))
    except InputError as error:
        raise InputError(f"configuration {error}") from None
    except ValueError as error:
        raise InputError(f"configuration {file} is no YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"configuration {file} must hold key: value pairs, such as 'preset: motion'")
    return content


def _parse_value(key: str, text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError:
        raise InputError(f"the value of {key} is no YAML: {text!r}") from None


def _put(target: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    *parents, last = dotted.split(".")
    if len(parents) > _MOST_NESTED:
        raise InputError(f"{where[:80]!r} … names a group of settings more than {_MOST_NESTED} deep")
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


def _refuse_unknown(given: Mapping[str, Any], prefix: str = "") -> None:
    for key, value in given.items():
        name = f"{prefix}{key}"
        if name in groups():
            if not isinstance(value, Mapping):
                raise InputError(f"{name} is a group of settings: give {name}.<key>=value")
            _refuse_unknown(value, f"{name}.")
        elif name not in reference():
            whole = next(iter(flat(value, f"{name}.")), name) if isinstance(value, Mapping) else name
            raise InputError(f"unknown configuration key {name}{_nearest(whole)}")


def _in_our_words(error: ValidationError, given: Mapping[str, Any]) -> str:
    """Return what is wrong with the first value that is not allowed, and what is."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    # a value that fits no member of a union, or no entry of a list, is reported below the key
    above = [".".join(path[:n_parts]) for n_parts in range(len(path), 0, -1)]
    name = next((dotted for dotted in above if dotted in reference()), "")
    if first["type"] == "value_error":  # our own words
        where = name or ".".join(path)
        of_group = f"{where}: " if where and not name else ""
        return f"{of_group}{_subject(name, given)}{first['ctx']['error']}"
    return f"{_subject(name, given)}it must be {reference()[name].allowed}"


def _subject(name: str, given: Mapping[str, Any]) -> str:
    value: Any = given
    for part in name.split(".") if name else ():
        value = value[part] if isinstance(value, Mapping) and part in value else None
    return f"{name} = {'null' if value is None else repr(value)} is not allowed: " if name else ""


def _settle_streams(config: Config) -> Config:
    """Note whether features are imported, whether boxes are windows, what is to be learnt of a scene; check
    names of streams against those that are known, unless they are imported.
    """
    are_imported = _are_imported(config)
    looks_for_unseen = config.extract.boxes.windows.least_novelty is not None
    with_looks = looks_for_unseen or "texture" in config.extract.streams
    scene = replace(config.extract.scene, with_looks=with_looks)
    extract = config.extract.model_copy(update={"are_imported": are_imported, "scene": scene})
    score = config.score
    if not are_imported:
        score = score.model_copy(update={"are_windows": extract.boxes.finder == "windows"})
    elif "are_windows" not in score.model_fields_set:
        score = score.model_copy(update={"are_windows": False})
        score.model_fields_set.discard("are_windows")  # what was imported may say otherwise
    config = config.model_copy(update={"extract": extract, "score": score})
    if are_imported or extract.plugins:
        return config  # any name may do; it is looked for when data or plugins are opened
    known = list(STREAMS)
    for name in extract.streams:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(f"extract.streams = {name!r} is not allowed: {hint}known are {', '.join(known)}")
    return config


def _nearest(name: str) -> str:
    """Return a hint at the known key that a wrong one most likely means."""
    keys = list(reference())
    same_leaf = [key for key in keys if key.split(".")[-1] == name.split(".")[-1]]
    near = difflib.get_close_matches(name, same_leaf, n=1, cutoff=0)
    near = near or difflib.get_close_matches(name, keys, n=1)
    near = near or difflib.get_close_matches(name.split(".")[0], groups(), n=1)
    return f": did you mean {near[0]}?" if near else f": known are {', '.join(Config.model_fields)}"
