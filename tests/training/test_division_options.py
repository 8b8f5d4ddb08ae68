"""split_seed, group_by and labels of ``cnncli.train``: the run remembers how its images were labelled and divided, so
that test, resuming and folds see the same images on the same sides."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.data import scan
from cnncli.errors import DataError, UsageError
from cnncli.runs.samples import of_run
from cnncli.training.options import Options

from .conftest import Train


def flat(shared: Path, folder: Path, split: bool = False) -> Path:
    """Copy the images of data/ into one folder, and write the table beside it. Return the table."""
    folder.mkdir()
    lines = []
    for path in sorted((shared / "data").rglob("*.png")):
        name = f"{path.parent.name}_{path.name}"
        shutil.copy(path, folder / name)
        part = ("train", "val", "test", "train")[len(lines) % 4]
        lines.append(f"{name},{path.parent.name}" + f",{part}" * split)
    table = folder.parent / "labels.csv"
    table.write_text("file,label" + ",split" * split + "\n" + "\n".join(lines))
    return table


def paths(run, data: Path) -> list[list[str]]:
    splits = of_run(run, data)
    return [[s.relative for s in split] for split in (splits.train, splits.val, splits.test)]


@pytest.mark.slow
def test_the_splits_seed_is_apart_from_the_others(train: Train, shared: Path) -> None:
    data = shared / "data"
    plain, other, again = train(epochs=1), train(epochs=1, seed=7, split_seed=0), train(epochs=1, split_seed=7)
    assert paths(plain, data) == paths(other, data) != paths(again, data)
    assert paths(again, data)[2] == [s.relative for s in scan(data, seed=7).test]
    assert plain.model.training["recipe"].keys() == {*other.model.training["recipe"]} - {"split_seed"}
    weights = [run.model.network.parameters() for run in (plain, other)]
    assert any((weights[0][name] != weights[1][name]).any() for name in weights[0])
    assert len(train(resume=other.path, split_seed=0, epochs=2).history) == 2
    assert len(train(resume=plain.path, split_seed=0, epochs=2).history) == 2, "the seed that it was drawn by"
    with pytest.raises(UsageError, match="split seed 0"):
        train(resume=other.path, split_seed=1, epochs=3)
    with pytest.raises(UsageError, match="the split seed must be a whole number from 0"):
        Options(split_seed=-1)


@pytest.mark.slow
def test_an_ordinary_run_says_nothing_of_it(train: Train) -> None:
    run = train(epochs=1)
    assert not {"labels", "groups"} & run.config.keys()
    assert not {"labels", "group_by", "split_seed"} & run.config["recipe"].keys()


@pytest.mark.slow
def test_groups_are_remembered(train: Train, shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    table = tmp_path / "groups.csv"
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    table.write_text("file,group\n" + "\n".join(f"{name},g{i % 7}" for i, name in enumerate(names)))
    run = train(group_by=table, epochs=1)
    splits = of_run(run, data)
    table.unlink()
    assert {s.group for s in splits.train}.isdisjoint({s.group for s in splits.val + splits.test})
    assert cnncli.evaluate(run).image_count == len(splits.test) > 0
    assert len(train(resume=run.path, epochs=2).history) == 2
    with pytest.raises(UsageError, match="leave group_by out"):
        train(resume=run.path, group_by=r"(\d)\.png", epochs=3)
    pattern = train(group_by=r"/0*(\d)", epochs=1)
    assert pattern.config["recipe"]["group_by"] == r"/0*(\d)"
    assert len(train(resume=pattern.path, group_by=r"/0*(\d)", epochs=2).history) == 2


@pytest.mark.slow
def test_labels_are_remembered(train: Train, shared: Path, tmp_path: Path) -> None:
    table = flat(shared, tmp_path / "flat")
    run = train(data=tmp_path / "flat", labels=table, epochs=1)
    assert run.config["classes"] == scan(shared / "data").classes
    before = paths(run, tmp_path / "flat")
    table.write_text("file,label\n")  # a run needs it no more
    assert paths(run, tmp_path / "flat") == before
    assert cnncli.evaluate(run).image_count == len(before[2])
    assert cnncli.evaluate(run, tmp_path / "flat", split="val").image_count == len(before[1])
    assert len(train(resume=run.path, epochs=2).history) == 2
    with pytest.raises(UsageError, match="labels another table"):
        train(resume=run.path, labels=flat(shared, tmp_path / "other", split=True), epochs=3)


@pytest.mark.slow
def test_labels_with_splits_and_groups(train: Train, shared: Path, tmp_path: Path) -> None:
    table = flat(shared, tmp_path / "flat", split=True)
    run = train(data=str(tmp_path / "flat"), labels=str(table), group_by=r"(\d)\.png", epochs=1)
    assert run.config["samples"]["test"] == sum(",test" in line for line in table.read_text().split("\n"))
    assert cnncli.evaluate(run).image_count == run.config["samples"]["test"]


@pytest.mark.slow
def test_folds_and_the_range_test(train: Train, shared: Path, tmp_path: Path) -> None:
    table = flat(shared, tmp_path / "flat")
    options = {"arch": str(shared / "net.toml"), "batch_size": 8, "runs": tmp_path / "runs", "labels": table,
               "group_by": r"(\d+)\.png", "split_seed": 3}
    found = cnncli.cross_validate(tmp_path / "flat", 2, name="cv", epochs=1, **options)
    parts = [of_run(fold.run, tmp_path / "flat") for fold in found.folds]
    for part in parts:
        assert {s.group for s in part.train}.isdisjoint({s.group for s in part.val})
    assert parts[0].test == parts[1].test
    assert not {s.relative for s in parts[0].val} & {s.relative for s in parts[1].val}
    shutil.rmtree(tmp_path / "runs" / "cv-fold2")
    table.unlink()
    again = cnncli.cross_validate(None, 2, resume="cv", runs=tmp_path / "runs")
    assert of_run(again.folds[1].run, tmp_path / "flat").val == parts[1].val
    table = flat(shared, tmp_path / "flat2")
    assert cnncli.find_lr(tmp_path / "flat2", **{**options, "labels": table}).losses


@pytest.mark.slow
def test_arrays_have_groups_and_no_table(train: Train, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (48, 12, 12), np.uint8), np.arange(48) % 2
    groups = np.arange(48) // 6
    run = train(data=data, group_by=groups, epochs=1, augment="none")
    splits = of_run(run, data)
    assert {s.group for s in splits.train}.isdisjoint({s.group for s in splits.test})
    assert cnncli.evaluate(run, data).image_count == 6
    with pytest.raises(UsageError, match="give arrays with their labels"):
        train(data=data, labels=write(tmp_path / "l.csv"), epochs=1)


def write(path: Path) -> Path:
    path.write_text("file,label\na.png,b\n")
    return path


def test_what_is_refused_before_anything_is_written(train: Train, shared: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 of .*l.csv: there is no file"):
        train(labels=write(tmp_path / "l.csv"))
    with pytest.raises(UsageError, match=r"cnn train FOLDER --labels FILE.csv"):
        train(data=None, labels=tmp_path / "l.csv")
    with pytest.raises(DataError, match="finds no group"):
        train(group_by="slide")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("entry", [{"labels": {"name": 3}}, {"groups": {"pattern": "("}}])
def test_a_config_that_was_tampered_with(train: Train, shared: Path, entry: dict[str, object]) -> None:
    run = train(epochs=1)
    path = run.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entry}))
    with pytest.raises(DataError, match="not as cnn wrote them; put the file back as it was, or train again"):
        cnncli.evaluate(run.path)


@pytest.mark.slow
def test_other_images_are_judged_by_a_table(train: Train, shared: Path, tmp_path: Path) -> None:
    run = train(epochs=1)
    table = flat(shared, tmp_path / "flat", split=True)
    lines = table.read_text().split("\n")
    told: list[str] = []
    found = cnncli.evaluate(run, tmp_path / "flat", labels=table, compare=False, note=told.append)
    assert found.image_count == sum(line.endswith(",test") for line in lines)
    assert any(note == f"The images of test in {table} are used." for note in told)
    assert cnncli.evaluate(run, tmp_path / "flat", labels=table, split="val", compare=False).image_count == sum(
        line.endswith(",val") for line in lines)
    only = tmp_path / "only.csv"
    only.write_text("\n".join([lines[0], *(line for line in lines if line.endswith(",test"))]))
    assert cnncli.evaluate(run, tmp_path / "flat", labels=only, compare=False).accuracy == found.accuracy
    only.write_text("file,label\n" + "\n".join(line.rpartition(",")[0] for line in lines[1:]))
    assert cnncli.evaluate(run, tmp_path / "flat", labels=only, compare=False).image_count == len(lines) - 1
    only.write_text(f"file,label\n{lines[1].split(',')[0]},hippo\n")
    with pytest.raises(DataError, match=r"only.csv has images of hippo, which the model does not know"):
        cnncli.evaluate(run, tmp_path / "flat", labels=only)
    with pytest.raises(UsageError, match=r"cnn test DATA --labels FILE.csv"):
        cnncli.evaluate(run, labels=table)
