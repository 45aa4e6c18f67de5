"""Five short clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.rendered.render import render_scene


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three normal and two test clips, rendered once; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "scene"
    render_scene(root, size=(160, 120), n_normal=3, n_test=2, seconds=3.0, fps=10, seed=1)
    return root
