"""Which folder holds which part of the split, and where the class folders are: parts under many names, a folder inside
one of the same name, an unpacked archive's folder around everything, a test without labels. Names decide, and where
images lie. What is not clear is refused, with the path to give. folder.py then looks for the images.
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import DataError, printable, quoted
from .splits import Found, Split, listed
from .suffixes import is_image
from .walk import check_folder, entries, filled_folders, images_in, is_folder, walk

PLAIN = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # nothing to say of these
_WHOSE: dict[str, str] = {"train": "training", "val": "validation", "test": "test"}
_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "trainval": "train", "val": "val", "valid": "val", "validation": "val",
    "validate": "val", "dev": "val", "test": "test", "testing": "test", "eval": "test", "evaluation": "test"}
_EVALUATIONS = ("eval", "evaluation")  # beside a test they are for validation
_MORE = r"sets?|data|datasets?|images?|imgs?|photos?|pictures?|folders?|splits?|samples?|all|the"
# Patterns as text, which re compiles when it first needs them: a prediction of one image never does.
_WORD = rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:{_MORE})*"
# What folders of whole data sets are called, each with the same class folders inside, and classes hardly ever are.
_VERSION = (rf"{_MORE}|v?\d+|fold|part|batch|archive|version|raw|original|processed|augmented|resized|"
            r"cropped|small|large|full|mini|tiny|backup|copy|colou?r|gr[ae]yscale|segmented|masks?|"
            r"unlabell?ed|unknown|none|new|old")
_TO_PREDICT = r"pred|predict|predictions?|unlabell?ed|inference|submission"
_DEEPEST = 8  # folders that are looked for inside each other


@dataclass(frozen=True)
class Layout:
    """Where a data folder has its images. root is the folder, or the one inside it that has them all. folders has each
    part's folder of class folders; {"train": root} if there are only class folders. unlabelled are folders of images in
    no class folder. beside are names of folders and images in root that are left out. notes are sentences for the user.
    """

    root: str
    folders: dict[str, str]
    unlabelled: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Candidate:
    """A folder with a split's word in its name, and what else the name says: ("seg",) of seg_train."""

    name: str
    word: str
    split: Split
    stem: tuple[str, ...]


def split_of(name: str) -> Split | None:
    """Return the split that a name means, "Training" or "train_set", None where it says anything else, too."""
    candidate = _candidate(name)
    return candidate.split if candidate and not candidate.stem else None


def part_called(archive: str) -> Split | None:
    """Return the split that the name of one of several archives means: "imagenet-train-000012.tar"."""
    candidate = _candidate(archive.split(".")[0])
    return candidate.split if candidate else None


def is_called_like_a_split(name: str) -> bool:
    """Whether a folder's name has the word of one split, "seg_train" and "Training" too."""
    return _candidate(name) is not None


def find_layout(given: str, known: Collection[str] = (), need_train: bool = True) -> Layout:
    """Find out where a data folder has its images. known are the classes of a model, if images for one are looked for.

    Raises DataError if there is no such folder, it is empty, or it is not clear what is meant.
    """
    check_folder(given)
    if not entries(given):
        raise DataError(f"{printable(given)} is empty; give a folder with one sub-folder per class.")
    root, chosen, loose = given, _splits(given, need_train), 0
    for _ in range(_DEEPEST):
        inner = None if chosen else _wrapped(root, known)
        if inner is None:
            break
        loose += images_in(root)
        root, chosen = inner, _splits(inner, need_train)
    around = [f"{printable(given)}: {loose} image{'s' * (loose > 1)} outside of {printable(_below(given, root))}/ "
              f"{'are' if loose > 1 else 'is'} left out."] if loose else []
    if not chosen:
        notes = [f"{printable(given)}: the class folders are those in {printable(_below(given, root))}/."]
        return Layout(root, {"train": root}, notes=notes + around if root != given else [])
    folders, unlabelled = _placed(root, chosen, known)
    unlabelled += _to_predict(root, chosen.values())
    beside = _beside(root, [*folders.values(), *unlabelled])
    return Layout(root, folders, unlabelled, beside, _notes(given, root, folders, unlabelled, beside) + around)


