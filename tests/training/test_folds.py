"""cross_validate: the folds' runs, what they reach together, and going on after any stop to the same bits."""

import csv
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import cli, cross_validate, evaluate
from cnncli.data import scan
from cnncli.errors import DataError, Interrupted, UsageError
from cnncli.evaluation.intervals import of_groups
from cnncli.evaluation.scores import class_scores
from cnncli.runs import Run
from cnncli.runs.samples import fingerprint, scan_fold
from cnncli.training.observer import Observer

from .conftest import Train
from .test_resume import At, interrupt, outcome


@pytest.fixture
def begin(train: Train, shared: Path, tmp_path: Path) -> dict[str, Any]:
    """What cross_validate takes for quick trainings."""
    return {"data": shared / "data", "folds": 3, "arch": str(shared / "net.toml"), "epochs": 2, "batch_size": 8,
            "runs": tmp_path / "runs"}


@pytest.mark.slow
def test_each_image_but_the_test_images_is_validated_on_once(begin: dict[str, Any], shared: Path) -> None:
    found = cross_validate(**begin, name="cv", seed=4)
    assert [fold.run.name for fold in found.folds] == ["cv-fold1", "cv-fold2", "cv-fold3"]
    splits = scan(shared / "data", seed=4)
    assert sum(fold.image_count for fold in found.folds) == len(splits.train) + len(splits.val)
    for fold in found.folds:
        config = fold.run.config
        assert config["recipe"]["seed"] == 4
        assert config["recipe"]["fold"] == [fold.fold, 3]
        assert config["samples"] == fingerprint(scan_fold(str(shared / "data"), 4, (fold.fold, 3)))
        best = max(row["val_accuracy"] for row in fold.run.history)
        assert fold.val_accuracy == pytest.approx(best, rel=1e-6)
        assert fold.last_accuracy == pytest.approx(fold.run.history[-1]["val_accuracy"], rel=1e-6)
        right = fold.last_accuracy * fold.image_count
        assert right == pytest.approx(round(right), abs=1e-9)
    accuracies = [fold.val_accuracy for fold in found.folds]
    assert found.mean == statistics.fmean(accuracies)
    assert found.deviation == statistics.stdev(accuracies)
    assert found.last_mean == statistics.fmean(fold.last_accuracy for fold in found.folds)
    assert found.path == begin["runs"] / "cv-fold3" / "folds.json"
    said = json.loads(found.path.read_text())
    assert said["last_interval"] == list(found.last_interval)
    tested = [evaluate(str(fold.run.path / "last.safetensors"), split="val", compare=False) for fold in found.folds]
    matrix = sum(each.confusion_matrix for each in tested)
    assert found.confusion_matrix is not None
    assert found.confusion_matrix.tolist() == said["confusion_matrix"] == matrix.tolist()
    assert found.classes == class_scores(matrix, tested[0].class_names)
    rows = list(csv.DictReader(found.path.with_name("folds.csv").read_text().splitlines()))
    assert {row["path"] for row in rows} == {s.relative for s in splits.train + splits.val}
    assert sum(row["label"] == row["answer"] for row in rows) == found.last_right
    assert [row["fold"] for row in rows] == [str(fold.fold) for fold in found.folds for _ in range(fold.image_count)]
    lost = replace(found, folds=[replace(found.folds[0], answers=[]), *found.folds[1:]])
    assert (lost.confusion_matrix, lost.classes, lost.as_json()["confusion_matrix"]) == (None, [], None)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 8, 9, 17, 24])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(begin: dict[str, Any], step: int) -> None:
    expected = [outcome(fold.run) for fold in cross_validate(**begin, name="whole").folds]
    observer = At(interrupt, steps=step)
    with pytest.raises(Interrupted, match=r"continue with: cnn train --folds 3 --resume stopped --runs ") as caught:
        cross_validate(**begin, name="stopped", observer=observer)
    again = cross_validate(None, 3, resume=caught.value.run)
    assert again.name == "stopped"
    assert [outcome(fold.run) for fold in again.folds] == expected
    finished = cross_validate(None, 3, resume=True, runs=begin["runs"])
    assert [outcome(fold.run) for fold in finished.folds] == expected


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 7, 12])
def test_folds_that_are_made_longer_and_stopped_are_all_as_long_in_the_end(begin: dict[str, Any], step: int) -> None:
    cross_validate(**begin, name="whole")
    whole = cross_validate(None, 3, resume="whole", epochs=3, runs=begin["runs"])
    expected = [outcome(fold.run) for fold in whole.folds]
    cross_validate(**begin, name="stopped")
    with pytest.raises(Interrupted, match=r"continue with: cnn train --folds 3 --resume stopped --runs "):
        cross_validate(None, 3, resume="stopped", epochs=3, runs=begin["runs"], observer=At(interrupt, steps=step))
    again = cross_validate(None, 3, resume="stopped", runs=begin["runs"])
    assert [outcome(fold.run) for fold in again.folds] == expected


