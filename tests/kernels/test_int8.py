"""csrc/int8.c: floats to bytes and back, sums, tables and order, on every instruction set, exactly as NumPy has them;
and the words that some CPUs have beyond their instruction set."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli._kernels import lib
from cnncli.errors import UsageError

from .guard import Guarded

COUNTS = [1, 7, 16, 33, 255, 70000]  # a part of a vector, several, and more than one thread's piece


def quantised(x, scale, zero):
    with np.errstate(invalid="ignore", over="ignore"):
        real = np.rint(x * (1 / np.float32(scale))) + np.float32(zero)
    return np.where(np.isnan(real), 0, np.clip(real, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("zero", [0, 128, 255])
@pytest.mark.parametrize("count", COUNTS)
def test_floats_become_the_nearest_bytes(count, zero, isa, rng):
    x = (rng.standard_normal(count) * 4).astype(np.float32)
    y = Guarded((count,), np.uint8, fence=61)
    kernels.int8_quantise(x, 0.03, zero, y.a)()
    assert np.array_equal(y.check(), quantised(x, 0.03, zero))


@pytest.mark.parametrize("zero", [0, 1, 100, 255])
def test_halves_infinities_and_what_is_no_number(zero, isa):
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, np.inf, -np.inf, np.nan, -np.nan, 3e38, -3e38, 1e10, -1e10, 0.0,
                  -0.0, 1e-45, 127.5, 128.5, -127.5, np.nan], np.float32)  # fmt: skip
    for first in range(len(x)):
        y = Guarded((len(x) - first,), np.uint8)
        kernels.int8_quantise(x[first:].copy(), 1.0, zero, y.a)()
        assert np.array_equal(y.check(), quantised(x[first:], 1.0, zero))
        assert (y.a[np.isnan(x[first:])] == 0).all()


@pytest.mark.parametrize("zero", [0, 17, 255])
@pytest.mark.parametrize("count", COUNTS)
def test_bytes_become_floats(count, zero, isa, rng):
    x = rng.integers(0, 256, count, dtype=np.uint8)
    y = Guarded((count,), fence=13)
    kernels.int8_dequantise(x, 0.037, zero, y.a)()
    assert np.array_equal(y.check(), (x.astype(np.int32) - zero).astype(np.float32) * np.float32(0.037))


def test_every_byte_comes_back(isa):
    x, y, real = np.arange(256, dtype=np.uint8), np.empty(256, np.uint8), np.empty(256, np.float32)
    kernels.int8_dequantise(x, 0.1, 77, real)()
    kernels.int8_quantise(real, 0.1, 77, y)()
    assert np.array_equal(x, y)


def added(total, a, b):
    parts = (a.astype(np.int64) - total.a_zero) * total.a_multiplier
    parts += (b.astype(np.int64) - total.b_zero) * total.b_multiplier
    return np.clip((parts + 2048 >> 12) + total.zero, total.least, total.most).astype(np.uint8)


@pytest.mark.parametrize("total", [
    kernels.Sum(3, 4096, 250, 4096, 10), kernels.Sum(128, 1777, 90, 5001, 128, 20, 230), kernels.Sum(0, 0, 0, 0, 5),
    kernels.Sum(0, 1048575, 255, 1048575, 0), kernels.Sum(0, -1048575, 0, -1048575, 255),
    kernels.Sum(7, 2048, 7, -2048, 100), kernels.Sum(0, 4096, 0, 4096, 0, 77, 77),
], ids=str)
def test_sums_are_rounded_once(total, isa, rng):
    for count in COUNTS:
        a, b = rng.integers(0, 256, (2, count), dtype=np.uint8)
        y = Guarded((count,), np.uint8, fence=61)
        kernels.int8_add(total, a, b, y.a)()
        assert np.array_equal(y.check(), added(total, a, b))
        kernels.int8_add(total, a, b, b)()
        assert np.array_equal(b, y.a), "y may be one of the two"


def test_the_sum_of_any_two_bytes(isa):
    a, b = (np.ascontiguousarray(each) for each in np.mgrid[:256, :256].astype(np.uint8))
    total, y = kernels.Sum(100, 3333, 31, 2049, 60), np.empty((256, 256), np.uint8)
    kernels.int8_add(total, a, b, y)()
    assert np.array_equal(y, added(total, a, b))


@pytest.mark.parametrize("looked_up", [False, True])
def test_columns_are_copied_or_looked_up(looked_up, isa, rng):
    table = rng.integers(0, 256, 256, dtype=np.uint8) if looked_up else None
    for rows, width, to, first in ((1, 1, 1, 0), (5, 3, 8, 5), (300, 250, 700, 449), (2, 70000, 70001, 1)):
        x, y = rng.integers(0, 256, (rows, width), dtype=np.uint8), Guarded((rows, to), np.uint8)
        y.a[...] = 9
        expected = y.a.copy()
        expected[:, first : first + width] = x if table is None else table[x]
        kernels.int8_columns(x, table, y.a, first)()
        assert np.array_equal(y.check(), expected)


@pytest.mark.parametrize(("first", "rows"), [(-1, 4), (6, 4), (0, 3)])
def test_columns_that_do_not_fit_are_refused(first, rows):
    with pytest.raises(ValueError, match="do not fit"):
        kernels.int8_columns(np.zeros((4, 3), np.uint8), None, np.zeros((rows, 8), np.uint8), first)


def test_order_becomes_pytorchs(isa, rng):
    for shape in ((1, 1, 1, 1), (3, 4, 5, 7), (2, 1, 9, 16)):
        x = rng.integers(0, 256, shape, dtype=np.uint8)
        y = Guarded((shape[0], x[0].size), np.uint8)
        kernels.int8_flatten(x, y.a)()
        assert np.array_equal(y.check(), x.transpose(0, 3, 1, 2).reshape(shape[0], -1))


def test_the_same_bytes_on_any_threads(threads, isa, rng):
    x = rng.standard_normal(300000).astype(np.float32)
    y = np.empty(x.shape, np.uint8)
    kernels.int8_quantise(x, 0.02, 99, y)()
    assert np.array_equal(y, quantised(x, 0.02, 99))


# ---- words ----

SUPPORTED = kernels.words() if kernels.active_isa() == "avx512" else frozenset()
OF_AVX2 = {"avx_vnni"}


def test_words_are_those_of_their_instruction_set_alone(isa):
    if isa == "avx2":  # of which processors without AVX-512 have some
        assert kernels.words() <= OF_AVX2
    else:
        assert kernels.words() == (SUPPORTED if isa == "avx512" else frozenset())
    assert kernels.words().isdisjoint(OF_AVX2) or isa == "avx2"


def test_what_stands_in_for_avx_vnni_is_avx2s_alone(isa):
    with kernels.use_words("avx_vnni_plain"):
        assert kernels.words() == ({"avx_vnni_plain"} if isa == "avx2" else frozenset())


@pytest.mark.skipif("avx2" not in kernels.isas(), reason="this CPU has no AVX2")
def test_words_of_one_instruction_set_come_back_in_another():
    with kernels.use_words("avx_vnni_plain"):
        with kernels.use_isa("baseline"), kernels.use_words():
            pass
        with kernels.use_isa("avx2"):
            assert kernels.words() == {"avx_vnni_plain"}


def avx_vnni_is_here():
    """What Linux says of the CPU."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as said:
            return "avx_vnni" in said.read().split()
    except OSError:
        return None


@pytest.mark.linux
@pytest.mark.skipif("avx2" not in kernels.isas(), reason="this CPU has no AVX2")
def test_avx_vnni_is_there_where_the_system_says_so():
    with kernels.use_isa("avx2"):
        assert ("avx_vnni" in kernels.words()) == avx_vnni_is_here()


@pytest.mark.skipif(not SUPPORTED, reason="this CPU has no words beyond its instruction sets")
def test_words_are_taken_away_and_come_back():
    with kernels.use_words():
        assert kernels.words() == frozenset()
        with kernels.use_words(*SUPPORTED):
            assert kernels.words() == SUPPORTED
        assert kernels.words() == frozenset()
    with kernels.use_isa("baseline"), kernels.use_words():
        assert kernels.words() == frozenset()
    assert kernels.words() == SUPPORTED


def test_a_word_that_this_cpu_lacks_is_refused(monkeypatch):
    monkeypatch.setitem(kernels.door._WORDS, "another", 1 << 20)
    before = lib.cnn_words_active()
    with pytest.raises(UsageError, match="lacks one of another"), kernels.use_words("another"):
        pass
    assert lib.cnn_words_set(-1) == lib.CNN_NO_ISA
    assert lib.cnn_words_active() == before
