"""csrc/peak.c: what benchmarks compare with must count what it does, in proportion to what is asked for."""

import pytest

from cnncli import kernels


def test_counts_its_operations(isa, threads):
    few = kernels.multiply_adds(8)
    assert few >= 8 * 256 * 2 * threads
    assert kernels.multiply_adds(80) == 10 * few


@pytest.mark.parametrize("rounds", [0, -1, 2**62])
def test_refuses_what_makes_no_sense(rounds):
    with pytest.raises(ValueError, match="cnn_peak refused"):
        kernels.multiply_adds(rounds)
