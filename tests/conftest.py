"""What every test may use: each instruction set of this machine, each number of threads, a generator. And what is
asked of all of them: that the extension is the one that csrc/ describes, that a test marked ``alone`` has the machine
for itself, and that the mark ``slow`` is true (which is told, and fails nothing)."""

import errno
import fcntl
import os
import runpy
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import _kernels

ROOT = Path(__file__).parent.parent
# A test is slow from so many seconds of processor time on, of all its variants together, its child processes' included
# and its fixtures' not. Time on the clock would depend on what else the machine does.
SLOW = 0.2


# What tests write is in memory where there is room for it: the trainings among them wait for the disk after each epoch.
MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30


def _in_memory() -> bool:
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH


if "TMPDIR" not in os.environ and _in_memory():
    os.environ["TMPDIR"] = str(MEMORY)  # child processes, too
    tempfile.tempdir = None


def _built_from_here() -> bool:
    """Return whether the extension was built from the csrc/ beside these tests; without csrc/, nobody can say no."""
    if not (ROOT / "csrc").is_dir():
        return True
    if not hasattr(_kernels.lib, "cnn_built_from"):
        return False
    built_from: bytes = _kernels.ffi.string(_kernels.lib.cnn_built_from)
    return built_from.decode() == runpy.run_path(str(ROOT / "build.py"))["digest"](ROOT)


if not _built_from_here():
    sys.exit(f"{_kernels.__file__} was built from another csrc/ or build.py than lie here: run 'make' (in an "
             "environment of your own: 'python setup.py build_ext --inplace').")  # fmt: skip

from cnncli import kernels  # noqa: E402  (an old extension may lack what this asks of it)

if "PYTEST_XDIST_WORKER" in os.environ:
    kernels.set_threads(1)  # there is a process for each core: their threads would only get in each other's way


def variant(isa: str) -> Any:
    """Return an instruction set as a fixture's parameter; marked where programs on this machine would take another."""
    return pytest.param(isa, marks=[] if isa == kernels.active_isa() else [pytest.mark.other_isa])


@pytest.fixture(params=map(variant, kernels.isas()))
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


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Give the test a folder one level further down. pytest calls a test's folder "test_…", which reads as a part of a
    data folder: class folders that a failing test left right in it would make the folder of all tests a data folder, in
    which later tests may write nothing."""
    inside = tmp_path / "here"
    inside.mkdir()
    return inside


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, begin with the slow ones, so that no process waits long for the last of
    another; and end with those marked ``alone``, for which nobody then keeps a process waiting. Leave out what only
    Linux can do on other systems."""
    if not sys.platform.startswith("linux"):
        for item in (item for item in items if item.get_closest_marker("linux")):
            item.add_marker(pytest.mark.skip(reason="needs Linux: /proc, or limits of memory"))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: 2 if item.get_closest_marker("alone") else not item.get_closest_marker("slow"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test marked ``alone`` while no other process of this run tests anything. Who waits for that holds the door,
    so that nobody overtakes."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return (yield)
    paths = (Path(tempfile.gettempdir(), f"cnn-tests-{run}-{name}") for name in ("door", "room"))
    with next(paths).open("w") as door, next(paths).open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        return (yield)


def _processor_seconds() -> float:
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    began = _processor_seconds()
    try:
        yield
    except OSError as error:
        if sys.platform == "darwin" and error.errno == errno.EILSEQ:
            pytest.skip("file names that are no UTF-8 cannot be made on this system")
        raise
    item.user_properties.append(("processor_seconds", _processor_seconds() - began))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which marks are not true: a test without ``slow`` that took long, one with it that took no time."""
    seconds: Counter[str] = Counter()
    marked = set()
    for report in terminalreporter.getreports("passed"):
        test = report.nodeid.partition("[")[0]
        seconds[test] += dict(report.user_properties).get("processor_seconds", 0)
        if "slow" in report.keywords:
            marked.add(test)
    for test, took in seconds.most_common():
        if (took > 4 * SLOW and test not in marked) or (took < SLOW / 10 and test in marked):
            known = "marked slow" if test in marked else "not marked slow"
            terminalreporter.write_line(f"{test} is {known} and took {took:.1f} s of processor time")
