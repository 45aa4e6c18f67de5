"""Users' mistakes: their text is the whole message, from a worker process too."""

from __future__ import annotations

import pickle

import pytest

from mulde.data.errors import InputError, PackageMissingError, VideoError, require_package


@pytest.mark.parametrize(
    "error", [InputError(""), VideoError("a.mp4 is empty"), PackageMissingError("torchvision", "encoders")]
)
def test_errors_come_back_from_a_worker(error: InputError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_a_package_that_is_not_there_comes_with_its_command() -> None:
    assert require_package("pickle", "none") is pickle
    with pytest.raises(
        PackageMissingError, match=r"^nothing_such is not installed: pip install 'mulde\[x\]'$"
    ):
        require_package("nothing_such.module", "x")


def test_names_of_files_reach_no_terminal_raw() -> None:
    assert str(InputError("a\x1b.mp4")) == "a%1B.mp4"
