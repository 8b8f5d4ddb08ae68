"""evaluation/scores.py against counting by hand, image by image."""

import json
import math
from dataclasses import MISSING, fields, replace

import numpy as np
import pytest

from cnncli.errors import DataError, ModelError
from cnncli.evaluation.scores import Evaluation, evaluate, score
from cnncli.model.calibration import Calibration


def counted(logits, labels, count):
    """Accuracy, top-5, loss, matrix, per class (precision, recall, f1, support), by plain loops in Python floats."""
    matrix = [[0] * count for _ in range(count)]
    top5 = loss = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        ranked = sorted(range(count), key=lambda c: -row[c])
        matrix[label][ranked[0]] += 1
        top5 += label in ranked[:5]
        loss += math.log(sum(math.exp(v) for v in row)) - row[label]
    scores = []
    for c in range(count):
        guessed, support = sum(matrix[r][c] for r in range(count)), sum(matrix[c])
        precision = matrix[c][c] / guessed if guessed else 0.0
        recall = matrix[c][c] / support if support else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores.append((precision, recall, f1, support))
    right = sum(matrix[c][c] for c in range(count))
    return right / len(labels), top5 / len(labels), loss / len(labels), matrix, scores


@pytest.mark.parametrize(("count", "images"), [(2, 1), (2, 50), (5, 40), (6, 40), (10, 300), (100, 250)])
def test_agrees_with_counting(count, images, rng):
    logits = rng.standard_normal((images, count)) * 3
    labels = rng.integers(0, count, images)
    labels[labels == 1] = 0  # class 1 has no images
    found = score(logits, labels, [f"class {i}" for i in range(count)])
    accuracy, top5, loss, matrix, scores = counted(logits, labels, count)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.top5 == (pytest.approx(top5) if count >= 6 else None)
    assert found.loss == pytest.approx(loss)
    assert found.confusion_matrix.tolist() == matrix
    for mine, theirs in zip(found.classes, scores, strict=True):
        assert (mine.precision, mine.recall, mine.f1, mine.support) == pytest.approx(theirs)


def test_a_class_without_images_and_one_that_is_never_guessed():
    found = score(np.array([[3.0, 0, 1], [2, 0, 1], [0, 1, 3]]), np.array([0, 0, 0]), ["a", "b", "c"])
    assert [c.support for c in found.classes] == [3, 0, 0]
    a, b, c = found.classes
    assert (a.precision, a.recall, a.f1) == (1, pytest.approx(2 / 3), pytest.approx(0.8))
    assert (b.precision, b.recall, b.f1) == (0, 0, 0)
    assert (c.precision, c.recall, c.f1) == (0, 0, 0)


def test_what_nobody_says_of_an_evaluation_is_empty():
    found = score(np.eye(2), np.arange(2), ["a", "b"])
    needed = {field.name: getattr(found, field.name) for field in fields(found)
              if (field.default, field.default_factory) == (MISSING, MISSING)}
    for one in (found, Evaluation(**needed)):
        assert (one.skipped, one.model, one.flips, one.calibration, one.baselines, one.strangeness) == (
            [], "", False, None, {}, None)


def test_one_image_of_each_is_all_of_them():
    for one in score(np.eye(2), np.arange(2), ["a", "b"]).classes:
        assert (one.precision, one.recall, one.f1, one.support, one.guessed) == (1, 1, 1, 1, 1)


def test_each_share_has_the_interval_of_what_it_is_a_share_of():
    """Of 20 images of b all are recognised, and 5 of a called so as well; Wilson's intervals as Newcombe has them."""
    labels = np.repeat([0, 1], [5, 20])
    found = score(np.eye(2)[[1] * 25], labels, ["a", "b"])
    a, b = found.classes
    assert (b.right, b.support, b.guessed) == (20, 20, 25)
    assert b.recall_interval == (pytest.approx(0.8389, abs=5e-5), 1.0)
    assert b.precision_interval == (pytest.approx(0.6087, abs=5e-5), pytest.approx(0.9114, abs=5e-5))
    assert a.recall_interval == (0.0, pytest.approx(0.4345, abs=5e-5))
    assert a.precision_interval == (0.0, 1.0), "never guessed"
    assert found.interval == b.precision_interval, "20 of 25 in all"
    said = b.as_json()
    assert said["recall_interval"] == list(b.recall_interval)
    assert said["precision_interval"] == list(b.precision_interval)
    assert found.as_json()["accuracy_interval"] == list(found.interval)


def test_equal_logits_count_for_the_first_class():
    found = score(np.zeros((7, 7)), np.arange(7), list("abcdefg"))
    assert found.accuracy == 1 / 7
    assert found.top5 == 5 / 7
    assert found.loss == pytest.approx(math.log(7))
    assert found.guesses.tolist() == [0] * 7


def test_large_logits_neither_overflow_nor_lose_the_loss():
    found = score(np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 0]), ["a", "b"])
    assert found.loss == pytest.approx(500)
    assert found.probabilities.tolist() == [[1, 0], [0, 1]]


def test_log_probabilities_do_as_well_as_logits(rng):
    logits, labels = rng.standard_normal((20, 4)), rng.integers(0, 4, 20)
    found = score(logits, labels, list("abcd"))
    again = score(np.log(found.probabilities), labels, list("abcd"))
    assert again.loss == pytest.approx(found.loss, rel=1e-6)


def test_mistakes_come_most_confident_first():
    logits = np.array([[5.0, 0], [1, 0], [0, 9], [0, 1]])
    assert score(logits, np.array([1, 1, 0, 1]), ["a", "b"]).mistakes().tolist() == [2, 0, 1]
    assert score(logits, np.array([0, 0, 1, 1]), ["a", "b"]).mistakes().tolist() == []


