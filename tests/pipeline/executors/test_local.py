"""The pool: stuck and dying workers cost their own task only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pool_tasks
import pytest

from mulde.pipeline.executors.base import Tick, WorkerDiedError, WorkerStalledError
from mulde.pipeline.executors.local import LocalPool


def test_no_task() -> None:
    with LocalPool(1, 10, capacity=0) as pool:
        assert list(pool.outcomes()) == []


def test_results_and_errors_come_back_with_their_tasks() -> None:
    with LocalPool(2, 30, capacity=5) as pool:
        for task in range(4):
            pool.submit(pool_tasks.square, task)
        pool.submit(pool_tasks.fail, 9)
        outcomes = {outcome.task: outcome for outcome in pool.outcomes()}
        assert pool.n_frames_done == 0 + 1 + 2 + 3
    assert {task: outcomes[task].result for task in range(4)} == {0: 0, 1: 1, 2: 4, 3: 9}
    assert isinstance(outcomes[9].error, ValueError)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system blocks no signals")
def test_workers_that_are_just_starting_print_no_traceback_on_ctrl_c() -> None:
    code = """
import multiprocessing, os, signal, sys, threading, time
import pool_tasks
from mulde.pipeline.executors.local import LocalPool

def interrupt():
    while True:
        for child in multiprocessing.active_children():
            if child.pid:
                os.kill(child.pid, signal.SIGINT)
        time.sleep(0.01)

if __name__ == "__main__":
    threading.Thread(target=interrupt, daemon=True).start()
    with LocalPool(1, 30, 1) as pool:
        pool.submit(pool_tasks.square, 3)
        print([outcome.result for outcome in pool.outcomes()])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("[9]", "")


def test_tasks_may_be_submitted_while_others_run() -> None:
    with LocalPool(1, 30, capacity=2) as pool:
        pool.submit(pool_tasks.square, 2)
        results = []
        for outcome in pool.outcomes():
            results.append(outcome.result)
            if len(results) == 1:
                pool.submit(pool_tasks.square, 3)
    assert results == [4, 9]


@pytest.mark.parametrize("end", [pool_tasks.die, pool_tasks.leave])
def test_dead_worker_fails_its_task_alone(end: Callable[[int, Tick], int]) -> None:
    started = time.monotonic()
    with LocalPool(2, 600, capacity=3) as pool:
        pool.submit(end, 0)
        pool.submit(pool_tasks.square, 1)
        pool.submit(pool_tasks.square, 2)
        outcomes = {outcome.task: outcome for outcome in pool.outcomes()}
    assert isinstance(outcomes[0].error, WorkerDiedError)
    assert (outcomes[1].result, outcomes[2].result) == (1, 4)
    assert time.monotonic() - started < 60


def test_a_slow_start_is_no_stall() -> None:
    with LocalPool(1, 1.0, capacity=1) as pool:
        pool.submit(pool_tasks.slow_to_start, 5)
        (outcome,) = pool.outcomes()
    assert outcome.result == 5


def test_stalled_worker_is_stopped_and_a_slow_one_is_not() -> None:
    started = time.monotonic()
    with LocalPool(2, 1.2, capacity=2) as pool:
        pool.submit(pool_tasks.stall, 0)
        pool.submit(pool_tasks.slow_but_alive, 1)
        outcomes = {outcome.task: outcome for outcome in pool.outcomes()}
    assert isinstance(outcomes[0].error, WorkerStalledError)
    assert outcomes[1].result == 1
    assert time.monotonic() - started < 60


def test_what_is_done_of_all_frames_is_known_before_the_first_task_ends() -> None:
    seen = []
    with LocalPool(1, 30, capacity=2) as pool:
        assert pool.share_done == 0
        for task in range(2):  # of 8 frames each; the second waits for the first
            pool.submit(pool_tasks.slow_but_alive, task)
        for _ in pool.outcomes(lambda: seen.append(pool.share_done)):
            pass
    assert seen == sorted(seen)
    assert set(seen) <= {step / 16 for step in range(17)}
    assert any(0 < share < 0.5 for share in seen)  # of the first task, while the second has not begun
    assert seen[-1] == 1


OWNER = """
import pool_tasks
from mulde.pipeline.executors.local import LocalPool

if __name__ == "__main__":
    with LocalPool(1, 30, capacity=1) as pool:
        pool.submit(pool_tasks.leave_a_trace, "trace")
        list(pool.outcomes())
"""


def test_workers_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(OWNER)
    helpers = os.pathsep.join([str(Path(pool_tasks.__file__).parent), os.environ.get("PYTHONPATH", "")])
    trace = tmp_path / "trace"
    owner = subprocess.Popen(
        [sys.executable, "owner.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": helpers}
    )
    while not trace.exists():
        assert owner.poll() is None
        time.sleep(0.05)
    owner.kill()
    owner.wait()
    time.sleep(0.5)
    last = trace.read_text()
    time.sleep(0.5)
    assert trace.read_text() == last
