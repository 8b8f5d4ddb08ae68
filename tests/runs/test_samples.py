"""runs/samples.py: the images of a run as its training divided them, whoever asks; a folder is the run's by what is in
it, wherever it lies, and what cannot be told is None."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.data import Splits, scan
from cnncli.data.groups import groups_of
from cnncli.data.labels import Labelled, Labels
from cnncli.data.marks import of_file
from cnncli.data.splits import Sample
from cnncli.errors import DataError, UsageError
from cnncli.runs import Run, marks, samples

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


def test_how_a_recipe_divides(run: Run) -> None:
    assert samples.fractions("fast") == (0.9, 0.0, 0.1)
    assert samples.fractions("standard") == samples.fractions(None) == (0.8, 0.1, 0.1)
    changed(run, recipe={"recipe": "fast", "seed": 3})
    assert samples.of_run(run, "photos") == scan("photos", (0.9, 0.0, 0.1), seed=3)
    changed(run, recipe={"seed": 3, "split_seed": 5})
    assert samples.of_run(run, "photos") == scan("photos", seed=5)
    changed(run, recipe={"seed": 3, "fold": [2, 3]})
    assert samples.of_run(run, "photos") == cnncli.data.fold_of(scan("photos", seed=3), 2, 3, 3)


def test_the_fingerprint_is_what_it_always_was(tmp_path: Path) -> None:
    for name in ("1", "22", "333"):
        (tmp_path / name).write_text(name)
    train, val, test = ([Sample(str(tmp_path / name), f"a/{name}\udce9", label)]
                        for label, name in enumerate(("1", "22", "333")))
    text = b"train|0|1|a/1\xe9|val|1|2|a/22\xe9|".replace(b"|", b"\0")
    assert samples.fingerprint(Splits(["a", "b", "c"], train, val, test)) == {
        "train": 1, "val": 1, "test": 1, "fingerprint": hashlib.sha256(text).hexdigest()}


def test_the_configuration_keeps_labels_and_groups(run: Run) -> None:
    splits = scan("photos", groups=(groups := groups_of({"check/c 0.png": "one", "check/c 1.png": "one"})))
    assert groups is not None
    assert samples.division(splits, None, None) == {}
    labels = Labels("some.csv", (Labelled("check/c 0.png", "check", None, 2),))
    kept = samples.division(splits, labels, groups)
    assert kept["labels"] == labels.config()
    every = {s.relative: s.group for s in splits.train + splits.val + splits.test if s.group is not None}
    assert kept["groups"]["table"] == every
    assert every["check/c 0.png"] == every["check/c 1.png"] == "one"
    changed(run, groups=kept["groups"])
    assert [len(split) for split in (samples.of_run(run, "photos").train, splits.train)] == [len(splits.train)] * 2
    assert {s.relative for s in samples.of_run(run, "photos").train} == {s.relative for s in splits.train}


def test_the_data_to_go_on_with(run: Run, home: Path) -> None:
    assert samples.data_again(run, None) == f"{home}/photos"
    assert samples.data_again(run, "elsewhere") == "elsewhere"
    os.rename("photos", "away")
    with pytest.raises(DataError, match=r"no longer in .*/photos; say where .*: cnn train DATA --resume runs/small$"):
        samples.data_again(run, None)
    changed(run, data=None)
    with pytest.raises(UsageError, match="runs/small was trained on arrays in memory"):
        samples.data_again(run, None)


def test_where_the_data_lie_is_kept_twice(home: Path) -> None:
    assert samples.place("photos", "runs") == {"data": f"{home}/photos", "data_from_runs": "../photos"}
    arrays = (np.zeros((2, 4, 4), np.uint8), [0, 1])
    assert samples.place(arrays, "runs") == {"data": None, "data_from_runs": None}


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


@pytest.mark.slow
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
    assert (found.image_count, found.trained_on) == (EACH * len(CLASSES), run.config["images"]["train"])
    told: list[str] = []
    answers = list(cnncli.predict(run, "parts", note=told.append))
    learnt = [answer.path for answer in answers if answer.trained_on]
    assert len(learnt) == found.trained_on
    assert {path.split("/")[1] for path in learnt} == {"train"}
    assert told[-1].startswith(f"{len(learnt)} of the {len(answers)} images are among those that the model was trained")
    os.rename("parts", "moved")
    assert cnncli.evaluate(run, "moved").image_count == 3 * len(CLASSES)


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


def test_images_beside_the_run_are_found_where_both_were_moved(run: Run, home: Path) -> None:
    changed(run, data_from_runs="../photos")
    assert samples.data_now(run) == f"{home}/photos"
    (home / "project").mkdir()
    for name in ("runs", "photos"):
        os.rename(name, f"project/{name}")
    moved = Run("project/runs/small")
    assert samples.data_now(moved) == f"{home}/project/photos"
    changed(moved, data_from_runs=None)
    assert samples.data_now(moved) == f"{home}/photos"


def test_half_of_the_images_of_each_split_are_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of those that are looked at."""
    shutil.copytree("photos", "copy")
    whole, copy = samples.of_run(run, "photos"), samples.of_run(run, "copy")
    train, val = len(whole.train), len(whole.val)
    assert (train % 2, val % 2) == (0, 0)
    for first, second, same in ((train, val, True), (train // 2, val // 2, True), (train // 2 - 1, val, False),
                                (train, val // 2 - 1, False)):
        few = replace(copy, train=copy.train[:first], val=copy.val[:second])
        monkeypatch.setattr(samples, "of_run", lambda run, folder, few=few: few)
        assert (samples.splits_in(run, "copy") is few) == same, (first, second)
    two = replace(whole, train=whole.train[::train - 1], val=[])
    monkeypatch.setattr(samples, "of_run", lambda run, folder: two)
    assert samples.splits_in(run, "photos") is two, "what is left at its own place"
    monkeypatch.setattr(samples, "of_run", lambda run, folder: copy)
    count, looked = len((copy.train + copy.val)[:: (train + val) // 16]), list[str]()
    for right in ((count + 1) // 2, (count - 1) // 2):
        looked.clear()
        monkeypatch.setattr(samples, "of_file", lambda path, right=right: looked.append(path) or (
            of_file(path) if len(looked) <= right else 0))
        assert (samples.splits_in(run, "copy") is copy) == (2 * right >= count)
        assert len(looked) == count


def test_a_folder_around_all_images_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some runs have it in their images' paths, others do not."""
    listed, images, splits = marks.read(run) or {}, run.config["images"], samples.of_run(run, "photos")
    monkeypatch.setattr(marks, "read", lambda run: {f"photos/{name}": image for name, image in listed.items()})
    changed(run, samples={**run.config["samples"], "fingerprint": "of other paths"})
    assert samples.splits_in(run, "photos") == splits
    assert not samples.have_changed(run, splits)
    changed(run, images={**images, "train": images["train"] - 1})
    assert samples.have_changed(run, splits), "one more could be used then than is listed"
    changed(run, images=images, samples=None)
    assert samples.have_changed(run, splits), "nobody knows"
    changed(run, images=images, samples=samples.fingerprint(splits))
    assert not samples.have_changed(run, splits)
    with open(splits.val[0].path, "ab") as file:
        file.write(b"more")
    assert samples.have_changed(run, splits)


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
