"""The only way of an image into a network: decoded, grey or colour, brought to one size, and normalised. A
Preprocessing is stored in the model file, so training, test and use see the same numbers. sizes.py chooses one that
suits the images, images.py applies ``prepare`` to whole folders, batches.py ``normalise`` to batches.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import PIL
from PIL import Image

from .. import kernels
from ..errors import ModelError, UsageError, brief
from ..kernels import Array, aligned_empty
from ..values import plain
from .decode import open_image
from .depth import Range, Scales, Seen, in_words

Resize = Literal["squash", "crop", "pad"]
RESIZES: tuple[Resize, ...] = get_args(Resize)
LARGEST_SIDE = 4096
_WANTED = {
    "size": f"(height, width), two whole numbers from 1 to {LARGEST_SIDE}", "grey": "True or False",
    "resize": " or ".join(RESIZES), "mean": "a number from 0 to 1 for each channel",
    "std": "a number above 0 for each channel", "range": "two numbers, black and white",
    "float_range": "two numbers, black and white",
}
CROP_SHARE = 0.875  # of the shorter side that the central crop keeps, as is the custom since AlexNet (224 of 256)
GREY = 127  # what is beside an image that is padded: of pretrained networks the mean, and of most images nearly so
_KNOWN_ORDER = PIL.__version__.startswith("13.")  # of the two passes of its resizing


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every image before the network sees it: decoded, grey or colour, scaled, normalised.

    Attributes:
        size: The size that images are scaled to: (h, w), in pixels.
        grey: Whether images have one channel instead of three.
        resize: "squash" scales both sides to the size. "crop" keeps proportions: it scales until the image covers size
            / 0.875, then takes the centre. "pad" keeps proportions, too: it scales until the whole image fits into the
            size, puts it in the middle, and fills the rest with grey (127).
        mean: The mean that is subtracted, one number per channel, on the scale where white is 1. Empty: 0.
        std: The standard deviation that is divided by, one number per channel, on that scale. Empty: 1.
        range: The values (low, high) that become black and white in images of more than 8 bits. None: as the type of
            each image suggests.
        float_range: The same for floats, if a set has integers and floats. None: as range.

    Raises:
        UsageError: One of them makes no sense.
    """

    size: tuple[int, int]
    grey: bool = False
    resize: Resize = "squash"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    range: Range | None = None
    float_range: Range | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "grey", plain(self.grey))
        for name, usual in (("size", ()), ("mean", (0.0,) * self.channels), ("std", (1.0,) * self.channels)):
            given = getattr(self, name)
            object.__setattr__(self, name, tuple(map(plain, given)) or usual if isinstance(given, Iterable) else given)
        for name in ("range", "float_range"):
            given = getattr(self, name)
            given = given.tolist() if isinstance(given, np.ndarray) else given
            object.__setattr__(self, name, tuple(map(plain, given)) if isinstance(given, list | tuple) else given)
        for name, good in _checks(self.size, self.grey, self.resize, self.mean, self.std, self.range,
                                  self.float_range).items():
            if not good:
                raise UsageError(f"the preprocessing cannot have {name} = {brief(getattr(self, name))}; give "
                                 f"{_WANTED[name]}.")

    @property
    def channels(self) -> int:
        """How many channels an image has: 1 or 3."""
        return 1 if self.grey else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a prepared image, which is the network's input: (h, w, c)."""
        return (*self.size, self.channels)

    def config(self) -> dict[str, Any]:
        """Return it as JSON values, which ``from_config`` takes back."""
        ranges = {"range": self.range, "float_range": self.float_range}
        return {"size": list(self.size), "grey": self.grey, "resize": self.resize,
                "mean": list(self.mean), "std": list(self.std),
                **{name: list(given) for name, given in ranges.items() if given}}

    @classmethod
    def from_config(cls, config: Any) -> "Preprocessing":
        """Return the preprocessing that ``config`` described.

        Args:
            config: What ``config`` returned.

        Raises:
            ModelError: An entry makes no sense; the message names it.
        """
        keys = ("size", "grey", "resize", "mean", "std")
        if not isinstance(config, dict) or set(config) - {"range", "float_range"} != set(keys):
            raise ModelError(f"the model's preprocessing does not have the entries {', '.join(keys)}; train it again.")
        size, grey, resize, mean, std = (config[key] for key in keys)
        ranges = [config.get(key) for key in ("range", "float_range")]  # earlier versions have none
        for key, good in _checks(size, grey, resize, mean, std, *ranges).items():
            if not good:
                raise ModelError(f"the model's preprocessing has {key} = {brief(config[key])}, which is not possible; "
                                 "train it again.")
        return cls((size[0], size[1]), grey, resize, tuple(map(float, mean)), tuple(map(float, std)), *ranges)

    @property
    def scales(self) -> Scales:
        """The values that become black and white, of integers and of floats."""
        return Scales(self.range, self.float_range or self.range)

    def scaled(self, seen: Seen) -> "Preprocessing":
        """Return this with a range found from values, unless it has one.

        Args:
            seen: The values of images with more than 8 bits.
        """
        if self.range:
            return self
        whole, real = seen.scales()
        return replace(self, range=whole, float_range=real if real != whole else None)

    def prepare(self, source: str | os.PathLike[str] | Array | bytes, forgiven: list[str] | None = None,
                seen: Seen | None = None, data: bytes | None = None) -> Array:
        """Return an image ready to be normalised, uint8 (h, w, c).

        Args:
            source: The image's file, what the file holds, or its decoded pixels as ``prepare_array`` takes them.
            forgiven: Gets sentences on what is damaged although no pixel is missing. None: not collected.
            seen: Collects the values of images with more than 8 bits. None: not collected.
            data: The content of the file, if it was read already. None: the file is read.

        Raises:
            ImageError: The file is no image that can be used.
        """
        if isinstance(source, np.ndarray):
            return self.prepare_array(source)
        if isinstance(source, bytes | bytearray):
            data, source = bytes(source), "the image"
        h, w = self.size
        least = math.ceil(h / CROP_SHARE), math.ceil(w / CROP_SHARE)
        image = open_image(source, self.grey, least, self.scales, seen, forgiven, data)
        return np.asarray(self._resized(image)).reshape(self.shape)

    def prepare_array(self, pixels: Array) -> Array:
        """Return decoded pixels as ``prepare`` returns those of a file.

        Args:
            pixels: uint8 (h, w), (h, w, 1) or (h, w, 3), of any size.
        """
        image = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
        return np.asarray(self._resized(image.convert("L" if self.grey else "RGB"))).reshape(self.shape)

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of an image that is prepared: (left, top, right, bottom), in pixels, perhaps with fractions.

        Of an image that is padded it is larger than the image: what lies outside is grey.

        Args:
            size: The image's (width, height).
        """
        (h, w), (width, height) = self.size, size
        if size == (w, h) or self.resize == "squash":
            return 0, 0, width, height
        if self.resize == "pad":
            inner, (x, y) = self.inside(size)
            across, down = width / inner[0], height / inner[1]
            return -x * across, -y * down, (w - x) * across, (h - y) * down
        scale = min(width / w, height / h) * CROP_SHARE
        box_w, box_h = w * scale, h * scale
        left, top = (width - box_w) / 2, (height - box_h) / 2
        return left, top, left + box_w, top + box_h

    def inside(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return where an image lies in the prepared one: ((width, height), (left, top)), in its whole pixels.

        Unless images are padded, that is all of it.

        Args:
            size: The image's (width, height).
        """
        (h, w), (width, height) = self.size, size
        if self.resize != "pad":
            return (w, h), (0, 0)
        if width * h >= height * w:
            h = max(1, (2 * height * w + width) // (2 * width))
        else:
            w = max(1, (2 * width * h + height) // (2 * height))
        return (w, h), ((self.size[1] - w) // 2, (self.size[0] - h) // 2)

    def normalise(self, images: Array) -> Array:
        """Return images as the network gets them, float32 (n, h, w, c): (x / 255 - mean) / std.

        Args:
            images: Prepared images, uint8 (n, h, w, c).
        """
        batch = aligned_empty(images.shape)
        if len(images):
            kernels.image_batch(np.ascontiguousarray(images), batch, self.mean, self.std)()
        return batch

    def fitted(self, histogram: Array) -> "Preprocessing":
        """Return this with the mean and standard deviation of images.

        A channel that never varies gets the standard deviation 1.

        Args:
            histogram: How often each value was counted, integers (c, 256).
        """
        values = np.arange(256) / 255
        counts = np.maximum(histogram.sum(axis=1), 1)
        mean = (histogram * values).sum(axis=1) / counts
        variance = (histogram * (values - mean[:, None]) ** 2).sum(axis=1) / counts
        std = np.where(variance > 1e-8, np.sqrt(variance), 1.0)
        return replace(self, mean=tuple(round(float(v), 6) for v in mean), std=tuple(round(float(v), 6) for v in std))

    def describe(self) -> str:
        """Return it in a sentence, for people."""
        h, w = self.size
        how = {"squash": "scaled to", "crop": "scaled and cropped to", "pad": "scaled and padded to"}[self.resize]
        deep = f", values deeper than 8 bits from {in_words(self.range)}" if self.range else ""
        floats = f" (floats from {in_words(self.float_range)})" if self.float_range else ""
        return f"{'grey' if self.grey else 'colour'} images, {how} {w} x {h} pixels{deep}{floats}."

    def _resized(self, image: Image.Image) -> Image.Image:
        h, w = self.size
        if image.size == (w, h):
            return image
        if self.resize != "pad":
            return _scaled(image, (w, h), self.box(image.size))
        inner, place = self.inside(image.size)
        whole = Image.new(image.mode, (w, h), GREY if self.grey else (GREY,) * 3)
        whole.paste(image if image.size == inner else _scaled(image, inner, (0, 0, *image.size)), place)
        return whole


def _scaled(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """Scale a box of an image, by cubic interpolation, to the bytes that Pillow 13 gives, whichever version is
    installed. There are bytes between its two passes, and it does the columns first if many more rows go than half as
    many columns. Earlier versions always did the rows first; later ones are not considered. runtime.c of the export
    takes the same steps.
    """
    if _KNOWN_ORDER:
        return image.resize(size, Image.Resampling.BICUBIC, box)
    left, top, right, bottom = box
    if image.height > size[1] and image.height - size[1] > 2 * (image.width - size[0]):
        between = image.resize((image.width, size[1]), Image.Resampling.BICUBIC, (0, top, image.width, bottom))
        return between.resize(size, Image.Resampling.BICUBIC, (left, 0, right, size[1]))
    between = image.resize((size[0], image.height), Image.Resampling.BICUBIC, (left, 0, right, image.height))
    return between.resize(size, Image.Resampling.BICUBIC, (0, top, size[0], bottom))


def _checks(size: Any, grey: Any, resize: Any, mean: Any, std: Any, range_: Any, float_range: Any) -> dict[str, bool]:
    """Return which entries of a preprocessing make sense."""
    channels = 1 if grey is True else 3
    return {
        "size": _numbers(size, 2) and all(isinstance(v, int) and 1 <= v <= LARGEST_SIDE for v in size),
        "grey": isinstance(grey, bool),
        "resize": resize in RESIZES,
        "mean": _numbers(mean, channels) and all(0 <= v <= 1 for v in mean),
        "std": _numbers(std, channels) and all(1e-6 <= v <= 1e6 for v in std),
        "range": range_ is None or (_numbers(range_, 2) and range_[0] < range_[1]),
        "float_range": float_range is None or (_numbers(float_range, 2) and float_range[0] < float_range[1]),
    }


def _numbers(value: Any, count: int) -> bool:
    return (isinstance(value, list | tuple) and len(value) == count
            and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value))
