"""What an image lights up: the image beside the maps of the layers asked for, one sheet per image, the most active
channels of each layer first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..layers import Shape
from .canvas import FAINT, INK, LINE, SIGNS, Canvas, fitted, number, picture, signed, text_width

MAP_ROWS = 2  # of a layer
MOST_CELLS = 256  # of a flat layer
DEFAULT_LAYERS = 6
SIDE = 220  # pixels of the image's longer side
WIDTH = 1200  # pixels for the maps beside it
MAP, LEAST = 104, 96  # pixels of a map's longer side, about; and of the words beneath it
GAP, WORDS = 14, 38
MARGIN = 24


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """One layer's answer to one image: values float32 (h, w, c) or (features,)."""

    name: str
    type: str
    values: NDArray[np.float32]


def default_layers(nodes: Sequence[Any]) -> list[str]:
    """Return the names of at most six layers, spread evenly from first to last: the outputs of convolutions, after
    their batch norm and activation, and of poolings that still have a picture (more than one position), 1x1
    convolutions only where there is nothing else; where there is none at all, the last layer."""
    spatial = [n for n in nodes if n.layer.shows_maps and len(n.shape) == 3 and n.shape[0] * n.shape[1] > 1]
    names = [n.name for n in spatial if n.layer.config().get("kernel_size") not in (1, [1, 1])]
    names = names or [n.name for n in spatial] or [nodes[-1].name]
    places = np.linspace(0, len(names) - 1, min(DEFAULT_LAYERS, len(names))).round().astype(int)
    return list(dict.fromkeys(_finished(names[i], nodes) for i in places.tolist()))


def _finished(name: str, nodes: Sequence[Any]) -> str:
    """Return the layer that ends what a convolution begins: its batch norm and its activation, where nobody else reads
    what lies between. What the next layer sees is that, not the sums before it."""
    for is_next in (lambda layer: layer.normalises, lambda layer: bool(layer.function)):
        readers = [node for node in nodes if name in node.inputs]
        if len(readers) == 1 and is_next(readers[0].layer):
            name = readers[0].name
    return name


def draw(pixels: NDArray[np.uint8], layers: Sequence[LayerMaps], title: str, verdict: Sequence[tuple[str, float]]
         ) -> Canvas:
    """Return the sheet of one image.

    pixels: the prepared image, uint8 (h, w, c). verdict: (class, probability), the best first; shown under the image.
    """
    blocks = [_Block.of(layer) for layer in layers]
    left = MARGIN + SIDE + 36
    width = left + WIDTH + MARGIN
    height = max(MARGIN + 60 + SIDE + 60 + 22 * len(verdict), MARGIN + 48 + sum(b.height for b in blocks)) + MARGIN
    sheet = Canvas(width, height)
    sheet.text(MARGIN, MARGIN - 4, title, 18, bold=True, width=width - 2 * MARGIN)
    sheet.text(MARGIN, MARGIN + 22, "Each map has its own scale, the two numbers beneath it; the most active channels "
               "(largest mean of |x|) come first.", 12, FAINT)
    _subject(sheet, pixels, verdict)
    y = MARGIN + 56
    for block in blocks:
        block.draw(sheet, left, y)
        y += block.height
    return sheet


def _subject(sheet: Canvas, pixels: NDArray[np.uint8], verdict: Sequence[tuple[str, float]]) -> None:
    image = fitted(picture(pixels), SIDE)
    y = MARGIN + 56
    sheet.text(MARGIN, y, "input", 14, bold=True)
    sheet.text(MARGIN + 50, y + 1, shape_text(pixels.shape), 12, FAINT)
    sheet.paste(image, MARGIN, y + 26, frame=True)
    y += 26 + image.height + 16
    for name, probability in verdict:
        sheet.rectangle(MARGIN, y + 17, SIDE, 3, LINE)
        sheet.rectangle(MARGIN, y + 17, SIDE * probability, 3, INK)
        sheet.text(MARGIN, y, name, 12, width=SIDE - 56)
        sheet.text(MARGIN + SIDE, y, f"{probability:.1%}", 12, FAINT, align="right")
        y += 26


