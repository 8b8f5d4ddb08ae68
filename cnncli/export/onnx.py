"""A model as one ONNX file: images in, uint8 (n, h, w, c) of the model's size, and calibrated probabilities out, with
what is done to an image before and after the network folded in; any runtime for ONNX then says what `cnn predict` does.
onnx_layers.py writes the network, onnx_int8.py what is special about a quantised one.

Where ONNX Runtime is installed, the file is run before anybody gets it (onnx_check.py).
"""

import json

import numpy as np

from .._version import __version__
from ..errors import UsageError
from ..extras import install
from ..model import Model
from .golden import Golden, elsewhere, golden
from .onnx_check import checked
from .onnx_graph import Graph
from .onnx_int8 import shift_to_bytes
from .onnx_layers import add_network

OPSET, IR_VERSION = 17, 8  # of 2022: what every runtime in use reads


def to_onnx(model: Model, raw: bool = False) -> tuple[bytes, str]:
    """Return an ONNX file's bytes and a sentence that says whether it was run.

    raw leaves out what is before and behind the network: "input" is then float32 (n, c, h, w), normalised already, and
    "logits" comes out. Raises UsageError where the package onnx is missing, SaveError where ONNX Runtime does not say
    the same as we do.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise UsageError(f"writing ONNX files needs the package onnx; get it with: {install('onnx')}") from None
    model = elsewhere(model)
    graph, (h, w, c) = Graph(), model.preprocessing.shape
    classes = len(model.classes)
    if raw:
        output = graph.add("Identity", [add_network(graph, model.network, "input")], "logits")
        images = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", c, h, w])
    else:
        output = _probabilities(graph, model, add_network(graph, model.network, _normalised(graph, model, "image")))
        images = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", h, w, c])
    made = helper.make_model(
        helper.make_graph(graph.nodes, "cnn", [images],
                          [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", classes])],
                          [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cnn",
        producer_version=__version__)
    known = golden(model)
    helper.set_model_props(made, _metadata(model, known))
    checker.check_model(made)
    data: bytes = made.SerializeToString()
    return data, checked(data, model, known, raw)


def _normalised(graph: Graph, model: Model, image: str) -> str:
    """Append uint8 (n, h, w, c) -> float32 (n, c, h, w), normalised."""
    mean, std = np.array(model.preprocessing.mean), np.array(model.preprocessing.std)
    scale, shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    if model.network.quantisation:
        shift = shift_to_bytes(model, scale, shift)
    values = graph.add("Cast", [image], "image.float", to=1)
    scaled = graph.add("Mul", [values, graph.constant("image.scale", scale)], "image.scaled")
    shifted = graph.add("Add", [scaled, graph.constant("image.shift", shift)], "image.normalised")
    return graph.add("Transpose", [shifted], "image.channels", perm=[0, 3, 1, 2])


def _probabilities(graph: Graph, model: Model, logits: str) -> str:
    cooled = graph.add("Div", [logits, graph.constant("temperature", model.temperature)], "logits.cooled")
    return graph.add("Softmax", [cooled], "probabilities", axis=1)


def _metadata(model: Model, known: Golden) -> dict[str, str]:
    return {
        "classes": json.dumps(model.classes),
        "preprocessing": json.dumps(model.preprocessing.config()),
        "temperature": json.dumps(model.temperature),
        "golden_image": known.png(),
        "golden_probabilities": json.dumps(known.probabilities.tolist()),
    }
