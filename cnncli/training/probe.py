"""The last layer first: it is fitted to features, which the layers before it compute once for each image. This takes as
long as running every image through the network once. A linear probe (``--probe``) is nothing more. A training that
starts from learnt weights begins with it, because gradients through a random last layer would spoil the other layers
(Kumar et al. 2022). fit.py asks for it before the first step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Images
from ..data.sharing import shared_rows
from ..kernels import Array
from ..loss import Loss
from ..model import Model
from ..model.calibration import cross_entropy
from ..network import Network, Node
from ..network.blocks import dense_head
from ..ranks.world import ALONE, World
from .lbfgs import Vector, minimise

AT_ONCE = 64
# How strongly the head's weights are held down: less and less, as long as the validation images win by it; and how
# strongly where there are none. On features of mean 0 and deviation 1.
STRENGTHS, USUAL_STRENGTH = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001), 0.03
LEAST_DEVIATION = 1e-3  # of a feature, below which it is taken as it is

Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Probe:
    """How well a last layer fits: the mean cross-entropy of the training images, how many of them are right, and the
    weight decay that was used.
    """

    loss: float
    right: int
    images: int
    strength: float


def fit_head(model: Model, loss: Loss, train: Images, val: Images | None, watch: Watch, world: World = ALONE) -> Probe:
    """Fit the last layer of a model to the loss of all training images, with the weight decay that is best for the
    validation images. watch(done, total) is called as images pass the layers before it, and before each evaluation of
    all features; what it raises ends the fitting. Several processes share the images, and then all do the same.
    """
    last = dense_head(model.network)
    assert last is not None, "check_head has not been asked"
    body, behind = model.network.split(last.inputs[0])
    total = len(train) + (len(val) if val else 0)
    x = _features(body, model, train, lambda done: watch(done, total), world)
    seen = None if val is None else _features(body, model, val, lambda done: watch(len(train) + done, total), world)
    bias = "bias" in last.layer.params
    mean = x.mean(0, dtype=np.float64) * bias
    deviation = x.std(0, dtype=np.float64)
    deviation[deviation < LEAST_DEVIATION] = 1
    for values in (x, seen):
        if values is not None:
            values[...] = (values - mean) / deviation
    fitted = _Fitting(behind, last, loss, x, train.labels, lambda: watch(total, total)).fit(
        seen, None if val is None else val.labels)
    weight = last.layer.params["weight"]
    wide = weight / deviation
    weight[...] = wide
    if bias:
        last.layer.params["bias"] -= (wide * mean).sum(1).astype(np.float32)
    model.network.changed()
    return fitted


def _features(body: Network, model: Model, images: Images, watch: Callable[[int], None], world: World) -> Array:
    """Return the features of prepared images, float32 (n, d): the outputs of the layers before the last one."""

    def features(pixels: Array) -> Array:
        return body.forward(model.preprocessing.normalise(pixels))

    return shared_rows(images, features, body.output_shape, np.float32, AT_ONCE, watch, world)


class _Fitting:
    """The last layer on all features at once. Its own forward and backward, and those of the loss, are used."""

    def __init__(self, behind: Network, last: Node, loss: Loss, x: Array, labels: Array, ask: Callable[[], None]
                 ) -> None:
        self._ask = ask
        self._behind, self._params, self._grads = behind, last.layer.params, last.layer.grads
        self._labels, self._losses = labels, np.empty(len(x))
        self._plan = behind.plan(len(x), training=True)
        self._calls = loss.calls(self._plan.output, np.ascontiguousarray(labels), self._losses,
                                 self._plan.output_gradient)
        np.copyto(self._plan.input, x)
        self._shrunk = self._flat({name: np.full(array.shape, name == "weight", np.float32)
                                   for name, array in self._params.items()})

    def fit(self, seen: Array | None, labels: Array | None) -> Probe:
        """Fit, and return how well. With validation features, the weight decay with the lowest validation loss is used.
        """
        point = np.zeros_like(self._shrunk)
        best, least, chosen = point, np.inf, USUAL_STRENGTH
        for strength in (USUAL_STRENGTH,) if seen is None else STRENGTHS:
            point, _ = minimise(lambda at, strength=strength: self._value(at, strength), point)  # type: ignore[misc]
            self._put(point)
            found = 0.0 if seen is None or labels is None else cross_entropy(self._behind.forward(seen), labels)
            if found >= least:
                break
            best, least, chosen = point, found, strength
        self._value(best, chosen)
        logits = self._plan.output
        right = int((logits.argmax(axis=1) == self._labels).sum())
        return Probe(cross_entropy(logits, self._labels), right, len(self._labels), chosen)

    def _value(self, point: Vector, strength: float) -> tuple[float, Vector]:
        """Return the loss with weight decay, and its gradient."""
        self._ask()
        self._put(point)
        self._plan.forward()
        for call in self._calls:
            call()
        self._plan.backward()
        held = strength * self._shrunk * point
        return float(self._losses.sum() + 0.5 * (held * point).sum()), self._flat(self._grads) + held

    def _put(self, point: Vector) -> None:
        start = 0
        for array in self._params.values():
            array[...] = point[start : start + array.size].reshape(array.shape)
            start += array.size
        self._behind.changed()

    def _flat(self, arrays: dict[str, Array]) -> Vector:
        flat: Sequence[Array] = [array.ravel() for array in arrays.values()]
        return np.concatenate(flat).astype(np.float64)
