"""Which data a configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import DataConfig
from mulde.pipeline.open_job import find_data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "which videos"),
        ({"test": [Path("test")]}, "which videos"),
        ({"normal": [Path("normal")]}, "none to score: `mulde score --model RUN VIDEO ...` scores any"),
    ],
)
def test_what_is_missing_is_said(data: dict[str, list[Path]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_data(DataConfig(**data))
