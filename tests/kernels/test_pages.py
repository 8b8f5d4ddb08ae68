"""Guard pages (pages.py): they notice a single value too many, and no kernel touches them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Kernels that take no arrays, or are taken by functions of Python alone.
OUTSIDE = {"cnn_peak"}
QUICK = ("augment", "bf16_dense", "bf16_depthwise", "bf16_elementwise", "bf16_first", "bf16_norm", "bf16_pool",
         "bf16_tiles", "bf16_winograd", "conv", "conv_first", "conv_pooled", "depthwise", "image", "int8", "int8_conv",
         "int8_depthwise", "int8_pool", "int8_tiles", "loss", "optim", "pointwise", "pool", "winograd",
         "winograd_wide")
SLOW = ("norm", "elementwise")  # where some kernels have no quick test
# What a kernel sees of 40 floats, read by somebody who is wrong by so many bytes about where they are.
OVERRUN = """
import ctypes
import numpy as np
from tests.kernels.pages import PAGES
from cnncli import kernels
from cnncli.kernels import door
PAGES.stand_in()
x = np.arange(40, dtype=np.float32)
call = kernels.add(x, x, x)
call()
seen = next(a for a in call.arguments if isinstance(a, door.ffi.CData))
print(x[39], flush=True)
ctypes.string_at(int(door.ffi.cast("uintptr_t", seen)) + {shift}, 160)
"""


def run(*arguments: str, mode: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CNN_PAGES": mode}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
                          timeout=1500, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "shift", "code"), [
    ("end", 0, 0), ("end", 4, -signal.SIGSEGV), ("start", 0, 0), ("start", -4, -signal.SIGSEGV)])
def test_one_value_too_many_is_noticed(mode: str, shift: int, code: int) -> None:
    done = run("-c", OVERRUN.format(shift=shift), mode=mode)
    assert (done.stdout, done.returncode) == ("78.0\n", code), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["end", "start"])
def test_no_kernel_touches_them(mode: str) -> None:
    """The kernels' own quick tests, and those that only slow ones have, on this machine's instruction set; `make
    sanitize` has all of them."""
    ran = set()
    for which, names in (("not slow", (*QUICK, *SLOW)), ("slow", SLOW)):
        files = [f"tests/kernels/test_{name}.py" for name in names]
        done = run("-X", "faulthandler", "-m", "pytest", "-q", "-p", "tests.kernels.pages", "-p", "no:xdist",
                   "-p", "no:cacheprovider", "-m", f"{which} and not other_isa and not alone", *files, mode=mode)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        ran |= set(re.findall(r"cnn_\w+", done.stdout.split("between pages:")[1]))
    sources = "".join(path.read_text() for path in (ROOT / "cnncli" / "kernels").glob("*.py"))
    called = re.findall(r'Call\((?:convolution\.either\()?\s*"(cnn_\w+)"(?:,\s*"(cnn_bf16_\w+)")?', sources)
    assert {name for names in called for name in names} - {""} - OUTSIDE - ran == set()
