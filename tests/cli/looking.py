"""What the tests of the commands that look at a model share: `cnn` called in a folder with a small trained run."""

import json
import os
from pathlib import Path

import pytest

from cnncli import cli

from ..trained import CLASSES, EACH, home, trained, write_images

__all__ = ["CLASSES", "EACH", "Place", "home", "place", "snapshot", "trained", "write_images"]


class Place:
    """A folder with images (photos/) and a run trained on them (runs/small), and `cnn` in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self.run = path, path / "runs" / "small"
        self._capsys = capsys

    def cnn(self, *arguments: object, code: int | None = 0) -> tuple[str, str]:
        """Run a command here; return (stdout, stderr) after checking its exit code, unless that is None, and that it
        is no traceback."""
        self._capsys.readouterr()
        got = cli.main([str(a) for a in arguments])
        out, err = self._capsys.readouterr()
        assert code is None or got == code, f"exit code {got}, not {code}: {out}{err}"
        assert "Traceback" not in out + err
        assert "an error of the program itself" not in err
        return out, err

    def json(self, *arguments: object, code: int = 0):
        """Run a command with --json and return what it printed."""
        return json.loads(self.cnn(*arguments, "--json", code=code)[0])

    def fails(self, code: int, *arguments: object) -> str:
        """Run a command that must fail: return its sentence, the only line but for that on which model it is, with
        nothing on stdout."""
        out, err = self.cnn(*arguments, code=code)
        assert out == ""
        lines = [line for line in err.splitlines() if not line.startswith("Model: ")]
        assert len(lines) == 1, err
        assert lines[0].startswith("cnn: ")
        return lines[0]


@pytest.fixture
def place(home: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    """Give a fresh copy of the images and the run, as the working folder, and `cnn` in it."""
    return Place(home, capsys)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder with its bytes: nothing of the user's may change."""
    return {os.fspath(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
