"""explain/mistakes.py: an image, what speaks for the guess, what for the label, and the difference, on one scale."""

import numpy as np
import pytest

from cnncli.data import Preprocessing
from cnncli.errors import UsageError
from cnncli.explain.geometry import PIXELS
from cnncli.explain.mistakes import SIDE, _strip, reasons
from cnncli.explain.picture import laid
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.analysis import has_positions

from .test_explanation import lit, sides


def test_the_guess_beside_the_image_and_below_the_label_and_the_difference() -> None:
    model = sides()
    pixels = np.stack([lit(9, 3, (8, 12), 2), lit(2, 3, (8, 12), 2)])
    strips = list(reasons(model, pixels, np.array([1, 0]), np.array([0, 1])))
    w, h = SIDE, SIDE * 8 // 12
    assert [strip.shape for strip in strips] == [(2 * h + 4, 2 * w + 4, 3)] * 2
    for strip, lit_left in zip(strips, (False, True), strict=True):
        image, guess, label, difference = (strip[i * (h + 4) :, j * (w + 4) :][:h, :w].astype(int)
                                           for i in range(2) for j in range(2))
        assert image.max() == 255
        assert (strip[:, w : w + 4] == 255).all(), "white lies between"
        assert (strip[h : h + 4] == 255).all()
        red = (guess[..., 0] - guess[..., 2]).clip(0)
        assert red.max() > 50, "what was seen speaks for the guess"
        assert (red[:, : w // 2].sum() > red[:, w // 2 :].sum()) == lit_left
        assert np.ptp(label, axis=2).max() < 10, "and nothing for the label"
        assert abs(difference - guess).max() < 10


def test_one_after_the_other_and_not_for_what_has_no_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sides()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), np.uint8)
    guesses, labels = np.array([0, 1, 2, 0, 1]), np.array([1, 2, 0, 2, 0])
    together = list(reasons(model, pixels, guesses, labels))
    monkeypatch.setattr("cnncli.explain.mistakes._AT_ONCE", 2)
    for a, b in zip(together, reasons(model, pixels, guesses, labels), strict=True):
        assert np.array_equal(a, b)
    flat = Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 3}], (8, 12, 3))
    assert model.has_positions
    assert not any(map(has_positions, flat.nodes))
    with pytest.raises(UsageError, match="no layer of the network has positions"):
        list(reasons(Model(flat, model.classes, model.preprocessing), pixels, guesses, labels))


@pytest.mark.parametrize(("size", "large"), [((8, 12), False), ((SIDE, 2 * SIDE), True)])
def test_a_small_image_keeps_its_pixels_and_a_large_one_their_means(size: tuple[int, int], large: bool) -> None:
    layers = [{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}, {"type": "GlobalAvgPool2d"}]
    network = Network(layers, (*size, 3))
    model = Model(network, ["a", "b"], Preprocessing(size))
    pixels = np.zeros((1, *size, 3), np.uint8)
    pixels[:, :, 1::2] = 200  # stripes of one pixel
    [strip] = reasons(model, pixels, np.array([0]), np.array([1]))
    w = SIDE if large else SIDE // 12 * 12
    h = w * size[0] // size[1]
    assert set(np.unique(strip[:h, :w])) == ({100} if large else {0, 200})


@pytest.mark.parametrize(("size", "wanted"), [
    ((1, 300), (1, 144)), ((300, 1), (144, 1)), ((50, 30), (100, 60)), ((144, 143), (144, 143)),
    ((145, 72), (144, 72))])
def test_how_large_a_picture_is(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """By a whole number larger, or smaller so that the longer side fits; never nothing."""
    maps = np.zeros(size, np.float32)
    strip = _strip(np.zeros((*size, 3), np.uint8), maps, maps, PIXELS)
    assert strip.shape == (2 * wanted[0] + 4, 2 * wanted[1] + 4, 3)


def test_all_maps_have_one_scale() -> None:
    """The strongest is the difference, 4: what is 2 for the guess is half as strong."""
    pixels = np.full((144, 144, 3), 255, np.uint8)
    guess, label = np.zeros((144, 144), np.float32), np.zeros((144, 144), np.float32)
    guess[:72], label[:72], label[72:] = 2, -2, 1
    strip = _strip(pixels, guess, label, PIXELS)
    said, true, more = strip[:144, 148:], strip[148:, :144], strip[148:, 148:]
    for found, values in ((said, guess / 4), (true, label / 4), (more, (guess - label) / 4)):
        assert np.array_equal(found, laid(pixels, values))
    assert (strip[:144, :144] == 255).all()
    assert (_strip(pixels, 0 * guess, 0 * guess, PIXELS) == 255).all(), "nothing has no colour"
