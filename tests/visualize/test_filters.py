"""Sheets of filters: the colours say what the weights are, and the words say what is shown."""

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.visualize.canvas import signed
from cnncli.visualize.filters import MARGIN, MOST_COLUMNS, MOST_FILTERS, MOST_ROWS, Filters, _every, convolutions, draw


def weights(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(16, 3, 3, 3), (6, 1, 5, 5), (1, 1, 1, 1), (64, 3, 7, 7), (4, 3, 11, 21),
                                   (300, 1, 3, 3), (16, 6, 5, 5), (64, 64, 3, 3), (100, 512, 1, 1), (10, 3, 1, 1),
                                   (2, 2, 90, 1), (8, 2000, 3, 3), (3, 3, 400, 500)])
@pytest.mark.parametrize("first", [True, False])
def test_words_of_any_layer_stay_apart_and_on_the_sheet(shape, first, rng, words):
    sheet = draw(Filters("conv1", weights(rng, *shape)), "conv1 of runs/a", first=first)
    words.check(sheet.image.size)
    assert "conv1 of runs/a" in words.texts
    assert max(sheet.image.size) < 6500


GALLERY, TABLE = {"first": True}, {}


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "how", "tile", "step", "columns"), [
    ((40, 3, 3, 3), GALLERY, (72, 72), 84, 16), ((20, 1, 5, 3), TABLE, (42, 70), 64, 16),
    ((3, 1, 1, 100), TABLE, (100, 1), 112, 3), ((10, 1, 200, 200), TABLE, (200, 200), 212, 6),
    ((16, 16, 3, 3), TABLE, (39, 39), 43, 16), ((17, 2, 3, 3), TABLE, (27, 27), 31, 2),
    ((5, 50, 1, 1), TABLE, (18, 18), 19, 48), ((50, 4, 5, 3), TABLE, (15, 25), 19, 4)])
