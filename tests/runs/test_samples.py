"""runs/samples.py: the images of a run as its training divided them, whoever asks; a folder is the run's by what is in
it, wherever it lies, and what cannot be told is None."""

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
from ..trained import CLASSES, EACH, write_images


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
    assert samples.seen_in(run.model, run, "photos") == {sample.relative for sample in splits.train}
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


def older(run: Run) -> Run:
    """Make of a run what an earlier version would have left: no list of its images, and no marks in its model."""
    (run.path / "images.csv").unlink()
    model = run.model
    model.seen = None
    model.save(run.path / "model.safetensors")
    return run


@pytest.mark.parametrize("version", ["this", "an earlier one"])
def test_a_folder_is_the_runs_wherever_it_lies(version: str, run: Run, home: Path) -> None:
    if version != "this":
        older(run)
    os.symlink("photos", "link")
    shutil.copytree("photos", "copy")
    write_images(home / "others", CLASSES, EACH, seed=9)
    model = run.model
    for folder, same in (("photos", True), (f"{home}/runs/../photos", True), ("link", True), ("copy", True),
                         ("others", False), ("nowhere", False)):
        splits = samples.splits_in(run, folder)
        assert (splits is not None) == same, folder
        if same:
            assert splits == samples.of_run(run, folder)
            assert samples.seen_in(model, run, folder) == {sample.relative for sample in scan("photos").train}
        else:
            assert not samples.seen_in(model, run, folder)
    os.rename("photos", "renamed")
    assert samples.splits_in(run, "renamed") == samples.of_run(run, "renamed")
    assert samples.data_folder(None) is None
    assert samples.data_now(None) is None


def test_a_folder_of_the_same_names_and_sizes_is_another(run: Run, home: Path) -> None:
    """As of uncompressed pictures: paths and sizes say nothing then."""
    shutil.copytree("photos", "copy")
    for path in Path("copy").rglob("*.png"):
        data = bytearray(path.read_bytes())
        data[-16] ^= 1
        path.write_bytes(data)
    assert samples.have_changed(run, samples.of_run(run, "copy")) is False
    assert samples.splits_in(run, "copy") is None
    shutil.rmtree("photos")
    os.rename("copy", "photos")
    assert samples.splits_in(run, "photos") is None, "at its own place, too"


def test_a_copy_that_has_lost_and_gained_images_is_still_the_runs(run: Run, home: Path) -> None:
    shutil.copytree("photos", "copy")
    for name in ("check", "stripe"):
        for path in sorted(Path("copy", name).iterdir())[::3]:
            path.unlink()
    write_images(home / "more", ["check"], 5, seed=9)
    for path in Path("more/check").iterdir():
        path.rename(Path("copy/check", f"new {path.name}"))
    splits = samples.splits_in(run, "copy")
    assert splits is not None
    assert samples.have_changed(run, splits)
    for path in Path("copy").rglob("*.png"):
        path.rename(path.with_name(f"z{path.name}"))
    assert samples.splits_in(run, "copy") is None, "not where every image is called otherwise"
    assert len(samples.seen_in(run.model, run, "copy") or ()) > EACH, "each of them is known all the same"


@pytest.mark.slow
def test_folders_around_the_images_do_not_count(home: Path) -> None:
    os.renames("photos", "archive/photos")
    whole = cnncli.train("archive", arch="lenet5", epochs=1, size=12, name="around")
    inside = cnncli.train("archive/photos", arch="lenet5", epochs=1, size=12, name="inside")
    for run in (whole, inside):
        for folder in ("archive", "archive/photos"):
            splits = samples.splits_in(run, folder)
            assert splits is not None
            assert not samples.have_changed(run, splits)
            assert cnncli.evaluate(run, folder).trained_on == 0
            assert cnncli.evaluate(run, folder, split="train").trained_on == len(splits.train)


@pytest.mark.slow
def test_the_training_part_of_a_folder_is_another_folder(home: Path) -> None:
    """Of train/ alone other images would be held out than of the folder that has it."""
    (home / "parts").mkdir()
    os.rename("photos", "parts/train")
    write_images(home / "parts/test", CLASSES, 3, seed=9)
    run = cnncli.train("parts", arch="lenet5", epochs=1, size=12, name="parts")
    assert samples.splits_in(run, "parts/train") is None
    found = cnncli.evaluate(run, "parts/train")
    assert (found.images, found.trained_on) == (EACH * len(CLASSES), run.config["images"]["train"])
    os.rename("parts", "moved")
    assert cnncli.evaluate(run, "moved").images == 3 * len(CLASSES)


@pytest.mark.slow
def test_a_run_and_its_images_that_were_moved_together(home: Path) -> None:
    run = cnncli.train("photos", arch="lenet5", epochs=1, size=12, name="beside", runs="runs")
    assert samples.data_now(run) == f"{home}/photos"
    (home / "project").mkdir()
    for name in ("runs", "photos"):
        os.rename(name, f"project/{name}")
    moved = Run("project/runs/beside")
    assert samples.data_folder(moved) == f"{home}/photos"
    assert samples.data_now(moved) == f"{home}/project/photos"
    shutil.rmtree("project/photos")
    write_images(home / "project/photos", CLASSES, 3, seed=9)
    assert samples.data_now(moved) == f"{home}/photos", "other images in that place are not the run's"


def test_images_that_have_changed(run: Run) -> None:
    name = sorted(samples.seen_in(run.model, run, "photos") or ())[0]
    Path("photos", name).write_bytes(b"another size")
    assert samples.have_changed(run, samples.of_run(run, "photos"))
    assert name not in (samples.seen_in(run.model, run, "photos") or ())
    shutil.rmtree("photos")
    os.mkdir("photos")
    assert samples.seen_in(run.model, run, "photos") is None
    with pytest.raises(DataError, match="photos is empty"):
        samples.splits_in(run, "photos")


def test_a_configuration_that_says_less_or_nonsense(run: Run) -> None:
    changed(run, data=3, recipe=None, excluded=[4])
    assert samples.data_folder(run) is None
    assert samples.data_now(run) is None
    assert samples.of_run(run, "photos") == scan("photos")
    (run.path / "config.json").write_text(json.dumps([]))
    with pytest.raises(UsageError, match="no configuration"):
        samples.data_folder(run)
