"""Sphinx' settings of the site; build.py writes the pages that it reads."""

import re
from typing import Any

from malaria_exp import __version__

project = "malaria_exp"
version = release = __version__
author = copyright = "The malaria_exp project"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
html_extra_path = ["extra"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
# Anchors as GitHub gives them.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A fence without a language is a command or a listing.
highlight_language = "text"
suppress_warnings = ["myst.header"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "inherited-members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
smartquotes = False


def setup(app: Any) -> None:
    """Reads docstrings as they are meant, before napoleon reads their sections."""
    app.connect("autodoc-process-docstring", _as_meant, priority=400)


def _as_meant(*arguments: Any) -> None:
    """Makes `name` code, an indented block behind a colon an example, and all else plain text: docstrings are no reStructuredText."""
    lines: list[str] = arguments[-1]
    example = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if example is not None and (not line or indent > example):
            continue
        following = next((one for one in lines[number + 1 :] if one), "")
        begins = line.endswith(":") and lines[number + 1 : number + 2] == [""] and len(following) - len(following.lstrip()) > indent
        example = indent if begins else None
        parts = re.split(r"(`[^`]+`)", line)
        lines[number] = (
            "".join(f"`{part}`" if part.startswith("`") else re.sub(r"(\*|\w_(?!\w))", _escaped, part) for part in parts) + ":" * begins
        )


def _escaped(found: re.Match[str]) -> str:
    return f"{found[0][:-1]}\\{found[0][-1]}"
