"""Where decoded images lie on the disk (``--cache disk``), and whether what lies there may be used: it is of the same
files, prepared in the same way by the same decoders. kept.py has the file itself, images.py asks here when it loads
images. There is one file for the training images of a folder, and one for its validation images.

What the system says of every file (size, time, number) is compared at each start, in one pass. Where that cannot tell,
because the file had been changed just before it was first seen, or has another number, its content is: its mark.
"""

import contextlib
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import PIL

from .._version import __version__
from ..errors import ImageError, SaveError, UsageError, printable
from ..kernels import Array
from . import kept
from .decode import quiet
from .files import statuses
from .kept import Busy, Contents, Damaged, Kept, Loaded, Writer
from .marks import FILE, of_file
from .outputs import check_runs
from .preprocessing import Preprocessing
from .splits import Sample

VARIABLE = "CNN_CACHE_DIR"
_SHARE = 0.8  # of the free disk that "auto" may fill
_YOUNG = 2 * 10**9  # nanoseconds within which some file systems do not tell two changes apart
_WAIT = 0.2  # seconds between two looks at what another process is writing
_SIZE, _TIME, _NUMBER, _DOUBTFUL = range(4)  # the columns of facts
_HOW = ("size", "grey", "resize", "range", "float_range")

Note = Callable[[str], None]


class Stale(Exception):
    """The file is whole, and not of these images as they are now. The message says why, as the end of a sentence."""


def folder() -> str:
    """Return the folder for decoded images: CNN_CACHE_DIR, or where this system's programs keep what can be made again.
    Raises SaveError if there is none.
    """
    if given := os.environ.get(VARIABLE):
        return os.path.abspath(given)
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # others have no meaning there
            base = os.path.join(home, ".cache")
    if not os.path.isabs(base):
        raise SaveError(f"there is no home folder to keep decoded images in; give another place with {VARIABLE}.")
    return os.path.join(base, "cnn")


class Wanted:
    """Images that may lie on the disk: samples of files, how they are prepared, and which part of their folder they are
    ("training", "validation"). facts are what the system says of their files now."""

    def __init__(self, samples: Sequence[Sample], preprocessing: Preprocessing, find_range: bool, part: str) -> None:
        self.samples, self.preprocessing, self.find_range = samples, preprocessing, find_range
        self.what = f"{part} images" if part else "images"
        self.root, names = _names(samples)
        ours = blake2b(os.fsencode("\0".join((self.root, part))), digest_size=8).hexdigest()
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.basename(self.root))[:40]
        self.name = "-".join(filter(None, (stem, part, ours))) + ".decoded"
        self.bytes = len(samples) * int(np.prod(preprocessing.shape))
        config = preprocessing.config()
        self.about: dict[str, Any] = {
            "made by": decoders(), "images": blake2b(names, digest_size=16).hexdigest(), "find_range": find_range,
            **{name: config.get(name) for name in _HOW}}
        self.key = blake2b(repr(sorted(self.about.items())).encode(), digest_size=8).hexdigest()
        self.facts = _facts(samples)

    def check(self, contents: Contents) -> Preprocessing:
        """Return how the images of a file were prepared. Raises Stale if it does not have these images."""
        about = contents.about
        if about["made by"] != self.about["made by"]:
            raise Stale("it was made by another version of cnn, or of what it decodes with")
        if about["images"] != self.about["images"]:
            raise Stale("other images belong to it now")
        if any(about[name] != self.about[name] for name in ("size", "grey", "resize")):
            raise Stale("it has images of another size or kind")
        changed = np.flatnonzero((self.facts[:, :_NUMBER] != contents.facts[:, :_NUMBER]).any(axis=1))
        doubtful = (contents.facts[:, _DOUBTFUL] != 0) | (self.facts[:, _NUMBER] != contents.facts[:, _NUMBER])
        doubtful[list(contents.errors)] = False  # they are tried again
        if not len(changed):
            changed = np.array([i for i in np.flatnonzero(doubtful).tolist()
                                if of_file(self.samples[i].path) != contents.marks[i, FILE]], np.int64)
        if len(changed):
            first = printable(self.samples[int(changed[0])].path)
            raise Stale(f"{first} has changed" if len(changed) == 1 else
                        f"{len(changed):,} images have changed, {first} among them")
        return self._ranged(contents)

    def still(self, errors: dict[int, str], strict: bool) -> dict[int, str]:
        """Try the images once more that could not be used, and return why they still cannot: a right or a disk may be
        there again. Raises Stale if one can be used now; the first ImageError if strict."""
        found = {}
        for i in sorted(errors):
            try:
                with quiet():
                    self.preprocessing.prepare(self.samples[i].path)
            except ImageError as error:
                if strict:
                    raise
                found[i] = error.reason
            else:
                raise Stale("images that could not be used can be used now")
        return found

    def _ranged(self, contents: Contents) -> Preprocessing:
        """Return the preprocessing with the range that the file's images of more than 8 bits have."""
        preprocessing = self.preprocessing.scaled(contents.seen) if self.find_range else self.preprocessing
        if contents.seen.images and _range_of(preprocessing) != contents.about["found"]:
            raise Stale("its images of more than 8 bits have another range")
        return preprocessing


