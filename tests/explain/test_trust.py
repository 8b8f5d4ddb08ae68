"""explain/trust.py: deletion, insertion and ROAD against plain loops; a map that
knows what the model sees gets the best there is, noise gets about 0, and the middle is not beaten by pointing there."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import cnncli
from cnncli.explain.imputing import NOISE
from cnncli.explain.trust import (
    PASSES,
    SHARES,
    Measured,
    Score,
    Trust,
    _first,
    area,
    blurred,
    changed,
    falling,
    measure,
    middle,
    trust,
    trusted,
)

from .test_explanation import lit, sides

SIZE = (10, 12)
SEEN = np.zeros(SIZE, bool)
SEEN[2:5, 8:10] = True  # 5 % of the pixels, off the middle


def sees(images: np.ndarray) -> np.ndarray:
    """The probability of a model that sees those pixels alone."""
    return images[:, SEEN].mean(axis=(1, 2), dtype=np.float64).clip(0, 1)


def picture() -> np.ndarray:
    return SEEN[..., None].astype(np.float32)


def test_an_ideal_map_gets_the_best_there_is() -> None:
    found = measure(sees, picture(), SEEN.astype(float), 0)
    assert found.road == pytest.approx(0.5, abs=NOISE)
    assert found.deletion == pytest.approx(0.5 / SIZE[0]), "all is gone with the first step"
    start = sees(blurred(picture())[None])[0]
    assert found.insertion == pytest.approx(1 - (1 - start) / 2 / SIZE[0]), "all is there with the first step"
    worst = measure(sees, picture(), -SEEN.astype(float), 0)
    assert worst.road == pytest.approx(-0.5, abs=NOISE)
    assert worst.deletion > 0.9
    assert found.beats(worst)


@pytest.mark.slow
def test_noise_reaches_about_nothing() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((*SIZE, 3)).astype(np.float32)
    roads = [measure(sees, image, rng.random(SIZE), seed).road for seed in range(12)]
    assert abs(np.mean(roads)) < 0.02
    assert np.std(roads) > 0, "and is measured"


def test_deletion_and_insertion_as_plain_loops() -> None:
    rng = np.random.default_rng(1)
    image, values = rng.normal(size=(*SIZE, 2)).astype(np.float32), rng.normal(size=SIZE)
    values[:2] = values.min() - 1  # equals, last of all
    order = sorted(np.ndindex(*SIZE), key=lambda at: -values[at])
    deleted, inserted = [], []
    for step in range(SIZE[0] + 1):
        one, other = image.copy(), blurred(image)
        for at in order[: step * SIZE[1]]:
            one[at], other[at] = 0, image[at]
        deleted.append(one)
        inserted.append(other)
    falls = falling(values, 0)
    strict = SIZE[1] * (SIZE[0] - 2)
    assert [tuple(at) for at in np.argwhere(np.ones(SIZE))[falls[:strict]]] == order[:strict]
    assert np.array_equal(changed(image, np.zeros_like(image), falls)[:9], deleted[:9])
    assert np.array_equal(changed(blurred(image), image, falls)[:9], inserted[:9])
    assert np.array_equal(changed(blurred(image), image, falls)[-1], image)
    assert area(np.array([1.0, 0.5, 0.0, 0.0])) == pytest.approx((0.75 + 0.25 + 0) / 3)


def test_the_blur_is_the_papers() -> None:
    image = np.random.default_rng(2).normal(size=(14, 13, 1)).astype(np.float32)
    weights = {(i, j): np.exp(-(i * i + j * j) / 50) for i, j in product(range(-5, 6), repeat=2)}
    expected = sum(weights[i, j] * image[7 + i, 6 + j, 0] for i, j in weights) / sum(weights.values())
    assert blurred(image)[7, 6, 0] == pytest.approx(expected, rel=1e-5)


def test_a_model_that_sees_nothing_trusts_no_map() -> None:
    found = measure(lambda images: np.full(len(images), 0.25), picture(), SEEN.astype(float), 0)
    assert (found.road, found.deletion, found.insertion) == (0, 0.25, 0.25), "and no NaN"
    flat = measure(sees, np.zeros((*SIZE, 1), np.float32), np.zeros(SIZE), 0)
    assert np.isfinite([flat.road, flat.deletion, flat.insertion]).all()


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_an_explanation_is_measured(resize: str) -> None:
    model = sides(resize=resize)
    model.network.parameters()["linear1.weight"][...] *= 20
    right = cnncli.explain(model, lit(26, 9, side=6))
    found = trust(model, right)
    assert found.map.road > 0.1
    assert found.beats_middle
    assert (found.probability, found.blank) == pytest.approx((right.probability, 1 / 3))
    assert found.verdict == "This map is better than pointing at the middle of the image, and than noise"
    assert set(found.map.curves) == {"deletion", "insertion", "lerf", "morf"}
    assert len(found.map.curves["lerf"]) == len(SHARES)
    assert found.as_json()["map"]["road"] == found.map.road
    assert found.map == trust(model, right).map, "the same each time"
    turned = trust(model, replace(right, values=-right.values))
    assert turned.map.road < 0
    assert turned.verdict == "This map is no better than one of noise: it does not tell where right is seen"


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (2, 2), (1, 5)])
def test_of_a_handful_of_pixels_one_is_left(size: tuple[int, int]) -> None:
    """Nine tenths of four pixels are not all four, from which nothing could be filled in."""
    image = np.random.default_rng(0).normal(0, 1, (*size, 3)).astype(np.float32)
    found = measure(lambda images: images.mean((1, 2, 3)), image, np.arange(image[..., 0].size).reshape(size), 0)
    assert np.isfinite([found.road, found.deletion, found.insertion]).all()
    assert len(found.curves["morf"]) == len(SHARES)


def test_a_map_of_the_middle_is_no_better_than_the_middle() -> None:
    low, high = Measured(0.5, 0.5, 0.0, {}), Measured(0.2, 0.7, 0.3, {})
    assert Trust("a.png", "x", 0.9, 0.1, high, low, high).verdict == (
        "This map is no better than pointing at the middle of the image")
    assert Trust("a.png", "x", 0.9, 0.1, low, low, high).verdict.startswith("This map is no better than one of noise")
    assert Trust("a.png", "x", 0.9, 0.1, high, low, low).beats_middle
    mixed = Measured(0.31, 0.38, 0.0, {})
    noise, sure = Measured(0.82, 0.33, 0.0, {}), "It is not sure that this map is better than "
    assert Trust("a.png", "x", 0.9, 0.1, mixed, noise, low).verdict == (
        f"{sure}one of noise: it is by insertion less deletion, but not by ROAD, and it has to be by both")
    assert Trust("a.png", "x", 0.9, 0.1, high, low, replace(low, deletion=0.1, insertion=0.9)).verdict == (
        f"{sure}pointing at the middle of the image: it is by ROAD, but not by insertion less deletion, and it has to "
        "be by both")
    blank = Trust("a.png", "x", 0.9, 0.5, high, low, low)
    assert blank.verdict == (
        "How far to trust this map cannot be measured: the model gives x 50% for a blank image, too. So the "
        "answer hardly depends on the pixels that the test removes")
    assert not blank.measurable
    better = replace(high, road=0.5)
    assert not better.beats(high), "ROAD alone is not enough"
    assert Trust("a.png", "x", 0.9, 0.1, high, replace(low, road=-0.001), high).figures == (
        "Of the map / the middle / noise: ROAD 0.30 / 0.30 / 0.00, high is good; deletion 0.20 / 0.20 / 0.50, low; "
        "insertion 0.70 / 0.70 / 0.50, high.")


def test_the_middle_is_the_middle() -> None:
    values = middle((5, 9))
    assert np.unravel_index(values.argmax(), values.shape) == (2, 4)
    assert np.array_equal(values, values[::-1, ::-1])


def test_the_middle_is_a_gaussian_a_quarter_of_each_side_wide() -> None:
    values = middle((8, 16))
    rows, columns = (np.arange(8) - 3.5) / 8, (np.arange(16) - 7.5) / 16
    expected = np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * 0.25**2))
    np.testing.assert_allclose(values / values.max(), expected / expected.max(), rtol=1e-5)


def test_as_many_forward_passes_are_made_as_are_said() -> None:
    counts: list[int] = []

    def score(images: np.ndarray) -> np.ndarray:
        counts.append(len(images))
        return np.zeros(len(images))

    for _ in range(3):  # the map, noise, the middle; and the image and a blank one
        measure(score, np.zeros((40, 40, 1), np.float32), middle((40, 40)), 0)
    assert sum(counts) + 2 == PASSES == 254


def test_what_is_measured_of_an_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own map on the prepared image, noise from the seed and the middle, by what the class's probability is."""
    model, asked = sides(), list[tuple[np.ndarray, int]]()
    model.network.parameters()["linear1.weight"][...] *= 20
    right = cnncli.explain(model, lit(26, 9, side=6))
    prepared = model.preprocessing.normalise(model.preprocessing.prepare_array(lit(26, 9, side=6))[None])

    def measures(score: Score, image: np.ndarray, values: np.ndarray, seed: int) -> Measured:
        assert np.array_equal(image, prepared[0])
        assert score(prepared).tolist() == pytest.approx([right.probability])
        asked.append((values, seed))
        return Measured(0.0, 0.0, len(asked) / 10, {})

    monkeypatch.setattr("cnncli.explain.trust.measure", measures)
    found = trust(model, right, 4)
    assert (found.path, found.target) == ("images[0]", "right")
    assert (found.probability, found.blank) == pytest.approx((right.probability, 1 / 3))
    assert [found.map.road, found.noise.road, found.middle.road] == [0.1, 0.2, 0.3]
    assert [seed for _, seed in asked] == [4] * 3
    np.testing.assert_allclose(asked[0][0], right.values, rtol=1e-6)
    assert np.array_equal(asked[1][0], np.random.default_rng(4).random((8, 12)))
    assert np.array_equal(asked[2][0], middle((8, 12)))
    [first, second] = trusted(model)(right).lines
    assert first == "This map is no better than one of noise: it does not tell where right is seen."
    assert second.startswith("Of the map / the middle / noise: ROAD ")


