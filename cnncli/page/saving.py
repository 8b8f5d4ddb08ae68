"""What a page needs to write a model file of what was learnt in it: the file's description, and where the page has the
arrays. saving.js writes the file."""

import base64
from typing import Any

import numpy as np

from ..export.calls import Calls
from ..model import Model
from ..model.modelfile import FORMAT, VERSION, as_json

_TYPES = {"float32": "F32", "float64": "F64", "uint8": "U8", "int32": "I32", "uint32": "U32", "int64": "I64",
          "uint64": "U64"}


def model_file(model: Model, calls: Calls) -> dict[str, Any]:
    """Return the description and the arrays' places. An array is one of the program's constants, in another order where
    it has two or four dimensions, or stands here as base64."""
    places = {name: place for place, (name, _) in enumerate(calls.constants)}
    arrays = {**model.network.parameters(), **model.network.buffers()}
    training = {"architecture": model.training["architecture"]} if "architecture" in model.training else {}
    return {
        "metadata": {"format": FORMAT, "version": str(VERSION), "preprocessing": as_json(model.preprocessing.config()),
                     "training": as_json(training)},
        "network": model.network.config(),
        "arrays": [{"name": name, "shape": list(array.shape), "type": _TYPES[array.dtype.name],
                    **({"constants": places[name]} if name in places else
                       {"bytes": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()})}
                   for name, array in sorted(arrays.items())],
    }