def test_json_has_exactly_the_keys_that_programs_rely_on(rng):
    found = score(rng.standard_normal((9, 6)), rng.integers(0, 6, 9), list("abcdef"), skipped=[("x.png", "is broken")],
                  model="runs/a")
    report = found.as_json()
    assert list(report) == ["model", "images", "accuracy", "top5", "loss", "classes", "confusion_matrix", "skipped",
                            "tta", "accuracy_interval", "baselines", "calibration", "withheld"]
    assert [list(c) for c in report["classes"]] == [
        ["name", "precision", "recall", "f1", "support", "precision_interval", "recall_interval"]] * 6
    assert report["skipped"] == [{"path": "x.png", "error": "is broken"}]
    assert report["model"] == "runs/a"
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_refuses_what_cannot_be_scored():
    with pytest.raises(DataError, match="no image to test"):
        score(np.zeros((0, 2)), np.zeros(0), ["a", "b"])
    with pytest.raises(ModelError, match="for 2 of 3 images"):
        score(np.array([[np.nan, 0], [1, 2], [np.inf, 1]]), np.array([0, 1, 0]), ["a", "b"])
    with pytest.raises(ValueError, match="one row an image"):
        score(np.zeros((3, 2)), np.zeros(3), ["a", "b", "c"])
    for label in (-1, 2):
        with pytest.raises(ValueError, match="between 0 and 1"):
            score(np.zeros((1, 2)), np.array([label]), ["a", "b"])


class Images:
    """Ten images whose only pixel is their number."""

    def __init__(self):
        self.labels = np.arange(10) % 3
        self.skipped = [("bad.png", "bad.png is empty.")]

    def in_order(self, at_once):
        for start in range(0, 10, at_once):
            yield np.arange(start, min(start + at_once, 10), dtype=np.uint8).reshape(-1, 1, 1, 1)


class Right:
    """A model that knows the answers, and in which batches it was asked."""

    def __init__(self):
        self.classes, self.flips, self.calibration = ["a", "b", "c"], False, None
        self.asked = []

    def logits(self, images):
        assert images.dtype == np.uint8
        self.asked.append(len(images))
        return np.eye(3, dtype=np.float32)[images[:, 0, 0, 0] % 3]


@pytest.mark.parametrize(("size", "batches"), [(4, [4, 4, 2]), (10, [10]), (64, [10]), (1, [1] * 10)])
def test_runs_in_batches_and_tells_how_far_it_is(size, batches):
    model, told = Right(), []
    found = evaluate(model, Images(), batch_size=size, progress=lambda *how_far: told.append(how_far), name="m")
    assert found.accuracy == 1
    assert found.model == "m"
    assert found.skipped == [("bad.png", "bad.png is empty.")]
    assert model.asked == batches
    assert told == [(sum(batches[: i + 1]), 10) for i in range(len(batches))]


def test_what_reject_does_to_known_images_is_counted():
    logits = np.array([[4.0, 0], [1, 0], [0, 4], [4, 0]], np.float32)
    found = score(logits, np.array([0, 0, 1, 1]), ["a", "b"])
    assert [[*one.values()][:-1] for one in found.as_json()["withheld"]] == [
        [0.9, 0.9, 1, 0, 3, 2], [0.95, 0.95, 1, 0, 3, 2], [0.99, 0.99, 4, 0, 0, 0]]
    exactly = found.withheld(float(found.confidences[0]))
    assert exactly.unsure == 1, "a probability of just the threshold is an answer"
    strange = replace(found, strangeness=np.array([0.0, 0.5, 0.5, -1]))
    one = strange.withheld(0.9)
    assert (one.unsure, one.strange, one.answered, one.right) == (1, 2, 2, 1)
    assert "without validation images" in one.doubt


def test_what_the_probabilities_are_worth_before_and_after_scaling():
    """At a temperature of 2 half the logits: of four answers one is wrong, all are as sure."""
    logits = np.log([[9.0, 1], [9, 1], [1, 9], [1, 9]])
    fitted = Calibration(2.0, 100, (0.5, 0.4), (0.2, 0.1), ())
    plain, scaled = (score(logits, np.array([0, 0, 1, 0]), ["a", "b"], calibration=c) for c in (None, fitted))
    assert plain.confidences == pytest.approx(0.9)
    assert scaled.confidences == pytest.approx(0.75)
    before = {"error_before": pytest.approx(0.15),
              "loss_before": pytest.approx(-(3 * math.log(0.9) + math.log(0.1)) / 4)}
    after = {"error_after": pytest.approx(0, abs=1e-9),
             "loss_after": pytest.approx(-(3 * math.log(0.75) + math.log(0.25)) / 4)}
    assert scaled.as_json()["calibration"] == {"temperature": 2.0, **before, **after}
    assert plain.as_json()["calibration"] == {"temperature": None, **before, "error_after": before["error_before"],
                                              "loss_after": before["loss_before"]}
    assert scaled.loss == plain.loss, "the outputs as they are"


def test_a_threshold_is_not_the_accuracy_that_it_is_for():
    fitted = Calibration(1.0, 100, (0.5, 0.4), (0.2, 0.1), ((0.9, 0.6, 1.0),), 0.95)
    one = score(np.log([[0.7, 0.3], [0.55, 0.45]]), np.array([0, 0]), ["a", "b"], calibration=fitted).withheld(0.9)
    assert (one.accuracy, one.threshold, one.unsure, one.answered, one.right, one.doubt) == (0.9, 0.6, 1, 1, 1, "")
