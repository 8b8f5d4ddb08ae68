"""watching/look.py: its numbers against the same by hand, which images are the examples, and the picture of filters."""

import base64
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.network import Network
from cnncli.watching import look as module
from cnncli.watching.look import Looker, chosen, first_filters, layers_of, look_at

from ..small_model import small_model


def looker(rng: np.random.Generator, count: int = 5) -> tuple[Looker, Any, np.ndarray]:
    model = small_model()
    gradients = {name: rng.standard_normal(array.shape).astype(np.float32)
                 for name, array in model.network.parameters().items() if name.startswith("linear")}
    pixels = rng.integers(0, 256, (count, *model.network.input_shape), np.uint8)
    inside: Any = SimpleNamespace(model=model, weights=model.network.parameters(), gradients=gradients,
                                  learning_rate=0.1)
    return Looker(inside, pixels), inside, pixels


@pytest.mark.parametrize("at_once", [2**22, 250, 1])
def test_what_is_seen_is_what_there_is(at_once: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FLOATS", at_once)
    looks, inside, pixels = looker(rng)
    model, network = inside.model, inside.model.network
    network.parameters()["batchnorm1.bias"][2] = -1000  # whatever comes, the ReLU behind it says 0
    looks.remember()
    conv, before = network.parameters()["conv1.weight"], network.parameters()["conv1.weight"].copy()
    conv *= np.float32(1.01)
    network.changed()
    found = looks.look()
    assert set(found["layers"]) == {"conv1", "linear1", "relu1"}
    seen = found["layers"]["conv1"]
    assert seen["weights"] == pytest.approx(np.linalg.norm(conv), rel=1e-5)
    assert seen["update"] == pytest.approx(np.linalg.norm(conv - before) / np.linalg.norm(before), rel=1e-4)
    assert (seen["gradients"], seen["dead"]) == (None, None), "it is frozen"
    head = found["layers"]["linear1"]
    assert head["gradients"] == pytest.approx(np.linalg.norm(inside.gradients["linear1.weight"]), rel=1e-5)
    assert head["update"] == 0
    maps = network.activations(model.preprocessing.normalise(pixels), ["relu1"])["relu1"]
    dead = (maps.max(axis=(0, 1, 2)) == 0).mean()
    assert dead >= 0.25
    assert found["layers"]["relu1"] == {"weights": None, "gradients": None, "update": None, "dead": dead}
    np.testing.assert_allclose(found["probabilities"], model.probabilities(pixels), atol=6e-5)
    assert looks.look()["layers"]["conv1"]["update"] is None, "nobody has remembered"


def test_of_large_layers_the_change_of_some_weights_stands_for_all(rng: np.random.Generator,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COMPARED", 60)
    looks, inside, _ = looker(rng, 0)
    inside.weights["conv1.weight"][..., 0] = 0  # some taps are not like the others
    looks.remember()
    assert [array.shape for array in looks._before.values()] == [(2, 3, 3, 3), (1, 120)]
    inside.weights["linear1.weight"][...] *= np.float32(0.5)
    inside.weights["conv1.weight"][...] *= np.float32(0.9)
    found = looks.look()
    assert found["layers"]["linear1"]["update"] == pytest.approx(0.5, rel=1e-6)
    assert found["layers"]["conv1"]["update"] == pytest.approx(0.1, rel=1e-5)
    assert found["probabilities"] == []


def test_numbers_that_are_none_and_weights_of_nought(rng: np.random.Generator) -> None:
    looks, inside, _ = looker(rng)
    inside.weights["conv1.weight"][...] = 0
    looks.remember()
    inside.weights["linear1.weight"][0, 0] = np.nan
    found = looks.look()
    assert found["layers"]["conv1"]["update"] is None, "of nothing there is no part"
    assert np.isnan(found["layers"]["linear1"]["weights"]), "which the recording makes null"
    assert first_filters({"conv1": inside.weights["conv1.weight"]}) is not None


def test_the_examples_are_spread_over_the_classes() -> None:
    labels = np.array([0] * 30 + [1] * 3 + [2] * 30)
    assert chosen(labels, 3) == [0, 30, 33, 1, 31, 34, 2, 32, 35, 3, 36, 4, 37, 5, 38, 6]
    assert chosen(np.array([1, 1, 0]), 2) == [2, 0, 1]
    assert chosen(np.array([], np.int64), 2) == []
    many = np.repeat(np.arange(100), 3)
    assert [int(many[i]) for i in chosen(many, 100)] == np.linspace(0, 99, 16).round().astype(int).tolist()


def test_filters_are_drawn_beside_each_other() -> None:
    weights = np.zeros((18, 3, 2, 3), np.float32)
    weights[0, 0, 1, 2], weights[17, :, 0, 0] = 5, -2
    found = first_filters({"conv": weights, "fc": np.ones((2, 2), np.float32)})
    assert found is not None
    assert found["layer"] == "conv"
    with Image.open(io.BytesIO(base64.b64decode(found["picture"].split(",")[1]))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 * 3 + 1, 16 * 4 + 1, 3)
    assert pixels[2, 3].tolist() == [255, 128, 128]
    assert pixels[4, 5].tolist() == [0, 0, 0]
    grey = first_filters({"conv": weights[:, :1]})
    assert grey is not None
    assert grey["picture"] != found["picture"]
    assert first_filters({"conv": np.ones((2, 8, 3, 3), np.float32)}) is None, "it does not look at the image"
    assert first_filters({"fc": np.ones((2, 8), np.float32)}) is None


def test_a_model_that_is_not_trained() -> None:
    model = small_model(grey=True)
    found = look_at(model)
    assert found["layers"]["conv1"]["weights"] == pytest.approx(
        np.linalg.norm(model.network.parameters()["conv1.weight"]), rel=1e-5)
    assert (found["probabilities"], found["filters"]["layer"]) == ([], "conv1")
    assert [layer["kind"] for layer in layers_of(model.network)] == ["Conv2d", "BatchNorm2d", "ReLU", "Flatten",
                                                                    "Linear"]


def test_dense_layers_have_dead_units_too(rng: np.random.Generator) -> None:
    network = Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 4}, {"type": "ReLU"},
                       {"type": "Linear", "out_features": 2}], (2, 2, 1), 0)
    network.parameters()["linear1.bias"][1:3] = -1e6
    inside: Any = SimpleNamespace(model=SimpleNamespace(network=network, preprocessing=SimpleNamespace(
        normalise=lambda pixels: pixels.astype(np.float32))), weights=network.parameters(), gradients={},
        learning_rate=0.1)
    found = Looker(inside, rng.integers(0, 2, (3, 2, 2, 1), np.uint8)).look()
    assert found["layers"]["relu1"]["dead"] >= 0.5
    assert found["filters"] is None
