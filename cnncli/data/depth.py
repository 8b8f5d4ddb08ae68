"""Values of more than 8 bits become 0..255: whole numbers of 10 to 64 bits, signed or not, and floats. One range, for
all images of a data set, says what is black and what is white. It is found from the training images (or given by
--range) and kept in a model's preprocessing, so no image is stretched by itself. tiff.py and deep_png.py read the
values, decode.py asks here for bytes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..errors import UsageError, brief, told

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float]

_BITS = (8, 10, 12, 14, 16, 20, 24, 32, 48, 64)  # that instruments fill of a larger container
_COUNTED = 1 << 16  # whole numbers from 0 up to here are counted one by one
_STRAY = 1e-5  # of all values may lie above the range: dead pixels, which are as bright as their container allows
_DEAD = 0.01  # of all values may be the largest of their type, where the others end at a quarter of it: dead pixels
_TELLING = 16  # different values from which can be told that fewer bits were scaled up
_DIM = 1 / 16  # floats that stay below are no picture on the scale where white is 1
_UNLIKE = 8  # times the white that suits the images is no white for them
_AT_ONCE = 1 << 20  # values scaled at a time, so that what is needed for it stays small


class NoNumbers(ValueError):
    """None of an image's values is a finite number."""


class Scales(NamedTuple):
    """What becomes black and white, of whole numbers and of floats. None: as the type of each image suggests."""

    whole: Range | None = None
    real: Range | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """An image as its file has it: colours (h, w) or (h, w, 3), integers or floats; the declared bits of each, which
    may be fewer than the array's; alpha float32 (h, w) from 0 to 1, or None; whether colours were multiplied with
    alpha; whether zero is white.
    """

    colours: Array
    bits: int
    alpha: Array | None = None
    associated: bool = False
    white_is_zero: bool = False

    @property
    def real(self) -> bool:
        """Whether these are floats."""
        return self.colours.dtype.kind == "f"

    def limits(self) -> Range | None:
        """Return the smallest and the largest finite value; None where there is none."""
        values = self.colours
        if self.real:
            values = values[np.isfinite(values)]
            if not values.size:
                return None
        return float(values.min()), float(values.max())


