"""The commands that look at a model as other programs meet them: pipes that end early, full disks, no terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = [("test",), ("inspect",), ("visualize-filters", "photos/stripe/s 0.png")]


def start(place, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **options.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "cnncli", *arguments], env=environment, cwd=place.path, timeout=60,
                          check=False, **options)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_stdout_holds_json_and_nothing_else(place, command):
    done = start(place, *command, "--json", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_narrow_encoding_and_no_colour(place, command):
    done = start(place, *command, capture_output=True, env={"PYTHONIOENCODING": "ascii", "TERM": "dumb"})
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.isascii()


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_full_disk_behind_stdout(place, command):
    with open("/dev/full", "w") as full:
        done = start(place, *command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_reader_that_has_gone(place, command):
    read, write = os.pipe()
    os.close(read)
    done = start(place, *command, "--json", stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
