"""cnncli/data/cached.py and kept.py: full disks, several processes at once, and processes that are killed."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.data import Sample, cached, images, kept
from cnncli.errors import SaveError

from .conftest import HOW, Load, file_of, known

ROOT = Path(__file__).parents[3]


def full(at: int) -> Callable[..., int]:
    """Return an os.pwrite that has no room from some place of the file on."""
    write = os.pwrite

    def wrong(file: int, data: memoryview, place: int) -> int:
        if place >= at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data, place)

    return wrong


@pytest.mark.parametrize("at", [0, kept.HEAD + 300, kept.HEAD + 12 * 90])
def test_a_disk_that_fills_up(at: int, samples: list[Sample], place: Path, load: Load,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    expected = known(load(samples, cache="ram"))
    monkeypatch.setattr(os, "pwrite", full(at))
    with pytest.raises(SaveError, match=r"^decoded images cannot be kept in .*decoded \(no space left on device\): "
                                        r"[\d,]+ bytes are needed there; make room, give another place with "
                                        r"CNN_CACHE_DIR, or use cache='none'\.$"):
        load(samples)
    assert not list(place.iterdir())
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    found = load(samples, cache="auto")
    assert known(found) == expected
    assert load.says("The training images are decoded again in each epoch, because they cannot be kept on the disk: ")
    assert load.says("could not be written (no space left on device).")
    assert not list(place.iterdir())


def test_a_disk_without_room_is_not_begun_with(samples: list[Sample], place: Path, load: Load,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 2000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    load(samples[:10])
    usage.free = 1500  # auto leaves a fifth of it to others
    monkeypatch.setattr(images, "free_memory", lambda: 0)
    file_of(place).unlink()
    load(samples[:10], cache="auto")
    assert load.says("12 images") is False
    assert load.says("10 images of 5 x 6 need 0.0 GiB and only 0.0 GiB are free; they are kept on the disk, if it has "
                     "room.")
    assert load.says("cannot be kept on the disk: no space left in ")
    usage.free = 1000
    with pytest.raises(SaveError, match=r"^no space left in .*, or give another place with CNN_CACHE_DIR\.$"):
        load(samples[:10])
    assert not list(place.iterdir())


# ---- several processes ----

LOADING = """
import os, sys
from cnncli.data import Preprocessing, Sample, load_images
names = sorted(name for name in os.listdir("photos"))
samples = [Sample(f"photos/{name}", name, 0) for name in names]
say = lambda text: print(text, flush=True)
found = load_images(samples, Preprocessing((6, 5)), 2, "disk", note=say, part="training")
print(found.pixels(range(len(found))).sum())
"""


def process(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", LOADING], cwd=folder, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("call", "times"), [("pwrite", 7), ("fsync", 4), ("replace", 1)])
def test_killed_at_any_write_nothing_looks_whole(call: str, times: int, samples: list[Sample], place: Path, load: Load,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first pixels, later ones, the tables, the head; before these are on the disk; before the file has its
    name."""
    expected = known(load(samples, cache="ram"))
    for n in range(1, times + 1):
        child = os.fork()
        if not child:
            dies_at(call, n, monkeypatch)
            load(samples)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, n
        whole = [path for path in place.iterdir() if path.suffix == ".decoded"]
        found = load(samples)
        assert load.says("come from") == bool(whole) == (call == "fsync" and n == 4), n
        assert not load.says("made anew")
        assert known(found) == expected
        file_of(place).unlink()  # and nothing else is left


def dies_at(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill this process when a function of os is called for the nth time."""
    real, left = getattr(os, name), [None] * n

    def wrong(*given: Any) -> Any:
        left.pop()
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)

    monkeypatch.setattr(os, name, wrong)


@pytest.mark.slow
def test_two_at_once_decode_once(samples: list[Sample], tmp_path: Path, place: Path) -> None:
    both = [process(tmp_path) for _ in range(2)]
    said = [each.communicate(timeout=60) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert said[0][0].splitlines()[-1] == said[1][0].splitlines()[-1]
    assert file_of(place).suffix == ".decoded"
    assert sum("are kept in" in out for out, _ in said) == 1, said


def test_who_comes_second_waits(samples: list[Sample], place: Path, load: Load,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    expected = known(load(samples))
    whole = file_of(place)
    data = whole.read_bytes()
    whole.unlink()
    wanted = cached.Wanted(samples, HOW, True, "training")
    writer = kept.Writer(str(whole), wanted.key, (6, 5, 3))
    told: list[tuple[int, int]] = []

    def ready(seconds: float) -> None:
        assert told == [(0, 12)], "whoever wants to stop is asked"
        whole.write_bytes(data)
        writer.close()

    monkeypatch.setattr(time, "sleep", ready)
    found = load(samples, progress=lambda *step: told.append(step))
    assert load.said[0] == "Another process is decoding these training images; this one waits for it."
    assert load.says("come from")
    assert known(found) == expected
    assert told[-1] == (12, 12)


def test_a_thread_that_is_late_writes_into_no_other_file(place: Path, tmp_path: Path) -> None:
    place.mkdir()
    writer = kept.Writer(str(place / "a.decoded"), "key", (6, 5, 3))
    writer.close()
    with (tmp_path / "other").open("w+b") as file:  # has the number that is free now
        writer[range(2)] = np.ones((2, 6, 5, 3), np.uint8)
        assert not file.read()
    assert not list(place.iterdir())


def test_what_a_dead_writer_left_is_no_part_of_the_next(place: Path) -> None:
    place.mkdir()
    left = place / "a.decoded-key.tmp"
    left.write_bytes(bytes(10_000))
    writer = kept.Writer(str(place / "a.decoded"), "key", (6, 5, 3))
    assert left.stat().st_size == 0
    writer.close()
    assert not left.exists()


def test_who_stops_leaves_nothing(samples: list[Sample], place: Path, load: Load) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(samples, progress=stop)
    assert not list(place.iterdir())


@pytest.mark.slow
def test_a_writer_that_is_killed_while_it_decodes(samples: list[Sample], tmp_path: Path, place: Path,
                                                  load: Load) -> None:
    code = LOADING.replace("part=", "progress=lambda *step: os.kill(os.getpid(), 9), part=")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert file_of(place).suffix == ".tmp"
    load(samples)
    assert file_of(place).suffix == ".decoded"


def test_a_living_writer_of_something_else_is_left_alone(samples: list[Sample], place: Path, load: Load) -> None:
    place.mkdir()
    writer = kept.Writer(str(place / f"other-{8 * 'ab'}.decoded"), 8 * "cd", (6, 5, 3))
    (place / f"dead-{8 * 'ab'}.decoded-{8 * 'cd'}.tmp").write_bytes(b"left")
    (place / "mine.tmp").write_bytes(b"of the user")
    load(samples)
    assert sorted(path.name.split("-")[0] for path in place.iterdir()) == ["mine.tmp", "other", "photos"]
    (place / "mine.tmp").unlink()
    writer.close()
    assert file_of(place).suffix == ".decoded"


@pytest.mark.parametrize("missing", [("flock",), ("preadv", "pwrite")])
def test_systems_that_lack_something(missing: tuple[str, ...], samples: list[Sample], place: Path, load: Load,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    expected = known(load(samples, cache="ram"))
    if missing == ("flock",):
        monkeypatch.setattr(kept, "fcntl", None)
    else:
        for name in missing:
            monkeypatch.delattr(os, name)
    for _ in range(2):
        assert known(load(samples)) == expected
    assert load.says("come from")
    assert file_of(place).suffix == ".decoded"
