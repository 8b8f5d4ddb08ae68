"""A look inside a training: the norms of its layers' weights and gradients, how much a step changes them, which ReLUs
are dead, what the network says of a few images, and its first filters. recorder.py says when to look.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..kernels import Array
from ..model import Model
from ..model.calibration import softmax
from ..network import Network, analysis
from ..network.plan import Plan
from ..report.pictures import data_uri
from ..training.inside import Inside
from ..visualize.canvas import signed
from ..visualize.filters import MOST_FILTERS

EXAMPLES = 16
_FLOATS = 2**22  # of activations that are kept at once: 16 MiB
_COMPARED = 2**18  # weights of a layer whose change is looked at; of more, those of every so many-th output
_RECTIFIED = ("relu", "relu6")
_DRAWN = 4  # looks between two pictures of the filters, which take as long as the rest where networks are small
_DIGITS = 4  # of a probability
_COLUMNS, _GAP = 16, 160  # of the filters' sheet: tiles beside each other, the grey between them


def layers_of(network: Network) -> list[dict[str, Any]]:
    """Return the layers, as a recording's begin has them."""
    return [{"name": layer.name, "kind": layer.type, "parameters": layer.parameters}
            for layer in analysis.summarise(network)]


def look_at(model: Model) -> dict[str, Any]:
    """Return what there is to see of a model that is not being trained, as a recording's look has it."""
    weights = _weights(model.network.parameters())
    layers = {name: {"weights": _norm(array), "gradients": None, "update": None, "dead": None}
              for name, array in weights.items()}
    return {"layers": layers, "probabilities": [], "filters": first_filters(weights)}


def chosen(labels: Array, classes: int) -> list[int]:
    """Return which images are the examples: by turns one of each class, of more classes of some that lie evenly apart,
    the first ones of each."""
    shown = np.unique(np.linspace(0, classes - 1, min(classes, EXAMPLES)).round().astype(int)).tolist()
    own = [np.flatnonzero(labels == label).tolist() for label in shown]
    turns = [(turn, place, index) for place, indices in enumerate(own) for turn, index in enumerate(indices[:EXAMPLES])]
    return [index for _, _, index in sorted(turns)[:EXAMPLES]]


class Looker:
    """Looks at one training. pixels are the examples as they are prepared, uint8 (n, h, w, c), n may be 0."""

    def __init__(self, inside: Inside, pixels: Array) -> None:
        self._inside, network = inside, inside.model.network
        self._weights = _weights(inside.weights)
        self._rectified = [node.name for node in network.nodes if node.layer.function in _RECTIFIED]
        self._plans: dict[int, Plan] = {}
        kept = sum(math.prod(network.shape_of(name)) for name in self._rectified)
        self._at_once = max(1, min(len(pixels), _FLOATS // max(kept, 1)))
        self._images = inside.model.preprocessing.normalise(pixels) if len(pixels) else pixels
        self._before: dict[str, Array] = {}
        self._looks = 0

    def prepare(self) -> None:
        """Plan how the examples go through the network; once, which takes longer than a look."""
        if not self._plans:
            for start in range(0, len(self._images), self._at_once):
                count = min(self._at_once, len(self._images) - start)
                if count not in self._plans:
                    self._plans[count] = self._inside.model.network.keeping(count, self._rectified)

    def remember(self) -> None:
        """Keep the weights as they are before a step that is to be looked at."""
        self._before = {name: _some(array).copy() for name, array in self._weights.items()}

    def forget(self) -> None:
        """Have no weights from before a step: the next look tells of no change."""
        self._before = {}

    def look(self, whole: bool = False) -> dict[str, Any]:
        """Return what a recording's look says, but for time and step. Changes by the last step are in it where its
        beginning was remembered. The picture of the filters is in every fourth look, and where the whole is wanted."""
        gradients, before, self._before = self._inside.gradients, self._before, {}
        layers = {name: {"weights": _norm(array), "gradients": _norm(gradients.get(f"{name}.weight")),
                         "update": _change(array, before.get(name)), "dead": None}
                  for name, array in self._weights.items()}
        probabilities, dead = self._judge()
        for name, share in dead.items():
            layers[name] = {"weights": None, "gradients": None, "update": None, "dead": share}
        self._looks += 1
        drawn = whole or self._looks % _DRAWN == 1
        return {"rate": self._inside.learning_rate, "layers": layers, "probabilities": probabilities,
                "filters": first_filters(self._weights) if drawn else None}

    def _judge(self) -> tuple[list[list[float]], dict[str, float]]:
        """Return the examples' probabilities, and of each ReLU the share of channels that are 0 for all of them."""
        images, step = self._images, self._at_once
        if not len(images):
            return [], {}
        self.prepare()
        highest, logits = dict[str, Array](), []
        for start in range(0, len(images), step):
            some = images[start : start + step]
            plan = self._plans[len(some)]
            np.copyto(plan.input, some)
            plan.forward()
            logits.append(plan.output.copy())
            for name in self._rectified:
                values = plan.kept(name)
                most = values.reshape(-1, values.shape[-1]).max(axis=0)
                highest[name] = np.maximum(highest[name], most) if name in highest else most
        rows = softmax(np.concatenate(logits)).round(_DIGITS).tolist()
        probabilities = [[each or 0 for each in row] for row in rows]  # of a thousand classes most are 0, and short so
        return probabilities, {name: float((most <= 0).mean()) for name, most in highest.items()}



def first_filters(weights: Mapping[str, Array]) -> dict[str, Any] | None:
    """Return the filters of the first convolution as a recording's look has them, None where it does not look at the
    channels of an image. weights are those of layers, in order."""
    name = next((name for name, array in weights.items() if array.ndim == 4), None)
    if name is None or weights[name].shape[1] not in (1, 3):
        return None
    sheet = _tiles(weights[name][:MOST_FILTERS].transpose(0, 2, 3, 1))
    return {"layer": name, "picture": data_uri(sheet, max(sheet.shape), max(sheet.shape))}


def _tiles(filters: Array) -> Array:
    """Return filters (n, kh, kw, 1 or 3) beside each other, a pixel for each weight, uint8 (h, w, 3): each scaled by
    its own largest weight; in colour where the channels are, else white at 0, red above and blue below."""
    count, high, wide, channels = filters.shape
    columns = min(count, _COLUMNS)
    sheet = np.full((-(-count // columns) * (high + 1) + 1, columns * (wide + 1) + 1, 3), _GAP, np.uint8)
    for i, weight in enumerate(filters):
        most = float(np.abs(weight).max()) or 1.0
        y, x = i // columns * (high + 1) + 1, i % columns * (wide + 1) + 1
        tile = signed(weight[:, :, 0], most) if channels == 1 else np.nan_to_num(127.5 + 127.5 * weight / most).round()
        sheet[y : y + high, x : x + wide] = tile
    return sheet


def _weights(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of layers by the layers' names, without those of norms."""
    return {name.removesuffix(".weight"): array for name, array in parameters.items()
            if name.endswith(".weight") and array.ndim > 1}


def _norm(array: Array | None) -> float | None:
    if array is None:
        return None
    flat = array.reshape(-1)
    return math.sqrt(float(np.dot(flat, flat)))


def _change(array: Array, before: Array | None) -> float | None:
    """Return how much of the weights a step has changed: the norm of the change by that of what was before."""
    if before is None or not (norm := _norm(before)):
        return None
    change = _norm(_some(array) - before)
    return None if change is None else change / norm


def _some(array: Array) -> Array:
    """Return a layer's weights, or, of very many, those of some outputs that lie evenly apart."""
    return array[:: -(-array.size // _COMPARED)]
