"""Resuming where the images have been moved, copied or replaced: they are known by what they are, and the run remembers
where they lie by now."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cnncli
from cnncli.errors import DataError, Interrupted, UsageError
from cnncli.runs import Run
from cnncli.runs.marks import read
from cnncli.runs.samples import data_folder, data_now
from cnncli.training.resume import _check_written, _record_place

from ..pictures import make_folder
from .conftest import Train
from .test_resume import At, Killed, die, interrupt, outcome


@pytest.fixture
def stopped(train: Train, tmp_path: Path) -> Run:
    """A run that was stopped in its second epoch, and its images in a folder of their own."""
    make_folder(tmp_path / "old")
    with pytest.raises(Interrupted):
        train(data=tmp_path / "old", name="stopped", observer=At(interrupt, steps=6))
    return Run(tmp_path / "runs" / "stopped")


@pytest.mark.slow
def test_a_new_place_is_kept_and_changes_nothing_else(train: Train, stopped: Run, tmp_path: Path) -> None:
    whole = train(data=tmp_path / "old", name="whole")
    os.rename(tmp_path / "old", tmp_path / "new")
    with pytest.raises(DataError, match=r"no longer in .*old; say where they are: cnn train DATA --resume .*stopped$"):
        train(resume="stopped")
    resumed = train(data=tmp_path / "new", resume="stopped")
    assert outcome(resumed) == outcome(whole)
    assert data_folder(resumed) == f"{tmp_path}/new"
    assert cnncli.evaluate(resumed).trained_on == 0
    os.rename(tmp_path / "new", tmp_path / "newer")
    train(data=tmp_path / "newer", resume="stopped")
    assert data_folder(resumed) == f"{tmp_path}/newer", "of a finished run, too"
    make_folder(tmp_path / "other", each=5)
    train(data=tmp_path / "other", resume="stopped")
    assert data_folder(resumed) == f"{tmp_path}/newer", "not where others lie"


@pytest.mark.parametrize(("there", "theirs", "written"), [
    ("old", True, False), ("new", True, True), ("new", False, False), (None, True, False)])
def test_of_a_finished_run_a_place_is_written_where_it_is_another(there: str | None, theirs: bool, written: bool,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.training.resume.splits_in", lambda run, folder: {} if theirs else None)
    kept: list[dict[str, Any]] = []
    before = {"epochs": 3, "data": os.path.abspath("old"), "data_from_runs": os.path.join("..", "old")}
    run: Any = SimpleNamespace(config=before, path=Path("runs", "a"), write_config=kept.append)
    _record_place(run, there and Path(there))
    assert kept == [{"epochs": 3, "data": os.path.abspath("new"), "data_from_runs": "../new"}] * written


@pytest.mark.slow
def test_other_folders_around_the_images(train: Train, stopped: Run, tmp_path: Path) -> None:
    """The same images below train/, or no longer below it: another place, and nothing else."""
    whole = train(data=tmp_path / "old", name="whole")
    (tmp_path / "new" / "x").mkdir(parents=True)
    os.rename(tmp_path / "old", tmp_path / "new" / "x" / "Training")
    resumed = train(data=tmp_path / "new", resume="stopped")
    assert outcome(resumed) == outcome(whole)
    assert data_folder(resumed) == f"{tmp_path}/new"
    again = train(data=tmp_path / "new" / "x" / "Training", resume="stopped", epochs=4)
    assert len(again.history) == 4
    found = cnncli.evaluate(again, tmp_path / "new", split="train")
    assert found.trained_on == len(found.labels)
    assert "nearest neighbour" not in found.baselines, "of all training images none is left to compare with"


WRITTEN = {"samples": {"train": 2, "val": 1, "fingerprint": "f"}, "images": {"train": 2, "val": 1}, "cnn": "0.1.0",
           "classes": ["a", "b"], "recipe": {}, "preprocessing": {}, "network": {}, "data": "photos", "init": None}


@pytest.mark.parametrize("part", WRITTEN)
@pytest.mark.parametrize("value", [{}, 3, ["a", "a"], "\0", {"train": -1, "val": True}])
def test_a_configuration_that_lacks_a_part_is_refused(part: str, value: object) -> None:
    _check_written(WRITTEN, Run(Path("r")))
    if isinstance(value, type(WRITTEN[part])) and part in ("recipe", "preprocessing", "network", "cnn"):
        return  # what is in these is looked at where they are used
    if part == "init" and isinstance(value, dict):
        return
    with pytest.raises(UsageError, match=f"r/config.json does not have the {part} of the training .*put it back as it "
                                         "was"):
        _check_written({**WRITTEN, part: value}, Run(Path("r")))


def test_run_and_images_that_were_moved_together(train: Train, stopped: Run, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    for name in ("runs", "old"):
        os.rename(tmp_path / name, tmp_path / "project" / name)
    resumed = train(resume="stopped", runs=tmp_path / "project" / "runs")
    assert data_folder(resumed) == data_now(resumed) == f"{tmp_path}/project/old"
    assert len(resumed.history) == 3


def test_other_images_of_the_same_names_and_sizes_are_refused(train: Train, stopped: Run, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    listed = read(stopped)
    assert listed is not None
    sizes: dict[str, list[str]] = {}
    for name, image in listed.items():
        sizes.setdefault(image.size, []).append(name)
    one, other = next(names[:2] for names in sizes.values() if len(names) > 1)
    content = [(tmp_path / "old" / name).read_bytes() for name in (one, other)]
    for name, data in zip((other, one), content, strict=True):
        (tmp_path / "copy" / name).write_bytes(data)
    with pytest.raises(DataError, match=r"copy holds other images than when .*stopped began \(2 of the same names"):
        train(data=tmp_path / "copy", resume="stopped")
    assert data_folder(stopped) == f"{tmp_path}/old"


@pytest.mark.slow
def test_a_run_of_an_earlier_version_gets_its_list(train: Train, stopped: Run, tmp_path: Path) -> None:
    whole = train(data=tmp_path / "old", name="whole")
    os.remove(stopped.path / "images.csv")
    config = {key: value for key, value in stopped.config.items() if key != "data_from_runs"}
    stopped.write_config(config)
    resumed = train(resume="stopped")
    assert (resumed.path / "images.csv").read_bytes() == (whole.path / "images.csv").read_bytes()
    assert resumed.config["data_from_runs"] == "../old"
    assert outcome(resumed) == outcome(whole)


@pytest.mark.slow
def test_one_that_is_begun_anew_knows_what_its_first_weights_were_trained_on(train: Train, tmp_path: Path) -> None:
    before = train(name="before", epochs=1)
    others = make_folder(tmp_path / "others", classes=("x", "y"))
    with pytest.raises(Killed):
        train(data=others, arch=None, init=before.path, name="after", observer=At(die, steps=1))
    after = train(resume="after").model.seen
    assert before.model.seen is not None
    assert after is not None
    assert set(before.model.seen.tolist()) < set(after.tolist())


@pytest.mark.slow
def test_folds_go_on_in_another_place(train: Train, tmp_path: Path) -> None:
    make_folder(tmp_path / "old")
    given = {"arch": "lenet5", "size": 12, "epochs": 1, "runs": tmp_path / "runs"}
    whole = cnncli.cross_validate(tmp_path / "old", 2, name="two", **given)
    shutil.rmtree(tmp_path / "runs" / "two-fold2")
    os.rename(tmp_path / "old", tmp_path / "new")
    again = cnncli.cross_validate(tmp_path / "new", 2, resume="two", runs=tmp_path / "runs")
    assert [fold.val_accuracy for fold in again.folds] == [fold.val_accuracy for fold in whole.folds]
    assert [data_folder(fold.run) for fold in again.folds] == [f"{tmp_path}/new"] * 2
    for fold in again.folds:
        assert cnncli.evaluate(fold.run, split="val").trained_on == 0
