"""The blocks that a network is made of, from the stem to the head: what --freeze counts, what learns more slowly the
nearer it is to the stem, and where a network can be taken apart. Worked out from layers' names and connections alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .graph import INPUT, Node
from .network import Network

_BLOCK = re.compile(r"[^.]+(\.\d+)*")  # "layer1.0" of layer1.0.conv2, "blocks.2.1" of blocks.2.1.bn3, "conv_stem"


@dataclass(frozen=True)
class Block:
    """Layers in a row, by name; the network can be split behind the last of them."""

    layers: tuple[str, ...]

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.layers[-1]


def blocks(network: Network) -> list[Block]:
    """Return a network's blocks in order. Layers whose names begin alike ("layer1.0.…") are one block; a batch norm, an
    activation or a pooling belongs to the weights before it; and a block that is skipped, or skips, ends where all
    ways have met. The last block, the head, is the last layer with weights and whatever has none and lies around it."""
    groups: list[list[Node]] = []
    for _, same in groupby(network.nodes, key=_prefix):
        nodes = list(same)
        if groups and (not _weighs(nodes) or not network.is_cut(groups[-1][-1].name) or not _weighs(groups[-1])):
            groups[-1] += nodes
        else:
            groups.append(nodes)
    if len(groups) > 1 and not _weighs(groups[-1]):
        tail = groups.pop()
        groups[-1] += tail
    return [Block(tuple(node.name for node in group)) for group in groups]


def head(network: Network) -> Node | None:
    """Return the head's layer with weights: the last one of the network, None where there are no weights at all."""
    return next((node for node in reversed(network.nodes) if node.layer.params), None)


def dense_head(network: Network) -> Node | None:
    """Return the head where it is a dense layer that can be fitted alone, to what the layers before it yield; else
    None."""
    last = head(network)
    fits = last is not None and last.layer.decides and last.inputs[0] != INPUT
    return last if fits and last is not None and network.is_cut(last.inputs[0]) else None


def _prefix(node: Node) -> str:
    found = _BLOCK.match(node.name)
    return found[0] if found else node.name


def _weighs(nodes: Sequence[Node]) -> bool:
    return any(node.layer.begins_block for node in nodes)
