"""What the channels of a layer look for: the images that excite each most, and where in them; what of these places it
answers to; which classes it speaks for. Nothing is drawn here (unit_sheet.py); pleasing.py makes an image that excites
a channel more than any that there is.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.depth import Seen, doubts
from ..data.finding import Missing, Picture
from ..data.images import forgiven_in_words
from ..errors import DataError, ModelError
from ..kernels import Array
from ..model import Model
from ..model.preparing import skipped
from ..network import Network
from ..network.analysis import Field
from ..network.graph import Node
from .look import Look

Item = str | Missing | Picture
Progress = Callable[[str, int, int], None]  # what is being done, how many are done, of how many
_FLOATS_AT_ONCE = 2**25  # that layers may yield together: 128 MiB
COUNT = 9  # images of each channel, as Zeiler and Fergus (2014) show them


@dataclass
class Top:
    """The images that excite each channel of a layer most, the strongest first; an image counts once, with its largest
    position.

    values float32 (channels, count) are what the channel yields there, images int64 are the images' numbers among those
    given, -1 where there are fewer, and places int64 (channels, count, 2) the positions' rows and columns. sums,
    squares and counts are of the largest values of all images, by class: (classes, channels), and (classes,).
    """

    layer: str
    values: Array
    images: Array
    places: Array
    sums: Array
    squares: Array
    counts: Array

    @classmethod
    def empty(cls, layer: str, channels: int, count: int, classes: int) -> "Top":
        return cls(layer, np.full((channels, count), -np.inf, np.float32), np.full((channels, count), -1, np.int64),
                   np.zeros((channels, count, 2), np.int64), np.zeros((classes, channels)),
                   np.zeros((classes, channels)), np.zeros(classes, np.int64))

    def with_more(self, yielded: Array, numbers: Array, labels: Array) -> "Top":
        """Return this with more images: what the layer yields for them, (n, h, w, channels), their numbers among those
        given, and their classes. Of equals, the first stays. Raises ModelError for what are no numbers."""
        n, h, w, channels = yielded.shape
        flat = yielded.reshape(n, h * w, channels)
        largest = _largest(flat)
        if not np.isfinite(largest).all():
            raise ModelError(f"the outputs of layer {self.layer} are not finite numbers; train the model again, with a "
                             "smaller learning rate.")
        values = np.concatenate([self.values, largest.T], axis=1)
        images = np.concatenate([self.images, np.broadcast_to(numbers, (channels, n))], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.values.shape[1]]
        kept = self.values.shape[1]
        places = np.take_along_axis(self.places, np.minimum(order, kept - 1)[..., None], axis=1)
        channel, slot = np.nonzero(order >= kept)  # only what has come in is looked for
        at = flat[order[channel, slot] - kept, :, channel].argmax(axis=1)
        places[channel, slot] = np.stack([at // w, at % w], axis=1)
        sums, squares = self.sums.copy(), self.squares.copy()
        np.add.at(sums, labels, largest.astype(np.float64))
        np.add.at(squares, labels, largest.astype(np.float64) ** 2)
        return Top(self.layer, np.take_along_axis(values, order, axis=1), np.take_along_axis(images, order, axis=1),
                   places, sums, squares, self.counts + np.bincount(labels, minlength=len(self.counts)))

    def by_class(self) -> Array:
        """Return how much more a class's images excite each channel than all do, by how many of these' standard
        deviations: (classes, channels). 0 for a class without images, and for a channel that never varies."""
        total = max(1, int(self.counts.sum()))
        mean = self.sums.sum(axis=0) / total
        spread = np.sqrt(np.maximum(self.squares.sum(axis=0) / total - mean**2, 0))
        spread[spread < 1e-6 * np.abs(mean)] = 0  # nothing but rounding
        each = self.sums / np.maximum(self.counts, 1)[:, None] - mean
        found: Array = np.where((self.counts > 0)[:, None] & (spread > 0), each / np.where(spread > 0, spread, 1), 0)
        return found


@dataclass
class Pass:
    """What a pass over images found of each layer; how many were seen, of how many; what could not be used; and whether
    somebody stopped it before the end. answered: the classes are the model's answers, nobody's labels."""

    tops: dict[str, Top]
    seen: int
    given: int
    answered: bool
    skipped: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False


def top_patches(model: Model, images: Sequence[Item], layers: Sequence[str], count: int = COUNT,
                labels: Sequence[int] | None = None, progress: Progress | None = None,
                note: Callable[[str], None] = lambda sentence: None) -> Pass:
    """Find the images that excite each channel of some layers most, in one pass. labels are the images' classes'
    numbers; without any, the model's answers stand for them. note gets sentences on images that are damaged in what is
    no pixel or on another scale than the model takes.

    KeyboardInterrupt ends it with what has been found so far, unless that is nothing. Raises NetworkError for a layer
    that there is not, DataError where none of the images can be used, ModelError where a layer's values are no numbers.
    """
    network, names = model.network, list(dict.fromkeys(layers))
    shapes = {name: network.node(name).shape for name in names}
    found = Pass({name: Top.empty(name, shape[-1], count, len(model.classes)) for name, shape in shapes.items()},
                 0, len(images), labels is None)
    done, forgiven, deep = 0, dict[str, str](), Seen()
    at_once = max(1, _FLOATS_AT_ONCE // sum(int(np.prod(shape)) for shape in shapes.values()))
    try:
        with closing(model.prepared(list(images), forgiven, deep)) as batches:
            for batch in batches:
                good = [i for i, (_, pixels) in enumerate(batch) if not isinstance(pixels, str)]
                found.skipped += skipped(batch)
                for some in (good[i : i + at_once] for i in range(0, len(good), at_once)):
                    pixels = model.preprocessing.normalise(np.stack([np.asarray(batch[i][1]) for i in some]))
                    numbers = done + np.array(some)
                    yielded = _yielded(network, pixels, names, labels is None)
                    known = yielded.pop("").argmax(axis=1) if labels is None else np.asarray(labels)[numbers]
                    found.tops = {name: found.tops[name].with_more(each.reshape(len(some), *_as_map(shapes[name])),
                                                                   numbers, known) for name, each in yielded.items()}
                    found.seen += len(some)
                done += len(batch)
                if progress:
                    progress("looking for what excites each filter", done, len(images))
    except KeyboardInterrupt:
        if not found.seen:
            raise
        found.stopped = True
    for sentence in [*forgiven_in_words(list(forgiven.items())), *doubts(deep, model.preprocessing.scales)]:
        note(sentence)
    if not found.seen:
        path, reason = found.skipped[0] if found.skipped else ("", "there is no image")
        first = reason if path in reason else f"{path}: {reason}"
        every = f"none of the {len(images):,} images can be used; the first: " if len(images) > 1 else ""
        raise DataError(every + first)
    return found


def _largest(flat: Array) -> Array:
    """Return flat.max(axis=1), by whole halves: each step is one long row, which numpy's own way along short rows of
    channels is not."""
    while flat.shape[1] > 1:
        half = flat.shape[1] // 2
        folded = np.maximum(flat[:, :half], flat[:, half : 2 * half])
        if flat.shape[1] % 2:
            np.maximum(folded[:, :1], flat[:, -1:], out=folded[:, :1])
        flat = folded
    return flat[:, 0]


def _yielded(network: Network, images: Array, names: Sequence[str], answers: bool) -> dict[str, Array]:
    """Return what layers yield for images, and under "" the outputs, where these are asked for, too."""
    last = network.nodes[-1].name
    if len(names) == 1 and not answers and names[0] != last:
        found = {names[0]: network.upto(names[0]).forward(images)}
    else:
        found = network.activations(images, [*names, last])
    answer = {"": found[last]} if answers else {}
    return {name: found[name] for name in names} | answer


def _as_map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return a layer's shape as rows, columns and channels: what has no positions has one."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


# ---- what of an image a position sees ----


@dataclass(frozen=True)
class Window:
    """The part of a prepared image that one position of a layer sees.

    It may reach beyond the image, where padding lies.

    Attributes:
        top: Its first row.
        left: Its first column.
        bottom: The row after its last one.
        right: The column after its last one.
    """

    top: int
    left: int
    bottom: int
    right: int

    def cut(self, pixels: Array, outside: float) -> Array:
        """Return this part of an image.

        Args:
            pixels: The image (h, w, c).
            outside: The value for what lies beyond the image.
        """
        height, width, channels = pixels.shape
        part = np.full((self.bottom - self.top, self.right - self.left, channels), outside, pixels.dtype)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.bottom, height), min(self.right, width)
        if top < bottom and left < right:
            rows, columns = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
            part[rows, columns] = pixels[top:bottom, left:right]
        return part


def window(seen: Field, place: Sequence[int], size: tuple[int, int], positions: bool) -> Window:
    """Return the part of an image of this size that a position of a layer sees by its receptive field; the whole image
    where that is larger, along each axis, and for a layer without positions."""
    ends = []
    for axis in (0, 1):
        whole = not positions or seen.whole or seen.size[axis] >= size[axis]
        first = round(seen.start[axis] + seen.step[axis] * place[axis] - (seen.size[axis] - 1) / 2)
        ends.append((0, size[axis]) if whole else (first, first + seen.size[axis]))
    return Window(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


# ---- what a channel answers to, and speaks for ----


def activation_behind(network: Network, layer: str) -> Node | None:
    """Return the activation through which alone a layer's channels reach the rest of the network, at once or behind a
    batch norm, a pooling of maxima or a sum; None where there is none, or where the layer is one itself."""
    node = network.node(layer)
    while not node.layer.function:
        readers = [each for each in network.nodes if node.name in each.inputs]
        if len(readers) != 1:
            return None
        node = readers[0]
        if node.layer.function:
            return node
        if not (node.layer.normalises or node.layer.swaps_with_activation or node.layer.sums):
            return None
    return None


def projections(look: Look, images: Array, channels: Array, places: Array) -> Array:
    """Return what of each image one channel of a layer answers to at one position, (n, h, w, c): its value alone, taken
    back by ``way_back``, through the poolings' recorded maxima."""
    rows, columns, depth = _as_map(look.shape)
    assert (places < (rows, columns)).all()
    units = (places[:, 0] * columns + places[:, 1]) * depth + channels
    return look.from_units(images, units, way_back(look), by_value=True)[0]


def way_back(look: Look) -> str:
    """Return how values are taken back: by the deconvolutional network of Zeiler and Fergus (2014), or, where no
    maximum is pooled on the way, by guided backpropagation. Without maxima the former asks nothing of the image, and
    would answer the same to every one (Springenberg et al. 2015)."""
    before = look.network.upto(look.layer).nodes
    return "deconvnet" if any(node.layer.swaps_with_activation for node in before) else "guided"


def weights_to_classes(network: Network, layer: str) -> Array | None:
    """Return how much each of a layer's channels adds to each class, (classes, channels), where nothing but one linear
    layer decides, behind poolings over the positions or none: None elsewhere."""
    node = network.node(layer)
    behind, last = network.nodes[network.nodes.index(node) + 1 :], network.nodes[-1].layer
    weight: Any = last.params.get("weight")
    if node.layer is last or not last.looks_everywhere or weight is None or not network.is_cut(layer):
        return None
    plain = all(not each.layer.params and not each.layer.function and len(each.inputs) == 1 for each in behind[:-1])
    one_each = weight.shape[1] == node.shape[-1]  # and none for each position
    return np.array(weight) if plain and one_each else None
