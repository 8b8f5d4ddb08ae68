"""model/strangeness.py: what lies in no class's direction is strange, with thresholds that withhold as many known
images as they say, the same bits alone and in any batch, kept in the model file and doubted when it is read."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.model import Model, checkpoint, strangeness
from cnncli.model.predict import STRANGE, UNKNOWN, UNSURE, predict
from cnncli.model.strangeness import PREFIX, Strangeness, fit, parts

from ..small_model import small_model


def drawn(rng: np.random.Generator, images: int, width: int, classes: int, first: int = 0):
    """Features of which each class has a direction of its own, and labels."""
    labels = np.arange(images) % classes
    features = 2 + rng.normal(0, 0.5, (images, width))
    features[np.arange(images), first + labels] += 4
    return features.astype(np.float32), labels


@pytest.mark.slow
@pytest.mark.parametrize("width", [12, 400])
def test_what_lies_elsewhere_is_strange(width):
    rng = np.random.default_rng(1)
    found = fit(*drawn(rng, 300, width, 4), drawn(rng, 400, width, 4)[0])
    known, strange = found(drawn(rng, 2000, width, 4)[0]), found(drawn(rng, 500, width, 4, first=6)[0])
    assert (strange > 0).mean() > 0.99
    assert (known > 0).mean() == pytest.approx(0.05, abs=0.03)
    assert found.directions.shape[1] == min(width, 128)


@pytest.mark.slow
def test_no_more_known_images_are_withheld_than_is_said():
    """The threshold is conformal: over many draws of validation images it withholds one in twenty, never more."""
    rng = np.random.default_rng(2)
    train, labels = drawn(rng, 200, 10, 3)
    shares = []
    for _ in range(60):
        found = fit(train, labels, drawn(rng, 39, 10, 3)[0])
        shares.append((found(drawn(rng, 300, 10, 3)[0]) > 0).mean())
    assert 0.03 < np.mean(shares) <= 0.055
    few = fit(train, labels, drawn(rng, 5, 10, 3)[0])
    assert (few(drawn(rng, 600, 10, 3)[0]) > 0).mean() < 0.5


def test_against_the_formula_written_out():
    rng = np.random.default_rng(3)
    x, labels = drawn(rng, 120, 6, 3)
    unit = x / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    means = np.stack([unit[labels == label].mean(axis=0) for label in range(3)])
    centre = means.mean(axis=0)
    apart = unit - means[labels]
    spread = sum(np.outer(row, row) for row in apart) / 120
    inverse = np.linalg.inv(spread + 0.3 * np.trace(spread) / 6 * np.eye(6))

    def cosine(a, b):
        return a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))

    found = fit(x, labels, x[:40])
    one = unit[7] - centre
    energy = -np.log(sum(np.exp(10 * cosine(one, mean - centre)) for mean in means)) / 10
    assert found(x[7:8])[0] + found.threshold == pytest.approx(energy, abs=1e-5)


@pytest.mark.parametrize("width", [12, 140])
def test_few_images_that_lie_elsewhere(width):
    """As above, in little: more numbers than directions are kept, too."""
    rng = np.random.default_rng(5)
    train, labels = drawn(rng, 60, width, 3)
    found = fit(train, labels, drawn(rng, 40, width, 3)[0])
    assert (found(drawn(rng, 40, width, 3, first=6)[0]) > 0).mean() > 0.9
    assert found.directions.shape == (width, min(width, 128))
    assert found.means.shape == (3, min(width, 128))
    assert (found.rest > 0) == (width > 128)
    assert (found.rest, found.images) == (pytest.approx(found.rest), 40)


def test_directions_that_are_not_kept_are_weighed_by_how_little_lies_there(monkeypatch):
    """Against the same with all of them kept: whatever lies in the others then has the scatter's mean variance."""
    rng = np.random.default_rng(6)
    labels = np.arange(60) % 3
    x = np.zeros((60, 8), np.float32)
    x[np.arange(60), labels] = 3
    x[:, :4] += rng.normal(0, 0.3, (60, 4)).astype(np.float32)
    monkeypatch.setattr(strangeness, "DIRECTIONS", 4)
    found = fit(x, labels, x[:20])
    assert found.directions.shape == (8, 4)
    unit = x / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    apart = unit - np.stack([unit[labels == label].mean(axis=0) for label in range(3)])[labels]
    spread = apart[:, :4].T @ apart[:, :4] / 60
    assert found.rest == pytest.approx(1 / (0.3 * np.trace(spread) / 4), rel=1e-3), "the images have nothing there"
    aside = x[:1].copy()
    aside[0, 6] = 3
    there = found(aside)[0] + found.threshold
    here = aside[0] / np.linalg.norm(aside[0]) - found.centre
    seen = here @ found.directions
    length = np.sqrt(seen @ seen + found.rest * np.square(here[4:]).sum())
    assert there == pytest.approx(-np.log(np.exp(10 * (found.means @ seen) / length).sum()) / 10, abs=1e-4)


