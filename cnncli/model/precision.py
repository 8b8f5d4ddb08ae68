"""Which precision a network computes in, if that is asked for: float32, or bfloat16, which stores what layers hand on
in half the memory. ``auto`` is decided by a measurement. training/precision.py measures training steps; what measures
forward passes, for those who use a model, is here.
"""

import os
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Literal, get_args

import numpy as np

from .. import kernels
from ..errors import UsageError, no_such
from ..network import Network

Precision = Literal["float32", "bfloat16"]
Wanted = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
WANTED: tuple[Wanted, ...] = get_args(Wanted)
FLOAT32, BFLOAT16 = PRECISIONS
AUTO = WANTED[0]
VARIABLE = "CNN_PRECISION"
ROUNDING = "rounding"  # what config.json calls it
# Who computes with bfloat16, by whose word of kernels.words(), the one that counts first: results differ between them.
# The plain versions, for tests, have the same bits.
_ROUNDINGS = {"tiles": ("amx_bf16", "amx_plain"), "pairs": ("bf16", "bf16_plain")}
_INSTRUCTIONS = frozenset({"amx_bf16", "bf16"})
FASTER = 1.05  # times as fast is clearly faster
# Turns in which each precision is timed once: at least and at most so many, and no more after so many seconds.
FEWEST, MOST, SECONDS = 3, 25, 3.0
AT_ONCE = 64  # images of a forward pass that is timed

Clock = Callable[[], float]


@dataclass(frozen=True)
class Chosen:
    """A precision that was chosen: what was asked for, what it is, and if it was measured, how many images a second
    each precision computed.
    """

    asked: Wanted
    precision: Precision
    speeds: Mapping[Precision, float] | None = None

    @property
    def sentence(self) -> str:
        """What was chosen and why, for the user."""
        if self.asked != AUTO:
            slow = "" if self.precision == FLOAT32 or has_instructions() else (
                " There are no instructions for it here, so it saves memory, but no time.")
            return f"Precision: {self.precision}, as asked.{slow}"
        if self.speeds is None:
            return f"Precision: {self.precision}, because there are no instructions for {BFLOAT16} here."
        why = "is" if self.precision == BFLOAT16 else "is not"
        return (f"Precision: {self.precision}, because {BFLOAT16} {why} clearly faster here: "
                f"{_shown(self.speeds[BFLOAT16])} images a second, {_shown(self.speeds[FLOAT32])} in {FLOAT32}.")

    def config(self) -> dict[str, Any]:
        """Return the same as JSON values, and who computes with bfloat16."""
        speeds = self.speeds and {name: round(speed, 1) for name, speed in self.speeds.items()}
        return {"asked": self.asked, "chosen": self.precision, ROUNDING: rounding(), "images_per_second": speeds}


def _shown(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"


def has_instructions() -> bool:
    """Return whether kernels use instructions for bfloat16 now."""
    return not _INSTRUCTIONS.isdisjoint(kernels.words())


def rounding() -> str:
    """Return who computes with bfloat16 now: "tiles", "pairs", or "floats", to which it is expanded. Each rounds in
    another way.
    """
    words = kernels.words()
    return next((name for name, own in _ROUNDINGS.items() if not words.isdisjoint(own)), "floats")


def wanted(given: Any = None) -> Wanted | None:
    """Return what is asked for: what is given, or else what CNN_PRECISION says; None if neither says anything. Raises
    UsageError where that is no precision.
    """
    if given is not None:
        if given not in WANTED:
            raise UsageError(no_such("precision", given, WANTED))
        return WANTED[WANTED.index(given)]
    said = os.environ.get(VARIABLE, "")
    if said and said not in WANTED:
        raise UsageError(f"{VARIABLE}={said} cannot be used; give {', '.join(WANTED[:-1])} or {WANTED[-1]}.")
    return WANTED[WANTED.index(said)] if said in WANTED else None


def decide(asked: Wanted, measure: Callable[[], Mapping[Precision, float]]) -> Chosen:
    """Choose a precision. measure, which is called only if it matters, returns images per second of each."""
    for known in PRECISIONS:
        if asked == known:
            return Chosen(asked, known)
    if not has_instructions():
        return Chosen(asked, FLOAT32)
    speeds = measure()
    return Chosen(asked, BFLOAT16 if speeds[BFLOAT16] >= FASTER * speeds[FLOAT32] else FLOAT32, speeds)


def in_turns(work: Mapping[Precision, Callable[[], object]], images: int, clock: Clock = time.perf_counter
             ) -> dict[Precision, float]:
    """Return how many images a second each work computes, which takes this many at once. They are timed in turns, so
    that what else the machine does slows all of them down. A few turns do not decide: the median does.
    """
    for each in work.values():
        each()  # arrays are touched for the first time
    seconds: dict[Precision, list[float]] = {name: [] for name in work}
    began = clock()
    for turn in range(1, MOST + 1):
        for name, each in work.items():
            start = clock()
            each()
            seconds[name].append(clock() - start)
        if turn >= FEWEST and clock() - began >= SECONDS:
            break
    return {name: images / max(median(taken), 1e-9) for name, taken in seconds.items()}


def forward_speeds(network: Network, clock: Clock = time.perf_counter) -> dict[Precision, float]:
    """Measure what a network computes in evaluation, with copies of it and random images."""
    count = min(AT_ONCE, network.images_at_once())
    images = np.random.default_rng(0).standard_normal((count, *network.input_shape), np.float32)
    return in_turns({name: partial(in_precision(network, name).forward, images) for name in PRECISIONS}, count, clock)


def in_precision(network: Network, precision: Precision) -> Network:
    """Return a copy of a network in that precision."""
    copied = deepcopy(network)
    copied.precision = precision
    return copied
