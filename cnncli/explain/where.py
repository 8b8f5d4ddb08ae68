"""Where explanations go: of images held out of a model's training to explained/ in the run's folder, and of others to a
folder beside it that is named for them, as explained-photos. In that one images.json says which images they are of.
pictures.py, shortcut_sheet.py and report/unit_page.py write there."""

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..data.files import is_folder
from ..data.finding import Missing, image_files
from ..data.outputs import Kind, StrPath, marked, write
from ..evaluation.subject import Subject
from ..runs.opened import Opened

SOURCE = "images.json"
NOTE = Kind("a note on which images were explained", ".json", marked(rb'\A{\n  "explained": '))
HELD_OUT = Subject(None, "test", own=True)
Files = Mapping[str, Kind]  # names of files, and their kinds


def subject_of(data: Any) -> Subject:
    """Return which images are explained: those of a folder, or files by the folder that they have in common, or arrays.
    None are those held out of the training."""
    if data is None:
        return HELD_OUT
    common = None
    if isinstance(data, str | os.PathLike) and is_folder(data):
        common = os.path.abspath(data)
    elif isinstance(data, str | os.PathLike | list):
        files = (each.path if isinstance(each, Missing) else each for each in image_files(data))
        with suppress(ValueError):  # there are none, or they lie on several drives
            common = os.path.commonpath({os.path.dirname(os.path.abspath(each)) for each in files
                                         if isinstance(each, str)})
    return Subject(common, None, own=False)


def subject_named(names: Sequence[str], found: Any) -> Subject:
    """Return the same for the names on a command line, and the images that they stand for."""
    if not names:
        return HELD_OUT
    return subject_of(names[0] if len(names) == 1 and is_folder(names[0]) else found)


@contextmanager
def claimed(opened: Opened, files: Files, subject: Subject, folder: StrPath | None = None, force: bool = False,
            **read: Any) -> Iterator[Path]:
    """Hold files of these names about images, as long as this lasts, and give the folder that they go to: the one
    named, or that of the images. read is what is read meanwhile, as ``Opened.claim`` takes it, and it raises as that.
    """
    into = opened.place(folder, "explained") if folder else place(opened, subject)
    kinds: dict[StrPath, Kind] = {into / name: kind for name, kind in files.items()}
    note: dict[StrPath, Kind] = {} if folder or subject.held_out else {into / SOURCE: NOTE}
    with opened.claim({**kinds, **note}, force=force, make=True, **read):
        try:
            yield into
        finally:
            if any(map(os.path.exists, kinds)):
                for path, kind in note.items():
                    write(path, (json.dumps({"explained": subject.data}, indent=2) + "\n").encode(), kind)


def place(opened: Opened, subject: Subject) -> Path:
    """Return the folder for explanations of images: explained/ in the run's folder if they were held out of the
    training, else explained-photos/ and its like; for a model in no run ./<model>-explained. A folder that says that it
    is of other images is passed over."""
    first = opened.place(None, "explained", inside=opened.called("explained"))
    if subject.held_out:
        return first
    named = f"{first.name}-{subject.tag}"
    numbered = (f"{named}-{number}" for number in itertools.count(2))
    names = itertools.chain([] if opened.run else [first.name], [named], numbered)
    return next(first.with_name(name) for name in names if _is_free(first.with_name(name) / SOURCE, subject))


def _is_free(note: Path, subject: Subject) -> bool:
    """Whether no note is there that says that the folder is of other images."""
    with suppress(OSError, ValueError):
        found = json.loads(note.read_bytes())
        return isinstance(found, dict) and found.get("explained") == subject.data
    return True
