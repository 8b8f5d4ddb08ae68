"""Files of weights, whatever their format: told apart by their first bytes, never by their name. fitting.py takes them
from here.
"""

import os
from dataclasses import dataclass

from ..errors import ModelError, printable
from ..kernels import Array
from ..model import Model
from ..model.checkpoint import load_model, model_path
from ..model.modelfile import is_ours, open_model, read_foreign

_ZIP, _PICKLE, _JSON = b"PK\x03\x04", b"\x80", b"{"


@dataclass(frozen=True)
class Weights:
    """Named arrays and the file they are from. model is the whole model where the file is one of ours, else None."""

    path: str
    arrays: dict[str, Array]
    model: Model | None = None


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Return what a file holds: a model of ours (or the folder of its run), a .safetensors of anybody's, or a state
    dict that PyTorch wrote, in either format. Nothing in it is ever executed.

    Raises ModelError, naming file and remedy, where it is none of these, damaged, or holds something else.
    """
    name = model_path(path)
    with open_model(name) as file:
        start = file.read(9)
        file.seek(0)
        if start.startswith((_ZIP, _PICKLE)):
            from .torchfile import read_torch, state_dict

            return Weights(name, state_dict(read_torch(file, name), name))
        if start[8:] != _JSON:
            raise ModelError(f"{printable(name)} holds no weights; give a model that 'cnn train' wrote, a .safetensors "
                             "file, or a state dict of PyTorch's (.pth).")
        if not is_ours(file, name):
            file.seek(0)
            return Weights(name, read_foreign(file, name))
    model = load_model(name)
    if model.network.quantisation:
        raise ModelError(f"{printable(name)} is quantised, and its weights are rounded; start from the model that it "
                         "was made of.")
    return Weights(name, {**model.network.parameters(), **model.network.buffers()}, model)
