"""The first step of the flow: a folder on disk becomes lists of samples, one for each split, and a list of classes.
Nothing is opened, copied or moved here; names and file types are all that is looked at. Read images.py next for how
samples become pixels.
"""

import os
import stat
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from ..errors import DataError, UsageError, printable

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp")
)
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
FRACTIONS = (0.8, 0.1, 0.1)  # of the images that go to train, val and test
MOST_VALIDATION = 2500  # images that are drawn for validation: the standard error of accuracy is a point at most
_LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One image file: its path, its path inside the data folder (with "/"), and its class's number."""

    path: str
    relative: str
    label: int


@dataclass
class Splits:
    """What a data folder holds. Class k is classes[k]; notes are sentences that the user should read; excluded is what
    was to be left out, sorted."""

    classes: list[str]
    train: list[Sample]
    val: list[Sample]
    test: list[Sample]
    notes: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


@dataclass
class Found:
    """The images of one split: class name -> [(path, path from the class folder's parent)], sorted; and the rest, by
    that path too."""

    classes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)  # images in no class folder
    other: list[str] = field(default_factory=list)  # files in class folders that are not called like images
    special: list[str] = field(default_factory=list)  # FIFOs, sockets and broken links that are called like images
    hidden: list[str] = field(default_factory=list)  # folders that are passed over for their names


@dataclass
class Survey:
    """What lies in a data folder, before anything is decided: split -> its folder ({"train": root} for bare class
    folders), and split -> what was found there."""

    root: str
    folders: dict[str, str]
    found: dict[str, Found]

    def exclude(self, relatives: Container[str]) -> int:
        """Drop the images whose paths inside the data folder are listed; return how many. Raises DataError where a
        class would lose all its training images: the numbers of the classes after it would change."""
        dropped = 0
        for split, found in self.found.items():
            for name, items in found.classes.items():
                kept = [item for item in items if self.relative(split, item[1]) not in relatives]
                if not kept and split == "train":
                    raise DataError(f"every training image of {printable(name)} is on the list of those to exclude; "
                                    "take some off it, or remove the class's folder.")
                dropped += len(items) - len(kept)
                found.classes[name] = kept
            found.classes = {name: items for name, items in found.classes.items() if items}
        return dropped

    def relative(self, split: str, inside: str) -> str:
        """Return the path inside the data folder of what has this path inside a split's folder."""
        folder = self.folders[split]
        return inside if folder == self.root else f"{os.path.basename(folder)}/{inside}"


def survey(root: str | os.PathLike[str]) -> Survey:
    """Look through a data folder. Raises DataError where it cannot be read, is empty or has no training images'
    folder."""
    root = os.fspath(root)
    folders = _folders(root)
    return Survey(root, folders, {split: _find(path) for split, path in folders.items()})


def scan(root: str | os.PathLike[str], fractions: Sequence[float] = FRACTIONS, seed: int = 0,
         exclude: Collection[str] = ()) -> Splits:
    """Find the classes and images of a data folder and split them into train, val and test.

    Two layouts: root/{train,val|valid|validation,test}/<class>/…, or bare class folders root/<class>/…. Whatever
    split is missing is drawn from the training images: within each class they are ordered by a hash of seed and
    relative path, the first go to test, the next to val, the rest stay. So the split is stratified, does not depend
    on the order in which files are listed, and files that are added later move only the few at the borders. A class
    of one or two images stays in train; from three on each split gets one at least. val gets MOST_VALIDATION images
    in all at most: more say little more about which epoch is best, and are missed in training. exclude has
    paths inside the folder, with "/", of images to leave out.

    Raises DataError where the folder cannot be used, UsageError where fractions (train, val, test) make no sense.
    """
    _check_fractions(fractions)
    looked = survey(root)
    root, folders, found = looked.root, looked.folders, looked.found
    for split, path in folders.items():
        if not found[split].classes:
            _refuse_no_images(path, found[split])
    dropped = looked.exclude(frozenset(exclude)) if exclude else 0
    classes = sorted(found["train"].classes)
    if len(classes) == 1:
        raise DataError(f"{printable(folders['train'])} holds images of one class only, {printable(classes[0])}; "
                        "give it a folder for each of two or more classes.")
    notes = [note for s, path in folders.items() for note in _notes(path, found[s])]
    for name in ("val", "test"):
        if name in found:
            notes += _given_notes(folders[name], found[name], classes)
    splits = Splits(classes, **divide(looked, classes, fractions, seed), notes=notes, excluded=sorted(exclude))
    if exclude:
        splits.notes.append(_exclusion(root, dropped, len(splits.excluded)))
    if folders["train"] != root:
        splits.notes += _layout_notes(root, folders, splits)
    counts = Counter(sample.label for sample in splits.train)
    small = [name for label, name in enumerate(classes) if counts[label] < 3]
    if small:
        splits.notes.append(f"fewer than three training images of {_list(small)}.")
    return splits


