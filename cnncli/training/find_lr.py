"""``cnn train --find-lr``: a test of learning rates. A network that is thrown away afterwards makes some steps while
the learning rate grows from far too small to far too large. The rate at which the loss is lowest tells which highest
rate a schedule can have. No run is made. A table and a picture (report/rates.py) stay, until the next test replaces
them.

The test is the range test of Smith 2017 ("Cyclical learning rates for training neural networks"). As in fastai, the
rate grows exponentially, and the test stops when the loss has run away.
"""

import csv
import io
import math
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import kernels
from ..data import Data
from ..data.images import Cache
from ..data.outputs import Kind, check_runs, claim, marked, write
from ..errors import TrainingError, UsageError, printable
from ..plain import in_plain_json
from ..ranks.current import world as found_world
from ..report import rates as chart
from ..values import as_hinted
from .fit import Fit
from .keywords import RateOptions, checked
from .observer import Observer
from .options import Options
from .prepare import Setting, gather
from .together import begin_together, with_shards

if TYPE_CHECKING:
    from typing_extensions import Unpack  # which type checkers bring along

STEPS = 120
RANGES = {"sgd": (1e-4, 10.0), "adam": (1e-6, 1.0), "adamw": (1e-6, 1.0)}
SMOOTHING = 0.9  # of the moving average, in which the loss of a step is one part in ten
RUN_AWAY = 3.0  # times the lowest smoothed loss
# Of the rate of the lowest loss, which is on the brink. With 960 images of Fashion-MNIST, tested on 2,000 others, peaks
# of a tenth, a fifth, a third and all of it reached: lenet5 with SGD 76.9, 76.1, 78.8, 76.3 %, with Adam 78.7, 79.4,
# 79.9, 71.7 % (12 epochs), resnet8 73.5, 74.1, 75.6, 74.5 % (6 epochs), means of two seeds.
SHARE = 1 / 3
LEAST_FALL = 0.01  # of the loss at the beginning; less is no learning
SETTLED = 10  # steps before the average says anything
TABLE, PICTURE = "lr.csv", "lr.png"
NUMBERS = Kind("a table of a range test", ".csv", marked(rb"\Alearning_rate,loss,smoothed\r?\n"))


@dataclass(frozen=True)
class RangeTest:
    """What a test of learning rates found.

    Attributes:
        rates: The learning rate of each step.
        losses: The loss of each step's batch: cross-entropy, in nats.
        smoothed: The moving average of the losses.
        lowest: The learning rate at which the smoothed loss was lowest. None if the loss did not fall.
        suggestion: The suggested lr for ``train``, a third of lowest. None if lowest is None.
        stopped: The learning rate at which the loss had run away and the test stopped. None if it went to the end.
        architecture: The architecture that was tested.
        optimizer: The optimiser that was tested.
        table: The file lr.csv.
        picture: The file lr.png.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    lowest: float | None
    suggestion: float | None
    stopped: float | None
    architecture: str
    optimizer: str
    table: Path
    picture: Path

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn train --find-lr --json` prints."""
        return {"suggestion": self.suggestion, "lowest": self.lowest, "stopped": self.stopped,
                "architecture": self.architecture, "optimizer": self.optimizer, "rates": self.rates,
                "losses": self.losses, "smoothed": self.smoothed, "table": self.table, "picture": self.picture}