def _range_of(preprocessing: Preprocessing) -> list[Any]:
    config = preprocessing.config()
    return [config.get("range"), config.get("float_range")]


def _names(samples: Sequence[Sample]) -> tuple[str, bytes]:
    """Return the folder that samples lie in and, as bytes, where each lies in it."""
    first = samples[0]
    before = first.path[: len(first.path) - len(first.relative)]
    if all(sample.path == before + sample.relative for sample in samples):
        root, names = os.path.realpath(before or os.curdir), [sample.relative for sample in samples]
    else:
        root = os.path.realpath(os.path.dirname(first.path))
        names = [os.path.abspath(sample.path) for sample in samples]
    return root, os.fsencode("\0".join(names))


def _facts(samples: Sequence[Sample]) -> Array:
    """Return what the system says of each file: size, time of its last change, its number, and whether that was so
    short a time ago that another change would not show; int64 (n, 4)."""
    facts, now = np.empty((len(samples), 4), np.int64), time.time_ns()
    facts[:, :_DOUBTFUL] = statuses([sample.path for sample in samples])
    facts[:, _DOUBTFUL] = facts[:, _TIME] > now - _YOUNG
    return facts


@lru_cache(1)
def decoders() -> str:
    """Return what the pixels of a file depend on besides its bytes: the versions of all that decodes, this package's
    own source, and the kind of machine.
    """
    from PIL import features

    digest, here = blake2b(digest_size=8), os.path.dirname(__file__)
    with contextlib.suppress(OSError):  # the source may not be there
        for name in sorted(os.listdir(here)):
            if name.endswith(".py"):
                with open(os.path.join(here, name), "rb") as file:
                    digest.update(file.read())
    others = [f"{name} {features.version(name)}" for name in ("jpg", "libjpeg_turbo", "zlib", "libtiff", "webp")]
    return " ".join([__version__, digest.hexdigest(), f"Pillow {PIL.__version__}", *others, platform.machine()])


# ---- opening and making ----


def chosen(cache: str, short: str, samples: Sequence[Sample], note: Note) -> str:
    """Return which cache "auto" stands for, and what can be had of the others: arrays are not written to the disk.
    short says what they lack to fit into memory, "" if they fit."""
    arrays = not samples or any(sample.pixels is not None for sample in samples)
    if cache == "disk" and arrays:
        if samples:
            note("Arrays are not written to the disk; these images are kept in memory.")
        return "ram"
    if cache != "auto":
        return cache
    if not short:
        return "ram"
    note(f"{short}; they are {'prepared again in each epoch' if arrays else 'kept on the disk, if it has room'}.")
    return "none" if arrays else "disk"


def load(wanted: Wanted, auto: bool, strict: bool, decode: Callable[[Writer | None], Loaded],
         progress: Callable[[int, int], None] | None, note: Note) -> Loaded:
    """Take the images from the disk, or decode them into a file there. With auto, they are decoded and kept nowhere if
    there can be no file, which note is told; else SaveError or UsageError is raised.
    """
    total = len(wanted.samples)

    def show(done: int) -> None:
        if progress:
            progress(done, total)

    shelf = _open_or_begin(wanted, auto, strict, note, lambda: show(0))
    if isinstance(shelf, Loaded):
        show(total)
        return shelf
    if shelf is None:
        return decode(None)
    try:
        loaded = decode(shelf)
        loaded.kept = _finish(shelf, wanted, loaded, note)
    except OSError as error:
        if shelf.error is None:
            raise
        raise _refused(os.path.dirname(shelf.path), error, wanted.bytes) from None
    finally:
        shelf.close()
    return loaded


