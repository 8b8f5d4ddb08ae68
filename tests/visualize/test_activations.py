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
    assert upper.tolist() == [0x44, 0x01, 0x54], "0 is dark"
    assert lower.tolist() == [0xFD, 0xE7, 0x25], "the largest is yellow"
    upper, lower = map_colours(np.array([-2, 5], np.float32).reshape(2, 1, 1))
    assert upper[2] > upper[0]
    assert lower[0] > lower[2]
    dead, _ = map_colours(np.zeros((2, 1, 1), np.float32))
    assert dead.tolist() == [0x44, 0x01, 0x54], "a dead channel is dark, not bright"


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
    assert chosen[0] == "conv0"
    assert chosen[-1] == "conv19"
    assert len(chosen) == 6
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


def test_dead_channels_are_said(words):
    values = np.zeros((4, 4, 5), np.float32)
    values[..., 1], values[..., 2], values[0, 0, 3] = 2, -1, 7
    draw(grey(), [LayerMaps("relu1", "ReLU", values)], "t", [])
    assert any("4 dead: the same everywhere" in text for text in words.texts)
    assert {"dead: all 0", "dead: all 2", "dead: all -1", "0 \u2026 7"} <= set(words.texts)
    before = len(words.texts)
    draw(grey(), [LayerMaps("relu1", "ReLU", np.full((4, 4, 2), 2.5, np.float32))], "t", [])
    assert not any("dead" in text for text in words.texts[before:]), "a blank image moves nothing anywhere"


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
    assert activations._Block.of(maps[0]).dead.tolist() == [i == 2 for i in range(maps[0].values.shape[-1])]
