"""Settings in messages of the layers below, in the user's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError, VideoError
from mulde.extractors.networks.weights import find_weights
from mulde.pipeline.config.words import in_users_words, respell, respelled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("lengths of nothing", "lengths of nothing"),
        ("rows with `frame`: give `lengths` 3", "rows with `frame`: give --lengths 3"),
        ("`lengths` or `lengths_of_it`", "--lengths or `lengths_of_it`"),
    ],
)
def test_only_names_in_backticks_are_respelled(text: str, said: str) -> None:
    assert respell(text, {"lengths": "--lengths"}) == said


def test_an_error_stays_what_it_is() -> None:
    with pytest.raises(VideoError, match=r"^give --key$"), respelled(key="--key"):
        raise VideoError("give `key`")
    with pytest.raises(KeyError), respelled(key="--key"):
        raise KeyError("`key`")


def test_settings_of_extraction_have_their_dotted_keys() -> None:
    with pytest.raises(InputError, match=r"^extract\.boxes\.yolo\.classes or --cache DIR$"), in_users_words():
        raise InputError("`boxes.yolo.classes` or `cache`")


@pytest.mark.parametrize(
    ("name", "folder", "way_out"),
    [
        ("yolo11n", "cache/weights", "`mulde weights fetch yolo11n --cache cache` gets them"),
        ("yolo11n", "my cache/weights", "`mulde weights fetch yolo11n --cache 'my cache'` gets them"),
        ("yolo11n", "nets", "`mulde weights fetch yolo11n --folder nets` gets them"),
        ("nothing", "nets", "`mulde weights list` shows the known ones"),
        ("a/b.pt", "nets", "check the path"),
    ],
)
def test_weights_that_are_missing_come_with_the_command(name: str, folder: str, way_out: str) -> None:
    with pytest.raises(InputError) as caught, in_users_words():
        find_weights(name, Path(folder)).require()
    assert str(caught.value).endswith(way_out)
