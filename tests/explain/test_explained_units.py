"""explain/explained_units.py: what all is said of a layer's channels, of which of them and of which images, and what a
stop keeps of it."""

import re

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data.splits import Sample
from cnncli.errors import DataError, NetworkError, UsageError
from cnncli.explain import explained_units
from cnncli.explain.explained_units import explain_units, search, units_one_by_one
from cnncli.explain.named_channels import layer_and_channels, layers_and_channels
from cnncli.explain.units import top_patches
from cnncli.layers import Conv2d, Flatten, Linear
from cnncli.network import Network

from .test_units import CLASSES, items_of, model_of, pictures


@pytest.mark.slow
def test_all_of_a_layer_explained():
    model, images = model_of(depth=3), np.stack(pictures(20, 12, 3))
    said: list[str] = []
    found = explain_units(model, "relu1", (images, ["a", "b"] * 10), count=4, progress=lambda *x: said.append(x[0]))
    assert list(dict.fromkeys(said)) == ["looking for what excites each filter",
                                         "making pictures for each filter of relu1"]
    assert [unit.channel for unit in found.units] == [0, 1, 2, 3, 4]
    assert (found.image_count, found.given, found.sees) == (20, 20, (3, 3))
    assert (found.answered, found.by_weights) == (False, False)
    top = top_patches(model, items_of(list(images)), ["relu1"], 4, [0, 1] * 10).tops["relu1"]
    for unit in found.units:
        assert unit.values == sorted(unit.values, reverse=True) == top.values[unit.channel].tolist()
        assert {patch.shape for patch in unit.patches} == {answer.shape for answer in unit.answers} == {(3, 3, 3)}
        for path, seen, patch, value in zip(unit.paths, unit.windows, unit.patches, unit.values, strict=True):
            pixels = np.pad(images[int(path[7:-1])], ((1, 1), (1, 1), (0, 0)), constant_values=128)
            assert np.array_equal(patch, pixels[seen.top + 1 : seen.bottom + 1, seen.left + 1 : seen.right + 1])
            inside = model.preprocessing.normalise(patch[None])
            if 0 <= seen.top <= 9 and 0 <= seen.left <= 9 and value > 0:  # the patch alone yields the value
                weight = model.network.parameters()["conv1.weight"][unit.channel]
                assert (inside[0].transpose(2, 0, 1) * weight).sum() == pytest.approx(value, rel=1e-4)
        assert unit.made.shape == (3, 3, 3)
    by = top.by_class()
    best = found.units[1].classes
    assert [name for name, _ in best] == [CLASSES[k] for k in np.argsort(-by[:, 1]) if by[k, 1] > 0]
    assert explain_units(model, "relu2", images).by_weights
    assert explain_units(model, "linear1", images).names == CLASSES
    assert found.names == []
    assert explain_units(model, "conv2", images, channels=[2]).answered


