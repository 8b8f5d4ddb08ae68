"""Which preprocessing suits a set of images by default: their size from the distribution of sizes, and whether they are
grey from their pixels, because grey pictures are often stored as colour. Some of the images are looked at, evenly
spread. preprocessing.py does what is chosen here to all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..errors import DataError, ImageError
from .decode import is_grey_picture, open_image, read_header
from .depth import Seen
from .preprocessing import Preprocessing, Resize
from .splits import Sample

_LOOKED_AT = 200  # images, to know what all are like
_COMMON = 0.25  # of the images that have a size before it stands for all, unless most are not nearly so; else the
_NEARLY = 2.0  # middle one does. Nearly so: a side that the middle of them is so many times as long as, at most
_LONG, _LONGEST = 2.0, 256  # times as long as wide: the middle square misses half; and pixels of what is advised then
_SQUARE = 1.1  # times as long as wide, at most, is what the middle of many sizes may be to be scaled to a square
_SHAPED: dict[Resize, str] = {"crop": "scaled and cropped at the centre", "squash": "squashed to a square",
                              "pad": "scaled to fit inside, with grey beside them"}
_REDUCED = 64  # pixels to which a large JPEG may be reduced to see whether it has colour

Header = tuple[int, int, bool]  # height, width, and whether the file's mode is grey


def parse(text: str) -> tuple[int, int] | None:
    """Return (height, width) of a size as it is typed: "64", or "64x48", width by height. None where it is neither."""
    sides = re.fullmatch(r"(\d{1,9})(?:[x×](\d{1,9}))?", text.strip().lower())
    return (int(sides[2] or sides[1]), int(sides[1])) if sides else None


def typical_side(samples: Sequence[Sample]) -> int:
    """Return the pixels of the longer side that images typically have. Raises DataError where none can be read."""
    return max(_typical([header for _, header in _looked(samples)])[0])


def choose_size(samples: Sequence[Sample], size: int | tuple[int, int] | None = None, grey: bool | None = None,
                fit: Resize | None = None) -> tuple[Preprocessing, list[str]]:
    """Choose the preprocessing that suits the images, from some of them, evenly spread: from their headers, and from
    the pixels of those that are stored as colour, until one has any.

    size, grey and fit (how images get that shape) override the choice. Returns it with sentences that say what was
    chosen and why. Raises DataError if none of the images can be read.
    """
    looked = _looked(samples)
    headers, notes = [header for _, header in looked], []
    if grey is None:
        stored = [sample for sample, header in looked if not header[2]]
        grey = not any(_has_colour(sample) for sample in stored)
        why = "" if not stored else ", although they are stored as colour" if len(stored) == len(looked) else (
            ", although some are stored as colour")
        notes.append(f"grey, because the images are{why}." if grey else "colour, because the images have it.")
    typical, which = _typical(headers)
    shorter = sorted(min(h, w) for h, w, _ in headers)[len(headers) // 2]
    one_size, longest = len({(h, w) for h, w, _ in headers}) == 1, max(typical)
    square = typical[0] == typical[1] or (not which and max(typical) <= _SQUARE * min(typical))
    resize: Resize
    if size is not None:
        chosen = (size, size) if isinstance(size, int) else size
        resize = "squash" if longest <= 40 or (longest <= 96 and one_size) else "crop"
    elif longest <= 40:
        chosen, resize = typical, "squash"
        own = f"the own size of {which}" if "%" in which else f"{which}' own size"
        notes.append(f"{_times(typical)} pixels, {own if which else _middle(headers)}.")
    elif longest <= 96:
        chosen, resize = (64, 64), "squash" if square else "crop"
        how = f"{which} are {_times(typical)}" if which else f"{_times(typical)} is {_middle(headers)}"
        notes.append(f"64 x 64 pixels, because {how}.")
    elif longest > _LONG * min(typical) and fit in (None, "crop"):
        chosen, resize = (128, 128), "crop"
        whole = (max(1, round(side * min(1.0, _LONGEST / longest))) for side in typical)
        notes.append(f"128 x 128 pixels, {_SHAPED['crop']}, because the images are large (typically {_times(typical)}),"
                     " which leaves most of such long ones out; "
                     f"--size {'x'.join(map(str, [*whole][::-1]))} takes them whole.")
    else:
        chosen, resize = (128, 128), "crop"
        whole_ones = "" if fit else ", --fit pad for the whole of each image"
        notes.append(f"128 x 128 pixels, {_SHAPED[fit or 'crop']}, because the images are photographs (typically "
                     f"{shorter} pixels on the shorter side); --size asks for another{whole_ones}.")
    return Preprocessing(chosen, grey, fit or resize), notes


def _looked(samples: Sequence[Sample]) -> list[tuple[Sample, Header]]:
    """Return some of the images that can be read, with their headers."""
    chosen = samples if len(samples) <= _LOOKED_AT else [
        samples[i * len(samples) // _LOOKED_AT] for i in range(_LOOKED_AT)]
    looked, failed = [], None
    for sample in chosen:
        try:
            looked.append((sample, _header(sample)))
        except ImageError as error:
            failed = error
    if not looked:
        raise DataError("none of the training images can be used; give others. "
                        "" + (f"The last: {failed}" if failed else ""))
    return looked


def _header(sample: Sample) -> Header:
    """Return height, width and whether it is grey of one image. Raises ImageError."""
    if sample.pixels is None:
        return read_header(sample.path)
    h, w, *channels = sample.pixels.shape
    return h, w, channels in ([], [1])


def _has_colour(sample: Sample) -> bool:
    """Whether an image that is stored as colour has any."""
    if sample.pixels is not None:
        return not is_grey_picture(sample.pixels)
    least, seen = (_REDUCED, _REDUCED), Seen()
    try:
        image = open_image(sample.path, False, least, seen=seen)
        if seen.images:  # deeper than 8 bits: its colours may be far from white
            image = open_image(sample.path, False, least, seen.scales())
        return not is_grey_picture(np.asarray(image))
    except ImageError:  # it is skipped
        return False


def _typical(headers: Sequence[Header]) -> tuple[tuple[int, int], str]:
    """Return the (height, width) that stands for all, and a word for it: the most frequent one (of several the
    smallest) if enough images have it and the middle ones nearly do; else the middle height and the middle width, which
    perhaps no image has ("").
    """
    half = len(headers) // 2
    middle = sorted(h for h, _, _ in headers)[half], sorted(w for _, w, _ in headers)[half]
    sizes = Counter((h, w) for h, w, _ in headers)
    common = min(sizes, key=lambda s: (-sizes[s], s))
    share = sizes[common] / len(headers)
    if share >= _COMMON and all(max(own, other) <= _NEARLY * min(own, other)
                                for own, other in zip(common, middle, strict=True)):
        some = "most images" if share > 0.5 else f"{share * 100:.0f} % of the images"
        return common, "the images" if share == 1 else some
    return middle, ""


def _middle(headers: Sequence[Header]) -> str:
    """Return in words what the middle of many sizes is in the middle of."""
    sizes = sorted(((h, w) for h, w, _ in headers), key=lambda size: (size[0] * size[1], size))
    return f"the middle of the images' sizes, {_times(sizes[0])} to {_times(sizes[-1])}"


def _times(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"
