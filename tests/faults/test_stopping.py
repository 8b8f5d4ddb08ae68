"""Ctrl-C in every command while its images are decoded, and while a last layer is fitted: it ends within a second. What
training does with signals otherwise is in tests/cli/test_train.py and tests/training/test_resume.py."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from .processes import COMMANDS, PATIENCE, run, said, start

# Each image takes so long to decode or to write, as a large one does; threads cannot be interrupted in it.
SLOW = """
import sys, threading, time
from PIL import Image
first = threading.Lock()
def slowly(real):
    def call(*arguments, **options):
        if first.acquire(blocking=False):  # not again, in the middle of what the program says at its end
            print("begun", file=sys.stderr, flush=True)
        time.sleep({seconds})
        return real(*arguments, **options)
    return call
Image.Image.load = slowly(Image.Image.load)
Image.Image.save = slowly(Image.Image.save)
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("seconds", [0.2, 30])  # between two images, and in the middle of one
@pytest.mark.parametrize("command", ["train", "test", "predict", "check", "features", "visualize-filters", "import"])
def test_ctrl_c_ends_every_command_within_a_second(home: Path, command: str, seconds: float) -> None:
    rng = np.random.default_rng(0)
    np.savez(home / "images.npz", images=rng.integers(0, 256, (600, 20, 20, 3), np.uint8), labels=np.arange(600) % 2)
    if command == "visualize-filters" and seconds > 1:
        pytest.skip("it decodes one image at a time in the thread that gets the signal, between two reads of the file")
    process = start(*COMMANDS[command], before=SLOW.format(seconds=seconds))
    assert process.stderr is not None
    while "begun" not in (line := process.stderr.readline()):
        assert line, "it ended before"
    time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    took = time.monotonic() - began
    assert process.returncode == 130, err
    assert took < 1.5  # what the interpreter takes to end, on a busy machine, is in it
    assert err.endswith("cnn: interrupted.\n")
    said(err)
    assert not (home / "imported").exists()
    assert not (home / "features.npz").exists()


ENDLESS_FITTING = """
import sys
from cnncli.training import probe
def endless(function, start):
    print("begun", file=sys.stderr, flush=True)
    while True:
        function(start)
probe.minimise = endless
"""


@pytest.mark.slow
@pytest.mark.alone
def test_ctrl_c_ends_the_fitting_of_a_last_layer(home: Path) -> None:
    process = start("train", "photos", "--init", "runs/small", "--probe", "--name", "p", before=ENDLESS_FITTING)
    assert process.stderr is not None
    while "begun" not in (line := process.stderr.readline()):
        assert line, "it ended before"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 1.5
    assert err.endswith("continue with: cnn train --resume p\n")
    said(err)


@pytest.mark.slow
def test_an_import_that_was_killed_can_be_made_again_and_one_that_lives_is_left_alone(home: Path) -> None:
    np.savez(home / "images.npz", images=np.zeros((600, 20, 20, 3), np.uint8), labels=np.arange(600) % 2)
    process = start(*COMMANDS["import"], before=SLOW.format(seconds=0.01))
    assert process.stderr is not None
    while "begun" not in (line := process.stderr.readline()):
        assert line, "it ended before"
    _, err = run(*COMMANDS["import"], code=1)
    assert "imported is not empty" in err
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert [path.name for path in (home / "imported").iterdir()] == [".unfinished"]
    run(*COMMANDS["import"])
    assert sorted(path.name for path in (home / "imported").iterdir()) == ["0", "1"]
    assert len(list((home / "imported").glob("*/*.png"))) == 600
