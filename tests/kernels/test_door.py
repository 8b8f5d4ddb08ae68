"""kernels/door.py: what is checked before a pointer is taken, the errors that C's answers stand for, memory on lines of
64 bytes and under a limit, and how many threads there are. And what the other modules of the door take for granted."""

import builtins
import io
import os

import numpy as np
import pytest

from cnncli import kernels
from cnncli._kernels import ffi, lib
from cnncli.errors import KernelError, UsageError
from cnncli.kernels import door


def test_a_pointer_is_that_of_an_array_as_it_should_be():
    array = np.zeros((3, 4), np.float32)
    assert door.pointer("a", None) == ffi.NULL
    assert int(ffi.cast("uintptr_t", door.pointer("a", array, (3, 4)))) == array.ctypes.data
    for dtype, c in (("f4", "float"), ("f8", "double"), ("u1", "uint8_t"), ("u2", "uint16_t"), ("i8", "int64_t"),
                     ("u8", "uint64_t")):
        assert ffi.typeof(door.pointer("a", np.zeros(3, dtype), (3,), dtype)) == ffi.typeof(f"{c} *")
    for wrong, kind, words in (
            (array.astype(float), TypeError, "a must be float32, not float64"),
            (array[:2], ValueError, r"a must have shape \(3, 4\), not \(2, 4\)"),
            (np.zeros((4, 3), np.float32).T, ValueError, r"a must be C-contiguous; pass np.ascontiguousarray\(a\)")):
        with pytest.raises(kind, match=words):
            door.pointer("a", wrong, (3, 4))


@pytest.mark.parametrize(("status", "kind", "words"), [
    (lib.CNN_NO_MEMORY, MemoryError, "f needs more scratch memory"), (lib.CNN_NO_ISA, KernelError, "unset CNN_ISA"),
    (lib.CNN_INVALID, ValueError, r"f refused its arguments \(status 1\)")])
def test_each_answer_of_c_has_its_error(status, kind, words):
    with pytest.raises(kind, match=words):
        door.Call("f", 2, function=lambda argument: status * (argument == 2))()
    door.Call("f", 3, function=lambda argument: status * (argument == 2))()


def test_arrays_lie_on_lines():
    for make in (kernels.aligned_empty, kernels.aligned_zeros):
        for shape, dtype in (((7,), np.float32), ((3, 5), np.uint8), ((), np.float64)):
            made = [make(shape, dtype) for _ in range(5)]
            assert all(array.ctypes.data % 64 == 0 for array in made)
            assert {(array.shape, array.dtype) for array in made} == {(shape, np.dtype(dtype))}
    assert kernels.aligned_empty((2,)).dtype == np.float32
    assert not kernels.aligned_zeros((1000,)).any()
    with pytest.raises(MemoryError, match=r"an array of 4,611,686,018,427,387,904 bytes$"):
        kernels.aligned_empty((2**60,))


def test_a_limit_is_for_all_arrays_together_and_ends_with_its_block():
    with kernels.allocation_limit(100):
        kernels.aligned_empty((10,))
        kernels.aligned_zeros((60,), np.uint8)
        kernels.aligned_empty((0,))
        with pytest.raises(MemoryError, match="an array of 1 bytes is more than may be taken here"):
            kernels.aligned_empty((1,), np.uint8)
    kernels.aligned_empty((100,))


@pytest.mark.parametrize(("quota", "count"), [
    ("max 100000", 6), ("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("900000 100000", 6),
    ("250000 50000", 5), ("nonsense", 6), (None, 6)])
def test_a_containers_quota_counts(quota, count, monkeypatch):
    def opened(path, *_, **__):
        if quota is None:
            raise FileNotFoundError
        return io.StringIO(quota)

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0: set(range(2, 8))}[pid], raising=False)
    monkeypatch.setattr(builtins, "open", opened)
    assert kernels.available_cpus() == count
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(300))
    assert kernels.available_cpus() == (256 if count == 6 and quota != "900000 100000" else min(
        256, {"900000 100000": 9}.get(quota, count)))
    monkeypatch.delattr(os, "sched_getaffinity")
    for cpus in (3, None):
        monkeypatch.setattr(os, "cpu_count", lambda cpus=cpus: cpus)
        assert kernels.available_cpus() == min(cpus or 1, count)


