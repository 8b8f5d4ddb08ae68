"""Memory that is refused, at the first request, at the second, and so on until none is refused (as SQLite's tests do):
in the kernels a MemoryError, after which the same call gives the same bits; in a command a sentence. And sizes whose
products no longer fit into 31 or 63 bits: right, or refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import CnnError
from cnncli.network import Network

from .processes import PATIENCE, ROOT

STEP = """
import ctypes, os, sys
import numpy as np
from cnncli import kernels
from cnncli.architectures import architecture
from cnncli.loss import CrossEntropy
from cnncli.optim import optimiser_by_name
from cnncli.training.trainer import Trainer
shim = ctypes.CDLL(None)
shim.failing_malloc_at.argtypes = ctypes.c_long, ctypes.c_size_t
kernels.set_threads(int(sys.argv[2]))
rng = np.random.default_rng(0)
images, labels = rng.standard_normal((6, 32, 32, 3)).astype(np.float32), np.arange(6) % 3
def make():
    network = architecture(sys.argv[1], (32, 32, 3), 3)
    trainer = Trainer(network, optimiser_by_name("sgd", lr=0.1), CrossEntropy())
    return lambda: trainer.step(images, labels, None)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, make()().hex().encode())
    os._exit(0)
os.wait()
expected, refused = float.fromhex(os.read(reading, 100).decode()), 0
for n in range(1, 400):
    child = os.fork()  # none of the scratch memory that a step leaves behind
    if child == 0:
        step, code = make(), 3
        shim.failing_malloc_at(n, 4096)
        try:
            first = step()
            code = 2 if not shim.failing_malloc_failed() else 4
        except MemoryError:
            shim.failing_malloc_at(0, 0)
            code = 0 if make()() == expected else 5
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 2), (n, code)
    if code == 2:
        break
    refused += 1
print(refused)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared library of failing_malloc.c."""
    compiler = os.environ.get("CC", "cc").split()
    if not sys.platform.startswith("linux") or shutil.which(compiler[0]) is None:
        pytest.skip("no C compiler, or no LD_PRELOAD")
    library = tmp_path_factory.mktemp("shim") / "failing_malloc.so"
    subprocess.run([*compiler, "-O1", "-shared", "-fPIC", Path(__file__).with_name("failing_malloc.c"), "-o", library,
                    "-ldl"], check=True)
    return library


def preloaded(shim: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-W", "ignore", "-c", *arguments], env=environment, text=True,
                          capture_output=True, timeout=2 * PATIENCE, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_step_whose_memory_is_refused_raises_and_can_be_made_again(shim: Path, threads: str) -> None:
    done = preloaded(shim, STEP, "resnet8", threads)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3


COMMAND = """
import ctypes, sys
from cnncli.cli import main
import cnncli.model, cnncli.model.checkpoint, cnncli.data.preprocessing, cnncli.report.predictions
shim = ctypes.CDLL(None)
shim.failing_malloc_at.argtypes = ctypes.c_long, ctypes.c_size_t
shim.failing_malloc_at(int(sys.argv[1]), 16384)
code = main(["predict", "photos/stripe/s 0.png", "photos/stripe/s 1.png"])
print(shim.failing_malloc_failed(), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
def test_a_command_whose_memory_is_refused_says_so(home: Path, shim: Path) -> None:
    for n in range(1, 200, 1 if os.environ.get("CNN_FAULTS") else 7):  # make faults sets it
        done = preloaded(shim, COMMAND, str(n))
        assert "Traceback" not in done.stderr, (n, done.stderr)
        assert "an error of the program itself" not in done.stderr, (n, done.stderr)
        assert done.returncode in (0, 1, 3, 4), (n, done.returncode, done.stderr)
        if done.stderr.endswith("0\n"):
            assert done.returncode == 0
            break
        assert done.returncode == 0 or "memory" in done.stderr, (n, done.stderr)
    assert 1 < n < 197


def test_products_beyond_63_bits_are_refused_before_memory_is_taken() -> None:
    """The sizes of arrays are multiplied as Python's numbers, which have no end; C is asked only then."""
    for shape in ((2**31, 2**31, 4), (2**21, 2**21, 2**21), (2**62,), (3, 2**61)):
        with pytest.raises(MemoryError, match="bytes"):
            kernels.aligned_empty(shape)
    for layers in ([{"type": "Linear", "out_features": 2**40}], [{"type": "Conv2d", "out_channels": 2**31 - 1,
                                                                  "kernel_size": 3}],
                   [{"type": "Flatten"}, {"type": "Linear", "out_features": 2**62}]):
        with pytest.raises((CnnError, MemoryError)):
            Network(layers, (2**10, 2**10, 3), None)


@pytest.mark.slow
@pytest.mark.alone
def test_images_of_more_than_2_to_the_31_bytes_are_counted_right() -> None:
    """Pages of zeros that are only read take no memory."""
    images, histogram = np.zeros((1, 2**16, 2**15 + 1, 1), np.uint8), np.zeros((1, 256), np.int64)
    images[0, -1, -1] = 9
    images[0, 2**15, 0] = 200
    kernels.image_histogram(images, histogram)()
    assert histogram.nonzero()[1].tolist() == [0, 9, 200]
    assert histogram.sum() == 2**31 + 2**16
    assert histogram[0, [9, 200]].tolist() == [1, 1]
