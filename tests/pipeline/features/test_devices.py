"""Where extraction runs, and with how many workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.config.load import load_config
from mulde.pipeline.features.devices import check_device, extraction_device, extraction_workers, local_workers

OBJECT = {"preset": "object"}


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda:77"])
def test_extraction_without_networks_runs_on_the_processor(device: str) -> None:
    """Training may want the GPU all the same."""
    assert extraction_device(load_config(options={"device": device})) == "cpu"


def test_networks_run_on_what_there_is() -> None:
    import torch

    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert extraction_device(load_config(options=OBJECT)) == expected
    assert extraction_device(load_config(options={**OBJECT, "device": "cpu"})) == "cpu"


def test_a_gpu_that_is_not_there_is_said() -> None:
    for check in (
        lambda: check_device("cuda:77"),
        lambda: extraction_device(load_config(options={**OBJECT, "device": "cuda:77"})),
    ):
        with pytest.raises(InputError, match="'cuda:77', but torch sees"):
            check()


@pytest.mark.parametrize(
    ("options", "device", "workers"),
    [
        ({"workers": 3}, "cpu", 3),
        ({"workers": 32}, "cuda", 32),  # the user knows
        ({"workers": 2}, "cuda:1", 2),
    ],
)
def test_workers_that_are_given_are_kept(options: dict[str, int], device: str, workers: int) -> None:
    assert extraction_workers(load_config(options=options), device) == workers


def test_workers_of_a_gpu_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 32)
    assert extraction_workers(load_config(), "cpu") == 32
    assert extraction_workers(load_config(), "cuda") == 4


def test_default_of_workers_survives_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(load_config().to_yaml())
    assert load_config(tmp_path / "config.yaml").workers is None


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        ({}, 8),
        ({"workers": 3}, 3),
        ({"workers": 20}, 20),
        ({"executor": "ray"}, 8),  # a cluster may be large, but this machine is not
        ({"executor": "ray", "workers": 200}, 8),
        ({"executor": "ray", "workers": 3}, 3),
    ],
)
def test_workers_of_this_machine(
    options: dict[str, int | str], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert local_workers(load_config(options=options)) == workers