def test_what_is_printed_of_how_far_a_map_is_trusted() -> None:
    one, other, third = (Measured(0.2, 0.7, road, {"morf": np.ones(2)}) for road in (0.3, 0.1, 0.2))
    found = Trust("a.png", "x", 0.9, 0.125, one, other, third)
    assert found.as_json() == {
        "verdict": found.verdict, "measurable": True, "probability": 0.9, "blank": 0.125, "beats_middle": False,
        "map": one.as_json(), "middle": third.as_json(), "noise": other.as_json()}
    assert one.as_json() == {"road": 0.3, "deletion": 0.2, "insertion": 0.7, "curves": {"morf": [1, 1]}}


@pytest.mark.parametrize(("road", "insertion", "deletion", "beats"), [
    (0.32, 0.72, 0.2, True), (0.305, 0.72, 0.2, False), (0.32, 0.705, 0.2, False), (0.32, 0.7, 0.18, True),
    (0.32, 0.7, 0.21, False), (0.28, 0.9, 0.1, False)])
def test_what_is_clearly_better(road: float, insertion: float, deletion: float, beats: bool) -> None:
    assert Measured(deletion, insertion, road, {}).beats(Measured(0.2, 0.7, 0.3, {})) is beats


@pytest.mark.parametrize(("blank", "measurable"), [(0.44, True), (0.45, False), (0.46, False)])
def test_a_class_that_a_blank_image_gets_half_of_cannot_be_measured(blank: float, measurable: bool) -> None:
    each = Measured(0.2, 0.7, 0.3, {})
    assert Trust("a.png", "x", 0.9, blank, each, each, each).measurable is measurable


