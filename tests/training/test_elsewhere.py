"""os.chdir during a training, and after it: the run, its model and the images are found again, and shown as they were
named as long as nobody goes elsewhere."""

import os
from pathlib import Path
from typing import Any

import pytest

from cnncli import Observer, cross_validate, evaluate, load, sweep, write_report
from cnncli.data.placed import Placed


class Goes(Observer):
    """Changes the current folder in the first epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        os.chdir(self.folder)


@pytest.fixture
def here(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Be in a folder with photos/, and return what a quick training is given there."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "photos").symlink_to(shared / "data")
    monkeypatch.chdir(tmp_path / "here")
    return {"data": "photos", "arch": str(shared / "net.toml"), "epochs": 2, "batch_size": 8, "cache": "none",
            "observer": Goes(tmp_path / "there")}


def test_a_path_is_as_it_was_given_until_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place, absolute = Placed("./a/"), Placed(tmp_path / "b")
    assert (place.text, str(place.path), absolute.text) == ("./a/", "a", str(tmp_path / "b"))
    (tmp_path / "c").mkdir()
    os.chdir("c")
    assert (place.path, absolute.path) == (tmp_path / "a", tmp_path / "b")
    os.chdir("..")
    assert place.text == "./a/"


@pytest.mark.slow
def test_a_training_goes_on_elsewhere(here: dict[str, Any], tmp_path: Path) -> None:
    from cnncli import train

    run = train(**here, name="r")
    assert run.path == tmp_path / "here" / "runs" / "r"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.skipped == []
    assert not list((tmp_path / "there").iterdir())
    os.chdir(tmp_path / "here")
    assert str(run.path) == "runs/r"
    model = load("runs/r")
    assert model.path == "runs/r/model.safetensors"
    found = evaluate(model)
    os.chdir(tmp_path / "there")
    assert evaluate(model).image_count == evaluate(run).image_count == found.image_count
    assert load(run.path).path == str(tmp_path / "here" / "runs" / "r" / "model.safetensors")
    write_report(found)
    assert list(run.path.rglob("report.html"))


@pytest.mark.slow
def test_folds_and_sweeps_go_on_elsewhere(here: dict[str, Any], tmp_path: Path) -> None:
    folds = cross_validate(folds=2, name="cv", **here)
    assert all(fold.run.path.parent == tmp_path / "here" / "runs" for fold in folds.folds)
    os.chdir(tmp_path / "here")
    found = sweep(settings={"lr": [0.01, 0.02]}, name="s", **here)
    assert [each.failed for each in found.runs] == [None, None]
    assert not list((tmp_path / "there").iterdir())
