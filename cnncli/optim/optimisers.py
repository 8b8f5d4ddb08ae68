"""Optimisers: what turns gradients into the next parameters, and the norm that clipping and the check for NaN need.
An optimiser prepares one kernel call (csrc/optim.c) for all parameters when it is bound, and runs it each step;
cnncli/training/trainer.py drives it, cnncli/optim/schedule.py says the learning rate.

    norm = gradient_norm(gradients)
    optimiser.bind(parameters, gradients)
    optimiser.lr = schedule(step)
    optimiser.step(clip_scale(norm(), clip_norm))

To add one: subclass ``Optimiser``, register it in OPTIMISERS and name it in OptimiserName.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from .. import kernels
from ..errors import ModelError, UsageError, brief, no_such
from ..kernels import Array, Call, aligned_zeros
from ..values import as_hinted

# What small image classifiers train well with, where the user says nothing: optimiser_by_name fills these in. The
# classes' own defaults are PyTorch's.
OptimiserName = Literal["sgd", "adam", "adamw"]
DEFAULT_OPTIMISER: OptimiserName = "sgd"
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    "adam": {"lr": 1e-3},
    "adamw": {"lr": 1e-3, "weight_decay": 1e-2},
}


class Optimiser:
    """What all optimisers have in common.

    Semantics and defaults are PyTorch's, with one difference: weight decay leaves out parameters of fewer than two
    dimensions (biases, batch norms).

    Args:
        lr: The learning rate. It may be set before each step.
        weight_decay: How strongly large weights are penalised.

    Raises:
        UsageError: An option makes no sense.
    """

    name: ClassVar[str] = ""
    memories: tuple[str, ...] = ()  # the names of its arrays beside each parameter

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr = _number("learning rate", lr)
        self.weight_decay = _number("weight decay", weight_decay)
        self._initial_lr = self.lr
        self._steps = 0
        self._hyper = kernels.Hyper()
        self._call: Call | None = None
        self._memory: dict[str, dict[str, Array]] = {}

    def bind(self, parameters: dict[str, Array], gradients: dict[str, Array],
             rates: Mapping[str, float] | None = None) -> None:
        """Prepare to update parameters in place, from step 0 and without memory of earlier steps.

        Args:
            parameters: float32 arrays by name.
            gradients: Their gradients: the same names and shapes.
            rates: Multiples of the learning rate for some parameters, by name. Weight decay then shrinks these, of
                whatever dimensions, by the same part as those without one. None: all learn alike.

        Raises:
            UsageError: The arrays do not fit together, or a rate names no parameter.
        """
        if parameters.keys() != gradients.keys():
            raise UsageError("the parameters and the gradients have different names; give the network's own.")
        for name, parameter in parameters.items():
            for what, array in (("parameter", parameter), ("gradient", gradients[name])):
                if not (isinstance(array, np.ndarray) and array.dtype == np.float32 and array.flags.c_contiguous
                        and array.shape == parameter.shape):
                    raise UsageError(f"the {what} {name} must be a C-contiguous float32 array of the shape "
                                     f"{np.shape(parameter)}; give the network's own.")
        rates = rates or {}
        strange = sorted(rates.keys() - parameters.keys())
        if strange:
            raise UsageError(f"the learning rate for {strange[0]} fits no parameter, because none has this name; "
                             "leave it out.")
        for name, rate in rates.items():
            if not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
                raise UsageError(f"the learning rate of {name} must be a multiple above 0 of the usual one, not "
                                 f"{brief(rate)}.")
        self._steps = 0
        self._memory = {kind: {name: aligned_zeros(p.shape) for name, p in parameters.items()}
                        for kind in self.memories}
        self._call = self._prepare([
            kernels.Tensor(name, parameter, gradients[name], tuple(self._memory[kind][name] for kind in self.memories),
                           *self._decay_and_rate(parameter, rates.get(name)))
            for name, parameter in parameters.items()
        ])

    def _decay_and_rate(self, parameter: Array, rate: float | None) -> tuple[float, float]:
        if rate is None:
            return (self.weight_decay if parameter.ndim >= 2 else 0.0), 1.0
        return self.weight_decay / rate, rate

    def step(self, scale: float = 1.0) -> None:
        """Update every parameter once.

        Args:
            scale: What every gradient is multiplied by first (see ``clip_scale``).
        """
        if self._call is None:
            raise UsageError("the optimiser has no parameters yet; call its bind() before its first step.")
        self._hyper.set(self.lr, scale, self._steps + 1)
        self._call()
        self._steps += 1

    def state(self) -> dict[str, Array]:
        """Return a copy of what is needed to continue.

        Returns:
            "step", int64 (1,), and arrays like "momentum/conv1.weight", float32.
        """
        arrays = {f"{kind}/{name}": a.copy() for kind, named in self._memory.items() for name, a in named.items()}
        return {"step": np.array([self._steps], np.int64), **arrays}

    def load_state(self, state: dict[str, Array]) -> None:
        """Continue from a saved state, to the same bits. Call it after ``bind``.

        Args:
            state: What ``state`` returned. Arrays of other names are ignored.

        Raises:
            ModelError: An array is missing or has another shape. Nothing was changed.
        """
        wanted = {f"{kind}/{name}": a for kind, named in self._memory.items() for name, a in named.items()}
        for name, shape in {"step": (1,), **{name: a.shape for name, a in wanted.items()}}.items():
            if name not in state or state[name].shape != shape:
                raise ModelError(f"the saved state has no {name} of shape {shape}, which {self.name} needs to "
                                 "continue; "
                                 "train again, or continue with the optimiser and the network that it was saved from.")
        for name, array in wanted.items():
            array[...] = state[name]
        self._steps = int(state["step"][0])

    def config(self) -> dict[str, Any]:
        """Return {"name": …} with the constructor's arguments as JSON values, for ``optimiser_by_name(**config)``."""
        return {"name": self.name, "lr": self._initial_lr, "weight_decay": self.weight_decay}

    def _prepare(self, tensors: list[kernels.Tensor]) -> Call:
        raise TypeError(f"{type(self).__name__} has no step")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items() if k != 'name')})"


