"""Tasks in this process: one after the other, and each ends as it does elsewhere."""

from __future__ import annotations

import pool_tasks
import pytest

from mulde.pipeline.executors.base import Told
from mulde.pipeline.executors.in_process import InProcess
from mulde.pipeline.executors.kinds import open_computation


@pytest.mark.parametrize("tasks", [[], [3], [3, 1, 2]])
def test_outcomes_come_in_order(tasks: list[int]) -> None:
    seen: list[list[Told]] = []
    with open_computation("local", workers=4) as pool:
        assert isinstance(pool, InProcess)
        for task in tasks:
            pool.submit(pool_tasks.square, task)
        results = [outcome.result for outcome in pool.outcomes(lambda: seen.append(pool.running))]
        assert pool.running == []
    assert results == [task * task for task in tasks]
    assert seen == [[Told(task, task, 0, "")] for task in tasks]


def test_an_error_is_an_outcome_and_others_go_on() -> None:
    with InProcess() as pool:
        pool.submit(pool_tasks.fail, 1)
        pool.submit(pool_tasks.square, 2)
        failed, done = pool.outcomes()
    assert (str(failed.error), failed.result, done.result) == ("task 1", None, 4)
