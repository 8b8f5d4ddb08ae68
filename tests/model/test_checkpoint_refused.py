"""model/checkpoint.py, what is doubted in a file whose bytes are whole: each with its whole sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.model import checkpoint
from cnncli.model.checkpoint import _check_plausible, _is_name, _short, load_model, load_state, save_model, save_state

from ..small_model import small_model, weights
from .test_modelfile import deep, forge, layer, network, tensor
from .test_modelfile_entries import sentence

DAMAGED = "; use a whole copy of it, or train again."
CALIBRATION = {"temperature": 0, "images": 1, "loss": [1, 1], "error": [1, 1], "thresholds": []}


def changed(**entries: Any) -> bytes:
    """Return the small model's file with other metadata."""
    return forge(**{name: json.dumps(value) for name, value in entries.items()})


LINEAR = layer("Linear", name="linear1", out_features=3, inputs=["Flatten-x"])


@pytest.mark.parametrize(("content", "why"), [
    (forge(metadata={"format": "cnn-model", "version": "1", "network": "{}"}), "its part 'classes' is not there"),
    (changed(preprocessing={"size": [2, 2]}), "its preprocessing cannot be used: "),
    (changed(preprocessing={**small_model((3, 2), True).preprocessing.config()}),
     "its images of (3, 2, 1) do not fit its network, which takes (2, 2, 1)"),
    (changed(classes=["a", "b", "a"]), "its classes are not different names"),
    (changed(classes=["a", "b", ""]), "its classes are not different names"),
    (changed(classes=["a", "b"]), "its network yields (3,), not 2 classes"),
    (changed(calibration=CALIBRATION), "its calibration cannot be used: a temperature of 0 from 1 images"),
    (changed(strangeness={}), "its measure of strange images cannot be used: it has threshold, rest, images, and the "
                              "arrays centre, directions, means, scatter"),
    (changed(network=[]), "its part 'network' is not of the right kind"),
    (changed(network={"layers": {}}), "its network is not a list of at most 4000 layers"),
    (changed(network={"layers": [{}] * 4001}), "its network is not a list of at most 4000 layers"),
    (forge(network=network(*[layer("Concat", name=f"c{i}", inputs=[f"c{i - 1}" if i else "input"] * 2)
                             for i in range(25)], {"name": "n", "type": "BatchNorm2d", "inputs": ["c24"]})),
     "its network needs more weights than it holds"),
    (forge(table={"more": tensor()}, data=bytes(4)), "batchnorm1.bias is in its network only"),
    (forge(network=network(layer("Flatten"), LINEAR)), "batchnorm1.bias is in the file only"),
    (forge(network=network(layer("Flatten"), {**LINEAR, "name": "ab"})), "ab.bias is in its network only"),
])
def test_damage(content: bytes, why: str, tmp_path: Path) -> None:
    said = sentence(tmp_path / "m", content)
    assert said.startswith(f"is damaged ({why}")
    assert said.endswith(f"){DAMAGED}")


def test_arrays_of_another_shape_or_type(tmp_path: Path) -> None:
    for dtype, shape, size in (("F32", [4, 3], 4), ("F64", [3], 8)):
        table, end = {}, 0
        for name, array in weights(small_model((2, 2), True)).items():
            like = (dtype, shape, 12 * size // (1 if shape == [4, 3] else 4)) if name == "linear1.bias" else (
                "F32", list(array.shape), array.nbytes)
            table[name] = {"dtype": like[0], "shape": like[1], "data_offsets": [end, end + like[2]]}
            end += like[2]
        assert sentence(tmp_path / "m", forge(table=table, data=bytes(end))) == (
            f"is damaged (linear1.bias has the shape {tuple(shape)}, its network needs (3,)){DAMAGED}")


@pytest.mark.parametrize(("layers", "why"), [
    ([[]], "has a layer with impossible options"),
    ([{str(i): 1 for i in range(51)}], "has a layer with impossible options"),
    ([layer("ReLU", x=2**31)], "has a layer with impossible options"),
    ([layer("ReLU", x=json.loads(deep(5)))], "has a layer with impossible options"),
    ([{"type": "ReLU", "name": "a"}], "has a layer without type, name or inputs"),
    ([layer("ReLU", inputs="input")], "has a layer without type, name or inputs"),
    ([layer("ReLU", inputs=[1])], "has a layer without type, name or inputs"),
    ([layer("ReLU", name=1)], "has a layer without type, name or inputs"),
    ([layer("ReLU", type=["ReLU"])], "has a layer without type, name or inputs")])