class SGD(Optimiser):
    """Stochastic gradient descent with momentum, like torch.optim.SGD.

    Momentum is Polyak's (1964), Nesterov's variant that of Sutskever et al. (2013).

    Args:
        lr: The learning rate.
        momentum: The part of the last update that is added to the next; 0: no momentum.
        dampening: The part of the gradient that is left out of the momentum.
        weight_decay: How strongly large weights are penalised; it is added to the gradient.
        nesterov: True uses Nesterov's variant, which needs momentum and no dampening.
    """

    name = "sgd"

    @as_hinted
    def __init__(self, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = _number("momentum", momentum)
        self.dampening = _number("dampening", dampening)
        self.nesterov = bool(nesterov)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise UsageError("nesterov needs a momentum above 0 and no dampening; give such a momentum, or "
                             "nesterov=False.")
        self.memories = ("momentum",) if self.momentum else ()

    def config(self) -> dict[str, Any]:
        return {**super().config(), "momentum": self.momentum, "dampening": self.dampening, "nesterov": self.nesterov}

    def _prepare(self, tensors: list[kernels.Tensor]) -> Call:
        return kernels.sgd_step(tensors, self._hyper, self.momentum, self.dampening, self.nesterov)


class Adam(Optimiser):
    """Adam (Kingma and Ba 2015), like torch.optim.Adam.

    Args:
        lr: The learning rate.
        betas: How slowly the averages of the gradient and of its square change, 0 to below 1.
        eps: A small number that keeps the division by the second average finite.
        weight_decay: How strongly large weights are penalised; it is added to the gradient.
    """

    name = "adam"
    memories = ("exp_avg", "exp_avg_sq")
    decoupled: ClassVar[bool] = False

    @as_hinted
    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        good = isinstance(betas, Sequence) and all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in betas)
        if not good or len(betas) != 2:
            raise UsageError(f"the betas must be two numbers from 0 to below 1, not {brief(betas)}.")
        self.betas = (float(betas[0]), float(betas[1]))
        self.eps = _number("eps", eps)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "betas": list(self.betas), "eps": self.eps}

    def _prepare(self, tensors: list[kernels.Tensor]) -> Call:
        return kernels.adam_step(tensors, self._hyper, self.betas, self.eps, self.decoupled)


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter 2019), like torch.optim.AdamW: Adam with weight decay apart from the gradient.

    Args:
        lr: The learning rate.
        betas: How slowly the averages of the gradient and of its square change, 0 to below 1.
        eps: A small number that keeps the division by the second average finite.
        weight_decay: How strongly large weights are penalised.
    """

    name = "adamw"
    decoupled = True

    @as_hinted
    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2) -> None:
        super().__init__(lr, betas, eps, weight_decay)


OPTIMISERS: dict[OptimiserName, Callable[..., Optimiser]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def optimiser_by_name(name: OptimiserName = DEFAULT_OPTIMISER, **options: Any) -> Optimiser:
    """Return an optimiser by its name.

    Args:
        name: "sgd", "adam" or "adamw".
        **options: The options of ``SGD``, ``Adam`` or ``AdamW``, where each is described. What is not given, or None,
            comes from ``RECIPES``, values that suit small image classifiers.

    Raises:
        UsageError: There is no such optimiser, or it does not take an option.
    """
    if name not in OPTIMISERS:
        raise UsageError(no_such("optimiser", name, OPTIMISERS))
    taken = {**RECIPES[name], **{option: value for option, value in options.items() if value is not None}}
    known = OPTIMISERS[name]().config()
    for option in taken:
        if option not in known or option == "name":
            raise UsageError(f"the optimiser {name} takes no {option.replace('_', ' ')}; leave it out.")
    return OPTIMISERS[name](**taken)


class GradientNorm:
    """The Euclidean norm of all gradients together; a prepared call, the same bits on any number of threads."""

    def __init__(self, gradients: dict[str, Array]) -> None:
        self._gradients = dict(gradients)
        self._norm = np.zeros(1)
        self._call = kernels.gradient_norm([kernels.Tensor(name, None, g) for name, g in gradients.items()], self._norm)

    def __call__(self) -> float:
        """Return the norm; infinite or NaN exactly where some gradient is."""
        self._call()
        return float(self._norm[0])

    def not_finite(self) -> list[str]:
        """Return the names of the gradients that hold an infinity or a NaN."""
        return [name for name, gradient in self._gradients.items() if not np.isfinite(gradient).all()]


def gradient_norm(gradients: dict[str, Array]) -> GradientNorm:
    """Return a callable that computes the Euclidean norm of all gradients together, as they are at the time.

    Args:
        gradients: float32 arrays by name, as ``Network.gradients`` returns them.
    """
    return GradientNorm(gradients)


def clip_scale(norm: float, clip_norm: float | None) -> float:
    """Return what to multiply gradients by so that their norm is at most clip_norm.

    It is min(1, clip_norm / (norm + 1e-6)), as in torch.nn.utils.clip_grad_norm_ (Pascanu et al. 2013).

    Args:
        norm: The norm of all gradients together.
        clip_norm: The largest norm allowed. None: any, and the result is 1.
    """
    return 1.0 if clip_norm is None else min(1.0, clip_norm / (norm + 1e-6))


def _number(what: str, value: float) -> float:
    """Return a number that is finite and at least 0, as a float. Raises UsageError otherwise."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
        raise UsageError(f"the {what} must be a finite number of at least 0, not {brief(value)}.")
    return float(value)
