"""The guard around kernels' outputs: it notices every write, that of a sum with zero included."""

import numpy as np
import pytest

from cnncli import kernels

from .guard import FENCE, Guarded


@pytest.mark.parametrize("place", [0, FENCE - 1, FENCE + 5, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("write", [lambda a: a + 0, lambda a: a * 1, lambda a: 0, lambda a: 99, lambda a: np.nan])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_written_guard_is_noticed(write, dtype, place):
    guarded = Guarded((5,), dtype)
    guarded.a[...] = 1
    guarded.check()
    guarded.whole[place : place + 1 or None] = write(guarded.whole[place : place + 1 or None])
    with pytest.raises(AssertionError, match="wrote outside"):
        guarded.check()


@pytest.mark.parametrize("fence", [FENCE, 13])
def test_a_kernel_that_adds_nothing_is_noticed(isa, fence):
    guarded = Guarded((40,), fence=fence)
    kernels.add(guarded.whole, np.zeros_like(guarded.whole), guarded.whole)()
    with pytest.raises(AssertionError, match="wrote outside"):
        guarded.check()


def test_an_output_that_is_added_to_is_noticed():
    assert np.isnan(Guarded((3, 2)).a).all()
    assert Guarded((3,), np.uint8).a.tobytes() == bytes([0xA5, 0xA5, 0xA5])
