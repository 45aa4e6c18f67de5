"""Extractors of the user's own, from Python files that the configuration names; see docs/extractors.md."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mulde.data.errors import InputError
from mulde.extractors.base import Extractor, FrameExtractor
from mulde.extractors.networks.machine import Machine
from mulde.extractors.scene import SceneModel

_FILLED_IN = {"scene": SceneModel, "machine": Machine}
"""Fields of a plugin's class that are not settings: what is known of the camera, and where networks run."""


@dataclass(frozen=True)
class Plugin:
    """One extractor of a plugin file."""

    kind: type[Extractor] | type[FrameExtractor]
    path: Path
    code_digest: str
    """Hash of the file: whatever is changed in it has its features made again."""

    def build(
        self, settings: Mapping[str, Any], scene: SceneModel, machine: Machine
    ) -> Extractor | FrameExtractor:
        """Make the extractor with settings from the configuration.

        Raises:
            InputError: a setting is unknown or is not allowed.
        """
        key = f"extract.plugin_settings.{self.kind.name}"
        names = [field.name for field in fields(self.kind) if field.init]
        given: dict[str, Any] = {
            name: value for name, value in (("scene", scene), ("machine", machine)) if name in names
        }
        known = [name for name in names if name not in _FILLED_IN]
        for name in settings:
            if name not in known:
                raise InputError(
                    f"{key}.{name} is unknown: {self.path} has {', '.join(known) or 'no settings'}"
                )
        hints = get_type_hints(self.kind, include_extras=True)
        for name, value in settings.items():
            try:
                given[name] = TypeAdapter(hints[name]).validate_python(value)
            except ValidationError as error:
                raise InputError(
                    f"{key}.{name} = {value!r} is not allowed: {error.errors()[0]['msg']}"
                ) from None
        try:
            return self.kind(**given)
        except (TypeError, ValueError) as error:
            raise InputError(f"{key}: {self.path} does not take these settings: {error}") from None


def load_plugins(paths: Sequence[Path]) -> dict[str, Plugin]:
    """Load plugin files and return their extractors by name of the stream.

    Raises:
        InputError: a file cannot be loaded, holds no extractor, or two have the same name.
    """
    found: dict[str, Plugin] = {}
    for path in paths:
        for plugin in _load(path):
            name = plugin.kind.name
            if name in found:
                raise InputError(f"{found[name].path} and {path} both call an extractor {name}: rename one")
            found[name] = plugin
    return found


def _load(path: Path) -> tuple[Plugin, ...]:
    try:
        code = path.read_bytes()
    except OSError as error:
        raise InputError(f"plugin {path} cannot be read ({error.strerror}): check the path") from None
    return _load_code(path.resolve(), code)


@lru_cache(maxsize=16)
def _load_code(path: Path, code: bytes) -> tuple[Plugin, ...]:
    code_digest = hashlib.sha256(code).hexdigest()[:16]
    module = _import(path, code, code_digest)
    kinds = [
        kind
        for _, kind in inspect.getmembers(module, _is_class)
        if issubclass(kind, Extractor | FrameExtractor)
        and kind.__module__ == module.__name__
        and not inspect.isabstract(kind)
    ]
    if not kinds:
        raise InputError(
            f"plugin {path} has no extractor: it must define a class that derives from "
            "mulde.extractors.base.Extractor or FrameExtractor and has all their methods"
        )
    for kind in kinds:
        lacking = [name for name in ("name", "code_version") if not hasattr(kind, name)]
        if lacking or not is_dataclass(kind):
            raise InputError(f"plugin {path}: {kind.__name__} needs {' and '.join(lacking) or '@dataclass'}")
    return tuple(Plugin(kind, path, code_digest) for kind in kinds)


def _is_class(value: object) -> bool:
    return inspect.isclass(value) and get_origin(value) is None  # on 3.10 list[int] passes for a class


def _import(path: Path, code: bytes, code_digest: str) -> ModuleType:
    """Run the code of a plug-in: these bytes, and nothing that was compiled from others and lies beside."""
    name = f"mulde_plugin_{path.stem}_{code_digest}"
    if path.suffix != ".py":
        raise InputError(f"plugin {path} is no Python file: its name must end in .py")
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their annotations up there
    try:
        exec(compile(code, path, "exec"), module.__dict__)  # noqa: S102  # the user has named it, or signed it
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"plugin {path} cannot be loaded: {type(error).__name__}: {error}") from error
    return module
