"""How training images are changed. An ``Augmentation`` holds the strengths. It draws what is done to each image of a
batch, which depends on (seed, epoch, image) alone. batches.py gives that to csrc/augment.c, or to csrc/image.c if there
are only whole shifts and flips. training/recipe.py keeps the strengths; naming.py reads them from words and puts them
into words.
"""

import math
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..errors import UsageError, brief, printable
from ..kernels import OPERATIONS, Array
from . import hashing
from .hashing import below, next_bits, random_bits, uniform

ALTERNATE = "alternate"  # a flip in every other epoch
# The most that makes sense of each strength, and what it is given in.
LIMITS: dict[str, tuple[float, str]] = {
    "shift": (4096, "a number of pixels"), "rotate": (180, "an angle in degrees"), "scale": (2, "a share"),
    "shear": (45, "an angle in degrees"), "brightness": (1, "a share"), "contrast": (1, "a share"),
    "saturation": (1, "a share"),
    "hue": (0.5, "a share of the circle"), "randaugment": (16, "a number of operations"),
    "magnitude": (30, "a magnitude"), "erase": (1, "a probability"), "cutout": (4096, "a number of pixels"),
    "mixup": (10, "the parameter of a Beta distribution"), "cutmix": (10, "the parameter of a Beta distribution"),
}
_ERASED = (0.02, 1 / 3)  # shares of the image
_LEAST_RATIO = 0.3  # of a box's shorter side to its longer one

# RandAugment's operations: what the strength is at magnitude 0 and at the largest, and whether its sign is drawn; None
# for the sides of the image, in which translations are measured. As in the paper, with the ranges of torchvision.
_RANDAUGMENT: tuple[tuple[str, float, float, bool], ...] = (
    ("none", 0, 0, False), ("shear-x", 0, math.degrees(math.atan(0.3)), True),
    ("shear-y", 0, math.degrees(math.atan(0.3)), True), ("translate-x", 0, 0.45, True), ("translate-y", 0, 0.45, True),
    ("rotate", 0, 30, True), ("brightness", 0, 0.9, True), ("saturation", 0, 0.9, True), ("contrast", 0, 0.9, True),
    ("sharpness", 0, 0.9, True), ("posterise", 8, 4, False), ("solarise", 255, 0, False),
    ("autocontrast", 0, 0, False), ("equalise", 0, 0, False))
_AROUND_ONE = ("brightness", "saturation", "contrast", "sharpness")  # strengths that are factors


class Variation(NamedTuple):
    """What is done to n images, as csrc/augment.c takes it. Lists may be empty."""

    moves: Array  # int64 (n, 3): shift down, shift right, flip
    operations: Array  # int64 (n, steps)
    strengths: Array  # float64 (n, steps)
    boxes: Array  # int64 (n, count, 4): top, left, height, width of what is erased
    noise: Array  # uint64 (n, count): 0 for the mean

    def part(self, first: int, end: int) -> "Variation":
        """Return what is done to the images first … end - 1."""
        return Variation(*(array[first:end] for array in self))