def test_tiles_stand_in_rows_on_a_sheet_of_their_size(shape, how, tile, step, columns, rng, words):
    sheet = draw(Filters("conv1", weights(rng, *shape)), "t", **how)
    scale = [box for box in words.pictures if box[2] - box[0] == 160 and tile[0] != 160]
    tiles = [box for box in words.pictures if box not in scale]
    words.pictures = tiles
    words.check_all(sheet.image.size, MARGIN, (720, 40))
    right = max(box[2] for box in tiles)
    assert sheet.image.width <= max(720, right + MARGIN + 24)
    assert {(box[2] - box[0], box[3] - box[1]) for box in tiles} == {tile}
    gallery = shape[1] == 1 or how is GALLERY
    lefts, tops = sorted({box[0] for box in tiles}), sorted({box[1] for box in tiles})
    assert lefts == [lefts[0] + step * i for i in range(columns)]
    assert lefts[0] == MARGIN + (0 if gallery else 40)
    shown = min(shape[0], 128) if gallery else min(shape[0], 48) * columns
    assert len(tiles) == shown
    assert tops == [tops[0] + (tile[1] + (34 if gallery else step - tile[0])) * i for i in range(-(-shown // columns))]
    heading = max(box[3] for text, box in words.drawn if text.endswith("."))
    assert min(box[1] for box in tiles + scale) - heading == pytest.approx(16, abs=6)


def test_numbers_stand_beside_rows_and_columns_as_far_apart_as_they_need(rng, words):
    assert [_every(step, 24) for step in (24, 23, 5, 4, 3, 2, 1)] == [1, 5, 5, 10, 10, 20, 20]
    draw(Filters("conv1", weights(rng, 12, 30, 1, 1)), "t")
    numbers = [(int(text), box) for text, box in words.drawn if text.isdigit()]
    assert [number for number, _ in numbers] == [0, *range(0, 30, 5), *range(12)]  # the first one under the scale
    above, beside, tiles = numbers[1:7], numbers[7:], words.pictures[1:]
    for number, (left, _, right, bottom) in above:
        assert (left + right) / 2 == pytest.approx((tiles[number][0] + tiles[number][2]) / 2)
        assert tiles[0][1] - bottom == pytest.approx(7, abs=2)
    for number, (_, top, right, bottom) in beside:
        assert (top + bottom) / 2 == pytest.approx((tiles[30 * number][1] + tiles[30 * number][3]) / 2, abs=2)
        assert tiles[0][0] - right == pytest.approx(8, abs=2)


def test_the_scale_of_a_table_leaves_the_largest_weights_out(words):
    weight = np.ones((20, 20, 3, 3), np.float32)
    weight[0, 0, 0, 0], weight[1, 1] = 100, -1
    sheet = np.asarray(draw(Filters("conv2", weight), "t").image)
    assert {"-1", "0", "1"} <= set(words.texts)
    tiles = [box for box in words.pictures if box[2] - box[0] == 27]
    found = [tuple(sheet[int(top) + 20, int(left) + 20].tolist()) for left, top, *_ in tiles]
    blue, red = (tuple(signed(np.array(v), 1.0).tolist()) for v in (-1.0, 1.0))
    assert [place for place, colour in enumerate(found) if colour != red] == [21]
    assert found[21] == blue


def test_captions():
    assert Filters("a", np.zeros((6, 1, 5, 3))).caption == "6 filters of 5x3 over 1 input channel"
    assert Filters("a", np.zeros((6, 2, 5, 3)), 3).caption == "6 filters of 5x3 over 2 input channels in 3 groups"


def test_convolutions_are_found_with_their_groups():
    found = convolutions(architecture("mobilenet_v2", (32, 32, 3), 2, seed=None).nodes)
    assert len(found) == 52
    assert [(each.name, each.weight.shape, each.groups) for each in found[:2]] == [
        ("features.0.0", (32, 3, 3, 3), 1), ("features.1.conv.0.0", (32, 1, 3, 3), 32)]


def tile(sheet, x, y):
    return tuple(np.asarray(sheet.image)[y, x].astype(int))


def first_tile(sheet):
    """Where the first row of tiles lies: the top of the first frame, found by its colour."""
    frames = (np.asarray(sheet.image) == (208, 211, 216)).all(axis=2)
    return int(np.argmax(frames[:, MARGIN + 5])) + 2


def test_three_channels_of_the_image_are_drawn_in_colour():
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[0, 0], weight[1, 1], weight[2, 2] = 0.5, 2, -1
    sheet = draw(Filters("conv1", weight), "t", first=True)
    y = first_tile(sheet)
    found = [tile(sheet, MARGIN + 5 + i * 84, y) for i in range(4)]
    assert found == [(255, 128, 128), (128, 255, 128), (128, 128, 0), (128, 128, 128)]


def test_one_channel_is_red_where_positive_blue_where_negative_white_at_zero():
    weight = np.array([0.5, -3, 0], np.float32).reshape(3, 1, 1, 1)
    sheet = draw(Filters("conv1", weight), "t", first=True)
    y = first_tile(sheet)
    plus, minus, zero = (tile(sheet, MARGIN + 5 + i * 84, y) for i in range(3))
    assert plus[0] > plus[2]
    assert minus[2] > minus[0]
    assert min(zero) > 235


@pytest.mark.slow
def test_each_filter_names_its_largest_weight(words):
    draw(Filters("conv1", np.array([0.5, -3, 0], np.float32).reshape(3, 1, 1, 1)), "t", first=True)
    assert words.texts[-6:] == ["0", "0.5", "1", "3", "2", "0"]
    texts = " ".join(words.texts)
    assert "shown" not in texts
    assert "White is 0, red is above 0, blue is below 0." in texts
    draw(Filters("conv1", np.ones((129, 3, 1, 1), np.float32)), "t", first=True)
    texts = " ".join(words.texts)
    assert "129 filters of 1x1 over 3 input channels; the first 128 shown." in texts
    assert "Grey is 0; red, green and blue are brighter" in texts


@pytest.mark.slow
def test_a_table_tells_its_scale_and_what_it_leaves_out(rng, words):
    draw(Filters("conv5", weights(rng, 64, 64, 3, 3), groups=2), "t")
    heading = " ".join(words.texts[1:3])
    assert "64 filters of 3x3 over 64 input channels in 2 groups" in heading
    assert f"the first {MOST_ROWS} filters and the first {MOST_COLUMNS} channels" in heading
    assert "white is 0" in heading
    words.drawn.clear()
    draw(Filters("conv2", weights(rng, 5, 4, 3, 3)), "t")
    assert "first" not in " ".join(words.texts)
    words.drawn.clear()
    draw(Filters("dw", weights(rng, 500, 1, 3, 3)), "t")
    assert f"the first {MOST_FILTERS} shown" in " ".join(words.texts)


def test_the_table_has_a_row_per_filter_and_a_column_per_channel():
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[1, 2] = 1
    sheet = np.asarray(draw(Filters("conv2", weight), "t").image).astype(int)
    red = np.argwhere((sheet[:, :, 0] - sheet[:, :, 2] > 60) & (np.arange(len(sheet)) > 150)[:, None])
    below, right = red.min(axis=0) > (150, MARGIN + 40 + 2 * 19 - 1)
    assert below
    assert right


def test_weights_that_are_all_zero(rng):
    draw(Filters("a", np.zeros((4, 5, 3, 3), np.float32)), "t")
    draw(Filters("a", np.zeros((4, 3, 3, 3), np.float32)), "t", first=True)