def refuse_several(root: str, found: Found) -> list[str]:
    """Raise DataError where folders that were taken for classes are whole data sets, with the paths to give. Return a
    sentence where they may be, because the same folders are in all of them."""
    inside = {name: {item[1].split("/")[1] for item in items if item[1].count("/") > 1}
              for name, items in found.classes.items()}
    sets = [name for name, items in found.classes.items() if _has_splits([item[1] for item in items])]
    names = list(inside)
    base = os.path.basename(os.path.abspath(root)).casefold()
    for name in (each for each in names if inside[each] and (_is_version(each) or each.casefold() == base)):
        others = {other for other in names if other != name and (not inside[other] or inside[other] != inside[name])}
        if len(others) > 1 and inside[name] >= others:
            raise DataError(f"{printable(root)} holds its class folders a second time in {printable(name)}/; move "
                            f"{printable(name)}/ away, or give only {quoted(os.path.join(root, name))}.")
    what, splits, notes = "train/ and other splits", "", []
    if not sets and _all_in_the_same_folders(found, inside):
        parts = listed(sorted(inside[names[0]]))
        if all(map(_is_version, names)) or any(map(split_of, names)):
            sets, what = names, f"the same folders ({parts})"
            splits = ", or rename them to train/, val/ and test/ if they are splits"
        else:
            notes.append(f"{printable(root)}: {listed(names)} are taken as the classes. Each holds the same folders "
                         f"({parts}); if those are the classes, rename {listed(names)} to train/, val/ and test/.")
    if sets:
        paths = " or ".join(quoted(os.path.join(root, name)) for name in sets[:3])
        have = "have" if len(sets) > 1 else "has"
        raise DataError(f"{printable(root)} holds no class folders: {listed(sets)} {have} {what} inside; give {paths}"
                        f"{splits}.")
    return notes


def _all_in_the_same_folders(found: Found, inside: dict[str, set[str]]) -> bool:
    """Whether all images lie in folders of the class folders, two or more, which are called the same in each."""
    first = next(iter(inside.values()), set())
    return (len(inside) > 1 and len(first) > 1 and all(each == first for each in inside.values())
            and all(item[1].count("/") > 1 for items in found.classes.values() for item in items))


def names_of_splits(folder: str, names: Collection[str], given: bool) -> list[str]:
    """Raise DataError if two classes would be called like training and another part, also "train_x" and "test_x".
    Return a sentence if one is called like a part. given: the folder is that of a part that has one.
    """
    meant: dict[tuple[str, ...], dict[Split, str]] = defaultdict(dict)
    for candidate in filter(None, map(_candidate, sorted(names))):
        meant[candidate.stem][candidate.split] = candidate.name
    for found in meant.values():
        if "train" in found and len(found) > 1:
            instead = (f"give {quoted(folder)}" if given
                       else "move their images into train/<class>/ and test/<class>/")
            raise DataError(f"{printable(folder)} has class folders with the names of splits "
                            f"({listed(sorted(found.values()))}); rename them if they are classes, or {instead} if "
                            "they are splits.")
    alone = [] if given else list(meant.get((), {}).values())
    return [f"{printable(folder)}: {printable(name)}/ is taken as a class, like the folders beside it; move it away if "
            "it is no class." for name in alone]


def inside_classes(found: Found) -> dict[str, Found] | None:
    """Return what was found of each split, where splits lie inside the class folders (cat/train/, cat/test/), None
    where they do not."""
    splits: dict[str, Found] = {}
    for name, items in found.classes.items():
        for item in items:
            parts = item[1].split("/")
            split = split_of(parts[1]) if len(parts) > 2 else None
            if split is None:
                return None
            splits.setdefault(split, Found()).classes.setdefault(name, []).append(item)
    if "train" not in splits or len(splits) == 1:
        return None
    train = splits["train"]
    deeper = [{item[1].split("/")[2] for item in items if item[1].count("/") > 2} for items in train.classes.values()]
    if all(len(folders) > 1 for folders in deeper):  # data sets side by side
        return None
    train.empty, train.loose, train.other, train.special, train.hidden = (
        found.empty, found.loose, found.other, found.special, found.hidden)
    return {split: splits[split] for split in ("train", "val", "test") if split in splits}


# ---- names ----


