"""Every setting by its dotted name: default, what it may be, what it means; read from the classes."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, get_origin

from pydantic import BaseModel

from mulde.data.ranges import describe, hints_of
from mulde.detector.settings import SETTINGS
from mulde.pipeline.config.sections import Config, DetectorConfig


@dataclass(frozen=True)
class Setting:
    """A setting as users meet it."""

    name: str
    """Dotted, such as detector.beta."""
    default: Any
    allowed: str
    """In words, such as "a number ≥ 0"."""
    kind: type
    """The class that has it."""
    whose: str = ""
    """Which detectors have it, where not all do."""

    @property
    def meaning(self) -> str:
        """A sentence or more; empty where the name says it. Read from the source, which takes a while."""
        return _docstrings(self.kind).get(self.name.rpartition(".")[2], "") + self.whose


@cache
def reference() -> dict[str, Setting]:
    """Return every setting by its dotted name, in the order of the classes."""
    return {setting.name: setting for setting in _settings_of(Config, "")}


def meaning_of_group(name: str) -> str:
    """Return what a group of settings is about, such as "extract" or "extract.boxes"; "" for all."""
    kind: Any = Config
    for part in filter(None, name.split(".")):
        kind = _members(kind)[part][0]
    return _first_paragraph(kind.__doc__ or "")


def groups() -> list[str]:
    """Return the dotted names of all groups of settings."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in reference() if "." in name))


def _settings_of(kind: type, prefix: str) -> Iterator[Setting]:
    for name, (hint, default) in _members(kind).items():
        if _is_group(hint):
            yield from _settings_of(hint, f"{prefix}{name}.")
        else:
            yield Setting(prefix + name, default, describe(hint, none="null"), kind)
    if kind is DetectorConfig:
        yield from _settings_of_densities(prefix)


def _settings_of_densities(prefix: str) -> Iterator[Setting]:
    """Yield each setting once, as of the first kind that has it, with the kinds where these are not all."""
    seen: dict[str, list[str]] = {}
    for kind, settings in SETTINGS.items():
        for name in hints_of(settings):
            seen.setdefault(name, []).append(kind)
    for name, kinds in seen.items():
        settings = SETTINGS[kinds[0]]
        (setting,) = (s for s in _settings_of(settings, prefix) if s.name == prefix + name)
        whose = "" if len(kinds) == len(SETTINGS) else f" (detector.kind={', '.join(kinds)})"
        yield replace(setting, whose=whose)


def _members(kind: Any) -> dict[str, tuple[Any, Any]]:
    """Return annotation and default of each field of a class of settings."""
    if issubclass(kind, BaseModel):
        own = kind.model_fields if kind is not DetectorConfig else _OWN_OF_DETECTOR
        return {
            name: (field.rebuild_annotation(), field.get_default(call_default_factory=True))
            for name, field in own.items()
        }
    hints = hints_of(kind)
    return {f.name: (hints[f.name], None if f.default is MISSING else f.default) for f in fields(kind)}


_OWN_OF_DETECTOR = {
    name: field
    for name, field in DetectorConfig.model_fields.items()
    if name not in {name for settings in SETTINGS.values() for name in hints_of(settings)}
}


def _is_group(hint: Any) -> bool:
    is_class = isinstance(hint, type) and get_origin(hint) is None  # on 3.10 list[int] passes for a class
    return is_class and (is_dataclass(hint) or issubclass(hint, BaseModel))


@cache
def _docstrings(kind: type) -> dict[str, str]:
    """Return the texts that stand below the fields of a class and of those that it derives from."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("mulde.") and "<" not in base.__qualname__ and base.__doc__:
            texts |= _docstrings_in_source(base)
    return texts


def _docstrings_in_source(kind: type) -> dict[str, str]:
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError):  # made at run time
        return {}
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _first_paragraph(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())
