"""Losses: what training makes small. ``loss(logits, labels)`` is the loss of one batch. ``LOSSES`` maps names to the
classes.

To add one: a class with ``name``, ``calls`` and ``config``, registered in LOSSES and named in LossName. Its calls run
the kernels of csrc/loss.c, which turn logits and labels into each image's part and, in training, the gradient;
training/trainer.py and the evaluation run them.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from . import kernels
from .errors import DataError, UsageError, brief, no_such
from .kernels import Array, Call, Mixed
from .values import as_hinted

LARGEST_WEIGHT = 1e6  # of a class: more makes every other class count for nothing in float32
LossName = Literal["cross-entropy", "squared-error"]


class Loss:
    """What all losses have in common. A loss can be called: loss(logits, labels) returns the loss of a batch."""

    name: ClassVar[str] = ""

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        """Return the kernel calls that compute each image's part of the batch's loss.

        Running the calls raises DataError if a label is out of range.

        Args:
            logits: The network's outputs, float32 (n, classes).
            labels: The number of each image's class, int64 (n,).
            losses: Is filled with the parts, float64 (n,); their sum is the batch's loss.
            dlogits: Is filled with the gradient of that sum, float32 (n, classes). None: it is not computed.
            mixed: For images that are blends of two: (the second labels, int64 (n,); the shares of the first, float32
                (n,)). None: images are of one class each.
        """
        raise TypeError(f"{type(self).__name__} has no calls")

    def config(self) -> dict[str, Any]:
        """Return {"name": …} with the constructor's arguments as JSON values, for ``loss_by_name(**config)``."""
        return {"name": self.name}

    def __call__(self, logits: Array, labels: Array) -> float:
        """Return the loss of one batch: logits (n, classes), labels (n,), n at least 1. Raises DataError where they are
        no such thing."""
        try:
            logits = np.ascontiguousarray(logits, np.float32)
        except (TypeError, ValueError):
            raise DataError("the logits must be floats of the shape (n, classes); give an array of numbers.") from None
        if logits.ndim != 2 or not logits.size:
            raise DataError(f"the logits must have the shape (n, classes), n at least 1, not {logits.shape}.")
        losses = np.empty(len(logits))
        for call in self.calls(logits, as_labels(labels, *logits.shape), losses):
            call()
        return float(losses.sum())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items() if k != 'name')})"


class CrossEntropy(Loss):
    """Softmax cross-entropy, the mean over the batch, like PyTorch's CrossEntropyLoss.

    Args:
        label_smoothing: The share of each label that is spread over all classes, 0 to 1 (Szegedy et al. 2015).
        class_weights: One factor per class, by which its images count more or less; the mean is then over the weights
            of the batch's labels. A batch whose labels all have the weight 0 has loss 0. None: all images count the
            same.

    Raises:
        UsageError: label_smoothing is not between 0 and 1, or a weight is negative or not finite.
    """

    name = "cross-entropy"

    @as_hinted
    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        if not 0 <= label_smoothing <= 1:
            raise UsageError(f"the label smoothing must be a number from 0 to 1, not {brief(label_smoothing)}.")
        self.label_smoothing = float(label_smoothing)
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        for weight in self.class_weights or []:
            if not 0 <= weight <= LARGEST_WEIGHT:
                raise UsageError(f"a class weight must be a number from 0 to {LARGEST_WEIGHT:g}, not {brief(weight)}.")

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        weights = None
        if self.class_weights is not None:
            weights = np.array(self.class_weights, np.float32)
            if len(weights) != logits.shape[1]:
                raise UsageError(f"there are {len(weights)} class weights for {logits.shape[1]} classes; give one for "
                                 "each class, in the order of the classes.")
        return [kernels.cross_entropy(logits, labels, losses, dlogits, weights, self.label_smoothing, mixed)]

    def config(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else list(self.class_weights)
        return {"name": self.name, "label_smoothing": self.label_smoothing, "class_weights": weights}


class SquaredError(Loss):
    """Half the squared distance from one-hot targets: summed over the classes, averaged over the batch's images.

    The outputs are taken as they are. End the network with Softmax or Sigmoid to compare probabilities.
    """

    name = "squared-error"

    def calls(self, logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
              mixed: Mixed | None = None) -> list[Call]:
        return [kernels.squared_error(logits, labels, losses, dlogits, mixed)]


LOSSES: dict[LossName, Callable[..., Loss]] = {"cross-entropy": CrossEntropy, "squared-error": SquaredError}


def as_labels(labels: Any, images: int, classes: int, what: str = "labels") -> Array:
    """Return labels as a contiguous int64 array (images,).

    Args:
        labels: Whole numbers, one per image.
        images: How many images there are.
        classes: How many classes there are; labels are from 0 to classes - 1.
        what: What messages call them.

    Raises:
        DataError: They are not one whole number per image, or one is no class.
    """
    try:
        array = np.asarray(labels)
    except ValueError:
        raise DataError(f"{what} must be an array of one whole number for each image.") from None
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
    """Return a loss by its name.

    Args:
        name: "cross-entropy" or "squared-error".
        **options: The options of ``CrossEntropy``, where each is described. Those that are None are left out.

    Raises:
        UsageError: There is no such loss, or it does not take an option.
    """
    if name not in LOSSES:
        raise UsageError(no_such("loss", name, LOSSES))
    taken = {option: value for option, value in options.items() if value is not None}
    known = LOSSES[name]().config()
    for option in taken:
        if option not in known or option == "name":
            raise UsageError(f"the loss {name} takes no {option.replace('_', ' ')}; leave it out.")
    return LOSSES[name](**taken)
