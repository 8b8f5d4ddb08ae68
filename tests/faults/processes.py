"""`cnn` in a process of its own, so that it can be stopped, starved, killed and cut off; and strace, which makes its
system calls fail where it may."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds that a test waits for a process on a busy machine
COMMANDS = {
    "train": ("train", "photos", "--arch", "lenet5", "--epochs", "1", "--name", "another"),
    "test": ("test",),
    "predict": ("predict", "photos"),
    "check": ("check", "photos", "--fail-on", "never"),
    "features": ("features", "runs/small", "photos", "-o", "features.npz"),
    "visualize-filters": ("visualize-filters", "photos/stripe"),
    "import": ("import", "images.npz", "imported"),
    "export": ("export", "runs/small", "model.c"),
    "inspect": ("inspect",),
}


def start(*arguments: str, before: str = "", wrapper: tuple[str, ...] = (), env: dict[str, str] | None = None,
          **options: object) -> "subprocess.Popen[str]":
    """Run `cnn` with these arguments after a piece of Python."""
    code = f"{before}\nimport sys\nfrom cnncli.cli import main\nsys.exit(main({list(arguments)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **(env or {})}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    return subprocess.Popen([*wrapper, sys.executable, "-c", code], env=environment, text=True, **pipes)  # type: ignore


def run(*arguments: str, code: int = 0, **options: object) -> tuple[str, str]:
    """Run `cnn` to its end; return (stdout, stderr) after checking its exit code and that what it says is meant."""
    process = start(*arguments, **options)  # type: ignore[arg-type]
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, f"exit code {process.returncode}: {out}{err}"
    said(err)
    return out or "", err or ""


def said(err: str | None) -> None:
    """Check that complaints are sentences."""
    assert "Traceback" not in (err or "")
    assert "an error of the program itself" not in (err or "")


@functools.cache
def can_inject() -> bool:
    """Whether strace is there and may trace."""
    if not shutil.which("strace"):
        return False
    probe = ["strace", "-qq", "-o", os.devnull, "-e", "inject=write:error=EIO", "true"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode == 0


def strace(inject: str) -> tuple[str, ...]:
    """Return the words before a command that make its system calls fail; skips the test where that cannot be done."""
    if not can_inject():
        pytest.skip("strace is not there or may not trace")
    return ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={inject}")
