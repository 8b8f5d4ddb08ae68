"""What each filter looks for, as ``cnn explain --units`` finds it, for the page: which of a few images that the page
holds excite it most, where in them, and the classes that it speaks for. units.js shows it.
"""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..explain.units import Item, Progress, Top, activation_behind, top_patches, weights_to_classes
from ..kernels import Array
from ..model import Model
from ..network import Network
from ..report.page import in_script

FEWEST = 24  # images from which on their strongest say something of a filter
MOST = 100  # images that a page holds
SHARE, LEAST = 12, 80_000  # a page gives all this a twelfth of its weights' bytes, or so many characters
SHOWN = 4  # images of a filter
CLASSES = 3  # that a filter speaks for most
_LOOKED_FOR, _DECIDE = 64, 24  # strongest images of a filter, and those of them that decide what images the page holds
_COLUMNS = 10
_SMALLEST = 32  # pixels that an image's shorter side keeps
_BLOCK = 16  # pixels that JPEG takes together: images beside each other share none
_QUALITY = 65  # of JPEG, with all colours: filters of few pixels answer to these


@dataclass(frozen=True)
class Units:
    """What goes onto the page: ``described`` is JSON, ``sheet`` a JPEG file of all images; how many images were looked
    at, and how many filters are described."""

    described: dict[str, Any]
    sheet: bytes
    images: int
    filters: int