def test_the_variables_are_obeyed(monkeypatch):
    before, isa = kernels.threads(), kernels.active_isa()
    try:
        monkeypatch.delenv("CNN_THREADS", raising=False)
        monkeypatch.delenv("CNN_ISA", raising=False)
        kernels.configure()
        assert (kernels.threads(), kernels.active_isa()) == (before, isa)
        monkeypatch.setenv("CNN_THREADS", "3")
        monkeypatch.setenv("CNN_ISA", "reference")
        kernels.configure()
        assert (kernels.threads(), kernels.active_isa()) == (3, "reference")
        for count in (1, 256):
            kernels.set_threads(count)
            assert kernels.threads() == count
        for wrong in ("0", "257", "two"):
            monkeypatch.setenv("CNN_THREADS", wrong)
            with pytest.raises(UsageError, match=f"^CNN_THREADS={wrong} cannot be used; give a number from 1 to 256"):
                kernels.configure()
        assert kernels.threads() == 256
    finally:
        kernels.set_threads(before)
        kernels.set_isa(isa)
    with kernels.use_isa("reference"):
        assert kernels.active_isa() == "reference"
    assert kernels.active_isa() == isa
    for wrong in (0, 257, -1):
        with pytest.raises(UsageError, match=f"^{wrong} threads cannot be used"):
            kernels.set_threads(wrong)


# ---- of the other modules ----