@pytest.mark.slow
def test_it_is_not_resumed_as_something_else(begin: dict[str, Any], train: Train) -> None:
    runs = begin["runs"]
    with pytest.raises(Interrupted):
        cross_validate(**begin, name="cv", observer=At(interrupt, steps=10))
    for wrong, words in (({"folds": 4}, "folds=3"), ({"resume": "nix"}, "no cross-validation nix"),
                         ({"lr": 0.5}, "leave lr out"), ({"name": "other"}, "leave name out")):
        with pytest.raises(UsageError, match=words):
            cross_validate(**{"data": None, "folds": 3, "resume": "cv", "runs": runs, **wrong})
    train(name="plain")
    train(name="like-fold1")
    with pytest.raises(UsageError, match=r"latest run of .* is no fold|is no fold of a cross-validation"):
        cross_validate(None, 3, resume=True, runs=runs)
    with pytest.raises(UsageError, match="is no fold of a cross-validation"):
        cross_validate(None, 3, resume="like", runs=runs)
    assert len(cross_validate(None, 3, resume="cv-fold1", runs=runs).folds) == 3


def test_nothing_begins_where_something_is_in_the_way(begin: dict[str, Any]) -> None:
    taken = Path(begin["runs"], "cv-fold3")
    taken.mkdir(parents=True)
    for wrong, words in (({"name": "cv"}, "cv-fold3"), ({"folds": 1}, "a whole number from 2 to"),
                         ({"time": "5m"}, "epochs"),
                         ({"data": None}, "no images"), ({"name": "a/b"}, "name")):
        with pytest.raises(UsageError, match=words):
            cross_validate(**{**begin, **wrong})
    assert [path.name for path in Path(begin["runs"]).iterdir()] == ["cv-fold3"]


@pytest.mark.slow
def test_names_are_free_and_follow_the_architecture(begin: dict[str, Any]) -> None:
    Path(begin["runs"], "net-1").mkdir(parents=True)
    Path(begin["runs"], "net-2-fold3").mkdir()
    assert cross_validate(**{**begin, "folds": 2, "epochs": 1}).name == "net-3"


