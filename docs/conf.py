"""How Sphinx builds the site: `make docs`. Everything that a page needs is in the site; it loads nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.util.inspect import TypeAliasForwardRef

from mulde.data.version import mulde_version

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "mulde"
author = "the authors of mulde"
copyright = "the authors of mulde, Apache-2.0"
release = version = mulde_version()

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "docstrings",
    "heading_levels",
    "mathml",
    "settings_reference",
]
exclude_patterns = ["_build", "extensions", "static"]
smartquotes = False  # it would make a dash of the two in --option
default_role = "code"  # docstrings and help texts have `code`, as Markdown does

myst_enable_extensions = ["dollarmath", "deflist", "fieldlist"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in ("ArrayLike", "Axes", "BoxXyxy", "NDArray", "Progress", "StrPath")
}
TypeAliasForwardRef.__repr__ = lambda self: self.name  # what is printed where one stands inside another type
napoleon_numpy_docstring = False
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"mulde {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # browsers do not let a page that is a file read others
html_theme_options = {"top_of_page_buttons": []}
