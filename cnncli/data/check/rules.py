"""What is judged from single images and from the folder's layout: formats, sizes, brightness, sharpness, names of
classes and how many images they have. Each rule takes what __init__.py has gathered and returns findings. duplicates.py
has those about images that are alike.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ...errors import ImageError, printable
from ..decode import read_header
from ..splits import Survey
from ..suffixes import is_image
from . import telling
from .facts import Facts
from .findings import File, Finding
from .names import similar
from .usual import Limits, limits

EXTREME = 3.0  # times as long, or as high, as the middle one of the data set
IMBALANCE, SMALL = 10, 10
TELLING = 0.5  # by which a class's share of grey images must differ from the others' to give the class away
_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "bmp": "BMP", "dib": "BMP",
            "gif": "GIF", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP"}
_FOREIGN = frozenset((".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".ppm", ".pgm", ".tga", ".dng", ".cr2",
                      ".nef", ".arw", ".raw"))  # formats that people keep images in and training does not read
_UNUSABLE = (("it is empty", "empty-file"), ("its content is", "not-an-image"), ("it is damaged", "damaged"))


@dataclass(frozen=True)
class Looked:
    """A file and what was found of it."""

    file: File
    facts: Facts | ImageError


def of_images(looked: Sequence[Looked]) -> Iterator[Finding]:
    """Judge each image by itself, and by what is usual in this folder."""
    good = [(item.file, item.facts) for item in looked if isinstance(item.facts, Facts)]
    for item in looked:
        if isinstance(item.facts, ImageError):
            kind = next((kind for start, kind in _UNUSABLE if item.facts.reason.startswith(start)), "refused")
            yield Finding(kind, (item.file,), f"{item.facts.reason}.", exclude=(item.file,))
    shape = median(f.header.width / f.header.height for _, f in good) if good else 1.0
    usual = limits(good)
    for file, facts in good:
        yield from _of_look(file, facts, usual[file.label])
        yield from _of_file(file, facts, shape)
    yield from _of_all(good)
    yield from telling.of_all(good)


def _of_look(file: File, facts: Facts, usual: Limits) -> Iterator[Finding]:
    """Judge what an image looks like beside what is usual. Nothing is to be excluded that is usual in its class."""
    one = (file,)
    if facts.span <= usual.blank:
        flat, count = usual.flat
        kept = f"one flat colour, as {flat:,} of these {count:,} images: on no list to exclude."
        yield Finding("blank", one, kept if usual.mostly_flat else "one flat colour.", float(facts.span),
                      exclude=() if usual.mostly_flat else one)
    elif facts.bright < usual.dark:
        yield Finding("dark", one, f"99 % of its pixels are no brighter than {facts.bright} of 255.",
                      float(facts.bright))
    elif facts.blur is not None and facts.blur > usual.blurred:
        yield Finding("blurred", one, f"blur {facts.blur:.2f}, from 0 for sharp to 1; up to {usual.blurred:.2f} is "
                                      "usual.", round(facts.blur, 4))


def _of_file(file: File, facts: Facts, usual_shape: float) -> Iterator[Finding]:
    header, one = facts.header, (file,)
    ratio = header.width / header.height / usual_shape
    if max(ratio, 1 / ratio) > EXTREME:
        yield Finding("extreme-shape", one, f"{header.width} x {header.height} pixels.",
                      round(header.width / header.height, 4))
    suffix = os.path.splitext(file.relative)[1].lower().lstrip(".")
    if _FORMATS.get(suffix) != header.format:
        yield Finding("wrong-extension", one, f"its content is {header.format}.")
    if header.frames != 1:
        what = "pages" if header.format == "TIFF" else "frames"
        yield Finding("animated", one, f"a {header.format} of {header.frames or 'several'} {what}; the first is taken.")
    if header.orientation != 1:
        yield Finding("rotated", one, f"EXIF orientation {header.orientation}.", float(header.orientation))
    if header.wide:
        yield Finding("wide", one, f"{header.mode}, more than 8 bits a value.")
    if header.mode == "CMYK":
        yield Finding("cmyk", one, "mode CMYK.")
    if header.forgiven:
        yield Finding("forgiven", one, f"{'; '.join(header.forgiven)}.")
    if header.transparent:
        yield Finding("transparent", one, f"mode {header.mode} with transparency.")


def _of_all(good: Sequence[tuple[File, Facts]]) -> Iterator[Finding]:
    sizes = [(f.header.width, f.header.height) for _, f in good]
    if len(set(sizes)) > 1:
        low, middle, high = (f"{w} x {h}" for w, h in _three(sizes))
        yield Finding("mixed-sizes", (), f"{len(set(sizes)):,} sizes, from {low} to {high} pixels; the middle one is "
                                         f"{middle}.")
    grey = [file for file, facts in good if not facts.colour]
    if 0 < len(grey) < len(good):
        few = grey if 2 * len(grey) <= len(good) else [file for file, facts in good if facts.colour]
        yield Finding("mixed-colour", tuple(few),
                      f"{len(grey):,} of {len(good):,} images are grey, the others have colour.",
                      round(len(grey) / len(good), 4))
        yield from _telling(good, len(grey))


def _telling(good: Sequence[tuple[File, Facts]], grey: int) -> Iterator[Finding]:
    """Find classes that are nearly all grey where the others are not, or the other way about."""
    every = Counter(file.label for file, _ in good)
    greys = Counter(file.label for file, facts in good if not facts.colour)
    for label, count in every.items():
        rest = len(good) - count
        if not rest:
            continue
        share, others = greys[label] / count, (grey - greys[label]) / rest
        if abs(share - others) > TELLING:
            yield Finding("telling-colour", (), f"{share:.0%} of {printable(label)} are grey, of the other classes "
                                                f"{others:.0%}.", round(share - others, 4))


def _three(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the smallest, the middle and the largest size, by area."""
    order = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return [order[0], order[len(order) // 2], order[-1]]


# ---- the folder ----


def of_layout(looked: Survey) -> Iterator[Finding]:
    """Judge what lies in the folder but is left out by a training."""
    for split, found in looked.found.items():
        def named(inside: str, label: str | None = None, split: str = split) -> File:
            return File(os.path.join(looked.folders[split], *inside.split("/")), looked.relative(split, inside), split,
                        label)

        for name in found.empty:
            yield Finding("empty-class", (named(name, name),), "a class folder without images.")
        for name in found.loose:
            yield Finding("loose-image", (named(name),), "in no class folder.")
        for name in found.special:
            yield Finding("special-file", (named(name, name.split("/")[0]),), "no regular file, or a broken link.")
        for name in found.hidden:
            file = named(name)
            count = _images_in(file.path)
            if count:
                yield Finding("hidden-folder", (file,), f"{count:,} files called like images lie in it.", float(count))
        for name in found.other:
            yield from _missed(named(name, name.split("/")[0]))
    for path in looked.unlabelled:
        inside = os.path.relpath(path, looked.root).replace(os.sep, "/")
        yield Finding("unlabelled-split", (File(path, inside),), "images in no class folder; cnn predict judges them.")
    for name in looked.beside:
        yield Finding("beside-train", (File(os.path.join(looked.root, name), name),),
                      "left out, because train/ is there.")


def _missed(file: File) -> Iterator[Finding]:
    """Find out whether a file that is not called like an image is one all the same."""
    suffix = os.path.splitext(file.relative)[1].lower()
    try:
        read_header(file.path)
    except ImageError as error:
        if suffix in _FOREIGN:
            named = error.reason.startswith(("its content is a", "it is a"))
            yield Finding("missed-image", (file,), f"{error.reason}." if named else
                          f"{suffix} is not read; convert it to PNG or JPEG.")
        return
    yield Finding("missed-image", (file,), "its content is an image, its name says otherwise; rename it.")


def _images_in(folder: str) -> int:
    """Count the files under a folder that are called like images; links are not followed."""
    return sum(is_image(name) for _, _, names in os.walk(folder) for name in names)


def of_classes(looked: Survey, counts: dict[str, dict[str, int]]) -> Iterator[Finding]:
    """Judge the classes: their names, and how many images they have in each part of the split."""
    train = looked.found["train"].classes
    if len(train) < 2:
        yield Finding("few-classes", (), f"{len(train)} class{'es' * (len(train) != 1)} with training images.",
                      float(len(train)))
    for split in looked.folders:
        if split == "train":
            continue
        if not looked.found[split].classes:
            folder = looked.folders[split]
            yield Finding("empty-split", (File(folder, os.path.basename(folder), split),),
                          "no class folder with images.")
            continue
        for name in sorted(set(looked.found[split].classes) - set(train)):
            yield Finding("unknown-class", (_folder_of(looked, split, name),),
                          f"train/ has no images of it, {split}/ has {counts[name][split]:,}.")
        for name in sorted(set(train) - set(looked.found[split].classes)):
            yield Finding("missing-class", (_folder_of(looked, "train", name),), f"{split}/ has no images of it.")
    for names, why in similar(counts):
        yield Finding("similar-names", tuple(_folder_of(looked, _split_of(looked, name), name) for name in names), why)
    numbers = {name: counts[name]["train"] for name in train}
    for name, count in numbers.items():
        if count < SMALL:
            yield Finding("small-class", (_folder_of(looked, "train", name),),
                          f"{count} training image{'s' * (count != 1)}.", float(count))
    if len(numbers) > 1:
        few, many = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
        if numbers[many] >= IMBALANCE * max(numbers[few], 1):
            yield Finding("imbalance", (_folder_of(looked, "train", few), _folder_of(looked, "train", many)),
                          f"{numbers[few]:,} training images of {printable(few)}, {numbers[many]:,} of "
                          f"{printable(many)}.", round(numbers[many] / max(numbers[few], 1), 2))


def _split_of(looked: Survey, name: str) -> str:
    return next(split for split, found in looked.found.items() if name in found.classes)


def _folder_of(looked: Survey, split: str, name: str) -> File:
    return File(os.path.join(looked.folders[split], name), looked.relative(split, name), split, name)
