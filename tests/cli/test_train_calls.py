"""What cnn train hands to the library and what it says of the answer: with a library that only remembers."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnncli import cli, kernels
from cnncli.cli.command import Size
from cnncli.cli.train import command
from cnncli.cli.train_options import Blocks
from cnncli.evaluation.validated import Validated
from cnncli.runs import CURVES, HISTORY, Run
from cnncli.training import find_lr as rates
from cnncli.training import folds
from cnncli.training import train as training
from cnncli.training.folds import CrossValidation, Fold

from ..small_model import small_model

ROWS = [{"epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": loss, "val_accuracy": accuracy,
         "learning_rate": 0.1, "images_per_second": 10.0, "seconds": 1.0}
        for epoch, (accuracy, loss) in enumerate(((0.5, 1.0), (0.9, 0.5), (0.875, 0.4)), 1)]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the library was given last. Each of its calls returns what stands under "answer"."""
    monkeypatch.chdir(tmp_path)
    last: dict[str, Any] = {}

    def remember(*arguments: Any, observer: Any, **options: Any) -> Any:
        answer = last.pop("answer")
        last.clear()
        last.update(arguments=arguments, observer=observer, options=options)
        return answer

    monkeypatch.setattr(training, "train", remember)
    monkeypatch.setattr(rates, "find_lr", remember)
    monkeypatch.setattr(folds, "cross_validate", remember)
    return last


def a_run(place: str, best: int | None = 3, files: tuple[str, ...] = (CURVES, HISTORY)) -> Run:
    run = Run(place)
    run.path.mkdir(parents=True)
    run.write_history(ROWS)
    run.write_config({"classes": ["a"], "images": {}, "recipe": {}, "samples": {"test": 5}})
    for name in {CURVES, HISTORY} - set(files):
        (run.path / name).unlink(missing_ok=True)
    if CURVES in files:
        (run.path / CURVES).touch()
    model = small_model()
    row = {} if best is None else ROWS[best - 1]
    model.training = {"epoch": best, "val_accuracy": row.get("val_accuracy"), "val_loss": row.get("val_loss")}
    model.save(run.path / "model.safetensors")
    return run


def said_of(answer: Any, given: dict[str, Any], capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
            ) -> tuple[str, str]:
    given["answer"] = answer
    assert cli.main(["train", *arguments]) == code
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("64x48", (48, 64)), ("64×48", (48, 64)),
                                            (" 64X48 ", (48, 64)), ("123456789", (123456789,) * 2), ((3, 4), (3, 4))])
def test_sizes(text: Any, size: tuple[int, int]) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "x", "64x", "x48", "6.4", "1234567890", "1x1234567890", "64x48x3", "-3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Exception, match="the size must be pixels"):
        Size().convert(text, None, None)


def test_blocks() -> None:
    assert [Blocks().convert(value, None, None) for value in ("3", " 12 ", "all", "-3", 7, "1234567890")] == [
        3, 12, "all", "-3", 7, "1234567890"]


