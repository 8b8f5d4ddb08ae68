"""csrc/loss.c: both losses on every instruction set against five lines of float64 NumPy and numeric gradients, at
class counts where a vector loop can go wrong and logits where a naive softmax overflows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli import kernels
from cnncli.errors import DataError

from .guard import Guarded

# A row is a float32 sum over its classes, so the loss is good to a few ulp of its largest term: the logits' spread.
LOSS, GRADIENT = 3e-6, 2e-6
CLASSES = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 1000, 5001]


def targets(classes, labels, mixed):
    """One-hot rows, or each image's share at its label and the rest at the other."""
    if mixed is None:
        return np.eye(classes)[labels]
    shares = mixed[1].astype(float)[:, None]
    return shares * np.eye(classes)[labels] + (1 - shares) * np.eye(classes)[mixed[0]]


def cross_entropy(x, labels, weights, smoothing, mixed=None):
    """The formula, float64: each image's share and the gradient of the sum."""
    x, weights = x.astype(float), np.ones(x.shape[1]) if weights is None else weights.astype(float)
    logp = x - x.max(1, keepdims=True)
    logp -= np.log(np.exp(logp).sum(1, keepdims=True))
    pure = targets(x.shape[1], labels, mixed)
    target = (1 - smoothing) * pure * weights + smoothing / x.shape[1] * weights
    norm = (pure * weights).sum()
    return -(target * logp).sum(1) / norm, (np.exp(logp) * target.sum(1, keepdims=True) - target) / norm


def squared_error(x, labels, mixed=None):
    difference = x.astype(float) - targets(x.shape[1], labels, mixed)
    return 0.5 * (difference**2).sum(1) / len(x), difference / len(x)


def run(x, labels, weights=None, smoothing=0.0, squared=False, mixed=None):
    losses, dx = Guarded((len(x),), np.float64), Guarded(x.shape)
    if squared:
        kernels.squared_error(x, labels, losses.a, dx.a, mixed)()
    else:
        kernels.cross_entropy(x, labels, losses.a, dx.a, weights, smoothing, mixed)()
    return losses.check(), dx.check()


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", CLASSES)
def test_cross_entropy(classes, weighted, smoothing, isa, rng):
    n = 1 if classes == 5001 else 13
    x = (rng.standard_normal((n, classes)) * 3).astype(np.float32)
    labels = rng.integers(0, classes, n)
    weights = (rng.random(classes) + 0.1).astype(np.float32) if weighted else None
    losses, dx = run(x, labels, weights, smoothing)
    expected, gradient = cross_entropy(x, labels, weights, smoothing)
    np.testing.assert_allclose(losses, expected, rtol=LOSS, atol=LOSS)
    np.testing.assert_allclose(dx, gradient, rtol=2e-5, atol=GRADIENT)


