"""export/onnx_int8.py: quantised networks in ONNX. Bytes are where our own plan has them and nowhere else, and ONNX
Runtime computes the same bytes as we do. Skipped where onnx and onnxruntime are not installed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.export.onnx import to_onnx
from cnncli.export.onnx_check import _EXACT
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.fusion import fuse
from cnncli.network.int8_plan import BYTES
from tests.network.test_int8_plan import ODD
from tests.trained import trained  # noqa: F401

from .cases import CASES, name_of, network_of
from .quantised import quantised

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SHAPE = (10, 9, 3)
RESIDUAL = [
    {"type": "Conv2d", "name": "first", "out_channels": 8, "padding": 1}, {"type": "BatchNorm2d"},
    {"type": "ReLU6", "name": "six"},
    {"type": "Conv2d", "name": "second", "out_channels": 8, "padding": 1, "bias": False},
    {"type": "Add", "name": "sum", "inputs": ["second", "six"]}, {"type": "ReLU", "name": "relu"},
    {"type": "MaxPool2d", "name": "pool", "kernel_size": 2},
    {"type": "Conv2d", "name": "left", "out_channels": 6, "inputs": ["pool"]},
    {"type": "Conv2d", "name": "right", "out_channels": 6, "inputs": ["pool"]},
    {"type": "SiLU", "name": "a", "inputs": ["left"]}, {"type": "Tanh", "name": "b", "inputs": ["right"]},
    {"type": "Add", "name": "both", "inputs": ["a", "b"]},
    {"type": "GlobalAvgPool2d", "name": "mean"}, {"type": "Linear", "name": "head", "out_features": 4},
]


def run(data: bytes, given: Any, also: list[str] | None = None) -> Any:
    """What ONNX Runtime answers, or the values named ``also``. It is told not to overflow on CPUs without VNNI."""
    made = onnx.load_from_string(data)
    for name in also or ():
        made.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(_EXACT, "1")
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers = session.run(also, {session.get_inputs()[0].name: given})
    return answers if also else answers[0]


def parts_of(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The nodes and the constants of a file."""
    graph = onnx.load_from_string(data).graph
    return list(graph.node), {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}


@pytest.mark.slow
@pytest.mark.parametrize("layers", CASES, ids=name_of)
def test_every_layer(layers: list[dict[str, Any]], rng: np.random.Generator) -> None:
    model = quantised(network_of(layers, SHAPE), rng)
    images = rng.integers(0, 256, (8, *SHAPE), dtype=np.uint8)
    answer = run(to_onnx(model)[0], images)
    error = np.abs(answer - model.probabilities(images)).max(axis=1)
    assert np.median(error) < (1e-3 if "Softmax" in name_of(layers) else 1e-5)  # ONNX Runtime has one of bytes
    assert error.max() < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet20", "mobilenet_v2", "squeezenet1_1"])
def test_architectures(name: str, rng: np.random.Generator) -> None:
    shape = (28, 28, 1) if name == "lenet5" else (32, 32, 3)
    model = quantised(architecture(name, shape, 5, seed=1), rng)
    images = rng.integers(0, 256, (8, *shape), dtype=np.uint8)
    data, said = to_onnx(model)
    assert "answers as cnn does" in said
    assert np.median(np.abs(run(data, images) - model.probabilities(images)).max(axis=1)) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("layers", [RESIDUAL, ODD], ids=["residual", "odd"])
def test_the_bytes_are_ours(layers: list[dict[str, Any]], rng: np.random.Generator) -> None:
    """Bytes are where Int8Plan has them, and there each is the same, but for one in ten thousand by one. Behind
    means there are more, because means are often half-way between two bytes."""
    shape = (22, 18, 3)
    model = quantised(Network(layers, shape, seed=2), rng)
    network = model.network
    images = rng.integers(0, 256, (6, *shape), dtype=np.uint8)
    given = model.preprocessing.normalise(images)
    plan = network._int8.of(len(images))
    names = {name for name, form in plan._tensors if form == BYTES}
    data, _ = to_onnx(model)
    found = [node.output[0].removesuffix(".bytes") for node in parts_of(data)[0] if node.op_type == "QuantizeLinear"]
    assert sorted(found) == sorted(names)
    assert len(names) > 5
    means, whole = False, {unit.output: unit.node.name for unit in fuse(network.nodes, training=False)}
    for name, theirs in zip(found, run(data, images, [f"{name}.bytes" for name in found]), strict=True):
        if name != "input" and fuse(network.upto(name).nodes, training=False)[-1].node.name != whole[name]:
            continue  # what is left of the network runs as other units
        steps = network.quantisation.steps[name]
        ours = steps.bytes_of(given if name == "input" else network.upto(name).forward(given)).astype(int)
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        differ = np.abs(theirs.astype(int) - ours)
        means = means or name in ("half", "other", "adaptive")
        assert (differ > 0).mean() <= (0.05 if means else 1e-4), name
        assert differ.max() <= 1, name


