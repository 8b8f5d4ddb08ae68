"""`cnn pack` that is stopped, killed, or finds no room: nothing is left that looks whole, and nothing of the user's is
touched."""

import signal
from pathlib import Path

import pytest

from cnncli.data.shard_index import NAME

from .processes import PATIENCE, run, said, start

PACK = ("pack", "photos", "packed", "--shard-size", "20KB")
SLOW = """
import sys, time
from cnncli.data import pack
real, count = pack._content, 0
def slowly(path):
    global count
    count += 1
    if count == 12:
        print("begun", file=sys.stderr, flush=True)
    time.sleep(0 if count < 12 else 30)
    return real(path)
pack._content = slowly
"""


def begun(*arguments: str):  # type: ignore[no-untyped-def]
    """Start it, and wait until it is half way."""
    process = start(*arguments, before=SLOW)
    assert process.stderr is not None
    while "begun" not in (line := process.stderr.readline()):
        assert line, "it ended before"
    return process


@pytest.mark.slow
def test_what_is_stopped_leaves_nothing(home: Path) -> None:
    before = sorted(home.iterdir())
    process = begun(*PACK)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    said(err)
    assert sorted(home.iterdir()) == before


@pytest.mark.slow
def test_what_was_killed_is_made_again_and_what_lives_is_left_alone(home: Path) -> None:
    process = begun(*PACK)
    _, err = run(*PACK, code=1)
    assert "packed is not empty" in err or "is being written" in err
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert [path.name for path in (home / "packed").iterdir()] == [".unfinished"]
    _, err = run("train", "packed", "--epochs", "1", code=1)
    assert "packed is empty" in err
    run(*PACK)
    names = sorted(path.name for path in (home / "packed").iterdir())
    assert names[0] == NAME
    assert all(name.endswith(".tar") for name in names[1:])
    run("pack", "photos", "other", "--shard-size", "20KB")
    assert all((home / "packed" / name).read_bytes() == (home / "other" / name).read_bytes() for name in names)


@pytest.mark.slow
@pytest.mark.linux
def test_a_disk_without_room(home: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))\n" \
            "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    _, err = run(*PACK, before=limit, code=1)
    assert "packed could not be written (file too large); nothing was left there. Make room" in err
    assert not (home / "packed").exists()
