"""explain/geometry.py: a pixel that changes is found where it lies, through every architecture, and on images of their
own size whatever the preprocessing takes of them."""

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES
from cnncli.data.preprocessing import Preprocessing
from cnncli.explain.explanation import last_positions
from cnncli.explain.geometry import PIXELS, Grid, laid_out, on_image, on_prepared
from cnncli.layers import Conv2d
from cnncli.network import Network
from cnncli.network.analysis import receptive_field

QUICK = {"lenet5", "resnet8"}
WIDE = {"resnet18", "resnet34", "resnet50", "mobilenet_v2", "efficientnet_lite0", "efficientnet_lite1",
        "efficientnet_lite2"}  # positions are 32 pixels apart


def even(name: str) -> tuple[Network, str]:
    """An architecture, up to the layer that is looked at, of positive filters whose weights add up to 1: what one pixel
    adds goes to the positions round it, whichever way."""
    shape = (224, 288, 3) if name in WIDE else (160, 192, 3)
    whole = Network(ARCHITECTURES[name](shape, 3), shape, seed=None)
    layer = last_positions(whole)
    network, rng = whole.upto(layer), np.random.default_rng(0)
    for key, array in network.parameters().items():
        if array.ndim == 4:
            array[...] = rng.uniform(0.5, 1.5, array.shape)
            array /= array.sum(axis=(1, 2, 3), keepdims=True)
        elif key.endswith("weight"):
            array[...] = 1
    network.changed()
    return network, layer


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
                                  for name in ARCHITECTURES])
def test_a_pixel_is_found_where_it_lies(name):
    """Within three tenths of a step. A map that is stretched to fit misses by nearly half a step in deep networks: the
    residual ones begin at the first pixel, EfficientNet-Lite's at the end of the first step."""
    network, layer = even(name)
    grid = Grid.of(receptive_field(network)[layer])
    image = np.full((1, *network.input_shape), 1e-4, np.float32)
    plain = network.forward(image)
    places = [start + step * np.arange(n) for start, step, n in zip(grid.start, grid.step, plain.shape[1:3],
                                                                     strict=True)]
    for by in (0, 0.4, -0.4):  # of a step, from the middle of all positions: nothing is cut off on one side
        pixel = [round((each[0] + each[-1]) / 2 + by * step) for each, step in zip(places, grid.step, strict=True)]
        bright = image.copy()
        bright[0, pixel[0], pixel[1]] *= 10
        change = np.abs(network.forward(bright) - plain)[0].sum(axis=2, dtype=np.float64)
        for axis in (0, 1):
            centre = (change.sum(axis=1 - axis) * places[axis]).sum() / change.sum()
            assert abs(centre - pixel[axis]) < 0.3 * grid.step[axis]


def test_rows_and_columns_have_places_of_their_own():
    """A window of 3 x 7, moved by 1 and 2, above one of 4 x 1, without padding."""
    network = Network([Conv2d(None, 2, (3, 7), stride=(1, 2)), Conv2d(None, 2, (4, 1), stride=(3, 1))], (20, 30, 1))
    assert Grid.of(receptive_field(network)["conv2"]) == Grid((1 + 1.5, 3.0), (3.0, 2.0))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(16, 16), (48, 32), (24, 40)])
def test_what_lies_at_a_pixel_of_the_image_is_laid_back_there(size, resize):
    """Through the preparing itself, of images that are wider than high. Those that are padded have the grey of the
    padding, so that it does not count."""
    preprocessing, ground = Preprocessing(size, grey=True, resize=resize), 127 if resize == "pad" else 0
    left, top, right, bottom = preprocessing.box((40, 24))
    for row, column in [(9, 14), (14, 25), (12, 20)]:
        image = np.full((24, 40), ground, np.uint8)
        image[row, column] = 255
        prepared = preprocessing.prepare_array(image)[:, :, 0].astype(np.float32) - ground
        laid = on_image(prepared, PIXELS, preprocessing, (24, 40))
        assert laid.shape == (24, 40)
        steps = [max((bottom - top) / size[0], 1), max((right - left) / size[1], 1)]  # of a prepared pixel
        peak = np.unravel_index(laid.argmax(), laid.shape)
        for axis, wanted in enumerate((row, column)):
            assert abs(peak[axis] - wanted) <= steps[axis] / 2
            middle = (np.indices(laid.shape)[axis] * laid).sum() / laid.sum()
            assert abs(middle - wanted) < steps[axis] / 4


