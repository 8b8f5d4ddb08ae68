"""Names of files that may say which slide, patient or day an image is of, so that somebody who knows can keep these
together with --group-by: "s07_0012.tif", "patient 3 left.png", "2021-03-05/0012.jpg". A name is only taken for that
where it comes back for several images in a folder, and in several classes, as names do not that only count images.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from posixpath import dirname

from ...errors import printable, quoted, told
from ..groups import Groups
from .findings import File, Finding

FEWEST = 3  # groups, and images of each folder and group on average
MOST_OF = 0.9  # of the images must have such a name
DAY = "day"
# Words before a number that say which group an image is of, so that it need not be in several classes.
_WORDS = (DAY, "slide", "patient", "subject", "donor", "mouse", "animal", "plate", "session", "scene", "video")
# Words before a number that say what was done to an image, or which one of a series it is.
_OTHERS = ("rot", "rotate", "rotated", "aug", "flip", "size", "scale", "crop", "copy", "frame", "page", "img", "image",
           "v", "ver", "version", "x", "y", "z", "px", "q")
_NUMBERED = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]+)([_ -]?)\d+(?![A-Za-z0-9])")
_DATE = r"((?:19|20)\d\d[-_]?(?:0[1-9]|1[0-2])[-_]?(?:0[1-9]|[12]\d|3[01]))"
_DATES = (r"(\d{4}-\d\d-\d\d)", r"(\d{4}_\d\d_\d\d)", r"(\d{8})", f"/{_DATE}")


def of_files(files: Sequence[File]) -> Iterator[Finding]:
    """Yield one finding if names, of which some are in two splits, seem to say which images belong together."""
    inside = [_inside(file) for file in files]
    below = [path.partition("/")[2] or path for path in inside]
    for word, exact, patterns in _patterns(below):
        names = [found[1] if (found := re.search(exact, path)) else None for path in below]
        if not (_are_groups(files, names, word) and _cross(files, names)):
            continue
        for pattern in patterns:
            groups = Groups(pattern, {}, pattern)
            if [groups.of(file.path, file.relative, path) for file, path in zip(files, inside, strict=True)] == names:
                known = sorted({name for name in names if name is not None})
                text = told(f"{len(known):,} names, {printable(known[0])} to {printable(known[-1])}, each stand in the "
                            "names of several files. If they are slides, patients or days, --group-by "
                            f"{quoted(pattern)} keeps the images of each in one split.")
                yield Finding("grouped-names", (), text, float(len(known)))
                return


def _inside(file: File) -> str:
    """Return a file's path from the class folder on, as --group-by sees it."""
    path, folder = file.relative, f"{file.label}/"
    at = 0 if path.startswith(folder) else path.find(f"/{folder}") + 1
    return path[at:]


def _patterns(paths: Sequence[str]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield what may find groups, the commonest first: (the word before the number, the regular expression for a path
    without the class folder, regular expressions for --group-by, the simplest first)."""
    words: dict[tuple[str, str], int] = defaultdict(int)
    for path in paths:
        for found in set(_NUMBERED.findall(path)):
            words[found] += 1
    for (word, between), count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        if count >= MOST_OF * len(paths) and word.lower() not in _OTHERS and (not between or word.lower() in _WORDS):
            name = rf"({word}{between}\d+)"
            yield word, rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", (f"{name}_", f"{name}-", f"/{name}", name)
    yield DAY, rf"(?<![0-9]){_DATE}(?![0-9])", _DATES


def _are_groups(files: Sequence[File], names: Sequence[str | None], word: str) -> bool:
    """Whether names are those of groups: nearly every image has one, and each comes back in its folder and, unless the
    word says enough, in several classes."""
    known = [(file, name) for file, name in zip(files, names, strict=True) if name is not None]
    cells = {(dirname(file.relative), name) for file, name in known}
    classes: dict[str, set[str | None]] = defaultdict(set)
    for file, name in known:
        classes[name].add(file.label)
    several = sum(len(labels) > 1 for labels in classes.values())
    return (len(known) >= MOST_OF * len(files) and len(classes) >= FEWEST and len(known) >= FEWEST * len(cells)
            and (2 * several >= len(classes) or word.lower() in _WORDS))


def _cross(files: Sequence[File], names: Sequence[str | None]) -> bool:
    """Whether some images of one name are in two splits."""
    where: dict[str, set[str | None]] = defaultdict(set)
    for file, name in zip(files, names, strict=True):
        if name is not None:
            where[name].add(file.split)
    return any(len(splits) > 1 for splits in where.values())
