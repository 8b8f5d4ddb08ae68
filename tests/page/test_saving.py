"""What a page is told so that it can write a model file: all arrays of the model, each where the page has it."""

import base64
import json

import numpy as np

from cnncli.export.calls import Calls
from cnncli.model.modelfile import FORMAT, VERSION
from cnncli.page.saving import model_file

from ..small_model import small_model


def test_every_array_is_a_constant_in_another_order_or_stands_there() -> None:
    model = small_model()
    calls = Calls(model.network, kept=True)
    told = model_file(model, calls)
    wanted = {**model.network.parameters(), **model.network.buffers()}
    assert [one["name"] for one in told["arrays"]] == sorted(wanted)
    kinds = {"F32": np.float32, "I64": np.int64}
    for one in told["arrays"]:
        array = wanted[one["name"]]
        assert (one["shape"], kinds[one["type"]]) == (list(array.shape), array.dtype.type)
        if "constants" in one:
            name, constants = calls.constants[one["constants"]]
            assert name == one["name"]
            back = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
            found = constants if back is None else constants.transpose(back)
        else:
            found = np.frombuffer(base64.b64decode(one["bytes"]), array.dtype).reshape(array.shape)
        np.testing.assert_array_equal(found, array)
    assert {one["name"] for one in told["arrays"] if "bytes" in one} == {
        name for name in wanted if name.startswith("batchnorm1.")}
    assert told["network"] == model.network.config()


def test_what_else_is_in_the_file() -> None:
    model = small_model(grey=True)
    said = model_file(model, Calls(model.network, kept=True))["metadata"]
    assert (said["format"], said["version"]) == (FORMAT, str(VERSION))
    assert json.loads(said["preprocessing"])["grey"] is True
    assert json.loads(said["training"]) == {}
    model.training["architecture"] = "lenet5"
    said = model_file(model, Calls(model.network, kept=True))["metadata"]
    assert json.loads(said["training"]) == {"architecture": "lenet5"}  # and nothing of what is no longer true
