"""What the layers below say of a setting, in the words of whoever runs a command.

Their messages name a setting in backticks, by its field in the record that they were given, such as
`boxes.yolo.classes` or `clip_lengths`: they do not know how it came there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mulde.data.errors import InputError
from mulde.extractors.networks.weights import WEIGHTS_FOLDER, UnknownWeightsError, WeightsMissingError
from mulde.pipeline.config.reference import reference

_NAMED = re.compile(r"`([a-z_.]+)`")
_EXTRACT = "extract."


def respell(text: str, names: Mapping[str, str]) -> str:
    """Return a message in which settings have other names; others in backticks stay as they are."""
    return _NAMED.sub(lambda found: names.get(found[1], found[0]), text)


def of_extraction() -> dict[str, str]:
    """Return the dotted keys of what extractors can be given, by what they call it."""
    return {key.removeprefix(_EXTRACT): key for key in reference() if key.startswith(_EXTRACT)}


@contextmanager
def respelled(**names: str) -> Iterator[None]:
    """Give errors from within other names of settings, such as clip_lengths="--clip-lengths"."""
    try:
        yield
    except InputError as error:
        error.args = (respell(str(error), names),)
        raise


@contextmanager
def in_users_words() -> Iterator[None]:
    """Have errors from within name settings by their dotted keys, and the command that fetches weights."""
    try:
        yield
    except InputError as error:
        text = respell(str(error), {**of_extraction(), "cache": "--cache DIR"})
        if isinstance(error, UnknownWeightsError):
            text = f"{text}; `mulde weights list` shows the known ones"
        elif isinstance(error, WeightsMissingError) and error.names:
            command = f"mulde weights fetch {' '.join(error.names)} {_where(error.folder)}"
            text = f"{text}; `{command}` gets them"
        error.args = (text,)
        raise


def _where(folder: Path) -> str:
    """Return the option of `mulde weights fetch` that has it keep weights in a folder."""
    if folder.name == WEIGHTS_FOLDER:
        return shlex.join(["--cache", str(folder.parent)])
    return shlex.join(["--folder", str(folder)])