@pytest.mark.slow
@pytest.mark.parametrize("classes", CLASSES)
def test_squared_error(classes, isa, rng):
    n = 1 if classes == 5001 else 13
    x = rng.standard_normal((n, classes)).astype(np.float32)
    labels = rng.integers(0, classes, n)
    losses, dx = run(x, labels, squared=True)
    expected, gradient = squared_error(x, labels)
    np.testing.assert_allclose(losses, expected, rtol=LOSS)
    np.testing.assert_allclose(dx, gradient, rtol=LOSS, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", CLASSES)
def test_images_of_two_in_one(classes, weighted, smoothing, isa, threads, rng):
    n = 2 if classes == 5001 else 13
    x = (rng.standard_normal((n, classes)) * 3).astype(np.float32)
    labels, others, shares = rng.integers(0, classes, n), rng.integers(0, classes, n), rng.random(n).astype(np.float32)
    others[0], shares[1] = labels[0], 1
    weights = (rng.random(classes) + 0.1).astype(np.float32) if weighted else None
    losses, dx = run(x, labels, weights, smoothing, mixed=(others, shares))
    expected, gradient = cross_entropy(x, labels, weights, smoothing, (others, shares))
    np.testing.assert_allclose(losses, expected, rtol=LOSS, atol=LOSS)
    np.testing.assert_allclose(dx, gradient, rtol=2e-5, atol=GRADIENT)
    losses, dx = run(x, labels, squared=True, mixed=(others, shares))
    expected, gradient = squared_error(x, labels, (others, shares))
    np.testing.assert_allclose(losses, expected, rtol=LOSS)
    np.testing.assert_allclose(dx, gradient, rtol=LOSS, atol=1e-8)


@pytest.mark.parametrize("squared", [False, True])
def test_a_share_of_one_is_the_label_alone_to_the_bit(squared, isa, rng):
    x = (rng.standard_normal((9, 21)) * 3).astype(np.float32)
    labels, others = rng.integers(0, 21, 9), rng.integers(0, 21, 9)
    if not squared:
        x[np.arange(9), others] = np.where(others == labels, 1, -np.inf)  # ruled out, but nothing is asked of it
    plain = run(x, labels, None, 0.0, squared)
    mixed = run(x, labels, None, 0.0, squared, (others, np.ones(9, np.float32)))
    assert np.array_equal(plain[0], mixed[0])
    assert np.array_equal(plain[1], mixed[1])
    assert np.isfinite(plain[0]).all()


def test_other_labels_and_shares_that_make_no_sense(isa):
    x, labels, losses = np.zeros((4, 3), np.float32), np.zeros(4, np.int64), np.full(4, 7.0)
    half = np.full(4, 0.5, np.float32)
    for call in (kernels.cross_entropy(x, labels, losses, mixed=(np.array([0, 1, 3, 0]), half)),
                 kernels.squared_error(x, labels, losses, mixed=(np.array([0, 1, 3, 0]), half))):
        with pytest.raises(DataError, match="image 2 of the batch has label 3"):
            call()
    for share in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="refused its arguments"):
            kernels.cross_entropy(x, labels, losses, mixed=(labels, np.array([0.5, 1, 0, share], np.float32)))()
    with pytest.raises(ValueError, match="shares must have shape"):
        kernels.squared_error(x, labels, losses, mixed=(labels, half[:3]))
    assert (losses == 7).all()


def test_a_perfect_answer_has_no_squared_error(isa):
    losses, dx = run(np.eye(11, dtype=np.float32), np.arange(11), squared=True)
    assert (losses == 0).all()
    assert (dx == 0).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("squared", [False, True])
def test_numeric_gradient(squared, smoothing, isa, rng):
    x = rng.standard_normal((6, 10)).astype(np.float32)
    labels, weights = rng.integers(0, 10, 6), (rng.random(10) + 0.5).astype(np.float32)
    _, dx = run(x, labels, weights, smoothing, squared)
    for _ in range(5):
        step = (rng.standard_normal(x.shape) * 0.01).astype(np.float32)
        up, down = (run(x + sign * step, labels, weights, smoothing, squared)[0].sum() for sign in (1, -1))
        assert abs((up - down) / 2 - np.vdot(dx.astype(float), step)) < 2e-5 * np.linalg.norm(step) * 10


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_large_logits(smoothing, isa):
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4], [3e38, 0, 0]], np.float32)
    for labels in ([0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 2, 0]):
        losses, dx = run(x, np.array(labels), smoothing=smoothing)
        expected, gradient = cross_entropy(x, np.array(labels), None, smoothing)
        np.testing.assert_allclose(losses, expected, rtol=LOSS, atol=LOSS)
        np.testing.assert_allclose(dx, gradient, atol=GRADIENT)


def test_a_logit_of_minus_infinity_is_a_class_ruled_out(isa):
    losses, dx = run(np.array([[0, -np.inf, 0]], np.float32), np.array([0]))
    np.testing.assert_allclose(losses, np.log(2), rtol=LOSS)
    np.testing.assert_allclose(dx, [[-0.5, 0, 0.5]], atol=GRADIENT)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("at", [0, 9, 17])
