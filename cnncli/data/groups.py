"""Images that must stay together: slides of a patient, frames of a video, a burst of photographs. A pattern finds the
name of a group in each path, or a table has it. division.py and folds.py keep groups together, so nobody in the test
was learnt from.
"""

import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, UsageError, brief, printable
from .table import path_inside, read_table

EXAMPLE = r"(patient\d+)"
GIVEN = "the groups"  # the name of those that are given from Python


@dataclass(frozen=True)
class Groups:
    """Which images are kept together: those in whose path inside their split's folder a regular expression finds the
    same text (in its parentheses, if it has some), or those to which a table of paths inside the data folder gives one
    name.
    """

    pattern: str | None
    table: Mapping[str, str]
    name: str  # of the pattern or the table, for sentences
    count: int | None = None  # how many names a list of them has, one for each image of arrays; None: it is no list

    def of(self, path: str, relative: str, inside: str) -> str | None:
        """Return the name of an image's group, None if it has none."""
        if self.pattern is None:
            return self.table.get(relative) or self.table.get(os.path.abspath(path))
        found = re.search(self.pattern, inside)
        if found is None:
            return None
        return "/".join(part or "" for part in found.groups()) if found.groups() else found[0]

    def fingerprint(self) -> str:
        """Return the pattern, or a hash of the table."""
        if self.pattern is not None:
            return self.pattern
        lines = sorted("\0".join(item) for item in self.table.items())
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def config(self) -> dict[str, Any]:
        """Return it as JSON values: Groups.from_config takes them back."""
        return {"pattern": self.pattern, "table": dict(self.table), "name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> "Groups":
        """Read what ``config`` returned. Raises DataError where it is not that."""
        try:
            pattern, table, name = config["pattern"], config["table"], config["name"]
            good = isinstance(name, str) and (pattern is None or bool(re.compile(pattern))) and all(
                isinstance(word, str) for item in table.items() for word in item)
        except (KeyError, TypeError, AttributeError, re.error):
            good = False
        if not good:
            raise DataError("the groups in the run's config.json are not as cnn wrote them; put the file back as it "
                            "was, or train again.")
        return cls(pattern, table, name)

    def within(self, root: str) -> "Groups":
        """Return it for a data folder: a table's paths as they are inside it, and as they are on the disk, since a
        folder around the images may be passed over. Raises DataError for a file that is in two groups."""
        if self.pattern is not None:
            return self
        if self.count is not None:
            raise UsageError(f"--group-by has a list of groups, and {printable(root)} is a folder; give a regular "
                             "expression, a CSV file with the columns file and group, or a mapping of paths to groups.")
        table: dict[str, str] = {}
        for named, group in self.table.items():
            inside = path_inside(named, root)
            if inside is not None and table.setdefault(inside, group) != group:
                raise DataError(f"{printable(self.name)}: {printable(inside)} is in two groups, "
                                f"{printable(table[inside])} and {printable(group)}; take one of the lines out.")
            if inside is not None:
                table[os.path.abspath(os.path.join(root, inside))] = group
        return Groups(None, table, self.name)

    def as_found(self, table: Mapping[str, str]) -> "Groups":
        """Return it as a run keeps it: with the table of the images that there are, a pattern as it is."""
        return self if self.pattern is not None else Groups(None, table, self.name)


def groups_of(given: Any) -> Groups | None:
    """Return the groups that were asked for: a pattern, the path of a CSV file with the columns file and group, a
    mapping of paths to groups, a group for each image of arrays, or what a config has. Raises UsageError, DataError.
    """
    if given is None or isinstance(given, Groups):
        return given
    if isinstance(given, Mapping):
        if given.keys() == {"pattern", "table", "name"}:
            return Groups.from_config(given)
        return Groups(None, {str(file): str(group) for file, group in given.items()}, GIVEN)
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        if os.path.isfile(text) or not isinstance(given, str) or text.lower().endswith((".csv", ".tsv")):
            return _of_table(text)
        return _of_pattern(text)
    if (isinstance(given, Sequence) or hasattr(given, "tolist")) and getattr(given, "ndim", 1) == 1:
        return Groups(None, {str(i): str(group) for i, group in enumerate(given)}, GIVEN, len(given))
    raise UsageError("the groups must be a regular expression, a CSV file with the columns file and group, a mapping "
                     f"of paths to groups, or a list with a group for each image of arrays, not {brief(given)}.")


def _of_pattern(pattern: str) -> Groups:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--group-by {printable(pattern)} is no regular expression ({error}) and no file; give a "
                         "regular expression that finds a group's name in a path, like "
                         f"{shlex.quote(EXAMPLE)}.") from None
    if not pattern:
        raise UsageError("--group-by is empty; give a regular expression that finds a group's name in a path, like "
                         f"{shlex.quote(EXAMPLE)}.")
    return Groups(pattern, {}, pattern)


def _of_table(path: str) -> Groups:
    table: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line in read_table(path, ("file", "group")):
        file, group = line.values["file"], line.values["group"]
        if table.setdefault(file, group) != group:
            raise DataError(f"lines {lines[file]} and {line.number} of {printable(path)} put {printable(file)} into "
                            f"two groups, {printable(table[file])} and {printable(group)}; take one of the lines out.")
        lines.setdefault(file, line.number)
    return Groups(None, table, path)
