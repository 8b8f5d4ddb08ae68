"""Images made to please the channels of a layer: activation maximisation (Erhan et al. 2009). An image is changed, step
by step, so that one position in the layer's middle yields more. Left alone, that ends in noise; what keeps it from
there is here in one function: frequencies as parameters, low ones first (Olah, Mordvintsev and Schubert 2017), small
shifts at each step, and the decay and blur of Yosinski et al. (2015).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.preprocessing import Preprocessing
from ..kernels import Array
from ..network.analysis import receptive_field
from .look import Look

STEPS = 64
_RATE, _BLUR, _SIDE = 0.1, 0.5, 28  # of a step, and its radius, for images of that side
_START = 0.01  # the deviation of the frequencies at the start
_GAIN = 0.25  # of the picture on its frequencies
_SHIFTS, _PADS = 28, 19  # what a position sees is so many times as long as the shifts, the image as its margin
_BLUR_EVERY = 4  # steps
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # Adam's (Kingma and Ba 2015)
# Grey, red against green, and yellow against blue, and how far each goes: colours of natural images hardly vary but in
# brightness (Ruderman, Cronin and Chiao 1998).
_COLOURS = np.array([[1, 1, 1], [1, -1, 0], [0.5, 0.5, -1]], np.float32) * np.array([[1], [0.4], [0.25]], np.float32)


@dataclass(frozen=True)
class Pleasing:
    """Images made to please channels, uint8 (n, h, w, c); what the channels yield for them, float32 (n,), at the place
    (row, column); and how many steps were made."""

    pixels: Array
    values: Array
    place: tuple[int, int]
    steps: int


def pleasing(look: Look, preprocessing: Preprocessing, channels: Array, *, steps: int = STEPS,
             rate: float | None = None, decay: float = 0.0, blur: float | None = None, seed: int = 0,
             told: Callable[[int, int], None] | None = None) -> Pleasing:
    """Make an image for each of a layer's channels. An image is the same bits alone and among others.

    rate is how far a step goes, by default less far for larger images, which have more frequencies. decay is the part
    of the frequencies that goes at each step, blur the radius, in pixels, of a Gaussian every fourth step, by default
    half a pixel where a position sees 28 or less, a whole one for 224. told(done, steps) is called after each step.
    KeyboardInterrupt ends it with the images as they are then.
    """
    height, width = preprocessing.size
    side = max(height, width)
    seen = _seen(look, side)
    rate = _RATE / (side / _SIDE) ** 0.25 if rate is None else rate
    blur = _BLUR * max(1.0, seen / _SIDE) ** (1 / 3) if blur is None else blur
    shift, pad = margins(side, seen)
    canvas = _Canvas((height + 2 * pad, width + 2 * pad), preprocessing, channels, seed)
    units, place = _middle(look, channels)
    shifts = np.random.default_rng([seed, 2**32]).integers(-shift, shift + 1, (steps, 2)) + pad
    moments = [np.zeros_like(canvas.frequencies) for _ in range(2)]
    done = 0
    try:
        for top, left in shifts.tolist():
            part = slice(None), slice(top, top + height), slice(left, left + width)
            pixels, slope = canvas.pixels()
            gradients, _ = look.from_units(_normalised(pixels[part], preprocessing), units, "redirected")
            by_pixel = np.zeros_like(pixels)
            by_pixel[part] = gradients / np.array(preprocessing.std, np.float32)
            canvas.climb(by_pixel * slope, moments, done + 1, rate)
            if decay:
                canvas.frequencies *= np.float32(1 - decay)
            if blur and done % _BLUR_EVERY == _BLUR_EVERY - 1:
                canvas.blur(blur)
            done += 1
            if told:
                told(done, steps)
    except KeyboardInterrupt:
        pass
    middle = canvas.pixels()[0][:, pad : pad + height, pad : pad + width]
    made = (middle * 255).round().astype(np.uint8)
    _, values = look.from_units(preprocessing.normalise(made), units)
    return Pleasing(made, values, place, done)


def margins(side: int, seen: int) -> tuple[int, int]:
    """Return how far an image is shifted at most, by how much of it a position sees, and how wide its margin is: what
    suits 224 pixels moves a third of 32, and half of what a first layer sees."""
    return round(seen / _SHIFTS), max(1, round(side / _PADS))


def _seen(look: Look, side: int) -> int:
    """Return how many pixels a position of the layer sees along the axis where these are fewer; at most side."""
    field = receptive_field(look.network)[look.layer]
    return side if field.whole or len(look.shape) != 3 else min(side, *map(int, field.size))


def _middle(look: Look, channels: Array) -> tuple[Array, tuple[int, int]]:
    """Return the places of the channels' middle positions in what the layer yields, flattened, and row and column."""
    shape = look.shape
    if len(shape) == 1:
        return channels, (0, 0)
    row, column = shape[0] // 2, shape[1] // 2
    return (row * shape[1] + column) * shape[2] + channels, (row, column)


