"""Keep napoleon from reading "The frame that shows it best: …" below a field as a type and a description."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_COLON = "\N{RATIO}"
_BEFORE_NAPOLEON, _AFTER_NAPOLEON = 400, 600
_FIELDS = ("attribute", "data", "property")


def _hide(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    if what in _FIELDS:
        lines[:] = [line.replace(":", _COLON) for line in lines]


def _show(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    if what in _FIELDS:
        lines[:] = [line.replace(_COLON, ":") for line in lines]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Hide the colons from napoleon."""
    app.connect("autodoc-process-docstring", _hide, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", _show, priority=_AFTER_NAPOLEON)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
