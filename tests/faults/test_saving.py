"""Faults around the commands, as their users meet them: what cannot be written, read, asked or started."""

from pathlib import Path

import pytest

from cnncli.cli import main
from cnncli.errors import SaveError

from ..pictures import make_folder, make_network

SHORT = ["train", "data", "--arch", "net.toml", "--epochs", "2", "--batch-size", "8"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with data/ and net.toml."""
    make_folder(tmp_path / "data")
    make_network(tmp_path / "net.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_picture_that_could_not_be_drawn_fails_nothing_and_is_not_named(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, data: bytes) -> None:
        raise SaveError(f"{path} could not be written.")

    with monkeypatch.context() as patch:
        patch.setattr("cnncli.report.curves.write_atomically", full)
        assert main(SHORT) == 0
    said = capsys.readouterr().err
    assert "curves.png could not be drawn: " in said
    assert "model.safetensors (history.csv beside it)" in said
    assert main(["train", "--resume"]) == 0  # it is drawn now
    assert "model.safetensors (curves.png and history.csv beside it)" in capsys.readouterr().err