def scan_labelled(root: str | os.PathLike[str], classes: Sequence[str]) -> tuple[list[Sample], list[str]]:
    """Find every image under root's class folders, labelled by a model's classes: (samples in order, notes).

    Where root has the layout with train/ and test/, test/ is what is read (or val/ where there is no test/). Raises
    DataError where a class folder's name is not among the classes: labels are never guessed.
    """
    root = os.fspath(root)
    folders = _folders(root, need_train=False)
    split = next((s for s in ("test", "val", "train") if s in folders), "train")
    found = _find(folders[split])
    if not found.classes:
        _refuse_no_images(folders[split], found)
    _check_classes(folders[split], found.classes, classes, "the model does not know it")
    notes = _notes(folders[split], found)
    if len(folders) > 1:
        notes.append(f"the images of {printable(folders[split])} are used.")
    samples = [_sample(root, item, label) for label, name in enumerate(classes)
               for item in found.classes.get(name, [])]
    return samples, notes


def scan_flat(root: str | os.PathLike[str]) -> list[str]:
    """Return the paths of all images under a folder, however deep, in sorted order. Raises DataError for none."""
    root = os.fspath(root)
    _check_folder(root)
    paths = sorted(path for path, _ in _walk(root, "", Found()))
    if not paths:
        raise DataError(f"{printable(root)} holds no images ({_known_formats()}).")
    return paths


def _check_classes(folder: str, names: Iterable[str], known: Sequence[str], why: str) -> None:
    """Raise DataError where a class folder's name is not a known class."""
    strange = sorted(set(names) - set(known))
    if strange:
        raise DataError(f"{printable(folder)} has images of {_list(strange)}, but {why}; "
                        "rename or remove the folder.")


# ---- looking at the disk ----


def _check_folder(root: str) -> None:
    try:
        mode = os.stat(root).st_mode
    except FileNotFoundError:
        raise DataError(f"there is no folder {printable(root)}; check the path.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(root)} cannot be read: {_reason(error)}.") from None
    if not stat.S_ISDIR(mode):
        raise DataError(f"{printable(root)} is a file, not a folder; give a folder with one sub-folder per class.")


def _folders(root: str, need_train: bool = True) -> dict[str, str]:
    """Return which folder holds which split; {"train": root} for bare class folders."""
    _check_folder(root)
    folders: dict[str, str] = {}
    entries = _entries(root)
    if not entries:
        raise DataError(f"{printable(root)} is empty; give a folder with one sub-folder per class.")
    names = [e.name for e in entries if _is_folder(e)]
    for name in names:
        split = SPLITS.get(name.lower())
        if split in folders:
            raise DataError(f"{printable(root)} has both {os.path.basename(folders[split])}/ and {name}/; "
                            "keep one of them.")
        if split:
            folders[split] = os.path.join(root, name)
    only_splits = len(folders) == len(names)
    if "train" in folders:
        # A class may be called "train", too: then images lie directly in it.
        inside = _entries(folders["train"])
        if not any(_is_folder(e) for e in inside) and any(_is_image(e.name) for e in inside) and not only_splits:
            return {"train": root}
        return folders
    if folders and only_splits:
        if need_train:
            raise DataError(f"{printable(root)} has {' and '.join(f'{s}/' for s in sorted(folders))} but no train/; "
                            "add train/<class>/ with the training images.")
        return folders
    return {"train": root}


