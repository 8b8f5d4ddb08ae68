"""explain/units.py and explained_units.py: which images excite a channel most, what it sees of them, what it answers
to, and which classes it speaks for, against plain loops."""

import re

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data.finding import Missing, Picture
from cnncli.data.preprocessing import Preprocessing
from cnncli.errors import DataError, ModelError, NetworkError, UsageError
from cnncli.explain.explained_units import explain_units, layer_and_channels
from cnncli.explain.look import Look
from cnncli.explain.units import Top, _largest, projections, top_patches, way_back, weights_to_classes, window
from cnncli.layers import Conv2d, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.analysis import receptive_field

CLASSES = ["a", "b", "c"]


def model_of(depth: int = 1, side: int = 12) -> Model:
    network = Network([Conv2d(None, 5, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(None, 6, 3, stride=2, padding=1),
                       ReLU(), GlobalAvgPool2d(), Linear(None, 3)], (side, side, depth), seed=4)
    return Model(network, CLASSES, Preprocessing((side, side), depth == 1, mean=(0.4,) * depth, std=(0.2,) * depth))


def pictures(n: int = 40, side: int = 12, depth: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (n, side, side, depth)).astype(np.uint8))


def items_of(images: list[np.ndarray]) -> list[Picture]:
    return [Picture(f"images[{i}]", image) for i, image in enumerate(images)]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["conv1", "relu1", "maxpool1", "relu2", "globalavgpool1", "linear1"])
def test_the_top_patches_are_those_of_a_plain_loop(layer):
    model, images = model_of(), pictures()
    top = top_patches(model, items_of(images), [layer], 4, labels=[0] * 40).tops[layer]
    each = [model.network.activations(model.preprocessing.normalise(image[None]), [layer])[layer][0]
            for image in images]
    for channel in range(each[0].shape[-1]):
        ranked = sorted(range(40), key=lambda i: -each[i][..., channel].max())[:4]
        assert top.images[channel].tolist() == ranked
        for slot, i in enumerate(ranked):
            assert top.values[channel, slot] == pytest.approx(each[i][..., channel].max(), rel=1e-5)
            if each[i].ndim == 3:
                assert each[i][(*top.places[channel, slot], channel)] == each[i][..., channel].max()


def test_several_layers_in_one_pass_and_any_cut_into_batches_are_the_same():
    model, images = model_of(), pictures(30)
    both = top_patches(model, items_of(images), ["conv1", "conv2"], 5, [0] * 30)
    normalised = model.preprocessing.normalise(np.stack(images))
    for layer in ("conv1", "conv2"):
        one = top_patches(model, items_of(images), [layer], 5, [0] * 30).tops[layer]
        yielded = model.network.activations(normalised, [layer])[layer]
        pieces = Top.empty(layer, yielded.shape[-1], 5, 3)
        for first in range(0, 30, 7):
            rows = np.arange(first, min(first + 7, 30))
            pieces = pieces.with_more(yielded[rows], rows, np.zeros(len(rows), np.int64))
        for other in (one, pieces):
            assert np.array_equal(both.tops[layer].images, other.images)
            assert np.array_equal(both.tops[layer].places, other.places)
            np.testing.assert_allclose(both.tops[layer].values, other.values, rtol=1e-5)


def test_of_equals_the_first_stays_and_fewer_images_than_asked_for():
    yielded = np.ones((3, 2, 2, 1), np.float32)
    top = Top.empty("x", 1, 5, 1).with_more(yielded, np.arange(3), np.zeros(3, np.int64))
    top = top.with_more(yielded[:1], np.array([3]), np.zeros(1, np.int64))
    assert top.images.tolist() == [[0, 1, 2, 3, -1]]
    assert top.places[0, :4].tolist() == [[0, 0]] * 4


@pytest.mark.parametrize("positions", [1, 2, 3, 7, 49, 64])
def test_the_largest_by_halves(positions):
    flat = np.random.default_rng(0).normal(size=(4, positions, 5)).astype(np.float32)
    for last in (flat, -np.abs(flat)):
        assert np.array_equal(_largest(last), last.max(axis=1))


def test_by_class_is_how_many_deviations_above_the_mean():
    rng = np.random.default_rng(2)
    yielded, labels = rng.normal(size=(50, 3, 3, 4)).astype(np.float32), rng.integers(0, 2, 50)
    yielded[..., 3] = 7  # never varies
    top = Top.empty("x", 4, 2, 3).with_more(yielded[:20], np.arange(20), labels[:20])
    top = top.with_more(yielded[20:], np.arange(20, 50), labels[20:])
    largest = yielded.max(axis=(1, 2)).astype(np.float64)[:, :3]
    wanted = [(largest[labels == k] - largest.mean(axis=0)).mean(axis=0) / largest.std(axis=0) for k in (0, 1)]
    np.testing.assert_allclose(top.by_class()[:2, :3], np.array(wanted), rtol=1e-6)
    assert not top.by_class()[2].any(), "a class without images"
    assert not top.by_class()[:, 3].any(), "a channel that never varies"