def _normalised(pixels: Array, preprocessing: Preprocessing) -> Array:
    normalised: Array = np.ascontiguousarray(
        (pixels - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32), np.float32)
    return normalised


class _Canvas:
    """Pictures as frequencies, float32 (n, rows, columns // 2 + 1, c, 2), divided by how strong natural images have
    them: as 1 / frequency. A picture is what they add up to, in independent colours, squeezed between black and
    white."""

    def __init__(self, size: tuple[int, int], preprocessing: Preprocessing, channels: Array, seed: int) -> None:
        self._size, depth = size, preprocessing.channels
        rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
        self._frequency = np.sqrt(rows**2 + columns**2)
        self._scale = (_GAIN / np.maximum(self._frequency, 1 / max(size))).astype(np.float32)[..., None]
        self._colours = _COLOURS if depth == 3 else np.ones((1, 1), np.float32)
        mean = np.clip(np.array(preprocessing.mean, np.float32), 0.05, 0.95)
        self._start = np.log(mean / (1 - mean))
        self.frequencies = np.stack([
            np.random.default_rng([seed, channel]).normal(0, _START, (*self._frequency.shape, depth, 2))
            for channel in channels.tolist()]).astype(np.float32)

    def pixels(self) -> tuple[Array, Array]:
        """Return the pictures, float32 (n, rows, columns, c) between 0 and 1, and their slope by the sum."""
        spectrum = self.frequencies.view(np.complex64)[..., 0] * self._scale
        planes = np.fft.irfft2(spectrum, self._size, axes=(1, 2), norm="ortho").astype(np.float32)
        pixels = (1 + np.tanh((self._mixed(planes, self._colours) + self._start) / 2)) / 2
        return pixels, pixels * (1 - pixels)

    def climb(self, gradient: Array, moments: list[Array], step: int, rate: float) -> None:
        """Make a step of Adam towards more, by a gradient (n, rows, columns, c) by the sums."""
        planes = self._mixed(gradient, self._colours.T)
        spectrum = np.fft.rfft2(planes, axes=(1, 2), norm="ortho").astype(np.complex64) * self._scale
        towards = spectrum[..., None].view(np.float32)
        moments[0] += np.float32(1 - _FIRST) * (towards - moments[0])
        moments[1] += np.float32(1 - _SECOND) * (towards**2 - moments[1])
        first, second = (np.float32(1 / (1 - base**step)) for base in (_FIRST, _SECOND))
        self.frequencies += np.float32(rate) * first * moments[0] / (np.sqrt(second * moments[1]) + np.float32(_TINY))

    def blur(self, radius: float) -> None:
        """Blur the sums by a Gaussian."""
        self.frequencies *= np.exp(-2 * (np.pi * radius * self._frequency) ** 2).astype(np.float32)[..., None, None]

    @staticmethod
    def _mixed(planes: Array, colours: Array) -> Array:
        """Return planes (…, c) as mixtures of them, (…, c); written out, so that the bits depend on no library."""
        mixed: Array = sum(planes[..., i, None] * colours[i] for i in range(len(colours)))
        return mixed