@pytest.mark.parametrize(("images", "above"), [(1, 0), (5, 0), (19, 0), (20, 0), (39, 1), (40, 1), (59, 2), (99, 4)])
def test_so_many_validation_images_lie_above_the_threshold(images, above):
    rng = np.random.default_rng(7)
    known = drawn(rng, images, 6, 3)[0]
    assert (fit(*drawn(rng, 60, 6, 3), known)(known) > 0).sum() == above


def test_how_many_directions_are_kept(monkeypatch):
    assert (strangeness.DIRECTIONS, strangeness.NUMBERS) == (128, 524_288)
    rng = np.random.default_rng(8)
    monkeypatch.setattr(strangeness, "NUMBERS", 25)
    for width, classes, kept in ((6, 3, 4), (12, 3, 3), (5, 3, 5)):
        assert fit(*drawn(rng, 60, width, classes), drawn(rng, 9, width, classes)[0]).directions.shape[1] == kept


def test_an_image_has_the_same_bits_alone_and_beside_others():
    rng = np.random.default_rng(4)
    found = fit(*drawn(rng, 100, 300, 4), drawn(rng, 30, 300, 4)[0])
    features = drawn(rng, 33, 300, 4)[0]
    together = found(features)
    for size in (1, 2, 5):
        pieces = [found(features[i : i + size]) for i in range(0, 33, size)]
        np.testing.assert_array_equal(np.concatenate(pieces), together)
    assert np.isfinite(found(np.zeros((2, 300), np.float32))).all(), "dead features are no direction at all"


def fitted_model(rng: np.random.Generator) -> Model:
    model = small_model()
    split = parts(model.network)
    assert split is not None
    width = split[0].output_shape[-1]
    model.strangeness = fit(*drawn(rng, 60, width, len(model.classes)), drawn(rng, 30, width, len(model.classes))[0])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [2, 64])
@pytest.mark.parametrize("flips", [False, True])
def test_asking_changes_no_answer(rng, flips, at_once, monkeypatch):
    model = fitted_model(rng)
    monkeypatch.setattr(model.network, "images_at_once", lambda: at_once)
    model.flips = flips
    images = rng.integers(0, 256, (5, *model.preprocessing.shape), np.uint8)
    logits, strange = model.judging()(images)
    np.testing.assert_array_equal(logits, model.logits(images))
    assert strange.shape == (5,)
    alone = np.concatenate([model.judging()(images[i : i + 1])[1] for i in range(5)])
    np.testing.assert_array_equal(alone, strange)
    model.strangeness = None
    assert model.judging()(images)[1] is None


@pytest.mark.slow
def test_the_file_keeps_it_and_is_doubted(tmp_path: Path, rng):
    model = fitted_model(rng)
    images = rng.integers(0, 256, (3, *model.preprocessing.shape), np.uint8)
    path = tmp_path / "m.safetensors"
    model.save(path)
    again = checkpoint.load_model(path)
    np.testing.assert_array_equal(again.judging()(images)[1], model.judging()(images)[1])
    plain = small_model()
    plain.save(path)
    assert checkpoint.load_model(path).strangeness is None
    arrays, config = model.strangeness.arrays(), model.strangeness.config()
    width, classes = len(arrays[PREFIX + "centre"]), len(model.classes)
    for name in arrays:
        bad = {**arrays, name: arrays[name][..., :-1]}
        with pytest.raises(ValueError, match="fit"):
            Strangeness.from_parts(config, bad, width, classes)
        with pytest.raises(ValueError, match="arrays"):
            Strangeness.from_parts(config, {k: v for k, v in arrays.items() if k != name}, width, classes)
        with pytest.raises(ValueError, match="finite"):
            Strangeness.from_parts(config, {**arrays, name: np.full_like(arrays[name], np.nan)}, width, classes)
    model.strangeness = Strangeness(*arrays.values(), rest=1.0, threshold=0.0, images=0)
    model.save(path)
    with pytest.raises(ModelError, match="strange"):
        checkpoint.load_model(path)


def test_answers_say_which_of_the_two_withheld_them(rng):
    model = fitted_model(rng)
    images = rng.integers(0, 256, (30, *model.preprocessing.shape), np.uint8)
    strange = model.judging()(images)[1] > 0
    answers = list(predict(model, images, reject=0.6))
    for answer, odd in zip(answers, strange, strict=True):
        wanted = ((UNSURE,) if answer.top[0][1] < 0.6 else ()) + ((STRANGE,) if odd else ())
        assert answer.withheld == wanted
        assert answer.rejected == bool(wanted) == (answer.label == UNKNOWN)
    assert any(strange)
    assert all(answer.strangeness is None and not answer.withheld for answer in predict(model, images))
