"""sweep.png: what is drawn of a sweep's runs, and that a picture which cannot be drawn stops nothing."""

from pathlib import Path
from typing import Any

import pytest

from cnncli.report import swept
from cnncli.runs import Run
from cnncli.training import sweep_picture
from cnncli.training.sweep_picture import Ran

from ..cli.test_runs import make
from .test_train import Notes


@pytest.fixture
def runs(tmp_path: Path) -> list[Ran]:
    """Two runs that are done, one that failed on its way, one that failed before it had a folder, and a damaged one."""
    made = {name: make(tmp_path, name, accuracies) for name, accuracies in (
        ("a", [0.5, 0.9]), ("b", [0.4, 0.8]), ("f", [0.2]), ("d", [0.1]))}
    Path(made["d"].path, "history.csv").write_bytes(b"\xff")
    return [({"batch_size": 8, "size": (8, 16)}, made["a"], 0.9, 2), ({"batch_size": 16, "size": 8}, made["b"], 0.8, 2),
            ({"batch_size": 32, "size": 8}, made["f"], None, 0), ({"batch_size": 64, "size": 8}, None, None, 0),
            ({"batch_size": 4, "size": 8}, Run(made["d"].path), None, 0)]


def test_what_is_drawn(runs: list[Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Any]()
    monkeypatch.setattr(swept, "draw", lambda *given: seen.append(given) or given[1])
    assert sweep_picture.draw(tmp_path, runs, 1000, 0.01, Notes()) == tmp_path / "sweep.png"
    [(entries, _, title, by_factors, error)] = seen
    assert title == f"{tmp_path.name}: 5 runs, 1,000 validation images"
    assert [(entry.accuracy, entry.epoch, len(entry.rows)) for entry in entries] == [
        (0.9, 2, 2), (0.8, 2, 2), (None, 0, 1), (None, 0, 0), (None, 0, 0)]
    assert entries[0].settings == {"batch-size": 8, "size": (8, 16)}
    assert entries[0].words == {"batch-size": "8", "size": "16x8"}
    assert (by_factors, error) == (["lr", "weight-decay", "batch-size"], 0.01)


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_is_told(runs: list[Ran], tmp_path: Path) -> None:
    notes, path = Notes(), tmp_path / "sweep.png"
    assert sweep_picture.draw(tmp_path, runs, 1000, 0.01, notes) == path
    assert sweep_picture.draw(tmp_path, runs, 1000, 0.01, notes) == path, "an earlier one is replaced"
    assert notes.sentences == []
    path.write_bytes(b"mine")
    assert sweep_picture.draw(tmp_path, runs, 1000, 0.01, notes) is None
    [said] = notes.sentences
    assert said.startswith(f"{path} could not be drawn: ")
    assert path.read_bytes() == b"mine"


def test_where_none_has_finished_nothing_is_drawn(runs: list[Ran], tmp_path: Path) -> None:
    notes = Notes()
    assert sweep_picture.draw(tmp_path, runs[2:], 0, 0.0, notes) is None
    assert notes.sentences == []
    assert not (tmp_path / "sweep.png").exists()
