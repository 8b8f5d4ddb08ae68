"""cnncli/atomic.py: whatever fails, and at whatever system call the process dies, a file is the old one or the new
one. The faults are made twice: by standing between the module and os, which always runs, and by strace at the real
system calls, where it may."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli import atomic
from cnncli.atomic import remove_leftovers, write_atomically
from cnncli.errors import SaveError

ROOT = Path(__file__).parents[1]
CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink")


class Died(BaseException):
    """The process is gone: nothing that comes after can run."""


class Disk:
    """Stands for ``os`` in the module: counts the calls that reach the disk, and fails or dies at the n-th of them.

    Dying, unlike failing, also keeps every later call (the clean-up) from happening; the n-th write is cut in half.
    """

    def __init__(self, at: int = 0, error: int | None = None, names: tuple[str, ...] = CALLS) -> None:
        self.at, self.error, self.names = at, error, names
        self.count, self.dead = 0, False

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in self.names:
            return real

        def call(*arguments):
            if self.dead:
                if name == "close":  # the system closes what a dead process had open, and drops its locks
                    real(*arguments)
                raise Died
            self.count += 1
            if self.count != self.at:
                return real(*arguments)
            if name == "write":
                os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            if self.error is None:
                self.dead = True
                raise Died
            raise OSError(self.error, os.strerror(self.error))

        return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "last").write_bytes(b"old" * 1000)
    (tmp_path / "previous").write_bytes(b"older" * 1000)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


LEFT = f".cnn-01234567-{'0' * 16}.tmp"
NEW, OLD, OLDER = b"new" * 2000, b"old" * 1000, b"older" * 1000


def test_new_file_replaced_file_and_kept_file(tmp_path: Path) -> None:
    path = tmp_path / "last"
    write_atomically(path, b"1")
    write_atomically(path, b"2")
    assert contents(tmp_path) == {"last": b"2"}
    write_atomically(path, b"3", keep_as=tmp_path / "previous")
    write_atomically(path, b"4", keep_as=tmp_path / "previous")
    assert contents(tmp_path) == {"last": b"4", "previous": b"3"}


def test_order_of_calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data is on disk before it gets its name, and the name before the one before is given up."""
    order = []

    class Log(Disk):
        def __getattr__(self, name: str):
            real = getattr(os, name)
            return (lambda *a: order.append(name) or real(*a)) if name in ("write", *CALLS[2:]) else real

    monkeypatch.setattr(atomic, "os", Log())
    write_atomically(folder / "last", NEW, keep_as=folder / "previous")
    assert [name for name in order if name != "close"] == [
        "write", "fsync", "link", "replace", "fsync", "replace", "unlink", "unlink"]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
def test_death_at_any_call_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool, damaged: bool
) -> None:
    whole = {NEW, OLDER} if damaged else {NEW, OLD, OLDER}
    total = None
    for at in range(1, 40):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "last").write_bytes(b"torn" if damaged else OLD)
        (folder / "previous").write_bytes(OLDER)
        disk = Disk(at)
        monkeypatch.setattr(atomic, "os", disk)
        try:
            write_atomically(folder / "last", NEW, keep_as=folder / "previous" if keep else None)
            total = at
        except Died:
            pass
        monkeypatch.undo()
        found = contents(folder)
        assert found["last"] in ({NEW, b"torn"} if damaged else {NEW, OLD}), at
        assert found["last"] in whole or found["previous"] in whole, at
        if total:
            break
        remove_leftovers(folder)
        assert set(contents(folder)) == {"last", "previous"}
    assert total, "the last round must live"
    assert total > 8


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("keep", [False, True])
def test_a_failing_call_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, keep: bool
) -> None:
    before, sentences = contents(folder), []
    for at in range(1, 40):
        disk = Disk(at, code, names=tuple(name for name in CALLS if name not in ("close", "unlink")))
        monkeypatch.setattr(atomic, "os", disk)
        try:
            write_atomically(folder / "last", NEW, keep_as=folder / "previous" if keep else None)
            break
        except SaveError as error:
            sentences.append(str(error))
        assert contents(folder) == before, at
    assert len(sentences) == (8 if keep else 7)  # open write fsync link replace, open fsync of the folder, replace
    for sentence in sentences:
        assert f"{folder / 'last'} could not be written (" in sentence
        assert os.strerror(code).lower() in sentence.lower()
        assert "6,000 bytes" in sentence
    assert contents(folder)["last"] == NEW


def test_a_file_that_was_not_there_is_not_there_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(1, 6):
        monkeypatch.setattr(atomic, "os", Disk(at, errno.ENOSPC, names=("open", "write", "fsync", "replace")))
        with pytest.raises(SaveError):
            write_atomically(tmp_path / "last", NEW)
        assert contents(tmp_path) == {}, at


def test_without_hard_links_the_old_file_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "os", Disk(1, errno.EPERM, names=("link",)))
    write_atomically(folder / "last", NEW, keep_as=folder / "previous")
    assert contents(folder) == {"last": NEW, "previous": OLD}


