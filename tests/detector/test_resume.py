"""A training that is killed goes on from its checkpoint to the same weights."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import os, signal, sys
import numpy as np, torch
from mulde.detector import MULDE, mulde

torch.set_num_threads(1)
mulde.SECONDS_BETWEEN_CHECKPOINTS = 0.0
checkpoint, out, kill_at = sys.argv[1] or None, sys.argv[2], int(sys.argv[3])


def progress(look):
    print(look.step, flush=True)
    if look.step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


rows = np.random.default_rng(0).normal(size=(600, 4))
detector = MULDE(
    widths=(32, 32), max_steps=100, batch_size=128, steps_between_looks=10, device="cpu", random_state=0,
    progress=progress, checkpoint=checkpoint,
).fit(rows, groups=np.arange(600) // 60)
np.savez(out, scores=detector.anomaly_score(rows), **dict(detector.network_.state_dict()))
"""


def train(checkpoint: str, out: Path, kill_at: int) -> tuple[int, list[int]]:
    """Return the exit code and the steps at which progress was told."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, checkpoint, str(out), str(kill_at)], capture_output=True, text=True
    )
    return done.returncode, [int(line) for line in done.stdout.split()]


@pytest.mark.slow
def test_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints" / "velocity.safetensors"
    assert train(str(checkpoint), tmp_path / "resumed.npz", 50)[0] == -signal.SIGKILL
    assert checkpoint.exists()
    code, steps = train(str(checkpoint), tmp_path / "resumed.npz", -1)
    assert (code, steps[0]) == (0, 50)  # the state at 40 steps was kept
    assert not checkpoint.exists()
    assert train("", tmp_path / "whole.npz", -1) == (0, list(range(10, 101, 10)))
    resumed, whole = np.load(tmp_path / "resumed.npz"), np.load(tmp_path / "whole.npz")
    assert set(resumed) == set(whole)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name])
