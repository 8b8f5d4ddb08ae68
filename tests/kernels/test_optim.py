"""csrc/optim.c: one step of each optimiser and the gradients' norm, on every instruction set, at sizes where a vector
loop or the cutting into pieces can go wrong. Several steps and the options are tests/optim/test_optimisers.py."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import Guarded

# Together more than goes into one piece, and no array begins or ends where a piece does.
SIZES = [1, 3, 4, 7, 8, 15, 16, 17, 33, 16383, 16384, 16385, 40001, 32769]


def tensors(rng, memories, sizes=SIZES, weight_decay=0.1, rates=(1.0, 64.0, 0.25)):
    """Return tensors of these sizes, and the guards around their arrays."""
    made, guards = [], []
    for place, size in enumerate(sizes):
        arrays = [Guarded((size,)) for _ in range(4)]
        for array in arrays:
            array.a[...] = rng.standard_normal(size)
        p, g, *state = (array.a for array in arrays)
        state[1] **= 2
        made.append(kernels.Tensor(str(size), p, g, tuple(state[:memories] if memories != 1 else state[1:]),
                                   weight_decay, rates[place % len(rates)]))
        guards += arrays
    return made, guards


@pytest.mark.slow
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(momentum, nesterov, isa, threads, rng):
    made, guards = tensors(rng, memories=1 if momentum else 0)
    before = [[a.astype(float) for a in (t.parameter, t.gradient, *t.memory)] for t in made]
    hyper = kernels.Hyper()
    hyper.set(lr=0.05, scale=0.5, step=2)
    kernels.sgd_step(made, hyper, momentum, 0.0, nesterov)()
    for t, (p, g, *memory) in zip(made, before, strict=True):
        g = 0.5 * g + 0.1 * p
        if momentum:
            first = momentum * memory[0] + g
            np.testing.assert_allclose(t.memory[0], first, rtol=1e-6, atol=1e-6)
            g = g + momentum * first if nesterov else first
        np.testing.assert_allclose(t.parameter, p - 0.05 * t.rate * g, rtol=1e-6, atol=max(t.rate, 1) * 1e-6)
    for guarded in guards:
        guarded.check()


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(decoupled, isa, threads, rng):
    made, guards = tensors(rng, memories=2)
    before = [[a.astype(float) for a in (t.parameter, t.gradient, *t.memory)] for t in made]
    hyper = kernels.Hyper()
    hyper.set(lr=0.05, scale=0.5, step=7)
    kernels.adam_step(made, hyper, (0.9, 0.99), 1e-3, decoupled)()
    for t, (p, g, m, v) in zip(made, before, strict=True):
        g = 0.5 * g + (0 if decoupled else 0.1) * p
        p = p * (1 - 0.05 * t.rate * 0.1) if decoupled else p
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        p = p - 0.05 * t.rate * (m / (1 - 0.9**7)) / (np.sqrt(v / (1 - 0.99**7)) + 1e-3)
        np.testing.assert_allclose(t.memory[0], m, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(t.memory[1], v, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(t.parameter, p, rtol=2e-6, atol=max(t.rate, 1) * 2e-6)
    for guarded in guards:
        guarded.check()


@pytest.mark.parametrize("size", [*SIZES, 100003])
def test_norm(size, isa, rng):
    made, _ = tensors(rng, memories=0, sizes=[size, 5, 16384])
    norm, results, before = np.zeros(1), [], kernels.threads()
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            kernels.gradient_norm(made, norm)()
            results.append(norm[0])
    finally:
        kernels.set_threads(before)
    assert results[0] == results[1] == results[2]
    expected = np.sqrt(sum((t.gradient.astype(float) ** 2).sum() for t in made))
    np.testing.assert_allclose(norm, expected, rtol=1e-12)


def test_norm_of_huge_gradients_is_finite_and_of_bad_ones_not(isa):
    g, norm = np.full(19, 3e38, np.float32), np.zeros(1)
    call = kernels.gradient_norm([kernels.Tensor("w", None, g)], norm)
    call()
    np.testing.assert_allclose(norm, np.sqrt(19) * float(g[0]), rtol=1e-12)
    for bad in (np.nan, np.inf):
        g[18] = bad
        call()
        assert not np.isfinite(norm[0])


def test_no_parameters_at_all(isa):
    norm = np.ones(1)
    kernels.gradient_norm([], norm)()
    assert norm[0] == 0
    hyper = kernels.Hyper()
    hyper.set(0.1, 1.0, 1)
    kernels.sgd_step([], hyper, 0.9, 0.0, False)()


def test_what_c_refuses(rng):
    made, _ = tensors(rng, memories=0, sizes=[5])
    hyper = kernels.Hyper()
    with pytest.raises(ValueError, match="cnn_sgd refused"):  # step 0
        kernels.sgd_step(made, hyper, 0.0, 0.0, False)()
    hyper.set(0.1, 1.0, 1)
    with pytest.raises(ValueError, match="cnn_sgd refused"):  # momentum without memory
        kernels.sgd_step(made, hyper, 0.9, 0.0, False)()
    with pytest.raises(ValueError, match="cnn_adam refused"):
        kernels.adam_step(made, hyper, (0.9, 0.99), 1e-8, False)()
    made, _ = tensors(rng, memories=2, sizes=[5])
    made[0].parameter = None
    with pytest.raises(ValueError, match="cnn_adam refused"):
        kernels.adam_step(made, hyper, (0.9, 0.99), 1e-8, False)()
    with pytest.raises(ValueError, match="cnn_sgd refused"):
        kernels.sgd_step(made, hyper, 0.9, 0.0, False)()


def test_arrays_are_checked_before_a_pointer_is_taken():
    w = np.zeros((3, 4), np.float32)
    with pytest.raises(ValueError, match=r"conv1.weight must have shape \(4, 3\)"):
        kernels.sgd_step([kernels.Tensor("conv1.weight", w, w.T.copy())], kernels.Hyper(), 0.0, 0.0, False)
    with pytest.raises(ValueError, match=r"the gradient of conv1.weight must be C-contiguous"):
        kernels.gradient_norm([kernels.Tensor("conv1.weight", None, w.T)], np.zeros(1))
    with pytest.raises(TypeError, match=r"first memory of conv1.weight must be float32"):
        kernels.sgd_step([kernels.Tensor("conv1.weight", w, w, (w.astype(float),))], kernels.Hyper(), 0.9, 0.0, False)
