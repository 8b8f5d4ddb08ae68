"""loss.py: what the classes add to the kernels (tests/kernels/test_loss.py): options, names, errors."""

import json

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import DataError, UsageError
from cnncli.loss import LOSSES, CrossEntropy, SquaredError, loss_by_name


def test_a_call_is_the_sum_of_the_shares(rng):
    logits, labels = rng.standard_normal((7, 5)).astype(np.float32), rng.integers(0, 5, 7)
    for loss in (CrossEntropy(0.1, [1, 2, 3, 4, 5]), SquaredError()):
        losses, dlogits = np.empty(7), np.empty_like(logits)
        for call in loss.calls(logits, labels, losses, dlogits):
            call()
        assert loss(logits.astype(float), labels.tolist()) == losses.sum()


def test_known_values():
    assert CrossEntropy()(np.zeros((3, 10)), [0, 5, 9]) == pytest.approx(np.log(10), rel=1e-6)
    assert SquaredError()(np.array([[1.0, 2.0], [0.0, 0.0]]), [0, 1]) == pytest.approx((4 + 1) / 2 / 2)
    # Weights 1 and 3: the second image counts three times as much.
    logits = np.array([[0.0, 0.0], [5.0, 0.0]])
    expected = (np.log(2) + 3 * np.log(1 + np.exp(5))) / 4
    assert CrossEntropy(class_weights=[1, 3])(logits, [0, 1]) == pytest.approx(expected, rel=1e-6)


def test_labels_are_looked_at_when_the_calls_run():
    logits, labels, losses = np.zeros((2, 3), np.float32), np.array([0, 1]), np.empty(2)
    call, = CrossEntropy().calls(logits, labels, losses)
    call()
    labels[1] = 3
    with pytest.raises(DataError, match=r"image 1 of the batch has label 3, but .* 3 outputs; labels go from 0 to 2"):
        call()


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1, [1, 2]), SquaredError()], ids=repr)
def test_config_builds_the_same_loss(loss, rng):
    again = loss_by_name(**json.loads(json.dumps(loss.config())))
    assert repr(again) == repr(loss)
    logits = rng.standard_normal((4, 2)).astype(np.float32)
    assert again(logits, [0, 1, 1, 0]) == loss(logits, [0, 1, 1, 0])


def test_by_name():
    assert [type(loss_by_name(name)) for name in LOSSES] == [CrossEntropy, SquaredError]
    assert loss_by_name("squared-error", label_smoothing=None).config() == {"name": "squared-error"}
    with pytest.raises(UsageError, match=r"no loss 'cross-entrpy'.*Did you mean 'cross-entropy'"):
        loss_by_name("cross-entrpy")
    with pytest.raises(UsageError, match="squared-error takes no label smoothing"):
        loss_by_name("squared-error", label_smoothing=0.1)


@pytest.mark.parametrize("options", [{"label_smoothing": -0.1}, {"label_smoothing": 1.1},
                                     {"label_smoothing": float("nan")}, {"class_weights": [1, -1]},
                                     {"class_weights": [1, float("inf")]},
                                     {"class_weights": [1, 1e300]}])
def test_options_that_make_no_sense(options):
    with pytest.raises(UsageError):
        CrossEntropy(**options)


def test_class_weights_of_another_number_of_classes():
    with pytest.raises(UsageError, match="2 class weights for 3 classes"):
        CrossEntropy(class_weights=[1, 2])(np.zeros((1, 3)), [0])


@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError()], ids=repr)
@pytest.mark.parametrize(("logits", "labels", "words"), [
    (np.zeros(3), [0], "not \\(3,\\)"), (np.zeros((0, 3)), [], "n at least 1"), ("a", [0], "array of numbers"),
    (np.zeros((2, 3)), [0, 3], "image 1 of the batch has label 3"), (np.zeros((2, 3)), [-1, 0], "image 0 .* label -1"),
    (np.zeros((2, 3)), [0.0, 1.0], "not float64"), (np.zeros((2, 3)), [0], "each of 2 images"),
    (np.zeros((2, 3)), [[0, 1]], "each of 2 images"), (np.zeros((2, 3)), ["a", "b"], "whole number"),
    (np.zeros((2, 3)), [[0], [0, 1]], "must be an array"), (np.zeros((2, 3)), [True, False], "not bool")])
def test_what_is_no_batch_is_refused(loss, logits, labels, words):
    with pytest.raises(DataError, match=words):
        loss(logits, labels)


def test_one_step_down_the_gradient_lowers_the_loss(isa, rng):
    for loss in (CrossEntropy(), CrossEntropy(0.2, [1, 2, 0.5, 1, 1]), SquaredError()):
        logits, labels = rng.standard_normal((8, 5)).astype(np.float32), rng.integers(0, 5, 8)
        losses, dlogits = np.empty(8), kernels.aligned_empty((8, 5))
        for call in loss.calls(logits, labels, losses, dlogits):
            call()
        assert loss(logits - 0.5 * dlogits, labels) < losses.sum()
