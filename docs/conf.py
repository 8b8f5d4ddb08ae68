"""How Sphinx builds the site: `make docs` writes it to build/site. Pages are Markdown; the reference is made of the
docstrings of public names and of the commands' help, so that both say the same."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cnncli import __version__

project, author, release = "cnn", "The cnn contributors", __version__
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
html_theme, html_title = "furo", "cnn"
html_copy_source = False
smartquotes = False  # --option stays as it is typed
myst_heading_anchors = 4

autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
default_role = "code"


def setup(app: Any) -> None:
    """Read docstrings and help texts as the plain text that they are: stars and final underscores are no markup."""
    for event in ("autodoc-process-docstring", *(f"sphinx-click-process-{part}" for part in (
            "description", "usage", "options", "arguments", "epilog"))):
        app.connect(event, lambda *arguments: _escape(arguments[-1]))


def _escape(lines: list[str]) -> None:
    for i, line in enumerate(lines):
        outside = re.split(r"(`+[^`]*`+|^ *\.\. .*)", line)
        lines[i] = "".join(part if number % 2 else re.sub(r"(?<!\\)(\*|_\b)", r"\\\1", part)
                           for number, part in enumerate(outside))