def test_sums_are_rounded_as_ours_are(rng: np.random.Generator) -> None:
    """Halves among them, which bytes of whole parts often make, and which others round to even."""
    shape = (16, 16, 3)
    network = Network([
        {"type": "MaxPool2d", "kernel_size": 3, "stride": 1, "padding": 1},
        {"type": "Scale", "name": "less", "factor": 0.37},
        {"type": "Add", "name": "sum", "inputs": ["input", "less"]},
        {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 4}], shape, seed=1)
    model = quantised(network, rng)
    images = rng.integers(0, 256, (64, *shape), dtype=np.uint8)
    theirs, = run(to_onnx(model)[0], images, ["sum.bytes"])
    ours = model.network.upto("sum").forward(model.preprocessing.normalise(images))
    steps = model.network.quantisation.steps["sum"]
    np.testing.assert_array_equal(theirs.transpose(0, 2, 3, 1), steps.bytes_of(ours))


@pytest.mark.slow
def test_pixels_become_our_bytes(rng: np.random.Generator) -> None:
    """Each pixel that there is, of which one or another is nearly half-way between two bytes."""
    images = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    for seed in range(12):
        model = quantised(network_of(CASES[0], (16, 16, 3)), np.random.default_rng(seed))
        [theirs] = run(to_onnx(model)[0], images, ["input.bytes"])
        ours = model.network.quantisation.steps["input"].bytes_of(model.preprocessing.normalise(images))
        np.testing.assert_array_equal(theirs.transpose(0, 2, 3, 1), ours, str(seed))


def test_weights_are_whole_numbers_but_for_layers_in_floats(rng: np.random.Generator) -> None:
    network = Network(RESIDUAL, (12, 12, 3), seed=1)
    model = quantised(network, rng, floats=["left"])
    nodes, constants = parts_of(to_onnx(model)[0])
    scales = model.network.quantisation.scales
    assert "left" not in scales
    assert {name for name, array in constants.items() if array.dtype == np.int8 and array.ndim > 1} == {
        f"{name}.weight.whole" for name in scales}
    assert constants["left.weight"].dtype == np.float32
    assert constants["head.weight.whole"].shape == (4, 6)
    np.testing.assert_array_equal(constants["head.weight.steps"], scales["head"])
    assert constants["first.bias.whole"].dtype == np.int32
    steps = model.network.quantisation.steps["input"]
    np.testing.assert_array_equal(constants["first.bias.steps"], scales["first"] * np.float32(steps.scale))
    axes = [node.attribute[0].i for node in nodes if node.op_type == "DequantizeLinear" and node.attribute]
    assert set(axes) == {0}


def test_a_file_of_a_quarter_of_the_size(rng: np.random.Generator) -> None:
    layers = [{"type": "Conv2d", "out_channels": 96, "padding": 1}, {"type": "ReLU"},
              {"type": "Conv2d", "out_channels": 96, "padding": 1}, {"type": "GlobalAvgPool2d"},
              {"type": "Linear", "out_features": 4}]
    model = quantised(Network(layers, (6, 6, 3), seed=1), rng)
    small, large = (len(to_onnx(each)[0]) for each in (model, model.in_floats()))
    assert small < 0.28 * large


@pytest.mark.slow
def test_a_trained_model(trained: Path) -> None:  # noqa: F811
    found = cnncli.quantise(trained / "runs" / "small", max_drop=100)
    model: Model = found.model
    files = sorted((trained / "photos").glob("*/*.png"))
    images = np.stack([model.preprocessing.prepare(file) for file in files])
    answer, ours = run(to_onnx(model)[0], images), model.probabilities(images)
    np.testing.assert_allclose(answer, ours, atol=1e-3)
    np.testing.assert_array_equal(answer.argmax(axis=1), ours.argmax(axis=1))
