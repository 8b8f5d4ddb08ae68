"""storage.py and Network.precision: in bfloat16 a plan computes what float32 does, but for the rounding of what it
stores, in half the memory, whatever layers stand beside each other; outside of it all arrays are float32."""

import copy
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.errors import KernelError, UsageError
from cnncli.kernels import BFLOAT16
from cnncli.layers.python import PythonLayer
from cnncli.network import Network
from cnncli.quantising.choosing import quantisation_of
from cnncli.quantising.folding import folded
from cnncli.quantising.observing import observe

from .test_plan import BRANCHES, FUSED, POOLED, UNLEARNT_START


class Halving(PythonLayer):
    """A layer of one's own, which knows nothing of bfloat16."""

    def compute(self, *x: Any, **_: Any) -> Any:
        return x[0] / 2

    def gradient(self, dy: Any, *x: Any, **_: Any) -> Any:
        return dy / 2


OWN = [{"type": "Conv2d", "name": "stem", "out_channels": 16, "kernel_size": 3, "padding": "same"},
       {"type": "Halving", "name": "own"},
       {"type": "Conv2d", "name": "next", "out_channels": 16, "kernel_size": 3, "padding": "same"},
       {"type": "BatchNorm2d", "name": "norm"},
       {"type": "GlobalAvgPool2d", "name": "mean"},
       {"type": "Linear", "name": "fc", "out_features": 3}]
MAP_AT_LAST = [{"type": "BatchNorm2d", "name": "norm"},  # reads the image, which is rounded for it
               {"type": "Conv2d", "name": "one", "out_channels": 16, "kernel_size": 3, "padding": "same"},
               {"type": "Conv2d", "name": "two", "out_channels": 16, "kernel_size": 1},
               {"type": "Add", "name": "sum", "inputs": ["one", "two"]}]
NETWORKS = {"branches": BRANCHES, "unlearnt start": UNLEARNT_START, "fused": FUSED, "pooled": POOLED, "own": OWN,
            "map at last": MAP_AT_LAST}


def some(images: int) -> Any:
    """Images that depend on nothing but their number."""
    return np.random.default_rng(images).standard_normal((images, 12, 12, 16)).astype(np.float32)


def network(name: str) -> Network:
    layers = [dict(each, p=0.0) if each["type"] == "Dropout" else dict(each) for each in NETWORKS[name]]
    return Network(layers, (12, 12, 16))


def step(net: Network, images: Any, towards: Any = None) -> tuple[Any, dict[str, Any]]:
    plan = net.plan(len(images), training=True)
    np.copyto(plan.input, images)
    plan.forward()
    output = plan.output.copy()
    np.copyto(plan.output_gradient, towards(output.shape))
    plan.backward()
    return output, {name: array.copy() for name, array in net.gradients().items()}


def distance(a: Any, b: Any) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-6))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_float32_but_for_rounding(name: str) -> None:
    net = network(name)
    images = some(6)
    other = np.random.default_rng(1)
    directions: dict[Any, Any] = {}

    def towards(shape: Any) -> Any:
        return directions.setdefault(shape, other.standard_normal(shape).astype(np.float32))

    expected, gradients = step(net, images, towards)
    net.precision = "bfloat16"
    output, found = step(net, images, towards)
    assert output.dtype == np.float32
    assert 0 < distance(output, expected) < 0.03  # it is another computation, and not far away
    # An activation that changes sides and a maximum that changes places move gradients by more than rounding does.
    # A bias before a batch norm has a gradient of 0 but for rounding.
    least = 0.02 * max(np.linalg.norm(each) for each in gradients.values())
    worst = {key: distance(found[key], gradients[key]) for key in found if np.linalg.norm(gradients[key]) > least}
    assert max(worst.values()) < 0.3, worst
    net.precision = "float32"
    again, same = step(net, images, towards)
    assert np.array_equal(again, expected)
    assert all(np.array_equal(same[key], gradients[key]) for key in same)


@pytest.mark.parametrize("name", NETWORKS)
def test_results_do_not_depend_on_threads_or_on_evaluation_batches(name: str) -> None:
    net, images = network(name), some(5)
    net.precision = "bfloat16"
    found = []
    for threads in (1, 2, 3):
        kernels.set_threads(threads)
        try:
            output, gradients = step(net, images, np.ones)
        finally:
            kernels.set_threads(kernels.available_cpus())
        found.append([output, *gradients.values()])
    for others in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(others, found[0], strict=True))
    evaluated = net.forward(images)
    assert np.array_equal(np.concatenate([net.forward(images[i : i + 1]) for i in range(5)]), evaluated)


def test_maps_are_stored_as_bfloat16_and_take_half_the_memory() -> None:
    net = network("fused")
    net.precision = "bfloat16"
    plan = net.plan(3, training=True)
    halves = {name for name, value in plan._values.items() if value.dtype == BFLOAT16}
    assert halves >= {"start", "sum1", "relu4"}
    assert not halves & {"input", "flat", "fc1", "last"}
    assert plan.input.dtype == plan.output.dtype == plan.output_gradient.dtype == np.float32
    large = architecture("resnet20", (32, 32, 3), 10)
    whole = large.plan(64, training=True).arena_bytes
    large.precision = "bfloat16"
    assert large.plan(64, training=True).arena_bytes < 0.6 * whole


def test_what_is_kept_and_gradients_inside_are_float32() -> None:
    net, images = network("fused"), some(3)
    exact = net.activations(images, ["sum1"])["sum1"]
    net.precision = "bfloat16"
    found = net.activations(images, ["sum1"])["sum1"]
    assert found.dtype == np.float32
    assert 0 < distance(found, exact) < 0.03
    plan = net.tracing(3, ["input", "sum1"])
    np.copyto(plan.input, images)
    plan.forward()
    plan.output_gradient[...] = 1
    plan.backward()
    assert plan.gradient("input").dtype == plan.gradient("sum1").dtype == np.float32
    assert np.abs(plan.gradient("input")).max() > 0


def test_parts_and_copies_keep_the_precision_and_no_layer_is_changed() -> None:
    net, images = network("own"), some(3)
    net.precision = "bfloat16"
    whole = net.forward(images)
    before, behind = net.split("own")
    assert before.precision == behind.precision == copy.deepcopy(net).precision == "bfloat16"
    assert distance(behind.forward(before.forward(images)), whole) < 0.02
    assert all(node.layer.storage == (False, False) for node in net.nodes)
    alone = net.node("stem").layer.forward(images)
    assert alone.dtype == np.float32


def test_plans_are_for_the_instructions_that_are_in_use() -> None:
    net, images = network("own"), some(3)
    net.precision = "bfloat16"
    first, plan = net.forward(images), net.plan(3, training=True)
    with kernels.use_isa("baseline"):
        with pytest.raises(KernelError, match="runs with the instructions that it was made for"):
            plan.forward()
        assert net.plan(3, training=True) is not plan
        assert distance(net.forward(images), first) < 0.05
    assert np.array_equal(net.forward(images), first)


def test_what_is_refused() -> None:
    net = network("own")
    with pytest.raises(UsageError, match=r"there is no precision 'half'; give float32 or bfloat16\."):
        net.precision = "half"
    whole = folded(network("fused"))
    whole.quantisation = quantisation_of(whole, observe(whole, lambda: iter([np.ones((2, 12, 12, 16), np.float32)])),
                                         "all values")
    with pytest.raises(UsageError, match="a quantised network computes in whole numbers"):
        whole.precision = "bfloat16"
    assert whole.precision == "float32"