def test_the_curves_are_those_of_the_strongest_and_of_the_weakest_pixels() -> None:
    """Of 3 x 4 pixels round(1.2 k) are filled in; a share of what is seen is left."""
    asked: list[np.ndarray] = []

    def score(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return images[:, 0, 0, 0].astype(np.float64)

    image = np.arange(12, dtype=np.float32).reshape(3, 4, 1) + 1
    found = measure(score, image, np.arange(12.0)[::-1].reshape(3, 4), 0)
    assert [len(images) for images in asked] == [4, 4, 9, 9]
    assert found.curves["deletion"].tolist() == [1, 0, 0, 0]
    assert found.curves["insertion"].tolist() == [*blurred(image)[:1, 0, 0], 1, 1, 1]
    kept = [[int((each == image).sum()) for each in images] for images in asked[2:]]
    assert kept == [[12 - round(1.2 * tenth) for tenth in range(1, 10)]] * 2
    assert found.curves["lerf"][:8].tolist() == [1] * 8, "the strongest pixel is the last to go"
    assert (found.curves["morf"] != 1).all(), "and the first"
    assert found.deletion == pytest.approx(0.5 / 3)
    assert found.road == pytest.approx((found.curves["lerf"].mean() - found.curves["morf"].mean()) / 2)


def test_the_first_of_an_order() -> None:
    found = _first(np.array([3, 0, 2, 1]), (2, 2))
    counts = [0, 1, 1, 2, 2, 2, 3, 3, 3]  # of four, by halves to even, and never all
    wanted = [np.isin(np.arange(4), [3, 0, 2, 1][:count]).reshape(2, 2) for count in counts]
    assert np.array_equal(found, wanted)