@as_hinted
def find_lr(data: Data, *, threads: int | None = None, cache: Cache = "auto", strict: bool = False,
            runs: str | os.PathLike[str] = "runs", observer: Observer | None = None, **given: "Unpack[RateOptions]"
            ) -> RangeTest:
    """Test learning rates, and suggest one for ``train``.

    A network makes up to 120 steps while the learning rate rises from far too small to far too large, and is thrown
    away (Smith 2017). lr.csv and lr.png are written into the folder runs; nothing else is.

    Args:
        data: The images, as ``train`` takes them.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before.
        cache: "auto", "ram", "disk" or "none", as in ``train``.
        strict: True raises ImageError for the first image that cannot be used. False: such images are skipped.
        runs: The folder that lr.csv and lr.png are written to.
        observer: An ``Observer`` that is told of choices and progress. None: nobody is told.
        **given: Options of ``train`` about images, network and learning; ``train`` describes each. Not lr and probe.

    Returns:
        The rates, their losses, and the suggested rate.

    Raises:
        UsageError: An option makes no sense, or lr or probe is given.
        CnnError: Whatever else ``train`` raises before its first step.
    """
    options = checked(given, RateOptions, "lr", "probe")
    if options.get("lr") is not None:
        raise UsageError("--find-lr and --lr cannot be given together, because --find-lr looks for the learning rate; "
                         "leave one of them out.")
    world = found_world()
    wanted = Options(**with_shards(options, world))
    if wanted.probe:
        raise UsageError("--find-lr and --probe cannot be given together, because --probe has no learning rate; leave "
                         "one of them out.")
    if threads is not None:
        kernels.set_threads(threads)
    setting = Setting(threads, cache, strict, (world.leads and observer) or Observer(), world=world)
    table, picture = Path(runs, TABLE), Path(runs, PICTURE)
    begin_together(world, wanted, setting.observer)
    if not world.leads:
        return _test(data, wanted, setting, table, picture)
    check_runs(runs, data)
    with claim({table: NUMBERS, picture: chart.RATES}, make=True, remedy="give another place with --runs"):
        found = _test(data, wanted, setting, table, picture)
        _write(found)
    return found


def _test(data: Data, wanted: Options, setting: Setting, table: Path, picture: Path) -> RangeTest:
    """Make the steps, and find the rate to take."""
    material, model = gather(data, wanted, setting)
    low, high = RANGES[material.recipe.optimizer]

    def rising(step: int) -> float:
        return float(low * (high / low) ** (step / (STEPS - 1)))

    fit = material.fit(model, schedule=rising)
    if fit.head_first:
        fit.fit_head()
    losses, stopped = sweep(fit, setting.observer)
    rates = [rising(step) for step in range(len(losses))]
    smoothed = smooth(losses)
    lowest = lowest_of(rates, smoothed)
    return RangeTest(rates, losses, smoothed, lowest, None if lowest is None else two_digits(SHARE * lowest), stopped,
                     material.recipe.arch, material.recipe.optimizer, table, picture)


def sweep(fit: Fit, observer: Observer) -> tuple[list[float], float | None]:
    """Make STEPS steps of a training at the rates of its schedule. Return the losses of their batches, and the rate at
    which the loss had run away or was no number any more, where it stops (None if it went to the end).
    """
    losses: list[float] = []
    average, best = 0.0, math.inf
    try:
        with closing(fit.endless_steps()) as steps:
            for step in steps:
                losses.append(step.loss)
                observer.testing_rates(len(losses), STEPS)
                average = SMOOTHING * average + (1 - SMOOTHING) * losses[-1]
                now = average / (1 - SMOOTHING ** len(losses))
                if not math.isfinite(now) or (len(losses) > SETTLED and now > RUN_AWAY * best):
                    return [loss for loss in losses if math.isfinite(loss)], fit.schedule(len(losses) - 1)
                best = min(best, now)
                if len(losses) == STEPS:
                    break
    except TrainingError:  # loss or gradient not finite: what was looked for
        return losses, fit.schedule(len(losses))
    return losses, None


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the moving averages of losses, corrected for their start at 0 (as Adam corrects its own)."""
    smoothed, average = [], 0.0
    for step, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed.append(average / (1 - SMOOTHING**step))
    return smoothed


def lowest_of(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return the rate at which the smoothed loss is lowest. None if that is hardly below the loss at the beginning."""
    if len(smoothed) <= SETTLED:
        return None
    start = smoothed[SETTLED - 1]
    place = min(range(SETTLED, len(smoothed)), key=lambda step: (smoothed[step], step))
    return rates[place] if smoothed[place] < start * (1 - LEAST_FALL) else None


def two_digits(rate: float) -> float:
    """Return the rate rounded to two digits."""
    return float(f"{rate:.2g}")


def _write(found: RangeTest) -> None:
    """Write the table and the picture."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["learning_rate", "loss", "smoothed"])
    writer.writerows([f"{value:.6g}" for value in row]
                     for row in zip(found.rates, found.losses, found.smoothed, strict=True))
    write(found.table, text.getvalue().encode(), NUMBERS)
    chart.draw(found.rates, found.losses, found.smoothed, found.picture,
               f"Learning rates for {printable(found.architecture)}, {found.optimizer}", found.suggestion)