class Mixing(NamedTuple):
    """Which images of a batch are mixed with which others, as csrc/augment.c takes it."""

    partners: Array  # int64 (n,): places in the batch
    shares: Array  # float32 (n,): what is left of the image itself
    boxes: Array  # int64 (n, 4): top, left, height, width that the partner fills; no height: blended


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed each time they are used. What is 0 or False does nothing.

    Attributes:
        shift: Moved by up to this many pixels each way, mirrored at the borders.
        flip: True: mirrored left to right half of the time. "alternate": in every other epoch (Jordan 2024).
        rotate: Turned by up to this many degrees.
        scale: Larger or smaller by up to this share.
        shear: Slanted along both axes by up to this many degrees.
        brightness: Brightness times 1 - v to 1 + v.
        contrast: Contrast times 1 - v to 1 + v.
        saturation: Saturation times 1 - v to 1 + v.
        hue: Colours turned by up to this share of the colour circle.
        randaugment: This many operations, drawn from a list for each image (Cubuk et al. 2020).
        magnitude: How strong these operations are, 0 to 30.
        erase: The probability that a rectangle of 2 to 33 % becomes noise (Zhong et al. 2020).
        cutout: A square with a side of this many pixels becomes the mean (DeVries and Taylor 2017).
        mixup: Blended with another image of the batch, by a share drawn from Beta(v, v) (Zhang et al. 2018).
        cutmix: A rectangle of another image, its share drawn from Beta(v, v) (Yun et al. 2019). With mixup, each image
            draws one of the two.

    Raises:
        UsageError: A strength makes no sense.
    """

    shift: int = 0
    flip: bool | str = False
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    randaugment: int = 0
    magnitude: float = 9.0
    erase: float = 0.0
    cutout: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "flip":
                if not (isinstance(value, bool) or value == ALTERNATE):
                    raise UsageError(f"flip must be on, off or {ALTERNATE}, not {brief(value)}.")
                continue
            most, what = LIMITS[field.name]
            whole = isinstance(field.default, int)
            good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
            if not good or (whole and value != int(value)):
                raise UsageError(f"{field.name}={printable(value)} cannot be used; give {what} from 0 to {most:g}.")
            object.__setattr__(self, field.name, int(value) if whole else float(value))

    def config(self) -> dict[str, Any]:
        """Return it as JSON values, which ``from_config`` takes back."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Any) -> "Augmentation | None":
        """Return the augmentation that ``config`` described, None for None.

        Args:
            config: What ``config`` returned; what is missing is off.

        Raises:
            UsageError: It is no augmentation.
        """
        if config is None:
            return None
        known = {field.name for field in fields(cls)}
        if not isinstance(config, dict) or not config.keys() <= known:
            raise UsageError("the run's augmentation is of another version of cnn; train again.")
        return cls(**config)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others, so that each has two labels."""
        return bool(self.mixup or self.cutmix)

    # ---- drawing ----

    def draw(self, seed: int, epoch: int, indices: Array, shape: tuple[int, int, int]) -> Variation:
        """Return what is done to images in an epoch, as arrays.

        Args:
            seed: The seed.
            epoch: The epoch.
            indices: The images' numbers, int (n,).
            shape: The shape of an image: (h, w, c).
        """
        size = (shape[0], shape[1])
        boxes, noise = self._erased(seed, epoch, indices, size)
        return Variation(self.moves(seed, epoch, indices, size), *self._operations(seed, epoch, indices, size),
                         boxes, noise)

    def moves(self, seed: int, epoch: int, indices: Array, size: tuple[int, int]) -> Array:
        """Return how images are moved in an epoch, int64 (n, 3): pixels down, pixels right, mirrored or not.

        Args:
            seed: The seed.
            epoch: The epoch.
            indices: The images' numbers, int (n,).
            size: The size of an image: (h, w).
        """
        moves = np.zeros((len(indices), 3), np.int64)
        for column, (stream, side) in enumerate(((hashing.SHIFT_Y, size[0]), (hashing.SHIFT_X, size[1]))):
            most = min(self.shift, side)
            moves[:, column] = below(random_bits(seed, epoch, stream, indices), 2 * most + 1) - most
        if self.flip == ALTERNATE:
            first = random_bits(seed, 0, hashing.FLIP, indices) >> np.uint64(63)
            moves[:, 2] = first.astype(np.int64) ^ (epoch & 1)
        elif self.flip:
            moves[:, 2] = (random_bits(seed, epoch, hashing.FLIP, indices) >> np.uint64(63)).astype(np.int64)
        return moves

    def _operations(self, seed: int, epoch: int, indices: Array, size: tuple[int, int]) -> tuple[Array, Array]:
        """Return operations and strengths, (n, steps): first geometry, then RandAugment's, then colours."""
        columns: list[tuple[Array, Array]] = []

        def add(name: str, stream: int, most: float, middle: float = 0.0) -> None:
            if most:
                drawn = uniform(random_bits(seed, epoch, stream, indices), middle - most, middle + most)
                columns.append((np.full(len(indices), OPERATIONS[name], np.int64), drawn))

        add("rotate", hashing.ROTATE, self.rotate)
        add("scale", hashing.SCALE, math.log1p(self.scale))
        add("shear-x", hashing.SHEAR_X, self.shear)
        add("shear-y", hashing.SHEAR_Y, self.shear)
        columns += [self._random_operation(random_bits(seed, epoch, hashing.RANDAUGMENT + 2 * place, indices),
                                           random_bits(seed, epoch, hashing.RANDAUGMENT + 2 * place + 1, indices), size)
                    for place in range(self.randaugment)]
        add("brightness", hashing.BRIGHTNESS, self.brightness, 1)
        add("contrast", hashing.CONTRAST, self.contrast, 1)
        add("saturation", hashing.SATURATION, self.saturation, 1)
        add("hue", hashing.HUE, self.hue)
        if not columns:
            return np.empty((len(indices), 0), np.int64), np.empty((len(indices), 0))
        return (np.ascontiguousarray(np.stack([operation for operation, _ in columns], axis=1)),
                np.ascontiguousarray(np.stack([strength for _, strength in columns], axis=1)))

    def _random_operation(self, which: Array, sign: Array, size: tuple[int, int]) -> tuple[Array, Array]:
        """Return one of RandAugment's operations for each image, with its strength, from two draws of bits."""
        operations, strengths, signed = _randaugment(self.magnitude, size)
        drawn = below(which, len(operations))
        minus = signed[drawn] & (sign >> np.uint64(63)).astype(bool)
        strength = np.where(minus, -strengths[drawn], strengths[drawn])
        around_one = np.isin(operations, [OPERATIONS[name] for name in _AROUND_ONE])
        return operations[drawn], np.where(around_one[drawn], 1 + strength, strength)

    def _erased(self, seed: int, epoch: int, indices: Array, size: tuple[int, int]) -> tuple[Array, Array]:
        """Return boxes (n, count, 4) and noise (n, count). A box has no size if nothing is erased."""
        boxes, noise = [], []
        if self.cutout:
            bits = random_bits(seed, epoch, hashing.CUTOUT, indices)
            sides = np.full(len(indices), self.cutout)
            boxes.append(_around(below(bits, size[0]), below(next_bits(bits), size[1]), sides, sides, size))
            noise.append(np.zeros(len(indices), np.uint64))
        if self.erase:
            bits = random_bits(seed, epoch, hashing.ERASE, indices)
            draws = [bits]
            for _ in range(5):
                draws.append(next_bits(draws[-1]))
            area = uniform(draws[1], *_ERASED) * (size[0] * size[1])
            ratio = uniform(draws[2], _LEAST_RATIO, 1)
            longer, shorter = np.sqrt(area / ratio), np.sqrt(area * ratio)
            upright = (draws[0] & np.uint64(1)).astype(bool)
            chosen = uniform(draws[0]) < self.erase
            drawn = np.where(upright, longer, shorter), np.where(upright, shorter, longer)
            extents = [np.clip(np.rint(side).astype(np.int64), 1, most) * chosen
                       for side, most in zip(drawn, size, strict=True)]
            places = [(uniform(draw) * (most - extent + 1)).astype(np.int64)
                      for draw, extent, most in zip(draws[3:5], extents, size, strict=True)]
            boxes.append(np.stack([*places, *extents], axis=1))
            noise.append(draws[5] | np.uint64(1))
        if not boxes:
            return np.empty((len(indices), 0, 4), np.int64), np.empty((len(indices), 0), np.uint64)
        return np.ascontiguousarray(np.stack(boxes, axis=1)), np.ascontiguousarray(np.stack(noise, axis=1))

    def mixing(self, seed: int, epoch: int, indices: Array, size: tuple[int, int]) -> Mixing:
        """Return how the images of a batch are mixed in an epoch. None is mixed with itself, unless it is alone.

        Args:
            seed: The seed.
            epoch: The epoch.
            indices: The images' numbers, int (n,).
            size: The size of an image: (h, w).
        """
        n = len(indices)
        partners = np.arange(n)
        if n > 1:
            partners = (partners + 1 + below(random_bits(seed, epoch, hashing.MIX_PARTNER, indices), n - 1)) % n
        cut = np.full(n, bool(self.cutmix))
        if self.mixup and self.cutmix:
            cut = (random_bits(seed, epoch, hashing.MIX_KIND, indices) >> np.uint64(63)).astype(bool)
        draws = uniform(random_bits(seed, epoch, hashing.MIX_SHARE, indices))
        shares = beta(draws, self.mixup) if self.mixup else np.ones(n)
        boxes = np.zeros((n, 4), np.int64)
        if self.cutmix:
            bits = random_bits(seed, epoch, hashing.MIX_BOX, indices)
            side = np.sqrt(1 - beta(draws, self.cutmix))
            sides = [np.rint(side * most).astype(np.int64) for most in size]
            drawn = _around(below(bits, size[0]), below(next_bits(bits), size[1]), sides[0], sides[1], size)
            left = 1 - drawn[:, 2] * drawn[:, 3] / (size[0] * size[1])
            boxes[cut], shares = drawn[cut], np.where(cut, left, shares)
        return Mixing(partners.astype(np.int64), shares.astype(np.float32), boxes)