def test_what_is_left_out_is_the_plain_case(rng):
    plain = kernels.Convolution((2, 5, 6, 4), 3, (2, 3))
    assert plain == kernels.Convolution((2, 5, 6, 4), 3, (2, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1, False)
    assert (plain.weight_shape, plain.y_shape) == ((3, 4, 2, 3), (2, 4, 4, 3))
    assert kernels.Windows((2, 2), (1, 1)) == kernels.Windows((2, 2), (1, 1), (0, 0), (1, 1))
    assert kernels.Finish() == kernels.Finish(None, None, "", None, False, None)
    array = np.zeros(2, np.float32)
    tensor = kernels.Tensor("w", array, array)
    assert (tensor.memory, tensor.weight_decay, tensor.rate) == ((), 0.0, 1.0)
    memory = kernels.Hyper().memory
    assert (memory.lr, memory.scale, memory.step) == (0, 1, 0)
    x, y = rng.standard_normal(9).astype(np.float32), np.empty(9, np.float32)
    kernels.activation_forward("leaky_relu", x, y)()
    np.testing.assert_array_equal(y, np.where(x < 0, np.float32(0.01) * x, x))
    kernels.activation_backward("leaky_relu", None, x, x, y)()
    np.testing.assert_array_equal(y, np.where(x < 0, np.float32(0.01) * x, x))


def test_memory_to_work_in_is_large_enough_and_on_a_line():
    sizes = kernels.Convolution((2, 8, 8, 16), 16, (3, 3), padding=(1, 1, 1, 1))
    x, weight = np.zeros(sizes.x_shape, np.float32), np.zeros(sizes.weight_shape, np.float32)
    packed, needed = kernels.packed_weights(sizes, kernels.FORWARD), sizes.workspace(kernels.FORWARD)
    assert packed.nbytes == sizes.packed(kernels.FORWARD) > 0
    work, most = kernels.aligned_empty((needed,), np.uint8), sizes.workspace(kernels.FORWARD, kernels.BACKWARD_WEIGHTS)
    assert most == max(needed, sizes.workspace(kernels.BACKWARD_WEIGHTS))
    kernels.conv2d_forward(sizes, x, weight, packed, x.copy(), work)
    room = kernels.aligned_empty((packed.nbytes + 64,), np.uint8)
    with pytest.raises(ValueError, match=f"packed must hold {packed.nbytes} bytes, not {packed.nbytes - 1}"):
        kernels.conv2d_forward(sizes, x, weight, packed[:-1], x.copy(), work)
    with pytest.raises(ValueError, match="packed must be 64-byte aligned"):
        kernels.conv2d_forward(sizes, x, weight, room[4 : 4 + packed.nbytes], x.copy(), work)
    with pytest.raises(TypeError, match="packed must be uint8"):
        kernels.conv2d_forward(sizes, x, weight, room.view(np.float32), x.copy(), work)
    wrong = kernels.Convolution((2, 8, 8, 16), 16, (9, 9))
    for ask in (wrong.workspace, wrong.packed):
        with pytest.raises(ValueError, match="is no convolution that the kernels take"):
            ask(kernels.FORWARD)


def test_a_batch_norm_says_what_it_needs():
    x = np.zeros((2, 3, 5), np.float32)
    needed = kernels.batch_norm_workspace(6, 5)
    work, statistics, mean = kernels.aligned_empty((needed,), np.uint8), np.zeros((2, 5)), np.zeros(5, np.float32)
    kernels.batch_norm_train(x, None, None, x, mean, mean.copy(), statistics, work, 1e-5, 0.1)()
    with pytest.raises(ValueError, match=f"workspace must hold {needed} bytes, not {needed - 1}"):
        kernels.batch_norm_train(x, None, None, x, mean, mean, statistics, work[:-1], 1e-5, 0.1)
    with pytest.raises(ValueError, match=r"statistics must have shape \(2, 5\)"):
        kernels.batch_norm_train(x, None, None, x, mean, mean, statistics.T.copy(), work, 1e-5, 0.1)
    with pytest.raises(ValueError, match="0 rows of 5 channels are out of range"):
        kernels.batch_norm_workspace(0, 5)


def test_shapes_that_do_not_go_together_are_told():
    def full(*shape, dtype=np.float32):
        return np.zeros(shape, dtype)

    one, images, bytes_ = [1.0] * 3, full(2, 4, 5, 3), full(2, 4, 5, 3, dtype=np.uint8)
    longs = full(2, 1, dtype=np.int64)
    for make, words in (
            (lambda: kernels.augment_batch(bytes_, images, one, one, None, None, longs[:1], full(1, 1)),
             r"operations must be a list for each of 2 images, not \(1, 1\)"),
            (lambda: kernels.augment_batch(bytes_, images, one, one, None, None, longs[:, 0], full(1, 1)),
             r"a list for each of 2 images, not \(2,\)"),
            (lambda: kernels.augment_batch(bytes_, images, one, one, None, None, longs, full(2, 2, dtype=float)),
             r"strengths must have shape \(2, 1\)"),
            (lambda: kernels.image_batch(bytes_, images, one, one, longs[:, 0], full(2, 2, dtype=np.int64)),
             r"moves must have shape \(2, 3\)"),
            (lambda: kernels.image_batch(bytes_[0], images, one, one), "must be images of one shape"),
            (lambda: kernels.image_batch(bytes_, images, one, one[:2]), "3 entries each, not 3 and 2"),
            (lambda: kernels.erase_batch(images, one, one, full(2, 4, dtype=np.int64), full(2, 1, dtype=np.uint64)),
             r"boxes must be \(n, count, 4\), not \(2, 4\)"),
            (lambda: kernels.erase_batch(images, one, one, full(2, 3, 4, dtype=np.int64), full(2, 4, dtype=np.uint64)),
             r"noise must have shape \(2, 3\)"),
            (lambda: kernels.mix_batch(images, images, longs[:, 0], full(3), full(2, 4, dtype=np.int64)),
             r"shares must have shape \(2,\)"),
            (lambda: kernels.mix_batch(images, images, longs[:, 0], full(2), full(2, 3, dtype=np.int64)),
             r"boxes must have shape \(2, 4\)"),
            (lambda: kernels.copy_channels(full(3, 4), full(2, 4)), "cannot copy 4 channels"),
            (lambda: kernels.copy_channels(full(3, 4), full(3, 2), x_start=3), "cannot copy 2 channels"),
            (lambda: kernels.copy_channels(full(3, 2), full(3, 4), y_start=3), "cannot copy 2 channels"),
            (lambda: kernels.copy_channels(full(3, 4), full(3, 2), x_start=-1), "from -1 to"),
            (lambda: kernels.copy_channels(full(3, 2), full(3, 4), y_start=-1), "at -1"),
            (lambda: kernels.copy(full(4, 3).T, full(3, 4)), "x must be C-contiguous"),
            (lambda: kernels.copy(full(3, 4), full(4, 3).T), "y must be C-contiguous"),
            (lambda: kernels.linear_forward(full(2, 3), full(4, 5), bytes_, full(2, 4), bytes_),
             r"x must have shape \(n, 5\), not \(2, 3\)"),
            (lambda: kernels.linear_forward(full(5, 2).T, full(4, 5), bytes_, full(2, 4), bytes_),
             "x must be C-contiguous"),
            (lambda: kernels.linear_forward(full(2, 5), full(5, 4).T, bytes_, full(2, 4), bytes_),
             "weight must be C-contiguous"),
            (lambda: kernels.linear_backward_weights(full(2, 5), full(2, 3), full(4, 5), None, bytes_),
             r"dy must have shape \(n, 4\), not \(2, 3\)"),
            (lambda: kernels.max_pool_forward(kernels.Windows((2, 2), (2, 2)), images, full(2, 2, 2, 4), None),
             r"pooling takes \(2, 4, 5, 3\) to \(n, oh, ow, c\), not to \(2, 2, 2, 4\)"),
            (lambda: kernels.average_pool_forward(kernels.Windows((2, 2), (2, 2)), True, images, full(1, 2, 2, 3)),
             "pooling takes"),
            (lambda: kernels.adaptive_average_pool_forward(images, full(2, 2, 2, 4)), r"not to \(2, 2, 2, 4\)"),
            (lambda: kernels.adaptive_average_pool_backward(full(1, 2, 2, 3), images), r"not to \(1, 2, 2, 3\)"),
            (lambda: kernels.adaptive_average_pool_forward(images, full(2, 2)), r"not to \(2, 2\)")):
        with pytest.raises(ValueError, match=words):
            make()
    assert [kernels.tap_dtype(kernel) for kernel in ((2, 2), (15, 17), (16, 16), (255, 257), (256, 256))] == [
        np.uint8, np.uint8, np.uint16, np.uint16, None]


def test_a_dense_layer_is_a_product(rng):
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 5), (4, 5), (4,)))
    before, dy = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal((3, 4)).astype(np.float32)
    sizes = kernels.linear_convolution(3, 5, 4)
    assert sizes == kernels.Convolution((3, 1, 1, 5), 4, (1, 1))
    work = kernels.aligned_empty((sizes.workspace(0, 1, 2),), np.uint8)
    packed = [kernels.packed_weights(sizes, which) for which in (kernels.FORWARD, kernels.BACKWARD_DATA)]
    for which, array in enumerate(packed):
        kernels.linear_pack(which, weight, array)()
    y, dx, dweight, dbias = np.empty_like(dy), np.empty_like(x), np.empty_like(weight), np.empty_like(bias)
    kernels.linear_forward(x, weight, packed[0], y, work)()
    np.testing.assert_allclose(y, x @ weight.T, rtol=1e-5, atol=1e-6)
    kernels.linear_forward(x, weight, packed[0], y, work, kernels.Finish(bias, before, "relu"))()
    np.testing.assert_allclose(y, np.maximum(x @ weight.T + bias + before, 0), rtol=1e-5, atol=1e-6)
    gate = np.maximum(rng.standard_normal((3, 5)), 0).astype(np.float32)
    kernels.linear_backward_data(dy, weight, packed[1], dx, work)()
    np.testing.assert_allclose(dx, dy @ weight, rtol=1e-5, atol=1e-6)
    kernels.linear_backward_data(dy, weight, packed[1], dx, work, kernels.Finish(activation="relu", gate=gate, add=x))()
    np.testing.assert_allclose(dx, (dy @ weight + x) * (gate > 0), rtol=1e-5, atol=1e-6)
    kernels.linear_backward_weights(x, dy, dweight, dbias, work)()
    np.testing.assert_allclose(dweight, dy.T @ x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dbias, dy.sum(axis=0), rtol=1e-5, atol=1e-6)


