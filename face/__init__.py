"""Find what is unusual in hours of video; the parts load when they are first asked for."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mulde.data.errors import InputError
    from mulde.data.layouts.catalogue import open_dataset
    from mulde.detector import MULDE
    from mulde.pipeline.api import evaluate, load, train, watch_cameras

    __version__: str

__all__ = ["MULDE", "InputError", "__version__", "evaluate", "load", "open_dataset", "train", "watch_cameras"]

_HOMES = {
    "MULDE": "mulde.detector",
    "InputError": "mulde.data.errors",
    "open_dataset": "mulde.data.layouts.catalogue",
    "load": "mulde.pipeline.api",
    "train": "mulde.pipeline.api",
    "evaluate": "mulde.pipeline.api",
    "watch_cameras": "mulde.pipeline.api",
}
"""Where each name is defined; nothing of torch or OpenCV is imported before one is used."""


# A library says nothing by itself; whoever wants its log gives it a handler, as the command line does.
logging.getLogger("mulde").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from mulde.data.version import mulde_version

        return mulde_version()
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mulde' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
