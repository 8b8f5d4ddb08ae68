"""What the names of layers and channels mean that somebody types, as ``--units conv2:0-7,12`` has them.
explained_units.py explains the channels.
"""

from collections.abc import Iterable, Sequence

from ..errors import UsageError, brief
from ..network import Network

ALL = "all"  # stands for all activations, where no layer is called so


def layer_and_channels(network: Network, named: str) -> tuple[str, list[int] | None]:
    """Return the layer and the channels of "conv2", "conv2:5" or "conv2:0-7,12"; None where none are named. Raises
    NetworkError with the nearest name, UsageError for channels that there are not."""
    layer, colon, numbers = named.partition(":")
    count = network.node(layer).shape[-1]
    if not colon:
        return layer, None
    found: list[int] = []
    for part in numbers.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(first) > int(last or first):
            raise UsageError(f"{brief(named)} names no channels; give them like {layer}:5 or {layer}:0-7,12.")
        found += range(int(first), max(int(first), min(int(last or first), count)) + 1)
    return layer, checked(found, layer, count)


def layers_and_channels(network: Network, named: Sequence[str]) -> dict[str, list[int] | None]:
    """Return the channels of each layer that is named, as ``layer_and_channels`` has them; "all" names all activations
    and the last layer. Raises as that."""
    found: dict[str, list[int] | None] = {}
    for each in named:
        if each == ALL and not any(node.name == ALL for node in network.nodes):
            found |= {node.name: None for node in network.nodes if node.layer.function or node is network.nodes[-1]}
            continue
        layer, channels = layer_and_channels(network, each)
        before = found.get(layer, [])
        found[layer] = None if channels is None or before is None else [*before, *channels]
    return found


def checked(channels: Iterable[int], layer: str, count: int) -> list[int]:
    """Return numbers of channels, each once. Raises UsageError for those that the layer does not have."""
    found = list(dict.fromkeys(map(int, channels)))
    if strange := [each for each in found if not 0 <= each < count]:
        raise UsageError(f"layer {layer} has no channel {strange[0]}; give channels from 0 to {count - 1}.")
    return found