@pytest.mark.parametrize("layer", ["conv1", "maxpool1", "conv2"])
def test_a_window_is_what_the_position_sees(layer):
    """Changing any pixel inside changes the value, for some image, and none outside does."""
    model = model_of(side=14)
    seen = receptive_field(model.network)[layer]
    rng = np.random.default_rng(1)
    images = rng.standard_normal((4, 14, 14, 1)).astype(np.float32)
    rows, columns, _ = model.network.shape_of(layer)
    moved = images + 9 * np.eye(196, dtype=np.float32).reshape(196, 1, 14, 14, 1)  # one pixel of each
    before = model.network.activations(images, [layer])[layer]
    after = model.network.activations(moved.reshape(-1, 14, 14, 1), [layer])[layer].reshape(196, *before.shape)
    for place in ((0, 0), (rows - 1, columns // 2), (1, columns - 1)):
        part = window(seen, place, (14, 14), True)
        felt = (after != before)[:, :, place[0], place[1]].any(axis=(1, 2)).reshape(14, 14)
        inside = np.zeros((14, 14), bool)
        inside[max(part.top, 0) : part.bottom, max(part.left, 0) : part.right] = True
        assert np.array_equal(felt, inside)
        assert (part.bottom - part.top, part.right - part.left) == seen.size


def test_a_cut_is_padded_where_it_leaves_the_image():
    model = model_of(side=14)
    pixels = np.arange(196, dtype=np.uint8).reshape(14, 14, 1)
    cut = window(receptive_field(model.network)["conv1"], (0, 13), (14, 14), True).cut(pixels, 128)
    assert cut[..., 0].tolist() == [[128, 128, 128], [12, 13, 128], [26, 27, 128]]
    whole = window(receptive_field(model.network)["conv1"], (0, 13), (14, 14), False).cut(pixels, 128)
    assert np.array_equal(whole, pixels)
    assert window(receptive_field(model.network)["conv1"], (5, 1), (3, 14), True).cut(pixels[:3], 0).shape == (3, 3, 1)


def test_projections_go_back_through_the_switches_by_the_definition():
    model = model_of()
    images = model.preprocessing.normalise(np.stack(pictures(3)))
    layers, x, inputs = [node.layer for node in model.network.nodes[:5]], images, []
    for layer in layers:
        inputs.append(x)
        x = layer.forward(x, training=True)
    places = [np.unravel_index(x[i, ..., c].argmax(), x.shape[1:3]) for i, c in enumerate((1, 4, 1))]
    dy = np.zeros_like(x)
    for i, (c, place) in enumerate(zip((1, 4, 1), places, strict=True)):
        dy[i, place[0], place[1], c] = x[i, place[0], place[1], c]
    assert dy.max() > 0
    for layer in layers[::-1]:
        dy = np.maximum(dy, 0) if layer.function else layer.backward(np.ascontiguousarray(dy, np.float32))
    look = Look(model.network, "relu2")
    found = projections(look, images, np.array([1, 4, 1]), np.array(places))
    np.testing.assert_allclose(found, dy, rtol=1e-4, atol=1e-6)
    look.at_once = 2
    assert np.array_equal(projections(look, images, np.array([1, 4, 1]), np.array(places)), found)


def test_without_maxima_what_is_answered_to_still_depends_on_the_image():
    network = Network([Conv2d(None, 5, 3), ReLU(), Conv2d(None, 6, 3), ReLU(), GlobalAvgPool2d(), Linear(None, 3)],
                      (12, 12, 1), seed=4)
    look = Look(network, "relu2")
    assert (way_back(look), way_back(Look(model_of().network, "relu2"))) == ("guided", "deconvnet")
    assert way_back(Look(model_of().network, "relu1")) == "guided", "its maxima come later"
    images = np.random.default_rng(0).standard_normal((2, 12, 12, 1)).astype(np.float32)
    yielded, place = look.values(images), np.array([[4, 4], [4, 4]])
    channel = np.full(2, int((yielded[:, 4, 4].min(axis=0)).argmax()))
    found = projections(look, images, channel, place)
    share = [each / np.abs(each).max() for each in found]
    assert np.abs(share[0] - share[1]).max() > 0.05
    guided = look.from_units(images, (4 * 8 + 4) * 6 + channel, "guided", by_value=True)[0]
    assert np.array_equal(found, guided)


def test_weights_say_which_classes_where_one_linear_layer_decides():
    network = model_of().network
    weight = network.parameters()["linear1.weight"]
    for layer in ("relu2", "globalavgpool1"):
        assert np.array_equal(weights_to_classes(network, layer), weight)
    for layer in ("conv2", "relu1", "linear1"):
        assert weights_to_classes(network, layer) is None
    flat = Network([Conv2d(None, 4, 3), Flatten(), Linear(None, 3)], (8, 8, 1))
    assert weights_to_classes(flat, "conv1") is None, "a weight for each position"


def test_a_stop_keeps_what_is_done(monkeypatch):
    model, images = model_of(), pictures(150)

    def stop(what, done, total):
        if done >= 64:
            raise KeyboardInterrupt

    found = top_patches(model, items_of(images), ["relu2"], 3, progress=stop)
    assert (found.stopped, found.seen, found.given, found.answered) == (True, 64, 150, True)
    first = top_patches(model, items_of(images[:64]), ["relu2"], 3)
    assert np.array_equal(found.tops["relu2"].images, first.tops["relu2"].images)
    assert not first.stopped

    def at_once(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Network, "activations", at_once)
    with pytest.raises(KeyboardInterrupt):
        top_patches(model, items_of(images), ["relu2"], 3)


def test_what_cannot_be_read_is_skipped_and_counted_nowhere():
    model, images = model_of(), pictures(6)
    items = [Missing("gone.png", "gone.png is not there"), *items_of(images)]
    found = top_patches(model, items, ["relu2"], 3, labels=[2, 0, 1, 0, 1, 0, 1])
    alone = top_patches(model, items_of(images), ["relu2"], 3, labels=[0, 1, 0, 1, 0, 1])
    assert found.skipped == [("gone.png", "gone.png is not there")]
    assert np.array_equal(found.tops["relu2"].images - 1, alone.tops["relu2"].images)
    assert found.tops["relu2"].counts.tolist() == [3, 3, 0]
    with pytest.raises(DataError, match=r"^gone\.png is not there"):
        top_patches(model, items[:1], ["relu2"])


def test_numbers_that_are_none():
    model = model_of()
    model.network.parameters()["conv1.weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite numbers"):
        top_patches(model, items_of(pictures(3)), ["relu2"])


# ---- all of it ----


def test_all_of_a_layer_explained():
    model, images = model_of(depth=3), np.stack(pictures(20, 12, 3))
    said: list[str] = []
    found = explain_units(model, "relu1", (images, ["a", "b"] * 10), count=4, progress=lambda *x: said.append(x[0]))
    assert list(dict.fromkeys(said)) == ["looking for what excites each filter",
                                         "making an image to please each filter",
                                         "asking each filter what it answers to"]
    assert [unit.channel for unit in found.units] == [0, 1, 2, 3, 4]
    assert (found.images, found.given, found.sees, found.answered, found.by_weights) == (20, 20, (3, 3), False, False)
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
    assert explain_units(model, "conv2", images, channels=[2]).answered


def test_a_folder_with_and_without_the_models_classes(tmp_path):
    model = model_of()
    for i, image in enumerate(pictures(9)):
        (tmp_path / "set" / CLASSES[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(tmp_path / "set" / CLASSES[i % 3] / f"{i}.png")
    notes: list[str] = []
    assert not explain_units(model, "relu1", tmp_path / "set", [0], note=notes.append).answered
    assert notes == []
    found = explain_units(model, "relu1", tmp_path / "set" / "a", [0], note=notes.append)
    assert found.answered
    assert found.images == 3
    assert re.search(r"set/a has no folders called like the model's classes", notes[0])


def test_a_channel_that_nothing_excites_is_silent():
    model = model_of()
    model.network.parameters()["conv1.bias"][2] = -1e3
    units = explain_units(model, "relu1", np.stack(pictures(4))).units
    assert [unit.silent for unit in units] == [False, False, True, False, False]
    assert units[2].classes == []


def test_layers_and_channels_named():
    network = model_of().network
    assert layer_and_channels(network, "conv2") == ("conv2", None)
    assert layer_and_channels(network, "conv2:5,0-2, 1") == ("conv2", [5, 0, 1, 2])
    for named, words in (("conv2:6", "no channel 6; its channels are 0 to 5"), ("conv2:4-99", "no channel 6"),
                         ("conv2:", "names no channels"), ("conv2:-1", "names no channels"),
                         ("conv2:3-1", "names no channels"), ("conv2:x", "as in conv2:5 or")):
        with pytest.raises(UsageError, match=words):
            layer_and_channels(network, named)
    with pytest.raises(NetworkError, match="Did you mean 'conv2'"):
        layer_and_channels(network, "conv22:1")
    with pytest.raises(UsageError, match="no channel 7"):
        explain_units(model_of(), "conv2", np.stack(pictures(2)), channels=[7])


def test_a_model_that_lies_in_no_run_needs_images():
    with pytest.raises(UsageError, match="name them: cnn explain --units LAYER DATA"):
        explain_units(model_of(), "conv2")
    with pytest.raises(DataError, match="there is no image"):
        explain_units(model_of(), "conv2", [])


def test_the_front_door():
    assert cnncli.explain_units is explain_units
