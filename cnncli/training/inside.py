"""What an ``Observer`` may look at while a training runs: weights, gradients and the rest, as read-only arrays. The
only thing that it may ask for is to stop. train.py makes an ``Inside`` for each run and closes it at its end.
"""

from ..data import Images
from ..errors import UsageError
from ..kernels import Array
from ..model import Model
from .signals import StopFlag
from .trainer import Trainer


class Inside:
    """A look inside a training, for an observer's ``step_done`` and ``epoch_done``.

    At other times the weights are changing. Nothing here changes what is learnt, as long as the model is only asked
    (``predict``, ``logits``, its network's ``activations``). Only ``stop`` may be called from any thread and at any
    time. After the end of the training there is nothing to look at: everything raises UsageError.

    Args:
        model: The model that is trained.
        trainer: What trains it.
        validation: The validation images, None without any.
        stop: The flag that ends the training.
    """

    def __init__(self, model: Model, trainer: Trainer, validation: Images | None, stop: StopFlag) -> None:
        self._stop = stop
        self._open: tuple[Model, Trainer, Images | None] | None = model, trainer, validation
        self._weights = _read_only(model.network.parameters())
        self._gradients = _read_only(trainer.network.gradients())

    @property
    def model(self) -> Model:
        """The model in training: network, classes, preprocessing.

        Its weights are those of the last step, even if the average of several steps is saved in the end.
        """
        return self._now()[0]

    @property
    def weights(self) -> dict[str, Array]:
        """The weights now, {"conv1.weight": array, …}. They are not copied: the next step changes them."""
        self._now()
        return dict(self._weights)

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradients of the last step, named as ``weights``; 0 before the first one. Frozen weights have none."""
        self._now()
        return dict(self._gradients)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step. Some parameters may learn with a multiple of it."""
        return self._now()[1].optimiser.lr

    @property
    def validation(self) -> Images | None:
        """The validation images, None if there are none."""
        return self._now()[2]

    def stop(self, cause: str) -> None:
        """Ask the training to stop, as Ctrl-C does: after the current step, saved, with Interrupted (exit code 130).

        Args:
            cause: Who asks, for the message "stopped by {cause} in epoch 3 …". Of several, the first one is named.
        """
        self._stop.ask(cause)

    def close(self) -> None:
        """Let go of everything, because the training has ended."""
        self._open = None
        self._weights, self._gradients = {}, {}

    def _now(self) -> tuple[Model, Trainer, Images | None]:
        if self._open is None:
            raise UsageError("the training has ended; look inside while it runs.")
        return self._open


def _read_only(arrays: dict[str, Array]) -> dict[str, Array]:
    views = {name: array.view() for name, array in arrays.items()}
    for view in views.values():
        view.flags.writeable = False
    return views
