"""Convolutional image classifiers over folders of images, on an ordinary CPU.

    run = cnncli.train("photos/", arch="resnet20", epochs=10, seed=0)   # the run, with .model and .history
    model = cnncli.load("runs/latest")                                 # a file, a run folder, efficientnet_lite0
    model.predict(["a.png"])                                           # [Prediction(path, label, probability, …)]

    network = cnncli.architecture("resnet20", input_shape=(32, 32, 3), classes=10)
    trainer = cnncli.Trainer(network, cnncli.optim.SGD(lr=0.1, momentum=0.9), threads=2)
    loss = trainer.step(images, labels)

Nothing is imported before it is used: ``import cnncli`` takes no time and changes nothing in the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import errors, layers, loss, optim
    from .architectures import architecture
    from .data.check import check
    from .model import Model, Prediction
    from .network import Network
    from .training.find_lr import find_lr
    from .training.folds import cross_validate
    from .training.train import train
    from .training.trainer import Trainer
    from .weights.pretrained import load


# name -> (module, the name in it; "" for the module itself)
_HOMES = {
    "Model": ("model", "Model"),
    "Network": ("network", "Network"),
    "Prediction": ("model", "Prediction"),
    "Trainer": ("training.trainer", "Trainer"),
    "architecture": ("architectures", "architecture"),
    "check": ("data.check", "check"),
    "cross_validate": ("training.folds", "cross_validate"),
    "errors": ("errors", ""),
    "find_lr": ("training.find_lr", "find_lr"),
    "layers": ("layers", ""),
    "load": ("weights.pretrained", "load"),
    "loss": ("loss", ""),
    "optim": ("optim", ""),
    "train": ("training.train", "train"),
}

__all__ = ["Model", "Network", "Prediction", "Trainer", "__version__", "architecture", "check", "cross_validate",
           "errors", "find_lr", "layers", "load", "loss", "optim", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cnncli' has no attribute {name!r}")
    module, inside = _HOMES[name]
    value = import_module(f"{__name__}.{module}")
    if inside:
        value = getattr(value, inside)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
