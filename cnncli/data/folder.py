"""The first step: a folder on disk becomes lists of samples, one for each part of the split, and a list of classes.
Nothing is opened, copied or moved here; only names and file types are looked at. splits.py divides what was found;
images.py makes pixels of samples.
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence

from ..errors import DataError, UsageError, brief, printable, quoted
from . import files
from .division import FRACTIONS, check_fractions, divide, note_division
from .groups import Groups
from .labels import Labelled, Labels, refuse_strange, survey_labels
from .layout import (
    Layout,
    find_layout,
    inside_classes,
    names_of_splits,
    part_called,
    refuse_several,
    split_of,
)
from .splits import (
    Found,
    Sample,
    Split,
    Splits,
    Survey,
    exclusion_note,
    listed,
    nothing_about,
)
from .suffixes import FORMATS, is_image
from .walk import check_folder, entries, is_folder, leads_up, walk
from .webdataset import Written

OF_A_RUN = ("config.json", "images.csv")  # files that the folder of every training has


def survey(root: str | os.PathLike[str], labels: Labels | None = None) -> Survey:
    """Look through a data folder, in whatever layout (layout.py), or for the images that labels names. Raises DataError
    if it cannot be read, is empty, has no folder of training images or is not clear, UsageError if root is no path.
    """
    if not isinstance(root, str | os.PathLike):
        raise UsageError(f"the data folder must be a path, not {brief(root)}.")
    labels = labels or written_labels(os.fspath(root))
    if labels is not None:
        check_folder(os.fspath(root))
        looked = survey_labels(os.fspath(root), labels)
        looked.notes += files.notes(os.fspath(root))
        return looked
    return _survey(os.fspath(root))


def scan(root: str | os.PathLike[str], fractions: Sequence[float] = FRACTIONS, seed: int = 0,
         exclude: Collection[str] = (), labels: Labels | None = None, groups: Groups | None = None) -> Splits:
    """Find the classes and images of a data folder and split them into train, val and test.

    There are two layouts: root/{train,val,test}/<class>/…, or only class folders root/<class>/…; layout.py understands
    other names and folders around them. A part of the split that is missing is drawn from the training images. Within
    each class they are ordered by a hash of seed and relative path: the first go to test, the next to val, the rest
    stay. So the split is stratified, does not depend on the order in which files are listed, and files that are added
    later move only the few at the borders. A class of one or two images stays in train; from three on, each part gets
    at least one. val gets MOST_VALIDATION images at most: more hardly help to tell which epoch is best, and are missed
    in training. exclude has paths inside the folder, with "/", of images to leave out. labels are of images in no class
    folders, brought within the folder. groups say which images stay together in what is drawn.

    Raises DataError if the folder cannot be used, UsageError if fractions (train, val, test) make no sense.
    """
    check_fractions(fractions)
    labels = labels or written_labels(root)
    looked = survey(root, labels)
    looked.groups = groups
    if labels is not None:
        refuse_strange(labels, looked)
    folders, found = looked.folders, looked.found
    for split, path in folders.items():
        if not found[split].classes:
            _refuse_no_images(path, found[split])
    dropped = looked.exclude(frozenset(exclude)) if exclude else 0
    classes = sorted(found["train"].classes)
    if len(classes) == 1 and labels:
        raise DataError(f"{printable(labels.name)} has only one label, {printable(classes[0])}; give images of two or "
                        "more classes.")
    if len(classes) == 1:
        _refuse_one_class(folders["train"], classes[0], found["train"])
    notes = looked.notes + [note for s, path in folders.items() for note in left_out(path, found[s])]
    for name in ("val", "test"):
        if name in found:
            own = folders[name] != looked.root
            notes += _given_notes(name, folders[name] if own else name, found[name], classes, folders["train"])
    splits = Splits(classes, **divide(looked, classes, fractions, seed), notes=notes, excluded=sorted(exclude))
    if exclude:
        splits.notes.append(exclusion_note(os.fspath(root), dropped, len(splits.excluded)))
    note_division(splits, looked, fractions)
    return splits


def scan_part(root: str | os.PathLike[str], classes: Sequence[str], split: Split | None = None,
              labels: Labels | None = None, groups: Groups | None = None,
              why: str = "is not the folder that the model was trained on"
              ) -> tuple[list[Sample], list[str], str | None]:
    """Find every image in root's class folders, or those that labels names in it, labelled by a model's classes:
    (samples in order, notes, the part that they are of; None if root has no parts). groups say which of them belong
    together.

    If root has splits, split is what is read; None is test, or else val or train. Raises DataError if the name of a
    class folder is no class: labels are never guessed. Raises UsageError if root has no such split; why says why the
    split of the training does not stand in for it.
    """
    root = os.fspath(root)
    labels = labels or written_labels(root)
    if labels is None:
        layout = find_layout(root, classes, need_train=False)
        wanted = next((s for s in (split or "test", "val", "train") if s in layout.folders), "train")
        looked = _surveyed(layout, [wanted])
    else:
        looked = survey(root, labels)
    looked.groups = groups
    if split is None:
        wanted = next((s for s in ("test", "val", "train") if s in looked.found), "train")
    elif split not in looked.found or list(looked.folders) == ["train"]:
        raise UsageError(f"{printable(root)} has no {split}/, and {why}; leave --split out to test on all of "
                         "its images.")
    else:
        wanted = split
    folder, found = looked.folders[wanted], looked.found[wanted]
    if not found.classes:
        judged = f" To classify them without labels: cnn predict {quoted(folder)}"
        _refuse_no_images(folder, found, judged)
    if labels is not None:
        _check_classes(labels.name, found.classes, classes, "which the model does not know", "take these lines out")
    else:
        _check_classes(folder, found.classes, classes, "which the model does not know", none=(
            f"rename its folders like the model's classes ({listed(classes)}), or give a table of labels with --labels "
            f"FILE.csv. To classify them without labels: cnn predict {quoted(folder)}"))
    notes = looked.notes + left_out(folder, found)
    if len(looked.folders) > 1:
        inside = f"{wanted}/ in the class folders" if labels is None else f"{wanted} in {labels.name}"
        notes.append(f"The images of {printable(folder if folder != looked.root else inside)} are used.")
    samples = [sample for label, name in enumerate(classes) for sample in looked.samples(wanted, name, label)]
    return samples, notes, wanted if split or wanted != "train" or len(looked.folders) > 1 else None


def scan_flat(root: str | os.PathLike[str], note: Callable[[str], None] | None = None) -> list[str]:
    """Return the paths of all images in a folder and its sub-folders, sorted. note is called with a sentence on files
    that are left out. Raises DataError if there are none.
    """
    root, found = os.fspath(root), Found()
    check_folder(root)
    paths = sorted(path for path, _ in walk(root, "", found))
    notes = files.notes(root)
    if not paths:
        raise DataError(f"{printable(root)} holds no images ({FORMATS}){_only_others(found)}; give a folder with some.")
    if note:
        for sentence in [*notes, *left_out(root, found)]:
            note(sentence)
    return paths


def _check_classes(folder: str, names: Iterable[str], known: Sequence[str], why: str,
                   remedy: str = "rename or remove the folder", none: str = "") -> None:
    """Raise DataError where a class folder's name is not a known class; none says what to do where not one of them is,
    in sentences."""
    names = set(names)
    strange = sorted(names - set(known))
    if strange:
        remedy = none if none and len(strange) == len(names) else f"{remedy}."
        raise DataError(f"{printable(folder)} has images of {listed(strange)}, {why}; {remedy}")


# ---- looking through it ----


def written_labels(root: str | os.PathLike[str]) -> Labels | None:
    """Return the table of labels that an archive's files in .cls and .txt are, as WebDataset has them, and the names of
    archives as parts of the split. None where root is no archive, there are none, or the folders that the images lie in
    say the same. Raises DataError where an archive cannot be read."""
    if not isinstance(root, str | os.PathLike):
        return None
    said, by_folder = files.written(os.fspath(root))
    if not said or (by_folder is None and _folders_say(os.fspath(root), said)):
        return None
    tars = {name: part_called(name) for name in {each.tar for each in said}}
    if not {"train"} < {part for part in tars.values() if part}:
        tars = {}
    images = sorted((each.path, each.label, each.part or tars.get(each.tar)) for each in said)
    return Labels(os.path.join(root, "*.cls"), tuple(
        Labelled(path, label, split_of(part) if part else None, number + 1)
        for number, (path, label, part) in enumerate(images)))


def _folders_say(root: str, said: Sequence[Written]) -> bool:
    """Whether the folders around the images of an archive divide them into the same classes."""
    try:
        looked = _survey(root)
    except DataError:
        return False
    label_of, labels, names = {each.path: each.label for each in said}, dict[str, set[str]](), dict[str, set[str]]()
    count = 0
    for found in looked.found.values():
        for name, items in found.classes.items():
            for path, _ in items:
                label = label_of.get(path[len(root) :].strip(os.sep).replace(os.sep, "/"))
                if label is not None:
                    labels.setdefault(name, set()).add(label)
                    names.setdefault(label, set()).add(name)
                    count += 1
    return count == len(said) and all(len(several) == 1 for several in (*labels.values(), *names.values()))


def _survey(root: str) -> Survey:
    layout = find_layout(root)
    return _surveyed(layout, list(layout.folders))


def _surveyed(layout: Layout, splits: Iterable[str]) -> Survey:
    """Return what lies in these splits' folders. Class folders that have the splits inside them are taken apart."""
    found = {split: _find(layout.folders[split]) for split in splits}
    notes = [*files.notes(layout.root), *layout.notes]
    looked = Survey(layout.root, layout.folders, found, notes, layout.unlabelled, layout.beside)
    if layout.folders == {"train": layout.root}:
        inside = inside_classes(found["train"])
        if inside is not None:
            looked.found, looked.folders = inside, dict.fromkeys(inside, layout.root)
            looked.notes = [*looked.notes, f"{printable(layout.root)}: {', '.join(inside)} are the folders of these "
                                           "names inside the class folders."]
            return looked
    if "train" in found:
        folder = layout.folders["train"]
        looked.notes = [*looked.notes, *refuse_several(folder, found["train"]),
                        *names_of_splits(folder, found["train"].classes, folder != layout.root)]
    return looked