# One small case of what slow tests go through in all sizes.
ONE_OF_EACH = {"relu": lambda x: np.maximum(x, 0), "relu6": lambda x: x.clip(0, 6), "tanh": np.tanh,
               "leaky_relu": lambda x: np.where(x < 0, 0.25 * x, x), "silu": lambda x: x / (1 + np.exp(-x)),
               "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_activation_and_its_slope(name, rng):
    x, dy = (3 * rng.standard_normal(40)).astype(np.float32), rng.standard_normal(40).astype(np.float32)
    y, dx, f = np.empty_like(x), np.empty_like(x), ONE_OF_EACH[name]
    kernels.activation_forward(name, x, y, 0.25)()
    np.testing.assert_allclose(y, f(x.astype(float)), rtol=1e-5, atol=1e-6)
    kernels.activation_backward(name, x if name == "silu" else None, None if name == "silu" else y, dy, dx, 0.25)()
    slope = (f(x.astype(float) + 1e-6) - f(x.astype(float) - 1e-6)) / 2e-6
    np.testing.assert_allclose(dx, dy * slope, rtol=1e-4, atol=1e-5)


def test_a_softmax_and_its_gradient(rng):
    x, dy = (rng.standard_normal((2, 3, 5)).astype(np.float32) for _ in range(2))
    y, dx = np.empty_like(x), np.empty_like(x)
    kernels.softmax_forward(x, y)()
    expected = np.exp(x.astype(float)) / np.exp(x.astype(float)).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    kernels.softmax_backward(y, dy, dx)()
    np.testing.assert_allclose(dx, expected * (dy - (dy * expected).sum(axis=-1, keepdims=True)), rtol=1e-4, atol=1e-6)


def test_a_batch_norm_with_given_statistics_and_its_gradients(rng):
    x, dy, before = (rng.standard_normal((2, 3, 5)).astype(np.float32) for _ in range(3))
    weight, bias, mean = (rng.standard_normal(5).astype(np.float32) for _ in range(3))
    var = (0.5 + rng.random(5)).astype(np.float32)
    work, statistics = kernels.aligned_empty((kernels.batch_norm_workspace(6, 5),), np.uint8), np.zeros((2, 5))
    y, dx, dadd, dweight, dbias = (np.empty_like(array) for array in (x, x, x, weight, bias))
    kernels.batch_norm_infer(x, weight, bias, mean, var, y, work, 1e-3, before, "relu", statistics)()
    normal = (x.astype(float) - mean) / np.sqrt(var + 1e-3)
    expected = np.maximum(normal * weight + bias + before, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    kernels.batch_norm_backward(x, weight, bias, dy, statistics, dx, dweight, dbias, work, y, "relu", dadd, True)()
    through = dy * (expected > 0)
    np.testing.assert_allclose(dadd, through, rtol=1e-6)
    np.testing.assert_allclose(dx, through * weight / np.sqrt(var + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dweight, (through * normal).sum(axis=(0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dbias, through.sum(axis=(0, 1)), rtol=1e-4, atol=1e-5)


def test_a_convolution_that_finishes_and_pools_what_it_stores(rng):
    sizes = kernels.Convolution((2, 4, 6, 16), 16, (3, 3), padding=(1, 1, 1, 1))
    assert sizes.pools or kernels.active_isa() == "reference"
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in (sizes.x_shape, sizes.weight_shape))
    bias, packed = rng.standard_normal(16).astype(np.float32), kernels.packed_weights(sizes, kernels.FORWARD)
    work = kernels.aligned_empty((sizes.workspace(kernels.FORWARD),), np.uint8)
    kernels.conv2d_pack(sizes, kernels.FORWARD, weight, packed)()
    wide = np.pad(x.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    whole = sum(wide[:, i : i + 4, j : j + 6] @ weight[:, :, i, j].T for i in range(3) for j in range(3)) + bias
    finish = kernels.Finish(bias, None, "relu6", pooled=True, taps=np.empty((2, 2, 3, 16), np.uint8))
    assert finish.shape(sizes) == (2, 2, 3, 16)
    assert kernels.Finish().shape(sizes) == (2, 4, 6, 16)
    y = np.empty((2, 2, 3, 16), np.float32)
    kernels.conv2d_forward(sizes, x, weight, packed, y, work, finish)()
    windows = whole.reshape(2, 2, 2, 3, 2, 16).transpose(0, 1, 3, 5, 2, 4).reshape(2, 2, 3, 16, 4)
    np.testing.assert_allclose(y, windows.max(axis=-1).clip(0, 6), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(finish.taps, windows.argmax(axis=-1))
    with pytest.raises(ValueError, match=r"y must have shape \(2, 2, 3, 16\)"):
        kernels.conv2d_forward(sizes, x, weight, packed, np.empty_like(x), work, finish)
    for wrong, words in (({"bias": bias[:-1]}, "bias must have shape"), ({"add": y}, "add must have shape"),
                         ({"gate": y}, "gate must have shape"), ({"taps": finish.taps}, "taps must have shape")):
        with pytest.raises(ValueError, match=words):
            kernels.conv2d_forward(sizes, x, weight, packed, np.empty_like(x), work, kernels.Finish(**wrong))
