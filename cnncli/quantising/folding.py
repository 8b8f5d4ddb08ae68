"""A network with its batch norms put into the weights of the layers before them, where evaluation does that anyway:
what is left has the same answers and fewer layers.
"""

from typing import Any

from ..network import Network
from ..network.fusion import Unit, fuse


def folded(network: Network) -> Network:
    """Return a new network without the batch norms that directly follow a convolution or dense layer."""
    units = [unit for unit in fuse(network.nodes, training=False) if unit.norm is not None]
    gone = {unit.norm.name: unit.node.name for unit in units if unit.norm is not None}
    biased = set(gone.values())
    layers = [_described(layer, gone, biased) for layer in network.config()["layers"] if layer["name"] not in gone]
    result = Network(layers, network.input_shape, seed=None)
    old, new = {**network.parameters(), **network.buffers()}, {**result.parameters(), **result.buffers()}
    for name, array in new.items():
        if name in old:
            array[...] = old[name]
    for unit in units:
        _fold(unit, result)
    return result


def _described(layer: dict[str, Any], gone: dict[str, str], biased: set[str]) -> dict[str, Any]:
    """Return a layer's description in the network without norms."""
    inputs = [gone.get(name, name) for name in layer["inputs"]]
    return {**layer, "inputs": inputs, **({"bias": True} if layer["name"] in biased else {})}


def _fold(unit: Unit, result: Network) -> None:
    assert unit.norm is not None
    unit.norm.layer.fold(unit.node.layer.params, result.node(unit.node.name).layer.params)
