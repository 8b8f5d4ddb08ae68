"""cnn runs: what is listed and compared, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnncli.cli import main
from cnncli.runs.run import Run


def make(folder: Path, name: str, accuracies: list[float | None], **recipe: Any) -> Run:
    """Write a run of so many epochs, with a recipe that has something of everything."""
    (folder / name).mkdir(parents=True)
    run = Run(folder / name)
    usual = {"arch": "lenet5", "epochs": len(accuracies), "lr": 0.1, "size": [28, 28], "patience": None,
             "augment": {"shift": 2, "flip": 0.5}}
    run.write_config({"began": "2026-01-02T03:04:05+00:00", "data": "photos", "images": {"train": 90, "val": 10},
                      "recipe": {**usual, **recipe}})
    run.write_history([{"epoch": i + 1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": a and 0.5,
                        "val_accuracy": a, "learning_rate": 0.1, "images_per_second": 9.0, "seconds": 1850.0}
                       for i, a in enumerate(accuracies)])
    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make(Path("runs"), "a", [0.5, 0.9, 0.8])
    make(Path("runs"), "b", [0.5, 0.7], epochs=5, lr=0.05, augment=None)
    make(Path("runs"), "c", [None, None, None])
    Path("runs", "latest").symlink_to("b")
    Path("runs", "notes").mkdir()
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    head, *rows = lines(capsys)
    assert head == ["run", "state", "val", "accuracy", "epochs", "time", "different", "settings"]
    assert {row[0]: row[1:] for row in rows} == {
        "a": ["done", "90.00%", "3", "1:32:30"],
        "b": ["stopped", "70.00%", "2", "1:01:40", "epochs", "5,", "lr", "0.05,", "augment", "none"],
        "c": ["done", "-", "3", "1:32:30"]}


def test_the_folds_of_a_cross_validation_are_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fold, last in ((1, 0.6), (2, 0.7)):
        make(Path("runs"), f"cv-fold{fold}", [0.9, last], fold=[fold, 3], size=[32, 16], lr=0.1 * fold)
    make(Path("runs"), "other-fold2", [0.9, 0.8], fold=None)
    assert main(["runs"]) == 0
    rows = {row[0]: row[1:] for row in lines(capsys)}
    assert rows["cv-fold1"] == ["…", "3", "2", "of", "3", "done", "65.00%", "2", "2:03:20", "size", "32",
                                "x", "16"]
    assert rows["other-fold2"][:3] == ["done", "90.00%", "2"], "it is no fold, whatever its name"
    assert "cv-fold2" not in rows
    make(Path("runs"), "cv-fold3", [0.9, None], fold=[3, 3], size=[32, 16])
    assert main(["runs"]) == 0
    assert {row[0]: row[1:] for row in lines(capsys)}["cv-fold1"][:6] == ["…", "3", "done", "-", "2", "3:05:00"]


def test_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json"]) == 0
    a, b, _ = sorted(json.loads(capsys.readouterr().out)["runs"], key=lambda each: each["run"])
    assert a["settings"]["augment.shift"] == 2
    assert a["settings"]["images.train"] == 90
    assert (a["accuracy"], a["epochs"], a["seconds"], a["trained"]) == (0.9, 3, 5550.0, "2026-01-02T03:04:05+00:00")
    assert b["differs"] == {"epochs": 5, "lr": 0.05, "augment": None}


def test_two_beside_each_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "compare", "a", "runs/latest"]) == 0
    rows = lines(capsys)
    assert ["epochs", "3", "5"] in rows
    assert ["lr", "0.1", "0.05"] in rows
    assert not any(row[:1] == ["arch"] for row in rows)
    assert rows[-3:] == [["1", "50.00%", "50.00%"], ["2", "90.00%", "*", "70.00%", "*"], ["3", "80.00%"]]


def test_what_does_nothing_is_no_difference(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of a setting is true for each run: augment is none for b alone, the schedule is one for all but s."""
    more = {"rotate": 10.0, "flip": False, "hue": 0.0, "magnitude": 9.0, "randaugment": 0}
    make(Path("runs"), "over-aug", [0.5, 0.9, 0.8], augment={"shift": 3, **more}, exclude="928bbf07" * 8)
    make(Path("runs"), "s", [0.5, 0.9, 0.8], schedule={"kind": "step", "factor": 0.1}, exclude=None)
    make(Path("runs"), "t", [0.5, 0.9, 0.8], schedule="one-cycle")
    assert main(["runs", "compare", "a", "b", "over-aug"]) == 0
    rows = lines(capsys)
    assert rows[1:6] == [["epochs", "3", "5", "3"], ["lr", "0.1", "0.05", "0.1"],
                         ["augment.shift", "2", "none", "3"], ["augment.flip", "0.5", "none", "none"],
                         ["augment.rotate", "none", "none", "10"]]
    assert rows[6] == ["exclude", "none", "none", "928bbf07…"]
    assert main(["runs", "compare", "s", "t"]) == 0
    assert lines(capsys)[1:3] == [["schedule.kind", "step", "one-cycle"], ["schedule.factor", "0.1", "none"]]


