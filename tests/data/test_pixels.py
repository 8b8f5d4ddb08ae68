"""cnncli/data/pixels.py: arrays deeper than 8 bits are refused, with what to divide them by; none is misread."""

import numpy as np
import pytest

from cnncli.data.pixels import as_picture, as_pictures
from cnncli.errors import DataError


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "u8", "i8", ">u2"])
def test_whole_numbers_deeper_than_a_byte(kind: str) -> None:
    values = np.full((2, 3, 3), 100).astype(kind)
    for look in (as_pictures, lambda images, what: as_picture(images[0], f"{what}[0]"),
                 lambda images, what: as_pictures(list(images), what)):
        with pytest.raises(DataError, match=r"^images\[0\]: the type is .*;.*4095 for 12 bits, 65535 for 16"):
            look(values, "images")


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4"])
def test_floats_from_0_to_1_and_no_others(kind: str) -> None:
    levels = np.arange(256)
    values = (levels / 255).astype(kind).reshape(1, 16, 16)
    expected = np.rint(values.astype(float) * 255).ravel()
    assert np.array_equal(as_pictures(values, "images")[0].ravel(), expected)
    for wrong in (levels.reshape(1, 16, 16), values * 2 - 1, np.where(values > 0.5, np.nan, values),
                  np.where(values > 0.5, np.inf, values)):
        with pytest.raises(DataError, match=r"^images\[0\]: floats from .* to .*; give floats from 0 to 1"):
            as_pictures(wrong.astype(kind), "images")
