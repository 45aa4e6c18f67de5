"""The streams by name: each is what it is called, and can be configured."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from mulde.extractors.kinds import STREAMS
from mulde.extractors.networks.machine import Machine
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import ArrivalSettings, FlowSettings, WindowSettings
from mulde.extractors.streams.site import Site
from mulde.pipeline.config.sections import ExtractConfig

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
SITE = Site(
    SCENE, Machine(weights_folder=Path("nowhere")), FlowSettings(), WindowSettings(), ArrivalSettings(), 10.0
)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_called_as_it_is_listed(name: str) -> None:
    module, _, kind = STREAMS[name].place.partition(".")
    assert getattr(import_module(f"mulde.extractors.streams.{module}"), kind).name == name


@pytest.mark.parametrize("name", STREAMS)
def test_its_settings_are_a_group_of_the_configuration(name: str) -> None:
    settings = STREAMS[name].settings
    assert getattr(ExtractConfig(), name, None) == (settings() if settings else None)


@pytest.mark.parametrize(
    "name", ["velocity", "direction", "place", "stillness", "texture", "track", "shape", "hog"]
)
def test_streams_without_a_network_are_built(name: str) -> None:
    settings = STREAMS[name].settings
    assert STREAMS[name].build(settings() if settings else None, SITE).name == name


@pytest.mark.parametrize(("rate", "n"), [(5.0, 1), (10.0, 2), (25.0, 5), (30.0, 6)])
def test_flow_is_averaged_over_seconds_whatever_the_rate(rate: float, n: int) -> None:
    assert replace(SITE, frames_per_second=rate).n_frames_around == n