def _tokens(name: str) -> list[str]:
    """Return a name's words and numbers, small, without accents and other ways to write the same letter."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return re.findall(r"[^\W\d_]+|\d+", "".join(c for c in plain if not unicodedata.combining(c)))


def _candidate(name: str) -> _Candidate | None:
    words, stem = [], []
    for token in _tokens(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)):  # trainA
        found = re.fullmatch(_WORD, token)
        if found:
            words.append(found[1])
        elif not re.fullmatch(_MORE, token):
            stem.append(token)
    if len({_WORDS[word] for word in words}) != 1:
        return None
    return _Candidate(name, words[0], _WORDS[words[0]], tuple(stem))


def _is_version(name: str) -> bool:
    return all(re.fullmatch(_VERSION, token) or re.fullmatch(_WORD, token) for token in _tokens(name))


def _is_to_predict(name: str) -> bool:
    return any(re.fullmatch(_TO_PREDICT, token) for token in _tokens(name))


def _has_splits(paths: Iterable[str]) -> bool:
    """Whether such paths inside a folder are those of a data set in splits: x/train/cat/1.png, x/test/…"""
    inside = {(split_of(parts[1]), len(parts) > 3) for parts in (path.split("/") for path in paths) if len(parts) > 2}
    return ("train", True) in inside and bool({split for split, _ in inside} & {"val", "test"})


# ---- which folder is which split ----


def _splits(root: str, need_train: bool) -> dict[str, str]:
    """Return the split folders in a folder, {} where it has none. Raises DataError where two are the same split."""
    names = [e.name for e in entries(root) if is_folder(e)]
    candidates = [c for c in map(_candidate, names) if c]
    alike = Counter((c.split, c.stem) for c in candidates)
    candidates = [c for c in candidates if alike[c.split, c.stem] == 1 or _is_filled(os.path.join(root, c.name))]
    trains = [c for c in candidates if c.split == "train"]
    others = [c for c in candidates if c.split != "train"]
    if not candidates:
        return {}
    to_predict = [name for name in names if _is_to_predict(name)]
    strange = set(names) - {c.name for c in candidates} - set(to_predict)
    only_splits = not any(_is_filled(os.path.join(root, name)) for name in sorted(strange))
    if not trains:
        alone = len(others) == 1 and others[0].stem and not to_predict
        if not only_splits or alone or len({c.stem for c in others}) > 1:
            return {}
        found = _one_each(root, others, None)
        if need_train:
            raise DataError(f"{printable(root)} has {' and '.join(f'{c.name}/' for c in others)} but no train/; "
                            "add train/<class>/ with the training images.")
        return {split: os.path.join(root, name) for split, name in found.items()}
    train = _train(root, trains, others, only_splits)
    if train is None:
        return {}
    matching = [c for c in others if c.stem == train.stem]
    matching += [c for c in others if c.stem != train.stem and c.split not in {m.split for m in matching}
                 and _shares_classes(os.path.join(root, train.name), os.path.join(root, c.name))]
    chosen: dict[str, str] = {"train": train.name, **_one_each(root, matching, train.name if need_train else None)}
    return {split: os.path.join(root, name) for split, name in chosen.items()}


def _train(root: str, trains: Sequence[_Candidate], others: Sequence[_Candidate], only_splits: bool
           ) -> _Candidate | None:
    """Return the folder of the training images, None where it is a class that is called so."""
    plain = [c for c in trains if not c.stem]
    if len(plain) > 1:
        _refuse_both(root, plain[0], plain[1], None)
    if plain:
        [train] = plain
        with_others = only_splits or any(not c.stem for c in others)
        path = os.path.join(root, train.name)
        in_folders = any(is_folder(e) for e in entries(path))
        if not with_others and ((images_in(path) and not in_folders) or train.word != "train"):
            return None
        return train
    fitting = [c for c in trains if _holds_classes(_inside(os.path.join(root, c.name), ()), ()) and any(
        c.stem == o.stem or _shares_classes(os.path.join(root, c.name), os.path.join(root, o.name)) for o in others)]
    if len(fitting) > 1:
        _refuse_both(root, fitting[0], fitting[1], None)
    return fitting[0] if fitting else None


def _one_each(root: str, candidates: Sequence[_Candidate], train: str | None) -> dict[str, str]:
    """Return the folder of each split. Raises DataError where two are of the same; train is what may be given then."""
    chosen: dict[Split, _Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (c.word in _EVALUATIONS, c.name)):
        split = candidate.split
        if split in chosen and candidate.word in _EVALUATIONS and "val" not in chosen:
            split = "val"
        if split in chosen:
            _refuse_both(root, chosen[split], candidate, train)
        chosen[split] = candidate
    return {split: chosen[split].name for split in ("val", "test") if split in chosen}


def _refuse_both(root: str, one: _Candidate, other: _Candidate, train: str | None) -> None:
    names = [train] if train else [one.name, other.name]
    paths = " or ".join(quoted(os.path.join(root, name)) for name in names)
    instead = f"only {paths}, of which the {_WHOSE[one.split]} images are then drawn" if train else paths
    raise DataError(f"{printable(root)} has {printable(one.name)}/ and {printable(other.name)}/, and both names mean "
                    f"{_WHOSE[one.split]} images; move one of them away, or give {instead}.")


def _shares_classes(one: str, other: str) -> bool:
    return bool(set(filled_folders(_inside(one, ()))) & set(filled_folders(_inside(other, ()))))


# ---- folders around folders ----


def _wrapped(root: str, known: Collection[str], depth: int = 0) -> str | None:
    """Return the one folder in a folder that has all of its images in folders of its own, None where there is none."""
    filled = filled_folders(root, 2)
    if len(filled) != 1 or filled[0] in known or depth == _DEEPEST:
        return None
    inner = os.path.join(root, filled[0])
    if images_in(inner):
        return None
    if _holds_classes(inner, known) or _splits(inner, need_train=False) or _wrapped(inner, known, depth + 1):
        return inner
    return None


def _inside(folder: str, known: Collection[str]) -> str:
    """Return the folder inside a split's that has its class folders or images, where they lie one or more deeper."""
    for _ in range(_DEEPEST):
        filled = filled_folders(folder, 2)
        twin = next((e.name for e in entries(folder) if is_folder(e) and e.name not in known
                     and e.name.casefold() == os.path.basename(folder).casefold()), None)
        if len(filled) == 1 and filled[0] not in known and not images_in(folder):
            inner = os.path.join(folder, filled[0])
            if filled[0] == twin or _is_version(filled[0]) or (_holds_classes(inner, known) and not images_in(inner)):
                folder = inner
                continue
        elif twin and _holds_classes(os.path.join(folder, twin), known) and not images_in(os.path.join(folder, twin)):
            raise DataError(f"{printable(folder)} holds a folder of its own name beside other folders; move it or the "
                            f"others away, or give only {quoted(os.path.join(folder, twin))}.")
        return folder
    return folder


