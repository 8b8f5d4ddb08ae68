"""What is usual among the images of a folder, and of each class in it: how flat, dark or blurred an image must be to be
mentioned. Cells under a microscope are all soft, stars all dark; an image is odd beside the others, not by a fixed
number. rules.py asks.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from .facts import Facts
from .findings import File

DARK = 40  # luminance, of 255, that 99 % of a dark image's pixels do not exceed
BLANK = 6  # levels from the darkest to the brightest pixel of a blank one
BLURRED = 0.55  # of the changes from pixel to pixel that outlast a smoothing
FLATTER, DARKER = 4, 2  # times, than the middle image
_FEW = 0.05  # of the images that may be that blurred before it is taken for usual
_BEYOND = 1.5  # spans (Tukey) between the quartiles that an odd image lies beyond the upper one, where many are blurred
_TELLING = 10  # images of a class from which on it has a usual look of its own


@dataclass(frozen=True)
class Limits:
    """An image is blank if it spans no more levels than this, dark below this luminance, blurred above this blur. flat
    is how many of how many are blank.
    """

    blank: float
    dark: float
    blurred: float
    flat: tuple[int, int]

    @property
    def mostly_flat(self) -> bool:
        """Whether blank images are usual here."""
        return 3 * self.flat[0] > self.flat[1]


def limits(good: Sequence[tuple[File, Facts]]) -> dict[str | None, Limits]:
    """Return each class's limits: those of the whole folder, unless the class is flatter, darker or softer by nature.
    """
    classes: dict[str | None, list[Facts]] = defaultdict(list)
    for file, facts in good:
        classes[file.label].append(facts)
    every = _limits([facts for _, facts in good])
    return {label: _wider(every, _limits(some)) if len(some) >= _TELLING else every for label, some in classes.items()}


def _limits(some: Sequence[Facts]) -> Limits:
    if not some:
        return Limits(BLANK, DARK, BLURRED, (0, 0))
    blank = min(BLANK, median(facts.span for facts in some) / FLATTER)
    dark = min(DARK, median(facts.bright for facts in some) / DARKER)
    flat = sum(facts.span <= blank for facts in some)
    return Limits(blank, dark, _blurred(facts.blur for facts in some), (flat, len(some)))


def _wider(every: Limits, own: Limits) -> Limits:
    return Limits(min(every.blank, own.blank), min(every.dark, own.dark), max(every.blurred, own.blurred), own.flat)


def _blurred(values: Iterable[float | None]) -> float:
    blurs = [value for value in values if value is not None]
    if sum(value > BLURRED for value in blurs) <= max(1.0, _FEW * len(blurs)):
        return BLURRED
    low, _, high = quantiles(blurs, n=4)
    return max(BLURRED, high + _BEYOND * (high - low))
