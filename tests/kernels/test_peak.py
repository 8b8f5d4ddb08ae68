"""csrc/peak.c: what benchmarks compare with must count what it does, in proportion to what is asked for."""

from cnncli._kernels import ffi, lib


def test_counts_its_operations(isa, threads):
    flops = ffi.new("double *")
    assert lib.cnn_peak(8, flops) == lib.CNN_OK
    few = flops[0]
    assert few >= 8 * 256 * 2 * threads
    assert lib.cnn_peak(80, flops) == lib.CNN_OK
    assert flops[0] == 10 * few


def test_refuses_what_makes_no_sense():
    flops = ffi.new("double *")
    for rounds in (0, -1, 2**62):
        assert lib.cnn_peak(rounds, flops) == lib.CNN_INVALID
