"""A list of images to leave out: a text file that `cnn check` writes, that people may edit, and that training and test
read. It names paths inside the data folder, so it stays valid when the folder moves. folder.py drops the images before
it draws splits.
"""

import codecs
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import UsageError, brief, printable
from .outputs import Kind, write
from .suffixes import is_image
from .table import MOST_BYTES, read_bytes

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_CODES = {escape[1]: character for character, escape in _ESCAPES.items()}
_HEADING = (
    "Images for `cnn train --exclude` to leave out, one a line, by their paths inside the data folder.",
    "Written by `cnn check`; take out the lines of those to keep. No image has been changed.",
)
_AS_WRITTEN = "# As written: "  # the last line: what tells a list that nobody has edited since


def _unedited(path: str) -> bool:
    """Whether a file is a list that is still as it was written."""
    with open(path, "rb") as file:
        names, mark, digest = file.read(MOST_BYTES).rstrip().rpartition(_AS_WRITTEN.encode())
    return bool(mark) and digest == _digest(names)


def _digest(names: bytes) -> bytes:
    return hashlib.sha256(names).hexdigest()[:16].encode()


LIST = Kind("an unedited list of images to exclude", ".txt", _unedited, strict=False)


def read_list(path: str | os.PathLike[str]) -> frozenset[str]:
    """Return the paths that a list names: one a line, empty lines and those that begin with "#" left out.

    A name in double quotes has escapes: \\n, \\r, \\t, \\", \\\\ and \\ooo, a byte in octal. Raises UsageError where
    the file cannot be read or a line makes no sense.
    """
    shown = printable(path)
    data = read_bytes(path, "give a list as 'cnn check --exclude-list' writes it",
                      "a list of paths; cut it into several")
    names = set()
    for number, line in enumerate(without_mark(data).split(b"\n"), 1):
        text = os.fsdecode(line.removesuffix(b"\r"))
        if text.startswith('"'):
            name = _unquoted(text)
            if name is None:
                raise UsageError(f"line {number} of {shown} begins with a quote but is not well quoted; write it as "
                                 "'cnn check --exclude-list' does.")
            names.add(name)
        elif text.strip() and not text.startswith("#"):
            names.add(text.removeprefix("./"))
    return frozenset(names)


def without_mark(text: bytes) -> bytes:
    """Return a list of names without the byte-order mark that other systems' editors and shells begin it with; one of
    UTF-16 as UTF-8."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16", "replace").encode("utf-8", "replace")
    return text.removeprefix(codecs.BOM_UTF8)


class Names(list[str]):
    """The names on a list, and the absolute path of the file that has them; None if they came from no file."""

    def __init__(self, names: Iterable[str], file: str | None = None) -> None:
        super().__init__(names)
        self.file = file

    def config(self) -> Any:
        """Return them as JSON values, which ``names_of`` takes back."""
        return list(self) if self.file is None else {"file": self.file, "names": list(self)}


def names_of(given: str | os.PathLike[str] | Collection[str] | Mapping[str, Any]) -> Names:
    """Return the names that were given, or those in the file that was given, sorted. Raises UsageError."""
    if isinstance(given, Names):
        return given
    if isinstance(given, Mapping) and set(given) == {"file", "names"}:  # as config.json has them
        return Names(names_of(given["names"]), given["file"])
    if isinstance(given, str | os.PathLike):
        if is_image(os.fspath(given)):
            raise UsageError(f"--exclude has the path of an image, {printable(given)}; give a list of images, or a "
                             "text file that lists them, one a line.")
        return Names(sorted(read_list(given)), os.path.abspath(os.fspath(given)))
    names = [given] if isinstance(given, bytes) or not isinstance(given, Collection) else list(given)
    for name in names:
        if not isinstance(name, str | os.PathLike) or not os.fspath(name):
            raise UsageError(f"--exclude must be a list of paths inside the data folder, and {brief(name)} is none.")
    return Names(sorted({os.fspath(name) for name in names}))


def fingerprint(names: Iterable[str]) -> str | None:
    """Return a hash of the names on a list, whatever their order; None where there are none."""
    encoded = sorted(map(os.fsencode, names))
    return hashlib.sha256(b"\0".join(encoded)).hexdigest() if encoded else None


def write_list(path: str | os.PathLike[str], sections: Iterable[tuple[str, Sequence[str]]]) -> int:
    """Write a list of (heading, paths inside the data folder); return how many paths. Raises SaveError.

    A path is listed once, under the first heading that has it. A file that is no such list, or that somebody has edited
    since, is not overwritten: UsageError.
    """
    lines, listed = [f"# {line}" for line in _HEADING], set()
    for heading, names in sections:
        new = [name for name in dict.fromkeys(names) if name not in listed]
        if new:
            listed.update(new)
            lines += ["", f"# {printable(heading)}", *map(_quoted, new)]
    text = os.fsencode("\n".join(lines) + "\n\n")
    write(path, text + _AS_WRITTEN.encode() + _digest(text) + b"\n", LIST)
    return len(listed)


def _quoted(name: str) -> str:
    plain = name.isprintable() and not name.startswith(('"', "#", "./")) and name == name.strip()
    return name if plain else '"' + "".join(map(_escaped, name)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() or character == " ":
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def _unquoted(text: str) -> str | None:
    """Return what a quoted name stands for, None where it is not well formed."""
    if not re.fullmatch(r'"(?:[^"\\]|\\[nrt"\\]|\\[0-3][0-7]{2})*"', text):
        return None
    name = re.sub(rb"\\([0-3][0-7]{2}|.)", _unescaped, os.fsencode(text[1:-1]))
    return os.fsdecode(name)


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8)]) if len(code) == 3 else _CODES[code.decode()].encode()
