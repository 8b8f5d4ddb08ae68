"""cnncli/data/pixels.py: which arrays are images, what becomes of their values, and what is said of others."""

from typing import Any

import numpy as np
import pytest

from cnncli.data.pixels import as_array, as_picture, as_pictures
from cnncli.errors import DataError

BYTES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def test_bytes_are_taken_as_they_are() -> None:
    for array in (BYTES[0], BYTES[0, :, :, 0], BYTES[0, :, :, :1]):
        assert as_picture(array, "x") is array
    for several in (BYTES, BYTES[..., 0], BYTES[..., :1]):
        found = as_pictures(several, "x")
        assert len(found) == 2
        assert all(np.shares_memory(one, several) and np.array_equal(one, whole)
                   for one, whole in zip(found, several, strict=True))
    assert [one.shape for one in as_pictures((BYTES[0], BYTES[1, :2, :, 0]), "x")] == [(3, 4, 3), (2, 4)]
    assert as_pictures(np.zeros((0, 3, 4), np.float32), "x") == []


def test_floats_are_rounded() -> None:
    values = np.array([[0, 1, 0.5, 1 / 510 - 1e-6, 1 / 510 + 1e-6]])
    assert as_picture(values, "x").tolist() == [[0, 255, 128, 0, 1]]
    assert as_pictures(values[None], "x")[0].dtype == np.uint8


@pytest.mark.parametrize(("given", "why"), [
    (np.zeros((4, 5), np.uint16), "x: the type is uint16; give uint8 from 0 to 255, or floats from 0 to 1. Divide by "
                                  "the value of white, which is 4095 for 12 bits and 65535 for 16."),
    (np.zeros((4, 5), np.int8), "x: the type is int8; give uint8 from 0 to 255, or floats from 0 to 1."),
    (np.zeros((4, 5), bool), "x: the type is bool; give uint8 from 0 to 255, or floats from 0 to 1."),
    (np.full((4, 5), -0.5), "x: the floats go from -0.5 to -0.5; give floats from 0 to 1, where 1 is white, or uint8 "
                            "from 0 "
                            "to 255."),
    (np.full((4, 5), 1.25), "x: the floats go from 1.25 to 1.25; give floats from 0 to 1, where 1 is white, or uint8 "
                            "from 0 "
                            "to 255."),
    (np.zeros((4, 0), np.uint8), "x: the shape is (4, 0), which has no pixels; give images of at least one pixel."),
    (np.zeros(4, np.uint8), "x: the shape is (4,), but an image is (h, w), (h, w, 1) or (h, w, 3)."),
    (np.zeros((4, 5, 5), np.uint8), "x: the shape is (4, 5, 5), but an image is (h, w), (h, w, 1) or (h, w, 3)."),
    (np.zeros((4, 5, 2), np.uint8), "x: the shape is (4, 5, 2), but an image is (h, w), (h, w, 1) or (h, w, 3). It "
                                    "looks like an image with transparency; convert it to RGB."),
    (np.zeros((3, 5, 2), np.uint8), "x: the shape is (3, 5, 2), but an image is (h, w), (h, w, 1) or (h, w, 3). Move "
                                    "the channels to the end with numpy.moveaxis(images, -3, -1)."),
    (np.zeros((4, 5), complex), "x: the type is complex128; give an array of real numbers."),
])
def test_what_is_no_image(given: Any, why: str) -> None:
    with pytest.raises(DataError) as caught:
        as_picture(given, "x")
    assert str(caught.value) == why
    with pytest.raises(DataError, match=r"^x\[1\]: "):
        as_pictures([BYTES[0], given], "x")


@pytest.mark.parametrize(("shape", "hint"), [((2, 5), False), ((2, 5, 6, 5), False), ((2, 1, 6, 7), True),
                                             ((2, 3, 6, 7), True), ((2, 3, 6, 3, 1), False), ((2, 4, 6, 7), False)])
def test_what_are_no_images(shape: tuple[int, ...], hint: bool) -> None:
    with pytest.raises(DataError) as caught:
        as_pictures(np.zeros(shape, np.uint8), "x")
    start = f"x: the shape is {shape}, but images are (n, h, w), (n, h, w, 1) or (n, h, w, 3)."
    assert str(caught.value) == start + (" Move the channels to the end with numpy.moveaxis(images, -3, -1)." if hint
                                         else "")
    with pytest.raises(DataError, match=r"^x\[0\]: the floats go from 2 to 2; give"):
        as_pictures(np.full((1, 4, 5), 2.0), "x")


def test_what_is_no_array() -> None:
    with pytest.raises(DataError, match=r"^x: these values form no array \("):
        as_array([[1, 2], [3]], "x")
    assert as_array([1, 2], "x").tolist() == [1, 2]
