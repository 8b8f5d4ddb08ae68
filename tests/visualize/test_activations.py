"""Sheets of activation maps."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.layers import LAYERS
from cnncli.visualize import activations
from cnncli.visualize.activations import LayerMaps, default_layers, draw

VERDICT = [("dress", 0.9), ("a name that is longer than the picture is wide, by far", 0.05), ("帽子\n$x$", 0.01)]


def grey(h=28, w=28, c=1):
    return np.full((h, w, c), 100, np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28, 6), (1, 1, 64), (2, 2, 512), (64, 64, 3), (224, 224, 16), (150, 40, 8),
                                   (7, 300, 5), (1, 900, 2), (100, 100, 40), (1,), (10,), (33,), (4096,)])
@pytest.mark.parametrize("low", [0, -1])
def test_words_of_any_layer_stay_apart_and_on_the_sheet(shape, low, rng, words):
    values = (rng.random(shape) * 1000 ** rng.random(shape[-1]) + low).astype(np.float32)
    sheet = draw(grey(), [LayerMaps("stage1.block2.conv1", "Conv2d", values)], "a.png in runs/a", VERDICT)
    words.check(sheet.image.size)
    assert "stage1.block2.conv1" in words.texts
    assert any(activations.shape_text(shape) in text for text in words.texts)


@pytest.mark.slow
@pytest.mark.parametrize("shapes", [[(28, 28, 20)] * 2, [(7, 300, 50)] * 4, [(40,)] * 4 + [(4, 4, 11)]])
def test_everything_lies_apart_on_a_sheet_of_its_size(shapes, rng, words):
    layers = [LayerMaps(f"layer{i}", "Conv2d", rng.random(shape).astype(np.float32)) for i, shape in enumerate(shapes)]
    sheet = draw(grey(), layers, "a.png in runs/a", VERDICT)
    words.check_all(sheet.image.size, activations.MARGIN, (140, 40))


def test_five_classes_need_more_room_than_one_layer(words):
    sheet = draw(grey(220, 220), [LayerMaps("a", "ReLU", np.ones((4, 4, 2), np.float32))], "t", VERDICT[:1] * 5)
    words.drawn += [("the last bar", (0, box[1], 1, box[3] + 8)) for text, box in words.drawn[-60:] if text == "90.0%"]
    assert sheet.image.height - max(box[3] for _, box in words.drawn) == pytest.approx(activations.MARGIN + 8, abs=5)


@pytest.mark.slow
def test_a_layer_has_two_rows_of_maps_as_large_as_fit(words):
    for shape, size, shown in (((28, 28, 40), (112, 112), 18), ((4, 4, 40), (104, 104), 20), ((7, 7, 9), (105, 105), 9),
                               ((150, 40, 40), (28, 104), 22), ((145, 20, 40), (20, 145), 22),
                               ((146, 20, 40), (14, 104), 22), ((1, 900, 2), (104, 1), 2)):
        block = activations._Block.of(LayerMaps("a", "ReLU", np.zeros(shape, np.float32)))
        assert (block.map_size, len(block.order)) == (size, shown), shape
        words.pictures.clear()
        draw(grey(), [block.layer], "t", [])
        [image, *maps] = words.pictures
        assert image[2] - image[0] == 196  # the whole multiple of 28 below 220
        assert {(right - left, bottom - top) for left, top, right, bottom in maps} == {size}
        lefts, tops = sorted({box[0] for box in maps}), sorted({box[1] for box in maps})
        assert len(maps) == shown
        assert len(lefts) == min(-(-shown // 2) if shown > 9 else shown, 11)
        assert len(tops) == (2 if shown > 9 else 1)
        assert set(np.diff(lefts)) <= {max(size[0], 96) + 14}


def test_a_flat_layer_is_cells_in_order(words):
    values = np.zeros(300, np.float32)
    values[33], values[2] = 4.567, 1.234
    sheet = draw(grey(), [LayerMaps("fc", "Linear", values)], "t", [])
    [_, *cells] = words.pictures
    assert len(cells) == 256
    pixels = np.asarray(sheet.image)
    colours = [tuple(pixels[int(top) + 8, int(left) + 13].tolist()) for left, top, _, _ in cells]
    assert colours[33] == (0x67, 0x00, 0x1F)
    assert len(set(colours)) == 3
    assert min(colours[0]) > 235
    (left, top, *_), (beside, *_), (_, below, *_) = cells[0], cells[1], cells[32]
    assert [(box[0], box[1]) for box in cells] == [(left + place % 32 * (beside - left), top + place // 32 *
                                                    (below - top)) for place in range(256)]
    assert {(box[2] - box[0], box[3] - box[1]) for box in cells} == {(27, 16)}
    numbers = [int(text) for text in words.texts if text.isdigit()]
    assert numbers == list(range(0, 256, 8))
    assert "Linear · 300 · 256 of 300 shown · white is 0, red is above 0, blue is below 0" in words.texts
    assert "in order; from 0 to 4.57" in words.texts
    words.drawn.clear()
    draw(grey(), [LayerMaps("fc", "Linear", -values[:32])], "t", [])
    assert [int(text) for text in words.texts if text.isdigit()] == list(range(32))
    assert "Linear · 32 · white is 0, red is above 0, blue is below 0" in words.texts
    assert "in order; from -1.23 to 0" in words.texts


def test_a_bar_is_as_long_as_its_class_is_likely():
    sheet = np.asarray(draw(grey(), [], "t", [("a", 0.9), ("b", 0.05)]).image)
    column = sheet[:, activations.MARGIN : activations.MARGIN + activations.SIDE]
    dark, light = ((column == colour).all(axis=2) for colour in (activations.INK, activations.LINE))
    for part in (198, 11):
        bars = (dark[:, :part].all(axis=1) & light[:, part:].all(axis=1)).sum()
        assert bars == 3, f"{part} of 220 pixels"


def test_each_map_has_a_scale_of_its_own_and_says_it(words):
    values = np.zeros((2, 1, 3), np.float32)
    values[:, 0] = [[-12.34, 0.1234, -0.5], [12.34, 0.2345, 1]]
    sheet = np.asarray(draw(grey(), [LayerMaps("a", "ReLU", values)], "t", []).image)
    assert {"-12 \u2026 12", "0.12 \u2026 0.23", "-0.5 \u2026 1"} <= set(words.texts)
    [_, first, third, second] = words.pictures
    corners = [[tuple(sheet[int(box[y]) + by, int(box[0]) + 5].tolist()) for y, by in ((1, 2), (3, -2))]
               for box in (first, second, third)]
    blue, red, white = (tuple(activations.signed(np.array(v), 1.0).tolist()) for v in (-1, 1, 0))
    assert corners[0] == [blue, red]
    assert corners[1][1] == red
    assert corners[2][1] == red
    assert white not in corners[2]
    draw(grey(), [LayerMaps("a", "ReLU", np.full((3, 3, 1), 2.345, np.float32))], "t", [])
    assert "all 2.3" in words.texts


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (500, 200, 3), (1, 1, 1), (20, 900, 3)])
def test_inputs_of_any_shape(shape, words):
    sheet = draw(grey(*shape), [LayerMaps("conv1", "Conv2d", np.ones((4, 4, 2), np.float32))], "t", VERDICT)
    words.check(sheet.image.size)
    assert {"90.0%", "5.0%", "1.0%"} <= set(words.texts)


def test_the_most_active_channels_come_first_and_the_rest_is_said(words):
    values = np.zeros((4, 4, 40), np.float32)
    values[0, 0] = np.arange(40)
    values[0, 0, 3] = -100  # activity counts, not sign
    draw(grey(), [LayerMaps("relu1", "ReLU", values)], "t", [])
    channels = [text for text in words.texts if text.startswith("#")]
    assert channels == ["#3"] + [f"#{c}" for c in range(39, 40 - len(channels), -1)]
    assert 12 <= len(channels) < 40
    assert any(f"{len(channels)} of 40 shown" in text for text in words.texts)
    assert "0 … 39" in words.texts
    assert "-100 … 0" in words.texts


def map_colours(values):
    """The colours of a 2x1-pixel map's upper and lower pixel."""
    sheet = np.asarray(draw(grey(), [LayerMaps("a", "ReLU", values)], "t", []).image).astype(int)
    x, y = activations.MARGIN + activations.SIDE + 36 + 10, activations.MARGIN + 56 + 28
    return sheet[y + 10, x], sheet[y + 100, x]


