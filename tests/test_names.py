"""Names lead somewhere: a file that a docstring, a comment at the head of a C file, or a page of docs/ about the house
names is there, so that whoever follows a name arrives."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("cnncli", "csrc", "tests", "benchmarks", "scripts", "docs", ".ci")
FILES = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")
         if path.is_file()} | {path.name for path in ROOT.iterdir() if path.is_file()}  # fmt: skip
NAME = re.compile(r"(?<![\w./*<>-])(?:[\w.]+/)*\w+\.(?:py|c|h|md|sh|css|js|html)\b(?!\()")
PAGES = [ROOT / name for name in ("docs/design.md", "docs/layers.md", "docs/python.md", "CONTRIBUTING.md", "README.md")]
SOURCES = [path for pattern in ("cnncli/**/*.py", "csrc/*.[ch]", "tests/**/*.py", "tests/**/*.c", "benchmarks/**/*.py")
           for path in sorted(ROOT.glob(pattern)) if path.name != "_kernels.c"]  # fmt: skip
KNOWN = {"/".join(parts[start:]) for parts in (file.split("/") for file in FILES) for start in range(len(parts))}
MADE = {"_kernels.c", "_kernels.h"}  # by the build
# What a user's file may be called in an example, and what a run or an export leaves behind.
EXAMPLES = {"birds.c", "birds.html", "out.c", "classifier.c", "model.c", "report.html", "explain.html", "page.html",
            "shortcuts.png", "FILE.c", "small.c", "images.h", "net.c", "x.c", "build/messages.md"}


def words(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    if path.suffix in (".c", ".h"):
        return text[: text.index("*/")]
    tree = ast.parse(text)
    described = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef))]
    return "\n".join(filter(None, map(ast.get_docstring, described)))


def is_there(name: str) -> bool:
    return name in MADE or name.removeprefix("../") in KNOWN


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted({path.parent for path in [*PAGES, *SOURCES]}),
                         ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(folder: Path) -> None:
    for path in (path for path in [*PAGES, *SOURCES] if path.parent == folder):
        missing = {name for name in NAME.findall(words(path)) if not is_there(name)} - EXAMPLES
        assert not missing, f"{path} names files that are not there: {', '.join(sorted(missing))}"
