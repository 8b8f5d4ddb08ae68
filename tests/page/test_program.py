"""A model as a page's script runs it: run here by a machine of a few lines, it says what the model says."""

from typing import Any

import numpy as np
import pytest

from cnncli.data import Preprocessing
from cnncli.data.preprocessing import CROP_SHARE
from cnncli.export.calls import Constants, Value
from cnncli.model import Model
from cnncli.model.calibration import Calibration
from cnncli.network import Network
from cnncli.page import program as module
from cnncli.page.program import FLOAT32_UP_TO, program

from ..small_model import small_model
from .machine import Machine


def image_of(model: Model) -> Any:
    return np.random.default_rng(3).integers(0, 256, model.preprocessing.shape).astype(np.uint8)


@pytest.mark.parametrize("grey", [False, True])
def test_a_program_computes_what_the_model_does(grey: bool) -> None:
    model = small_model(grey=grey, mean=(0.4,) * (1 if grey else 3), std=(0.2,) * (1 if grey else 3))
    made, image = program(model), image_of(model)
    machine = Machine(made)
    np.testing.assert_allclose(machine.logits(image), model.logits(image[None])[0], rtol=1e-5, atol=1e-5)
    assert not made.halved
    # All that lies in memory stays there to the end: a page shows it.
    names = [node.name for node in model.network.nodes]
    wanted = model.network.activations(model.preprocessing.normalise(image[None]), names)
    for layer in made.described["layers"]:
        np.testing.assert_allclose(machine.of(layer), wanted[layer["name"]][0], rtol=1e-5, atol=1e-5)


def test_what_is_said_of_a_model() -> None:
    model = small_model(resize="crop")
    model.calibration = Calibration(1.5, 50, (1.0, 0.9), (0.2, 0.1), ())
    said = program(model).described
    assert (said["classes"], said["temperature"]) == ([*model.classes], 1.5)
    assert said["input"]["shape"] == [6, 5, 3]
    assert said["input"]["crop"] == CROP_SHARE
    for resize, grey in (("squash", None), ("pad", 127)):
        said_of = program(small_model(resize=resize)).described["input"]
        assert (said_of["crop"], said_of["grey"]) == (0, grey)
    assert [layer["kind"] for layer in said["layers"]] == ["Conv2d", "BatchNorm2d", "ReLU", "Flatten", "Linear"]
    assert said["layers"][0] == {
        "name": "conv1", "kind": "Conv2d", "inputs": ["input"], "shape": [6, 5, 4], "at": said["layers"][0]["at"],
        "parameters": 4 * 27 + 4, "multiply_adds": 30 * 4 * 27,
        "field": {"size": (3, 3), "step": (1, 1), "start": (0, 0), "whole": False}}
    assert [one["at"] % 16 for one in said["constants"]] == [0] * len(said["constants"])
    assert said["floats"] >= 6 * 5 * (3 + 4 * 4) + 3


def test_arguments_for_the_script() -> None:
    assert [module._argument(each) for each in (Value(7), Constants(3), 2, 0.5, None, "SILU")] == [
        "@7", "#3", 2, 0.5, None, 3]


def test_large_weights_have_16_bits_and_the_model_its_own_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of convolutions and dense layers alone; as_stored lets the model have them for a while."""
    model = small_model()
    size = 4 * sum(one["count"] for one in program(model).described["constants"])
    monkeypatch.setattr(module, "FLOAT32_UP_TO", size)
    assert not program(model).halved
    monkeypatch.setattr(module, "FLOAT32_UP_TO", size - 1)
    made, image = program(model), image_of(model)
    assert made.halved
    assert [one["name"] for one in made.described["constants"] if one["half"]] == ["conv1.weight", "linear1.weight"]
    before = {name: array.copy() for name, array in model.network.parameters().items()}
    exact = model.logits(image[None])
    with made.as_stored(model):
        rounded = model.logits(image[None])
        np.testing.assert_allclose(Machine(made).logits(image), rounded[0], rtol=1e-5, atol=1e-5)
        after = model.network.parameters()
        changed = {name for name, array in before.items() if (array != after[name]).any()}
        assert changed == {"conv1.weight", "linear1.weight"}
        assert after["conv1.weight"].tolist() == before["conv1.weight"].astype(np.float16).tolist()
    assert 0 < abs(rounded - exact).max() < 0.01
    np.testing.assert_array_equal(model.logits(image[None]), exact)
    assert FLOAT32_UP_TO == 2_000_000


def test_weights_are_the_models_own_again_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOAT32_UP_TO", 0)
    model = small_model()
    made, exact, told = program(model), model.network.parameters()["conv1.weight"].copy(), list[int]()
    monkeypatch.setattr(Network, "changed", lambda self: told.append(1))  # which forgets what was made of the weights
    with pytest.raises(KeyboardInterrupt), made.as_stored(model):
        raise KeyboardInterrupt
    assert told == [1, 1]
    assert model.network.parameters()["conv1.weight"].tolist() == exact.tolist()


def test_weights_of_32_bits_are_left_alone_meanwhile() -> None:
    model = small_model()
    weight = model.network.parameters()["linear1.weight"].copy()
    with program(model).as_stored(model):
        assert model.network.parameters()["linear1.weight"].tolist() == weight.tolist()


def test_what_a_layer_sees_of_the_image() -> None:
    network = Network([{"type": "Conv2d", "out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1},
                       {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 2}], (8, 8, 1), 0)
    first, average, _ = program(Model(network, ["a", "b"], Preprocessing((8, 8), grey=True))).described["layers"]
    assert first["field"] == {"size": (3, 3), "step": (2, 2), "start": (0, 0), "whole": False}
    assert average["field"]["whole"] is True
