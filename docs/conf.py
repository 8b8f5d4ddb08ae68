"""How Sphinx builds the site: `make docs` writes it to build/site. Pages are Markdown; the reference is made of the
docstrings of public names and of the commands' help, so that both say the same."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cnncli import __version__

project, author, release = "cnn", "The cnn contributors", __version__
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinx_copybutton",
              "help_of_commands"]
html_theme, html_title = "furo", "cnn"
html_copy_source = False
smartquotes = False  # --option stays as it is typed
myst_heading_anchors = 4

napoleon_numpy_docstring = False  # Args:, Returns:, Raises:, Attributes: (CONTRIBUTING.md)
napoleon_attr_annotations = napoleon_use_ivar = True
autodoc_typehints, autodoc_typehints_description_target = "description", "documented_params"
autodoc_typehints_format = "short"
autodoc_preserve_defaults, autodoc_inherit_docstrings = True, False
autodoc_member_order = "bysource"
default_role = "code"
MARKUP = re.compile(r"(?<!\\)(\*|_\b|\\(?![*_\\]))")  # in what is plain text
PAGE = re.compile(r"\bdocs/(\w+)\.md\b")
FOR_US = ("What may not be here", "To add one", "To add a layer")
COLON = "\ue000"  # stands for a colon until napoleon has read a docstring


def setup(app: Any) -> None:
    """Read docstrings and help texts as the plain text that they are: stars and final underscores are no markup."""
    for event in ("autodoc-process-docstring", *(f"sphinx-click-process-{part}" for part in (
            "description", "usage", "options", "arguments", "epilog"))):
        app.connect(event, lambda *arguments: _escape(arguments[-1]))
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.connect("object-description-transform", lambda app, *_: _shorten(app.env.current_document), priority=400)
    app.connect("doctree-read", lambda app, doctree: _tidy(doctree))


def _before_napoleon(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep what stands before a colon from being read as a type, where none is written; leave out of a module's
    docstring what is for those who work on it."""
    for i, line in enumerate(lines):
        if (what == "property" and not i) or (i and lines[i - 1] in ("Returns:", "Yields:")):
            lines[i] = line.replace(":", COLON)
        elif what == "module" and line.startswith(FOR_US):
            del lines[i:]
            break


def _escape(lines: list[str]) -> None:
    code = -1  # how far the line before a block of code is indented
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if code >= 0 and (not line.strip() or indent > code):
            continue
        code = indent if line.endswith("::") and not line.lstrip().startswith("..") else -1
        if line.startswith(":vartype "):
            lines[i] = re.sub(r"(?<![\w.~])((?:\w+\.)+\w+)", r"~\1", _short(line))
            continue
        outside = re.split(r"(`+[^`]*`+|^ *\.\. .*)", line.replace(COLON, ":"))
        lines[i] = "".join(part if number % 2 else PAGE.sub(r":doc:`/\1`", MARKUP.sub(r"\\\1", part))
                           for number, part in enumerate(outside))


def _short(kind: str) -> str:
    """Leave shape and numbers out of an array's type: the text has them."""
    return re.sub(r"ndarray\[(?:[^][]|\[[^][]*\])*\]", "ndarray", kind)


def _shorten(document: Any) -> None:
    for kinds in document.autodoc_annotations.values():
        kinds.update({name: _short(kind) for name, kind in kinds.items()})


def _tidy(doctree: nodes.document) -> None:
    """Write lists of parameters as they are meant: without smart quotes, Sphinx leaves "--" and the "~" of types."""
    for field in doctree.findall(nodes.field_name):
        if field.astext() == "Variables":
            field[:] = [nodes.Text("Attributes")]
    for text in [text for part in doctree.findall(nodes.field_list) for text in part.findall(nodes.Text)]:
        tidied = re.sub(r"~[\w.]*\.(\w+)", r"\1", "\N{EN DASH}".join(re.split(r"(?<=^ )--(?= $)", text)))
        if tidied != text and not isinstance(text.parent, nodes.literal | nodes.literal_block):
            text.parent.replace(text, nodes.Text(tidied))
