"""many.py, with real processes: every method of World, on one machine and on several, which MPICH pretends to have."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli.ranks.current import world
from cnncli.ranks.launcher import here
from cnncli.ranks.world import ALONE

from ..mpi import environment, needs_mpi, run

EVERYTHING = Path(__file__).with_name("everything.py")
PACKAGE = Path(__file__).parents[2] / "cnncli"
MACHINES = {"MPIR_CVAR_NUM_CLIQUES": "2"}


@needs_mpi
@pytest.mark.parametrize(("size", "variables"), [
    (2, {}), pytest.param(4, {}, marks=pytest.mark.slow), pytest.param(4, MACHINES, marks=pytest.mark.slow),
    pytest.param(3, MACHINES, marks=pytest.mark.slow)])
def test_every_method(size: int, variables: dict[str, str], tmp_path: Path) -> None:
    done = run(size, sys.executable, EVERYTHING, size, cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all well") == size
    assert not done.stderr


@pytest.mark.slow
def test_without_mpi4py_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mpi4py").mkdir()  # one that cannot be imported
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise ModuleNotFoundError('mpi4py')")
    variables = {**environment(), "PMI_RANK": "0", "PMI_SIZE": "2"}
    variables["PYTHONPATH"] = f"{tmp_path}:{variables['PYTHONPATH']}"
    done = subprocess.run([sys.executable, "-m", "cnncli", "train", "photos"], env=variables, cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "what they speak with, mpi4py, is not installed; install it: " in done.stderr
    assert "install 'mpi4py>=4' " in done.stderr


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, (0, 1)), ({"PMI_RANK": "2", "PMI_SIZE": "4"}, (2, 4)), ({"PMI_RANK": "0", "PMI_SIZE": "1"}, (0, 1)),
    ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "3"}, (1, 3)), ({"PMI_RANK": "x", "PMI_SIZE": "4"}, (0, 1)),
    ({"SLURM_STEP_NUM_TASKS": "8"}, (0, 1)), ({"PMIX_RANK": "7", "SLURM_STEP_NUM_TASKS": "8"}, (7, 8))])
def test_what_started_a_process(variables: dict[str, str], expected: tuple[int, int],
                                monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert here() == expected


def test_only_one_module_imports_mpi4py_and_only_several_processes_import_it() -> None:
    assert _importers("mpi4py") == {("ranks/many.py", True)}
    assert _importers("many") == {("ranks/current.py", False)}


def _importers(module: str) -> set[tuple[str, bool]]:
    """Return the files that import a module, and whether they do it as soon as they are imported."""
    line = re.compile(rf"^( *)(?:from|import) [\w.]*\b{module}\b", re.MULTILINE)
    return {(path.relative_to(PACKAGE).as_posix(), not found[1])
            for path in PACKAGE.rglob("*.py") for found in line.finditer(path.read_text(encoding="utf-8"))}


@pytest.mark.slow
def test_one_process_pays_nothing() -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", "import cnncli.training.train, sys; "
                           "from cnncli.ranks.current import world; world(); print(*sys.modules)"],
                          env=environment(), capture_output=True, text=True, check=True)
    timed = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "cnncli.training.train" in timed
    assert not [name for name in timed | set(done.stdout.split()) if name.startswith("mpi4py") or "ranks.many" in name]


def test_one_process_is_alone() -> None:
    assert world() is ALONE
    assert ALONE.agreed(lambda: 3) == 3
    assert ALONE.gathered(3) == [3]
    assert ALONE.share(5) == range(5)
    ALONE.same("nothing", 1, "")
    ALONE.advise("nothing")
    with pytest.raises(SystemExit):
        ALONE.fail(1, "nothing")
    for refused in (lambda: ALONE.reduction(1), lambda: ALONE.handed_in(1), lambda: ALONE.handed_in_by(1)):
        with pytest.raises(AssertionError):
            refused()
