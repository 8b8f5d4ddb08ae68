"""Sheets of filters: the colours say what the weights are, and the words say what is shown."""

import numpy as np
import pytest

from cnncli.visualize.filters import MARGIN, MOST_COLUMNS, MOST_FILTERS, MOST_ROWS, Filters, draw


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


def test_each_filter_names_its_largest_weight(words):
    draw(Filters("conv1", np.array([0.5, -3, 0], np.float32).reshape(3, 1, 1, 1)), "t", first=True)
    assert words.texts[-6:] == ["0", "0.5", "1", "3", "2", "0"]


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
