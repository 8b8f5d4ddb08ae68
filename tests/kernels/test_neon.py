"""The vectors of AArch64 against the plain loops, on a machine that is none: against_reference.c beside this file,
with csrc/ for AArch64, under QEMU's user emulation. Skipped where the cross compiler or QEMU is missing."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
# As build.py has them, but for the optimiser: compiling is most of this test's time.
FLAGS = ["-std=gnu11", "-O1", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-static", "-pthread",
         "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unused-function"]  # fmt: skip


@pytest.mark.skipif(platform.machine() == "aarch64", reason="the other tests run on AArch64 itself")
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"{COMPILER} is not installed")
@pytest.mark.skipif(shutil.which(EMULATOR) is None, reason=f"{EMULATOR} is not installed")
def test_vectors_agree_with_the_plain_loops(tmp_path):
    sources = [p for p in sorted((ROOT / "csrc").glob("*.c")) if not p.name.endswith("_tmpl.c")]
    program = tmp_path / "against_reference"
    built = subprocess.run([COMPILER, *FLAGS, "-I", ROOT / "csrc", Path(__file__).with_name("against_reference.c"),
                            *sources, "-lm", "-o", program], capture_output=True, text=True, check=False)  # fmt: skip
    assert built.returncode == 0, built.stderr
    done = subprocess.run([EMULATOR, program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout
