"""What only tests of kernels ask for: the instruction sets as kernels over bfloat16 tell them apart."""

from collections.abc import Iterator

import pytest

from cnncli import kernels

from ..conftest import variant


@pytest.fixture(params=[*map(variant, kernels.isas()), pytest.param("avx512-plain", marks=pytest.mark.other_isa)])
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set as it is, then AVX-512 without the CPU's own rounding to bfloat16."""
    plain = request.param == "avx512-plain"
    if plain and "bf16" not in kernels.words():
        pytest.skip("this CPU has no words for bfloat16 that could be taken away")
    words = [] if plain else kernels.words()
    with kernels.use_isa("avx512" if plain else request.param), kernels.use_words(*words):
        yield request.param
