"""Threads change how long it takes, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mulde.detector import MULDE
from mulde.detector.cores import score_passes, threads_for

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n_passes", "device", "threads_a_pass"), [
    (1, CPU, 2), (3, CPU, 2), (4, CPU, 1), (9, CPU, 1), (9, torch.device("meta"), 2),
])  # fmt: skip
def test_passes_come_in_order(n_passes: int, device: torch.device, threads_a_pass: int) -> None:
    seen = set()

    def score(rows: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        seen.add((threading.current_thread() is threading.main_thread(), torch.get_num_threads()))
        return rows + 1

    passes = torch.arange(4 * n_passes).reshape(n_passes, 4).unbind()
    assert score_passes(score, passes, device).tolist() == list(range(1, 4 * n_passes + 1))
    assert seen == {(threads_a_pass == 2, threads_a_pass)}
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


def test_an_error_in_a_pass_is_raised() -> None:
    def fail(rows: torch.Tensor) -> torch.Tensor:
        raise ValueError("too far out")

    with pytest.raises(ValueError, match="too far out"):
        score_passes(fail, torch.zeros(9, 4).unbind(), CPU)
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


@pytest.mark.parametrize(("widths", "device", "n_threads"), [
    ((64, 64), CPU, 1), ((256, 256), CPU, 1), ((64, 512), CPU, 2), ((64, 64), torch.device("cuda"), 2),
])  # fmt: skip
def test_a_narrow_network_is_trained_on_one_thread(
    widths: tuple[int, ...], device: torch.device, n_threads: int
) -> None:
    with threads_for(widths, device):
        assert torch.get_num_threads() == n_threads
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


def test_scores_are_those_of_one_thread(rows: np.ndarray) -> None:
    many = np.tile(rows, (20_000 // len(rows) + 1, 1))
    detector = MULDE(widths=(32, 32), max_steps=5, device="cpu", random_state=0).fit(rows)
    scores = detector.anomaly_score(many)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(scores, detector.anomaly_score(many))
    again = MULDE(widths=(32, 32), max_steps=5, device="cpu", random_state=0).fit(rows)
    np.testing.assert_array_equal(again.anomaly_score(rows), detector.anomaly_score(rows))


def threads_of_a_new_thread() -> int:
    found = []

    def look() -> None:
        torch.ones(2**16).exp()  # it takes over the number at its first operation
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]
