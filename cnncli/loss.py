"""Losses: what training makes small. A loss owns its options and answers with the kernel calls (csrc/loss.c) that
turn logits and labels into each image's share and, in training, the gradient; training/trainer.py and the evaluation
run them.

To add one: a class with ``name``, ``calls`` and ``config``, registered in LOSSES and named in LossName.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from . import kernels
from .errors import DataError, UsageError, did_you_mean
from .kernels import Array, Call, Mixed

LossName = Literal["cross-entropy", "squared-error"]


class Loss:
    """What every loss has. logits are float32 (n, classes), labels int64 (n,)."""

    name: ClassVar[str] = ""

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        """Return the calls that fill losses, float64 (n,), with each image's share: their sum is the batch's loss.

        dlogits, float32 (n, classes), receives the gradient of that sum; None where nobody needs it. mixed, (other
        labels int64 (n,), shares float32 (n,)), is for images of two in one: by that share the label's, by the rest the
        other's. Running the calls raises DataError where a label is out of range.
        """
        raise TypeError(f"{type(self).__name__} has no calls")

    def config(self) -> dict[str, Any]:
        """Return {"name": …} and the constructor's arguments, as plain JSON values: loss_by_name(**config)."""
        return {"name": self.name}

    def __call__(self, logits: Array, labels: Array) -> float:
        """Return the loss of one batch: logits (n, classes), labels (n,), n at least 1. Raises DataError where they are
        no such thing."""
        try:
            logits = np.ascontiguousarray(logits, np.float32)
        except (TypeError, ValueError):
            raise DataError("logits are floats of the shape (n, classes); give an array of numbers.") from None
        if logits.ndim != 2 or not logits.size:
            raise DataError(f"logits have the shape (n, classes), not {logits.shape}; give one image or more.")
        losses = np.empty(len(logits))
        for call in self.calls(logits, as_labels(labels, *logits.shape), losses):
            call()
        return float(losses.sum())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items() if k != 'name')})"


class CrossEntropy(Loss):
    """Softmax cross-entropy, averaged over the batch as PyTorch's CrossEntropyLoss does.

    label_smoothing moves that share of each target from the label to all classes alike (Szegedy et al. 2015).
    class_weights, one factor a class, makes some classes count more; the mean is then over the weights of the
    batch's labels, and a batch whose labels all weigh nothing has loss 0. Raises UsageError where label_smoothing is
    not in [0, 1] or a weight is negative or not finite.
    """

    name = "cross-entropy"

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        if not 0 <= label_smoothing <= 1:
            raise UsageError(f"label smoothing is a share between 0 and 1, not {label_smoothing!r}.")
        self.label_smoothing = float(label_smoothing)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        for weight in self.class_weights or []:
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"a class weight is a finite number of at least 0, not {weight!r}.")

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        weights = None
        if self.class_weights is not None:
            weights = np.array(self.class_weights, np.float32)
            if len(weights) != logits.shape[1]:
                raise UsageError(f"there are {len(weights)} class weights for {logits.shape[1]} classes; give one a "
                                 "class, in class order.")
        return [kernels.cross_entropy(logits, labels, losses, dlogits, weights, self.label_smoothing, mixed)]

    def config(self) -> dict[str, Any]:
        return {"name": self.name, "label_smoothing": self.label_smoothing, "class_weights": self.class_weights}


class SquaredError(Loss):
    """1/2 sum (target - output)^2 against one-hot targets: the sum is over the classes, and the batch's loss is the
    mean over its images. The outputs are taken as they are; put a Softmax or Sigmoid last to compare probabilities.
    """

    name = "squared-error"

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        return [kernels.squared_error(logits, labels, losses, dlogits, mixed)]


LOSSES: dict[LossName, Callable[..., Loss]] = {"cross-entropy": CrossEntropy, "squared-error": SquaredError}


def as_labels(labels: Any, images: int, classes: int, what: str = "labels") -> Array:
    """Return labels as int64 (images,), C-contiguous. Raises DataError where they are not that many whole numbers, or
    one is no class's."""
    try:
        array = np.asarray(labels)
    except ValueError:
        raise DataError(f"{what} must be one whole number for each image, and are no array.") from None
    if array.shape != (images,) or array.dtype.kind not in "iu":
        raise DataError(f"{what} must be one whole number for each of {images} images, not {array.dtype} of the shape "
                        f"{array.shape}.")
    array = np.ascontiguousarray(array, np.int64)
    if array.view(np.uint64).max() >= classes:  # one pass: below 0 is far above
        image = int((array.view(np.uint64) >= classes).argmax())
        raise DataError(f"image {image} of the batch has label {array[image]}, but the network has {classes} outputs; "
                        f"labels go from 0 to {classes - 1}.")
    return array


def loss_by_name(name: LossName, **options: Any) -> Loss:
    """Return the loss of that name ("cross-entropy", "squared-error") with its options.

    Raises UsageError where the name is unknown or the loss does not take an option.
    """
    if name not in LOSSES:
        raise UsageError(f"there is no loss {name!r}; known are {', '.join(LOSSES)}."
                         + did_you_mean(str(name), list(LOSSES)))
    taken = {option: value for option, value in options.items() if value is not None}
    known = LOSSES[name]().config()
    for option in taken:
        if option not in known or option == "name":
            raise UsageError(f"the loss {name} takes no {option.replace('_', ' ')}; leave it out.")
    return LOSSES[name](**taken)
