"""Which runs this user has made: their configurations are signed with a key that nobody else has.

A run from elsewhere is data. What its configuration names may be read, but no code of it is run, and nothing
is written where it says, unless the user trusts it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mulde.data.cache.storage import is_address
from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json
from mulde.data.ours import is_signature, own_key, signature
from mulde.data.sealed import write_json
from mulde.extractors.networks.weights import WEIGHTS_FOLDER
from mulde.pipeline.config.dotted import name_of
from mulde.pipeline.config.load import load_config, write_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.runs.folder import RunFolder

_SUFFIX = ".origin.json"
_OF_LEARNING = ("detector", "preset", "seed", "train")

_log = logging.getLogger(__name__)


def write_signed(file: Path, config: Config) -> None:
    """Write a configuration into a run, signed by this user."""
    write_config(file, config)
    key = own_key(make=True)
    if key is None:
        _origin(file).unlink(missing_ok=True)
        return
    plugins = {str(path): _digest(path) for path in config.anchored().extract.plugins}
    record = {"plugins": plugins, "signature": signature(key, _signed(file.read_bytes(), plugins))}
    write_json(_origin(file), record, indent=1)


def refuse_settings_of_learning(given: Mapping[str, str], model: Path) -> None:
    """Check that settings which are given for a trained model can change what it does.

    Args:
        given: how the user gave each, by name, such as "detector.beta".
        model: the run, for the message.

    Raises:
        InputError: one is of what was learnt, or of what it was learnt from.
    """
    for name, text in given.items():
        group = name.partition(".")[0]
        if group in _OF_LEARNING:
            raise InputError(
                f"{text} does not change the detectors in {model}, which are trained: leave it out, or train "
                "again with it"
            )
        if group == "data":
            raise InputError(
                f"{text} is of the videos that a run learns from and is tested on: leave it out where the "
                f"trained model of {model} is used"
            )


def load_run_config(
    file: Path,
    *,
    options: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
) -> Config:
    """Do as `load_config` for the configuration of a run, which somebody else may have made.

    Where it was not made by this user, and they do not trust it: their own cache is used in place of the one
    that it names, this machine in place of its cluster.

    Raises:
        InputError: as `load_config`; or it names code that was not run here before, and is not trusted.
    """
    config = load_config(file, options=options, overrides=overrides)
    given = [*(options or {}), *map(name_of, overrides)]
    code = [] if _is_given("extract.plugins", given) else [str(path) for path in config.extract.plugins]
    code += [path for name, path in _weights(config.extract, "extract") if not _is_given(name, given)]
    if trust:
        for path in code:
            _log.warning("trusted: %s names %s, which is run", file, path)
        return config
    if is_ours(file):
        return config
    if code:
        raise InputError(
            f"{file} was not made here by you, or it or the code that it names was changed since: "
            f"{', '.join(code)}. Look at it; to have it run, with your rights, add --trust"
        )
    return _with_own_places(file, config, given)


def load_config_of_model(
    run: RunFolder,
    *,
    options: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
) -> Config:
    """Do as `load_run_config` for the model of a run, which is to score or to watch.

    Raises:
        InputError: as `load_run_config`, or a setting is of what was learnt.
    """
    given = {name: name for name in options or {}} | {name_of(text): text for text in overrides}
    refuse_settings_of_learning(given, run.folder)
    return load_run_config(run.model_config, options=options, overrides=overrides, trust=trust)


def _with_own_places(file: Path, config: Config, given: Sequence[str]) -> Config:
    """Return a configuration with the user's own places to write and send to, where none were given now."""
    default = Path(Config().cache)
    is_other = is_address(config.cache) or Path(config.cache).absolute() != default.absolute()
    if not _is_given("cache", given) and is_other:
        _log.warning(
            "%s was not made here by you: its cache %s is not used, but %s (--cache DIR, or --trust)",
            file, config.cache, default,
        )  # fmt: skip
        config = config.model_copy(update={"cache": default})
    if config.executor != "local" and not _is_given("executor", given):
        _log.warning(
            "%s was not made here by you: its cluster is not used (--executor %s, or --trust)",
            file, config.executor,
        )  # fmt: skip
        config = config.model_copy(update={"executor": "local"})
    if not any(name == "ray" or name.startswith("ray.") for name in given):
        config = config.model_copy(update={"ray": Config().ray})
    if not _is_given("out", given):
        config = config.model_copy(update={"out": file.parent})
    if not _is_given("extract.weights_folder", given):
        above = default if is_address(config.cache) else Path(config.cache)
        extract = config.extract.model_copy(update={"weights_folder": above / WEIGHTS_FOLDER})
        config = config.model_copy(update={"extract": extract})
    return config


def _is_given(name: str, given: Sequence[str]) -> bool:
    return any(name == key or name.startswith(f"{key}.") for key in given)


def _weights(settings: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield by dotted name the weights that are files: some libraries run what these hold."""
    names = (
        [f.name for f in fields(settings)] if is_dataclass(settings) else list(type(settings).model_fields)
    )
    for part in names:
        value = getattr(settings, part)
        if is_dataclass(value):
            yield from _weights(value, f"{name}.{part}")
        elif part == "weights" and value and Path(value).expanduser().is_file():
            yield f"{name}.{part}", value


def is_ours(file: Path) -> bool:
    """Whether a configuration, and the plug-ins that it names, are as this user's mulde has left them."""
    key = own_key(make=False)
    if key is None:
        return False
    try:
        record = parse_json(_origin(file).read_bytes())
        plugins = {str(path): str(digest) for path, digest in record["plugins"].items()}
        given = str(record["signature"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    if not is_signature(given, key, _signed(file.read_bytes(), plugins)):
        return False
    return all(_digest(Path(path)) == digest for path, digest in plugins.items())


def _origin(file: Path) -> Path:
    return file.with_suffix(_SUFFIX)


def _signed(content: bytes, plugins: Mapping[str, str]) -> bytes:
    return json.dumps([hashlib.sha256(content).hexdigest(), dict(plugins)], sort_keys=True).encode()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "missing"
