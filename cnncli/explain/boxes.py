"""Coarse boxes round what a model saw: where its map is above a share of its maximum, the largest piece that hangs
together (Zhou et al. 2016). Where somebody has drawn boxes, the share is fitted on half of the images and judged on the
others, one share for all of them: one for each image would flatter it (Choe et al. 2020).
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.boxes import Box, Drawn, Truth
from ..data.finding import Images, Missing, image_files
from ..data.preprocessing import Preprocessing
from ..errors import DataError, printable
from ..kernels import Array
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model
from .explanation import DEFAULT, Beside, Explanation, Note, explanations
from .geometry import on_image
from .trust import middle

SHARE = 0.2  # of the maximum, where none is fitted
SHARES = np.linspace(0.02, 0.98, 49)  # that are tried
OVERLAPS = (0.3, 0.5, 0.7)  # from which a box counts, by intersection over union
_FEWEST = 4  # images with boxes that a share is fitted with


def box_of(explanation: Explanation, share: float = SHARE) -> Box | None:
    """Return the box round the largest piece of a map that is at least this share of its maximum, in the image's own
    pixels; None where nothing speaks for the class."""
    return next(iter(boxes_of(_prepared(explanation), share, explanation.preprocessing, explanation.size)), None)


def boxed(share: float = SHARE) -> Callable[[Explanation], Beside]:
    """Return what puts its box beside an explanation."""
    def beside(explanation: Explanation) -> Beside:
        box, target = box_of(explanation, share), printable(explanation.target)
        if box is None:
            return Beside([f"No box: nothing speaks for {target}."], {"box": None})
        xmin, ymin, xmax, ymax = (round(side) for side in box)
        return Beside([f"A coarse box round {target}: x {xmin} to {xmax}, y {ymin} to {ymax}, at {share:.0%} of the "
                       "map's maximum."], {"box": {**box._asdict(), "label": explanation.target, "share": share}}, box)

    return beside


def boxes_of(values: Array, share: float, preprocessing: Preprocessing, size: tuple[int, int]) -> list[Box]:
    """Return the boxes of all pieces of a map on the prepared image, the largest piece first, in the own pixels of an
    image of that (height, width)."""
    most = float(values.max())
    if most <= 0:
        return []
    left, top, right, bottom = preprocessing.box((size[1], size[0]))
    high, wide = (bottom - top) / values.shape[0], (right - left) / values.shape[1]
    found = [Box(left + x0 * wide, top + y0 * high, left + x1 * wide, top + y1 * high)
             for _, x0, y0, x1, y1 in pieces(values >= share * most)]
    return found if preprocessing.resize != "pad" else [inner for each in found if (inner := _within(each, size))]


def _within(box: Box, size: tuple[int, int]) -> Box | None:
    """Return the part of a box that lies on an image of that (height, width), and not on the grey beside it; None
    where none does."""
    inner = Box(max(box.xmin, 0.0), max(box.ymin, 0.0), min(box.xmax, float(size[1])), min(box.ymax, float(size[0])))
    return inner if inner.xmin < inner.xmax and inner.ymin < inner.ymax else None


def pieces(mask: Array) -> list[tuple[int, int, int, int, int]]:
    """Return (pixels, left, top, right, bottom) of each piece of a mask that hangs together, by sides or corners, the
    largest first, then from the top. Runs of a row are joined to those of the row above that they touch."""
    wide = np.pad(mask, ((0, 0), (1, 1)))
    rows, begins = np.nonzero(wide[:, 1:] & ~wide[:, :-1])
    ends = np.nonzero(wide[:, :-1] & ~wide[:, 1:])[1]
    runs: list[tuple[int, int, int]] = list(zip(rows.tolist(), begins.tolist(), ends.tolist(), strict=True))
    joined = list(range(len(runs)))
    first = 0  # of the runs of the row above that can still be touched
    for i, (y, begin, end) in enumerate(runs):
        while runs[first][0] < y - 1 or (runs[first][0] == y - 1 and runs[first][2] < begin):
            first += 1
        for j in range(first, i):
            if runs[j][0] == y or runs[j][1] > end:
                break
            joined[_root(joined, i)] = _root(joined, j)
    groups: dict[int, list[tuple[int, int, int]]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(_root(joined, i), []).append(run)
    found = [(sum(end - begin for _, begin, end in group), min(begin for _, begin, _ in group), group[0][0],
              max(end for *_, end in group), group[-1][0] + 1) for group in groups.values()]
    return sorted(found, key=lambda piece: (-piece[0], piece[2], piece[1]))


def _root(joined: list[int], i: int) -> int:
    while joined[i] != i:
        joined[i] = joined[joined[i]]
        i = joined[i]
    return i


def _prepared(explanation: Explanation) -> Array:
    preprocessing = explanation.preprocessing
    return on_image(explanation.values, explanation.grid, preprocessing, preprocessing.size)


# ---- beside boxes that somebody drew ----


@dataclass(frozen=True)
class Figures:
    """What boxes reach with one share of the maximum. accuracy, by each of OVERLAPS, is the part of the images where
    the box of some piece of the map overlaps so much with a drawn one; cor_loc is the part where that of the largest
    piece does by 0.5."""

    share: float
    accuracy: dict[float, float]
    cor_loc: float

    @property
    def max_box_acc(self) -> float:
        """MaxBoxAccV2: the mean of accuracy."""
        return float(np.mean(list(self.accuracy.values())))

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return its numbers."""
        return {"share": self.share, "cor_loc": self.cor_loc, "max_box_acc_v2": self.max_box_acc,
                "accuracy": {str(overlap): value for overlap, value in self.accuracy.items()}}


