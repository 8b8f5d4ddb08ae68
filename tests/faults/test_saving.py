"""A training that is killed, or whose disk is full, at any of its writes: what is on the disk goes on to the very bits
of one that was not. By strace at the system calls of a real process, some of them here and all in `make faults`; and on
a small disk of its own."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cnncli.cli import main
from cnncli.data.outputs import Kind
from cnncli.errors import SaveError

from .processes import PATIENCE, said, start, strace

LONG = bool(os.environ.get("CNN_FAULTS"))  # make faults sets it
EVERY, ERRORS = (1, ("ENOSPC", "EIO", "EDQUOT")) if LONG else (6, ("ENOSPC",))
FRESH = ("train", "photos", "--arch", "lenet5", "--epochs", "2", "--name", "r")
LONGER = ("train", "--resume", "small", "--epochs", "3")
CASES = [(FRESH, "fsync"), (LONGER, "/^rename"), (LONGER, "/^link")] + LONG * [
    (FRESH, "/^rename"), (FRESH, "/^link"), (LONGER, "fsync")]
DRAW_NOTHING = "import cnncli.training.train; cnncli.training.train._draw = lambda *_: None"


def trained_to_the_end(arguments: "tuple[str, ...]", monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr("cnncli.training.train._draw", lambda *_: None)
    assert main(arguments) == 0
    return Path("runs", "r" if arguments == FRESH else "small", "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["signal=KILL", *(f"error={name}" for name in ERRORS)])
@pytest.mark.parametrize(("arguments", "call"), CASES)
def test_a_fault_at_any_write_costs_no_more_than_the_time_since(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: "tuple[str, ...]", call: str, fault: str
) -> None:
    strace("fsync:error=EIO")  # or skip
    shutil.copytree("runs", "before", symlinks=True)
    expected = trained_to_the_end(arguments, monkeypatch)
    name, struck = "r" if arguments == FRESH else "small", 0
    for n in range(1, 60, EVERY):
        shutil.rmtree("runs")
        shutil.copytree("before", "runs", symlinks=True)
        process = start(*arguments, before=DRAW_NOTHING, wrapper=strace(f"{call}:{fault}:when={n}"))
        _, err = process.communicate(timeout=PATIENCE)
        said(err)
        if process.returncode == 0:
            break
        struck += 1
        if fault != "signal=KILL":
            assert process.returncode == 1, err
            assert not [entry for entry in os.listdir("runs") if entry.startswith(".")]
        if not Path("runs", name, "config.json").exists():
            continue  # it had not begun
        if fault != "signal=KILL" and Path("runs", name, "last.safetensors").exists():
            assert f"cnn train --resume {name}" in err or "could not be written" in err
        assert main(["train", "--resume", name, *(LONGER[3:] if arguments == LONGER else ())]) == 0, (n, err)
        assert Path("runs", name, "model.safetensors").read_bytes() == expected, n
        assert not [entry for entry in os.listdir(Path("runs", name)) if entry.startswith(".")], n
    assert struck >= 1


ON_A_SMALL_DISK = """mkdir -p small && mount -t tmpfs -o size={size},{how} none small && "$0" "$@"
code=$?; ls -A small/r; exit $code"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "how", "words"), [("300k", "rw", "no space left"), ("9m", "ro", "read-only")])
def test_a_disk_that_is_too_small_or_read_only(home: Path, size: str, how: str, words: str) -> None:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    wrapper = ("unshare", "-m", "sh", "-c", ON_A_SMALL_DISK.format(size=size, how=how))
    process = start(*FRESH, "--runs", "small", before=DRAW_NOTHING, wrapper=wrapper)
    out, err = process.communicate(timeout=PATIENCE)
    said(err)
    assert process.returncode == 1, err
    assert words in err.lower()
    assert "bytes are needed" in err or how == "ro"
    assert ".cnn-" not in out
    assert ".new-" not in out


@pytest.mark.slow
def test_a_picture_that_could_not_be_drawn_fails_nothing_and_is_not_named(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, data: bytes, kind: Kind) -> None:
        raise SaveError(f"{path} could not be written.")

    with monkeypatch.context() as patch:
        patch.setattr("cnncli.report.curves.write", full)
        assert main(FRESH) == 0
    said_so = capsys.readouterr().err
    assert "curves.png could not be drawn: " in said_so
    assert "model.safetensors (history.csv beside it)" in said_so
    with contextlib.suppress(FileNotFoundError):
        os.unlink("runs/r/curves.png")
    assert main(["train", "--resume", "r"]) == 0  # it is drawn now
    assert "model.safetensors (curves.png and history.csv beside it)" in capsys.readouterr().err
