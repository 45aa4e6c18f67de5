"""Say the level of the headings in the list of pages, which the theme leaves out and screen readers need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_TREE = "furo_navigation_tree"
_AFTER_THE_THEME = 900


def _add_levels(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if _TREE in context:
        context[_TREE] = context[_TREE].replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the levels to every page."""
    app.connect("html-page-context", _add_levels, priority=_AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
