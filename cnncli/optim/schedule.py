"""Schedules: the learning rate of each step, a pure function of the step's number, so that a resumed run goes on
where it was. cnncli/training/fit.py sets ``optimiser.lr = schedule(step)`` before each step.

To add one: a function of (schedule, step) in SCHEDULES, and its options in Schedule and _OPTIONS.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import UsageError, did_you_mean

DEFAULT_SCHEDULE = "one-cycle"
TRIANGLE_START, TRIANGLE_TOP, TRIANGLE_END = 0.2, 0.23, 0.07


class Schedule:
    """The learning rate of step 0, 1, …, total_steps - 1; afterwards that of the last step.

    kind is one of

    - "constant": lr throughout;
    - "step": lr, times gamma from each of the milestones on (step numbers, counted from the start of the run), or
      times gamma every step_size steps; where neither is given, at a half and at three quarters of the run;
    - "cosine": half a cosine wave from lr down to min_lr (Loshchilov and Hutter 2017, without restarts);
    - "one-cycle": from lr / 25 up to lr, then down to lr / 250,000 at the last step, along ramps that are "cosine"
      or "linear" (Smith and Topin 2017; PyTorch's OneCycleLR). The climb takes 30 % of the run, or warmup_steps;
    - "triangular": a straight line from 0.2 lr up to lr, for 23 % of the run or warmup_steps, and one down to 0.07 lr,
      the shape that short trainings do well with (Page 2018; Jordan 2024).

    The other kinds begin, if warmup_steps is not 0, with a straight line from near 0 up to lr: step s of w has
    (s + 1) / (w + 1) of it. "cosine" then spreads over the steps that are left. Raises UsageError where an option
    makes no sense.
    """

    def __init__(self, kind: str, lr: float, total_steps: int, warmup_steps: int = 0, *,
                 milestones: Sequence[int] | None = None, step_size: int | None = None, gamma: float = 0.1,
                 min_lr: float = 0.0, ramp: str = "cosine") -> None:
        if kind not in SCHEDULES:
            raise UsageError(f"there is no schedule {kind!r}; known are {', '.join(SCHEDULES)}."
                             + did_you_mean(kind, list(SCHEDULES)))
        if ramp not in RAMPS:
            raise UsageError(f"a ramp is cosine or linear, not {ramp!r}.{did_you_mean(ramp, list(RAMPS))}")
        if total_steps < 1:
            raise UsageError(f"a schedule needs at least one step, not {total_steps}.")
        if not 0 <= warmup_steps <= total_steps:
            raise UsageError(f"a warm-up of {warmup_steps} steps does not fit into {total_steps} steps; shorten it.")
        for what, value in {"learning rate": lr, "final learning rate": min_lr, "decay factor": gamma}.items():
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"the {what} must be a finite number of at least 0, not {value!r}.")
        if step_size is not None and (milestones is not None or step_size < 1):
            raise UsageError("give the step schedule milestones or a step size of at least 1, not both.")
        self.kind, self.lr, self.total_steps, self.warmup_steps = kind, float(lr), total_steps, warmup_steps
        self.gamma, self.min_lr, self.ramp, self.step_size = float(gamma), float(min_lr), ramp, step_size
        self.milestones = None if milestones is None else sorted(int(step) for step in milestones)

    def __call__(self, step: int) -> float:
        """Return the learning rate of that step, counted from 0."""
        if step < 0:
            raise ValueError(f"steps count from 0, not {step}")
        step = min(step, self.total_steps - 1)
        if self.kind not in _CLIMB_THEMSELVES and step < self.warmup_steps:
            return self.lr * (step + 1) / (self.warmup_steps + 1)
        return SCHEDULES[self.kind](self, step)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments that count for this kind, as plain JSON values: Schedule(**config)."""
        config = {"kind": self.kind, "lr": self.lr, "total_steps": self.total_steps, "warmup_steps": self.warmup_steps}
        for option in _OPTIONS[self.kind]:
            config[option] = getattr(self, option)
        return config

    def __repr__(self) -> str:
        return f"Schedule({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


def _constant(schedule: Schedule, step: int) -> float:
    return schedule.lr


def _step(schedule: Schedule, step: int) -> float:
    if schedule.step_size is not None:
        passed = step // schedule.step_size
    elif schedule.milestones is not None:
        passed = sum(step >= milestone for milestone in schedule.milestones)
    else:
        passed = (2 * step >= schedule.total_steps) + (4 * step >= 3 * schedule.total_steps)
    return schedule.lr * schedule.gamma**passed


def _cosine(schedule: Schedule, step: int) -> float:
    done = (step - schedule.warmup_steps) / (schedule.total_steps - schedule.warmup_steps)
    return _along_cosine(schedule.lr, schedule.min_lr, done)


def _one_cycle(schedule: Schedule, step: int) -> float:
    along = RAMPS[schedule.ramp]
    start, last = schedule.lr / 25, schedule.total_steps - 1
    top = min(schedule.warmup_steps or 0.3 * schedule.total_steps - 1, last)
    if step <= top:
        return along(start, schedule.lr, step / top if top > 0 else 1.0)
    return along(schedule.lr, start / 1e4, (step - top) / (last - top)) if last > 0 else schedule.lr


def _triangular(schedule: Schedule, step: int) -> float:
    start, end = TRIANGLE_START * schedule.lr, TRIANGLE_END * schedule.lr
    top = min(schedule.warmup_steps or int(TRIANGLE_TOP * schedule.total_steps), schedule.total_steps)
    if step < top:
        return _along_line(start, schedule.lr, step / top)
    return _along_line(schedule.lr, end, (step - top) / max(schedule.total_steps - top, 1))


def _along_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def _along_line(start: float, end: float, done: float) -> float:
    return start + (end - start) * done


RAMPS: dict[str, Callable[[float, float, float], float]] = {"cosine": _along_cosine, "linear": _along_line}
SCHEDULES: dict[str, Callable[[Schedule, int], float]] = {
    "constant": _constant, "step": _step, "cosine": _cosine, "one-cycle": _one_cycle,
    "triangular": _triangular}
_CLIMB_THEMSELVES = ("one-cycle", "triangular")
_OPTIONS = {"constant": (), "step": ("milestones", "step_size", "gamma"), "cosine": ("min_lr",),
            "one-cycle": ("ramp",), "triangular": ()}