def test_colours_mean_what_the_sheet_says():
    upper, lower = map_colours(np.array([0, 5], np.float32).reshape(2, 1, 1))
    assert upper.min() > 235, "0 is white"
    assert lower.tolist() == [0x67, 0x00, 0x1F], "the largest is dark red"
    upper, lower = map_colours(np.array([-2, 5], np.float32).reshape(2, 1, 1))
    assert upper[2] > upper[0]
    assert lower[0] > lower[2]
    dead, _ = map_colours(np.zeros((2, 1, 1), np.float32))
    assert dead.min() > 235, "a dead channel is white, not dark"


def test_a_constant_map_says_so(words):
    draw(grey(), [LayerMaps("a", "ReLU", np.full((3, 3, 1), 2.5, np.float32))], "t", [])
    assert "all 2.5" in words.texts


def node(name, kind, shape, kernel=3):
    about = {what: getattr(LAYERS[kind], what) for what in ("shows_maps", "normalises", "function")}
    layer = type(kind, (), {"config": lambda self: {"kernel_size": kernel}, **about})()
    return SimpleNamespace(name=name, layer=layer, shape=shape, inputs=())


def nodes(*described):
    """Return nodes in a row, each reading the one before."""
    made = [node(*description) for description in described]
    for before, after in pairwise(made):
        after.inputs = (before.name,)
    return made


