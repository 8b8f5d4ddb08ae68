"""Schedules: the learning rate of each step, a pure function of the step's number, so that a resumed run goes on
where it was. cnncli/training/fit.py sets ``optimiser.lr = schedule(step)`` before each step.

To add one: its name in Kind, a function of (schedule, step) in SCHEDULES, and its options in Schedule and _OPTIONS.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..errors import UsageError, brief, no_such
from ..values import as_hinted

Kind = Literal["constant", "step", "cosine", "one-cycle", "triangular"]
Ramp = Literal["cosine", "linear"]
DEFAULT_SCHEDULE: Kind = "one-cycle"
TRIANGLE_START, TRIANGLE_TOP, TRIANGLE_END = 0.2, 0.23, 0.07


class Schedule:
    """A learning rate for each step: schedule(0), schedule(1), …. After the last step it stays.

    Args:
        kind: The course of the learning rate, one of the names below.
        lr: The highest learning rate. None: filled in by ``cnncli.train`` or from the optimiser.
        total_steps: How many steps there are. None: filled in by ``cnncli.train``. A ``Trainer`` does not know it, so
            there only "constant", and "step" with milestones or step_size, can do without.
        warmup_steps: Over how many steps the rate rises to lr. None: filled in by ``cnncli.train``; else 0, which
            leaves it to the kind.
        milestones: For "step": the steps, counted from 0, from which on the rate is gamma times as high. None: half and
            three quarters of all steps.
        step_size: For "step", in place of milestones: the rate is multiplied by gamma every so many steps.
            None: milestones decide.
        gamma: For "step": what the rate is multiplied by.
        min_lr: For "cosine": the rate at the end.
        ramp: For "one-cycle": "cosine" or "linear".

    Raises:
        UsageError: An option makes no sense.

    The kinds:

    - "constant": lr in all steps.
    - "step": lr, multiplied by gamma at some steps.
    - "cosine": half a cosine wave from lr to min_lr (Loshchilov and Hutter 2017, without restarts).
    - "one-cycle": from lr / 25 up to lr for 30 % of the steps, or warmup_steps, then down to lr / 250,000 (Smith and
      Topin 2017; PyTorch's OneCycleLR).
    - "triangular": a straight line from 0.2 lr up to lr for 23 % of the steps, or warmup_steps, and one down to 0.07 lr
      (Page 2018; Jordan 2024). It suits short trainings.

    With warmup_steps, "constant", "step" and "cosine" begin with a straight line: step s of w has (s + 1) / (w + 1) of
    lr. "cosine" spreads over the steps that are left.
    """

    @as_hinted
    def __init__(self, kind: Kind, lr: float | None = None, total_steps: int | None = None,
                 warmup_steps: int | None = None, *, milestones: Sequence[int] | None = None,
                 step_size: int | None = None, gamma: float = 0.1, min_lr: float = 0.0, ramp: Ramp = "cosine") -> None:
        if kind not in SCHEDULES:
            raise UsageError(no_such("schedule", kind, SCHEDULES))
        if ramp not in RAMPS:
            raise UsageError(no_such("ramp", ramp, RAMPS))
        for what, steps in {"total": total_steps, "warm-up": warmup_steps, "step size": step_size}.items():
            if not (steps is None or (isinstance(steps, int) and not isinstance(steps, bool))):
                raise UsageError(f"the {what} of a schedule must be a whole number of steps, not {brief(steps)}.")
        if total_steps is not None and total_steps < 1:
            raise UsageError(f"the total of a schedule must be at least one step, not {total_steps}.")
        if warmup_steps is not None and not 0 <= warmup_steps <= (total_steps or math.inf):
            raise UsageError(f"a warm-up of {warmup_steps} steps does not fit into {total_steps} steps; make it "
                             "shorter.")
        numbers = {"learning rate": lr or 0.0, "final learning rate": min_lr, "decay factor": gamma}
        for what, value in numbers.items():
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise UsageError(f"the {what} must be a finite number of at least 0, not {brief(value)}.")
        if step_size is not None and (milestones is not None or step_size < 1):
            raise UsageError("milestones and step_size cannot be given together; give one of them, a step_size of at "
                             "least 1.")
        self.kind: Kind = kind
        self.lr = 0.0 if lr is None else float(lr)
        self.total_steps, self.warmup_steps = total_steps or 0, warmup_steps or 0
        self.gamma, self.min_lr, self.ramp, self.step_size = float(gamma), float(min_lr), ramp, step_size
        self.milestones = None if milestones is None else sorted(int(step) for step in milestones)
        self._left_out = {name for name, value in (("lr", lr), ("total_steps", total_steps),
                                                   ("warmup_steps", warmup_steps)) if value is None}

    def filled(self, lr: float, total_steps: int | None = None, warmup_steps: int | None = None) -> "Schedule":
        """Return the schedule with what was left out filled in. What was given stays.

        Args:
            lr: The highest learning rate.
            total_steps: How many steps there are. None: still left out.
            warmup_steps: Over how many steps the rate rises. None: still left out.
        """
        return Schedule(**{"lr": lr, "total_steps": total_steps, "warmup_steps": warmup_steps, **self.config()})

    def __call__(self, step: int) -> float:
        """Return the learning rate of that step, counted from 0."""
        if step < 0:
            raise UsageError(f"the step of a schedule must be at least 0, not {step}.")
        self._check_whole()
        if self.total_steps:
            step = min(step, self.total_steps - 1)
        if self.kind not in _CLIMB_THEMSELVES and step < self.warmup_steps:
            return self.lr * (step + 1) / (self.warmup_steps + 1)
        return SCHEDULES[self.kind](self, step)

    def _check_whole(self) -> None:
        """Raise UsageError where something was left out without which there is no rate."""
        if "lr" in self._left_out:
            raise UsageError(f"the {self.kind} schedule has no learning rate yet; give its lr, or let a Trainer or "
                             "cnncli.train fill it in.")
        told = self.kind == "step" and (self.milestones is not None or self.step_size is not None)
        if not self.total_steps and self.kind != "constant" and not told:
            raise UsageError(f"the {self.kind} schedule does not know how many steps there are; give its total_steps, "
                             "which is epochs times the batches of an epoch, or let cnncli.train fill it in.")

    def config(self) -> dict[str, Any]:
        """Return the arguments that count for this kind, as JSON values for ``Schedule(**config)``.

        Those that were left out are left out.
        """
        config: dict[str, Any] = {"kind": self.kind}
        for option in ("lr", "total_steps", "warmup_steps", *_OPTIONS[self.kind]):
            if option not in self._left_out:
                value = getattr(self, option)
                config[option] = list(value) if isinstance(value, list) else value
        return config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and other.config() == self.config()

    def __hash__(self) -> int:
        return hash(repr(self))

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


RAMPS: dict[Ramp, Callable[[float, float, float], float]] = {"cosine": _along_cosine, "linear": _along_line}
SCHEDULES: dict[Kind, Callable[[Schedule, int], float]] = {
    "constant": _constant, "step": _step, "cosine": _cosine, "one-cycle": _one_cycle,
    "triangular": _triangular}
_CLIMB_THEMSELVES = ("one-cycle", "triangular")
_OPTIONS = {"constant": (), "step": ("milestones", "step_size", "gamma"), "cosine": ("min_lr",),
            "one-cycle": ("ramp",), "triangular": ()}
