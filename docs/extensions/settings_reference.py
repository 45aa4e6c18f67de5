"""The directive `settings`: every setting, read from the code as `mulde config` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from sphinx.util.docutils import SphinxDirective

from mulde.pipeline.config.dotted import flat, in_yaml
from mulde.pipeline.config.load import PRESETS
from mulde.pipeline.config.reference import Setting, meaning_of_group, reference

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def _markdown() -> Iterator[str]:
    for group, settings in groupby(_sorted(), key=_group_of):
        yield f"## {f'`{group}`' if group else 'Of the whole run'}\n"
        if group:
            yield meaning_of_group(group) + "\n"
        for setting in settings:
            yield from _of(setting)
    yield "## Presets\n\nA preset is a set of defaults, which settings of your own go before:\n"
    for preset, values in PRESETS.items():
        changed = ", ".join(f"`{name}={in_yaml(value)}`" for name, value in flat(values).items())
        yield f"`{preset}`\n: {changed or 'all defaults as above'}\n"


def _of(setting: Setting) -> Iterator[str]:
    yield f"```{{confval}} {setting.name}"
    yield f":type: {json.dumps(setting.allowed)}"
    default = in_yaml(setting.default)
    yield f":default: {json.dumps(f'`{default}`')}\n"
    meaning = setting.meaning.replace("<", r"\<")
    yield f"{meaning}\n```\n"


def _group_of(setting: Setting) -> str:
    return setting.name.rpartition(".")[0]


def _sorted() -> list[Setting]:
    """Keep the order of the code, but all of a group in one place."""
    order = list(dict.fromkeys(map(_group_of, reference().values())))
    return sorted(reference().values(), key=lambda setting: order.index(_group_of(setting)))


class SettingsReference(SphinxDirective):
    """Every setting with its range, default and meaning, by group."""

    def run(self) -> list[nodes.Node]:
        """Return a section per group."""
        return self.parse_text_to_nodes("\n".join(_markdown()), allow_section_headings=True)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("settings", SettingsReference)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
