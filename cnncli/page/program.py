"""A model as a page's script runs it: the calls of the engine's functions as JSON, and the weights as bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.preprocessing import CROP_SHARE, GREY
from ..export.calls import Calls, Constants, Value
from ..model import Model
from ..network import INPUT
from ..network.analysis import summarise
from .saving import model_file

FLOAT32_UP_TO = 2_000_000  # bytes of weights; of more, those of convolutions and dense layers become float16
FUNCTIONS = ("RELU", "RELU6", "LEAKY_RELU", "SILU", "SIGMOID", "TANH", "SCALE")  # as runtime.c numbers them
_ALIGNED = 16


@dataclass(frozen=True)
class Program:
    """What a page needs to judge an image: ``described`` is JSON, ``weights`` the constants, one after the other."""

    described: dict[str, Any]
    weights: bytes
    halved: bool

    @contextmanager
    def as_stored(self, model: Model) -> Iterator[None]:
        """Let the model have the weights that the page has, as long as this lasts."""
        weights = [node.layer.params["weight"] for node in model.network.nodes
                   if self.halved and "weight" in node.layer.params and node.layer.params["weight"].ndim > 1]
        exact = [weight.copy() for weight in weights]
        try:
            for weight in weights:
                weight[...] = weight.astype(np.float16)
            model.network.changed()
            yield
        finally:
            for weight, own in zip(weights, exact, strict=True):
                weight[...] = own
            model.network.changed()


def program(model: Model) -> Program:
    """Return a model's program. Raises UsageError for a layer that the engine has not."""
    calls = Calls(model.network, kept=True)
    halved = sum(array.nbytes for _, array in calls.constants) > FLOAT32_UP_TO
    weights, constants = bytearray(), list[dict[str, Any]]()
    for name, array in calls.constants:
        half = halved and name.endswith(".weight")
        weights += bytes(-len(weights) % _ALIGNED)
        constants.append({"name": name, "at": len(weights), "count": array.size, "half": half})
        weights += array.astype("<f2" if half else "<f4").tobytes()
    prepared = model.preprocessing
    h, w, c = prepared.shape
    return Program({
        "classes": list(model.classes), "temperature": model.temperature,
        "input": {"shape": [h, w, c], "crop": CROP_SHARE if prepared.resize == "crop" else 0,
                  "grey": GREY if prepared.resize == "pad" else None,
                  "mean": list(prepared.mean), "std": list(prepared.std), "at": calls.places[INPUT][0]},
        "layers": _layers(model, calls), "floats": calls.memory.most, "constants": constants,
        "file": model_file(model, calls),
        "calls": [[call.layer, call.function, *map(_argument, call.arguments)] for call in calls.calls],
    }, bytes(weights), halved)


def _layers(model: Model, calls: Calls) -> list[dict[str, Any]]:
    return [{"name": node.name, "kind": layer.type, "inputs": list(node.inputs), "shape": list(node.shape),
             "at": calls.places[node.name][0], "parameters": layer.parameters, "multiply_adds": layer.multiply_adds,
             "field": {"size": layer.field.size, "step": layer.field.step, "start": layer.field.start,
                       "whole": layer.field.whole}}
            for node, layer in zip(model.network.nodes, summarise(model.network), strict=True)]


def _argument(argument: Value | Constants | int | float | str | None) -> Any:
    """Return an argument for JSON: "@n" is the nth number of working memory, "#n" the nth constants."""
    match argument:
        case Value(place):
            return f"@{place}"
        case Constants(index):
            return f"#{index}"
        case str():
            return FUNCTIONS.index(argument)
    return argument