def test_a_folder_that_cannot_be_flushed_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "os", Disk(2, errno.EINVAL, names=("fsync",)))
    write_atomically(folder / "last", NEW)
    assert contents(folder)["last"] == NEW


def test_links_are_followed_devices_refused_long_names_taken(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(OLD)
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == NEW
    for other in (tmp_path, os.devnull):
        with pytest.raises(SaveError, match="not a regular file"):
            write_atomically(other, NEW)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SaveError, match="not a regular file"):
        write_atomically(tmp_path / "fifo", NEW)
    write_atomically(tmp_path / ("x" * 250), NEW)


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_only_our_leftovers_are_removed(tmp_path: Path) -> None:
    for name in ("last", ".last.tmp", ".cnn-0-0.tmp", "x.old"):
        (tmp_path / name).write_bytes(OLD)
    (tmp_path / LEFT.replace("0" * 16, "1" * 16)).symlink_to("last")
    (tmp_path / LEFT).write_bytes(OLD)
    remove_leftovers(tmp_path)
    assert len(contents(tmp_path)) == 5
    remove_leftovers(tmp_path / "nowhere")


def test_whoever_writes_into_a_folder_removes_what_dead_writers_left_there(tmp_path: Path) -> None:
    for name in (LEFT, LEFT.replace("tmp", "old")):
        (tmp_path / name).write_bytes(OLD)
    write_atomically(tmp_path / "other", NEW)
    assert contents(tmp_path) == {"other": NEW}


@pytest.mark.slow
@pytest.mark.parametrize("at", ["fsync", "replace"])  # while the new file is written, and while the old is linked
@pytest.mark.parametrize("again", ["last", "other"])
def test_what_a_living_writer_has_open_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, at: str, again: str
) -> None:
    """Another write to the folder, by whatever process, in the middle of one: both come to their end."""

    class Meanwhile(Disk):
        def __getattr__(self, name: str):
            real = getattr(os, name)
            if name != at:
                return real

            def call(*arguments):
                monkeypatch.undo()
                before = {name for name in contents(folder) if name.startswith(".cnn-")}
                code = f"from cnncli.atomic import write_atomically; write_atomically({again!r}, b'1')"
                subprocess.run([sys.executable, "-S", "-c", code], cwd=folder, check=True, timeout=60,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
                assert before == {name for name in contents(folder) if name.startswith(".cnn-")} != set()
                return real(*arguments)
            return call

    monkeypatch.setattr(atomic, "os", Meanwhile())
    write_atomically(folder / "last", NEW, keep_as=folder / "previous")
    found = contents(folder)
    assert found.pop("other", b"1") == b"1"
    assert found in ({"last": NEW, "previous": OLD}, {"last": NEW, "previous": b"1"})


def test_a_name_taken_for_a_dead_writers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making of a file and its lock, another process may remove it: another one is made."""
    lock, taken = atomic.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not taken:
            taken.extend(tmp_path.glob(".cnn-*"))
            taken[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    write_atomically(tmp_path / "last", NEW)
    assert taken
    assert contents(tmp_path) == {"last": NEW}


def test_without_locks_files_are_written_and_leftovers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LEFT).write_bytes(OLD)
    monkeypatch.setattr(atomic, "fcntl", None)
    write_atomically(tmp_path / "last", OLD)
    write_atomically(tmp_path / "last", NEW, keep_as=tmp_path / "previous")
    assert contents(tmp_path) == {"last": NEW, "previous": OLD, LEFT: OLD}


# ---- the same at the real system calls ----

SAVE = """
import sys
from cnncli.atomic import write_atomically
from cnncli.errors import SaveError
try:
    write_atomically("last", b"new" * 2000, keep_as="previous")
except SaveError as error:
    sys.exit(str(error))
"""


def strace(folder: Path, inject: str) -> subprocess.CompletedProcess[str]:
    """Run one save in a process of its own with a fault injected at its system calls."""
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={inject}", sys.executable, "-S", "-c", SAVE]
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
                          capture_output=True, text=True, check=False)


def can_inject() -> bool:
    if not shutil.which("strace"):
        return False
    probe = ["strace", "-qq", "-o", os.devnull, "-e", "inject=write:error=EIO", "true"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC"])
def test_faults_at_real_system_calls(tmp_path: Path, fault: str) -> None:
    if not can_inject():
        pytest.skip("strace is not there or may not trace")
    struck = 0
    for call in ("write", "fsync", "/^rename", "/^link"):
        for n in range(1, 5):
            folder = tmp_path / f"{call.strip('/^')}{n}"
            folder.mkdir()
            (folder / "last").write_bytes(OLD)
            (folder / "previous").write_bytes(OLDER)
            done = strace(folder, f"{call}:{fault}:when={n}")
            found = contents(folder)
            if done.returncode == 0:
                assert found == {"last": NEW, "previous": OLD}
                break
            struck += 1
            if fault == "signal=KILL":
                assert found["last"] in (OLD, NEW)
                assert found["previous"] in (OLD, OLDER)
            else:
                assert found == {"last": OLD, "previous": OLDER}, (call, n, done.stderr)
                assert "last could not be written" in done.stderr
    assert struck == 6  # write, fsync twice, rename twice, link
