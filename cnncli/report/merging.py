"""Joining what `cnn predict --shard` wrote (parts.py) into the very bytes that one process would have written, or
saying in a sentence why these parts are not the whole.
"""

import io
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice, pairwise
from typing import Literal

from ..data.outputs import Kind, claim, marked, write
from ..errors import DataError, UsageError, brief, printable, reason_of
from ..values import as_hinted
from .parts import SAME, Part, part_in

JSON = Kind("a whole list of predictions", ".json", marked(rb'\A\[\n  \{"path": "'), strict=False)
# A part may be longer to make again than a merged table, so the mark is only that of whole ones.
CSV = Kind("a whole table of predictions", ".csv",
           marked(rb'\Apath,label,probability,(?![^\n]*,"part \d)(?:label_2,|error[,\n])'), strict=False)
_WHOLE = re.compile(rb'\[\n(?:  \{"path": |\])|path,label,probability,[^\n]*\n')
_JSON, _CSV = b'{"part": {', b"path,label,probability,"
_COLUMN = b',"part '
_JSON_END = re.compile(rb'\n\], "sha256": "([0-9a-f]{64})"\}\n?\Z')
_CELL = re.compile(r'(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))')
_NAMED = 3  # missing parts that are named one by one


@dataclass(frozen=True)
class Merged:
    """The predictions of several processes as one would have written them.

    Attributes:
        data: The bytes of the JSON or CSV file.
        form: "JSON" or "CSV".
        parts: How many parts they come from.
        image_count: How many images they are about.
        skipped: (path, reason) of each image that could not be used.
        notes: Sentences on what the parts differ in, if that changes no label.
        files: The files of the parts.
        model: The model's file, as the predictions name it.
    """

    data: bytes = field(repr=False)
    form: Literal["JSON", "CSV"]
    parts: int
    image_count: int
    skipped: list[tuple[str, str]]
    notes: list[str]
    files: list[str]
    model: str

    @as_hinted
    def write(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the file, whole or not at all.

        Args:
            path: The file.
            force: True replaces any file of this name, but no part and no model.

        Raises:
            UsageError: The file is a part, the model, or something that was not written by this.
            SaveError: It could not be written.
        """
        kind = JSON if self.form == "JSON" else CSV
        with claim({path: kind}, models=[self.model], reads=self.files, force=force):
            write(path, self.data, kind)

    def shown(self) -> bytes:
        """Return the bytes for a terminal, which would obey the control characters in names."""
        lines = _records(self.data) if self.form == "CSV" else []
        shown = [printable(line.decode("utf-8", "surrogateescape").removesuffix("\n")) for line in lines]
        return "".join(f"{line}\n" for line in shown).encode() if lines else self.data


@dataclass(frozen=True)
class _Read:
    """A part that was read: its file, its items or rows, and the heading of a table ("" of JSON)."""

    path: str
    part: Part
    lines: list[bytes]
    heading: bytes


class _PartError(Exception):
    """A file that is no whole part: why, which part it is if that is known, and whether it can be made again."""

    def __init__(self, why: str, part: Part | None = None, form: str = "", foreign: bool = False) -> None:
        super().__init__(why)
        self.why, self.part, self.form, self.foreign = why, part, form, foreign


@as_hinted
def merge_predictions(parts: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Merged:
    """Join what several processes of ``cnn predict --shard`` wrote into what one process would have written.

    Args:
        parts: The files, all JSON or all CSV, in any order; or one, if there is only one part.

    Returns:
        The joined predictions, in the order of the whole list of images.

    Raises:
        UsageError: No file is given, or parts is no list of files.
        DataError: A part is missing, is given twice, is not whole, or was made of other images, with another model or
            with other options than the rest. The message has the command that makes it, where that is known.

    Example::

        cnncli.merge_predictions(sorted(glob.glob("part-*.json"))).write("all.json")
    """
    paths = [parts] if isinstance(parts, str | os.PathLike) else [*parts]
    if not paths or not all(isinstance(each, str | os.PathLike) and each for each in paths):
        raise UsageError("the parts must be the paths of files that 'cnn predict --shard' wrote, at least one.")
    read: list[_Read] = []
    unusable: list[tuple[str, _PartError]] = []
    for path in [os.fspath(each) for each in paths]:
        try:
            read.append(_read(path))
        except _PartError as why:
            unusable.append((path, why))
    for one, other in pairwise(read):
        _check_alike(one, other)
    by_number: dict[int, _Read] = {}
    for each in read:
        _check_once(each, by_number.setdefault(each.part.part, each))
    if unusable:
        raise DataError(_refusal(*unusable[0], by_number))
    if len(by_number) < read[0].part.of:
        raise DataError(_gap(by_number))
    return _joined([by_number[number] for number in sorted(by_number)])


def _joined(parts: Sequence[_Read]) -> Merged:
    first = parts[0]
    lines = [parts[i % len(parts)].lines[i // len(parts)] for i in range(first.part.images)]
    data = first.heading + b"".join(lines) if first.heading else b"[" + b",".join(lines) + b"\n]\n"
    found = _failed_rows(first.heading, lines) if first.heading else _failed_items(lines)
    sets = sorted({each.part.instructions for each in parts})
    notes = [] if len(sets) == 1 else [
        f"The parts were computed with different instructions of the CPU ({', '.join(sets)}), which round differently, "
        "so that probabilities may differ in their last digits from those of one process; CNN_ISA sets the same on all "
        "machines."]
    return Merged(data, "CSV" if first.heading else "JSON", len(parts), first.part.images, found, notes,
                  [each.path for each in parts], first.part.model)


# ---- what is refused ----


def _check_alike(one: _Read, other: _Read) -> None:
    """Raise DataError where two parts are not of the same whole."""
    a, b, first, second = one.part, other.part, printable(one.path), printable(other.path)
    if bool(one.heading) != bool(other.heading):
        raise DataError(f"{first} is {_form(one)} and {second} is {_form(other)}; give only the one or only the other.")
    name = next((each for each in SAME if getattr(a, each) != getattr(b, each)), None)
    if name is None:
        return
    if name == "of":
        differ = f"is part {b.part} of {b.of}, and {first} is part {a.part} of {a.of}"
    elif name == "images_sha256":
        differ = f"is of another list of images than {first} ({b.images:,} and {a.images:,} images)"
    elif name == "model":
        differ = f"was judged by another model than {first} ({printable(b.model)} and {printable(a.model)})"
    elif name == "model_sha256":
        differ = f"was judged by {printable(b.model)} as it was at another time than for {first}"
    elif name == "cnn":
        differ = f"was made by another version of this program than {first} ({brief(b.cnn)} and {brief(a.cnn)})"
    else:
        differ = f"was made by cnn predict with other options than {first} ({b.option(name)} and {a.option(name)})"
    raise DataError(f"{second} {differ}; give parts of the same images, model and options.")


def _form(one: _Read) -> str:
    return "CSV" if one.heading else "JSON"


def _check_once(one: _Read, other: _Read) -> None:
    if one is not other:
        files = f"in {printable(other.path)} and in {printable(one.path)}"
        raise DataError(f"part {one.part.part} of {one.part.of} is given twice, {files}; give it once.")


def _refusal(path: str, why: _PartError, others: dict[int, _Read]) -> str:
    """Return the sentence on a file that is no whole part, with the command that makes it, if that is known."""
    told_so = f"{printable(path)} {why.why}"
    if why.foreign:
        return told_so
    part, number, form = why.part, why.part.part if why.part else 0, why.form
    if part is None and others:  # nothing can be read in it, but it may be the only one that the others lack
        one = next(iter(others.values()))
        if len(others) == one.part.of - 1:
            part, number, form = one.part, next(_missing(others)), _form(one)
    command = part.command(number, path, form == "JSON") if part else ""
    return f"{told_so}; {_made_by(command, part, 'make it again') if part else 'make that part again.'}"


def _missing(found: dict[int, _Read]) -> Iterator[int]:
    of = next(iter(found.values())).part.of
    return (number for number in range(1, of + 1) if number not in found)


def _gap(found: dict[int, _Read]) -> str:
    """Return the sentence on parts that are missing, with the command that makes the first of them."""
    one = next(iter(found.values()))
    count, named = one.part.of - len(found), [*islice(_missing(found), _NAMED)]
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    listed = f"{', '.join(map(str, named))}{more}" if more or count == 1 else \
        f"{', '.join(map(str, named[:-1]))} and {named[-1]}"
    beside, other = _beside(one, named[0])
    command = one.part.command(named[0], other, not one.heading)
    asked = "" if beside == other else f" (is it {printable(beside)}?)" if count == 1 else \
        f" (is {printable(beside)} part {named[0]}?)"
    return (f"part{'s' * (count > 1)} {listed} of {one.part.of} {'is' if count == 1 else 'are'} missing{asked}; "
            f"{_made_by(command, one.part, 'make it' if count == 1 else f'make part {named[0]}')}")


def _made_by(command: str, part: Part, what: str) -> str:
    if not command:
        return f"{what} as the others were made."
    listed = ", with the same list on standard input," if part.given and "-" in part.given else ""
    return f"{what}{listed} {command}"


def _beside(one: _Read, number: int) -> tuple[str, str]:
    """Return the name of another part, as this one's with the other number, and one under which nothing is there yet.
    """
    folder, name = os.path.split(one.path)
    again = re.compile(rf"(?<![0-9])0*{one.part.part}(?![0-9])")
    found = again.findall(name)
    name = again.sub(f"{number:0{len(found[0])}d}", name) if len(found) == 1 else \
        f"part-{number}.{_form(one).lower()}"
    free = name
    while os.path.lexists(os.path.join(folder, free)):
        free = f"again-{free}"
    return os.path.join(folder, name), os.path.join(folder, free)


# ---- reading ----


def _read(path: str) -> _Read:
    """Read a part. Raises _PartError, DataError where there is no such file."""
    data = _content(path)
    if not data:
        raise _PartError("is empty, because the process that was to write it has not ended, or has failed")
    if data.startswith(_JSON) or _JSON.startswith(data):
        return _read_json(path, data)
    heading, ended, _ = data.partition(b"\n")
    if _CSV.startswith(heading[: len(_CSV)]) and (_COLUMN in heading or not ended):
        return _read_csv(path, data)
    if _WHOLE.match(data):
        raise _PartError("is a whole list, which 'cnn predict' wrote without --shard; give the parts of one list.",
                        foreign=True)
    raise _PartError("is nothing that 'cnn predict --shard' wrote; give its JSON or CSV files.", foreign=True)


def _content(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            what = "a folder" if os.path.isdir(path) else "no regular file"
            raise DataError(f"{printable(path)} is {what}; give the files of the parts.")
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        why = f"{printable(path)} cannot be read ({reason_of(error)})"
        raise DataError(f"{why}; give the files of the parts.") from None


_DAMAGED = "is cut off, or was changed since it was written"


def _read_json(path: str, data: bytes) -> _Read:
    first, _, _ = data.partition(b"\n")
    try:
        part = part_in(json.loads(first + b"]}")["part"])
    except (ValueError, RecursionError):
        raise _PartError(_DAMAGED) from None
    if data.endswith(b"\n]}\n"):
        done = data.count(b"\n") - 2
        raise _PartError(f"has {done:,} of its {part.size:,} images, because its process was stopped, or because "
                         "--strict ended it", part, "JSON")
    end = _JSON_END.search(data)
    if not end or sha256(data[: end.start()]).hexdigest().encode() != end[1]:
        raise _PartError(_DAMAGED, part, "JSON")
    lines = [b"\n" + line.removesuffix(b",") for line in data[: end.start()].split(b"\n")[1:]]
    if len(lines) != part.size:
        raise _PartError(_DAMAGED, part, "JSON")
    return _Read(path, part, lines, b"")


def _read_csv(path: str, data: bytes) -> _Read:
    heading, *rows = _records(data)
    named = heading.find(_COLUMN)
    try:
        [name] = _cells(heading[named + 1 :].decode().removesuffix("\n"))
        said = json.loads(name.partition(": ")[2])
        digest = said.pop("sha256")
        part = part_in(said)
    except (ValueError, KeyError, AttributeError, RecursionError):
        raise _PartError(_DAMAGED) from None
    blank = data.replace(str(digest).encode(), b"", 1)
    if sha256(blank).hexdigest() != digest or len(rows) != part.size:
        raise _PartError(_DAMAGED, part, "CSV")
    return _Read(path, part, [row[: row.rindex(b",")] + b"\n" for row in rows], heading[:named] + b"\n")


def _records(data: bytes) -> list[bytes]:
    """Return the rows of a table with the ends of their lines. A name may hold line ends, in quotes, too."""
    records, inside = list[bytes](), False
    for line in io.BytesIO(data):
        if inside:
            records[-1] += line
        else:
            records.append(line)
        inside ^= line.count(b'"') % 2 == 1
    return records


def _cells(record: str) -> list[str]:
    return [bare or inside.replace('""', '"') for inside, bare in _CELL.findall(record)]


def _failed_rows(heading: bytes, rows: Sequence[bytes]) -> list[tuple[str, str]]:
    column = heading.decode().rstrip("\n").split(",").index("error")
    cells = (_cells(row.decode("utf-8", "surrogateescape").removesuffix("\n")) for row in rows)
    return [(each[0], each[column]) for each in cells if each[column]]


def _failed_items(items: Sequence[bytes]) -> list[tuple[str, str]]:
    found = map(json.loads, items)
    return [(each["path"], each["error"]) for each in found if each["error"] is not None]
