"""Door to csrc/loss.c: losses with their gradients. The classes that own the options are in cnncli/loss.py."""

from typing import Any

from .._kernels import ffi, lib
from ..errors import DataError
from .door import Array, Call, pointer

Mixed = tuple[Array, Array]  # other labels int64 (n,), the label's own share float32 (n,)


class LossCall(Call):
    """A call over labels that somebody else fills in later: C checks them each time, and this names the wrong one."""

    __slots__ = ("classes", "labels")

    def __init__(self, name: str, targets: Any, *arguments: Any, labels: tuple[Array, ...],
                 keep: tuple[Any, ...]) -> None:
        super().__init__(name, targets, *arguments, keep=(targets, *keep))
        self.labels = labels
        self.classes = int(targets.classes)

    def fail(self, status: int) -> None:
        for labels in self.labels:
            wrong = (labels < 0) | (labels >= self.classes)
            if status == lib.CNN_INVALID and wrong.any():
                image = int(wrong.argmax())
                raise DataError(f"image {image} of the batch has label {labels[image]}, but the network has "
                                f"{self.classes} outputs; labels go from 0 to {self.classes - 1}.")
        super().fail(status)


def _targets(outputs: Array, labels: Array, mixed: Mixed | None) -> Any:
    """Return a new cnn_targets."""
    n, classes = outputs.shape
    others, shares = mixed or (None, None)
    return ffi.new("cnn_targets *", {
        "n": n, "classes": classes, "labels": pointer("labels", labels, (n,), "int64"),
        "others": pointer("other labels", others, (n,), "int64"), "shares": pointer("shares", shares, (n,))})


def cross_entropy(logits: Array, labels: Array, losses: Array, dlogits: Array | None = None,
                  weights: Array | None = None, smoothing: float = 0.0, mixed: Mixed | None = None) -> Call:
    """Prepare softmax cross-entropy: float32 logits (n, classes), int64 labels (n,) -> float64 losses (n,), each
    image's share of the weighted mean, and, unless None, dlogits, the gradient of their sum.

    weights is float32 (classes,) or None for ones; dlogits may be logits. mixed is (other labels int64 (n,), shares
    float32 (n,)): an image's target is its label's by that share and the other's by the rest. Running the call raises
    DataError where a label is out of range.
    """
    n, classes = logits.shape
    return LossCall("cnn_cross_entropy", _targets(logits, labels, mixed), smoothing, pointer("logits", logits),
                    pointer("weights", weights, (classes,)), pointer("losses", losses, (n,), "float64"),
                    pointer("dlogits", dlogits, logits.shape), labels=(labels, *(mixed or ())[:1]),
                    keep=(logits, mixed, weights, losses, dlogits))


def squared_error(outputs: Array, labels: Array, losses: Array, doutputs: Array | None = None,
                  mixed: Mixed | None = None) -> Call:
    """Prepare losses[i] = 1/2 sum over classes of (target - output)^2, divided by n, and, unless None, the gradient of
    their sum; the target is 1 at the label or, mixed, its share there and the rest at the other. Shapes and errors as
    in cross_entropy."""
    return LossCall("cnn_squared_error", _targets(outputs, labels, mixed), pointer("outputs", outputs),
                    pointer("losses", losses, (len(outputs),), "float64"),
                    pointer("doutputs", doutputs, outputs.shape), labels=(labels, *(mixed or ())[:1]),
                    keep=(outputs, mixed, losses, doutputs))