def units(model: Model, items: Sequence[Item], labels: Sequence[int] | None, room: int,
          progress: Progress | None = None) -> Units | None:
    """Look for what excites the filters of all activations, and of the last layer; None of too few images. room is how
    many characters it may take. Raises KeyboardInterrupt where somebody ends it, and what ``top_patches`` does."""
    if len(items) < FEWEST:
        return None
    network, last = model.network, model.network.nodes[-1]
    layers = [node.name for node in network.nodes if node.layer.function or node is last]
    found = top_patches(model, items, layers, _LOOKED_FOR, labels, progress)
    if found.stopped:
        raise KeyboardInterrupt
    held = _most_often(found.tops.values())
    pixels = _pixels(model, items, held)
    sheet, count, size = _sheet([*pixels.values()], room * 3 // 8)  # half of it, in base64
    numbers = {image: number for number, image in enumerate([*pixels][:count])}
    spoken = {name: weights_to_classes(network, name) for name in layers[:-1]}
    layers_of = {name: _layer(top, numbers, network.node(name).shape, spoken.get(name), name == last.name)
                 for name, top in found.tops.items()}
    described: dict[str, Any] = {
        "looked_at": found.seen, "answered": found.answered, "count": count, "columns": _COLUMNS, "size": size,
        "tile": [_whole(side) for side in size], "by": _told_by(network, layers)}
    # Of each layer as many filters as have room in all, the most telling.
    most = 1 + bisect_right(
        range(1, max(network.node(name).shape[-1] for name in layers)), room - len(sheet) * 4 // 3,
        key=lambda others: len(in_script({**described, "layers": _telling(layers_of, 1 + others)})))
    described["layers"] = _telling(layers_of, most)
    return Units(described, sheet, found.seen, sum(len(each["top"]) for each in described["layers"].values()))


def _told_by(network: Network, layers: Sequence[str]) -> dict[str, str]:
    """Return whose filters are those of other layers, too: the activation's behind it, or of a pooling and its like the
    layer's before it."""
    told = dict[str, str]()
    for node in network.nodes:
        behind, before = activation_behind(network, node.name), node.inputs[0]
        if node.name in layers:
            continue
        if behind:
            told[node.name] = behind.name
        elif len(node.inputs) == 1 and not node.layer.params and network.shape_of(before)[-1] == node.shape[-1]:
            found = before if before in layers else told.get(before)
            told |= {node.name: found} if found else {}
    return told


def _most_often(tops: Any) -> list[int]:
    """Return the numbers of images, those that excite the most filters first."""
    weight = dict[int, float]()
    for top in tops:
        for rank, column in enumerate(top.images.T[:_DECIDE]):
            for image, times in zip(*np.unique(column[column >= 0], return_counts=True), strict=True):
                weight[int(image)] = weight.get(int(image), 0) + float(times) / (1 + rank)
    return sorted(weight, key=lambda image: (-weight[image], image))[:MOST]


def _pixels(model: Model, items: Sequence[Item], numbers: Sequence[int]) -> dict[int, Array]:
    again = (pixels for batch in model.prepared([items[i] for i in numbers]) for _, pixels in batch)
    return {i: pixels for i, pixels in zip(numbers, again, strict=True) if not isinstance(pixels, str)}


def _sheet(images: Sequence[Array], most: int) -> tuple[bytes, int, list[int]]:
    """Return a JPEG file of as many images as are at most so many bytes, how many these are, and their height and
    width: half of their own, or a quarter, where else there would be few."""
    while True:
        count, data = len(images), _encoded(images)
        while len(data) > most and count > 1:
            count = max(1, min(count - 1, int(count * most / len(data))))
            data = _encoded(images[:count])
        height, width = images[0].shape[:2]
        if count >= min(FEWEST, len(images)) or min(height, width) < 2 * _SMALLEST:
            return data, count, [height, width]
        images = [_half(each) for each in images]


def _half(pixels: Array) -> Array:
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(image.resize((width // 2, height // 2), Image.Resampling.BOX)).reshape(
        height // 2, width // 2, channels)


def _whole(side: int) -> int:
    return -(-side // _BLOCK) * _BLOCK


def _encoded(images: Sequence[Array]) -> bytes:
    height, width, channels = images[0].shape
    tall, wide = _whole(height), _whole(width)
    sheet = np.zeros((-(-len(images) // _COLUMNS) * tall, min(_COLUMNS, len(images)) * wide, channels), np.uint8)
    for i, each in enumerate(images):
        top, left = i // _COLUMNS * tall, i % _COLUMNS * wide
        sheet[top : top + tall, left : left + wide] = np.pad(
            each, ((0, tall - height), (0, wide - width), (0, 0)), mode="edge")
    data = io.BytesIO()
    image = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    image.save(data, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return data.getvalue()


def _layer(top: Top, numbers: dict[int, int], shape: Sequence[int], weights: Array | None, is_last: bool
           ) -> tuple[list[int], dict[str, Any]]:
    """Return a layer's channels, those that tell the classes apart most first, and what is said of all: of each the
    numbers of images and the places in them, one after the other, and the numbers of classes and how strongly it speaks
    for them; what it yields at most."""
    spoken = top.by_class() if weights is None else weights
    columns = shape[1] if len(shape) == 3 else 1
    tops, classes = list[list[int]](), list[list[float]]()
    for channel in range(shape[-1]):
        shown = [(numbers[image], row * columns + column) for image, (row, column) in
                 zip(top.images[channel].tolist(), top.places[channel].tolist(), strict=True) if image in numbers]
        tops.append([number for both in shown[:SHOWN] for number in both])
        order = np.argsort(-spoken[:, channel], kind="stable")[: 0 if is_last else CLASSES].tolist()
        classes.append([number for i in order if spoken[i, channel] > 0
                        for number in (i, float(f"{spoken[i, channel]:.2g}"))])
    return np.argsort(-spoken.max(axis=0), kind="stable").tolist(), {
        "top": tops, "classes": classes, "most": [float(f"{value:.3g}") for value in top.values[:, 0].tolist()],
        "weights": weights is not None}


def _telling(layers: dict[str, tuple[list[int], dict[str, Any]]], most: int) -> dict[str, Any]:
    """Return what is said of layers' so many most telling channels; channels says which they are, None for all."""
    found = {}
    for name, (order, all_of_it) in layers.items():
        kept = sorted(order[:most])
        found[name] = {**all_of_it, "channels": kept if most < len(order) else None,
                       **{what: [all_of_it[what][i] for i in kept] for what in ("top", "classes", "most")}}
    return found
