"""A model that is made in a moment, for tests of what is done with models: convolution, batch norm with statistics,
three classes with awkward names."""

import numpy as np

from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.network import Network

CLASSES = ["ankle boot", "zwei\nZeilen", "été \udcff"]  # the last one's folder is not called in UTF-8


def small_model(size: tuple[int, int] = (6, 5), grey: bool = False, seed: int = 0, **preprocessing) -> Model:
    """Return a model with random weights for images of this size."""
    how = Preprocessing(size, grey, **preprocessing)
    network = Network(
        [
            {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"type": "BatchNorm2d"},
            {"type": "ReLU"},
            {"type": "Flatten"},
            {"type": "Linear", "out_features": len(CLASSES)},
        ],
        how.shape,
        seed,
    )
    rng = np.random.default_rng(seed)
    for array in network.buffers().values():
        array[...] = rng.uniform(0.5, 2, array.shape)
    return Model(network, CLASSES, how, {"arch": "small", "epoch": 3, "val_accuracy": 0.5})


def weights(model: Model) -> dict[str, np.ndarray]:
    return {**model.network.parameters(), **model.network.buffers()}


def same(a: Model, b: Model) -> bool:
    """Whether two models are the same in everything that is saved."""
    ours, theirs = weights(a), weights(b)
    return (a.network.config() == b.network.config() and a.classes == b.classes and a.training == b.training
            and a.preprocessing == b.preprocessing and ours.keys() == theirs.keys()
            and all(np.array_equal(ours[name], theirs[name]) for name in ours))
