"""fusion.py: which layers run as one, and which must not. That the units compute the same is for test_plan.py and
test_packing.py."""

from typing import Any

import pytest

from cnncli.network import Network
from cnncli.network.fusion import fuse, unit_of_each

CONV: dict[str, Any] = {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
END = [{"type": "Flatten", "name": "flat"}, {"type": "Linear", "name": "fc", "out_features": 2}]
BLOCK = [
    {**CONV, "name": "stem"},
    {"type": "ReLU", "name": "start"},
    {**CONV, "name": "conv"},
    {"type": "BatchNorm2d", "name": "norm"},
    {"type": "Add", "name": "sum", "inputs": ["norm", "start"]},
    {"type": "ReLU6", "name": "relu"},
    *END,
]


def units(layers: list[dict[str, Any]], training: bool, keep: tuple[str, ...] = ()) -> list[str]:
    """Each unit in words: layer(inputs) norm + add activation -> output."""
    words = []
    for unit in fuse(Network(layers, (4, 4, 3)).nodes, training, keep):
        norm, add = (f" {unit.norm.name}" if unit.norm else ""), (f" + {unit.add}" if unit.add else "")
        activation = f" {unit.activation}" if unit.activation else ""
        words.append(f"{unit.node.name}({', '.join(unit.inputs)}){norm}{add}{activation} -> {unit.output}")
    return words


END_UNITS = ["flat(relu) -> flat", "fc(flat) -> fc"]


def test_which_unit_each_layer_is_in() -> None:
    nodes = Network(BLOCK, (4, 4, 3)).nodes
    stem, conv, flat, fc = fuse(nodes, training=False)
    assert unit_of_each([stem, conv, flat, fc], nodes) == {
        "stem": stem, "start": stem, "conv": conv, "norm": conv, "sum": conv, "relu": conv, "flat": flat, "fc": fc}


def test_in_evaluation_a_residual_block_is_its_convolutions() -> None:
    assert units(BLOCK, training=False) == [
        "stem(input) relu -> start", "conv(start) norm + start relu6 -> relu", *END_UNITS]


def test_in_training_the_batch_norm_takes_the_sum_and_the_activation() -> None:
    assert units(BLOCK, training=True) == [
        "stem(input) relu -> start", "conv(start) -> conv", "norm(conv) + start relu6 -> relu", *END_UNITS]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kept", ["stem", "conv", "norm", "sum"])
def test_what_is_to_be_kept_is_not_fused_away(kept: str, training: bool) -> None:
    outputs = [words.split("-> ")[1] for words in units(BLOCK, training, (kept,))]
    assert kept in outputs


def test_a_value_with_two_readers_is_not_fused_away() -> None:
    layers = [{**CONV, "name": "conv"}, {"type": "ReLU", "name": "relu"},
              {"type": "Add", "name": "sum", "inputs": ["conv", "relu"]}, *END]
    assert units(layers, training=False)[:2] == ["conv(input) -> conv", "relu(conv) -> relu"]


def test_the_sum_goes_to_whichever_branch_runs_last() -> None:
    layers = [{**CONV, "name": "stem"}, {**CONV, "name": "a"}, {**CONV, "name": "b", "inputs": ["stem"]},
              {"type": "BatchNorm2d", "name": "norm_b", "inputs": ["b"]},
              {"type": "BatchNorm2d", "name": "norm_a", "inputs": ["a"]},
              {"type": "Add", "name": "sum", "inputs": ["norm_b", "norm_a"]}, *END]
    assert units(layers, training=False)[1:3] == ["a(stem) norm_a -> norm_a", "b(stem) norm_b + norm_a -> sum"]
    assert units(layers, training=True)[3:5] == ["norm_b(b) -> norm_b", "norm_a(a) + norm_b -> sum"]


def test_nothing_is_added_after_an_activation_or_twice() -> None:
    layers = [{**CONV, "name": "stem"}, {**CONV, "name": "conv"}, {"type": "ReLU", "name": "relu"},
              {"type": "Add", "name": "sum", "inputs": ["relu", "stem"]}, {**CONV, "name": "next"},
              {"type": "Add", "name": "one", "inputs": ["next", "sum"]},
              {"type": "Add", "name": "two", "inputs": ["one", "stem"]},
              {"type": "Add", "name": "double", "inputs": ["two", "two"]}, *END]
    assert units(layers, training=False)[1:6] == [
        "conv(stem) relu -> relu", "sum(relu, stem) -> sum", "next(sum) + sum -> one", "two(one, stem) -> two",
        "double(two, two) -> double"]


def test_only_what_the_kernels_can_is_fused() -> None:
    layers = [{**CONV, "name": "conv"}, {"type": "SiLU", "name": "silu"}, {"type": "ReLU", "name": "relu"},
              {"type": "BatchNorm2d", "name": "norm"}, {"type": "Dropout", "name": "drop"},
              {"type": "ReLU", "name": "again"}, *END]
    assert units(layers, training=False)[:3] == ["conv(input) -> conv", "silu(conv) -> silu", "relu(silu) -> relu"]
    assert "again(drop) -> again" in units(layers, training=False)


def test_a_relu_waits_for_the_pooling_in_training() -> None:
    layers = [{**CONV, "name": "conv"}, {"type": "ReLU", "name": "relu"},
              {"type": "MaxPool2d", "name": "pool", "kernel_size": 2}, *END]
    assert units(layers, training=True)[:2] == ["conv(input) -> conv", "pool(conv) relu -> pool"]
    assert units(layers, training=False)[:2] == ["conv(input) relu -> relu", "pool(relu) -> pool"]
    assert units(layers, training=True, keep=("relu",))[0] == "conv(input) relu -> relu"