def test_runs_that_cannot_be_compared_are_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "split,class,path,bytes,file,pixels\n"
    for name, mark in (("a", "0f"), ("b", "0f"), ("c", "0e")):
        Path("runs", name, "images.csv").write_text(f"{head}train,x,x/1.png,9,1,2\nval,x,x/2.png,9,{mark},3\n")
    assert main(["runs", "compare", "a", "b"]) == 0
    assert "compared directly" not in capsys.readouterr().err
    assert main(["runs", "compare", "a", "c"]) == 0
    assert "a and c have different validation images, so their accuracies cannot" in capsys.readouterr().err
    assert main(["runs", "compare", "a", "b", "c"]) == 0
    assert "only within each of these groups: a and b; c." in capsys.readouterr().err
    for name in "ac":
        run = Run(Path("runs", name))
        run.write_config({**run.config, "classes": [name]})
    assert main(["runs", "compare", "a", "c"]) == 0
    assert "a and c have different classes and validation images, so" in capsys.readouterr().err


def test_the_accuracy_is_that_of_the_model_which_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten images cannot tell 0.81 from 0.9, so the later epoch is kept, as training does."""
    make(Path("runs"), "few", [0.5, 0.9, 0.81, 0.6])
    assert main(["runs", "--json"]) == 0
    [few] = [each for each in json.loads(capsys.readouterr().out)["runs"] if each["run"] == "few"]
    assert (few["accuracy"], few["epoch"]) == (0.81, 3)
    assert main(["runs", "compare", "a", "few"]) == 0
    rows = lines(capsys)
    assert ["val", "accuracy", "90.00%", "81.00%"] in rows
    assert ["train", "accuracy", "50.00%", "50.00%"] in rows
    assert ["val", "loss", "0.5000", "0.5000"] in rows
    assert ["train", "loss", "1.0000", "1.0000"] in rows
    assert rows[-2:] == [["3", "80.00%", "81.00%", "*"], ["4", "60.00%"]]


def test_many_epochs_are_drawn_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(Path("runs"), "long", [0.5 + (i == 250) / 10 for i in range(300)])
    run = Run(Path("runs", "long"))
    run.write_config({**run.config, "images": {"train": 90, "val": 10_000}})
    assert main(["runs", "compare", "a", "long"]) == 0
    said = capsys.readouterr()
    epochs = [line.split()[0] for line in said.out.splitlines() if line.strip() and line.split()[0].isdigit()]
    assert (len(epochs), epochs[0], epochs[-1]) == (42, "1", "300")  # 40, and the two whose models are kept
    assert {"2", "251"} < set(epochs)
    assert "42 of 300 epochs, --json has all" in said.err


def test_a_damaged_run_is_listed_as_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/b/config.json").write_text("{", encoding="utf-8")
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "damaged" in out
    assert "config.json cannot be used" in out


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--runs", "gone"], "there is no folder gone"), (["--runs", "runs/notes"], "runs/notes holds no run"),
    (["compare", "a"], "at least two runs"), (["a", "b"], "at least two runs"),
    (["compare", "a", "bb"], "there is no run bb."),
])
def test_what_is_refused(arguments: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "an error of the program itself" not in said


def test_a_sweep_is_named_and_no_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(Path("runs", "s"), "lr=0.1", [0.5])
    Path("runs", "s", "sweep.json").write_text("{}")
    assert main(["runs"]) == 0
    assert "runs/s is a sweep; to list its runs: cnn runs --runs runs/s" in capsys.readouterr().err
    assert main(["runs", "--runs", "runs/s"]) == 0
    assert main(["runs", "compare", "s/lr=0.1", "a"]) == 0
    capsys.readouterr()
    for words in (["runs", "compare", "a", "s"], ["test", "-m", "runs/s"], ["train", "--resume", "s"], ["watch", "s"]):
        assert main(words) in (2, 4)
        assert "runs/s is a sweep of several runs, not a run. To list its runs: cnn runs --runs runs/s" in (
            capsys.readouterr().err)
