"""What one image is like, in a few numbers: decoded as for training, then hashed, measured and reduced to a thumbnail,
so no pixels need to be kept. __init__.py does this for a whole folder in threads; near.py compares the thumbnails,
rules.py judges the numbers.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from PIL import Image

from ...errors import ImageError
from ...kernels import Array
from ...ranks.current import world
from ...ranks.turns import in_turns
from ..decode import Header, examine, is_grey_picture, quiet
from ..depth import Scales, Seen
from ..prefetch import ConcurrencyLimit, prefetch

THUMB = 32  # pixels a side of a thumbnail
SHARP_SIDE = 256  # pixels of the longer side at which sharpness is judged
SHARP_LEAST = 64  # pixels of the shorter side below which it is not: small pictures have nothing that could be blurred
_PIECE = 32  # images that a thread takes at a time, at most
_AT_ONCE = 256  # images that one of several processes looks at before it hands in what it found
_AHEAD = 4  # pieces for each thread
_BEAT = 0.2  # seconds between two calls of progress, at most
_STRIP = 1 << 20  # pixels of an image that are copied at a time
_SMOOTHED = 9  # pixels over which the picture is smoothed to see what that changes
_SPECK = 8  # levels of a thumbnail that something must stand out by where it is less than a thousandth of the image
_STEP = 1.5  # levels between neighbours below which a change is only that from one level to the next

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Facts:
    """One usable image: its header; digest, equal for equal pixels of equal size; whether it has colour; the luminance
    (0 to 255) that 99 % of its pixels do not exceed; the span from its darkest to its brightest pixel; and blur, from 0
    (sharp) to 1, None if the image is too small. The span leaves out a thousandth of the pixels at each end, unless
    they show on the thumbnail: a scratch does, a faulty pixel does not.
    """

    header: Header
    digest: bytes
    colour: bool
    bright: int
    span: int
    blur: float | None


@dataclass(frozen=True)
class Measured:
    """What was found about a list of files: facts[i] or, if it cannot be used, the ImageError; thumbs, luminance as
    uint8 (n, 32, 32), zeros for those; the values of images of more than 8 bits, and how they were scaled.
    """

    facts: list[Facts | ImageError]
    thumbs: Array
    seen: Seen
    scales: Scales


def measure(paths: Sequence[str], threads: int, progress: Progress | None = None, scales: Scales | None = None,
            learn: Container[int] = ()) -> Measured:
    """Look at every file, decoding in threads. progress(done, total) is called from the calling thread.

    scales says how values of more than 8 bits are scaled. None: found from the files whose numbers are in learn; the
    deep ones are then looked at twice.
    """
    thumbs = np.zeros((len(paths), THUMB, THUMB), np.uint8)
    facts: list[Facts | ImageError] = []
    deep: list[int] = []
    seen = Seen()
    first = scales or Scales()
    for places, some, values in _shared(paths, range(len(paths)), thumbs, first, learn, threads, progress):
        facts += some
        deep += places
        seen.add(values)
    found = seen.scales() if scales is None else scales
    if deep and found != first:
        again: list[Facts | ImageError] = []
        for _, some, _ in _looks(paths, deep, thumbs, found, (), threads, progress):
            again += some
        for i, fact in zip(deep, again, strict=True):
            facts[i] = fact
    return Measured(facts, thumbs, seen, found)


def _shared(paths: Sequence[str], places: Sequence[int], thumbs: Array, scales: Scales, learn: Container[int],
            threads: int, progress: Progress | None) -> Iterator[tuple[list[int], list[Facts | ImageError], Seen]]:
    """Do what ``_looks`` does. If several processes work together, they share the files, and the leading one gets all
    that is found.
    """
    together = world()
    if together.size == 1:
        yield from _looks(paths, places, thumbs, scales, learn, threads, progress)
        return

    def look(some: Sequence[int]) -> tuple[list[tuple[list[int], list[Facts | ImageError], Seen]], Array]:
        return list(_looks(paths, some, thumbs, scales, learn, threads, None)), thumbs[list(some)]

    done = 0
    for found, theirs in in_turns(together, places, _AT_ONCE, look):
        thumbs[places[done : done + len(theirs)]] = theirs
        done += len(theirs)
        yield from found
        if progress:
            progress(done, len(places))


def _looks(paths: Sequence[str], places: Sequence[int], thumbs: Array, scales: Scales, learn: Container[int],
           threads: int, progress: Progress | None) -> Iterator[tuple[list[int], list[Facts | ImageError], Seen]]:
    """Yield, piece after piece, which of the files in these places are deep, the facts of all of them, and the values
    of the deep ones in `learn`."""
    total, done = len(places), 0
    limit, size = ConcurrencyLimit(threads), max(1, min(_PIECE, -(-total // (2 * threads))))

    def work(first: int) -> tuple[list[int], list[Facts | ImageError], Seen]:
        piece = places[first : first + size]
        deep, facts, seen = [], [], Seen()
        with limit.slot(len(piece)), quiet():
            for place in limit.wanted(piece):
                own = Seen()
                facts.append(_look(paths[place], thumbs[place], scales, own))
                if own.images:
                    deep.append(place)
                    if place in learn:
                        seen.add(own)
        return deep, facts, seen

    with closing(prefetch(work, range(0, total, size), threads, _AHEAD * threads, _BEAT, limit)) as results:
        for result in results:
            if result:
                done += len(result[1])
                yield result
            if progress:
                progress(done, total)


def _look(path: str, thumb: Array, scales: Scales, seen: Seen) -> Facts | ImageError:
    try:
        return _facts(path, thumb, scales, seen)
    except ImageError as error:
        return error


def _facts(path: str, thumb: Array, scales: Scales, seen: Seen) -> Facts:
    image, header = examine(path, (SHARP_SIDE // 2, SHARP_SIDE // 2), scales, seen)
    colour = image.mode == "RGB" and not all(is_grey_picture(np.asarray(strip)) for strip in _strips(image))
    grey = image if image.mode == "L" else image.convert("L")
    digest = blake2b(digest_size=16, key=f"{header.width} {header.height} {colour}".encode())
    for strip in _strips(image if colour else grey):
        digest.update(strip.tobytes())
    thumb[:] = np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BILINEAR))
    low, top, bright = _levels(grey)
    shown = int(thumb.max()) - int(thumb.min())
    span = max(top - low, shown if shown > _SPECK else 0)
    large = min(header.height, header.width) >= SHARP_LEAST
    return Facts(header, digest.digest(), colour, bright, span, _blur(grey) if large else None)


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an image from top to bottom in pieces that take little memory."""
    rows = max(1, _STRIP // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _levels(grey: Image.Image) -> tuple[int, int, int]:
    """Return the luminance below which a thousandth of the pixels lie, that above which a thousandth lie, and that
    above which a hundredth lie."""
    counts = np.cumsum(grey.histogram())
    total = int(counts[-1])
    return (int(np.searchsorted(counts, total // 1000, side="right")),
            int(np.searchsorted(counts, total - total // 1000)), int(np.searchsorted(counts, total - total // 100)))


def _blur(grey: Image.Image) -> float:
    """Return how much of the change from pixel to pixel outlasts a smoothing, along the direction where that is more:
    little is left of what was sharp (Crete, Dolmiere, Ladret and Nicolas 2007). 1 where all changes are
    slow."""
    if max(grey.size) > SHARP_SIDE:
        scale = SHARP_SIDE / max(grey.size)
        grey = grey.resize((max(_SMOOTHED, round(grey.width * scale)), max(_SMOOTHED, round(grey.height * scale))),
                           Image.Resampling.BILINEAR)
    pixels = np.asarray(grey, np.float32)
    return max(_outlasting(pixels), _outlasting(np.ascontiguousarray(pixels.T)))


def _outlasting(pixels: Array) -> float:
    """The share of the differences between rows that a smoothing along the columns leaves."""
    sums = np.cumsum(np.concatenate((np.zeros_like(pixels[:1]), pixels)), axis=0, dtype=np.float64)
    smooth = (sums[_SMOOTHED:] - sums[:-_SMOOTHED]) / _SMOOTHED
    margin = _SMOOTHED // 2
    before = np.abs(np.diff(pixels[margin : margin + len(smooth)], axis=0))
    before[before < _STEP] = 0
    lost = np.maximum(before - np.abs(np.diff(smooth, axis=0)), 0)
    total = float(before.sum())
    return 1 - float(lost.sum()) / total if total else 1.0
