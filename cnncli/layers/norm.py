"""Batch normalisation. The kernels are in csrc/norm.c."""

from typing import Any

import numpy as np

from .. import kernels
from ..errors import NetworkError, brief
from ..kernels import Array, Call, aligned_zeros
from .arguments import truth
from .base import Buffers, Layer, Shape, Spec, count

_FIRST_WEIGHT = {"ones": 1, "zeros": 0}


class BatchNorm2d(Layer):
    """Normalises each channel to mean 0 and variance 1, then scales and shifts it (Ioffe and Szegedy 2015).

    It takes images (h, w, c) and vectors (features,). Training uses the mean and variance of the batch; evaluation uses
    running averages of them. ``fixed`` = True lets training use the running averages, too, and keep them: for weights
    from elsewhere and batches that are too small.

    Args:
        num_features: The number of channels. None: taken from the input.
        eps: A small number that is added to the variance.
        momentum: How far each batch moves the running averages, 0 to 1.
        affine: Whether channels are scaled and shifted.
        scale: Whether channels are scaled; False leaves only the shift. Before a ReLU the next layer's weights can
            scale.
        init: The initial scale: "ones" or "zeros". With "zeros" at its end, a residual block begins as the identity
            (Goyal et al. 2017).
    """

    reads_input = True
    fuses_add = fuses_activation = gates_itself = dx_may_be_dy = remakes_output = folds = normalises = True
    takes_bfloat16 = True

    def __init__(self, num_features: int | None = None, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = True, scale: bool = True, init: str = "ones") -> None:
        super().__init__()
        if num_features is not None and (not isinstance(num_features, int) or num_features < 1):
            raise NetworkError(f"num_features must be a whole number of at least 1, not {brief(num_features)}.")
        if not isinstance(eps, int | float) or not 0 <= eps < float("inf"):
            raise NetworkError(f"eps must be a number of at least 0, not {brief(eps)}.")
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise NetworkError(f"momentum must be a number from 0 to 1, not {brief(momentum)}.")
        self.num_features = num_features
        self.eps, self.momentum, self.affine = float(eps), float(momentum), truth("affine", affine)
        self.scale = truth("scale", scale)
        if not isinstance(init, str) or init not in _FIRST_WEIGHT:
            raise NetworkError(f"BatchNorm2d's init must be {' or '.join(_FIRST_WEIGHT)}, not {brief(init)}.")
        self.init = init

    def config(self) -> dict[str, Any]:
        return {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum, "affine": self.affine,
                **({} if self.scale else {"scale": False}), **({} if self.init == "ones" else {"init": self.init})}

    def bind(self, *shapes: Shape) -> None:
        channels = self.output_shape(*shapes)[-1]
        self.num_features = channels
        if self.affine:
            if self.scale:
                self.add_parameter("weight", (channels,))
            self.add_parameter("bias", (channels,))
        if "running_mean" not in self.state:
            self.state = {"running_mean": aligned_zeros((channels,)), "running_var": aligned_zeros((channels,))}
            self.state["running_var"].fill(1)

    def output_shape(self, *shapes: Shape) -> Shape:
        if self.num_features not in (None, shapes[0][-1]):
            raise NetworkError(f"BatchNorm2d was made for {self.num_features} channels and its input has "
                               f"{shapes[0][-1]}; leave num_features out to take what comes.")
        return shapes[0]

    def initialise(self, rng: np.random.Generator) -> None:
        first = {"weight": _FIRST_WEIGHT[self.init], "running_var": 1}
        for name, array in {**self.params, **self.state}.items():
            array.fill(first.get(name, 0))

    def fold(self, params: dict[str, Array], folded: dict[str, Array]) -> None:
        mean, var = (self.state[name].astype(np.float64) for name in ("running_mean", "running_var"))
        weight = params["weight"]
        scale = self.params.get("weight", 1) / np.sqrt(var + self.eps)
        shift = (params["bias"] - mean if "bias" in params else -mean) * scale
        np.multiply(weight, scale.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1)), out=folded["weight"])
        folded["bias"][...] = shift + self.params.get("bias", 0)

    def saved(self, batch: int, *shapes: Shape) -> dict[str, Spec]:
        return {"statistics": ((2, shapes[0][-1]), np.float64)}

    def workspace(self, batch: int, *shapes: Shape, training: bool) -> int:
        return kernels.batch_norm_workspace(batch * count(shapes[0]) // shapes[0][-1], shapes[0][-1])

    def still(self) -> "BatchNorm2d":
        same = super().still()
        assert isinstance(same, BatchNorm2d)
        same.fixed = True
        return same

    def forward_calls(self, io: Buffers) -> list[Call]:
        x, weight, bias = io.x[0], self.params.get("weight"), self.params.get("bias")
        mean, var = self.state["running_mean"], self.state["running_var"]
        if not io.training or self.fixed:
            return [kernels.batch_norm_infer(x, weight, bias, mean, var, io.y, io.workspace, self.eps, io.add,
                                             io.activation, io.saved.get("statistics"))]
        if x.size == x.shape[-1]:
            raise NetworkError("BatchNorm2d cannot train on one value per channel; use a batch of two images or more.")
        return [kernels.batch_norm_train(x, weight, bias, io.y, mean, var, io.saved["statistics"], io.workspace,
                                         self.eps, self.momentum, io.add, io.activation)]

    def remake_calls(self, io: Buffers) -> list[Call]:
        return [kernels.batch_norm_again(io.x[0], self.params.get("weight"), self.params.get("bias"), io.y,
                                         io.saved["statistics"], io.workspace, io.activation)]

    def backward_calls(self, io: Buffers) -> list[Call]:
        if io.dy is None:
            return []
        y = io.y if io.add is not None else None  # without add the activation's slope follows from x
        return [kernels.batch_norm_backward(io.x[0], self.params.get("weight"), self.params.get("bias"), io.dy,
                                            io.saved["statistics"], io.dx[0], self.grads.get("weight"),
                                            self.grads.get("bias"), io.workspace, y, io.activation, io.dadd,
                                            self.fixed)]