def _around(row: Array, column: Array, height: Array, width: Array, size: tuple[int, int]) -> Array:
    """Return boxes (n, 4) of that size around a pixel, cut off at the borders. Empty ones are all 0."""
    top, left = np.maximum(row - height // 2, 0), np.maximum(column - width // 2, 0)
    bottom = np.minimum(row - height // 2 + height, size[0])
    right = np.minimum(column - width // 2 + width, size[1])
    empty = (bottom <= top) | (right <= left)
    boxes = np.stack([top, left, bottom - top, right - left], axis=1)
    boxes[empty] = 0
    return boxes


@lru_cache(maxsize=8)
def _randaugment(magnitude: float, size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return RandAugment's operations, int64 (14,), their strengths and whether their sign is drawn."""
    strengths = []
    for name, least, most, _ in _RANDAUGMENT:
        strength = least + (most - least) * magnitude / LIMITS["magnitude"][0]
        sides = {"translate-x": size[1], "translate-y": size[0]}
        strengths.append(float(round(strength)) if name == "posterise" else strength * sides.get(name, 1))
    return (np.array([OPERATIONS[name] for name, *_ in _RANDAUGMENT], np.int64), np.array(strengths),
            np.array([signed for *_, signed in _RANDAUGMENT]))


@lru_cache(maxsize=8)
def _beta_table(parameter: float) -> tuple[Array, Array]:
    """Return the distribution function of the lower half of Beta(v, v), and where it has those values.

    The density is (x (1 - x))^(v-1), which for v < 1 is infinite at 0: with t = x^v it becomes (1 - t^(1/v))^(v-1) / v.
    Both are smooth, and the trapezoidal rule sums them up.
    """
    if parameter < 1:
        x = np.linspace(0, 0.5**parameter, 2049) ** (1 / parameter)
        density = (1 - x) ** (parameter - 1)
    else:
        x = np.linspace(0, 0.5, 2049)
        density = (x * (1 - x)) ** (parameter - 1)
    total = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])  # twice
    return total / total[-1], x


def beta(draws: Array, parameter: float) -> Array:
    """Turn uniform draws of [0, 1) into draws of Beta(parameter, parameter), by its inverse distribution function."""
    values, places = _beta_table(parameter)
    upper = draws >= 0.5
    lower_half = np.interp(2 * np.where(upper, 1 - draws, draws), values, places)
    drawn: Array = np.where(upper, 1 - lower_half, lower_half)
    return drawn