def test_layers_that_make_no_sense(layers: Any, why: str) -> None:
    with pytest.raises(ModelError) as caught:
        _check_plausible({"layers": layers}, "m")
    assert str(caught.value) == f"m is damaged (its network {why}){DAMAGED}"


def test_a_network_gets_the_memory_of_its_weights_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else the file holds is not the network's."""
    model, asked = small_model(), list[int]()
    model.seen = np.arange(1000, dtype=np.uint64)
    save_model(tmp_path / "m", model)
    limit = checkpoint.allocation_limit
    monkeypatch.setattr(checkpoint, "allocation_limit", lambda most: asked.append(most) or limit(most))
    load_model(tmp_path / "m")
    assert asked == [2 * sum(array.nbytes for array in weights(model).values()) + 32 * 2**20]


def test_layers_in_another_order_and_as_many_as_may_be() -> None:
    first, second = layer("ReLU", name="a"), layer("Nothing", name="b", inputs=["a"], **{str(i): 1 for i in range(47)})
    assert len(first) < len(second) == 50
    with pytest.raises(ModelError, match="Nothing"):
        _check_plausible({"layers": [first, second]}, "m")
    second["type"] = "Flatten"
    _check_plausible({"layers": [first, second]}, "m")
    _check_plausible({"layers": [{**first, "name": f"a{number}"} for number in range(4000)]}, "m")
    with pytest.raises(ModelError) as caught:
        _check_plausible({"layers": [second, first]}, "m")
    assert str(caught.value) == f"m is damaged (its layer b has an input that is no layer before it){DAMAGED}"


def test_a_layer_that_is_not_known(tmp_path: Path) -> None:
    assert sentence(tmp_path / "m", forge(network=network(layer("Evil")))) == (
        "holds a layer of type Evil, which this version of cnn does not know; import the module that defines it "
        "first, or, if it is a layer of cnn's own, update cnn ('git pull' and 'pip install .' in the folder that it "
        "was installed from).")
    said = sentence(tmp_path / "m", forge(network=network(layer("Linear", out_features=3, evil=1))))
    assert said.startswith("holds a network that cannot be built (")
    assert said.endswith("); update cnn, or train again.")


def test_names_of_classes_are_names_of_folders() -> None:
    assert all(map(_is_name, ("a", "été", "été \udcff")))
    assert not any(map(_is_name, ("", "\ud800", 3, None, b"a", ["a"])))


def test_long_reasons_are_cut() -> None:
    assert _short(ValueError("")) == "ValueError"
    assert _short(ValueError("x" * 299)) == "x" * 299
    assert _short(ValueError("x" * 2000)) == "x" * 300 + "…"


def test_where_no_state_can_be_used_that_of_the_last_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_state(tmp_path)
    assert str(caught.value) == (f"{tmp_path} holds nothing to resume from (no last.safetensors); start a new training "
                                 "without resume.")
    (tmp_path / "last.safetensors").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        load_state(tmp_path)
    last = f"{tmp_path / 'last.safetensors'} is damaged (it is empty){DAMAGED}"
    assert str(caught.value) == last
    (tmp_path / "previous.safetensors").write_bytes(b"no state")
    with pytest.raises(ModelError) as caught:
        load_state(tmp_path)
    assert str(caught.value) == last, "not what is wrong with the one before"
    (tmp_path / "other").mkdir()
    save_state(tmp_path / "other", small_model(), {"a": np.zeros(1, np.float32)}, {"step": 1})
    (tmp_path / "previous.safetensors").write_bytes((tmp_path / "other" / "last.safetensors").read_bytes())
    state = load_state(tmp_path)
    assert state.note == f"{last} The state before it, {tmp_path / 'previous.safetensors'}, is used instead."
    assert state.progress == {"step": 1}
    assert state.path == state.model.path == str(tmp_path / "previous.safetensors")
    (tmp_path / "last.safetensors").unlink()
    assert load_state(tmp_path).progress == {"step": 1}
    save_model(tmp_path / "model.safetensors", small_model())
    with pytest.raises(ModelError) as caught:
        load_state(tmp_path / "model.safetensors")
    assert str(caught.value) == (f"{tmp_path / 'model.safetensors'} is a finished model without what resuming needs; "
                                 "give the run folder, which holds last.safetensors.")
