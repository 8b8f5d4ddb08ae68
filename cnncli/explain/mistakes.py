"""Why images got wrong answers, for a report: what of each speaks for the class that was said, what for the right one,
and the difference, on one scale."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..kernels import Array
from ..model import Model
from ..network.analysis import receptive_field
from ..visualize.canvas import picture
from .explanation import DEFAULT, last_positions
from .geometry import Grid, laid_out
from .look import Look
from .methods import METHODS, Asked
from .picture import laid

SIDE, _GAP = 144, 4  # pixels of the longer side of each of the four
_AT_ONCE = 64


def reasons(model: Model, pixels: NDArray[np.uint8], guesses: Array, labels: Array) -> Iterator[NDArray[np.uint8]]:
    """Yield a picture for each image, uint8 (2 h and a gap, 2 w and a gap, 3): the image and what speaks for the guess;
    below, what speaks for the label, and for the guess rather than for the label. pixels: uint8 (n, h, w, c) as the
    network saw them; guesses and labels are classes' numbers (n,). Raises UsageError where no layer of the network has
    positions."""
    look = Look(model.network, last_positions(model.network))
    grid = Grid.of(receptive_field(model.network)[look.layer])
    compute = METHODS[DEFAULT].compute
    for start in range(0, len(pixels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        images = model.preprocessing.normalise(pixels[part])
        both = [compute(Asked(model, look, images, classes[part])).maps for classes in (guesses, labels)]
        for image, guess, label in zip(pixels[part], *both, strict=True):
            yield _strip(image, guess, label, grid)


def _strip(pixels: NDArray[np.uint8], guess: Array, label: Array, grid: Grid) -> NDArray[np.uint8]:
    h, w = pixels.shape[:2]
    factor = SIDE / max(h, w) if max(h, w) > SIDE else SIDE // max(h, w)
    size = max(1, round(w * factor)), max(1, round(h * factor))
    shown = np.asarray(picture(pixels).resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX))
    maps = guess, label, guess - label
    most = max(float(np.abs(each).max()) for each in maps) or 1.0
    strip = np.full((2 * size[1] + _GAP, 2 * size[0] + _GAP, 3), 255, np.uint8)
    for i, part in enumerate((shown, *(laid(shown, laid_out(each / most, grid, (h, w), (size[1], size[0])))
                                       for each in maps))):
        strip[i // 2 * (size[1] + _GAP) :, i % 2 * (size[0] + _GAP) :][: size[1], : size[0]] = part
    return strip
