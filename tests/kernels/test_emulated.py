"""Processors that the machine at hand is not. against_reference*.c beside this file are compiled with csrc/, for
AArch64 by a cross compiler and for x86-64, and run under QEMU's user emulation of AArch64 and of other x86-64
processors.

What is not installed is not asked for: those tests are skipped, and their reasons say what was not run."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from cnncli import kernels

from ..compilers import cached
from .test_contract import PROTOTYPES, code_of

ROOT = Path(__file__).parents[2]
PROGRAM = sorted(Path(__file__).parent.glob("against_reference*.c"))
SOURCES = [path for path in sorted((ROOT / "csrc").glob("*.c")) if not path.name.endswith("_tmpl.c")]
# As build.py has them, but for the optimiser: compiling is most of the time that these tests take.
FLAGS = ["-std=gnu11", "-O1", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-pthread", "-Wall",
         "-Wextra", "-Wno-psabi", "-Wno-unused-function", f"-I{ROOT / 'csrc'}"]  # fmt: skip
X86 = platform.machine() in ("x86_64", "AMD64")
CROSS, CROSS_HEADERS = "aarch64-linux-gnu-gcc", Path("/usr/aarch64-linux-gnu/include")
# Of several reasons to skip, the one nearest to the function is told.
NEON = pytest.mark.skipif(not X86, reason="this is no x86-64; where it is AArch64, all other tests ran NEON")


def first_of(*programs: str) -> str | None:
    return next(filter(None, map(shutil.which, programs)), None)


COMPILER = first_of(os.environ.get("CC", "cc").split()[-1], "cc", "gcc", "clang")
QEMU_ARM, QEMU_X86 = (first_of(f"qemu-{name}-static", f"qemu-{name}") for name in ("aarch64", "x86_64"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def compile_all(compiler: str, extra: list[str], sources: list[Path], folder: Path) -> list[Path]:
    """Compile sources side by side; fail with what the compiler says of the first that it refuses."""
    def one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        done = run(*cached(compiler), *extra, *FLAGS, "-c", source, "-o", target)
        assert done.returncode == 0, done.stderr
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, sources))


def made_by_setup() -> list[Path]:
    """Return the extension's own objects, where setup.py left all of them and says that they are of these sources."""
    for objects in (ROOT / "build" / "objects").glob("*/csrc"):
        found = [objects / f"{source.stem}.o" for source in SOURCES]
        if all(path.exists() and is_of_these_sources(path.with_suffix(".from")) for path in found):
            return found
    return []


def is_of_these_sources(made_from: Path) -> bool:
    lines = [line.split(" ", 1) for line in made_from.read_text().splitlines()] if made_from.exists() else []
    return bool(lines) and all((ROOT / path).is_file() and digest(ROOT / path) == then for then, path in lines)


@cache
def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(compiler: str, folder: Path, made: list[Path] | None = None) -> Path:
    """Return against_reference, linked statically, because an emulator has no libraries of the other architecture;
    made: objects of csrc/ that are there already."""
    objects = compile_all(compiler, ["-Werror"], PROGRAM if made else [*SOURCES, *PROGRAM], folder) + (made or [])
    program = folder / "against_reference"
    linked = run(compiler, "-static", "-pthread", *objects, "-lm", "-o", program)
    if linked.returncode and "-lc" in linked.stderr:
        pytest.skip("nothing was emulated: the C library cannot be linked statically here")
    assert linked.returncode == 0, linked.stderr
    return program


@pytest.fixture(scope="module")
def own_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """against_reference with every instruction set of x86-64."""
    if COMPILER is None:
        pytest.skip("nothing was emulated: there is no C compiler")
    return build(COMPILER, tmp_path_factory.mktemp("own"), made_by_setup())


def assert_agrees(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout


def functions_of_the_program() -> dict[str, str]:
    """Function -> its code, of the program's own."""
    text = "\n".join(map(code_of, PROGRAM))
    return dict(re.findall(r"^\w[\w *]*?(\w+)\([^;{]*\) (\{\n.*?^\}|\{[^\n]*\}$)", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", PROTOTYPES)
def test_every_entry_point_is_compared_with_the_plain_loops(name):
    """What a function compares that calls it, or that calls one which does."""
    functions = functions_of_the_program()
    callers = {name}
    for _ in range(2):
        callers |= {function for function, code in functions.items()
                    if any(re.search(rf"\b{called}\(", code) for called in callers)}
    assert any(re.search(r"\b(compare|compare_maps|expect)\(", functions.get(function, "")) for function in callers), (
        "no function of against_reference*.c compares what it does")


@pytest.mark.slow
@pytest.mark.skipif(QEMU_ARM is None, reason="NEON was not run: qemu-aarch64-static is not installed")
@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"NEON was not run: {CROSS} is not installed")
@NEON
def test_neon_agrees_with_the_plain_loops(tmp_path):
    assert_agrees(run(QEMU_ARM, build(CROSS, tmp_path), "baseline"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="NEON was not compiled by clang: it is not installed")
@NEON
def test_neon_compiles_with_clang(tmp_path):
    extra, sources = ["--target=aarch64-linux-gnu"], SOURCES
    if CROSS_HEADERS.is_dir():
        extra.append("-Werror")
    else:  # this machine's headers, which take AArch64 for an x86 of 32 bits: they do for the kernels
        sources = [path for path in SOURCES if "CNN_TEMPLATE" in path.read_text(encoding="utf-8")]
        (tmp_path / "gnu").mkdir()
        (tmp_path / "gnu" / "stubs-32.h").touch()
        extra += ["-isystem", str(tmp_path), "-isystem", "/usr/include/x86_64-linux-gnu"]
    compile_all("clang", extra, sources, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(QEMU_X86 is None, reason="AVX2 was not run: qemu-x86_64-static is not installed")
@pytest.mark.skipif("avx2" in kernels.isas(), reason="this CPU runs AVX2, so all other tests did")
@pytest.mark.skipif(not X86, reason="AVX2 was not run: this is no x86-64")
def test_avx2_agrees_with_the_plain_loops(own_program):
    assert_agrees(run(QEMU_X86, "-cpu", "max", own_program, "avx2"))


@pytest.mark.skipif("avx512" in kernels.isas(), reason="this CPU runs AVX-512, so all other tests did")
def test_avx512_agrees_with_the_plain_loops():
    pytest.skip("AVX-512 was compiled and not run: this CPU has none, and QEMU emulates none")


@pytest.mark.slow
@pytest.mark.parametrize(("processor", "best"), [("qemu64", "baseline"), ("max", "avx2")])
@pytest.mark.skipif(QEMU_X86 is None, reason="older processors were not emulated: qemu-x86_64-static is not installed")
@pytest.mark.skipif(not X86, reason="older processors were not emulated: this is no x86-64")
def test_a_processor_is_given_the_best_that_it_has(own_program, processor, best):
    names = ("reference", "baseline", "avx2", "avx512")
    has = names[: names.index(best) + 1]
    done = run(QEMU_X86, "-cpu", processor, own_program)
    assert (done.returncode, done.stdout) == (0, f"{best} of {' '.join(has)}\n")
    for name in names[len(has) :]:
        done = run(QEMU_X86, "-cpu", processor, own_program, name)
        assert (done.returncode, done.stdout) == (2, f"this processor has no {name}\n")
