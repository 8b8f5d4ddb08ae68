"""Which precision a training computes in. It is chosen before the first step, and ``auto`` by a measurement: some whole
steps of both precisions, with copies of the network and random images, so that nothing of the training changes. A run
that is resumed goes on as it began. model/precision.py has the names and the rule.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..errors import UsageError, printable
from ..kernels import Array
from ..model.precision import BFLOAT16, FLOAT32, PRECISIONS, ROUNDING, Clock, Precision, in_turns, rounding
from ..network import Network
from ..runs import Run, resuming
from .options import Options

ENTRY = "precision"  # of config.json
CONTINUED = "continued"  # of that: what a run went on in, and from which epoch on
_WITH = {"tiles": "with tiles (AMX)", "pairs": "with instructions for pairs (vdpbf16ps)",
         "floats": "without instructions for it"}
HARDLY = 1e-12  # the learning rate of steps that are only timed
Step = Callable[[Array, Array], object]


def step_speeds(network: Network, batch: int, step_in: Callable[[Precision], Step], clock: Clock = time.perf_counter
                ) -> dict[Precision, float]:
    """Measure a training: images per second in each precision. step_in(precision) returns what makes a step of images
    and labels with a copy of the network.
    """
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *network.input_shape), np.float32)
    labels = rng.integers(0, network.output_shape[0], batch)
    return in_turns({name: partial(step_in(name), images, labels) for name in PRECISIONS}, batch, clock)


def check_resumed(config: Mapping[str, Any], precision: Precision, options: Options, run: Run) -> None:
    """Raise UsageError if a run in bfloat16 would not go on to the same bits, because this CPU or its instruction set
    has other instructions for bfloat16 than the first one.
    """
    before = config.get(ENTRY, {}).get(ROUNDING)
    if precision != BFLOAT16 or before in (None, rounding()):
        return
    raise UsageError(f"{printable(run.path)} was trained in {BFLOAT16} {_WITH.get(before, 'otherwise')}, but this CPU "
                     f"or its instruction set computes {_WITH[rounding()]}, which rounds otherwise; continue it where "
                     f"it began, or in {FLOAT32}: {_goes_on(run, config, options)} --precision {FLOAT32}")


def check_back(config: Mapping[str, Any], options: Options, run: Run) -> None:
    """Raise UsageError if a run that began in bfloat16 and goes on in float32 is asked to go back."""
    later = config.get(ENTRY, {}).get(CONTINUED)
    if options.precision != BFLOAT16 or later is None:
        return
    raise UsageError(f"{printable(run.path)} began in {BFLOAT16}, goes on in {FLOAT32} from epoch {later['epoch']} on, "
                     f"and cannot go back; leave --precision out: {_goes_on(run, config, options)}")


def _goes_on(run: Run, config: Mapping[str, Any], options: Options) -> str:
    """Return the command that continues a run, with those of the options that may change."""
    given, was = options.given(), config["recipe"]
    longer = [f" --{name} {given[name]}" for name in ("epochs", "patience") if given.get(name, was[name]) != was[name]]
    return resuming(run, was["fold"]) + "".join(longer)


def gone_on(config: Mapping[str, Any], before: Precision, now: Precision, epoch: int) -> dict[str, Any]:
    """Return what config.json says of the precision, {} for nothing: also from which epoch on it is another one."""
    if before == now:
        return {}
    return {ENTRY: {**config.get(ENTRY, {}), CONTINUED: {ENTRY: now, "epoch": epoch}}}


def is_entry(value: Any) -> bool:
    """Return whether that is what config.json says of a precision, or nothing."""
    later = value.get(CONTINUED) if isinstance(value, dict) else None
    return (isinstance(value, dict) and isinstance(value.get(ROUNDING, ""), str)
            and (later is None or (isinstance(later, dict) and isinstance(later.get("epoch"), int))))
