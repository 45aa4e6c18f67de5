"""Versions of packages, of which one may bring what another does."""

from __future__ import annotations

from importlib import metadata

import pytest

from mulde.data.version import version_of


@pytest.mark.parametrize(
    ("installed", "version"),
    [({}, None), ({"opencv-python": "5"}, "5"), ({"opencv-python-headless": "4"}, "4")],
    ids=str,
)
def test_headless_opencv_is_opencv(
    installed: dict[str, str], version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed_version(package: str) -> str:
        if package not in installed:
            raise metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(metadata, "version", installed_version)
    assert version_of("opencv-python") == version
