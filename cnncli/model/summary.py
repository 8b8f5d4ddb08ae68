"""A model in figures: its layers with shapes, parameters, cost and receptive fields (network/analysis.py counts them),
its classes, and how it was trained. `cnn inspect` shows it.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ..architectures import architecture, from_toml, usual_shape
from ..data import Preprocessing
from ..network import Network, analysis
from ..network.analysis import LayerSummary
from ..plain import in_plain_json
from .int8_file import weight_bytes
from .model import Model


@dataclass(frozen=True)
class Summary:
    """A model in figures.

    Attributes:
        architecture: The name of the architecture, None if not known.
        input_shape: The shape of an image: (h, w, c).
        classes: The names of the classes.
        layers: The layers in order: name, type, output shape, parameters and multiply-adds of each.
        preprocessing: What is done to an image first.
        training: How it was trained, as the model file says it.
        weight_bytes: How many bytes its weights take in a model file.
    """

    architecture: str | None
    input_shape: tuple[int, ...]
    classes: list[str]
    layers: list[LayerSummary]
    preprocessing: Preprocessing
    training: dict[str, Any]
    weight_bytes: int

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """How many multiply-adds one image takes, in convolutions and dense layers."""
        return sum(layer.multiply_adds for layer in self.layers)

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn inspect --json` prints."""
        return {
            "architecture": self.architecture,
            "input_shape": self.input_shape,
            "classes": self.classes,
            "parameters": self.parameters,
            "weight_bytes": self.weight_bytes,
            "flops": sum(layer.flops for layer in self.layers),
            "layers": [{"name": layer.name, "type": layer.type, "output_shape": layer.output_shape,
                        "parameters": layer.parameters, "flops": layer.flops} for layer in self.layers],
            "preprocessing": self.preprocessing.config(),
            "training": self.training,
        }


def untrained(name: str, shape: tuple[int, int, int] | None = None, classes: int = 10,
              grey: bool | None = None) -> tuple[Network, Summary]:
    """Return the untrained network of an architecture or a TOML file, and it in figures. shape is (h, w, c). None: that
    of the images that the architecture was published for, or (32, 32, 3) for a TOML file. grey says whether there is
    one channel, whatever the shape has, or three.

    Raises UsageError and NetworkError as ``architecture`` and ``from_toml`` do.
    """
    described = name.lower().endswith(".toml")
    h, w, c = shape or ((32, 32, 3) if described else usual_shape(name))
    c = c if grey is None else 1 if grey else 3
    make = from_toml if described else architecture
    network = make(name, (h, w, c), classes, seed=None)
    return network, Summary(name, network.input_shape, [f"class {i}" for i in range(classes)],
                            analysis.summarise(network), Preprocessing((h, w), grey=c == 1), {}, weight_bytes(network))


def summarise(model: Model) -> Summary:
    """Return a model in figures: its layers with shapes, parameters and cost.

    Args:
        model: The model.
    """
    return Summary(model.training.get("architecture"), model.network.input_shape, list(model.classes),
                   analysis.summarise(model.network), model.preprocessing, deepcopy(model.training),
                   weight_bytes(model.network))
