"""Docstrings as they are meant: a colon below a field begins no description, a dash is a dash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_COLON = "\N{RATIO}"
_BEFORE_NAPOLEON, _AFTER_NAPOLEON = 400, 600
_FIELDS = ("attribute", "data", "property")


def _hide_colons(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    if what in _FIELDS:
        lines[:] = [line.replace(":", _COLON) for line in lines]


def _show_colons(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    if what in _FIELDS:
        lines[:] = [line.replace(_COLON, ":") for line in lines]


def _draw_dashes(app: Sphinx, doctree: nodes.document) -> None:
    """Between an argument and its meaning Sphinx writes two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Hide the colons of fields from napoleon, which would read "The frame: …" as a type; draw dashes."""
    app.connect("autodoc-process-docstring", _hide_colons, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", _show_colons, priority=_AFTER_NAPOLEON)
    app.connect("doctree-read", _draw_dashes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