@dataclass(frozen=True)
class Located:
    """How boxes of a model's maps fit those that were drawn: on how many images the share was fitted, on how many it is
    judged; what is reached, and what a Gaussian in the middle of each image reaches, whose share is fitted the same
    way. skipped are images that cannot be used, or have no box."""

    fitted_on: int
    judged_on: int
    maps: Figures
    middle: Figures
    skipped: list[tuple[str, str]]

    @property
    def sentences(self) -> list[str]:
        """What is to be said of it."""
        fitted = (f"a threshold of {self.maps.share:.0%} of the maximum, fitted on {self.fitted_on:,} images"
                  if self.fitted_on else f"a threshold of {self.maps.share:.0%} of the maximum, which is usual")
        by = ", ".join(f"{overlap}: {value:.2f}" for overlap, value in self.maps.accuracy.items())
        return [f"Boxes by {fitted}, judged on {self.judged_on:,}{' others' if self.fitted_on else ' images'}:",
                f"  CorLoc       {self.maps.cor_loc:.2f}  (pointing at the middle: {self.middle.cor_loc:.2f})",
                f"  MaxBoxAccV2  {self.maps.max_box_acc:.2f}  (pointing at the middle: {self.middle.max_box_acc:.2f}; "
                f"by overlap {by})"]

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --boxes --truth --json`` prints of it."""
        return {"fitted_on": self.fitted_on, "judged_on": self.judged_on, **self.maps.as_json(),
                "middle": self.middle.as_json()}


def locate(model: AnyModel, images: Images, truth: Truth, method: Any = DEFAULT, target: str | None = None,
           layer: str | None = None, seed: int = 0, note: Note | None = None,
           progress: Callable[[int, int], None] | None = None) -> Located:
    """Compare boxes of maps with those that somebody drew. Maps are of target; where that is None, of the class that a
    drawn box is labelled with, or else of the model's answer. The seed decides which half of the images fits the share.
    Raises as ``explanations``, and DataError where no image has a box."""
    opened = open_model(model)
    groups: dict[str | None, list[str]] = {}
    skipped = list[tuple[str, str]]()
    for image in image_files(images):
        if isinstance(image, Missing):
            skipped.append((image.path, image.error))
        elif not isinstance(image, str) or not (drawn := truth.of(image)):
            skipped.append((image if isinstance(image, str) else image.path,
                            f"there is no box of it in {printable(truth.path)}"))
        else:
            groups.setdefault(target or next((one.label for one in drawn if one.label in opened.model.classes), None),
                              []).append(image)
    count = sum(map(len, groups.values()))
    paths, ours, theirs = list[str](), list[Array](), list[Array]()
    middles: dict[tuple[int, int], list[list[Box]]] = {}
    for about, files in groups.items():
        for found in explanations(opened, files, method, about, layer, seed, note):
            if isinstance(found, Missing):
                skipped.append((found.path, found.error))
            elif any(_leaves(one.box, found.size) for one in truth.of(found.path)):
                height, width = found.size
                skipped.append((found.path, f"a box of it in {printable(truth.path)} lies outside of its {width} x "
                                            f"{height} pixels; boxes are in the pixels of the image itself"))
            else:
                boxes = _wanted(truth.of(found.path), found.target)
                paths.append(found.path)
                ours.append(_overlaps(_boxes(_prepared(found), found), boxes))
                if found.size not in middles:
                    middles[found.size] = _boxes(middle(found.preprocessing.size), found)
                theirs.append(_overlaps(middles[found.size], boxes))
            if progress:
                progress(len(paths), count)
    if not paths and groups:
        path, why = skipped[-1]
        raise DataError(f"none of the images can be compared; {'' if path in why else f'{printable(path)}: '}"
                        f"{why.rstrip('.')}.")
    if not paths:
        raise DataError(f"none of the images has a box in {printable(truth.path)}, which has boxes of files called "
                        f"like {printable(next(iter(truth.boxes)))}.")
    fits = _half(paths, seed)
    return Located(int(fits.sum()), int((~fits).sum()), _figures(np.stack(ours), fits),
                   _figures(np.stack(theirs), fits), skipped)


def _leaves(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box reaches beyond an image of this (height, width), by more than ways to count pixels differ."""
    return min(box.xmin, box.ymin) < -1 or box.xmax > size[1] + 1 or box.ymax > size[0] + 1


