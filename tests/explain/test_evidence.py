"""explain/evidence.py: where most of the evidence lies, against a plain loop; test_shortcuts.py has it at work."""

import numpy as np
import pytest

from cnncli.data import Preprocessing
from cnncli.explain.evidence import _densest, _maps, evident
from cnncli.explain.places import Place
from cnncli.model import Model
from cnncli.network import Network


def test_the_densest_square() -> None:
    """Four by four of 16 x 16 cells."""
    evidence = np.random.default_rng(1).uniform(0, 1, (16, 16))
    sums = {(y, x): evidence[y : y + 4, x : x + 4].sum() for y in range(13) for x in range(13)}
    row, column = max(sums, key=sums.__getitem__)
    place = _densest(evidence, (32, 64))
    assert (place.top, place.left, place.bottom, place.right) == (2 * row, 4 * column, 2 * row + 8, 4 * column + 16)


def model_of(*layers: str) -> Model:
    """Of 16 x 32 pixels; its logit of "light" is how light the image is."""
    conv = {"type": "Conv2d", "out_channels": 1, "kernel_size": 1, "bias": False, "name": "light"}
    network = Network([*(conv if each == "Conv2d" else {"type": each} for each in layers), {"type": "Flatten"},
                       {"type": "Linear", "out_features": 2}], (16, 32, 1), 0)
    parameters = network.parameters()
    for name, values in parameters.items():
        values[...] = 0 if name.endswith("bias") else 1
    parameters["linear1.weight"][0] = 0
    return Model(network, ["dark", "light"], Preprocessing((16, 32), grey=True, mean=(0.0,), std=(1.0,)))


def corners() -> np.ndarray:
    """Images of which two thirds have light in the upper left corner, the others more light in the lower right one."""
    images = np.zeros((30, 16, 32, 1), np.uint8)
    images[:20, :4, :8] = 60
    images[20:, 12:, 24:] = 250
    return images + np.random.default_rng(0).integers(0, 5, images.shape).astype(np.uint8)


def test_all_images_have_a_place_and_so_has_each_group() -> None:
    left, right = Place(0, 0, 4, 8, (16, 32)), Place(12, 24, 16, 32, (16, 32))
    assert [*evident(model_of("Conv2d", "ReLU"), corners(), 1, 0)] == [
        (tuple(range(30)), left), (tuple(range(20)), left), (tuple(range(20, 30)), right)]
    assert [*evident(model_of("Conv2d", "ReLU"), corners()[20:], 1, 0)] == [(tuple(range(10)), right)]


def test_without_evidence_or_positions_there_is_no_place() -> None:
    assert [*evident(model_of("Conv2d", "ReLU"), corners(), 0, 0)] == []
    assert [*evident(model_of(), corners(), 1, 0)] == []


def test_an_image_without_evidence_counts_in_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each map counts alike, however strong; a map of nothing not at all."""
    maps = np.zeros((4, 16, 16))
    maps[0, 0, 0], maps[1, 9, 13], maps[2, 8, 14] = 100, 1, 1e-3
    monkeypatch.setattr("cnncli.explain.evidence._maps", lambda *arguments: maps)
    [(members, place), *_] = evident(model_of(), np.zeros((4, 32, 64, 1), np.uint8), 1, 0)
    assert members == (0, 1, 2, 3)
    assert place == Place(12, 44, 20, 60, (32, 64))
    maps[...] = 0
    assert [*evident(model_of(), np.zeros((4, 32, 64, 1), np.uint8), 1, 0)] == []


def test_maps_are_those_of_the_class_on_the_prepared_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """What speaks for "light" is the light; few images at a time are the same."""
    model, images = model_of("Conv2d", "ReLU"), corners()[17:22]
    found = _maps(model, images, 1, 0)
    assert found is not None
    wanted = images[..., 0].reshape(5, 16, 16, 2).mean(axis=3) / 255
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    monkeypatch.setattr(Network, "images_at_once", lambda self: 2)
    assert np.array_equal(_maps(model, images, 1, 0), found)
    assert not _maps(model, images, 0, 0).any()
    model.network.parameters()["linear1.weight"][0] = -1
    assert not _maps(model, images, 0, 0).any(), "what speaks against it is no evidence"