@dataclass(frozen=True)
class _Block:
    """A layer's part of the sheet."""

    layer: LayerMaps
    order: NDArray[np.int64]  # of the channels drawn
    factor: float  # pixels of the sheet per value

    @classmethod
    def of(cls, layer: LayerMaps) -> "_Block":
        values = layer.values
        if values.ndim == 1:
            return cls(layer, np.arange(min(len(values), MOST_CELLS)), 1)
        activity = np.abs(values.astype(np.float64)).mean(axis=(0, 1))
        order = np.argsort(-activity, kind="stable")
        longest = max(values.shape[:2])
        block = cls(layer, order, MAP / longest if longest > 1.4 * MAP else max(1, round(MAP / longest)))
        return replace(block, order=order[: MAP_ROWS * block.columns])

    @property
    def map_size(self) -> tuple[int, int]:
        h, w = self.layer.values.shape[:2]
        return max(1, round(w * self.factor)), max(1, round(h * self.factor))

    @property
    def columns(self) -> int:
        """How many maps stand in a row."""
        return max(1, (WIDTH + GAP) // self.step)

    @property
    def step(self) -> int:
        """How far apart maps stand."""
        return max(self.map_size[0], LEAST) + GAP

    @property
    def height(self) -> int:
        if self.layer.values.ndim == 1:
            return 34 + -(-len(self.order) // 32) * 30 + 20
        return 34 + -(-len(self.order) // self.columns) * (self.map_size[1] + WORDS) + 10

    @property
    def still(self) -> NDArray[np.bool_]:
        """Which channels are 0 everywhere in this image, or the same everywhere while others are not."""
        values = self.layer.values
        if values.ndim == 1 or values.shape[0] * values.shape[1] == 1:
            return np.zeros(values.shape[-1], bool)
        low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
        found: NDArray[np.bool_] = (low == high) & ((low == 0) | (not (low == high).all()))
        return found

    @property
    def low_high(self) -> tuple[float, float]:
        return float(self.layer.values.min()), float(self.layer.values.max())

    def draw(self, sheet: Canvas, x: float, y: float) -> None:
        values = self.layer.values
        channels = values.shape[-1]
        part = f" · {len(self.order)} of {channels} shown" if len(self.order) < channels else ""
        still = int(self.still.sum())
        silent = f" · {still} the same everywhere in this image" if still else ""
        heading = f"{self.layer.type} · {shape_text(values.shape)}{part}{silent} · {SIGNS}"
        sheet.text(x, y, self.layer.name, 14, bold=True, width=260)
        sheet.text(x + min(260, 14 + text_width(self.layer.name, 14, bold=True)), y + 1, heading, 12, FAINT)
        if values.ndim == 1:
            self._cells(sheet, x, y + 28)
            return
        height = self.map_size[1]
        for place, channel in enumerate(self.order.tolist()):
            left = x + place % self.columns * self.step
            top = y + 28 + place // self.columns * (height + WORDS)
            self._map(sheet, left, top, channel)

    def _map(self, sheet: Canvas, x: float, y: float, channel: int) -> None:
        values = self.layer.values[:, :, channel]
        low, high = float(values.min()), float(values.max())
        width, height = self.map_size
        pixels = signed(values, max(-low, high))
        resample = Image.Resampling.NEAREST if self.factor >= 1 else Image.Resampling.BOX
        sheet.paste(picture(pixels).resize((width, height), resample), x, y, frame=True)
        sheet.text(x, y + height + 3, f"#{channel}", 10, INK)
        span = f"{number(low, 2)} … {number(high, 2)}" if low < high else f"all {number(low, 2)}"
        sheet.text(x, y + height + 16, span, 9, FAINT, width=self.step - 4)

    def _cells(self, sheet: Canvas, x: float, y: float) -> None:
        low, high = self.low_high
        pixels = signed(self.layer.values[self.order], max(-low, high))
        for place in range(len(self.order)):
            left, top = x + place % 32 * 29, y + place // 32 * 30
            sheet.paste(picture(pixels[place].reshape(1, 1, 3)).resize((27, 16)), left, top, frame=True)
            if len(self.order) <= 32 or place % 8 == 0:
                sheet.text(left + 13, top + 17, str(place), 9, FAINT, align="centre")
        sheet.text(x, y + -(-len(self.order) // 32) * 30, f"in order; from {number(low)} to {number(high)}", 10, FAINT)


def shape_text(shape: Shape) -> str:
    """Return a shape as people write it: 28x28x16."""
    return "x".join(map(str, shape))


def maps(nodes: Mapping[str, Any], activations: Mapping[str, NDArray[np.float32]], names: Sequence[str], image: int
         ) -> list[LayerMaps]:
    """Return the layers' maps of one image of a batch of activations (Network.activations); nodes by name."""
    return [LayerMaps(name, type(nodes[name].layer).__name__, activations[name][image]) for name in names]