def _wanted(drawn: Sequence[Drawn], target: str) -> list[Box]:
    """Return the boxes of a class, or, where none is labelled so, all."""
    return [one.box for one in drawn if one.label == target] or [one.box for one in drawn]


def _boxes(values: Array, found: Explanation) -> list[list[Box]]:
    """Return the boxes of a map on the prepared image for each of SHARES, the largest piece's first."""
    return [boxes_of(values, share, found.preprocessing, found.size) for share in SHARES]


def _overlaps(boxes: Sequence[Sequence[Box]], drawn: Sequence[Box]) -> Array:
    """Return the largest overlap with a drawn box, for each of SHARES, of the largest piece's box and of any piece's:
    (shares, 2)."""
    overlaps = np.zeros((len(boxes), 2))
    for row, those in zip(overlaps, boxes, strict=True):
        each = [max(box.iou(one) for one in drawn) for box in those]
        row[:] = each[0] if each else 0, max(each, default=0)
    return overlaps


def _half(paths: Sequence[str], seed: int) -> Array:
    """Return which images the share is fitted on, bool (n,): half of them, by a hash of their names; none of few."""
    named = (f"{seed}\0{os.path.basename(path)}" for path in paths)
    hashes = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() for name in named]
    fits = np.zeros(len(paths), bool)
    if len(paths) >= _FEWEST:
        fits[sorted(range(len(paths)), key=lambda i: hashes[i])[: len(paths) // 2]] = True
    return fits


def _figures(overlaps: Array, fits: Array) -> Figures:
    """Return what is reached on the images that the share is not fitted on. overlaps: (n, shares, 2)."""
    chosen = int(np.abs(SHARES - SHARE).argmin())
    if fits.any():
        reached = sum((overlaps[fits, :, 1] >= overlap).sum(axis=0) for overlap in OVERLAPS)
        best = np.flatnonzero(reached == np.max(reached))
        chosen = int(best[len(best) // 2])  # the middle of those that do as well
    judged = overlaps[~fits, chosen]
    accuracy = {overlap: float((judged[:, 1] >= overlap).mean()) for overlap in OVERLAPS}
    return Figures(round(float(SHARES[chosen]), 2), accuracy, float((judged[:, 0] >= 0.5).mean()))
