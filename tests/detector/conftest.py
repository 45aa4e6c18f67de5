from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mulde.detector import MULDE

SMALL: dict[str, Any] = {
    "widths": (32, 32),
    "max_steps": 30,
    "batch_size": 128,
    "n_scales": 5,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def small() -> Callable[..., MULDE]:
    """Build an unfitted detector that trains in a fraction of a second."""
    return lambda **changes: MULDE(**{**SMALL, **changes})


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """300 rows of 3 features of different scale and position."""
    return np.random.default_rng(0).normal(size=(300, 3)) * [1, 10, 0.1] + [0, 100, -5]


@pytest.fixture(scope="session")
def fitted(rows: np.ndarray) -> MULDE:
    return MULDE(**SMALL).fit(rows)
