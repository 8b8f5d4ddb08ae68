"""csrc/threads.c seen from outside: forks, more threads than cores, callers at once, threads that the system refuses,
and what importing and running must leave as it was. Each runs in a process of its own, because what is tested
belongs to the process; threads_stress.c drives the pool from C."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli import kernels
from cnncli.errors import UsageError

ROOT = Path(__file__).parents[2]

# work() is a parallel region (13 chunks) and returns its result; EXPECTED is what one thread gets.
PRELUDE = """
import os, resource, signal, sys, threading, time
import numpy as np
X = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
def tasks():
    return len(os.listdir('/proc/self/task'))
def work():
    y = np.empty_like(X)
    kernels.activation_forward('silu', X, y)()
    return y
"""
SETTLED = PRELUDE + "from cnncli import kernels; kernels.set_threads(1); EXPECTED = work(); kernels.set_threads(4)\n"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def run(body: str, prelude: str = SETTLED, seconds: float = 30) -> str:
    """Run a piece of Python in a process of its own and return what it printed; fails where it does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", prelude + body], env=environment, timeout=seconds,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@linux
def test_a_fork_after_a_parallel_region_gets_threads_of_its_own():
    run("""
work()
assert tasks() == 4, tasks()
child = os.fork()
if child == 0:
    signal.alarm(5)
    right = tasks() == 1 and np.array_equal(work(), EXPECTED) and tasks() == 4
    os._exit(0 if right else 1)
assert os.waitpid(child, 0)[1] == 0
assert np.array_equal(work(), EXPECTED)
""")


@pytest.mark.slow
def test_forks_while_other_threads_compute():
    run("""
stop = False
def busy():
    while not stop: work()
callers = [threading.Thread(target=busy) for _ in range(2)]
[c.start() for c in callers]
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os._exit(0 if np.array_equal(work(), EXPECTED) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
[c.join() for c in callers]
""")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method, tmp_path):
    # spawn imports the main module again, so that this has to be a file
    program = tmp_path / "program.py"
    program.write_text(SETTLED + f"""
import multiprocessing
def job(_): return work().tobytes()
if __name__ == '__main__':
    work()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map_async(job, range(4)).get(20) == [EXPECTED.tobytes()] * 4
""")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "ignore", program], env=environment, timeout=60, check=True)


def test_results_are_the_same_bits_on_any_number_of_threads_also_far_more_than_cores():
    run("""
for count in (2, 3, 16, 256, 1):
    kernels.set_threads(count)
    for _ in range(5):
        assert np.array_equal(work(), EXPECTED), count
""")


def test_callers_from_several_python_threads_at_once():
    run("""
wrong = []
def caller():
    for _ in range(50):
        if not np.array_equal(work(), EXPECTED): wrong.append(1)
callers = [threading.Thread(target=caller) for _ in range(6)]
[c.start() for c in callers]
for count in (1, 5, 2, 8) * 5:
    kernels.set_threads(count)
    time.sleep(0.002)
[c.join() for c in callers]
assert not wrong
""")


@linux
def test_threads_that_the_system_refuses_are_done_without():
    run("""
kernels.set_threads(1)
pages = int(open('/proc/self/statm').read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf('SC_PAGESIZE') + (8 << 20), -1))
before = tasks()
kernels.set_threads(200)
assert np.array_equal(work(), EXPECTED)
assert np.array_equal(work(), EXPECTED)
assert before <= tasks() < 200, tasks()
""")


@linux
def test_importing_starts_no_thread():
    assert run("before = tasks(); from cnncli import kernels; print(tasks() - before)", PRELUDE) == "0"


@linux
def test_workers_take_no_signals():
    run("""
work()
def masks():
    return {int(task): int(line.split()[1], 16) for task in os.listdir('/proc/self/task')
            for line in open(f'/proc/self/task/{task}/status') if line.startswith('SigBlk')}
for _ in range(100):  # a new thread has every signal blocked until it first runs, which may take a while
    blocked = masks()
    if not any(mask >> (signal.SIGSEGV - 1) & 1 for mask in blocked.values()): break
    time.sleep(0.05)
assert len(blocked) == 4
for task, mask in blocked.items():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGPROF):
        assert bool(mask >> (number - 1) & 1) == (task != os.getpid()), (task, number)
    assert not mask >> (signal.SIGSEGV - 1) & 1
""")


def test_the_callers_floating_point_state_is_its_own():
    run("""
tiny = np.full(64, -1e-39, np.float32)
def denormals_live(): return (tiny * np.float32(0.5) != 0).all()
assert denormals_live()
from cnncli import kernels
assert denormals_live()
for count in (1, 4):
    kernels.set_threads(count)
    work()
    assert denormals_live(), count
    y = np.ones(100_000, np.float32)
    kernels.activation_forward('silu', np.full_like(y, -1e-39), y)()
    assert (y == 0).all(), 'kernels flush denormals'
assert denormals_live()
""", PRELUDE)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of the rounding modes are x86's")
def test_the_callers_rounding_mode_neither_matters_nor_changes():
    run("""
import ctypes, ctypes.util
libm = ctypes.CDLL(ctypes.util.find_library('m') or 'libm.so.6')
UPWARD = 0x800
for count in (1, 4):
    kernels.set_threads(count)
    libm.fesetround(UPWARD)
    again = work()
    mode = libm.fegetround()
    libm.fesetround(0)
    assert mode == UPWARD
    if kernels.door.active_isa() != 'reference':
        assert np.array_equal(again, EXPECTED), count
""")


@pytest.mark.slow
def test_importing_leaves_signals_and_the_start_method_alone():
    run("""
import multiprocessing, pkgutil, importlib
before = {s: signal.getsignal(s) for s in signal.valid_signals()}
umask, folder = os.umask(0o22), os.getcwd()
import cnncli
for module in pkgutil.walk_packages(cnncli.__path__, 'cnncli.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
assert before == {s: signal.getsignal(s) for s in signal.valid_signals()}
assert multiprocessing.get_start_method(allow_none=True) is None
assert (os.umask(umask), os.getcwd()) == (0o22, folder)
""", PRELUDE)


@pytest.mark.parametrize("count", [0, -1, 257])
def test_thread_counts_out_of_range_are_refused(count):
    before = kernels.threads()
    with pytest.raises(UsageError, match="1 to 256"):
        kernels.set_threads(count)
    assert kernels.threads() == before


@pytest.mark.slow
def test_stress_from_c(tmp_path):
    compiler = os.environ.get("CC", "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler")
    sources = [ROOT / "tests/kernels/threads_stress.c", ROOT / "csrc/threads.c", ROOT / "csrc/isa.c"]
    program = tmp_path / "stress"
    subprocess.run([*compiler, "-O1", "-std=gnu11", "-I", ROOT / "csrc", *sources, "-pthread", "-lm", "-o", program],
                   check=True)  # fmt: skip
    done = subprocess.run([program, "2000", "40"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n")
