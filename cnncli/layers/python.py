"""Layers that a user writes in NumPy: a subclass of PythonLayer says what it computes and the gradient of that, and is
then a layer like every other, in networks, plans, trainings and model files. docs/layers.md has a complete example.
Exports refuse it by name, because nobody else has its code.
"""

from typing import Any

import numpy as np

from ..errors import NetworkError
from ..kernels import Array, Call
from .base import Buffers, Layer


class PythonLayer(Layer, abstract=True):
    """A layer that you write in Python: a subclass with ``compute`` and, for training, ``gradient``.

    It overrides ``output_shape`` if the output has another shape than the first input, and ``config`` if the
    constructor takes options. A layer that learns overrides ``bind``, to call ``add_parameter``, and ``initialise``, to
    fill ``params``; its ``gradient`` then writes ``grads``. The arrays that it is given are read-only and valid during
    the call only. docs/layers.md has a complete example.

    Attributes:
        arity: How many inputs it has; None for two or more. 1 unless the subclass says otherwise.
        training: In ``compute``: whether it behaves as in training.
    """

    reads_input = True
    training = False  # in compute: whether it runs in training

    def __init_subclass__(cls, abstract: bool = False, **options: Any) -> None:
        if "forward" in cls.__dict__ or "backward" in cls.__dict__:
            raise NetworkError(f"{cls.__name__} defines forward or backward, which cnncli.Layer has already; write "
                               "compute(*x) and gradient(dy, *x) instead.")
        super().__init_subclass__(abstract, **options)

    def __init__(self) -> None:
        super().__init__()
        self._clock = np.zeros(2, np.uint64)
        self._still = False

    def compute(self, *x: Any, **_: Any) -> Any:
        """Return the output for the inputs. The subclass writes this.

        Args:
            *x: The inputs, float32 (n, h, w, c) or (n, features).

        Returns:
            The output, (n, *output_shape).
        """
        raise NetworkError(f"{type(self).__name__} has no compute(*x); write one that returns the output.")

    def gradient(self, dy: Any, *x: Any, **_: Any) -> Any:
        """Return the gradient by the inputs, and fill ``grads``. The subclass writes this.

        Args:
            dy: The gradient of the loss by the output, float32 with the output's shape.
            *x: The inputs, as ``compute`` had them.

        Returns:
            The gradient by the input; a tuple if there are several inputs.
        """
        raise NetworkError(f"{type(self).__name__} has no gradient(dy, *x); write it, or do not train with the layer.")

    def random(self) -> np.random.Generator:
        """Return a generator that draws the same numbers in ``compute`` and in the ``gradient`` after it.

        They differ from step to step and from layer to layer, and are the same after resuming.
        """
        return np.random.default_rng([*map(int, self._clock), self.stream])

    def still(self) -> "PythonLayer":
        same = super().still()
        assert isinstance(same, PythonLayer)
        same.grads = {name: np.empty_like(array) for name, array in self.grads.items()}  # for ``gradient`` to write
        same._still = True
        return same

    def forward_calls(self, io: Buffers) -> list[Call]:
        x = [_read_only(a) for a in io.x]
        training = io.training and not self._still
        return [Call(f"{type(self).__name__}.compute", x, io.y, training, io.clock, function=self._compute)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dy is None:
            return []
        x, dy = [_read_only(a) for a in io.x], _read_only(io.dy)
        return [Call(f"{type(self).__name__}.gradient", dy, x, list(io.dx), io.clock, function=self._gradient)]

    def _compute(self, x: list[Array], y: Array, training: bool, clock: Array) -> int:
        self.training, self._clock = training, clock
        _store(f"{type(self).__name__}.compute", self.compute(*x), y)
        return 0

    def _gradient(self, dy: Array, x: list[Array], dx: list[Array | None], clock: Array) -> int:
        self.training, self._clock = not self._still, clock
        own = dict(self.grads)
        found, name = self.gradient(dy, *x), f"{type(self).__name__}.gradient"
        for key, array in own.items():  # whoever put another array there is forgiven: the optimiser knows the first
            if self.grads.get(key) is not array:
                _store(f"{name}, grads[{key!r}],", self.grads.get(key), array)
                self.grads[key] = array
        shares = found if isinstance(found, tuple) else (found,)
        if len(shares) != len(x):
            raise NetworkError(f"{name} gave {len(shares)} of {len(x)} gradients; return a tuple, one for each input.")
        for share, room in zip(shares, dx, strict=True):
            if room is not None:
                _store(name, share, room)
        return 0


def _read_only(array: Array) -> Array:
    """Return a view that nobody can write through: others read the array, too."""
    view: Array = array.view()
    view.flags.writeable = False
    return view


def _store(what: str, value: Any, room: Array) -> None:
    """Copy a result to where it belongs. Raises NetworkError where it is no numbers of the shape promised."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.shape != room.shape:
        shown = f"an array of shape {array.shape} and type {array.dtype}" if array.ndim else f"a {type(value).__name__}"
        raise NetworkError(f"{what} gave {shown}, not numbers of shape {room.shape}.")
    np.copyto(room, array, casting="same_kind")
