"""A training by several processes: what has to be equal in all of them before the first step, and the run that those
follow which do not write it. ranks/ has the processes themselves; shards.py shares the steps among them.
"""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from .. import kernels
from .._version import __version__
from ..data import Splits
from ..errors import Interrupted, UsageError
from ..model.precision import AUTO, rounding
from ..ranks.current import apart
from ..ranks.world import World
from ..runs import Run, resuming
from ..runs.samples import fingerprint
from .observer import Observer
from .options import Options
from .shards import check_shards
from .signals import catch_stops


def shards_for(world: World, given: int | None, probe: bool) -> int | None:
    """Return in how many parts batches are computed: as many as were asked for, or else one for each of several
    processes; None for the usual single one, and for a probe, which has no batches. Raises UsageError if the processes
    cannot share so many equally.
    """
    if world.size == 1 or probe:
        return given
    if given is not None and given > 0:
        check_shards(given, world.size)
    return world.size if given is None else given


def with_shards(options: Mapping[str, Any], world: World) -> dict[str, Any]:
    """Return options of a training with the number of parts that its processes need."""
    shards = shards_for(world, options.get("shards"), False)
    return dict(options) if shards is None else {**options, "shards": shards}


def begin_together(world: World, options: Options, observer: Observer) -> None:
    """Raise UsageError if the processes that are to train together differ in what decides the bits of the result."""
    if world.size == 1:
        return
    world.same("the version of cnn", __version__, "install the same version everywhere.")
    world.same("the instruction set", kernels.active_isa(), "give one that all of them have, like CNN_ISA=avx2.")
    world.same("the precision of CNN_PRECISION", os.environ.get("CNN_PRECISION", ""), "set the same everywhere.")
    world.same("the bfloat16 instructions", rounding(), "give --precision float32, or a CNN_ISA that all of them have.")
    world.same("the options", repr(options), "start all of them with the same command.")
    hosts = len(set(world.gathered(socket.gethostname())))
    observer.note(f"{world.size} processes on {hosts} machine{'s' * (hosts != 1)} train together, with "
                  f"{kernels.threads()} thread{'s' * (kernels.threads() != 1)} each. The batch size and the learning "
                  "rate are of all of them together.")


def by_turns(world: World, folds: int, train: Callable[[int], Run], observer: Observer | None, precision: Any
             ) -> list[Run]:
    """Return the runs of all folds. If there are several processes, each trains some of them by itself."""
    if world.size == 1:
        return [train(fold) for fold in range(1, folds + 1)]
    if precision == AUTO:
        raise UsageError("--precision auto decides once for all folds, and several processes train them at once; give "
                         "--precision float32 or bfloat16.")
    if observer:
        observer.note(f"{world.size} processes train the folds, each by itself. Shown are those of the first one.")
    found: list[tuple[int, str, list[tuple[str, str]]]] = []
    with catch_stops() as stop:  # a process that waits for the others does not die before they have saved
        with apart():
            for fold in range(world.rank + 1, folds + 1, world.size):
                run = train(fold)
                found.append((fold, os.fspath(run.path), run.skipped))
                if stop:
                    raise Interrupted(f"stopped by {stop.cause}, all saved; continue with: "
                                      f"{resuming(run, (fold, folds))}", stop.signal, run)
        everybody = sorted(each for theirs in world.gathered(found) for each in theirs)
    runs = [Run(path) for _, path, _ in everybody]
    for run, (_, _, skipped) in zip(runs, everybody, strict=True):
        run.skipped = skipped
    return runs


def check_images(world: World, splits: Splits) -> None:
    """Raise UsageError if the processes that train together do not all see the same images and classes."""
    if world.size > 1:
        world.same("the classes", ", ".join(splits.classes), "give all of them the same images.")
        world.same("the images of those classes, their names or sizes", fingerprint(splits)["fingerprint"],
                   "give all of them the same images.")


class Followed:
    """The run that a process works on with others, of which the leading one holds the lock."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def release(self) -> None:
        """Do nothing, as nothing is held."""

    def __enter__(self) -> "Followed":
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""