def _find(folder: str) -> Found:
    """Look through folder/<class>/… for images."""
    found = Found()
    for entry in entries(folder, found.hidden):
        if is_folder(entry):
            under = () if leads_up(entry) else walk(entry.path, entry.name, found)
            images = sorted(under, key=lambda item: item[1])
            if images:
                found.classes[entry.name] = images
            else:
                found.empty.append(entry.name)
        elif is_image(entry.name):
            found.loose.append(entry.name)
    return found


def _given_notes(split: str, folder: str, found: Found, classes: list[str], train: str) -> list[str]:
    """Return sentences about a split that has a folder of its own. Raises DataError for a class that train lacks."""
    _check_classes(folder, found.classes, classes, "which train/ does not have", none=(
        f"rename its folders like those in train/, or give only {quoted(train)}, of which other images are then held "
        "out."))
    missing = [name for name in classes if name not in found.classes]
    none = f"{printable(folder)} has no images of {listed(missing)}. {nothing_about(missing, [split])}"
    return [none] if missing else []


# ---- sentences ----


def _refuse_no_images(root: str, found: Found, instead: str = "") -> None:
    """Raise DataError; instead is what else may be done with images that lie in no class folder."""
    shown = printable(root)
    if all(os.path.isfile(os.path.join(root, name)) for name in OF_A_RUN):
        raise DataError(f"{shown} is the folder of a run and holds no images to learn from; name it with -m, and the "
                        "folder of the images without -m.")
    if found.loose:
        raise DataError(f"the images of {shown} lie directly in it ({listed(found.loose)}); move them into one "
                        f"sub-folder per class, or give a table with the columns file and label: --labels FILE.csv."
                        f"{instead}")
    if found.empty:
        raise DataError(f"{shown} holds no images in its folders ({listed(found.empty)}){_only_others(found)}; "
                        f"fill one sub-folder per class with {FORMATS} files.")
    raise DataError(f"{shown} holds no images; give a folder with one sub-folder per class.")