def _entries(folder: str, hidden: list[str] | None = None, prefix: str = "") -> list[os.DirEntry[str]]:
    """Return a folder's entries that are neither hidden nor litter, sorted by name; prefix + the names of folders that
    are go into `hidden`."""
    try:
        with os.scandir(folder) as entries:
            every = sorted(entries, key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {_reason(error)}.") from None
    if hidden is not None:
        hidden += [prefix + e.name for e in every if _is_passed_over(e.name) and _is_folder(e)]
    return [e for e in every if not _is_passed_over(e.name)]


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _find(folder: str) -> Found:
    """Look through folder/<class>/… for images."""
    found = Found()
    for entry in _entries(folder, found.hidden):
        if _is_folder(entry):
            images = sorted(_walk(entry.path, entry.name, found), key=lambda item: item[1])
            if images:
                found.classes[entry.name] = images
            else:
                found.empty.append(entry.name)
        elif _is_image(entry.name):
            found.loose.append(entry.name)
    return found


def _walk(folder: str, relative: str, found: Found) -> Iterator[tuple[str, str]]:
    """Yield (path, relative path) of every image under a folder. Each real folder is entered once, and none that it
    lies in, so that links which lead back up end and bring no other class's images. What is no image or no regular
    file is counted in `found`."""
    seen = set(_identities(Path(os.path.realpath(folder)).parents))
    stack = [(folder, relative)]
    while stack:
        folder, relative = stack.pop()
        try:
            status = os.stat(folder)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below = []
        prefix = f"{relative}/" if relative else ""
        for entry in _entries(folder, found.hidden, prefix):
            name = prefix + entry.name
            if _is_folder(entry):
                below.append((entry.path, name))
            elif not _is_image(entry.name):
                found.other.append(name)
            elif _is_file(entry):
                yield entry.path, name
            else:
                found.special.append(name)
        stack += reversed(below)


def _identities(folders: Iterable[Path]) -> Iterator[tuple[int, int]]:
    for folder in folders:
        with suppress(OSError):
            status = os.stat(folder)
            yield status.st_dev, status.st_ino


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file or a link to one: no FIFO, socket or device, which could block a reader."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _sample(root: str, item: tuple[str, str], label: int) -> Sample:
    path = item[0]
    return Sample(path, os.path.relpath(path, root).replace(os.sep, "/") if root else item[1], label)


# ---- splitting ----


def _check_fractions(fractions: Sequence[float]) -> None:
    good = len(fractions) == 3 and all(0 <= f <= 1 for f in fractions) and abs(sum(fractions) - 1) < 1e-6
    if not good or fractions[0] <= 0:
        raise UsageError(f"the split {'/'.join(map(str, fractions))} makes no sense: give three numbers for train, "
                         "val and test that add up to 1, the first above 0.")


def rank(seed: int, relative: str) -> tuple[bytes, str]:
    """Return the sort key that decides who is held out: a keyed hash of the path inside the split's folder."""
    return blake2b(os.fsencode(relative), digest_size=8, key=str(seed).encode()).digest(), relative


def _counts(n: int, val: float, test: float) -> tuple[int, int]:
    """Return how many of a class's n images go to val and test; at least one always stays in train."""
    if n < 3:
        return 0, 0
    n_val, n_test = (max(1, int(n * share + 0.5)) if share else 0 for share in (val, test))
    while n_val + n_test >= n:
        n_val, n_test = (n_val - 1, n_test) if n_val >= n_test else (n_val, n_test - 1)
    return n_val, n_test


def divide(looked: Survey, classes: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, list[Sample]]:
    """Return the samples of train, val and test; splits that have no folder are drawn from train, as ``scan`` says."""
    splits: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    images = sum(map(len, looked.found["train"].classes.values()))
    wanted = {"val": min(fractions[1], MOST_VALIDATION / max(images, 1)), "test": fractions[2]}
    shares = [0.0 if name in looked.found else share for name, share in wanted.items()]
    for label, name in enumerate(classes):
        items = looked.found["train"].classes.get(name, [])
        order = sorted(items, key=lambda item: rank(seed, item[1]))
        n_val, n_test = _counts(len(order), *shares)
        held = {item: "test" if i < n_test else "val" for i, item in enumerate(order[: n_test + n_val])}
        for item in items:
            splits[held.get(item, "train")].append(_sample(looked.root, item, label))
        for split in looked.found:
            if split != "train":
                splits[split] += [_sample(looked.root, item, label)
                                  for item in looked.found[split].classes.get(name, [])]
    return splits


def _given_notes(folder: str, found: Found, classes: list[str]) -> list[str]:
    """Return sentences about a split that has a folder of its own. Raises DataError for a class that train lacks."""
    _check_classes(folder, found.classes, classes, "train/ has none")
    missing = [name for name in classes if name not in found.classes]
    return [f"{printable(folder)} has no images of {_list(missing)}."] if missing else []


# ---- sentences ----


def _refuse_no_images(root: str, found: Found) -> None:
    shown = printable(root)
    if found.loose:
        raise DataError(f"the images of {shown} lie directly in it ({_list(found.loose)}); "
                        "move them into one sub-folder per class.")
    if found.empty:
        kinds = _list([s or "files without a suffix" for s in _suffixes(found.other)])
        others = f", only {kinds}" if kinds else ""
        raise DataError(f"{shown} holds no images in its folders ({_list(found.empty)}){others}; "
                        f"fill one sub-folder per class with {_known_formats()} files.")
    raise DataError(f"{shown} holds no images; give a folder with one sub-folder per class.")


def _notes(folder: str, found: Found) -> list[str]:
    """Return sentences about what a split's folder holds beside images in class folders."""
    notes, shown = [], printable(folder)
    if found.empty:
        notes.append(f"{shown}: no images in {_list(found.empty)}; left out of the classes.")
    if found.loose:
        lie, are = ("image lies", "is") if len(found.loose) == 1 else ("images lie", "are")
        notes.append(f"{shown}: {len(found.loose)} {lie} in no class folder and {are} left out "
                     f"({_list(found.loose)}).")
    if found.other:
        n, kinds = len(found.other), _list([s or "no suffix" for s in _suffixes(found.other)])
        files, are = ("file", "is") if n == 1 else ("files", "are")
        notes.append(f"{shown}: {n} {files} {are} left out, not called like an image ({kinds}).")
    if found.special:
        notes.append(f"{shown}: {_list(found.special)} {_is_or_are(found.special)} left out, not a regular file.")
    return notes


def _layout_notes(root: str, folders: dict[str, str], splits: Splits) -> list[str]:
    """Return sentences about a layout with train/: what lies beside it, and which splits were drawn from it."""
    notes = []
    beside = left_beside(root, folders)
    if beside:
        notes.append(f"{printable(root)}: {_list(beside)} {_is_or_are(beside)} left out, because train/ is there.")
    for name, samples in (("val", splits.val), ("test", splits.test)):
        if name not in folders and samples:
            notes.append(f"There is no {name}/: {len(samples):,} images of train/ are held out as {name}.")
    return notes


def left_beside(root: str, folders: dict[str, str]) -> list[str]:
    """Return the names of folders and images beside train/, where there is one: they are left out."""
    if folders["train"] == root:
        return []
    return [e.name for e in _entries(root) if e.path not in folders.values() and (_is_folder(e) or _is_image(e.name))]


def _suffixes(names: Iterable[str]) -> list[str]:
    return sorted({os.path.splitext(name)[1].lower() for name in names})


def _exclusion(root: str, dropped: int, listed: int) -> str:
    """Return a sentence about a list of images to exclude."""
    strange = listed - dropped
    others = f"; {strange:,} more on the list {'is' if strange == 1 else 'are'} not there" if strange else ""
    return f"{printable(root)}: {dropped:,} image{'s' * (dropped != 1)} left out, because the list to exclude has " + (
        f"{'it' if dropped == 1 else 'them'}{others}.")


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _list(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _known_formats() -> str:
    return "PNG, JPEG, BMP, GIF, TIFF or WebP"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
