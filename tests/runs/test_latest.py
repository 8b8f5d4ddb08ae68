"""runs/latest.py and runs/opened.py: which run's model is taken where none is named, what is said of it and of newer
ones that are not taken, and which run a bare --resume means."""

import json
import os
import shutil
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cnncli import cli
from cnncli.errors import Interrupted, TrainingError, UsageError
from cnncli.runs import HISTORY, MODEL, Run, RunLock, end_latest, find_run, latest_run, newest_run
from cnncli.runs.latest import point_latest, run_to_use
from cnncli.runs.opened import open_model

from ..training.test_resume import At, interrupt

BEGAN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def make(name: str, minutes: int | None, epochs: int = 3, model: bool = True, of: int = 3) -> Run:
    """Make a run that began so many minutes after the first, None of an earlier version, and did so many epochs."""
    run = Run(Path("runs", name))
    shutil.copytree("runs/small", run.path)
    config = {**run.config, "recipe": {**run.config["recipe"], "epochs": of}}
    config.pop("began", None)
    if minutes is not None:
        config["began"] = (BEGAN + timedelta(minutes=minutes)).isoformat()
    run.write_config(config)
    row = run.history[0]
    run.write_history([{**row, "epoch": i + 1} for i in range(epochs)])
    if not model:
        (run.path / MODEL).unlink()
    return run


@pytest.fixture
def runs(home: Path) -> Path:
    """Two runs that were trained to their ends; runs/latest leads to the second."""
    make("first", 0)
    make("second", 10)
    point_latest("runs", "second")
    config = Run("runs/small").config
    Run("runs/small").write_config({**config, "began": (BEGAN - timedelta(days=1)).isoformat()})
    return home


def used() -> tuple[str, list[str]]:
    run, notes = run_to_use("runs")
    assert run is not None
    return run.name, notes


def test_the_one_that_latest_leads_to(runs: Path) -> None:
    assert used() == ("second", [])
    opened = open_model()
    assert (opened.path, opened.notes) == (Path("runs/second/model.safetensors"), [])
    assert opened.trained == BEGAN + timedelta(minutes=10)
    when = opened.trained.astimezone().strftime("%Y-%m-%d %H:%M")
    assert opened.description == f"Model: runs/second, trained {when}."
    Run("runs/second").write_config({**Run("runs/second").config, "resumed": (BEGAN + timedelta(days=2)).isoformat()})
    assert open_model("runs/second").trained == BEGAN + timedelta(days=2)


@pytest.mark.slow
def test_one_that_is_a_fold_is_told_as_such(runs: Path) -> None:
    run = Run("runs/second")
    run.write_config({**run.config, "recipe": {**run.config["recipe"], "fold": [2, 5]}})
    assert run_to_use("runs")[1] == [
        "runs/second is fold 2 of 5 of a cross-validation, and has not learnt the images of that fold. To get a model "
        "for use, train with the same options, without folds."]


@pytest.mark.slow
def test_a_fold_takes_the_place_of_other_folds_only(runs: Path) -> None:
    fold, other = make("fold", 20), make("other", 30)
    for run in (fold, other):
        run.write_config({**run.config, "recipe": {**run.config["recipe"], "fold": [2, 5]}})
    end_latest(fold)
    assert used() == ("second", []), "nothing is said of folds, which are not for use"
    point_latest("runs", "gone")
    assert used() == ("second", [])
    whole = make("whole", 5)
    whole.path.rename("kept")
    for name in ("first", "second", "small"):
        shutil.rmtree(f"runs/{name}")
    end_latest(fold)
    assert used()[0] == "fold"
    end_latest(other)
    assert used()[0] == "other"
    Path("kept").rename(whole.path)
    end_latest(whole)
    assert used() == ("whole", [])



def test_a_newer_one_that_was_stopped_before_it_had_a_model(runs: Path) -> None:
    make("third", 20, epochs=0, model=False)
    assert used() == ("second", ["runs/third is newer, but has no model, because it was stopped in its first epoch; "
                                 "cnn train --resume runs/third continues it."])
    point_latest("runs", "third")  # as earlier versions had it
    assert used()[0] == "second"
    assert open_model().path == Path("runs/second/model.safetensors")
    assert open_model("runs/latest").notes == used()[1]


def test_a_newer_one_that_was_killed(runs: Path) -> None:
    make("third", 20, epochs=2)
    assert used() == ("second", ["runs/third is newer, but was stopped after 2 of 3 epochs; model='runs/third' takes "
                                 "its model, cnn train --resume runs/third continues it."])
    point_latest("runs", "third")  # as Ctrl-C leaves it
    assert used() == ("third", [])
    assert str(open_model().description).endswith(", stopped after 2 of 3 epochs.")


def test_a_newer_one_that_was_trained_to_its_end(runs: Path) -> None:
    point_latest("runs", "first")
    make("third", 5)
    assert used() == ("first", ["runs/second was begun later and is trained, too; model='runs/second' takes its "
                                "model."])
    make("older", None)
    assert used()[1][0].startswith("runs/second ")


def test_among_runs_of_earlier_versions_the_newest_file_counts(home: Path) -> None:
    for name, hours in (("one", 3), ("two", 1), ("three", 2)):
        make(name, None)
        os.utime(f"runs/{name}/config.json", (time.time() - 3600 * hours,) * 2)
    Run("runs/small").write_config({**Run("runs/small").config, "began": (BEGAN - timedelta(days=999)).isoformat()})
    point_latest("runs", "gone")
    assert used() == ("small", []), "who says when it began is newer than who does not"
    shutil.rmtree("runs/small")
    assert used() == ("two", [])
    config = {**Run("runs/two").config, "began": "2026-03-01T12:00:00"}
    Run("runs/two").write_config(config)
    assert Run("runs/two").trained == BEGAN, "without a zone it is UTC"


