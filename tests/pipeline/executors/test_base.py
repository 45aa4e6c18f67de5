"""What is made of how a task ended."""

from __future__ import annotations

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.executors.base import Outcome, WorkerDiedError


@pytest.mark.parametrize("result", [0, "", [], 7])
def test_a_result_is_returned(result: object) -> None:
    assert Outcome("task", result, None, 0.0).required("train") is result


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (InputError("2 rows are too few"), InputError, "^2 rows are too few$"),
        (OSError("no room"), OSError, "^no room$"),
        (WorkerDiedError("lost 3 times"), InputError, "^train: lost 3 times; the same command goes on"),
    ],
)
def test_without_a_result_nothing_goes_on(error: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Outcome("task", None, error, 0.0).required("train")