def test_a_folder_with_and_without_the_models_classes(tmp_path):
    model = model_of()
    for i, image in enumerate(pictures(9)):
        (tmp_path / "set" / CLASSES[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "set" / CLASSES[i % 3] / f"{i}.png")
    notes: list[str] = []
    assert not explain_units(model, "relu1", tmp_path / "set", [0], 4, note=notes.append).answered
    assert notes == [], "nine images are enough to show four of them"
    explain_units(model, "relu1", tmp_path / "set", [0], 5, note=notes.append)
    assert notes.pop() == ("5 of only 9 images are shown for each filter. That says little about what it looks for. "
                           "Give more images.")
    found = explain_units(model, "relu1", tmp_path / "set" / "a", [0], 1, note=notes.append)
    assert found.answered
    assert found.image_count == 3
    assert re.search(r"set/a has no folders called like the model's classes", notes[0])


def test_without_data_it_is_what_was_held_out(monkeypatch):
    held_out, training = [Sample("a", "a", 1)], [Sample("b", "b", 0)]
    monkeypatch.setattr(explained_units, "choose", lambda *arguments, **options: (held_out, training))
    assert explained_units.labelled(None, None, print) == (["a"], [1])


def test_which_of_a_folders_splits_was_looked_at_is_said(tmp_path):
    for i, image in enumerate(pictures(12)):
        (tmp_path / "set" / ("train", "test")[i // 6] / CLASSES[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "set" / ("train", "test")[i // 6] / CLASSES[i % 3] / f"{i}.png")
    notes: list[str] = []
    found = explain_units(model_of(), "relu1", tmp_path / "set", [0], note=notes.append)
    assert (found.image_count, found.answered) == (6, False)
    assert any("The images of" in sentence and "test" in sentence for sentence in notes)


def test_a_channel_that_nothing_excites_is_dead():
    model = model_of()
    model.network.parameters()["conv1.bias"][2] = -1e3
    found = explain_units(model, "relu1", np.stack(pictures(4)))
    assert [found.is_dead(unit) for unit in found.units] == [False, False, True, False, False]
    assert found.units[2].classes == []
    before = explain_units(model, "conv1", np.stack(pictures(4)), [1, 2])
    assert [before.is_dead(unit) for unit in before.units] == [False, True], "nothing of it gets through relu1"
    assert [unit["dead"] for unit in before.as_json()["units"]] == [False, True]


def test_without_names_all_channels_or_those_that_tell_the_classes_apart_most(monkeypatch):
    model, images = model_of(), np.stack(pictures(20))
    whole = explain_units(model, "conv2", images)
    assert [unit.channel for unit in whole.units] == [0, 1, 2, 3, 4, 5]
    assert not whole.telling, "these are all"
    monkeypatch.setattr(explained_units, "MOST", 3)
    notes: list[str] = []
    found = explain_units(model, "relu2", (images, ["a", "b"] * 10), count=2, note=notes.append)
    assert notes == ["relu2 has 6 filters; these are the 3 that tell the classes apart most. To see all of "
                     "them: cnn explain --units relu2:0-5"]
    by = top_patches(model, items_of(list(images)), ["relu2"], 2, [0, 1] * 10).tops["relu2"].by_class().max(axis=0)
    assert [unit.channel for unit in found.units] == np.argsort(-by)[:3].tolist()
    assert (found.wanted, found.channels, found.stopped) == (3, 6, None)
    assert not explain_units(model, "relu2", images, [0, 1, 2], note=notes.append).telling
    assert len(notes) == 1


@pytest.mark.slow
def test_few_at_a_time_are_the_same_as_all_together(monkeypatch):
    model, images = model_of(), np.stack(pictures(20))
    told: list[tuple[str, int, int]] = []
    together = explain_units(model, "relu2", images, [0, 5, 2, 3, 1], progress=lambda *x: told.append(x))
    made = [x for x in told if x[0].startswith("making")]
    assert made[0][1] == 0
    assert made[-1][1:] == (5, 5)
    monkeypatch.setattr(explained_units, "_FLOATS", 2 * 12 * 12)
    told.clear()
    apart = explain_units(model, "relu2", images, [0, 5, 2, 3, 1], progress=lambda *x: told.append(x))
    assert [x[1] for x in told if x[0].startswith("making")] == sorted(x[1] for x in told if x[0].startswith("making"))
    assert len([x for x in told if x[0].startswith("making")]) == 3 * len(made), "two by two"
    assert [unit.channel for unit in apart.units] == [unit.channel for unit in together.units] == [0, 5, 2, 3, 1]
    for one, other in zip(together.units, apart.units, strict=True):
        assert one.as_json() == other.as_json()
        assert np.array_equal(one.made, other.made)
        assert all(np.array_equal(a, b) for a, b in zip(one.answers, other.answers, strict=True))


def test_a_stop_while_pictures_are_made_keeps_those_that_are(monkeypatch):
    model, images = model_of(), np.stack(pictures(20))
    monkeypatch.setattr(explained_units, "_FLOATS", 2 * 12 * 12)

    def stop_at(done):
        def progress(what, now, of):
            if what.startswith("making") and now >= done:
                raise KeyboardInterrupt

        return progress

    notes: list[str] = []
    found = explain_units(model, "relu2", images, progress=stop_at(3), note=notes.append)
    assert [unit.channel for unit in found.units] == [0, 1, 2, 3]
    assert [unit.made is None for unit in found.units] == [unit.made_value is None for unit in found.units]
    assert [unit.made is None for unit in found.units] == [False, False, True, True], "what was being made is left out"
    assert all(len(unit.answers) == len(unit.patches) == 9 for unit in found.units)
    assert (found.stopped, found.searched_in_part) == ("after 2 of 6 filters", False)
    assert notes == [explained_units.STOPPED]
    found = explain_units(model, "relu2", images, [0, 1], progress=stop_at(0))
    assert [unit.made for unit in found.units] == [None, None]
    assert found.stopped == "after 0 of 2 filters"

    def at_once(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(explained_units, "projections", at_once)
    with pytest.raises(KeyboardInterrupt):
        explain_units(model, "relu2", images)


def test_a_layer_before_its_activation_is_said_to_be():
    model, images, notes = model_of(), np.stack(pictures(4)), list[str]()
    found = explain_units(model, "conv1", images, [0], 1, note=notes.append)
    assert (found.kind, found.activation, found.rectified) == ("Conv2d", "relu1", True)
    assert notes == [found.before_activation]
    assert notes[0].endswith("Only those above 0 pass relu1 and reach the rest of the network. "
                             "To see that: cnn explain --units relu1")
    found = explain_units(model, "relu1", images, [0], 1, note=notes.append)
    assert (found.kind, found.activation, found.before_activation, len(notes)) == ("ReLU", None, None, 1)


@pytest.mark.parametrize(("layer", "sees"), [("conv1", (3, 3)), ("conv2", (8, 8)), ("linear1", None)])
def test_how_much_of_an_image_a_position_sees(layer, sees):
    found, _ = units_one_by_one(search(model_of(), {layer: [0]}, np.stack(pictures(4))), layer, [0])
    assert found.sees == sees


def test_layers_and_channels_named():
    network = model_of().network
    assert layer_and_channels(network, "conv2") == ("conv2", None)
    assert layer_and_channels(network, "conv2:5,0-2, 1") == ("conv2", [5, 0, 1, 2])
    for named, words in (("conv2:6", "no channel 6; give channels from 0 to 5"), ("conv2:4-99", "no channel 6"),
                         ("conv2:", "names no channels"), ("conv2:-1", "names no channels"),
                         ("conv2:3-1", "names no channels"), ("conv2:x", "give them like conv2:5 or")):
        with pytest.raises(UsageError, match=words):
            layer_and_channels(network, named)
    with pytest.raises(NetworkError, match="Did you mean 'conv2'"):
        layer_and_channels(network, "conv22:1")
    with pytest.raises(UsageError, match="no channel 7"):
        explain_units(model_of(), "conv2", np.stack(pictures(2)), channels=[7])
    asked: list[str] = []
    with pytest.raises(UsageError, match="no channel 7"):
        search(model_of(), {"conv1": None, "conv2": [0, 7]}, np.stack(pictures(2)),
               progress=lambda *x: asked.append(x[0]))
    assert asked == [], "that is found out before any image is looked at"


def test_several_layers_named():
    network = model_of().network
    assert layers_and_channels(network, ["relu2", "conv1:3"]) == {"relu2": None, "conv1": [3]}
    assert layers_and_channels(network, ["conv1:3", "conv1:0-1"]) == {"conv1": [3, 0, 1]}
    for named in (["conv1:3", "conv1"], ["conv1", "conv1:3"]):
        assert layers_and_channels(network, named) == {"conv1": None}
    assert layers_and_channels(network, ["all"]) == {"relu1": None, "relu2": None, "linear1": None}
    assert layers_and_channels(network, ["conv1:1", "all"]) == {"conv1": [1], "relu1": None, "relu2": None,
                                                                "linear1": None}
    called = Network([Conv2d(None, 2, 3), {"type": "ReLU", "name": "all"}, Flatten(), Linear(None, 3)], (8, 8, 1))
    assert layers_and_channels(called, ["all"]) == {"all": None}
    with pytest.raises(NetworkError, match="Did you mean 'conv2'"):
        layers_and_channels(network, ["relu1", "conv22"])


def test_a_model_that_lies_in_no_run_needs_images():
    with pytest.raises(UsageError, match="name them: cnn explain --units LAYER DATA"):
        explain_units(model_of(), "conv2")
    with pytest.raises(DataError, match="there are no images; give a folder"):
        explain_units(model_of(), "conv2", [])


def test_the_front_door():
    assert cnncli.explain_units is explain_units
