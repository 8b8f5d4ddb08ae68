"""The first step of the flow: a folder on disk becomes lists of samples, one for each split, and a list of classes.
Nothing is opened, copied or moved here; names and file types are all that is looked at. splits.py divides what was
found; images.py makes pixels of samples.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import DataError, UsageError, printable
from .splits import (
    FRACTIONS,
    Found,
    Sample,
    Splits,
    Survey,
    check_fractions,
    divide,
    exclusion_note,
    listed,
    small_classes_notes,
)

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp")
)
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LITTER = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


def survey(root: str | os.PathLike[str]) -> Survey:
    """Look through a data folder. Raises DataError where it cannot be read, is empty or has no training images'
    folder, UsageError where root is no path."""
    if not isinstance(root, str | os.PathLike):
        raise UsageError(f"a data folder is a path, not {type(root).__name__}.")
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
    check_fractions(fractions)
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
        splits.notes.append(exclusion_note(root, dropped, len(splits.excluded)))
    if folders["train"] != root:
        splits.notes += _layout_notes(root, folders, splits)
    splits.notes += small_classes_notes(splits)
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
    looked = Survey(root, folders, {split: found})
    return [sample for label, name in enumerate(classes) for sample in looked.samples(split, name, label)], notes


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
        raise DataError(f"{printable(folder)} has images of {listed(strange)}, but {why}; "
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


def _given_notes(folder: str, found: Found, classes: list[str]) -> list[str]:
    """Return sentences about a split that has a folder of its own. Raises DataError for a class that train lacks."""
    _check_classes(folder, found.classes, classes, "train/ has none")
    missing = [name for name in classes if name not in found.classes]
    return [f"{printable(folder)} has no images of {listed(missing)}."] if missing else []


# ---- sentences ----


def _refuse_no_images(root: str, found: Found) -> None:
    shown = printable(root)
    if found.loose:
        raise DataError(f"the images of {shown} lie directly in it ({listed(found.loose)}); "
                        "move them into one sub-folder per class.")
    if found.empty:
        kinds = listed([s or "files without a suffix" for s in _suffixes(found.other)])
        others = f", only {kinds}" if kinds else ""
        raise DataError(f"{shown} holds no images in its folders ({listed(found.empty)}){others}; "
                        f"fill one sub-folder per class with {_known_formats()} files.")
    raise DataError(f"{shown} holds no images; give a folder with one sub-folder per class.")


def _notes(folder: str, found: Found) -> list[str]:
    """Return sentences about what a split's folder holds beside images in class folders."""
    notes, shown = [], printable(folder)
    if found.empty:
        notes.append(f"{shown}: no images in {listed(found.empty)}; left out of the classes.")
    if found.loose:
        lie, are = ("image lies", "is") if len(found.loose) == 1 else ("images lie", "are")
        notes.append(f"{shown}: {len(found.loose)} {lie} in no class folder and {are} left out "
                     f"({listed(found.loose)}).")
    if found.other:
        n, kinds = len(found.other), listed([s or "no suffix" for s in _suffixes(found.other)])
        files, are = ("file", "is") if n == 1 else ("files", "are")
        notes.append(f"{shown}: {n} {files} {are} left out, not called like an image ({kinds}).")
    if found.special:
        notes.append(f"{shown}: {listed(found.special)} {_is_or_are(found.special)} left out, not a regular file.")
    return notes


def _layout_notes(root: str, folders: dict[str, str], splits: Splits) -> list[str]:
    """Return sentences about a layout with train/: what lies beside it, and which splits were drawn from it."""
    notes = []
    beside = left_beside(root, folders)
    if beside:
        notes.append(f"{printable(root)}: {listed(beside)} {_is_or_are(beside)} left out, because train/ is there.")
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


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _known_formats() -> str:
    return "PNG, JPEG, BMP, GIF, TIFF or WebP"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
