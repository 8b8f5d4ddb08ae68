"""What a training tells while it runs. The library itself never prints: it calls an ``Observer``, whose methods do
nothing. The command line's observer shows tables and bars (cli/train_view.py); your own program may show what it likes.
All methods are called from the thread that called ``train``.
"""

import contextlib
import inspect
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any, TypedDict

from ..errors import UsageError
from ..runs import Row, Run
from ..values import as_hinted
from .inside import Inside

_NEAR = 0.7  # names that are more alike than this are taken for misspelt
_OTHERS_SAY = {"end": "done", "ended": "done", "finish": "done", "finished": "done", "begin": "started",
               "begun": "started", "start": "started"}  # of an epoch or a step


class TrainingSummary(TypedDict):
    """What a training trains on what: JSON values, which also stand in its model files.

    Attributes:
        architecture: The network's name; of one from a TOML file, the file's.
        recipe: Everything that was decided: "lr", "epochs", "augment" and the other options of ``cnncli.train``.
        cnn: The version of cnn.
        images: How many images are used: {"train": …, "val": …}.
        fingerprint: A hash of which images those are.
    """

    architecture: str
    recipe: dict[str, Any]
    cnn: str
    images: dict[str, int]
    fingerprint: str


class Observer:
    """Is told what a training does while it runs.

    Write a subclass with the methods that you need; the others do nothing. All methods are called from the thread that
    called ``train``. An exception that a method raises ends the training and comes out of ``train`` as it is. What was
    saved before stays and can be resumed. docs/python.md has an example.

    Raises:
        UsageError: A method of a subclass is named almost like one of these, so that it would never be called. A method
            of your own may begin with _.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, method in vars(cls).items():
            meant = _misspelt(name, method)
            if meant:
                raise UsageError(f"{cls.__name__}.{name} would never be called, because a cnncli.Observer has no such "
                                 f"method; call it {meant}, or _{name.lstrip('_')} if it is one of your own.")

    def note(self, sentence: str) -> None:
        """Hear a sentence that the user should know: what was chosen and why, what could not be used.

        Args:
            sentence: The sentence, with its full stop.
        """

    def loading(self, what: str, done: int, total: int) -> None:
        """Hear how many images are decoded.

        Args:
            what: Which images: "training" or "validation".
            done: How many are decoded.
            total: How many there are.
        """

    def computing_features(self, done: int, total: int) -> None:
        """Hear for how many images the features are computed, to which the last layer is then fitted.

        Args:
            done: For how many images they are computed.
            total: How many images there are.
        """

    def testing_rates(self, done: int, total: int) -> None:
        """Hear how many steps a test of learning rates has made. It may stop before the last one.

        Args:
            done: How many steps are made.
            total: How many steps there are at most.
        """

    def started(self, run: Run, summary: TrainingSummary) -> None:
        """Hear that the run's folder is there and training begins, or continues.

        Args:
            run: The run.
            summary: What is trained on what: a dict with "architecture", "images", "recipe" and more.
        """

    def looking_inside(self, inside: Inside) -> None:
        """Get what may be looked at during the training. Comes once, before the first step.

        Args:
            inside: Weights, gradients and the model, to be looked at in ``step_done`` and ``epoch_done``; and
                ``inside.stop``, which ends the training as Ctrl-C does.
        """

    def resumed(self, rows: Sequence[Row], step: int) -> None:
        """Hear that a training continues.

        Args:
            rows: The finished epochs, rows of history.csv.
            step: How many steps of the next epoch are done.
        """

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        """Hear that an epoch begins or, after resuming, continues.

        Args:
            epoch: Which epoch, from 1.
            epochs: How many epochs there are.
            steps: How many steps the epoch has.
        """

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        """Hear that a step is done.

        Args:
            step: How many steps of the epoch are done.
            steps: How many steps the epoch has.
            loss: The mean training loss of the epoch so far.
            accuracy: The mean training accuracy of the epoch so far, 0 to 1.
        """

    def validating(self, done: int, total: int) -> None:
        """Hear how many validation images are evaluated.

        Args:
            done: How many are evaluated.
            total: How many there are.
        """

    def epoch_done(self, row: Row, best: bool) -> None:
        """Hear that an epoch is finished and saved.

        Args:
            row: The epoch's row of history.csv. Its "val_accuracy" and "val_loss" are None without validation images.
            best: Whether its model is kept, because none before it is better by more than one standard error of the
                accuracy.
        """

    def stopping(self, cause: str) -> None:
        """Hear that the training was asked to stop. It ends after the current step, saved.

        Args:
            cause: Who asked: "Ctrl-C", "SIGTERM", or what ``Inside.stop`` was given.
        """

    def ended(self, cause: str) -> None:
        """Hear that the run has ended. Another run may start after it, the next fold.

        Args:
            cause: "finished", what ``stopping`` was told, or "an error".
        """


def _misspelt(name: str, method: Any) -> str | None:
    """Return which method of Observer a subclass means by one that is not there; None if it means none. A method that
    takes no argument is no misspelt one: all of Observer's are told something.
    """
    known = [each for each in vars(Observer) if not each.startswith("_")]
    if name.startswith("_") or name in known or not inspect.isfunction(method):
        return None
    if len(inspect.signature(method).parameters) < 2:  # beside self
        return None
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower().removeprefix("on_").split("_")
    forms = (name, "_".join(words), "_".join([*words[:-1], _OTHERS_SAY.get(words[-1], words[-1])]))
    alike, nearest = max((SequenceMatcher(None, form, each).ratio(), each) for form in forms for each in known)
    return nearest if alike > _NEAR else None


class Observers(Observer):
    """Several observers as one: each is told everything, in this order.

    Args:
        *several: The observers.
    """

    @as_hinted
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
