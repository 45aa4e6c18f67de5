"""A training that was interrupted goes on to the same weights, bit for bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from mulde.data.errors import InputError
from mulde.data.sealed import seal
from mulde.detector import MULDE, Look

SETTINGS: dict[str, Any] = {
    "widths": (16, 16),
    "max_steps": 60,
    "batch_size": 64,
    "steps_between_looks": 10,
    "device": "cpu",
    "random_state": 0,
}


class StoppedError(Exception):
    """Stands for whatever ends a training in the middle."""


def stop_at(step: int) -> Any:
    def progress(look: Look) -> None:
        if look.step > step:
            raise StoppedError

    return progress


@pytest.fixture(autouse=True)
def _save_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulde.detector.mulde.SECONDS_BETWEEN_CHECKPOINTS", 0.0)


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(500, 3))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": None},
        {"held_out": 0.0},
        {"dropout": 0.2},
        {"layer_norm": True},
        {"schedule": "step"},
        {"precision": "bfloat16"},
    ],
)
@pytest.mark.parametrize("stopped_after", [10, 30, 50])
def test_resumed_is_uninterrupted(tmp_path: Path, changes: dict[str, Any], stopped_after: int) -> None:
    file = tmp_path / "sub" / "state.safetensors"
    settings = {**SETTINGS, **changes}
    expected = MULDE(**settings).fit(rows())
    with pytest.raises(StoppedError):
        MULDE(**settings, checkpoint=file, progress=stop_at(stopped_after)).fit(rows())
    assert file.exists()
    looks: list[int] = []
    resumed = MULDE(**settings, checkpoint=file, progress=lambda look: looks.append(look.step)).fit(rows())
    assert looks[0] == stopped_after + 10
    for got, weight in zip(resumed.network_.parameters(), expected.network_.parameters(), strict=True):
        torch.testing.assert_close(got, weight, rtol=0, atol=0)
    np.testing.assert_array_equal(resumed.losses_, expected.losses_)
    np.testing.assert_array_equal(resumed.held_out_losses_, expected.held_out_losses_)
    assert resumed.best_step_ == expected.best_step_
    assert not file.exists()


@pytest.mark.parametrize("change", [{"beta": 0.2}, {"random_state": 1}, {"widths": (16, 8)}])
def test_the_state_of_another_training_is_not_used(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        MULDE(**SETTINGS, checkpoint=file, progress=stop_at(30)).fit(rows())
    settings = {**SETTINGS, **change}
    got, expected = MULDE(**settings, checkpoint=file).fit(rows()), MULDE(**settings).fit(rows())
    np.testing.assert_array_equal(got.losses_, expected.losses_)


def test_other_rows_begin_anew(tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        MULDE(**SETTINGS, checkpoint=file, progress=stop_at(30)).fit(rows())
    got = MULDE(**SETTINGS, checkpoint=file).fit(rows() + 1)
    np.testing.assert_array_equal(got.losses_, MULDE(**SETTINGS).fit(rows() + 1).losses_)


@pytest.mark.parametrize(
    ("numbers", "tensors"),
    [
        ({"sec,nds": 1.0}, {}), ({"seconds": None}, {}), ({"step": "x"}, {}), ({"step": float("inf")}, {}),
        ({"best_loss": 5}, {}), ({"best_loss": None}, {"losses": None}), ({}, {"held_out": None}),
    ],
)  # fmt: skip
def test_what_says_something_else_begins_anew(
    tmp_path: Path, numbers: dict[str, Any], tensors: dict[str, Any]
) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        MULDE(**SETTINGS, checkpoint=file, progress=stop_at(30)).fit(rows())
    change(file, numbers, tensors)
    got = MULDE(**SETTINGS, checkpoint=file).fit(rows())
    np.testing.assert_array_equal(got.losses_, MULDE(**SETTINGS).fit(rows()).losses_)


@pytest.mark.parametrize("tensors", [{"weights": torch.zeros(3)}, {"held_out": torch.zeros(3)}])
def test_what_does_not_fit_is_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        MULDE(**SETTINGS, checkpoint=file, progress=stop_at(30)).fit(rows())
    name = next(name for name in load_file(file) if name.startswith(next(iter(tensors))))
    change(file, {}, {name: next(iter(tensors.values()))})
    with pytest.raises(InputError, match=r"state\.safetensors says that it is of this training.*delete it"):
        MULDE(**SETTINGS, checkpoint=file).fit(rows())


def change(file: Path, numbers: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Change what a state says, with the checksum that it has then; a tensor that is None goes."""
    with safe_open(file, "pt") as opened:
        said = json.loads(opened.metadata()["numbers"])
    if "sec,nds" in numbers:
        del said["seconds"]
    kept = {name: tensor for name, tensor in {**load_file(file), **tensors}.items() if tensor is not None}
    metadata = {"numbers": json.dumps({**said, **numbers}), "checksum": "0" * 32}
    file.write_bytes(seal(save(kept, metadata=metadata)))


@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut", "flipped bit"])
def test_a_damaged_file_begins_anew(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "state.safetensors"
    with pytest.raises(StoppedError):
        MULDE(**SETTINGS, checkpoint=file, progress=stop_at(30)).fit(rows())
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # in a weight
    damaged = {"empty": b"", "rubbish": b"rubbish", "cut": file.read_bytes()[:-100], "flipped bit": content}
    file.write_bytes(damaged[damage])
    got = MULDE(**SETTINGS, checkpoint=file).fit(rows())
    np.testing.assert_array_equal(got.losses_, MULDE(**SETTINGS).fit(rows()).losses_)