def test_nan_and_infinity_are_never_hidden(at, squared, bad, isa, rng):
    x = rng.standard_normal((3, 18)).astype(np.float32)
    x[1, at] = bad
    losses, _ = run(x, np.array([1, 2, 3]), squared=squared)
    assert list(np.isfinite(losses)) == [True, False, True]


@pytest.mark.parametrize("squared", [False, True])
def test_same_bits_on_any_threads_and_in_place(squared, isa, rng):
    x = rng.standard_normal((500, 37)).astype(np.float32)
    labels, weights = rng.integers(0, 37, 500), rng.random(37).astype(np.float32)
    before, results = kernels.threads(), []
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            results.append(run(x, labels, weights, 0.1, squared))
    finally:
        kernels.set_threads(before)
    losses, here = np.empty(500), x.copy()
    if squared:
        kernels.squared_error(here, labels, losses, here)()
    else:
        kernels.cross_entropy(here, labels, losses, here, weights, 0.1)()
    for other in (*results[1:], (losses, here)):
        assert np.array_equal(other[0], results[0][0])
        assert np.array_equal(other[1], results[0][1])


def test_a_batch_that_weighs_nothing(isa):
    losses, dx = run(np.ones((2, 3), np.float32), np.array([1, 1]), np.array([1, 0, 1], np.float32), 0.1)
    assert (losses == 0).all()
    assert (dx == 0).all()


@pytest.mark.parametrize("wrong", [-1, 3, 2**40, -(2**63)])
@pytest.mark.parametrize("squared", [False, True])
def test_a_label_out_of_range_is_named_and_nothing_written(squared, wrong, isa):
    x, labels, losses, dx = np.zeros((4, 3), np.float32), np.array([0, 1, wrong, 2]), np.full(4, 7.0), None
    call = kernels.squared_error(x, labels, losses, dx) if squared else kernels.cross_entropy(x, labels, losses, dx)
    with pytest.raises(DataError, match=rf"image 2 of the batch has label {wrong}.*3 outputs.*0 to 2"):
        call()
    assert (losses == 7).all()
    labels[2] = 0
    call()


def test_arrays_are_checked_before_a_pointer_is_taken():
    x, labels, losses = np.zeros((4, 3), np.float32), np.zeros(4, np.int64), np.zeros(4)
    with pytest.raises(TypeError, match="labels must be int64"):
        kernels.cross_entropy(x, labels.astype(np.int32), losses)
    with pytest.raises(ValueError, match="losses must have shape"):
        kernels.cross_entropy(x, labels, losses[:3])
    with pytest.raises(ValueError, match="doutputs must have shape"):
        kernels.squared_error(x, labels, losses, x[:, :2])
    with pytest.raises(ValueError, match="weights must have shape"):
        kernels.cross_entropy(x, labels, losses, None, np.ones(4, np.float32))
    with pytest.raises(ValueError, match="refused its arguments"):
        kernels.cross_entropy(x, labels, losses, None, None, 1.5)()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.floats(0, 1), st.floats(-1e4, 1e4), st.integers(0, 2**32))
def test_shifting_all_logits_changes_nothing_and_gradients_sum_to_zero(n, classes, smoothing, shift, seed):
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((n, classes)) * 256).astype(np.float32) / 64
    shift = np.float32(round(shift))  # whole, so that adding it to quarters of sixteenths rounds nothing away
    labels = rng.integers(0, classes, n)
    losses, dx = run(x, labels, smoothing=smoothing)
    shifted, _ = run(x + shift, labels, smoothing=smoothing)
    np.testing.assert_allclose(shifted, losses, rtol=LOSS, atol=LOSS)
    assert (losses >= -LOSS).all()
    np.testing.assert_allclose(dx.astype(float).sum(1), 0, atol=GRADIENT)
