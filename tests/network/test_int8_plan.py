"""Networks in whole numbers: each layer's bytes are those that its floats round to, whatever else there is around it;
and they are the same on every instruction set, with any number of threads, in any batch, in parts and in copies."""

import copy
import pickle

import numpy as np
import pytest

from cnncli import kernels
from cnncli.layers.int8 import Steps
from cnncli.network import Network
from cnncli.network.fusion import fuse
from cnncli.network.int8_plan import BYTES, Int8Plan, Quantisation
from cnncli.quantising.choosing import quantisation_of, without
from cnncli.quantising.folding import folded
from cnncli.quantising.observing import observe

ADD = [
    {"type": "Conv2d", "name": "a", "out_channels": 6, "padding": 1},
    {"type": "ReLU", "name": "a1"},
    {"type": "Conv2d", "name": "b", "out_channels": 6, "padding": 1, "bias": False},
    {"type": "BatchNorm2d", "name": "b1"},
    {"type": "Add", "name": "sum", "inputs": ["b1", "a1"]},
    {"type": "ReLU6", "name": "c1"},
    {"type": "MaxPool2d", "name": "pool", "kernel_size": 3, "stride": 2, "padding": 1},
    {"type": "GlobalAvgPool2d", "name": "mean"},
    {"type": "Dropout", "name": "drop"},
    {"type": "Linear", "name": "head", "out_features": 5},
]
# Sums and poolings that nothing takes in, branches, tables, a group, dilation, and layers that stay in floats.
ODD = [
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 5, "stride": 2, "padding": 2},
    {"type": "SiLU", "name": "silu"},
    {"type": "Conv2d", "name": "deep", "out_channels": 8, "groups": 8, "padding": 1},
    {"type": "LeakyReLU", "name": "leaky"},
    {"type": "Conv2d", "name": "wide", "out_channels": 8, "groups": 2, "dilation": 2, "padding": 2, "inputs": ["silu"]},
    {"type": "Add", "name": "sum", "inputs": ["leaky", "wide"]},
    {"type": "Add", "name": "three", "inputs": ["sum", "leaky", "wide"]},
    {"type": "AvgPool2d", "name": "half", "kernel_size": 2, "inputs": ["three"]},
    {"type": "AvgPool2d", "name": "other", "kernel_size": 2, "inputs": ["silu"]},
    {"type": "Concat", "name": "both", "inputs": ["half", "other", "half"]},
    {"type": "LPPool2d", "name": "root", "norm_type": 2, "kernel_size": 2, "stride": 1},
    {"type": "Tanh", "name": "tanh"},
    {"type": "MaxPool2d", "name": "max", "kernel_size": 2, "stride": 1},
    {"type": "ReLU", "name": "late"},
    {"type": "AdaptiveAvgPool2d", "name": "adaptive", "output_size": 2},
    {"type": "Scale", "name": "scale", "factor": -0.5},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "hidden", "out_features": 12},
    {"type": "BatchNorm2d", "name": "norm", "inputs": ["hidden"]},
    {"type": "Sigmoid", "name": "sigmoid"},
    {"type": "Linear", "name": "head", "out_features": 5},
    {"type": "Softmax", "name": "softmax"},
]
SHAPES = {"add": (ADD, (11, 9, 3)), "odd": (ODD, (21, 18, 3))}
both = pytest.mark.parametrize("which", SHAPES)


def made(which: str, images: int = 7) -> tuple[Network, np.ndarray]:
    """Return a network whose batch norms have statistics, folded and quantised, and normalised images."""
    layers, shape = SHAPES[which]
    network = Network(layers, shape, seed=3)
    rng = np.random.default_rng(5)
    for name, array in {**network.parameters(), **network.buffers()}.items():
        if name.endswith("bias") or "running" in name:
            array[...] = rng.uniform(0.3, 1.5, array.shape)
    x = rng.standard_normal((images, *shape)).astype(np.float32)
    result = folded(network)
    result.quantisation = quantisation_of(result, observe(result, lambda: iter([x])), "all values")
    return result, x