def _holds_classes(folder: str, known: Collection[str]) -> bool:
    """Whether images lie in two folders or more of a folder, or in one that is called like a class."""
    filled = filled_folders(folder, None if known else 2)
    return len(filled) > 1 or any(name in known for name in filled)


def _is_filled(folder: str) -> bool:
    return next(walk(folder, "", Found()), None) is not None


def _to_predict(root: str, used: Collection[str]) -> list[str]:
    """Return the folders beside the splits that are called like ones to predict, and have images in no class folder."""
    names = [e.name for e in entries(root) if is_folder(e) and e.path not in used]
    inside = [_inside(os.path.join(root, name), ()) for name in names if _is_to_predict(name) or _candidate(name)]
    return [path for path in inside if images_in(path) and not filled_folders(path, 1)]


def _placed(root: str, chosen: dict[str, str], known: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Return where each split has its class folders, and the folders of splits that have images in none."""
    folders: dict[str, str] = {}
    unlabelled = []
    if "train" in chosen:
        folders["train"] = _inside(chosen["train"], known)
        known = known or filled_folders(folders["train"])
    for split, path in chosen.items():
        if split != "train":
            inside = _inside(path, known)
            if images_in(inside) and not filled_folders(inside, 1) and (folders or len(chosen) > 1):
                unlabelled.append(inside)
            else:
                folders[split] = inside
    return folders or chosen, unlabelled if folders else []


# ---- sentences ----


def _below(given: str, path: str) -> str:
    """Return a path as it goes on from a folder, with "/"."""
    return path[len(given):].strip(os.sep).replace(os.sep, "/")


def _beside(root: str, used: Iterable[str]) -> list[str]:
    """Return the names of folders and images in a folder that none of the used ones lies in."""
    names = {_below(root, path).split("/")[0] for path in used}
    return [e.name for e in entries(root) if e.name not in names and (is_folder(e) or is_image(e.name))]


def _notes(given: str, root: str, folders: dict[str, str], unlabelled: Sequence[str], beside: Sequence[str]
           ) -> list[str]:
    """Return the sentence that says which folder was taken for which split, unless it is called just so, and those on
    what is passed over."""
    notes, shown = [], printable(given)
    if any(PLAIN.get(_below(given, path).lower()) != split for split, path in folders.items()):
        taken = [f"{printable(_below(given, path))}/ {'is taken ' * (not i)}as {split}"
                 for i, (split, path) in enumerate(folders.items())]
        notes.append(f"{shown}: {', '.join(taken)}.")
    for path in unlabelled:
        notes.append(f"{shown}: {printable(_below(given, path))}/ holds images in no class folder and is passed over. "
                     f"To classify them without labels: cnn predict {quoted(path)}")
    if beside:
        are = "is" if len(beside) == 1 else "are"
        notes.append(f"{printable(root)}: {listed(beside)} {are} left out, because train/ is there.")
    return notes
