"""export/memory_int8.py: no value is written over before it was read for the last time, and no byte too many is asked
for."""

from typing import Any

import pytest

from cnncli.architectures import architecture
from cnncli.export.memory_int8 import Memory, size_of
from cnncli.network import INPUT, Network
from cnncli.network.fusion import Unit, fuse

from .cases import CASES, name_of, network_of
from .test_csource_int8 import BLOCK, MIXED

CONV: dict[str, Any] = {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
NUMBER_BY_NUMBER = {"LeakyReLU", "ReLU", "ReLU6", "Scale", "SiLU", "Sigmoid", "Tanh", "Dropout", "Add", "Flatten"}


def memory_of(network: Network) -> tuple[Memory, list[Unit], dict[str, tuple[int, ...]]]:
    units = fuse(network.nodes, training=False)
    shapes = {INPUT: network.input_shape, **{node.name: node.shape for node in network.nodes}}
    return Memory(units, shapes), units, shapes


@pytest.mark.parametrize("layers", [*CASES, MIXED, BLOCK], ids=name_of)
def test_nothing_that_is_still_read_is_written_over(layers: list[dict[str, Any]]) -> None:
    memory, units, shapes = memory_of(network_of(layers, (14, 13, 3)))
    for place, unit in enumerate(units):
        later = {name for other in units[place + 1 :] for name in other.reads} & (
            {INPUT} | {other.output for other in units[:place]})
        own = range(memory.place(unit.output), memory.place(unit.output) + size_of(shapes[unit.output]))
        assert own.stop <= memory.bytes
        by_number = unit.add is None and type(unit.node.layer).__name__ in NUMBER_BY_NUMBER
        read = set(unit.inputs) if not by_number else set()
        for name in later | read | ({unit.add} - {None} if unit.add in unit.inputs else set()):
            other = range(memory.place(name), memory.place(name) + size_of(shapes[name]))
            assert own.start >= other.stop or other.start >= own.stop, f"{unit.output} lies over {name}"


def test_a_sum_lies_where_what_is_added_lay() -> None:
    block = [{**CONV, "name": "a"}, {**CONV, "name": "b"}, {**CONV, "name": "c"}, {"type": "Add", "inputs": ["a", "c"]}]
    memory, _, _ = memory_of(network_of(block, (8, 8, 1)))
    assert memory.place("add1") == memory.place("a") != memory.place("b")
    assert memory.bytes == 2 * 8 * 8 * 4


def test_a_sum_lies_elsewhere_if_what_is_added_is_read_by_the_convolution_or_later() -> None:
    own = [{**CONV, "name": "a"}, {**CONV, "name": "c"}, {"type": "Add", "inputs": ["a", "c"]}]
    later = [{**CONV, "name": "a"}, {**CONV, "name": "b"}, {**CONV, "name": "c"}, {"type": "Add", "inputs": ["a", "c"]},
             {"type": "Concat", "inputs": ["a", "add1"]}]
    for layers in (own, later):
        memory, _, _ = memory_of(network_of(layers, (8, 8, 1)))
        assert memory.place("add1") != memory.place("a")


def test_functions_of_single_numbers_need_no_room() -> None:
    layers = [{"type": "Tanh"}, {"type": "Sigmoid"}, {"type": "Dropout"}, {"type": "Scale", "factor": 2}]
    memory, _, _ = memory_of(network_of(layers, (8, 8, 3)))
    assert memory.bytes == 2 * 8 * 8 * 3, "but for Flatten, which changes the order"
    memory, _, _ = memory_of(network_of(layers, (8, 8, 1)))
    assert memory.bytes == 8 * 8 + 4, "which of one channel it does not"


def test_a_network_needs_its_largest_two_neighbours() -> None:
    assert memory_of(architecture("resnet8", (32, 32, 3), 10))[0].bytes == 2 * 32 * 32 * 16
