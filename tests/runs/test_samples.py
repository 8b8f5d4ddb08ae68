"""runs/samples.py: the images of a run as its training divided them, whoever asks; a folder is the run's by whatever
path, and what cannot be told is None."""

import json
import os
import shutil
from pathlib import Path

import pytest

import cnncli
from cnncli.data import scan
from cnncli.errors import DataError, UsageError
from cnncli.runs import Run, samples

from ..pictures import make_folder


@pytest.fixture
def run(home: Path) -> Run:
    return Run("runs/small")


def changed(run: Run, **parts: object) -> None:
    run.write_config({**run.config, **parts})


def test_they_are_those_that_the_training_drew(run: Run) -> None:
    splits = samples.of_run(run, "photos")
    assert splits == scan("photos")
    assert run.config["samples"] == samples.fingerprint(splits)
    assert not samples.have_changed(run, splits)
    assert samples.trained_on(run, "photos") == {sample.relative for sample in splits.train}
    assert run.config["images"] == {"train": len(splits.train), "val": len(splits.val)}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"seed": 7}, {"exclude": ["ant/00.png", "bee/03.png"]}])
def test_seed_and_list_to_exclude_are_the_runs(options: dict, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    run = cnncli.train(folder, arch="lenet5", epochs=1, size=12, runs=tmp_path / "runs", **options)
    splits = samples.of_run(run, os.fspath(folder))
    assert run.config["samples"] == samples.fingerprint(splits)
    assert samples.fingerprint(scan(folder)) != samples.fingerprint(splits), "the options matter"


@pytest.mark.slow
def test_every_fold_has_its_own(tmp_path: Path) -> None:
    folder = os.fspath(make_folder(tmp_path / "data"))
    found = cnncli.cross_validate(folder, 2, name="two", arch="lenet5", epochs=1, size=12, runs=tmp_path / "runs")
    one, other = (samples.of_run(fold.run, folder) for fold in found.folds)
    assert {s.relative for s in one.val} == {s.relative for s in other.train}
    assert [samples.have_changed(fold.run, splits) for fold, splits in zip(found.folds, (one, other), strict=True)] == [
        False, False]
    assert samples.have_changed(found.folds[0].run, other)


def test_a_folder_is_the_runs_by_any_path(run: Run, home: Path) -> None:
    os.symlink("photos", "link")
    shutil.copytree("photos", "copy")
    for folder, same in (("photos", True), (f"{home}/runs/../photos", True), ("link", True), ("copy", False),
                         ("nowhere", False)):
        assert samples.is_data_of(run, folder) == same
        assert (samples.trained_on(run, folder) is not None) == same
    assert not samples.is_data_of(None, "photos")
    assert samples.trained_on(None, "photos") is None
    assert samples.data_folder(None) is None


def test_images_that_have_changed(run: Run) -> None:
    name = sorted(samples.trained_on(run, "photos") or ())[0]
    Path("photos", name).write_bytes(b"another size")
    assert samples.have_changed(run, samples.of_run(run, "photos"))
    shutil.rmtree("photos")
    os.mkdir("photos")
    assert samples.trained_on(run, "photos") is None
    with pytest.raises(DataError, match="photos is empty"):
        samples.of_run(run, "photos")


def test_a_configuration_that_says_less_or_nonsense(run: Run) -> None:
    changed(run, data=3, recipe=None, excluded=[4])
    assert samples.data_folder(run) is None
    assert samples.trained_on(run, "photos") is None
    assert samples.of_run(run, "photos") == scan("photos")
    (run.path / "config.json").write_text(json.dumps([]))
    with pytest.raises(UsageError, match="no configuration"):
        samples.data_folder(run)
