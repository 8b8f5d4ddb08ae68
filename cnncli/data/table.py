"""A table of images that somebody wrote: a CSV file with named columns, as editors, spreadsheets and scripts save it.
It is read whole and checked here; each refusal has the number of the line. labels.py and groups.py say what it means.
``table_of`` writes the tables of images of a run.
"""

import csv
import io
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, UsageError, did_you_mean, printable, reason_of
from . import files

MOST_BYTES = 1 << 28  # of a table or list; millions of names, and no device that never ends
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True)
class Line:
    """One line of a table: its number, and what stands in its columns."""

    number: int
    values: dict[str, str]

    def where(self, table: str) -> str:
        """Return how sentences begin that are about it."""
        return f"line {self.number} of {printable(table)}"


def table_of(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return the bytes of a CSV file: UTF-8, with names that are no UTF-8 as they are."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # lines end in CR LF, so that names with either are quoted
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_table(path: str | os.PathLike[str], needed: Sequence[str], optional: Sequence[str] = ()) -> list[Line]:
    """Return the lines of a CSV file that has these columns, and perhaps others, in any order: UTF-8, or UTF-16 with
    its mark; separated by commas, semicolons, tabs or bars. Raises UsageError where there is no file, DataError where
    it is no such table.
    """
    text, shown = _text(path), printable(path)
    first = text.partition("\n")[0]
    columns = [[cell.strip().lower() for cell in next(_cells(first, delimiter, shown), (1, []))[1]]
               for delimiter in _DELIMITERS]
    fitting = [(delimiter, names) for delimiter, names in zip(_DELIMITERS, columns, strict=True)
               if set(needed) <= set(names)]
    if not fitting:
        _refuse_columns(shown, max(columns, key=len), needed)
    delimiter, names = fitting[0]
    for name in (*needed, *optional):
        if names.count(name) > 1:
            raise DataError(f"line 1 of {shown} has the column {name} twice; take one of them out.")
    wanted = [name for name in (*needed, *optional) if name in names]
    lines = []
    for number, cells in _cells(text, delimiter, shown):
        if number == 1 or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            remedy = (f"put what holds {_DELIMITERS[delimiter]} in double quotes" if len(cells) > len(names)
                      else f"fill it in, with {_DELIMITERS[delimiter]} between the columns, or take it out")
            raise DataError(f"line {number} of {shown} has {len(cells)} column{'s' * (len(cells) != 1)}, but the first "
                            f"line has {len(names)}; {remedy}.")
        values = {name: cells[names.index(name)].strip() for name in wanted}
        for name in needed:
            if not values[name]:
                raise DataError(f"line {number} of {shown} has nothing in the column {name}; fill it in, or take the "
                                "line out.")
        lines.append(Line(number, values))
    if not lines:
        raise DataError(f"{shown} has no line below the first; write one for each image.")
    return lines


def path_inside(named: str, root: str) -> str | None:
    """Return the path inside a folder of what a table calls so: inside it, or from the disk's root; "/" or "\\" between
    folders; letters with accents encoded either way. None where that lies outside of the folder."""
    spelt = [named]
    if "\\" in named:
        spelt.append(named.replace("\\", "/"))
    spelt += [unicodedata.normalize(form, name) for form in ("NFC", "NFD") for name in list(spelt)]
    inside = [_inside(name, root) for name in spelt]
    there = [name for name in inside if name is not None and files.exists(os.path.join(root, name))]
    return there[0] if there else inside["\\" in named]  # as it is spelt, but for "\\"


def _inside(named: str, root: str) -> str | None:
    """Return a path inside a folder; one from the disk's root may go by way of a link."""
    ways = [named]
    if os.path.isabs(named):
        roots = (os.path.abspath(root), os.path.realpath(root))
        real = os.path.join(os.path.realpath(os.path.dirname(named)), os.path.basename(named))
        with suppress(ValueError):  # another drive
            ways = [os.path.relpath(path, start) for path in (named, real) for start in roots]
    paths = [os.path.normpath(path).replace(os.sep, "/") for path in ways]
    return next((path for path in paths if path not in (".", "..") and not path.startswith("../")
                 and not os.path.isabs(path)), None)


def read_bytes(path: str | os.PathLike[str], wanted: str, too_large: str) -> bytes:
    """Return what a file of names holds. wanted ends the sentence on one that is not there, too_large the one on more
    than MOST_BYTES. Raises UsageError."""
    shown = printable(path)
    if not os.fspath(path):
        raise UsageError(f"the path of a table or a list is empty; {wanted}.")
    try:
        if not os.path.isfile(path):
            what = f"{shown} is no file" if os.path.exists(path) else f"there is no file {shown}"
            raise UsageError(f"{what}; {wanted}.")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown} cannot be read ({reason_of(error)}); {wanted}.") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{shown} is too large for {too_large}.")
    return data


def _text(path: str | os.PathLike[str]) -> str:
    shown = printable(path)
    data = read_bytes(path, "give a CSV file", "a table of images; cut it into several")
    mark, encoding = next(((mark, name) for mark, name in _BOMS if data.startswith(mark)), (b"", "utf-8"))
    data = data[len(mark):]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
        raise DataError(f"line {line} of {shown} is not {encoding[:6].upper().rstrip('-')}; save the file as "
                        "UTF-8.") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"line {line} of {shown} holds zero bytes, which no CSV file has; save it as CSV in UTF-8.")
    if not text.strip():
        raise DataError(f"{shown} is empty; write a first line with the names of columns.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _cells(text: str, delimiter: str, shown: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the line where it begins, cells)."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"line {before + 1} of {shown} is not well quoted ({error}); write a double quote inside "
                            "of quotes twice.") from None
        yield before + 1, cells
        before = reader.line_num


def _refuse_columns(shown: str, names: Sequence[str], needed: Sequence[str]) -> None:
    """Raise DataError: the first line does not name the columns that are needed."""
    missing = [name for name in needed if name not in names]
    near = next(filter(None, (did_you_mean(name, missing) for name in names if name not in needed)), "")
    has = ", ".join(printable(name) for name in names if name)[:200]
    *separators, last = _DELIMITERS.values()
    raise DataError(f"line 1 of {shown} names no column {' and no column '.join(missing)} (it has: {has}); write "
                    f"{','.join(needed)} there, with {', '.join(separators)} or {last} between the columns.{near}")
