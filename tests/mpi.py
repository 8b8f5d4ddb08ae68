"""Real processes for tests: mpiexec, where mpi4py and an MPI are installed."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MPIEXEC = Path(sys.executable).with_name("mpiexec")
if not MPIEXEC.exists():
    MPIEXEC = Path(shutil.which("mpiexec") or "")
needs_mpi = pytest.mark.skipif(find_spec("mpi4py") is None or Path("") == MPIEXEC, reason="there is no MPI")
ROOT = Path(__file__).parent.parent
CNN = [sys.executable, "-m", "cnncli"]


def environment(**more: str) -> dict[str, str]:
    """Return the variables of a process that finds this package, and no tests' settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI_", "CNN_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "CNN_THREADS": "1", **more}


def started(size: int, *command: Any, cwd: Path, **variables: str) -> "subprocess.Popen[str]":
    """Start a command in so many processes, in a session of their own."""
    return subprocess.Popen([str(MPIEXEC), "-n", str(size), *map(str, command)], cwd=cwd, env=environment(**variables),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            start_new_session=True)


def run(size: int, *command: Any, cwd: Path, timeout: float = 120.0, **variables: str
        ) -> "subprocess.CompletedProcess[str]":
    """Run a command in so many processes; 0: in one, without MPI."""
    if not size:
        return subprocess.run([*map(str, command)], cwd=cwd, env=environment(**variables), capture_output=True,
                              text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False)
    process = started(size, *command, cwd=cwd, **variables)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def ranks(process: "subprocess.Popen[str]") -> dict[int, int]:
    """Return the process number of each rank that mpiexec has started."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            parents = _ancestors(int(entry.name))
            rank = next((int(each[9:]) for each in variables if each.startswith(b"PMI_RANK=")), None)
        except (OSError, ValueError, StopIteration):
            continue
        guardian = b"guardian.py" in (entry / "cmdline").read_bytes()
        if rank is not None and process.pid in parents and not guardian:
            found[rank] = int(entry.name)
    return found


def _ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found
