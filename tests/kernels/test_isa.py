"""CNN_ISA and CNN_THREADS as a user meets them: through the command line, in a process of its own. What each
instruction set computes is tested with each kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli import kernels
from cnncli._kernels import lib
from cnncli.errors import UsageError

ROOT = Path(__file__).parents[2]
HERE = kernels.isas()


def cnn(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, "-m", "cnncli", *arguments], env=environment, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("variable", "value", "remedy"), [
    ("CNN_ISA", "mmx", f"give one of {', '.join(HERE)}, which this machine "),
    ("CNN_ISA", "AVX2 ", "which this machine runs"),
    ("CNN_THREADS", "0", "give a number from 1 to 256"), ("CNN_THREADS", "100000000000000000000", "1 to 256"),
    ("CNN_THREADS", "-1", "1 to 256"), ("CNN_THREADS", "two", "1 to 256"), ("CNN_THREADS", "1.5", "1 to 256"),
])  # fmt: skip
def test_nonsense_is_one_sentence_that_names_variable_and_remedy(variable, value, remedy, tmp_path):
    done = cnn("predict", str(tmp_path), **{variable: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("cnn: ")
    assert variable in done.stderr
    assert value.strip() in done.stderr
    assert remedy in done.stderr


@pytest.mark.parametrize("name", sorted({"avx2", "avx512"} - set(HERE)) or [None])
def test_an_instruction_set_that_this_cpu_lacks_is_refused(name, tmp_path):
    if name is None:
        pytest.skip("this CPU has them all")
    done = cnn("predict", str(tmp_path), CNN_ISA=name)
    assert done.returncode == 2
    assert f"CNN_ISA={name} cannot be used" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_the_variable_is_obeyed(name):
    code = "from cnncli import kernels; kernels.configure(); print(kernels.door.active_isa())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CNN_ISA": name}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name


def test_reference_and_baseline_run_everywhere_and_the_best_is_the_default():
    assert HERE[:2] == ["reference", "baseline"]
    environment = {k: v for k, v in os.environ.items() if k != "CNN_ISA"} | {"PYTHONPATH": str(ROOT)}
    code = "from cnncli import kernels; print(kernels.door.active_isa())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == HERE[-1]


def test_refusal_changes_nothing():
    before = lib.cnn_isa_active()
    for number in (-1, 4, 1000):
        assert lib.cnn_isa_set(number) == lib.CNN_NO_ISA
        assert lib.cnn_isa_supported(number) == 0
    with pytest.raises(UsageError):
        kernels.set_isa("mmx")
    assert lib.cnn_isa_active() == before