def test_one_in_training_is_not_taken_silently(runs: Path) -> None:
    third = make("third", 20, epochs=1)
    with RunLock(third):
        assert third.in_training
        assert used() == ("second", ["runs/third is newer, but still being trained; model='runs/third' takes its model "
                                     "as it is by now."])
        point_latest("runs", "third")
        assert used()[0] == "second"
        assert "still being trained since" in str(open_model("runs/third").description)
        assert str(open_model("runs/third").description).endswith(", after 1 of 3 epochs.")
        (third.path / MODEL).unlink()
        assert used() == ("second", ["runs/third is newer, but still being trained."])
        for name in ("first", "second", "small"):
            shutil.rmtree(f"runs/{name}")
        assert used() == ("third", [])
    assert not third.in_training


def test_runs_that_have_gone_and_runs_of_earlier_versions(runs: Path) -> None:
    shutil.rmtree("runs/second")
    assert used() == ("first", []), "runs/latest leads nowhere"
    make("older", None)
    assert used()[0] == "first"
    point_latest("runs", "older")
    assert used() == ("older", [])
    assert open_model().trained is not None, "by its file"
    shutil.rmtree("runs")
    assert run_to_use("runs") == (None, [])


def test_one_that_stopped_early_was_trained_to_its_end(runs: Path) -> None:
    third = make("third", 20, epochs=4, of=9)
    assert third.epochs_done == "4 of 9 epochs"
    third.write_config({**third.config, "recipe": {**third.config["recipe"], "patience": 3}})
    assert third.epochs_done is None
    rows = third.history
    third.write_history([*rows[:3], {**rows[3], "val_loss": 0.0}])
    assert third.epochs_done == "4 of 9 epochs", "the last was the best"
    (third.path / HISTORY).write_text("nonsense")
    assert third.epochs_done is None


@pytest.mark.parametrize("what", ["empty file", "folder", "link to itself", "link to nothing", "binary"])
def test_what_is_called_latest_and_is_no_run_is_not_spoken_of(runs: Path, what: str) -> None:
    latest = Path("runs/latest")
    latest.unlink(missing_ok=True)
    if what == "folder":
        latest.mkdir()
    elif what.startswith("link"):
        latest.symlink_to("latest" if what == "link to itself" else "gone")
    else:
        latest.write_bytes(b"" if what == "empty file" else b"\xff..")
    run, notes = run_to_use("runs")
    assert run is not None
    assert run.name == "second", "the newest that is trained"
    assert notes == []


def test_the_newest_of_all_is_meant_to_be_resumed(runs: Path) -> None:
    make("third", 20, epochs=0, model=False)
    make("older", None)
    assert newest_run("runs").name == find_run().name == find_run("latest", "runs").name == "third"
    Run("runs/first").write_config({**Run("runs/first").config, "resumed": (BEGAN + timedelta(days=1)).isoformat()})
    assert newest_run("runs").name == "first"
    for config in ("[]", "{", json.dumps({"began": 3}), json.dumps({"began": "yesterday"})):
        (Path("runs/first") / "config.json").write_text(config)
        assert newest_run("runs").name == "third"
    with pytest.raises(UsageError, match="no run in"):
        newest_run("nowhere")


def test_looking_at_a_lock_keeps_no_training_out(runs: Path) -> None:
    import fcntl
    import threading

    run = Run("runs/second")
    with RunLock(run):
        pass
    with open(run.path / "lock") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.02, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with RunLock(run), pytest.raises(TrainingError):
            RunLock(run)
        time.sleep(0.03)
    assert not Run("runs/nothing").in_training


@pytest.mark.slow
def test_trainings_from_beginning_to_end(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What runs/latest leads to while one is trained, after it, after Ctrl-C, and after a kill in the first epoch."""
    import cnncli

    given = {"arch": "lenet5", "size": 12, "epochs": 3, "batch_size": 8}
    seen: list[str] = []
    look = At(lambda: seen.append(os.readlink("runs/latest")), steps=15)
    cnncli.train("photos", name="whole", observer=look, **given)
    assert (seen, os.readlink("runs/latest")) == (["small"], "whole")
    with pytest.raises(Interrupted):
        cnncli.train("photos", name="soon", observer=At(interrupt, steps=2), **given)
    assert os.readlink("runs/latest") == "whole"
    assert cli.main(["predict", "photos/check"]) == 0
    err = capsys.readouterr().err
    assert "runs/soon is newer, but has no model" in err
    assert "Model: runs/whole, trained " in err
    with pytest.raises(Interrupted):
        cnncli.train("photos", name="later", observer=At(interrupt, steps=15), **given)
    assert os.readlink("runs/latest") == "later"
    assert cli.main(["test"]) == 0
    assert "Model: runs/later, trained " in (err := capsys.readouterr().err)
    assert "stopped after 1 of 3 epochs." in err
    assert cnncli.train(resume="soon").name == "soon"
    assert os.readlink("runs/latest") == "soon"
    assert latest_run("runs").epochs_done is None
    assert cnncli.train(resume=True).name == "soon", "the newest"
