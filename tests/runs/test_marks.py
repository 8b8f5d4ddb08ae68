"""runs/marks.py: images.csv says what a run was trained on, whatever its images are called, and is believed as far as
it can be read; a model file has the marks of the training images, wherever it is taken."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.data import scan
from cnncli.data.marks import among, of_file, union
from cnncli.errors import ModelError
from cnncli.model.modelfile import pack
from cnncli.runs import Run
from cnncli.runs.marks import Listed, read, unlike

from ..trained import CLASSES, write_images


def test_a_line_for_each_image(home: Path) -> None:
    splits = scan("photos")
    with open("runs/small/images.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for split in ("train", "val", "test"):
        wanted = [(s.relative, splits.classes[s.label]) for s in getattr(splits, split)]
        assert [(row["path"], row["class"]) for row in rows if row["split"] == split] == wanted
    listed = read(Run("runs/small"))
    assert listed is not None
    assert list(listed) == [sample.relative for sample in splits.train + splits.val], "test images have no marks"
    for sample in splits.train + splits.val:
        image = listed[sample.relative]
        assert (image.size, image.file) == (sample.mark(), of_file(sample.path))


@pytest.mark.slow
def test_names_that_are_hard_to_write(tmp_path: Path) -> None:
    names = ["a\rb", 'quo"te', "comma,", "caf\udce9"]
    folder = write_images(tmp_path / "data", names, 4, seed=1)
    run = cnncli.train(folder, arch="lenet5", epochs=1, size=12, runs=tmp_path / "runs")
    splits = scan(folder)
    assert list(read(run) or ()) == [sample.relative for sample in splits.train + splits.val]


def test_a_list_that_cannot_be_read_is_none(home: Path) -> None:
    run, path = Run("runs/small"), Path("runs/small/images.csv")
    whole = path.read_bytes()
    for damaged in (b"", b"split,path\n", whole.replace(b",file,", b",other,"), b"\0" * 50):
        path.write_bytes(damaged)
        assert not read(run)
    path.unlink()
    assert read(run) is None
    assert cnncli.evaluate().trained_on == 0, "the model's file knows it, too"


def test_a_model_file_keeps_what_it_was_trained_on(home: Path) -> None:
    splits = scan("photos")
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    model = cnncli.load("loose.safetensors")
    model.save("again.safetensors")
    for path in ("loose.safetensors", "again.safetensors", "runs/small/last.safetensors"):
        seen = cnncli.load(path).seen
        assert seen is not None
        assert among(np.array([[of_file(s.path)] for s in splits.train], np.uint64), seen).all()
        assert not among(np.array([[of_file(s.path)] for s in splits.test + splits.val], np.uint64), seen).any()
        assert seen.tolist() == union(seen).tolist()


def test_marks_that_make_no_sense(home: Path) -> None:
    model = cnncli.load("runs/small")
    for marks in (np.zeros((2, 2), np.uint64), np.zeros(3, np.float32)):
        Path("odd.safetensors").write_bytes(pack({**model.arrays(), "state/seen": marks}, model.metadata()))
        with pytest.raises(ModelError, match="marks of images"):
            cnncli.load("odd.safetensors")


@pytest.mark.slow
def test_what_the_first_weights_were_trained_on_counts(home: Path) -> None:
    write_images(home / "others", CLASSES, 6, seed=5)
    run = cnncli.train("others", init="runs/small", epochs=1, name="after")
    assert run.model.seen is not None
    before = cnncli.load("runs/small").seen
    assert before is not None
    assert set(before.tolist()) < set(run.model.seen.tolist())
    assert cnncli.evaluate(run, "photos").trained_on == len(scan("photos").train)
    assert cnncli.evaluate("runs/small", "others").trained_on == 0


def test_those_that_are_none_of_others(home: Path) -> None:
    training = scan("photos").train
    marks = np.array([[of_file(training[3].path), 0]], np.uint64)
    assert unlike(Run("runs/small"), training, marks) == training[:3] + training[4:]
    image = Listed("train", "1", 5, 7)
    assert [image.is_like(marks) for marks in ((5, 7), (5, 0), (0, 7), (6, 7), (7, 5), (6, 8))] == [
        True, True, True, True, False, False]
    assert Listed("train", "1", 0, 0).is_like((0, 0)) is False
    os.remove("runs/small/images.csv")
    assert unlike(Run("runs/small"), training, marks) == training
