"""Ctrl-C typed on a terminal, wide, narrow and while it is resized, in each phase that shows a bar; while a model is
judged and explained; and signals that come in the middle of a save."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import time
from pathlib import Path

import pytest
from PIL import Image

from cnncli.cli import main

from .processes import PATIENCE, ROOT, run, said, start

SLOW = """
import time
from PIL import Image
from cnncli.network import Network
from cnncli.training.trainer import Trainer
def slowly(real, seconds=0.02):
    def call(*arguments, **options):
        time.sleep(seconds)
        return real(*arguments, **options)
    return call
Image.Image.load, Trainer.step = slowly(Image.Image.load), slowly(Trainer.step)
Network.forward = slowly(Network.forward, 0.2)
"""
TRAIN = ("train", "photos", "--arch", "lenet5", "--epochs", "9", "--name", "another")
PHASES = {"decoding": TRAIN, "epoch 1": TRAIN, "looking": ("check", "photos", "--fail-on", "never")}


def widen(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def typed(arguments: tuple[str, ...], word: bytes, columns: int, then: "tuple[int, ...]") -> tuple[int, str, float]:
    """Run `cnn` on a terminal of its own, resize it and type Ctrl-C once a word is there; return the exit code, what
    came, and the seconds that it took to end."""
    code = f"{SLOW}\nimport sys\nfrom cnncli.cli import main\nsys.exit(main({list(arguments)!r}))"
    pid, terminal = pty.fork()
    if pid == 0:
        widen(0, columns)
        os.execve(sys.executable, [sys.executable, "-c", code],
                  {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "xterm"})
    shown, began, late = b"", 0.0, time.monotonic() + PATIENCE
    while time.monotonic() < late:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        shown += piece
        if not began and word in shown:
            for width in then:
                widen(terminal, width)
                time.sleep(0.05)
            os.write(terminal, b"\x03")
            began = time.monotonic()
    took = time.monotonic() - began
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace"), took


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("columns", "then"), [(20, ()), (80, (15, 40, 100))])
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_on_a_terminal(home: Path, phase: str, columns: int, then: "tuple[int, ...]") -> None:
    code, shown, took = typed(PHASES[phase], phase.encode(), columns, then)
    assert code == 130, shown
    assert took < 1.5, shown
    said(shown)
    last = shown.split("\x1b[2K")[-1]  # behind the bar, which is gone
    assert last.endswith("\r\n")
    assert last.count("cnn: ") == 1
    assert "\x1b[?25l" not in shown or shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("word", "command"), [
    ("  validating", TRAIN), ("trained", ("test", "-m", "runs/small", "--split", "train", "--out", "out")),
    ("probability", ("predict", "photos")), ("explaining", ("explain", "photos", "--out", "out")),
    ("explaining", ("explain", "photos", "--out", "out", "--trust")), ("trained", ("explain", "--sanity"))])
def test_ctrl_c_while_it_judges_and_explains(home: Path, word: str, command: tuple[str, ...]) -> None:
    code, shown, took = typed(command, word.encode(), 80, ())
    assert code == 130, shown
    assert took < 1.5, shown
    said(shown)
    assert shown.count("cnn: ") == 1
    assert shown.endswith("cnn train --resume another\r\n" if command is TRAIN else "cnn: interrupted.\r\n")
    assert not (home / "out").exists()
    assert command is not TRAIN or main(["train", "--resume", "another"]) == 0


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("word", "after"), [
    ("looking for", r"\d+ of 288 images"), ("making pictures", r"\d+ of 2 filters")])
def test_ctrl_c_while_filters_are_explained_draws_what_there_is(home: Path, word: str, after: str) -> None:
    """It comes to its end with little more work; Ctrl-C again ends it at once, with nothing written."""
    command = ("explain", "--units", "conv1:0,1", "--out", "out", *["photos/stripe", "photos/check"] * 6)
    code, shown, _ = typed(command, word.encode(), 80, ())
    assert code == 130, shown
    said(shown)
    assert "Stopped: what has been found by now is drawn; Ctrl-C again ends it at once." in shown
    assert re.search(rf"cnn: stopped after {after}; out/units-conv1.html shows what was found by then.\r\n$", shown)
    assert Image.open("out/units-conv1.png").load()


AT_A_SAVE = """
import os, signal
from cnncli.training import train
train._draw = lambda run, observer: None
flush, calls = os.fsync, []
def fsync(descriptor):
    calls.append(descriptor)
    for _ in range({times} if len(calls) == {n} else 0):
        os.kill(os.getpid(), signal.{signal})
    flush(descriptor)
os.fsync = fsync
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_in_the_middle_of_a_save(home: Path, name: str, code: int, times: int) -> None:
    """Of config.json and images.csv (up to 6), model, history, state, each a file and its folder."""
    fresh = ("train", "photos", "--arch", "lenet5", "--epochs", "2", "--name")
    run(*fresh, "whole", before=AT_A_SAVE.format(times=0, n=0, signal=name))
    expected = Path("runs/whole/model.safetensors").read_bytes()
    for n in (2, *range(7, 16, 1 if os.environ.get("CNN_FAULTS") else 2)):  # make faults sets it
        process = start(*fresh, f"r{n}", before=AT_A_SAVE.format(times=times, n=n, signal=name))
        _, err = process.communicate(timeout=PATIENCE)
        said(err)
        assert process.returncode in (code, -(code - 128)), (n, err)
        if n == 2:
            assert not Path(f"runs/r{n}").exists()
            continue
        assert times == 2 or f"cnn train --resume r{n}" in err
        assert main(["train", "--resume", f"r{n}"]) == 0
        assert Path(f"runs/r{n}/model.safetensors").read_bytes() == expected, n
        assert not [entry for entry in os.listdir(f"runs/r{n}") if entry.startswith(".")]