def narrow(values: Values, scales: Scales) -> Array:
    """Return an image as uint8 (h, w) or (h, w, 3), with transparency laid on white. Raises NoNumbers where none of its
    values is one."""
    limits = values.limits()
    if limits is None:
        raise NoNumbers("none of its values is a finite number")
    low, high = (scales.real if values.real else scales.whole) or _alone(values, *limits)
    levels = np.empty(values.colours.shape, np.uint8)
    rows = max(1, _AT_ONCE // max(1, values.colours[0].size))
    for start in range(0, len(levels), rows):
        part = slice(start, start + rows)
        scaled = _scaled(values.colours[part], low, high)
        if values.white_is_zero:
            scaled = 255 - scaled
        if values.alpha is not None:
            scaled = _on_white(scaled, values.alpha[part], values.associated)
        levels[part] = np.floor(scaled + 0.5)
    return levels


def _scaled(values: Array, low: float, high: float) -> Array:
    if high <= low:
        return np.zeros(values.shape)
    scaled: Array = (values.astype(np.float64) - low) * 255 / (high - low)
    if values.dtype.kind == "f":
        scaled[~np.isfinite(values)] = 0
    np.clip(scaled, 0, 255, out=scaled)
    return scaled


def _on_white(scaled: Array, alpha: Array, associated: bool) -> Array:
    share = alpha.astype(np.float64)
    if scaled.ndim == 3:
        share = share[:, :, None]
    shown: Array = (scaled if associated else scaled * share) + 255 * (1 - share)
    np.minimum(shown, 255, out=shown)
    return shown


def share_of(alpha: Array, bits: int) -> Array:
    """Return alpha from a file as float32 from 0 to 1. Opaque is white of its type, or 1 for floats; or its largest
    value, if that is white for fewer bits, as the colours beside it then have, too.
    """
    top = float(np.nan_to_num(alpha).max())
    full = float(2**bits - 1)
    if alpha.dtype.kind == "f":
        full = next((float(2**b - 1) for b in (1, 8, 16) if top <= 2**b - 1), top)
    elif any(top == 2**b - 1 for b in _BITS):
        full = top
    share: Array = np.nan_to_num(alpha.astype(np.float32)) / np.float32(full)
    return np.clip(share, 0, 1, out=share)


def _alone(values: Values, low: float, high: float) -> Range:
    """Return the range of an image that belongs to no known set."""
    if values.real:
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    signed = values.colours.dtype.kind == "i"
    if low < 0:
        return _signed(low, high, values.bits)
    full = float(2 ** (values.bits - signed) - 1)
    if values.bits <= 16 or high > full / 256:
        return 0.0, full
    return (0.0, float(_COUNTED - 1)) if high < _COUNTED else (low, high)


def _signed(low: float, high: float, bits: int) -> Range:
    """Return the range of signed numbers: that of their type if they fill most of it, else their own."""
    return (float(-(2 ** (bits - 1))), float(2 ** (bits - 1) - 1)) if high - low > 2 ** (bits - 1) else (low, high)


def _top(high: float, bits: int) -> float:
    """Return the largest number of the fewest bits that instruments use and that can hold a value; of at most `bits`.
    """
    return float(next((2**b - 1 for b in _BITS if b < bits and high <= 2**b - 1), 2**bits - 1))


# ---- one range for a set ----


class _Whole:
    """The whole numbers of several images: limits, how often each from 0 to 65,535 occurs, how many bits they have."""

    def __init__(self) -> None:
        self.images, self.low, self.high, self.bits, self.signed = 0, np.inf, -np.inf, 0, False
        self.counts: Array | None = None

    def add(self, other: "_Whole") -> None:
        self.images += other.images
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.bits, self.signed = max(self.bits, other.bits), self.signed or other.signed
        if other.counts is not None:
            self.counts = other.counts if self.counts is None else self.counts + other.counts

    def look(self, values: Values, low: float, high: float) -> None:
        """Add an image."""
        self.images += 1
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.bits, self.signed = max(self.bits, values.bits), self.signed or values.colours.dtype.kind == "i"
        flat = values.colours.ravel()
        if low < 0 or high >= _COUNTED:
            flat = flat[(flat >= 0) & (flat < _COUNTED)]
        counts = np.bincount(flat.astype(np.intp, copy=False), minlength=_COUNTED)
        self.counts = counts if self.counts is None else self.counts + counts

    def range(self) -> Range:
        """Return what becomes black and white."""
        if self.low < 0:
            return _signed(self.low, self.high, self.bits)
        bits = self.bits - self.signed
        if self.high <= 0:
            return 0.0, float(2**bits - 1)
        if self.high >= _COUNTED or self.counts is None:
            return 0.0, _top(self.high, bits)
        if self.bits == 16 and not self.signed and _scaled_up(np.flatnonzero(self.counts)):
            return 0.0, float(_COUNTED - 1)
        return 0.0, _top(self.usual_high(), bits)

    def usual_high(self) -> float:
        """Return the largest value, ignoring single stray ones."""
        assert self.counts is not None
        full = 2 ** (min(self.bits, 16) - self.signed) - 1
        alive = self.counts.copy()
        alive[full] = 0
        if self.counts[full] <= _DEAD * self.counts.sum() and alive.any() and 4 * np.flatnonzero(alive)[-1] <= full:
            return float(max(np.flatnonzero(alive)[-1], 1))
        above = np.cumsum(self.counts[::-1])[::-1]  # how many values are this large or larger
        return float(max(np.flatnonzero(above > _STRAY * above[0])[-1], 1))


def _scaled_up(found: Array) -> bool:
    """Return whether values of 16 bits were made from fewer bits by scaling; white is then 65,535 even if none is that
    bright.
    """
    for bits in (8, 10, 12, 14):
        spare, top = 16 - bits, 2**bits - 1
        small = found >> spare  # whichever way they were made
        made = (small << spare, (small << spare) | (small >> (bits - spare)), np.rint(small * (65535 / top)))
        if len(found) >= _TELLING and any(np.array_equal(found, again) for again in made):
            return True
    return False


class _Real:
    """The floats of several images: their limits, and whether all of them are whole numbers."""

    def __init__(self) -> None:
        self.images, self.low, self.high, self.whole = 0, np.inf, -np.inf, True

    def add(self, other: "_Real") -> None:
        self.images += other.images
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.whole = self.whole and other.whole

    def look(self, values: Array, low: float, high: float) -> None:
        """Add an image."""
        self.images += 1
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.whole = self.whole and bool(((np.floor(values) == values) | ~np.isfinite(values)).all())

    def range(self) -> Range:
        """Return what becomes black and white: 0 and 1 (a little beyond is allowed, as scaled pictures have it); -1 and
        1; 0 and what integers would have, if the floats are whole numbers or come near it; or the limits.
        """
        low, high = self.low, self.high
        if low >= -0.1 * high and _DIM <= high <= 1.1:
            return 0.0, 1.0
        if -1 <= low < -0.5 and 0.5 < high <= 1:
            return -1.0, 1.0
        if low >= 0:
            whole = _top(high, 64)
            near = whole < 2 * high or (self.whole and high >= _TELLING)
            return (0.0, whole) if high > 1 and whole < _COUNTED and near else (0.0, high)
        return low, high


class Seen:
    """The values that were found in images of more than 8 bits. ``add`` adds those of other images."""

    def __init__(self) -> None:
        self.whole, self.real = _Whole(), _Real()
        self.white_is_zero = False

    @property
    def images(self) -> int:
        """How many images were deeper than 8 bits."""
        return self.whole.images + self.real.images

    def look(self, values: Values) -> None:
        """Add an image."""
        limits = values.limits()
        self.white_is_zero |= values.white_is_zero
        if limits and values.real:
            self.real.look(values.colours, *limits)
        elif limits:
            self.whole.look(values, *limits)

    def add(self, other: "Seen") -> None:
        """Add what was found elsewhere."""
        self.whole.add(other.whole)
        self.real.add(other.real)
        self.white_is_zero |= other.white_is_zero

    def state(self) -> tuple[dict[str, Any], Array]:
        """Return all of it as JSON values and an array, which ``from_state`` takes back."""
        whole, real = vars(self.whole).copy(), vars(self.real).copy()
        counts = whole.pop("counts")
        rest = {"whole": whole, "real": real, "white_is_zero": self.white_is_zero}
        return rest, np.empty(0, np.int64) if counts is None else counts

    @classmethod
    def from_state(cls, state: dict[str, Any], counts: Array) -> "Seen":
        """Return what ``state`` was taken of."""
        seen = cls()
        vars(seen.whole).update(state["whole"], counts=counts.copy() if len(counts) else None)
        vars(seen.real).update(state["real"])
        seen.white_is_zero = state["white_is_zero"]
        return seen

    def scales(self, given: Range | None = None) -> Scales:
        """Return one range for all of them: the given one, or what suits the values. If there are no integers, or no
        floats, they have the range of the others.
        """
        whole = given or (self.whole.range() if self.whole.images else None)
        real = given or (self.real.range() if self.real.images else None)
        return Scales(whole or real, real or whole)


def sentences(seen: Seen, scales: Scales, what: str, given: bool = False) -> Iterator[str]:
    """Yield what to say about images ("training images") of more than 8 bits, and how they are scaled; with a given
    range also if there are none.
    """
    for found, said in _scaled_in_words(seen, scales, given):
        yield f"Values: {found:,} of the {what} {'is' if found == 1 else 'are'} deeper than 8 bits, {said}"
    if given and not seen.images:
        yield told(f"Values: none of the {what} is deeper than 8 bits, and --range changes nothing in them.")


def sentences_on_arrays(seen: Seen, scales: Scales, given: bool = False) -> Iterator[str]:
    """Yield the same of arrays that are one set of images."""
    for _, said in _scaled_in_words(seen, scales, given):
        yield f"Values: {said}"
    if given and not seen.images:
        yield told("Values: there are none deeper than 8 bits, and --range changes nothing.")


def doubts(seen: Seen, scales: Scales) -> Iterator[str]:
    """Yield what speaks against a model's scales for these images: they come from another kind of file than those that
    it was trained on.
    """
    suits = seen.scales()
    for found, used, fit in ((seen.whole, scales.whole, suits.whole), (seen.real, scales.real, suits.real)):
        if not found.images or fit is None:
            continue
        if used is None:
            used = (0.0, 1.0) if isinstance(found, _Real) else (0.0, float(2**found.bits - 1))
        darker, brighter = used[1] >= _UNLIKE * fit[1], fit[1] >= _UNLIKE * used[1]
        if darker or brighter:
            one = found.images == 1
            yield (f"Values: {found.images:,} of these images {'is' if one else 'are'} deeper than 8 bits and "
                   f"{'has' if one else 'have'} values up to {_number(found.high)}, where the model takes "
                   f"{_number(used[1])} for white, so that {'it is' if one else 'they are'} nearly "
                   f"{'black' if darker else 'white'} to it; bring {'it' if one else 'them'} to the scale of its "
                   "training images.")


def _scaled_in_words(seen: Seen, scales: Scales, given: bool) -> Iterator[tuple[int, str]]:
    """Yield of integers and of floats how many images have them, and what they become."""
    for name, found, range_ in (("integers", seen.whole, scales.whole), ("floats", seen.real, scales.real)):
        if found.images and range_:
            inside = range_[0] <= found.low and found.high <= range_[1]
            turned = " (the other way round where a file says that zero is white)" if seen.white_is_zero else ""
            beyond = "" if inside else "; what lies beyond is black or white, too"
            why = told(f"--range {in_words(range_)} was given." if given else "--range LOW:HIGH sets others.")
            yield found.images, (f"{name} from {_number(found.low)} to {_number(found.high)}. {_number(range_[0])} "
                                 f"becomes black, {_number(range_[1])} white{turned}{beyond}; {why}")


def parse(text: Any) -> Range:
    """Return the range that "0:4095" means. Raises UsageError where it is none."""
    found: Any = ()
    if isinstance(text, str) and (match := re.fullmatch(r"\s*([^:\s]+)\s*:\s*([^:\s]+)\s*", text)):
        found = match.groups()
    elif isinstance(text, list | tuple) and len(text) == 2:
        found = text
    try:
        low, high = (float(value) for value in found)
        if not (np.isfinite([low, high]).all() and low < high and np.isfinite(high - low)):
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(f"--range must be two numbers, black and white, like 0:4095, not {brief(text)}.") from None
    return low, high


def in_words(range_: Range) -> str:
    """Return a range as --range takes it."""
    return f"{range_[0]:.10g}:{range_[1]:.10g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
