"""How the weights of a quantised network lie in a model file: as int8, each layer's with a float32 scale for each
output channel beside it. The metadata say what the bytes of each activation stand for. In memory weights are float32:
an int8 times its scale, which is exact enough to be made an int8 again.
"""

import json
import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from ..kernels import Array
from ..layers.int8 import Steps, whole_weights
from ..network import Network
from ..network.int8_plan import Quantisation

_SCALES = "state/int8."  # before the name of a layer: the name of the array of its scales


def arrays_of(network: Network) -> dict[str, Array]:
    """Return a network's arrays as they lie in a file. If it is not quantised, these are its parameters and statistics.
    """
    arrays = {**network.parameters(), **network.buffers()}
    found = network.quantisation
    for name, scales in found.scales.items() if found else ():
        arrays[_SCALES + name] = scales
        arrays[f"{name}.weight"] = whole_weights(arrays[f"{name}.weight"], scales)
    return arrays


def weight_bytes(network: Network) -> int:
    """Return how many bytes a network's weights take in a file, without statistics."""
    statistics = network.buffers()
    return sum(array.nbytes for name, array in arrays_of(network).items() if name not in statistics)


def mark_of(network: Network) -> str:
    """Return a hash of a network's layers and numbers, by which a quantised model knows what it was made of."""
    found = blake2b(json.dumps(network.config(), sort_keys=True).encode(), digest_size=8)
    for name, array in sorted({**network.parameters(), **network.buffers()}.items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def config_of(found: Quantisation) -> dict[str, Any]:
    """Return what the metadata say of a quantisation, as JSON values."""
    return {"steps": {name: [each.scale, each.zero] for name, each in found.steps.items()},
            "layers": list(found.scales)}


def quantisation_from(config: Mapping[str, Any], network: Network, tensors: Mapping[str, Array]) -> Quantisation:
    """Return the quantisation that metadata and arrays of a file describe. Raises ValueError if they are none."""
    steps, layers = config.get("steps"), config.get("layers")
    if not isinstance(steps, dict) or not isinstance(layers, list):
        raise ValueError("it does not say what its bytes stand for")
    known = {"input", *(node.name for node in network.nodes)}
    found = {name: _steps(value) for name, value in steps.items()}
    if not known.issuperset(found) or any(each is None for each in found.values()):
        raise ValueError("it says of a layer's bytes what cannot be")
    scales = {}
    for name in layers:
        inside = isinstance(name, str) and name in known - {"input"}
        weight = network.node(name).layer.params.get("weight") if inside else None
        array = tensors.get(f"{_SCALES}{name}")
        if weight is None or array is None or array.dtype != np.float32 or array.shape != (len(weight),):
            raise ValueError("it has int8 weights without scales")
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise ValueError("it has scales that are not above 0")
        scales[name] = array
    return Quantisation({name: each for name, each in found.items() if each}, scales)


def _steps(value: Any) -> Steps | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    scale, zero = value
    good = type(scale) in (int, float) and math.isfinite(scale) and scale > 0 and type(zero) is int and 0 <= zero <= 255
    return Steps(float(scale), zero) if good else None


def real_weights(values: Array, scales: Array) -> Array:
    """Return what int8 weights stand for, float32."""
    result: Array = values.astype(np.float32) * scales.reshape(-1, *[1] * (values.ndim - 1))
    return result
