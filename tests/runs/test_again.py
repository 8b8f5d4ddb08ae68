"""runs/again.py: the whole command that cross-validates as a run was trained."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from cnncli.runs import Run
from cnncli.runs.again import changed_command, folds_command


def a_run(here: Path, config: dict[str, Any], recipe: dict[str, Any] | None = None, runs: str = "runs") -> Run:
    """Return a run of that folder's "my data"."""
    folder = here / runs / "pre"
    folder.mkdir(parents=True, exist_ok=True)
    (here / "my data").mkdir(exist_ok=True)
    whole = {"data": str(here / "my data"), "recipe": {"arch": "lenet5", "epochs": 9, "size": [8, 8], **(recipe or {})},
             **config}
    (folder / "config.json").write_text(json.dumps(whole))
    return Run(folder if runs != "runs" else Path("runs/pre"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(run: Run) -> list[str]:
    found = folds_command(run, 3)
    assert found is not None
    return shlex.split(found.partition(": ")[2])


def test_it_has_what_was_asked_for_and_can_be_typed(here: Path) -> None:
    from cnncli import cli
    from cnncli.cli.train import command as train

    asked = {"arch": "nets/my net.toml", "size": [48, 64], "grey": False, "lr": 0.01, "epochs": 5, "exact": True,
             "split_seed": 2, "augment": False, "init": "none", "range": [0, 4095], "class_weights": "balanced"}
    (here / "table.csv").write_text("file,label\n")
    run = a_run(here, {"asked": asked, "groups": {"pattern": r"(s\d+)_", "table": {}, "name": "x"}, "excluded": ["a"],
                       "labels": {"name": "table.csv", "images": [["a", "b", None, 2]]}})
    words = command(run)
    assert words == ["cnn", "train", str(here / "my data"), r"--group-by=(s\d+)_", f"--labels={here / 'table.csv'}",
                     "--exclude=LIST.txt", "--arch", "nets/my net.toml", "--size", "64x48", "--colour", "--lr", "0.01",
                     "--epochs", "5", "--exact", "--split-seed", "2", "--augment", "none", "--init", "none", "--range",
                     "0:4095", "--class-weights", "balanced", "--folds", "3", "--name", "pre-folds"]
    assert (folds_command(run, 3) or "").startswith(
        " (give for LIST.txt the file that the run was trained with): cnn train ")
    typed = train.make_context("train", words[2:])
    assert (typed.params["size"], typed.params["folds"], typed.params["group_by"]) == ((48, 64), 3, r"(s\d+)_")
    assert cli.COMMANDS["train"]


def test_the_list_of_images_to_leave_out_is_the_users_as_long_as_it_lists_them(here: Path) -> None:
    path = here / "left out.txt"
    path.write_text("ant/1.png\nbee/2.png\n")
    config = {"asked": {"exclude": str(path)}, "excluded": ["ant/1.png", "bee/2.png"]}
    assert command(a_run(here, config))[3] == f"--exclude={path}"
    assert (folds_command(a_run(here, config), 3) or "").startswith(": cnn train ")
    for changed in ("ant/1.png\n", '"not well quoted\n'):
        path.write_text(changed)
        assert command(a_run(here, config))[3] == "--exclude=LIST.txt", changed
    path.unlink()
    assert command(a_run(here, config))[3] == "--exclude=LIST.txt"
    assert command(a_run(here, {**config, "asked": {"exclude": 3}}))[3] == "--exclude=LIST.txt"


def test_time_becomes_epochs_and_what_cannot_be_typed_is_named(here: Path) -> None:
    run = a_run(here, {"asked": {"time": 60.0, "augment": {"flip": True}}})
    assert command(run)[3:] == ["--epochs", "9", "--folds", "3", "--name", "pre-folds"]
    assert (folds_command(run, 3) or "").startswith(" (give augment, from Python, as there): cnn")


def test_an_earlier_version_did_not_say_what_was_asked(here: Path) -> None:
    assert command(a_run(here, {}))[3:] == ["--arch", "lenet5", "--size", "8", "--epochs", "9", "--init", "none",
                                            "--folds", "3", "--name", "pre-folds"]
    probed = a_run(here, {}, {"probe": True, "init": "efficientnet_lite0"})
    assert command(probed)[3:10] == ["--arch", "lenet5", "--size", "8", "--init", "efficientnet_lite0", "--probe"]


def test_the_name_is_free_and_the_folder_of_the_runs_the_same(here: Path) -> None:
    run = a_run(here, {"asked": {}}, runs="other runs")
    (here / "other runs" / "pre-folds-fold1").mkdir()
    assert command(run)[3:] == ["--folds", "3", "--name", "pre-folds2", "--runs", str(here / "other runs")]


def test_there_is_none_for_a_fold_arrays_or_no_run(here: Path) -> None:
    assert folds_command(None, 3) is None
    assert folds_command(a_run(here, {}, {"fold": [1, 3]}), 3) is None
    assert folds_command(a_run(here, {"data": None}), 3) is None
    assert folds_command(a_run(here, {"recipe": 3}), 3) is None


def test_a_training_with_a_change(here: Path) -> None:
    run = a_run(here, {"asked": {"arch": "resnet50", "init": "other", "freeze": "all", "size": 300, "lr": 0.1}})
    data = f"'{here / 'my data'}'"
    assert changed_command(run, "--arch resnet20") == (
        f": cnn train {data} --size 300 --lr 0.1 --arch resnet20 --name pre-again")
    assert changed_command(run, "--size 224") == (
        f": cnn train {data} --arch resnet50 --init other --freeze all --lr 0.1 --size 224 --name pre-again")
    assert changed_command(None, "--size 224") == ": cnn train DATA --size 224"
