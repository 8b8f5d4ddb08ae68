"""export/golden.py: the picture that exports are tried with has all tones in every channel, no two alike."""

import base64
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from cnncli.export.golden import golden, shifted

from ..small_model import small_model


@pytest.mark.parametrize(("size", "grey"), [((28, 28), True), ((24, 36), False)])
def test_waves_in_all_tones_and_what_predict_says_of_them(size: tuple[int, int], grey: bool) -> None:
    model = small_model(size, grey)
    found = golden(model)
    channels = [found.image[..., k] for k in range(found.image.shape[2])]
    assert len(channels) == (1 if grey else 3)
    for channel in channels:
        assert channel.min() < 8
        assert channel.max() > 247
        assert len(np.unique(channel)) > 150
        assert np.abs(np.diff(channel.astype(int), axis=1)).mean() > 10, "across"
        assert np.abs(np.diff(channel.astype(int), axis=0)).mean() > 10, "and down"
    assert all(np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.9 for a, b in itertools.pairwise(channels))
    np.testing.assert_array_equal(found.probabilities, model.probabilities(found.image[None])[0])
    with Image.open(io.BytesIO(base64.b64decode(found.png()))) as again:
        np.testing.assert_array_equal(np.asarray(again).reshape(found.image.shape), found.image)


def test_sixteen_pictures_of_the_same_pixels() -> None:
    image = golden(small_model((24, 36))).image
    others = shifted(image)
    assert others.shape == (16, 24, 36, 3)
    np.testing.assert_array_equal(others[0], image)
    assert len({other.tobytes() for other in others}) == 16
    for other in others:
        np.testing.assert_array_equal(np.sort(other, axis=None), np.sort(image, axis=None))