def _only_others(found: Found) -> str:
    kinds = listed([s or "files without a suffix" for s in _suffixes(found.other)])
    return f", only {kinds}" if kinds else ""


def _refuse_one_class(folder: str, name: str, found: Found) -> None:
    """Raise DataError; where the one class may be a folder around the classes, with the path to give."""
    inside = {item[1].split("/")[1] for item in found.classes[name] if item[1].count("/") > 1}
    instead = (f", or, if the folders in it are the classes ({listed(sorted(inside))}), give "
               f"{quoted(os.path.join(folder, name))}") if len(inside) > 1 else ""
    raise DataError(f"{printable(folder)} holds images of one class only, {printable(name)}; give it a folder for each "
                    f"of two or more classes{instead}.")


def left_out(folder: str, found: Found) -> list[str]:
    """Return sentences about what a split's folder holds beside images in class folders."""
    notes, shown = [], printable(folder)
    if found.empty:
        notes.append(f"{shown}: no images in {listed(found.empty)}; left out of the classes.")
    if found.loose:
        lie, are = ("image lies", "is") if len(found.loose) == 1 else ("images lie", "are")
        notes.append(f"{shown}: {len(found.loose)} {lie} in no class folder and {are} left out "
                     f"({listed(found.loose)}).")
    notes += other_files(folder, found)
    if found.special:
        notes.append(f"{shown}: {listed(found.special)} {_is_or_are(found.special)} left out, not a regular file.")
    return notes


def other_files(folder: str, found: Found) -> list[str]:
    """Return a sentence that counts the files beside images whose names say that they are none, and names the first;
    no sentence if there are none. Hidden files and what systems leave behind (Thumbs.db) are never mentioned.
    """
    one, count = len(found.other) == 1, f"{len(found.other):,}"
    files = "file is not called like an image and is" if one else "files are not called like images and are"
    return [f"{printable(folder)}: {count} {files} not used ({listed(found.other)})."] if found.other else []


def _suffixes(names: Iterable[str]) -> list[str]:
    return sorted({os.path.splitext(name)[1].lower() for name in names})


def _is_or_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
