"""The reference of settings: complete, true, and with a meaning for each."""

from __future__ import annotations

from typing import Any

import yaml

from mulde.detector.settings import SETTINGS
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.reference import groups, meaning_of_group, reference
from mulde.pipeline.config.sections import Config


def leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        is_group = f"{prefix}{name}" in groups()
        found |= leaves(value, f"{prefix}{name}.") if is_group else {prefix + name: value}
    return found


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | dict) else str(value)


def test_every_setting_of_a_saved_configuration_is_there_with_its_default() -> None:
    saved = leaves(yaml.safe_load(Config().to_yaml()))
    assert saved == {name: plain(reference()[name].default) for name in saved}


def test_every_setting_of_every_kind_of_detector_is_there() -> None:
    for kind, settings in SETTINGS.items():
        for name in settings.__dataclass_fields__:
            assert f"detector.{name}" in reference(), kind


def test_every_setting_and_every_group_says_what_it_means() -> None:
    assert [name for name, setting in reference().items() if not setting.meaning] == []
    assert [name for name in groups() if not meaning_of_group(name)] == []


def test_a_setting_says_its_range_and_whose_it_is() -> None:
    assert reference()["detector.held_out"].allowed == "a number in [0, 1)"
    assert reference()["detector.k"].meaning.endswith("(detector.kind=knn)")
    assert "(detector.kind" not in reference()["detector.outlier_limit"].meaning


def test_defaults_can_be_given() -> None:
    beta = reference()["detector.beta"]
    assert load_config(overrides=[f"{beta.name}={beta.default}"]).detector.beta == beta.default
