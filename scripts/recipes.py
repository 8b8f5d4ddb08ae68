"""Follows the recipes of docs/contributing.md as they stand there: writes each piece of code where the sentence above
it says, and lists the commands that prove it. follow_contributing.py does so in a clone, tests/test_contributing.py
in a copy of the package.

A sentence that ends in a colon says where the code below it goes:

    New file `F`:               In `F`, above `LINE`:               In `F`, in place of `LINE`:
    At the end of `F`:          In `F`, below `LINE`:

where LINE is a part of one line of F; or, without code, "In `F`, write `NEW` in place of `OLD`." Commands are indented
by four spaces."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = "docs/contributing.md"
BLOCK = re.compile(r"^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"(?:New file|At the end of|In) `([^`]+)`(?:, (above|below|in place of) `([^`]+)`)?:$")
WRITE = re.compile(r"In `([^`]+)`, write `([^`]+)` in place of `([^`]+)`\.")


class Recipe(NamedTuple):
    """What a chapter has: its name, its text and code in their order, and its commands."""

    name: str
    parts: list[str]  # text, code, text, code, …, text
    commands: list[str]


def recipes(page: str) -> list[Recipe]:
    """Return the recipes of a page: its chapters that hold code."""
    found = []
    for chapter in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        parts = BLOCK.split(chapter)
        commands = [line.strip() for text in parts[::2] for line in text.splitlines() if line.startswith("    ")]
        if len(parts) > 1:
            found.append(Recipe(chapter.partition("\n")[0], parts, commands))
    return found


def files(recipe: Recipe) -> set[str]:
    """Return the files that a recipe changes or adds."""
    texts = [" ".join(text.split()) for text in recipe.parts[::2]]
    places = [place[1] for text in texts if (place := PLACE.search(text))]
    return {*places, *(name for text in texts for name, _, _ in WRITE.findall(text))}


def apply(recipe: Recipe, folder: Path) -> set[str]:
    """Write a recipe's code into the files of a folder, in the order of the text; return the files' names. Raises
    ValueError where the text does not say one place."""
    changed = set()
    for text, code in zip(recipe.parts[::2], [*recipe.parts[1::2], ""], strict=True):
        sentences = " ".join(text.split())
        for name, new, old in WRITE.findall(sentences):
            before = (folder / name).read_text(encoding="utf-8")
            if before.count(old) != 1:
                raise ValueError(f"{recipe.name}: '{old}' is {before.count(old)} times in {name}")
            (folder / name).write_text(before.replace(old, new), encoding="utf-8")
            changed.add(name)
        if code:
            changed.add(_put(code, sentences, folder))
    return changed


def _put(code: str, sentences: str, folder: Path) -> str:
    """Write a piece of code where the sentence above it says; return the file's name."""
    if not (place := PLACE.search(sentences)):
        raise ValueError(f"no place is given by: …{sentences[-100:]}")
    name, where, line = place.groups()
    path = folder / name
    if place[0].startswith("New file"):
        with path.open("x", encoding="utf-8") as file:
            file.write(code)
        return name
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = len(lines)
    if where:
        found = [number for number, each in enumerate(lines) if line in each]
        if len(found) != 1:
            raise ValueError(f"'{line}' is in {len(found)} lines of {name}")
        at = found[0] + (where == "below")
    rest = lines[at + (where == "in place of"):]
    path.write_text("".join([*lines[:at], code, *rest]), encoding="utf-8")
    return name
