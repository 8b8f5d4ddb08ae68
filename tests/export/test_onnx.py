"""export/onnx.py: every layer with every way of its windows, every architecture, run by ONNX Runtime against our own
outputs. Skipped where onnx and onnxruntime (the extra [onnx]) are not installed."""

import json
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.calibration import Calibration
from cnncli.data import Preprocessing
from cnncli.errors import SaveError, UsageError
from cnncli.export import onnx as exporting
from cnncli.export.onnx import to_onnx
from cnncli.layers import LAYERS
from cnncli.model import Model
from cnncli.network import Network

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

CONV: dict[str, Any] = {"type": "Conv2d", "out_channels": 5}
CASES: list[list[dict[str, Any]]] = [
    [{**CONV, "kernel_size": [3, 2], "stride": [1, 2], "padding": [1, 0, 2, 1], "dilation": [2, 1]}],
    [{**CONV, "padding": "same_tf", "stride": 2}],
    [{**CONV, "padding": "same", "kernel_size": 4}],
    [{**CONV, "out_channels": 6, "groups": 3, "bias": False}, {"type": "BatchNorm2d", "scale": False}],
    [{"type": "BatchNorm2d", "affine": False}, {"type": "Tanh"}],
    [{"type": "Whitening", "padding": "same"}, {"type": "Sigmoid"}],
    *([{"type": "MaxPool2d", **windows}] for windows in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1},
        {"kernel_size": 2, "dilation": 3, "stride": 2},
        {"kernel_size": 2, "dilation": 3, "stride": 3, "ceil_mode": True, "padding": 1})),
    *([{"type": "AvgPool2d", **windows}] for windows in (
        {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": [2, 3], "ceil_mode": True},
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
        {"kernel_size": 3, "stride": 2, "ceil_mode": True, "padding": 1},
        {"kernel_size": 4, "stride": 3, "ceil_mode": True, "count_include_pad": False})),
    *([{"type": "ReLU"}, {"type": "LPPool2d", **windows}] for windows in (
        {"norm_type": 2, "kernel_size": 2}, {"norm_type": 3, "kernel_size": 3, "stride": 2, "ceil_mode": True},
        {"norm_type": 1, "kernel_size": 2, "ceil_mode": True})),
    [{"type": "LPPool2d", "norm_type": 2, "kernel_size": 2}],
    [{"type": "AdaptiveAvgPool2d", "output_size": [3, 7]}],
    [{"type": "AdaptiveAvgPool2d", "output_size": [11, 2]}, {"type": "SiLU"}],
    [{"type": "LeakyReLU", "negative_slope": 0.2, "name": "a"}, {"type": "ReLU6", "inputs": ["input"], "name": "b"},
     {"type": "Add", "inputs": ["a", "b", "input"]}],
    [{**CONV, "name": "a"}, {"type": "MaxPool2d", "kernel_size": 3, "stride": 1, "inputs": ["input"], "name": "b"},
     {"type": "Concat", "inputs": ["a", "b"]}, {"type": "Softmax"}],
    [{"type": "Dropout"}, {"type": "Scale", "factor": -0.5}, {"type": "GlobalAvgPool2d"}, {"type": "BatchNorm2d"},
     {"type": "SiLU"}],
]


def model_of(network: Network, rng: np.random.Generator) -> Model:
    """The model with weights and statistics that leave nothing at 0 or 1."""
    for name, array in {**network.parameters(), **network.buffers()}.items():
        if name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 2, array.shape)
        elif array.ndim == 1:
            array[...] = rng.uniform(-0.5, 1, array.shape)
    h, w, c = network.input_shape
    how = Preprocessing((h, w), c == 1, mean=(0.4, 0.5, 0.45)[:c], std=(0.2, 0.3, 0.25)[:c])
    return Model(network, [f"class {i}" for i in range(network.output_shape[0])], how)


def run(data: bytes, given: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]


@pytest.mark.parametrize("layers", CASES, ids=lambda layers: "-".join(layer["type"] for layer in layers))
def test_every_layer(layers: list[dict[str, Any]], rng: np.random.Generator) -> None:
    shape = (10, 9, 3)
    flat = len(Network(layers, shape).output_shape) == 1
    network = Network([*layers, *([] if flat else [{"type": "Flatten"}]), {"type": "Linear", "out_features": 4}], shape)
    model = model_of(network, rng)
    images = rng.standard_normal((3, *shape)).astype(np.float32)
    data, said = to_onnx(model, raw=True)
    assert "answers as cnn does" in said
    answer = run(data, np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(answer, network.forward(images), rtol=1e-4, atol=2e-5)


def test_no_layer_is_left_out() -> None:
    assert {layer["type"] for layers in CASES for layer in layers} | {"Flatten", "Linear"} == LAYERS.keys()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(name: str, rng: np.random.Generator) -> None:
    shape = (28, 28, 1) if name == "lenet5" else (64, 64, 3)
    model = model_of(architecture(name, shape, 5, seed=1), rng)
    model.calibration = Calibration(1.7, 100, 0.1, 0.1, ())
    data, said = to_onnx(model)
    assert "answers as cnn does" in said
    images = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    np.testing.assert_allclose(run(data, images), model.probabilities(images), atol=1e-5)


def test_what_the_file_says_of_itself(rng: np.random.Generator) -> None:
    model = model_of(architecture("lenet5", (28, 28, 1), 3, seed=1), rng)
    made = onnx.load_from_string(to_onnx(model)[0])
    said = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(said["classes"]) == model.classes
    assert json.loads(said["preprocessing"]) == model.preprocessing.config()
    assert len(json.loads(said["golden_probabilities"])) == 3
    [given], [answer] = made.graph.input, made.graph.output
    assert (given.name, answer.name) == ("image", "probabilities")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["n", 28, 28, 1]


def test_an_answer_that_differs_is_no_export(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(architecture("lenet5", (28, 28, 1), 3, seed=1), rng)
    write = exporting.add_network
    monkeypatch.setattr(exporting, "add_network", lambda graph, *rest: graph.add(
        "Mul", [write(graph, *rest), graph.constant("wrong", 1.01)], "more"))
    with pytest.raises(SaveError, match="answers differently"):
        to_onnx(model)


def test_without_the_package_it_says_how_to_get_it(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'cnncli\[onnx\]'"):
        to_onnx(model_of(architecture("lenet5", (28, 28, 1), 3), rng))