def test_options_go_to_the_library_as_they_are(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run("runs/a")
    said_of(run, given, capsys, "data")
    assert given["arguments"] == ("data",)
    options = given["options"]
    assert (options.pop("resume"), options.pop("threads"), options.pop("cache"), options.pop("runs")) == (
        False, kernels.threads(), "auto", "runs")
    assert {name for name, value in options.items() if value is False} == {"probe", "preview", "strict"}
    assert {value for value in options.values() if value is not False} == {None}
    names = {parameter.name for parameter in command.params if parameter.expose_value}
    assert options.keys() == names - {"data", "as_json", "folds", "find_lr", "no_augment", "resume", "cache", "runs",
                                      "live", "port", "tensorboard", "log"}
    said_of(run, given, capsys, "data", "--no-augment", "--grey", "--size", "8x9", "--freeze", "2", "--epochs", "4",
            "--batch-size", "5", "--lr", "0.5", "--warmup", "2", "--weight-decay", "0", "--label-smoothing", "0.2",
            "--ema", "0.5", "--seed", "6", "--split-seed", "7", "--patience", "8", "--exact", "--probe", "--preview",
            "--strict", "--cache", "none", "--resume", "--threads", str(kernels.threads()))
    wanted = {"augment": "none", "grey": True, "size": (9, 8), "freeze": 2, "epochs": 4, "batch_size": 5, "lr": 0.5,
              "warmup": 2.0, "weight_decay": 0.0, "label_smoothing": 0.2, "ema": 0.5, "seed": 6, "split_seed": 7,
              "patience": 8, "exact": True, "probe": True, "preview": True, "strict": True, "cache": "none",
              "resume": "latest"}
    assert given["options"] | wanted == given["options"]
    said_of(run, given, capsys, "--resume", "x", "--colour", "--augment", "photo")
    assert given["arguments"] == (None,)
    assert given["options"] | {"resume": "x", "grey": False, "augment": "photo"} == given["options"]


def test_where_the_model_is(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said_of(a_run("runs/a"), given, capsys, "data")
    assert out == ""
    assert err == ("Best: epoch 3, 87.50% of the validation images right; epoch 2 had 90.00%, but so few images "
                   "cannot tell the two apart.\n"
                   "Model: runs/a/model.safetensors (curves.png and history.csv beside it)\nNext: cnn test\n")
    _, err = said_of(a_run("my runs/b", best=2, files=(HISTORY,)), given, capsys, "data", "--runs", "my runs")
    assert err == ("Best: epoch 2, 90.00% of the validation images right.\n"
                   "Model: my runs/b/model.safetensors (history.csv beside it)\nNext: cnn test -m 'my runs/b'\n")
    known = a_run("runs/known")
    known.write_history([{**row, "train_accuracy": 1.0} for row in known.history])
    assert "Of the training images" not in said_of(known, given, capsys, "data")[1], "100 % and 87.5 %"
    known.write_history([{**row, "train_accuracy": 1.0, "val_accuracy": 0.7} for row in known.history])
    model = known.model
    model.training["val_accuracy"] = 0.7
    model.save(known.path / "model.safetensors")
    assert ("Of the training images, 100.00% are right: the network knows some by heart. More images help.\n"
            in said_of(known, given, capsys, "data")[1])
    equal = a_run("runs/equal")
    equal.write_history([{**row, "val_accuracy": 0.875} for row in equal.history])
    _, err = said_of(equal, given, capsys, "data")
    assert err.startswith("Best: epoch 3, 87.50% of the validation images right.\n")
    run = a_run("runs/e")
    run.write_config({**run.config, "samples": {"test": 0}})
    assert said_of(run, given, capsys, "data")[1].endswith("The split has no test images. To test the model on other "
                                                           "images: cnn test DATA\n")
    run = a_run("runs/c", best=None, files=())
    run.skipped = [("a.png", "a.png is empty.")]
    _, err = said_of(run, given, capsys, "data", code=3)
    assert err == ("Model: runs/c/model.safetensors\nNext: cnn test\n1 image could not be used and was skipped:\n"
                   "  a.png is empty.\n")
    out, _ = said_of(a_run("runs/d"), given, capsys, "data", "--json")
    assert json.loads(out)["run"] == "d"
    assert given["observer"]._to_stdout is False


def found_rates(**changes: Any) -> Any:
    found = {"picture": Path("runs/lr.png"), "losses": [1.0] * 7, "rates": [1e-5, 0.0123], "stopped": None,
             "suggestion": 0.0151, "lowest": 0.0449, **changes}
    return SimpleNamespace(**found, as_json=lambda: {"suggestion": found["suggestion"]})


def test_what_is_said_of_learning_rates(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said_of(found_rates(), given, capsys, "data", "--find-lr")
    assert out == "suggested learning rate: 0.0151\n"
    assert err == ("runs/lr.png: the loss of 7 steps with a growing learning rate, up to 0.012.\n"
                   "It is a third of 0.045, where the loss was lowest. To train with it, add: --lr 0.0151\n")
    assert not {"name", "preview", "find_lr", "resume", "folds"} & given["options"].keys()
    assert given["observer"]._to_stdout is True
    out, err = said_of(found_rates(stopped=0.567), given, capsys, "data", "--find-lr", "--json")
    assert json.loads(out) == {"suggestion": 0.0151}
    assert "with a growing learning rate; it diverged at 0.57.\n" in err
    assert given["observer"]._to_stdout is False
    out, err = said_of(found_rates(suggestion=None), given, capsys, "data", "--find-lr", code=1)
    assert out == ""
    assert "so there is no suggestion" in err
    assert "lowest" not in err
    for flags in (["--resume"], ["--folds", "3"], ["--time", "5m"], ["--name", "x"], ["--preview"]):
        _, err = said_of(None, given, capsys, "data", "--find-lr", *flags, code=2)
        assert f"--find-lr and {flags[0]} cannot be given together" in err
    _, err = said_of(None, given, capsys, "--find-lr", code=2)
    assert "there are no images; give a folder" in err


def test_what_is_said_of_folds(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    each = [SimpleNamespace(run=Run(f"runs/a-fold{i}"), image_count=1234, epoch=i, val_loss=0.12345, val_accuracy=0.9,
                            last_accuracy=0.8) for i in (1, 2)]
    found = SimpleNamespace(folds=each, mean=0.9, deviation=0.0123, last_mean=0.8, last_deviation=0.0234, skipped=[],
                            path=Path("runs/a-fold2/folds.json"),
                            last_interval=(0.5, 1.0), image_count=2468, last_right=1974, groups=[], classes=[],
                            group_interval=None, as_json=lambda: {"mean": 0.9})
    out, err = said_of(found, given, capsys, "data", "--folds", "2")
    assert given["arguments"] == ("data", 2)
    assert given["options"]["resume"] is False
    lines = out.splitlines()
    assert lines[0] == ""
    assert lines[1].split() == ["run", "images", "best", "epoch", "val", "loss", "val", "accuracy", "last", "epoch"]
    assert lines[2].split() == ["a-fold1", "1,234", "1", "0.1235", "90.00%", "80.00%"]
    assert lines[4:] == [
        "",
        "accuracy of 2 folds: 80.00% ± 2.34% (mean, standard deviation over folds), after the last epoch",
        "          50.00% to 100.00% is the 95 % interval of the mean",
        "          1,974 of 2,468 images right, each judged by the fold that did not learn it",
        "          90.00% ± 1.23% after the best epochs. This is a little too high, because the same images chose "
        "these epochs."]
    assert err == ("Written to runs/a-fold2/folds.json; runs/a-fold2/folds.csv has the answer for each image.\n"
                   "Next: to get a model for use, train with the same options, without --folds.\n")
    assert given["observer"]._to_stdout is True
    found.skipped = [("a.png", "is empty")]
    out, _ = said_of(found, given, capsys, "data", "--folds", "2", "--json", "--resume", "x", code=3)
    assert json.loads(out) == {"mean": 0.9}
    assert given["options"]["resume"] == "x"
    assert given["observer"]._to_stdout is False


def test_what_is_said_of_the_groups_of_folds(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    def fold_of(fold: int, *groups: tuple[str, int, int]) -> Fold:
        answers = [Validated(f"{name}/{i}", "cat", "cat" if i < right else "dog", 0.9, name)
                   for name, count, right in groups for i in range(count)]
        return Fold(fold, Run(f"runs/a-fold{fold}"), len(answers), 1, 0.1, 0.9, 0.8, answers)

    folds = [fold_of(1, ("s2", 4, 3), ("s3", 2, 2)), fold_of(2, ("s1", 1234, 617))]
    found = CrossValidation("a", folds, class_names=["cat", "dog"])
    lines = said_of(found, given, capsys, "data", "--folds", "2")[0].splitlines()
    assert [line.split() for line in lines[5:9]] == [
        ["group", "run", "images", "last", "epoch"], ["s1", "a-fold2", "1,234", "50.00%"],
        ["s2", "a-fold1", "4", "75.00%"], ["s3", "a-fold1", "2", "100.00%"]]
    assert [line.split() for line in lines[10:13]] == [
        ["class", "precision", "recall", "F1", "images"], ["cat", "100.0%", "50.2%", "0.668", "1,240"],
        ["dog", "0.0%", "-", "0.000", "0"]]
    assert lines[9] == lines[13] == ""
    low, high = found.group_interval or (0, 1)
    assert lines[17] == f"          {low:.2%} to {high:.2%} for images of new groups, by the 3 groups tested"
    folds[0] = fold_of(1, *((f"g{i:03}", 10, i % 10) for i in range(400)))
    lines = said_of(found, given, capsys, "data", "--folds", "2")[0].splitlines()
    assert [line.split()[0] for line in lines[6:36]] == [f"g{i:03}" for i in range(0, 300, 10)]
    assert lines[36] == "These are the 30 groups with the lowest accuracy of 401; folds.json has all."


def test_help_shows_what_is_taken_where_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for name, defaults in (("train", ["auto", "runs"]), ("check", ["0", "error"])):
        assert cli.main([name, "--help"]) == 0
        out = " ".join(capsys.readouterr().out.split())
        for default in defaults:
            assert f"[default: {default}]" in out, default
