"""From what the workers answered to what a table says: a figure is the median over rounds with its quartiles; ours
against the best peer is a ratio of medians, with the quartiles of the ratios within each round."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contest import FIRST as OURS

TOLERANCE = 1e-3  # of the largest value: whoever computes something else is not compared


@dataclass(frozen=True)
class Figure:
    """Several rounds of one measurement."""

    median: float
    low: float  # the quartiles
    high: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, rounds: Sequence[float]) -> "Figure":
        """Sum up at least one round."""
        low, middle, high = quartiles(rounds)
        return cls(middle, low, high, tuple(rounds))

    def json(self) -> dict[str, Any]:
        """Return it as JSON values, of four digits."""
        return {k: [four_digits(r) for r in v] if k == "rounds" else four_digits(v) for k, v in asdict(self).items()}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def four_digits(value: float) -> float:
    """Round to what is worth keeping."""
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class Comparison:
    """Ours against the best of the peers, in a measure of which more is better unless ``less`` is set."""

    best: str
    ratio: float
    low: float
    high: float
    goal: float | None
    less: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.ratio <= self.goal if self.less else self.ratio >= self.goal

    def json(self) -> dict[str, Any]:
        return {**{k: four_digits(v) if isinstance(v, float) else v for k, v in asdict(self).items()},
                "reached": self.reached}


def compare(figures: Mapping[str, Figure], goal: float | None, less: bool = False) -> Comparison | None:
    """Compare "ours" with the best of the others; None where there is nothing to compare."""
    others = {name: figure for name, figure in figures.items() if name != OURS}
    if OURS not in figures or not others:
        return None
    best = (min if less else max)(others, key=lambda name: others[name].median)
    ours, theirs = figures[OURS], others[best]
    low, _, high = quartiles([a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True)])
    return Comparison(best, ours.median / theirs.median, low, high, goal, less)


def rates(answers: Sequence[Mapping[str, float]], images: int) -> Figure:
    """Images a second, by the median step of each round."""
    return Figure.of([images / answer["median"] for answer in answers])


def mean_rates(answers: Sequence[Mapping[str, float]], images: int) -> Figure:
    """Images a second, by all steps of each round together: what counts where a machine is shared."""
    return Figure.of([images * answer["steps"] / answer["seconds"] for answer in answers])


def milliseconds(answers: Sequence[Mapping[str, float]]) -> Figure:
    """The median step of each round in milliseconds."""
    return Figure.of([1e3 * answer["median"] for answer in answers])