@pytest.mark.slow
def test_a_fold_alone_resumes_and_is_tested_on_what_it_never_saw(
    begin: dict[str, Any], shared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(begin["runs"]).parent)
    found = cross_validate(**begin, name="cv")
    for split, count in (("test", len(scan(shared / "data").test)), ("val", found.folds[1].image_count)):
        assert cli.main(["test", "-m", "runs/cv-fold2", "--split", split, "--json", "--out", "out"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["images"] == count
        assert "has changed" not in err
        if split == "val":
            assert json.loads(out)["accuracy"] == found.folds[1].val_accuracy


@pytest.mark.slow
def test_each_group_is_judged_by_the_fold_that_did_not_learn_it(begin: dict[str, Any]) -> None:
    heard: list[str] = []
    observer = Observer()
    observer.note = heard.append  # type: ignore[method-assign]
    found = cross_validate(**{**begin, "epochs": 1}, name="cv", group_by=r"/0*(\d)", observer=observer)
    for fold in found.folds:
        tested = evaluate(fold.run, split="val", compare=False)
        assert fold.groups == tested.groups
        assert not any("cross-validation" in note for note in tested.notes), "that is what it is a fold of"
        assert sum(group.image_count for group in fold.groups) == fold.image_count
        assert sum(group.right for group in fold.groups) == round(fold.last_accuracy * fold.image_count)
    names = [group.name for group in found.groups]
    assert names == sorted(set(names))
    assert len(names) == sum(found.folds[0].run.config["groups_by_split"][split] for split in ("train", "val"))
    groups = found.groups
    assert found.group_interval == of_groups([group.right for group in groups], [group.image_count for group in groups])
    said = json.loads(found.path.read_text())
    assert said["group_interval"] == list(found.group_interval or ())
    assert [(each["name"], each["images"], each["right"]) for each in said["groups"]] == [
        (group.name, group.image_count, group.right) for group in groups]
    of_second = {group.name for group in found.folds[1].groups}
    assert {each["name"] for each in said["groups"] if each["fold"] == 2} == of_second
    assert found.warning is None
    firsts = [[row for row in fold.answers if row.group == fold.groups[0].name] for fold in found.folds]
    few = replace(found, folds=[replace(fold, answers=first, image_count=len(first))
                                for fold, first in zip(found.folds, firsts, strict=True)])
    assert few.warning == (f"The images tested come from 3 groups ({', '.join(g.name for g in few.groups)}). That is "
                           "few for a statement about new groups.")
    again = cross_validate(None, 3, resume="cv", runs=begin["runs"])
    assert again.groups == groups, "the runs keep them"
    (found.folds[1].run.path / "validated.csv").unlink()
    again = cross_validate(None, 3, resume="cv", runs=begin["runs"])
    assert (again.groups, again.group_interval, again.as_json()["groups"]) == ([], None, None)
    assert again.warning == ("Classes and groups are not scored, because validated.csv of cv-fold2 is missing or "
                             "damaged. A training of more epochs writes it again.")


@pytest.mark.slow
def test_few_groups_of_folds_are_warned_of(begin: dict[str, Any], tmp_path: Path) -> None:
    heard: list[str] = []
    observer = Observer()
    observer.note = heard.append  # type: ignore[method-assign]
    names = sorted(path.relative_to(begin["data"]).as_posix() for path in begin["data"].rglob("*.png"))
    table = tmp_path / "groups.csv"
    table.write_text("file,group\n" + "\n".join(f"{name},g{i % 4}" for i, name in enumerate(names)))
    found = cross_validate(**{**begin, "epochs": 1, "folds": 2}, group_by=table, observer=observer)
    assert len(found.groups) == 3
    assert found.warning
    assert heard[-1] == f"Warning: {found.warning}"


@pytest.mark.slow
def test_the_command_prints_each_fold_and_mean_and_deviation(
    begin: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(begin["runs"]).parent)
    flags = ["train", str(begin["data"]), "--arch", begin["arch"], "--epochs", "2", "--batch-size", "8", "--folds", "2"]
    assert cli.main([*flags, "--name", "cv"]) == 0
    out, _ = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line.strip().startswith("cv-fold")] == ["cv-fold1", "cv-fold2"]
    assert sum(line.strip().startswith("2/2") for line in lines) == 2
    mean = next(i for i, line in enumerate(lines) if line.startswith("accuracy of 2 folds:"))
    assert [line.split()[0] for line in lines[mean - 5 : mean - 1]] == ["class", "ant", "bee", "cat"]
    assert cli.main(["train", "--folds", "2", "--resume", "cv", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [fold["run"] for fold in result["folds"]] == ["cv-fold1", "cv-fold2"]
    best = result["mean"] != result["last_mean"]
    assert (f"{result['mean']:.2%} ± {result['deviation']:.2%} after the best epochs" in lines[-1]) == best
    assert Run("runs/cv-fold1").history


@pytest.mark.slow
def test_validation_folders_of_ones_own_are_dealt_out_too(begin: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "own"
    for split in ("train", "val", "test"):
        shutil.copytree(begin["data"], data / split)
    found = cross_validate(**{**begin, "data": data, "epochs": 1, "folds": 2})
    assert sum(fold.image_count for fold in found.folds) == 2 * 42


def test_a_fold_without_images_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    images = np.zeros((10, 8, 8), np.uint8)
    with pytest.raises(DataError, match=r"there are 8 images beside the test images, and 9 folds .*; give folds=8\."):
        cross_validate((images, [0, 1] * 5), 9, arch="lenet5", epochs=1, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