def _open_or_begin(wanted: Wanted, auto: bool, strict: bool, note: Note, waiting: Callable[[], None]
                   ) -> Loaded | Writer | None:
    """Return the images from the disk, or a new file for them. While another process makes the same file it is waited
    for, and waiting is called."""
    said = looked = False
    while True:
        try:
            if found := _open(wanted, strict, note):
                return found
            writer = _begin(wanted, auto)
        except Busy:
            if not said:
                note(f"Another process is decoding these {wanted.what}; this one waits for it.")
            said = True
            waiting()
            time.sleep(_WAIT)
        except (SaveError, UsageError) as error:
            if not auto:
                raise
            note(f"The {wanted.what} are decoded again in each epoch, because they cannot be kept on the disk: {error}")
            return None
        else:
            if looked or not os.path.exists(writer.path):
                return writer
            writer.close()  # another process has made it between the two looks
            looked = True


def _open(wanted: Wanted, strict: bool, note: Note) -> Loaded | None:
    """Return the images from the disk. None: they are not there, or, as note is told, not as they should be."""
    path, found = os.path.join(folder(), wanted.name), None
    try:
        found = Kept(path, wanted.preprocessing.shape, note)
        preprocessing = wanted.check(found.contents)
        found.contents.errors = wanted.still(found.contents.errors, strict)
    except FileNotFoundError:
        return None
    except (OSError, Damaged, Stale, KeyError, IndexError, ValueError) as error:
        why = str(error) if isinstance(error, Damaged | Stale) else "it cannot be read"
        note(f"{printable(path)} is made anew, because {why}.")
        if found:
            found.close()
        kept.remove(path)  # before its successor needs the room
        return None
    note(f"{len(found.places):,} decoded {wanted.what} come from {printable(path)}.")
    return Loaded(found.contents, preprocessing, None, found)


def _begin(wanted: Wanted, auto: bool) -> Writer:
    """Return a new file for images. Raises SaveError or UsageError where there cannot be one, Busy where another
    process makes it. auto: something else can be done, so not all of the disk is taken."""
    place = folder()
    needed = wanted.bytes + wanted.facts.nbytes + 16 * len(wanted.facts)
    try:
        check_runs(place, wanted.root, int(needed / _SHARE) if auto else needed, VARIABLE)
        os.makedirs(place, 0o700, exist_ok=True)
        kept.remove_leftovers(place)
        return Writer(os.path.join(place, wanted.name), wanted.key, wanted.preprocessing.shape, lenient=auto)
    except (SaveError, UsageError) as error:
        sentence = str(error).rstrip(".")
        where = "" if sentence.endswith(VARIABLE) else f" with {VARIABLE}"
        raise type(error)(f"{sentence}{where}.") from None
    except OSError as error:
        raise _refused(place, error, needed) from None


def _finish(writer: Writer, wanted: Wanted, loaded: Loaded, note: Note) -> Kept | None:
    """Make a file whole, and say where it is. None, and said: the disk did not take it."""
    contents = loaded.contents
    contents.facts = wanted.facts
    contents.about = {**wanted.about, "found": _range_of(loaded.preprocessing)}
    found = writer.finish(contents, note)
    if found is None:
        note(f"The {wanted.what} are decoded again in each epoch, because they cannot be kept on the disk: "
             f"{printable(writer.path)} could not be written ({_reason(writer.error)}).")
    else:
        note(f"The decoded {wanted.what} are kept in {printable(writer.path)} ({_in_words(wanted.bytes)}), for later "
             "trainings, too.")
    return found


def _refused(place: str, error: OSError, needed: int) -> SaveError:
    return SaveError(f"decoded images cannot be kept in {printable(place)} ({_reason(error)}): {needed:,} bytes are "
                     f"needed there; make room, give another place with {VARIABLE}, or use --cache none.")


def _in_words(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _reason(error: OSError | None) -> str:
    reason = os.strerror(error.errno) if error and error.errno else str(error)
    return reason[:1].lower() + reason[1:]
