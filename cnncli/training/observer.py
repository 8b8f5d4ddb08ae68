"""What a training tells the world while it runs. The library itself never prints: it calls an ``Observer``, whose
methods do nothing; the command line's shows tables and bars (cli/train_view.py), a program of one's own may show what
it likes. All methods are called from the thread that called ``train``.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from ..runs import Row, Run
from .inside import Inside


class Observer:
    """Watches a training. Every method may be left out.

    What one raises ends the training and comes out of ``train`` as it is. What was saved before stays, and can be
    resumed; the lock on the run is released. docs/python.md has an example that ends a training early.
    """

    def note(self, sentence: str) -> None:
        """Something that the user should know: what was chosen and why, what could not be used."""

    def loading(self, what: str, done: int, total: int) -> None:
        """So many images of "training" or "validation" are decoded."""

    def computing_features(self, done: int, total: int) -> None:
        """So many images have gone through the layers before the head, once, which the head is then fitted to."""

    def testing_rates(self, done: int, total: int) -> None:
        """So many steps of a test of learning rates are made; it may stop before the last one."""

    def started(self, run: Run, summary: dict[str, Any]) -> None:
        """The run's folder is there and training begins, or goes on. summary holds classes, images and recipe."""

    def looking_inside(self, inside: Inside) -> None:
        """What may be looked at from now on, in ``step_done`` and ``epoch_done``: weights, gradients, the model; and
        ``inside.stop``, which ends the training as Ctrl-C does. Comes once, before the first step."""

    def resumed(self, rows: Sequence[Row], step: int) -> None:
        """Training goes on after these finished epochs and so many steps of the one that follows."""

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        """Epoch (counted from 1) of so many steps begins or, resumed, goes on."""

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        """So many steps of the epoch are done; mean loss and accuracy of it so far."""

    def validating(self, done: int, total: int) -> None:
        """So many validation images are evaluated."""

    def epoch_done(self, row: Row, best: bool) -> None:
        """An epoch is finished and saved: its row of history.csv, and whether it is the best so far."""

    def stopping(self, cause: str) -> None:
        """Somebody asked to stop ("Ctrl-C", "SIGTERM", or who called ``Inside.stop``); what there is will be saved."""

    def ended(self, cause: str) -> None:
        """The run that was started has ended: "finished", what ``stopping`` said, or "an error". Nothing more comes of
        it, but another run may be started, of the next fold."""


class Observers(Observer):
    """Several observers as one: each is told everything, in this order."""

    def __init__(self, *several: Observer) -> None:
        self._several = several

    def ended(self, cause: str) -> None:
        with contextlib.ExitStack() as all_of_them:  # also those behind one that raises
            for each in reversed(self._several):
                all_of_them.callback(each.ended, cause)


def _telling(name: str) -> Callable[..., None]:
    def tell(self: Observers, *what: Any) -> None:
        for each in self._several:
            getattr(each, name)(*what)

    return tell


for _name in [name for name in vars(Observer) if not name.startswith("_") and name not in vars(Observers)]:
    setattr(Observers, _name, _telling(_name))