def test_what_the_crop_cuts_off_has_nothing():
    """A square of 21.875 pixels out of 25 x 41, from 1.5625 on in height and from 9.5625 on in width."""
    laid = on_image(np.ones((4, 4), np.float32), Grid((1.5, 1.5), (4.0, 4.0)),
                    Preprocessing((16, 16), resize="crop"), (25, 41))
    wanted = np.zeros((25, 41))
    wanted[2:23, 10:31] = 1  # the pixels whose middles lie within
    assert np.array_equal(laid, wanted)


@pytest.mark.parametrize("start", [(0.5, 2.0), (-3.0, 7.5)])
def test_between_positions_it_is_linear_and_beyond_them_it_fades(start):
    """As it is for half a step, to nothing within another half; on the prepared image they are level."""
    values = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    grid, size = Grid(start, (3.0, 2.0)), (16, 18)
    found, level = on_image(values, grid, Preprocessing(size), size), on_prepared(values[:, :, None], grid, size)
    assert level.shape == (*size, 1)
    assert level.flags.c_contiguous
    beyond_a_step = 0
    for y, x in np.ndindex(*size):
        exact = [(at - begin) / step for at, begin, step in zip((y, x), grid.start, grid.step, strict=True)]
        i, j = (min(max(at, 0), n - 1) for at, n in zip(exact, values.shape, strict=True))
        weights = [[max(0, 1 - abs(i - a)) * max(0, 1 - abs(j - b)) for b in range(5)] for a in range(3)]
        value = (weights * values).sum()
        assert level[y, x, 0] == pytest.approx(value, abs=1e-6)
        for away in (abs(exact[0] - i), abs(exact[1] - j)):
            value *= 1 if away <= 0.5 else 2 - 2 * away if away < 1 else 0
            beyond_a_step += away >= 1
        assert found[y, x] == pytest.approx(value, abs=1e-6)
    assert beyond_a_step


def test_one_position_is_everywhere():
    assert (on_image(np.full((1, 1), 3, np.float32), Grid((8.0, 8.0), (16.0, 16.0)), Preprocessing((9, 7)), (5, 6))
            == 3).all()


def test_many_maps_on_the_prepared_image():
    maps = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    grid, size = Grid((0.5, 2.0), (3.0, 2.5)), (10, 14)
    for k, found in enumerate(on_prepared(maps, grid, size).transpose(2, 0, 1)):
        assert np.array_equal(found, on_prepared(maps[:, :, k : k + 1], grid, size)[:, :, 0])


@pytest.mark.parametrize(("size", "most", "drawn"), [
    ((1, 400), 100, (1, 100)), ((400, 1), 100, (100, 1)), ((30, 40), 20, (15, 20)), ((30, 40), 40, (30, 40)),
    ((30, 40), 90, (30, 40)), ((30, 40), None, (30, 40)), ((400, 300), 100, (100, 75))])
def test_a_large_image_is_drawn_smaller(size, most, drawn):
    """And what lies on it stays in its place: light in the last quarter of the rows and of the columns."""
    values = np.zeros((4, 4), np.float32)
    values[3, 3] = 1
    laid = on_image(values, Grid((1.5, 1.5), (4.0, 4.0)), Preprocessing((16, 16)), size, most)
    assert laid.shape == drawn
    if min(drawn) > 1:
        assert laid[-1, -1] == 1
        assert not laid[: drawn[0] // 2].any()
        assert not laid[:, : drawn[1] // 2].any()


def test_a_map_on_the_prepared_image_at_another_size():
    """2 x 3 positions of 4 x 4 pixels each, drawn twice as high and half as wide: by the pixels' middles."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    laid = laid_out(values, Grid((1.5, 1.5), (4.0, 4.0)), (8, 12), (16, 6))
    for y, x in np.ndindex(16, 6):
        row, column = min(max(((y + 0.5) / 2 - 2) / 4, 0), 1), min(max(((x + 0.5) * 2 - 2) / 4, 0), 2)
        assert laid[y, x] == pytest.approx(3 * row + column, abs=1e-6)
