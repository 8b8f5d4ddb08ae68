"""model/calibration.py: the temperature against the loss on a grid, thresholds against counting, and the worth of both
on images that they were not fitted to."""

import json

import numpy as np
import pytest

from cnncli.model import calibration
from cnncli.model.bounds import shows
from cnncli.model.calibration import (
    COLDEST,
    HOTTEST,
    LEVELS,
    Bin,
    Calibration,
    _thresholds,
    calibrate,
    confidences,
    coverage,
    cross_entropy,
    expected_error,
    fit_temperature,
    log_softmax,
    reliability,
    softmax,
    withholding,
)


def drawn(rng: np.random.Generator, images: int, classes: int, temperature: float):
    """Logits that are sure of themselves by that factor too much, and labels."""
    logits = rng.standard_normal((images, classes)) * 2
    chances = softmax(logits)
    labels = (chances.cumsum(axis=1) > rng.random((images, 1))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), labels


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 1.7, 8.0])
def test_the_temperature_that_was_put_in_is_found(rng, temperature):
    logits, labels = drawn(rng, 20_000, 6, temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    losses = [cross_entropy(logits, labels, found * factor) for factor in (0.97, 0.999, 1, 1.001, 1.03)]
    assert min(losses) >= losses[2] - 1e-6
    assert losses[0] > losses[2] < losses[4]


@pytest.mark.parametrize("temperature", [0.5, 1.7, 8.0])
def test_the_temperature_is_found_in_a_few_steps(temperature, monkeypatch):
    """Newton's method has the right slope of the slope: correct digits double with each step."""
    logits, labels = drawn(np.random.default_rng(0), 12, 4, temperature)
    found = fit_temperature(logits, labels)
    monkeypatch.setattr(calibration, "_STEPS", 6)
    assert fit_temperature(logits, labels) == pytest.approx(found, rel=1e-9)
    monkeypatch.setattr(calibration, "_STEPS", 1)
    assert fit_temperature(logits, labels) != pytest.approx(found, rel=1e-3)


@pytest.mark.slow
def test_scaling_makes_probabilities_mean_what_they_say(rng):
    logits, labels = drawn(rng, 20_000, 6, 4.0)
    fitted = calibrate(logits[:10_000], labels[:10_000])
    assert fitted.error[0] > 0.15
    assert fitted.error[1] < 0.02
    assert fitted.loss[1] < fitted.loss[0]
    right = logits[10_000:].argmax(axis=1) == labels[10_000:]
    assert expected_error(reliability(confidences(logits[10_000:], fitted.temperature), right)) < 0.02


@pytest.mark.parametrize("images", [1, 3, 30])
def test_a_few_images_that_are_all_right_prove_little(images):
    logits = np.tile(np.array([[9.0, 0, 0]], np.float32), (images, 1))
    found = calibrate(logits, np.zeros(images, np.int64))
    assert 0.9 < found.temperature <= 1
    assert all(level**images <= 0.05 for level, _, _ in found.thresholds), "all right by chance, if it were less"
    assert bool(found.thresholds) == (images == 30)


def test_what_a_calibration_says_of_before_and_after(rng):
    logits, labels = drawn(rng, 60, 3, 3.0)
    found = calibrate(logits, labels)
    right = logits.argmax(axis=1) == labels
    assert found.temperature > 2
    for place, temperature in enumerate((1.0, found.temperature)):
        assert found.error[place] == expected_error(reliability(confidences(logits, temperature), right))
        assert found.loss[place] == cross_entropy(logits, labels, temperature)
    assert 0 < found.error[1] < found.error[0]


def test_logits_that_say_nothing_and_logits_that_are_huge():
    assert calibrate(np.zeros((5, 4), np.float32), np.arange(5) % 4).temperature == 1
    worse_than_guessing = calibrate(np.eye(4, dtype=np.float32)[np.arange(4000) % 4] * 9, np.arange(1, 4001) % 4)
    assert worse_than_guessing.temperature == pytest.approx(HOTTEST, rel=1e-6)
    huge = calibrate(np.array([[1e30, -1e30], [-1e30, 1e30]], np.float32), np.array([0, 0]))
    assert np.isfinite([huge.temperature, *huge.loss, *huge.error]).all()


def test_the_same_arrays_give_the_same_bytes(rng):
    logits, labels = drawn(rng, 500, 10, 2.0)
    first, again = (json.dumps(calibrate(logits.copy(), labels).config()) for _ in range(2))
    assert first == again
    assert Calibration.from_config(json.loads(first)).config() == json.loads(first)


@pytest.mark.parametrize("classes", [2, 3, 10, 37, 1000])
def test_an_image_has_the_same_bits_alone_and_beside_others(rng, classes):
    logits = (rng.standard_normal((33, classes)) * 5).astype(np.float32)
    for temperature in (1.0, 1.37):
        together = softmax(logits, temperature)
        for size in (1, 2, 5):
            parts = [softmax(logits[i : i + size], temperature) for i in range(0, 33, size)]
            np.testing.assert_array_equal(np.concatenate(parts), together)
        np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(np.exp(log_softmax(logits, temperature)), together)


def test_bins_and_their_error_against_counting(rng):
    confidence, right = rng.random(1000), rng.random(1000) < 0.7
    confidence[:3] = 0, 0.2, 1
    bins = reliability(confidence, right, bins=5)
    assert sum(b.images for b in bins) == 1000
    error = 0.0
    for b in bins:
        inside = (confidence > b.low) & (confidence <= b.high) | ((b.low == 0) & (confidence == 0))
        assert b.images == inside.sum()
        assert b.confidence == pytest.approx(confidence[inside].mean())
        assert b.accuracy == pytest.approx(right[inside].mean())
        error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert expected_error(bins) == pytest.approx(error)
    one, none = (reliability(np.array([0.95]), np.array([right])) for right in (True, False))
    assert one == [Bin(14 / 15, 1.0, 1, pytest.approx(0.95), 1.0)]
    assert none == [Bin(14 / 15, 1.0, 1, pytest.approx(0.95), 0.0)]
    assert expected_error(one) == pytest.approx(0.05)
    assert expected_error(none) == pytest.approx(0.95)
    assert expected_error([]) == 0


def test_coverage_against_counting(rng):
    confidence, right = rng.integers(1, 9, 200) / 8, rng.random(200) < 0.6
    curve = coverage(confidence, right)
    assert len(curve.thresholds) == len(set(confidence.tolist())), "equal probabilities are answered together"
    for threshold, share, accuracy in zip(curve.thresholds, curve.coverage, curve.accuracy, strict=True):
        given = confidence >= threshold
        assert share == given.mean()
        assert accuracy == pytest.approx(right[given].mean())
        assert curve.at(threshold) == (given.sum(), right[given].sum())
    assert curve.at(2.0) == (0, 0)
    assert curve.coverage[-1] == 1


@pytest.mark.slow
def test_a_threshold_is_the_lowest_that_is_accurate_enough(rng):
    logits, labels = drawn(rng, 900, 5, 1.0)
    found = calibrate(logits, labels)
    confidence, right = confidences(logits, found.temperature), logits.argmax(axis=1) == labels
    reached = {level: (threshold, share) for level, threshold, share in found.thresholds}
    answered, correct = (np.array([part[confidence >= t].sum() for t in confidence]) for part in (right | True, right))
    for level in LEVELS:
        good = confidence[shows(correct, answered, np.full(len(confidence), level))].tolist()
        assert (level in reached) == bool(good)
        if good:
            assert reached[level] == (min(good), pytest.approx((confidence >= min(good)).mean()))
    assert found.threshold(0.9) == reached[0.9][0]
    assert found.threshold(0.898) == found.threshold(0.9), "between two levels the higher one counts"
    assert found.threshold(0.1) == reached[0.5][0]
    assert found.threshold(0.9999) is None


@pytest.mark.slow
def test_thresholds_of_few_images_against_trying_all(rng):
    logits, labels = drawn(rng, 70, 3, 0.3)
    logits = np.round(logits, 1)  # some equal ones
    found = calibrate(logits, labels)
    confidence, right = confidences(logits, found.temperature), logits.argmax(axis=1) == labels
    thresholds = np.unique(confidence)
    answered, correct = (np.array([part[confidence >= t].sum() for t in thresholds]) for part in (right | True, right))
    reached = {}
    for level in LEVELS:
        good = thresholds[shows(correct, answered, np.full(len(thresholds), level))]
        if len(good):
            reached[level] = (good[0], (confidence >= good[0]).mean())
    assert {level: (threshold, share) for level, threshold, share in found.thresholds} == reached
    assert 0.5 in reached
    assert (found.image_count, found.confidence) == (70, 0.95)


def test_of_many_images_a_thousand_thresholds_are_tried(rng):
    curve = coverage(np.arange(1, 4001) / 4000, np.arange(4000) >= 2000)
    tried = set(curve.thresholds[np.linspace(0, 3999, 1000).astype(int)].tolist())
    found = {level: threshold for level, threshold, _ in _thresholds(curve)}
    assert {*found.values()} <= tried
    assert 0.999 not in found
    assert found[0.995] == pytest.approx(0.5, abs=0.01)
    assert found[0.6] == pytest.approx(1 - 0.5 / 0.6, abs=0.02), "2,000 right ones are 60 % of so many"


def test_levels_are_every_half_percent_and_one_for_the_careful():
    assert len(LEVELS) == 101
    assert (LEVELS[0], LEVELS[1], LEVELS[99], LEVELS[100]) == (0.5, 0.505, 0.995, 0.999)
    assert (COLDEST, HOTTEST) == (0.01, 100.0)
    assert calibrate(np.eye(2, dtype=np.float32)[np.zeros(5000, int)] * 1e-3, np.zeros(5000, np.int64)
                     ).temperature == pytest.approx(COLDEST, rel=1e-6)


def test_sentences_about_what_cannot_be_promised():
    one = Calibration(1.0, 1, (1, 1), (0, 0), (), 0.95)
    assert one.doubt(0.9) == "1 validation image cannot show 90 %, which takes at least 29, all of them right"
    many = Calibration(1.0, 1234, (1, 1), (0, 0), ((0.8, 0.5, 1.0),), 0.95)
    assert many.doubt(0.8) == ""
    assert many.doubt(0.99) == ("the 1,234 validation images do not show 99 %, because not enough of the surest "
                                "answers to them were right")
    assert withholding(many, 0.8) == (0.5, "")
    assert withholding(many, 0.995) == (0.995, (
        "The 1,234 validation images do not show 99.5 %, because not enough of the surest answers to them were right. "
        "The most that they show is 80 %. Answers with a probability below 0.995 become unknown, and nothing promises "
        "how many of the others are right."))
    assert withholding(one, 0.9)[1].startswith("1 validation image cannot show 90 %, which takes at least 29, all of "
                                               "them right. Answers with a probability below")
    old = Calibration(1.0, 1234, (1, 1), (0, 0), ((0.8, 0.5, 1.0),))
    assert withholding(old, 0.8) == (0.5, "The threshold for 80 % is an earlier version's, which kept no margin for "
                                          "chance; train again for one that does.")
    assert withholding(None, 0.9)[0] == 0.9


def test_a_threshold_keeps_its_promise_on_other_images(rng):
    logits, labels = drawn(rng, 12_000, 5, 3.0)
    threshold = calibrate(logits[:4000], labels[:4000]).threshold(0.9)
    fitted = calibrate(logits[:4000], labels[:4000]).temperature
    given = confidences(logits[4000:], fitted) >= threshold
    right = logits[4000:].argmax(axis=1) == labels[4000:]
    assert right.mean() < 0.75
    assert 0.9 <= right[given].mean() < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("images", [40, 150, 600])
def test_promises_are_kept_as_often_as_is_said(images):
    """Of thresholds fitted to so many images, at most about one in twenty is worse than its level on all others."""
    rng = np.random.default_rng(images)
    logits, labels = drawn(rng, 40_000, 4, 1.5)
    right = logits.argmax(axis=1) == labels
    broken = dict.fromkeys((0.8, 0.9, 0.95), 0)
    for _ in range(200):
        some = rng.integers(0, len(labels), images)
        found = calibrate(logits[some], labels[some])
        everybody = confidences(logits, found.temperature)
        for level in broken:
            threshold = found.threshold(level)
            broken[level] += threshold is not None and right[everybody >= threshold].mean() < level
    assert max(broken.values()) <= 18, broken  # 200 / 20, and the chance of a binomial number
    assert images == 40 or broken[0.8] > 0, "a bound that is never broken withholds too much"


def test_so_few_images_cannot_show_it_and_each_level_has_a_threshold_of_its_own():
    logits = np.linspace(1, 6, 28, dtype=np.float32)[:, None] * np.array([1, -1], np.float32)
    found = calibrate(logits, np.zeros(28, np.int64))
    asked = {level: withholding(found, level) for level in (0.8, 0.9, 0.95, 0.99)}
    assert asked[0.8][1] == ""
    assert asked[0.95][1].startswith("28 validation images cannot show 95 %, which takes at least 59")
    assert "28 validation images cannot show 90 %, which takes at least 29" in asked[0.9][1]
    thresholds = [threshold for threshold, _ in asked.values()]
    assert thresholds == sorted(thresholds)
    assert thresholds[1:] == [max(level, thresholds[0]) for level in (0.9, 0.95, 0.99)], "their word, and no less"


def test_a_higher_level_never_withholds_less():
    few = Calibration(1.0, 400, (1, 1), (0, 0), ((0.5, 0.2, 1.0), (0.9, 0.97, 0.4)), 0.95)
    assert withholding(few, 0.9) == (0.97, "")
    threshold, words = withholding(few, 0.95)
    assert threshold == 0.97
    assert "400 validation images do not show 95 %" in words
    assert "The most that they show is 90 %" in words
    assert "0.97" in words


def test_a_model_of_an_earlier_version_keeps_its_thresholds_and_says_that_they_have_no_margin():
    config = calibrate(np.eye(2, dtype=np.float32)[np.zeros(100, int)], np.zeros(100, np.int64)).config()
    assert config.pop("confidence") == 0.95
    old = Calibration.from_config({**config, "thresholds": [[0.9, 0.6, 0.7], [0.99, 0.8, 0.1]]})
    assert "confidence" not in old.config()
    threshold, words = withholding(old, 0.9)
    assert threshold == 0.6
    assert "earlier version" in words
    assert withholding(old, 0.99)[1].startswith("100 validation images cannot show 99 %")


@pytest.mark.parametrize("change", [
    {"temperature": 0}, {"temperature": float("nan")}, {"temperature": "hot"}, {"temperature": 1e9}, {"images": 0},
    {"images": None}, {"loss": [1]}, {"error": [1, None]}, {"error": [1, float("inf")]},
    {"thresholds": [[0.5, 2, 0.5]]}, {"thresholds": [[0.5, 0.5]]}, {"thresholds": 5},
    {"thresholds": [[0.5, 0.5, 0.5]] * 2000}, {"confidence": 1}, {"confidence": "sure"}, {"confidence": -0.1},
])
def test_what_makes_no_sense_is_refused(change):
    good = {"temperature": 1.5, "images": 30, "loss": [1, 0.9], "error": [0.2, 0.1], "thresholds": [[0.5, 0.6, 0.7]]}
    assert Calibration.from_config(good).threshold(0.5) == 0.6
    with pytest.raises(ValueError, match=r"calibration|temperature|loss|threshold|confidence"):
        Calibration.from_config({**good, **change})
    with pytest.raises(ValueError, match="calibration"):
        Calibration.from_config({})
