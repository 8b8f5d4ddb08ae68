"""plan.py: a plan must compute what the layers compute when used one by one, to the bit, however its arena reuses
memory; and no two arrays that are alive together may share a byte."""

import itertools

import numpy as np
import pytest

from cnncli.network import Network
from cnncli.network.arena import Tensor
from cnncli.network.plan import INPUT, Gate, Sum

BRANCHES = [
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "ReLU", "name": "relu"},
    {"type": "Conv2d", "name": "left", "out_channels": 8, "kernel_size": 3, "padding": 1, "inputs": ["relu"]},
    {"type": "BatchNorm2d", "name": "norm"},
    {"type": "Add", "name": "sum", "inputs": ["norm", "relu"]},
    {"type": "SiLU", "name": "silu"},
    {"type": "MaxPool2d", "name": "small", "kernel_size": 2, "inputs": ["silu"]},
    {"type": "AvgPool2d", "name": "mean", "kernel_size": 2, "inputs": ["silu"]},
    {"type": "Concat", "name": "both", "inputs": ["small", "mean", "small"]},
    {"type": "Add", "name": "twice", "inputs": ["both", "both"]},
    {"type": "Dropout", "name": "drop", "p": 0.3},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "fc", "out_features": 5},
]
UNLEARNT_START = [
    {"type": "ReLU", "name": "first"},
    {"type": "AvgPool2d", "name": "pool", "kernel_size": 2},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "fc", "out_features": 3},
]
# What is fused: sums of two gradients of one value, whoever sends the last; activations whose gradient comes from a
# convolution, from a layer that cannot finish it, and from an Add that passes on what it gets.
FUSED = [
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "ReLU6", "name": "start"},
    {"type": "Conv2d", "name": "one", "out_channels": 8, "kernel_size": 1},
    {"type": "BatchNorm2d", "name": "norm1"},
    {"type": "ReLU", "name": "relu1"},
    {"type": "Conv2d", "name": "two", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "BatchNorm2d", "name": "norm2"},
    {"type": "Conv2d", "name": "short", "out_channels": 8, "kernel_size": 1, "inputs": ["start"]},
    {"type": "BatchNorm2d", "name": "norm3"},
    {"type": "Add", "name": "sum1", "inputs": ["norm2", "norm3"]},
    {"type": "ReLU", "name": "relu2"},
    {"type": "Conv2d", "name": "three", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "BatchNorm2d", "name": "norm4"},
    {"type": "Add", "name": "sum2", "inputs": ["relu2", "norm4"]},
    {"type": "ReLU6", "name": "relu3"},
    {"type": "Conv2d", "name": "four", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "Add", "name": "sum3", "inputs": ["four", "relu3"]},
    {"type": "ReLU", "name": "relu4"},
    {"type": "Add", "name": "sum4", "inputs": ["relu4", "sum1"]},
    {"type": "Conv2d", "name": "five", "out_channels": 6, "kernel_size": 3},
    {"type": "ReLU", "name": "relu5"},
    {"type": "MaxPool2d", "name": "pool", "kernel_size": 2},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "fc1", "out_features": 10},
    {"type": "ReLU", "name": "relu6"},
    {"type": "Linear", "name": "fc2", "out_features": 5},
    {"type": "ReLU", "name": "last"},
]
# Poolings that the convolution before them does; not "apart", whose values a second layer reads.
POOLED = [
    {"type": "Conv2d", "name": "stem", "out_channels": 16, "kernel_size": 3, "padding": 1},
    {"type": "Conv2d", "name": "one", "out_channels": 20, "kernel_size": 3, "padding": 1},
    {"type": "ReLU", "name": "relu1"},
    {"type": "MaxPool2d", "name": "pool1", "kernel_size": 2},
    {"type": "Conv2d", "name": "two", "out_channels": 32, "kernel_size": 3, "padding": 1},
    {"type": "MaxPool2d", "name": "pool2", "kernel_size": 2},
    {"type": "BatchNorm2d", "name": "norm"},
    {"type": "Flatten", "name": "left"},
    {"type": "Conv2d", "name": "three", "out_channels": 32, "kernel_size": 3, "padding": 1, "inputs": ["pool1"]},
    {"type": "MaxPool2d", "name": "apart", "kernel_size": 2},
    {"type": "Conv2d", "name": "four", "out_channels": 32, "kernel_size": 3, "padding": 1, "inputs": ["three"]},
    {"type": "ReLU6", "name": "relu2"},
    {"type": "MaxPool2d", "name": "pool3", "kernel_size": 2},
    {"type": "Add", "name": "sum", "inputs": ["apart", "pool3"]},
    {"type": "Flatten", "name": "right"},
    {"type": "Concat", "name": "both", "inputs": ["left", "right"]},
    {"type": "Linear", "name": "fc", "out_features": 5},
]
# A gradient that two sums in a row pass on as it is, to the layers that they are fused behind and to what they add.
SUMS = [
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "Conv2d", "name": "one", "out_channels": 8, "kernel_size": 3, "padding": 1, "inputs": ["stem"]},
    {"type": "Add", "name": "sum1", "inputs": ["one", "stem"]},
    {"type": "Conv2d", "name": "two", "out_channels": 8, "kernel_size": 1, "inputs": ["stem"]},
    {"type": "Add", "name": "sum2", "inputs": ["two", "sum1"]},
    {"type": "Flatten", "name": "flat"},
    {"type": "Linear", "name": "fc", "out_features": 5},
]
GRAPHS = {"sums": SUMS, "branches": BRANCHES, "unlearnt start": UNLEARNT_START, "fused": FUSED, "pooled": POOLED}


