"""What part of cnncli/ and of csrc/ is run by the tests that are neither slow nor alone: with coverage.py and gcovr
there, ``python scripts/measure_coverage.py``. Works on a copy in build/coverage, whose objects are kept. Prints both
shares and fails where one is below what .ci/coverage.txt says; ``--record`` writes it there. The share of C is recorded
for each kind of CPU, because one without an instruction cannot run the lines that use it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "coverage"
RECORD = ROOT / ".ci" / "coverage.txt"
TOP_LEFT_OUT = ("build", "dist", "demo", "runs", ".git", ".venv*")  # cnncli/runs is a room
LEFT_OUT = ("*.so", "__pycache__", ".*_cache", ".hypothesis")
# Percent that another machine may have less: tests are skipped where there is no browser or no other compiler.
TOLERANCE = 0.5


def run(*command: str, **variables: str) -> None:
    """Run this interpreter in the copy."""
    subprocess.run([sys.executable, *command], cwd=COPY, env={**os.environ, **variables}, check=True)


def copy() -> None:
    """Bring the copy up to date; what was compiled stays, what it has counted goes."""
    COPY.mkdir(parents=True, exist_ok=True)
    for path in COPY.iterdir():
        if path.name != "build":
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def left_out(folder: str, names: list[str]) -> set[str]:
        patterns = (*LEFT_OUT, *TOP_LEFT_OUT) if Path(folder) == ROOT else LEFT_OUT
        return shutil.ignore_patterns(*patterns)(folder, names)

    shutil.copytree(ROOT, COPY, ignore=left_out, dirs_exist_ok=True)
    for counts in COPY.rglob("*.gcda"):
        counts.unlink()


def measure() -> dict[str, float]:
    """Return the percentage of lines that were run, of Python and of C."""
    # The test left out sees what coverage.py itself imports.
    flags = "-O1 --coverage"
    run("setup.py", "--quiet", "build_ext", "--inplace", CC="gcc", CFLAGS=flags, LDFLAGS=flags)
    run("-m", "coverage", "run", "-m", "pytest", "--numprocesses", "auto", "-m", "not slow and not alone",
        "--deselect", "tests/cli/test_predict.py::test_only_what_is_needed_is_imported")  # fmt: skip
    run("-m", "coverage", "combine", "--quiet")
    run("-m", "coverage", "json", "--quiet", "-o", "python.json")
    # Threads count without waiting for each other, so that a count may come out negative; it is none that was 0.
    run("-m", "gcovr", "--filter", "csrc/", "--merge-lines", "--gcov-ignore-parse-errors", "all",
        "--json-summary", "c.json", "build")  # fmt: skip
    python, c = (json.loads((COPY / name).read_text()) for name in ("python.json", "c.json"))
    return {"python": python["totals"]["percent_covered"], f"c {kind()}": c["line_percent"]}


def kind() -> str:
    """Return the instruction set and the further instructions that kernels use on this CPU, like "avx512+bf16+vnni"."""
    code = "from cnncli import kernels; print('+'.join([kernels.active_isa(), *sorted(kernels.words())]))"
    return subprocess.run([sys.executable, "-c", code], cwd=COPY, capture_output=True, text=True, check=True
                          ).stdout.strip()


def main() -> None:
    """Measure, print, compare."""
    copy()
    found = measure()
    recorded = RECORD.read_text().splitlines() if RECORD.exists() else []
    before = {name: float(share) for name, _, share in (line.rpartition(" ") for line in recorded)}
    if "--record" in sys.argv:
        before |= found
        RECORD.write_text("".join(f"{name} {share:.1f}\n" for name, share in sorted(before.items(), reverse=True)))
    for name, share in found.items():
        known = f"{before[name]:.1f} % recorded" if name in before else "none recorded for such a CPU"
        print(f"coverage of {name}: {share:.1f} % of its lines ({known})")
    fallen = [name for name, share in found.items() if share < before.get(name, 0.0) - TOLERANCE]
    if fallen:
        sys.exit(f"The coverage of {' and of '.join(fallen)} has fallen: write tests for what was added.")


main()