def expected(network: Network, x: np.ndarray) -> tuple[dict[str, np.ndarray], set[str]]:
    """Return each value, computed layer by layer from the bytes before it in floats and then rounded, and the names of
    those that are bytes."""
    found = network.quantisation
    assert found is not None
    units = fuse(network.nodes, training=False)
    plan = Int8Plan(network.nodes, network.input_shape, len(x), found, clock=network.clock,
                    packing=network._packing, int8_packing=network._int8._int8_packing)
    values, of_bytes = {"input": found.steps["input"].values_of(found.steps["input"].bytes_of(x))}, set()
    for unit in units:
        y = unit.node.layer.forward(*(values[name] for name in unit.inputs))
        y = y + values[unit.add] if unit.add else y
        if unit.activation:
            y = np.clip(y, 0, 6 if unit.activation == "relu6" else None)
        if plan.takes_bytes(unit) and unit.output in found.steps:
            of_bytes.add(unit.output)
        values[unit.output] = y
        if unit.output in found.steps:
            steps = found.steps[unit.output]
            # What reads it finds bytes or, where the layer yields floats and so does the one before, the floats.
            readers = [each for each in units if unit.output in each.reads]
            if unit.output in of_bytes or all(plan.takes_bytes(each) for each in readers):
                values[unit.output] = steps.values_of(steps.bytes_of(y))
    return values, of_bytes


@both
def test_the_outputs_are_those_of_floats_that_are_rounded_in_the_same_places(which: str) -> None:
    network, x = made(which)
    values, of_bytes = expected(network, x)
    outputs = network.forward(x)
    last = network.nodes[-1].name
    scale = np.abs(values[last]).max()
    assert np.abs(outputs - values[last]).max() < 0.02 * scale  # a step or two of those before it
    assert len(of_bytes) >= (5 if which == "add" else 11)
    network.quantisation = None
    assert 0 < np.abs(network.forward(x) - outputs).max() < 0.2 * scale


@both
def test_every_instruction_set_thread_count_and_batch_gives_the_same_bits(which: str) -> None:
    network, x = made(which)
    outputs = network.forward(x)
    for isa in kernels.isas():
        with kernels.use_isa(isa):
            if which == "add":  # all of it is in whole numbers
                np.testing.assert_array_equal(network.forward(x), outputs)
            else:
                np.testing.assert_allclose(network.forward(x), outputs, atol=0.02)
    for threads in (1, 3):
        before = kernels.threads()
        kernels.set_threads(threads)
        np.testing.assert_array_equal(network.forward(x), outputs)
        kernels.set_threads(before)
    np.testing.assert_array_equal(np.concatenate([network.forward(x[i : i + 1]) for i in range(len(x))]), outputs)


@pytest.mark.parametrize("name", ["a1", "c1", "mean", "drop"])
def test_two_parts_of_a_network_have_its_answers(name: str) -> None:
    network, x = made("add")
    before, behind = network.split(name)
    np.testing.assert_array_equal(behind.forward(before.forward(x)), network.forward(x))
    assert behind.quantisation is not None
    assert "input" in behind.quantisation.steps


@both
def test_layers_that_are_left_out_are_computed_in_floats(which: str) -> None:
    network, x = made(which)
    found = network.quantisation
    assert found is not None
    whole = network.forward(x)
    network.quantisation = without(found, found.scales)
    outputs = network.forward(x)
    network.quantisation = None
    exact = network.forward(x)
    assert np.abs(outputs - exact).mean() < np.abs(whole - exact).mean()
    network.quantisation = Quantisation({}, {})
    np.testing.assert_allclose(network.forward(x), exact, atol=1e-5)


def test_a_sum_that_is_much_finer_than_what_it_adds_stays_in_floats() -> None:
    network, x = made("add")
    found = network.quantisation
    assert found is not None
    steps = {**found.steps, "c1": Steps(found.steps["a1"].scale / 256, 0)}
    network.quantisation = Quantisation(steps, found.scales)
    outputs = network.forward(x)
    assert np.isfinite(outputs).all()
    unit = next(each for each in fuse(network.nodes, training=False) if each.output == "c1")
    assert not network.quantisation.takes_bytes(unit, [(11, 9, 6)])
    assert found.takes_bytes(unit, [(11, 9, 6)])


def test_copies_and_pickles_compute_the_same() -> None:
    network, x = made("add")
    outputs = network.forward(x)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(other.forward(x), outputs)


def test_training_and_looking_inside_are_in_floats() -> None:
    network, x = made("add")
    rounded = network.forward(x)
    seen = network.activations(x, ["head"])["head"]
    network.quantisation = None
    np.testing.assert_array_equal(seen, network.forward(x))
    assert not np.array_equal(seen, rounded)


def test_bytes_pass_from_layer_to_layer_and_floats_only_at_the_ends() -> None:
    network, x = made("add")
    found = network.quantisation
    assert found is not None
    plan = Int8Plan(network.nodes, network.input_shape, len(x), found, clock=network.clock,
                    packing=network._packing, int8_packing=network._int8._int8_packing)
    forms = {(step.value, step.form) for step in plan._steps}
    assert {value for value, form in forms if form != BYTES} == {"head"}
    assert {value for value, form in forms if form == BYTES} == {"input", "a1", "c1", "pool", "mean", "drop"}
