"""Settings as they are typed: group.name=value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their whole names: {"extract": {"rate": 5}} -> {"extract.rate": 5}.

    An empty group is a value.
    """
    found = dict[str, Any]()
    for name, value in values.items():
        is_group = isinstance(value, Mapping) and len(value) > 0
        found |= flat(value, f"{prefix}{name}.") if is_group else {f"{prefix}{name}": value}
    return found


def name_of(override: str) -> str:
    """Return which setting "name=value" is about.

    >>> name_of("detector.beta=0.2")
    'detector.beta'
    """
    return override.partition("=")[0].strip()


def in_yaml(value: object) -> str:
    """Return a value as it is given in YAML or as key=value."""
    plain = list(value) if isinstance(value, tuple) else value
    plain = plain if isinstance(plain, list | dict | bool | int | float | None) else str(plain)
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
