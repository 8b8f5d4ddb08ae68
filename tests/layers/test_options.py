"""Whatever a layer's constructor is given, it is taken or refused as NetworkError; what is taken comes back out of its
config as JSON, and the layer runs or says why not."""

import inspect
import json

import numpy as np
import pytest

from cnncli.errors import CnnError, NetworkError
from cnncli.layers import LAYERS

from .cases import CASES, OURS

VALUES = [None, "x", b"x", "same", -1, 0, 1, 1.5, float("nan"), float("inf"), True, [], {}, [1], [1, 2, 3], [[1], [2]],
          (1, "a"), [1.5, 2], object(), np.int64(3), np.float32(0.5), np.ones(2)]
OPTIONS = [(name, option) for name, kind in sorted(OURS.items()) for option in inspect.signature(kind).parameters]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_any_value(name, option):
    options, shapes = next((options, shapes) for kind, options, shapes in CASES if kind == name)
    said = []
    for value in VALUES:
        try:
            layer = LAYERS[name](**{**options, option: value})
        except NetworkError as refused:
            said.append(str(refused))
            continue
        again = LAYERS[name](**json.loads(json.dumps(layer.config())))
        assert again.config() == layer.config()
        try:
            layer.forward(*[np.ones((2, *shape), np.float32) for shape in shapes], training=True)
        except CnnError as refused:
            said.append(str(refused))
    assert all(sentence.endswith((".", "?")) for sentence in said)