def make_everything_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let plans keep no value that they can make again."""
    monkeypatch.setattr("cnncli.network.plan._REMADE_NUMBERS", 0)
    monkeypatch.setattr("cnncli.network.plan._REMADE_PART", 0)


def one_by_one(network: Network, images: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Run forward and backward layer by layer, each with arrays of its own, in training mode."""
    values = {INPUT: images}
    for node in network.nodes:
        values[node.name] = node.layer.forward(*(values[i] for i in node.inputs), training=True)
    flowing = {network.nodes[-1].name: gradient}
    for node in reversed(network.nodes):
        back = node.layer.backward(flowing.pop(node.name))
        for name, part in zip(node.inputs, back if isinstance(back, tuple) else (back,), strict=True):
            flowing[name] = flowing[name] + part if name in flowing else part
    return values[network.nodes[-1].name], {k: g.copy() for k, g in network.gradients().items()}


@pytest.mark.parametrize("remade", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_plan_is_the_layers_one_by_one(name: str, remade: bool, isa: str, rng: np.random.Generator,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    if remade:
        make_everything_again(monkeypatch)
    images = rng.standard_normal((4, 8, 8, 3)).astype(np.float32)
    planned, alone = Network(GRAPHS[name], (8, 8, 3), seed=3), Network(GRAPHS[name], (8, 8, 3), seed=3)
    planned.clock[:] = 0, 1
    plan = planned.plan(4, training=True)
    for _ in range(2):  # the second time over an arena full of leftovers
        np.copyto(plan.input, images)
        plan.forward()
        gradient = rng.standard_normal(plan.output.shape).astype(np.float32)
        output = plan.output.copy()
        np.copyto(plan.output_gradient, gradient)
        plan.backward()
        for node in alone.nodes:
            node.layer._alone = None
        expected, gradients = one_by_one(alone, images, gradient)
        np.testing.assert_array_equal(output, expected)
        for key, value in planned.gradients().items():
            np.testing.assert_allclose(value, gradients[key], rtol=1e-6, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("remade", [False, True])
def test_no_two_living_arrays_share_memory(name: str, training: bool, remade: bool,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    if remade:
        make_everything_again(monkeypatch)
    plan = Network(GRAPHS[name], (8, 8, 3)).plan(4, training)
    for a, b in itertools.combinations(plan._arena.tensors, 2):
        if a.first <= b.last and b.first <= a.last:
            assert not np.shares_memory(a.array, b.array)


def test_large_values_are_made_again_rather_than_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    block = [{"type": "Conv2d", "out_channels": 8, "kernel_size": 3}, {"type": "BatchNorm2d"}, {"type": "ReLU"}]
    network = Network([*block, *block, *block, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (32, 32, 3))
    kept = network._new_plan(4, training=True)
    assert not kept._remade
    make_everything_again(monkeypatch)
    plan = network._new_plan(4, training=True)
    assert plan._remade.keys() == {"relu1", "relu2"}  # nobody reads relu3 in backward
    assert plan.arena_bytes < kept.arena_bytes


def test_what_is_made_again_does_not_depend_on_how_values_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    block = [{"type": "Conv2d", "out_channels": 8, "kernel_size": 3}, {"type": "BatchNorm2d"}, {"type": "ReLU"}]
    make_everything_again(monkeypatch)
    monkeypatch.setattr("cnncli.network.plan._REMADE_NUMBERS", 4 * 30 * 30 * 8)  # those of relu1
    network = Network([*block, *block, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (32, 32, 3))
    whole = network._new_plan(4, training=True)
    network.precision = "bfloat16"
    half = network._new_plan(4, training=True)
    assert half._remade.keys() == whole._remade.keys() == {"relu1"}


@pytest.mark.parametrize("training", [False, True])
def test_convolutions_do_the_poolings_that_alone_read_them(training: bool, rng: np.random.Generator) -> None:
    network = Network(POOLED, (8, 8, 3), seed=3)
    plan = network.plan(4, training)
    assert plan._pooled == ({"one", "two", "four"} if training else {"relu1", "two", "relu2"})
    assert all(plan._values[name].bytes == 0 for name in plan._pooled)
    for unit, pooling in itertools.pairwise(plan._units):
        if unit.output in plan._pooled:  # which reads while the pooling's result is written
            assert not np.shares_memory(plan._values[unit.inputs[0]].array, plan._values[pooling.output].array)
    images = rng.standard_normal((4, 8, 8, 3)).astype(np.float32)
    kept = network.activations(images, [node.name for node in network.nodes])
    np.testing.assert_array_equal(network.forward(images), kept["fc"])


def test_the_arena_reuses_memory() -> None:
    deep = [{"type": "Tanh"} for _ in range(40)] + [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}]
    plan = Network(deep, (16, 16, 4)).plan(8, training=False)
    one_map = 8 * 16 * 16 * 4 * 4
    assert plan.arena_bytes - plan._workspace.bytes <= 2 * one_map


@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_of_shared_tensors_are_never_written_over(name: str) -> None:
    plan = Network(GRAPHS[name], (8, 8, 3)).plan(2, training=True)
    shared: set[Tensor] = set()
    for step in plan._gradients.steps:
        if isinstance(step, Sum | Gate):
            assert step.out not in shared
            continue
        passed_on = [] if step.unit.node.layer.passes_gradient else [t for t in step.dx if t is not None]
        assert not shared.intersection(passed_on)
        changed = step.dadd is step.dy and step.unit.activation and step.unit.node.layer.gates_itself
        assert not (changed and step.dy in shared)
        if step.unit.node.layer.passes_gradient or (step.dadd is step.dy and not changed):
            shared.add(step.dy)


def test_steps_allocate_nothing() -> None:
    import tracemalloc

    network = Network(BRANCHES, (8, 8, 3))
    plan = network.plan(4, training=True)
    plan.input.fill(0.5)
    plan.output_gradient.fill(0.1)
    plan.forward()
    plan.backward()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    plan.forward()
    plan.backward()
    assert tracemalloc.get_traced_memory()[1] - before < 4096
    tracemalloc.stop()
