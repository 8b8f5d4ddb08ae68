"""explain/units.py: which images excite a channel most, what it sees of them, what it answers to, and which classes it
speaks for, against plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.data.finding import Missing, Picture
from cnncli.data.preprocessing import Preprocessing
from cnncli.errors import DataError, ModelError
from cnncli.explain import units
from cnncli.explain.look import Look
from cnncli.explain.units import (
    Top,
    Window,
    _largest,
    activation_behind,
    projections,
    top_patches,
    way_back,
    weights_to_classes,
    window,
)
from cnncli.layers import Conv2d, Flatten, GlobalAvgPool2d, Linear, MaxPool2d, ReLU, ReLU6
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.analysis import Field, receptive_field

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


@pytest.mark.parametrize("kept", [1, 2, 3, 5])
def test_more_images_by_a_plain_loop(kept):
    """In three pieces; an image counts once, with its largest position, the first of equals."""
    rng = np.random.default_rng(kept)
    yielded, labels = rng.integers(0, 9, (11, 2, 3, 4)).astype(np.float32), rng.integers(0, 3, 11)
    numbers = np.arange(11) * 3 + 5
    top = Top.empty("x", 4, kept, 3)
    for some in (slice(0, 4), slice(4, 5), slice(5, 11)):
        top = top.with_more(yielded[some], numbers[some], labels[some])
    for channel in range(4):
        ranked = sorted(range(11), key=lambda i: -yielded[i, ..., channel].max())[:kept]
        assert top.images[channel].tolist() == [numbers[i] for i in ranked]
        assert top.values[channel].tolist() == [yielded[i, ..., channel].max() for i in ranked]
        assert top.places[channel].tolist() == [
            list(divmod(int(yielded[i, ..., channel].argmax()), 3)) for i in ranked]
        for label in range(3):
            largest = [float(yielded[i, ..., channel].max()) for i in range(11) if labels[i] == label]
            assert top.sums[label, channel] == sum(largest)
            assert top.squares[label, channel] == sum(each**2 for each in largest)
    assert top.counts.tolist() == [labels.tolist().count(label) for label in range(3)]


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


def test_few_images_at_a_time_are_the_same(monkeypatch):
    model, images = model_of(), pictures(30)
    together = top_patches(model, items_of(images), ["relu1", "relu2"], 5)
    monkeypatch.setattr(units, "_FLOATS_AT_ONCE", 4 * (12 * 12 * 5 + 3 * 3 * 6))
    counts: list[int] = []
    real = Top.with_more
    monkeypatch.setattr(Top, "with_more", lambda self, yielded, *rest: (counts.append(len(yielded)),
                                                                       real(self, yielded, *rest))[1])
    apart = top_patches(model, items_of(images), ["relu1", "relu2"], 5)
    assert counts == [count for count in (4, 4, 4, 4, 4, 4, 4, 2) for _ in range(2)]
    assert apart.seen == together.seen == 30
    for layer, one in together.tops.items():
        assert np.array_equal(one.values, apart.tops[layer].values)
        assert np.array_equal(one.images, apart.tops[layer].images)
        np.testing.assert_allclose(one.by_class(), apart.tops[layer].by_class())


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


def test_by_class_without_images_and_of_what_hardly_varies():
    assert not Top.empty("x", 2, 1, 3).by_class().any()
    for spread, wanted in ((1e-7, 0), (1e-5, 1)):
        each = np.array([[1 + spread], [1 - spread]])
        top = replace(Top.empty("x", 1, 1, 2), sums=10 * each, squares=10 * each**2, counts=np.array([10, 10]))
        np.testing.assert_allclose(top.by_class(), [[wanted], [-wanted]], rtol=1e-3)


@pytest.mark.parametrize(("place", "whole", "positions", "wanted"), [
    ((0, 0), False, True, Window(-1, -3, 4, 3)), ((2, 3), False, True, Window(5, 3, 10, 9)),
    ((2, 3), True, True, Window(0, 0, 20, 30)), ((2, 3), False, False, Window(0, 0, 20, 30))])
def test_a_window_by_hand(place, whole, positions, wanted):
    """Of 5 x 6 pixels, 3 and 2 apart, whose first middle is row 1 and column -0.5."""
    seen = Field((5, 6), (3, 2), (9, 9), (1.0, -0.5), whole)
    assert window(seen, place, (20, 30), positions) == wanted
    if not whole and positions:
        assert window(seen, place, (5, 30), True) == Window(0, wanted.left, 5, wanted.right)
        assert window(seen, place, (20, 6), True) == Window(wanted.top, 0, wanted.bottom, 6)
        assert window(seen, place, (6, 7), True) == wanted


def test_what_leaves_an_image_is_cut_to_it():
    pixels = np.arange(1, 7, dtype=np.uint8).reshape(2, 3, 1)
    for part, wanted in ((Window(-1, -1, 1, 2), [[0, 0, 0], [0, 1, 2]]), (Window(1, 2, 3, 4), [[6, 0], [0, 0]]),
                         (Window(2, 0, 3, 2), [[0, 0]]), (Window(0, 3, 1, 4), [[0]]),
                         (Window(-3, 0, -1, 1), [[0], [0]]),
                         (Window(0, -2, 1, 0), [[0, 0]]), (Window(0, 1, 2, 3), [[2, 3], [5, 6]])):
        assert part.cut(pixels, 0)[..., 0].tolist() == wanted


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


@pytest.mark.parametrize("place", [(6, 0), (0, 6)])
def test_there_is_no_projection_from_where_there_is_no_position(place):
    with pytest.raises(AssertionError):
        projections(Look(model_of().network, "maxpool1"), np.zeros((1, 12, 12, 1), np.float32), np.array([0]),
                    np.array([place]))


def test_a_layer_without_positions_has_one():
    model = model_of()
    images = model.preprocessing.normalise(np.stack(pictures(2)))
    look = Look(model.network, "linear1")
    found = projections(look, images, np.array([1, 2]), np.zeros((2, 2), int))
    values = look.values(images)
    assert np.array_equal(found, look.from_units(images, np.array([1, 2]), "deconvnet", by_value=True)[0])
    assert values.shape == (2, 3)
    with pytest.raises(AssertionError):
        projections(look, images, np.array([1, 2]), np.array([[0, 0], [0, 1]]))


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
    one = Network([Conv2d(None, 4, 8), Flatten(), Linear(None, 3)], (8, 8, 1))
    assert np.array_equal(weights_to_classes(one, "conv1"), one.parameters()["linear1.weight"]), "one position"
    for layers in ([Conv2d(None, 3, 3), GlobalAvgPool2d()], [Conv2d(None, 4, 3), Conv2d(None, 3, 1)],
                   [Conv2d(None, 4, 3), Conv2d(None, 4, 3), GlobalAvgPool2d(), Linear(None, 3)],
                   [Conv2d(None, 4, 3), GlobalAvgPool2d(), Linear(None, 4), Linear(None, 3)],
                   [Conv2d(None, 4, 3), GlobalAvgPool2d(), ReLU(), Linear(None, 3)]):
        assert weights_to_classes(Network(layers, (8, 8, 1)), "conv1") is None
    passed = Network([{"type": "Conv2d", "out_channels": 4, "kernel_size": 1, "name": "a"},
                      {"type": "Conv2d", "out_channels": 4, "kernel_size": 1, "name": "b"},
                      {"type": "Add", "inputs": ["a", "b"], "name": "sum"}, {"type": "GlobalAvgPool2d"},
                      {"type": "Linear", "out_features": 3}], (8, 8, 1))
    assert [weights_to_classes(passed, name) is None for name in ("a", "b", "sum")] == [True, True, False]


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


def test_which_activation_is_behind_a_layer(network):
    def behind(name, layer):
        found = activation_behind(network(name), layer)
        return found and found.name

    assert [behind("lenet5", layer) for layer in ("conv1", "relu1", "pool1", "fc1", "fc3")] == [
        "relu1", None, None, "relu3", None]
    assert [behind("resnet20", layer) for layer in ("conv1", "bn1", "layer1.0.conv1", "layer1.0.conv2")] == [
        "relu", "relu", "layer1.0.relu1", "layer1.0.relu"]
    lite = [behind("efficientnet_lite0", layer) for layer in ("conv_head", "bn2", "blocks.2.1.bn3", "blocks.2.1.add")]
    assert lite == ["act2", "act2", None, None]


def test_what_a_relu6_answers_to_at_its_most_is_still_shown():
    network = Network([Conv2d(None, 2, 3), ReLU6(), GlobalAvgPool2d(), Linear(None, 3)], (8, 8, 1), seed=4)
    network.parameters()["conv1.weight"][...] *= 100
    images = np.random.default_rng(0).standard_normal((4, 8, 8, 1)).astype(np.float32)
    look, channels = Look(network, "relu61"), np.array([0, 1, 0, 1])
    values = look.values(images)
    places = np.array([np.unravel_index(values[i, ..., c].argmax(), (6, 6)) for i, c in enumerate(channels)])
    assert [values[i, y, x, c] for i, (c, (y, x)) in enumerate(zip(channels, places, strict=True))] == [6] * 4
    found = projections(look, images, channels, places)
    for i, (c, (y, x)) in enumerate(zip(channels, places, strict=True)):
        weight = network.parameters()["conv1.weight"][c, 0]
        np.testing.assert_allclose(found[i, y : y + 3, x : x + 3, 0], 6 * weight, rtol=1e-5)
