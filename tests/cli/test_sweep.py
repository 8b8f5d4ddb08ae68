"""cnn sweep: the table, the JSON, and what is said of the best run."""

import json
import os
import sys
from pathlib import Path

import pytest

from cnncli.cli import main
from cnncli.training import train as training

from ..pictures import make_folder, make_network

COMMON = ["--arch", "net.toml", "--epochs", "1", "--batch-size", "8"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    make_folder(tmp_path / "data")
    make_network(tmp_path / "net.toml")
    return tmp_path


@pytest.mark.slow
def test_table_and_json_say_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "data", "lr=1e6,0.01,0.1", *COMMON, "--no-augment"]) == 0
    out, err = capsys.readouterr()
    table = out.split("\n\n")[1].splitlines()
    assert table[0].split() == ["run", "val", "accuracy", "val", "loss", "best", "epoch", "epochs", "time"]
    assert main(["sweep", "--resume", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in table[1:4]] == [each["run"] for each in found["runs"]]
    assert table[3].split() == ["lr=1e+06", "failed"]
    assert table[4].startswith("lr=1e+06: epoch 1, ")
    for line, each in zip(table[1:3], found["runs"], strict=False):
        assert line.split()[1:3] == [f"{each['val_accuracy']:.2%}", f"{each['val_loss']:.4f}"]
    assert found["best"] == found["runs"][0]["run"]
    assert f"of {found['validation_images']} validation images right." in err
    assert err.splitlines()[-1] == f"Next: cnn test -m runs/sweep-1/{found['best']}"
    assert found["picture"] == "runs/sweep-1/sweep.png"
    assert "\nThe runs beside each other, and what each setting reached: runs/sweep-1/sweep.png\n" in err
    named = " ".join(each["run"] for each in found["runs"][:2])
    assert f"To see 2 beside each other: cnn watch {named} --runs runs/sweep-1" in err
    assert f"To compare them epoch by epoch: cnn runs compare {named} --runs runs/sweep-1" in err
    assert err.count("Images are not changed") <= 1  # what is the same for all is said once
    assert main(["test", "-m", f"runs/sweep-1/{found['best']}", "--out", "out"]) == 0
    assert main(["runs", "--runs", "runs/sweep-1"]) == 0


@pytest.mark.slow
def test_where_nothing_ends_well_the_exit_code_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "lr=1e6", "data", *COMMON]) == 1  # in any order
    assert "No run has finished" in capsys.readouterr().err
    assert not (here / "runs" / "sweep-1" / "sweep.png").exists()


@pytest.mark.parametrize(("words", "said"), [
    (["data", "lr=0.1", "--folds", "3"], "leave --folds out"),
    (["data", "lr=0.1", "--optuna", "3"], "--optuna needs the package optuna; get it with: "),
    (["lr=0.1"], "there are no images; give a folder"),
    (["data", "lr=0.1", "--no-augment", "--augment", "flip"], "--no-augment cannot be given together"),
])  # fmt: skip
def test_what_is_refused(here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str],
                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["sweep", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "runs").exists()
