"""int8 weights in a model file: what is damaged or made up is refused in a sentence, and older programs say that the
file is of a later version."""

import json
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.errors import ModelError
from cnncli.layers.int8 import whole_weights
from cnncli.model import modelfile
from cnncli.model.checkpoint import load_model, save_model
from cnncli.model.int8_file import real_weights
from cnncli.quantising.choosing import quantisation_of
from cnncli.quantising.folding import folded
from cnncli.quantising.observing import observe

from ..small_model import small_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = small_model()
    model.network = folded(model.network)
    x = np.random.default_rng(0).standard_normal((4, *model.network.input_shape)).astype(np.float32)
    model.network.quantisation = quantisation_of(model.network, observe(model.network, lambda: iter([x])), "all values")
    for name, scales in model.network.quantisation.scales.items():
        weight = model.network.node(name).layer.params["weight"]
        weight[...] = real_weights(whole_weights(weight, scales), scales)
    save_model(tmp_path / "m.safetensors", model)
    return tmp_path / "m.safetensors"


def parts(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with modelfile.open_model(str(path)) as file:
        header = modelfile.read_header(file, str(path))
        return modelfile.read_tensors(file, header, str(path)), {**header.metadata, "version": "2"}


def test_weights_are_int8_and_come_back_to_the_bit(path: Path) -> None:
    tensors, metadata = parts(path)
    assert tensors["conv1.weight"].dtype == tensors["linear1.weight"].dtype == np.int8
    assert tensors["conv1.bias"].dtype == np.float32
    assert "quantisation" in metadata
    model = cnncli.load(path)
    save_model(path.with_name("again.safetensors"), model)
    assert path.with_name("again.safetensors").read_bytes() == path.read_bytes()
    found = model.network.quantisation
    assert found is not None
    for name, scales in found.scales.items():
        weight = model.network.node(name).layer.params["weight"]
        np.testing.assert_array_equal(whole_weights(weight, scales), tensors[f"{name}.weight"])


def test_the_model_in_floats(path: Path) -> None:
    model = cnncli.load(path)
    floats = model.in_floats()
    assert floats.network.quantisation is None
    assert floats.in_floats() is floats
    assert (floats.classes, floats.temperature, floats.path) == (model.classes, model.temperature, model.path)
    for name, array in floats.network.parameters().items():
        np.testing.assert_array_equal(array, model.network.parameters()[name])
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 5, 3), dtype=np.uint8)
    whole, real = model.logits(images), floats.logits(images)
    assert 0 < np.abs(whole - real).max() < 0.1
    assert model.network.quantisation is not None


def test_a_program_that_knows_no_int8_says_that_it_must_be_updated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelfile, "VERSION", 1)
    with pytest.raises(ModelError, match="written by a later version of cnn"):
        load_model(path)


def test_a_model_in_floats_is_written_as_ever(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", small_model())
    assert b'"version":"1"' in (tmp_path / "m.safetensors").read_bytes()


def changed(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    path.write_bytes(modelfile.pack(tensors, metadata))


@pytest.mark.parametrize(("part", "value"), [
    ("steps", None), ("steps", {"nowhere": [1.0, 0]}), ("steps", {"input": [0.0, 0]}), ("steps", {"input": [1.0, 256]}),
    ("steps", {"input": [1.0, 0.5]}), ("steps", {"input": [float("inf"), 0]}), ("steps", {"input": "1"}),
    ("steps", {"input": [True, 0]}), ("layers", None), ("layers", ["nowhere"]), ("layers", ["relu1"]), ("layers", []),
    ("layers", [["conv1"]]),
])
def test_a_quantisation_that_cannot_be_is_refused(path: Path, part: str, value: object) -> None:
    tensors, metadata = parts(path)
    config = json.loads(metadata["quantisation"])
    metadata["quantisation"] = json.dumps({**config, part: value}, allow_nan=True)
    changed(path, tensors, metadata)
    with pytest.raises(ModelError, match="is damaged"):
        load_model(path)


@pytest.mark.parametrize("change", [
    lambda t: t.update({"state/int8.conv1": t["state/int8.conv1"] * 0}),
    lambda t: t.update({"state/int8.conv1": t["state/int8.conv1"] * np.float32("nan")}),
    lambda t: t.update({"state/int8.conv1": t["state/int8.conv1"][:2]}),
    lambda t: t.update({"state/int8.conv1": t["state/int8.conv1"].astype(np.float64)}),
    lambda t: t.pop("state/int8.conv1"),
    lambda t: t.update({"conv1.weight": t["conv1.weight"].astype(np.float32)}),
    lambda t: t.update({"conv1.bias": t["conv1.bias"].astype(np.int8)}),
    lambda t: t.update({"conv1.weight": t["conv1.weight"].astype(np.uint8)}),
])
def test_arrays_that_do_not_fit_are_refused(path: Path, change) -> None:
    tensors, metadata = parts(path)
    change(tensors)
    changed(path, tensors, metadata)
    with pytest.raises(ModelError, match="is damaged"):
        load_model(path)


def test_int8_weights_without_their_description_are_refused(path: Path) -> None:
    tensors, metadata = parts(path)
    del metadata["quantisation"]
    changed(path, tensors, metadata)
    with pytest.raises(ModelError, match="is damaged"):
        load_model(path)