def test_default_layers_are_a_spread_of_convolutions_and_poolings():
    deep = nodes(*[(f"conv{i}", "Conv2d", (8, 8, 4)) for i in range(20)], ("gap", "GlobalAvgPool2d", (4,)),
                 ("fc", "Linear", (10,)))
    chosen = default_layers(deep)
    assert chosen == ["conv0", "conv4", "conv8", "conv11", "conv15", "conv19"]
    assert default_layers(nodes(("a", "Conv2d", (1, 2, 4)), ("b", "Conv2d", (1, 1, 4)), ("c", "Conv2d", (4,)))) == ["a"]
    with_shortcuts = nodes(("conv1", "Conv2d", (8, 8, 4)), ("shortcut", "Conv2d", (8, 8, 4), [1, 1]),
                           ("conv2", "Conv2d", (4, 4, 4), [1, 3]))
    assert default_layers(with_shortcuts) == ["conv1", "conv2"]
    assert default_layers(nodes(("a", "Conv2d", (8, 8, 4), 1), ("b", "Conv2d", (8, 8, 4), 1))) == ["a", "b"]
    small = nodes(("c1", "Conv2d", (28, 28, 6)), ("r1", "ReLU", (28, 28, 6)), ("p1", "MaxPool2d", (14, 14, 6)),
                  ("c2", "Conv2d", (1, 1, 9)), ("fc", "Linear", (10,)))
    assert default_layers(small) == ["r1", "p1"]
    assert default_layers(nodes(("flatten", "Flatten", (784,)), ("fc", "Linear", (10,)))) == ["fc"]


def test_a_convolution_is_shown_after_its_batch_norm_and_activation():
    """What lies between is shown where somebody else reads it, too: a skip connection."""
    block = nodes(("c1", "Conv2d", (8, 8, 4)), ("b1", "BatchNorm2d", (8, 8, 4)), ("r1", "ReLU", (8, 8, 4)),
                  ("c2", "Conv2d", (8, 8, 4)), ("b2", "BatchNorm2d", (8, 8, 4)), ("add", "Add", (8, 8, 4)),
                  ("r2", "SiLU", (8, 8, 4)), ("c3", "Conv2d", (8, 8, 4)), ("r3", "ReLU6", (8, 8, 4)))
    assert default_layers(block) == ["r1", "b2", "r3"]
    block[3].inputs = ("r1", "b1")
    assert default_layers(block) == ["b1", "b2", "r3"]


def test_channels_that_are_the_same_everywhere_are_said(words):
    values = np.zeros((4, 4, 5), np.float32)
    values[..., 1], values[..., 2], values[0, 0, 3] = 2, -1, 7
    draw(grey(), [LayerMaps("relu1", "ReLU", values)], "t", [])
    assert any("4 the same everywhere in this image" in text for text in words.texts)
    assert {"all 0", "all 2", "all -1", "0 \u2026 7"} <= set(words.texts)
    before = len(words.texts)
    draw(grey(), [LayerMaps("relu1", "ReLU", np.full((4, 4, 2), 2.5, np.float32))], "t", [])
    assert not any("the same everywhere" in text for text in words.texts[before:]), "a blank image moves nothing"
    draw(grey(), [LayerMaps("gap", "ReLU", np.zeros(shape, np.float32)) for shape in ((1, 1, 3), (3,))], "t", [])
    assert not any("the same everywhere" in text for text in words.texts[before:]), "of one position nobody knows"
    for shape in ((1, 5, 2), (5, 1, 2)):
        row = np.zeros(shape, np.float32)
        row.reshape(5, 2)[:, 1] = range(5)
        assert activations._Block.of(LayerMaps("a", "ReLU", row)).still.tolist() == [True, False]


def test_a_dead_filter_of_a_network_shows(home):
    """In a real network: a batch norm that pushes a channel below 0 leaves it dead behind the ReLU."""
    import cnncli
    model = cnncli.load("runs/small")
    names = default_layers(model.network.nodes)
    kinds = [type(model.network.node(name).layer).__name__ for name in names]
    assert "Conv2d" not in kinds
    bias = model.network.parameters()["conv1.bias"]
    bias[2] = -1e6
    model.network.changed()
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model.preprocessing.shape), np.uint8)
    answers = model.network.activations(model.preprocessing.normalise(pixels), names)
    maps = activations.maps({node.name: node for node in model.network.nodes}, answers, names, 0)
    assert activations._Block.of(maps[0]).still.tolist() == [i == 2 for i in range(maps[0].values.shape[-1])]
