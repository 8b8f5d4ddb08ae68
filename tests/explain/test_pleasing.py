"""explain/pleasing.py: images made to please a channel do, more than any that there are; the same bits whenever; and
what each option does."""

import numpy as np
import pytest

import cnncli
from cnncli import kernels
from cnncli.data.preprocessing import Preprocessing
from cnncli.explain import pleasing as module
from cnncli.explain.look import Look
from cnncli.explain.pleasing import margins, pleasing
from cnncli.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from cnncli.network import Network

GREY = Preprocessing((20, 20), True, mean=(0.3,), std=(0.25,))
COLOUR = Preprocessing((20, 26), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


def network_for(preprocessing: Preprocessing) -> Network:
    return Network([Conv2d(None, 8, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(None, 12, 3, padding=1), ReLU(),
                    MaxPool2d(2), Flatten(), Linear(None, 4)], preprocessing.shape, seed=3)


def stripes(kind: int, n: int) -> np.ndarray:
    """Images of one of three kinds of stripes, with noise."""
    y, x = np.mgrid[:20, :20]
    rng = np.random.default_rng(kind)
    shift = rng.integers(0, 6, (n, 1, 1))
    shape = [(x + shift) // 3 % 2, (y + shift) // 3 % 2, (x + y + shift) // 4 % 2][kind]
    return (shape * 200 + rng.normal(20, 20, (n, 20, 20))).clip(0, 255).astype(np.uint8)[..., None]


@pytest.mark.slow
def test_what_is_made_excites_a_trained_channel_more_than_any_image(tmp_path):
    images = np.concatenate([stripes(kind, 40) for kind in range(3)])
    run = cnncli.train((images, np.repeat(["x", "y", "z"], 40)), arch="lenet5", epochs=3, seed=0, runs=tmp_path)
    model = run.model
    noise = np.random.default_rng(0).integers(0, 256, (500, *model.preprocessing.shape)).astype(np.uint8)
    prepared = np.stack([model.preprocessing.prepare_array(image) for image in images])
    more = []
    for layer in ("conv2", "relu2", "pool2", "relu3", "fc3"):
        look = Look(model.network, layer)
        depth = look.shape[-1]
        made = pleasing(look, model.preprocessing, np.arange(depth))
        best = []
        for others in (noise, prepared):
            values = look.values(model.preprocessing.normalise(others))
            best.append(values.reshape(len(others), -1, depth).max(axis=(0, 1)))
        alive = best[1] > 0
        more.append([(made.values > others)[alive] for others in best])
    for over in zip(*more, strict=True):
        assert np.concatenate(over).mean() > 0.8, [each.mean() for each in over]


@pytest.mark.parametrize("preprocessing", [GREY, COLOUR], ids=["grey", "colour"])
def test_the_value_is_that_of_the_middle_for_the_very_pixels(preprocessing):
    network = network_for(preprocessing)
    made = pleasing(Look(network, "conv2"), preprocessing, np.array([3, 7]), steps=10)
    assert made.pixels.shape == (2, *preprocessing.shape)
    assert made.pixels.dtype == np.uint8
    assert made.place == (5, preprocessing.size[1] // 4)
    yielded = network.activations(preprocessing.normalise(made.pixels), ["conv2"])["conv2"]
    wanted = [yielded[i, made.place[0], made.place[1], channel] for i, channel in enumerate((3, 7))]
    np.testing.assert_allclose(made.values, wanted, rtol=1e-5)
    assert made.values.min() > 0


def test_the_same_bits_alone_among_others_again_and_on_any_threads():
    look = Look(network_for(COLOUR), "relu2")
    first = pleasing(look, COLOUR, np.arange(6), steps=8).pixels
    before = kernels.threads()
    try:
        kernels.set_threads(3)
        look = Look(network_for(COLOUR), "relu2")
        look.at_once = 4
        assert np.array_equal(pleasing(look, COLOUR, np.arange(6), steps=8).pixels, first)
        assert np.array_equal(pleasing(look, COLOUR, np.array([4]), steps=8).pixels[0], first[4])
    finally:
        kernels.set_threads(before)
    assert not np.array_equal(pleasing(look, COLOUR, np.arange(6), steps=8, seed=1).pixels, first)


def test_the_gradient_by_frequencies_is_the_slope():
    """Of any sum of pixels, by differences; a frequency that stands for two counts twice, which Adam does not feel."""
    canvas = module._Canvas((9, 8), COLOUR, np.array([0]), 0)
    rng = np.random.default_rng(0)
    canvas.frequencies = rng.normal(0, 0.3, canvas.frequencies.shape).astype(np.float32)
    weights = rng.normal(size=(1, 9, 8, 3)).astype(np.float32)
    slope = canvas.pixels()[1]
    moments = [np.zeros_like(canvas.frequencies) for _ in range(2)]
    before = canvas.frequencies.copy()
    canvas.climb(weights * slope, moments, 1, 0.0)
    assert np.array_equal(canvas.frequencies, before)
    for place in ((0, 2, 1, 0, 0), (0, 4, 3, 1, 1), (0, 0, 2, 2, 0)):
        ends = []
        for sign in (1, -1):
            canvas.frequencies = before.copy()
            canvas.frequencies[place] += sign * 1e-2
            ends.append(float((canvas.pixels()[0].astype(np.float64) * weights).sum()))
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(2 * moments[0][place] / 0.1, rel=0.02)


def test_pixels_stay_between_black_and_white_and_begin_at_the_mean():
    made = pleasing(Look(network_for(COLOUR), "conv2"), COLOUR, np.arange(3), steps=0)
    np.testing.assert_allclose(made.pixels.mean(axis=(0, 1, 2)) / 255, COLOUR.mean, atol=0.01)
    assert made.pixels.std() < 3 * 255 * 0.1
    canvas = module._Canvas((20, 20), GREY, np.arange(2), 0)
    canvas.frequencies *= 1e4
    assert 0 <= canvas.pixels()[0].min() < canvas.pixels()[0].max() <= 1


def roughness(pixels: np.ndarray) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())


def test_what_decay_and_blur_do():
    look, channels = Look(network_for(GREY), "conv2"), np.arange(12)
    made = {name: pleasing(look, GREY, channels, steps=24, **options).pixels for name, options in
            (("plain", {"blur": 0.0}), ("blurred", {"blur": 0.8}), ("decayed", {"blur": 0.0, "decay": 0.1}))}
    assert roughness(made["blurred"]) < 0.8 * roughness(made["plain"])
    mean = 255 * GREY.mean[0]
    assert np.abs(made["decayed"] - mean).mean() < 0.8 * np.abs(made["plain"] - mean).mean()


def test_each_step_decays_by_that_share():
    look = Look(network_for(GREY), "conv2")
    made = pleasing(look, GREY, np.array([2]), steps=9, rate=0.0, blur=0.0, decay=0.1)
    _, pad = margins(20, 8)
    canvas = module._Canvas((20 + 2 * pad, 20 + 2 * pad), GREY, np.array([2]), 0)
    canvas.frequencies *= np.float32(0.9**9)
    wanted = canvas.pixels()[0][:, pad : pad + 20, pad : pad + 20]
    np.testing.assert_allclose(made.pixels, 255 * wanted, atol=0.51)


def test_a_blur_is_a_gaussian():
    canvas = module._Canvas((32, 32), GREY, np.array([0]), 0)
    spot = np.zeros((1, 32, 32, 1), np.float32)
    spot[0, 16, 16] = 1
    spectrum = np.fft.rfft2(spot, axes=(1, 2), norm="ortho").astype(np.complex64) / canvas._scale
    canvas.frequencies = np.ascontiguousarray(spectrum)[..., None].view(np.float32)
    canvas.blur(1.5)
    pixels = canvas.pixels()[0][0, ..., 0].astype(np.float64)
    logits = np.log(pixels / (1 - pixels)) - canvas._start[0]
    y, x = np.mgrid[:32, :32] - 16
    np.testing.assert_allclose(logits, np.exp(-(y**2 + x**2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2), atol=1e-5)


def test_an_activation_that_is_off_everywhere_is_found_all_the_same():
    network = network_for(GREY)
    network.parameters()["conv1.bias"][...] = -0.4
    network.parameters()["conv2.bias"][...] = -0.5
    look = Look(network, "relu2")
    begun = pleasing(look, GREY, np.arange(12), steps=0)
    made = pleasing(look, GREY, np.arange(12), steps=60)
    assert not begun.values.any()
    assert (made.values > 0).mean() > 0.7


def test_a_stop_keeps_the_images_as_they_are():
    def stop(done: int, steps: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    look = Look(network_for(GREY), "conv2")
    stopped = pleasing(look, GREY, np.arange(2), steps=20, told=stop)
    assert stopped.steps in (4, 5)
    assert stopped.pixels.shape == (2, 20, 20, 1)
    told: list[tuple[int, int]] = []
    assert pleasing(look, GREY, np.arange(2), steps=3, told=lambda *x: told.append(x)).steps == 3
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_shifts_and_margins_suit_the_image_and_what_is_seen_of_it():
    assert {side: margins(side, side) for side in (8, 28, 32, 128, 224, 260)} == {
        8: (0, 1), 28: (1, 1), 32: (1, 2), 128: (5, 7), 224: (8, 12), 260: (9, 14)}
    assert {seen: margins(224, seen) for seen in (3, 19, 67, 224)} == {
        3: (0, 12), 19: (1, 12), 67: (2, 12), 224: (8, 12)}
    assert all(shift <= pad for shift, pad in (margins(side, side) for side in range(1, 4097))), (
        "a shift must not leave the canvas")


@pytest.mark.parametrize(("layer", "seen"), [("conv1", 3), ("maxpool1", 4), ("conv2", 8), ("linear1", 26)])
def test_how_much_a_position_sees(layer, seen, monkeypatch):
    look, asked = Look(network_for(COLOUR), layer), list[tuple[int, int]]()
    monkeypatch.setattr(module, "margins", lambda *sides: asked.append(sides) or margins(*sides))
    pleasing(look, COLOUR, np.array([0]), steps=1)
    assert asked == [(26, seen)]


def test_small_patterns_are_made_as_pleasing_as_large_ones():
    """A first layer's filter that wants every other column bright gets that, up to what a blur leaves."""
    network = network_for(GREY)
    network.parameters()["conv1.weight"][0] = np.array([-1, 2, -1], np.float32)
    made = pleasing(Look(network, "conv1"), GREY, np.array([0]))
    most = 3 * ((2 * 0.7 + 2 * 0.3) / 0.25) + float(network.parameters()["conv1.bias"][0])  # white between black
    assert made.values[0] > 0.6 * most


def test_frequencies_are_as_strong_as_natural_images_have_them():
    """1 / frequency, and for the mean as for the lowest, which goes once along the longer side."""
    scale = module._Canvas((20, 26), COLOUR, np.array([0]), 0)._scale[..., 0]
    assert scale.shape == (20, 14)
    np.testing.assert_allclose(scale[0, :4] / 0.25, [26, 26, 26 / 2, 26 / 3], rtol=1e-6)
    np.testing.assert_allclose(scale[:3, 0] / 0.25, [26, 20, 10], rtol=1e-6)
    assert scale[1, 1] / 0.25 == pytest.approx(1 / np.hypot(1 / 20, 1 / 26), rel=1e-6)


def test_colours_vary_in_brightness_most():
    """Grey, red against green, and yellow against blue, of weights 1, 0.4 and 0.25."""
    mixed = module._Canvas._mixed(np.eye(3, dtype=np.float32), module._COLOURS)
    np.testing.assert_allclose(mixed, [[1, 1, 1], [0.4, -0.4, 0], [0.125, 0.125, -0.25]], rtol=1e-6)
    planes = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    np.testing.assert_allclose(module._Canvas._mixed(planes, module._COLOURS), planes @ mixed, rtol=1e-6)


def test_a_step_is_adams():
    """By its definition, in float64; each frequency climbs as far as the rate at first."""
    canvas = module._Canvas((6, 5), GREY, np.array([0, 1]), 0)
    rng = np.random.default_rng(0)
    moments, first, second = [np.zeros_like(canvas.frequencies) for _ in range(2)], 0.0, 0.0
    wanted = canvas.frequencies.astype(np.float64)
    for step in (1, 2, 3):
        gradient = rng.normal(size=(2, 6, 5, 1)).astype(np.float32)
        spectrum = np.fft.rfft2(gradient.astype(np.float64), axes=(1, 2), norm="ortho") * canvas._scale
        towards = np.stack([spectrum.real, spectrum.imag], axis=-1)
        first, second = 0.9 * first + 0.1 * towards, 0.999 * second + 0.001 * towards**2
        wanted += 0.2 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        canvas.climb(gradient, moments, step, 0.2)
        felt = np.abs(towards) > 1e-5  # what is 0 but for rounding is not divided well
        np.testing.assert_allclose(canvas.frequencies[felt], wanted[felt], rtol=1e-3, atol=1e-4)


def test_a_large_image_takes_smaller_steps_and_more_blur(monkeypatch):
    """0.1 for a side of 28, half of that for 16 times as much; half a pixel of blur where 28 are seen."""
    asked, real = list[tuple[float, ...]](), module._Canvas
    monkeypatch.setattr(real, "climb", lambda self, gradient, moments, step, rate: asked.append((step, rate)))
    monkeypatch.setattr(real, "blur", lambda self, radius: asked.append((radius,)))
    for side, seen, rate, radius in (
            (28, 28, 0.1, 0.5), (28, 7, 0.1, 0.5), (448, 28, 0.05, 0.5), (448, 224, 0.05, 1.0)):
        asked.clear()
        monkeypatch.setattr(module, "_seen", lambda look, side, seen=seen: seen)
        size = Preprocessing((2, side), True, mean=(0.3,), std=(0.25,))
        network = Network([Conv2d(None, 2, 1), Flatten(), Linear(None, 2)], size.shape, seed=3)
        pleasing(Look(network, "conv1"), size, np.array([0]), steps=5)
        assert [each[0] for each in asked] == [1, 2, 3, 4, pytest.approx(radius), 5], "every fourth step"
        assert [each[1] for each in asked if len(each) == 2] == pytest.approx([rate] * 5)


def test_sixty_four_steps_unless_others_are_wanted():
    size = Preprocessing((1, 2), True, mean=(0.3,), std=(0.25,))
    look = Look(Network([Conv2d(None, 1, 1), Flatten(), Linear(None, 2)], size.shape, seed=3), "conv1")
    assert pleasing(look, size, np.array([0])).steps == 64


def test_what_a_network_gets_is_what_it_gets_of_images():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 26, 3)).astype(np.uint8)
    np.testing.assert_allclose(module._normalised(pixels / np.float32(255), COLOUR), COLOUR.normalise(pixels),
                               rtol=1e-5, atol=1e-5)


def test_a_step_is_made_by_the_gradient_of_what_is_shown_of_the_canvas(monkeypatch):
    """Shifts are drawn from the seed; beyond what is shown nothing is changed."""
    shown, slopes = list[np.ndarray](), list[np.ndarray]()
    look, (shift, pad) = Look(network_for(COLOUR), "linear1"), margins(26, 26)
    canvas = module._Canvas((20 + 2 * pad, 26 + 2 * pad), COLOUR, np.array([2, 0]), 5)
    pixels, slope = canvas.pixels()
    real = module._normalised
    monkeypatch.setattr(module, "_normalised", lambda pixels, how: shown.append(pixels) or real(pixels, how))
    monkeypatch.setattr(module._Canvas, "climb", lambda self, gradient, *rest: slopes.append(gradient))
    made = pleasing(look, COLOUR, np.array([2, 0]), steps=4, seed=5, blur=0.0)
    shifts = np.random.default_rng([5, 2**32]).integers(-shift, shift + 1, (4, 2))
    assert len(np.unique(shifts, axis=0)) > 1
    for (down, across), image, found in zip(shifts, shown, slopes, strict=True):
        part = slice(None), slice(pad + down, pad + down + 20), slice(pad + across, pad + across + 26)
        assert np.array_equal(image, pixels[part])
        gradient, _ = look.from_units(real(image, COLOUR), np.array([2, 0]), "redirected")
        wanted = np.zeros_like(pixels)
        wanted[part] = gradient / np.array(COLOUR.std, np.float32) * slope[part]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert np.array_equal(made.pixels, (255 * pixels[:, pad : pad + 20, pad : pad + 26]).round().astype(np.uint8))
    values = look.values(COLOUR.normalise(made.pixels))
    np.testing.assert_allclose(made.values, [values[0, 2], values[1, 0]], rtol=1e-5)
    assert (made.place, made.steps) == ((0, 0), 4)


def test_a_canvas_begins_with_frequencies_of_each_channels_own():
    canvas = module._Canvas((6, 5), COLOUR, np.array([4, 1]), 9)
    for own, channel in zip(canvas.frequencies, (4, 1), strict=True):
        drawn = np.random.default_rng([9, channel]).normal(0, 0.01, (6, 3, 3, 2))
        np.testing.assert_allclose(own, drawn, rtol=1e-6)
    canvas.frequencies[...] = 0
    pixels, slope = canvas.pixels()
    np.testing.assert_allclose(pixels, np.broadcast_to(COLOUR.mean, pixels.shape), rtol=1e-5)
    np.testing.assert_allclose(slope, pixels * (1 - pixels), rtol=1e-6)
    dark = module._Canvas((6, 5), Preprocessing((4, 4), True, mean=(0.0,), std=(1.0,)), np.array([0]), 0)
    assert dark._start == pytest.approx(np.log(0.05 / 0.95), rel=1e-6), "black could never become light"
