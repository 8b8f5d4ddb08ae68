"""Fixtures that every test may use: each instruction set of this machine, each number of threads, a generator."""

from collections.abc import Iterator

import numpy as np
import pytest

from cnncli import kernels


@pytest.fixture(params=kernels.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once with each instruction set that this machine has, the plain-loop reference among them."""
    with kernels.use_isa(request.param):
        yield request.param


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run the test with one thread and with more threads than cores."""
    before = kernels.threads()
    kernels.set_threads(request.param)
    yield request.param
    kernels.set_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
