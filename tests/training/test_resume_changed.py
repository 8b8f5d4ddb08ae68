"""Resuming with other options, other images or another version: what may change, what is refused, and by what name."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import DataError, Interrupted, SaveError, TrainingError, UsageError
from cnncli.model import checkpoint
from cnncli.optim.schedule import Schedule
from cnncli.runs import Row, Run, RunLock, latest_run

from ..pictures import make_folder
from .conftest import Train
from .test_resume import At, Killed, die, interrupt, outcome


def stopped(train: Train, **options: Any) -> Run:
    observer = At(interrupt, steps=7)
    with pytest.raises(Interrupted):
        train(name="run", observer=observer, **options)
    assert observer.run is not None
    return observer.run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "argument"),
    [({"arch": "lenet5"}, "arch"), ({"batch_size": 4}, "batch_size"), ({"lr": 0.3}, "lr"),
     ({"optimizer": "adam"}, "optimizer"), ({"schedule": "cosine"}, "schedule"), ({"warmup": 1}, "warmup"),
     ({"weight_decay": 0.1}, "weight_decay"), ({"loss": "squared-error"}, "loss"),
     ({"label_smoothing": 0.3}, "label_smoothing"), ({"class_weights": "balanced"}, "class_weights"),
     ({"sampling": "balanced"}, "sampling"), ({"time": "9m"}, "time"), ({"fold": (1, 3)}, "fold"),
     ({"augment": False}, "augment"), ({"size": 12}, "size"), ({"grey": True}, "grey"), ({"fit": "pad"}, "fit"),
     ({"seed": 3}, "seed")],
)
def test_a_changed_option_is_refused_by_name(train: Train, changed: dict[str, Any], argument: str) -> None:
    run = stopped(train)
    before = {file: (run.path / file).read_bytes() for file in os.listdir(run.path) if file != "lock"}
    with pytest.raises(UsageError, match=f"leave {argument} out|instead of {argument}"):
        train(resume="run", **changed)
    assert {file: (run.path / file).read_bytes() for file in before} == before


@pytest.mark.slow
def test_another_network_in_the_file_of_the_same_name_is_refused(train: Train, shared: Path, tmp_path: Path) -> None:
    stopped(train)
    other = tmp_path / "net.toml"
    other.write_text((shared / "net.toml").read_text().replace("kernel_size = 3", "kernel_size = 5"))
    assert other.read_text() != (shared / "net.toml").read_text()
    with pytest.raises(UsageError, match="another network"):
        train(resume="run", arch=str(other))


@pytest.mark.slow
def test_options_that_are_the_same_may_be_given_again(train: Train, shared: Path) -> None:
    expected = outcome(train())
    stopped(train)
    run = train(resume="run", data=shared / "data", arch=str(shared / "net.toml"), epochs=3, batch_size=8, size=10,
                optimizer="sgd", augment=True, grey=False, seed=0, lr=0.1 * 8 / 128, threads=2, cache="none")
    assert outcome(run) == expected


@pytest.mark.slow
def test_more_epochs_are_allowed_and_said(train: Train) -> None:
    run = train()
    observer = At(die)
    train(resume=True, epochs=5, observer=observer)
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5]
    assert "epochs are 5 from now on, not 3" in observer.notes[-2]
    assert "not that of an uninterrupted run" in observer.notes[-1]
    assert run.config["recipe"]["epochs"] == 5
    with pytest.raises(UsageError, match="has done 5 epochs already"):
        train(resume=True, epochs=4)


@pytest.mark.slow
def test_a_finished_run_goes_on_by_the_schedule_of_the_new_length(train: Train) -> None:
    run = train()
    before = run.history
    observer = At(die)
    train(resume=True, epochs=6, observer=observer)
    schedule = Schedule("one-cycle", 0.1 * 8 / 128, 6 * 5)
    rates = [row["learning_rate"] for row in run.history[3:]]
    assert rates == pytest.approx([schedule(step) for step in (19, 24, 29)])
    assert [{**row, "seconds": 0} for row in run.history[:3]] == [{**row, "seconds": 0} for row in before]
    assert schedule(15) > 100 * before[-1]["learning_rate"]
    assert f"raised again, from {before[-1]['learning_rate']:.2g} to {schedule(15):.2g}" in observer.notes[-1]
    assert "ends at 2.5e-08" in observer.notes[-1]
    assert "best model is kept" in observer.notes[-1]


@pytest.mark.slow
def test_an_extended_run_that_is_stopped_reaches_the_same_bits(train: Train) -> None:
    train(name="a")
    expected = outcome(train(resume="a", epochs=6))
    train(name="b")
    for step in (1, 4, 7):
        with pytest.raises(Interrupted):
            train(resume="b", epochs=6, observer=At(interrupt, steps=step))
    assert outcome(train(resume="b")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["killed", "disk"])
def test_a_longer_run_that_ends_in_its_first_added_epoch_goes_on(
    train: Train, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """config.json says 6 epochs by then, the state was finished with 3."""
    train(name="a")
    expected = outcome(train(resume="a", epochs=6))
    train(name="b")
    with monkeypatch.context() as patch:
        if lost == "disk":
            patch.setattr(checkpoint, "write_atomically", full_disk)
        with pytest.raises(Killed if lost == "killed" else SaveError):
            train(resume="b", epochs=6, observer=At(die, steps=2) if lost == "killed" else None)
    observer = At(die)
    assert outcome(train(resume="b", observer=observer)) == expected
    assert any("epochs are 6 from now on, not 3" in sentence for sentence in observer.notes)


def full_disk(path: str, data: bytes, **options: Any) -> None:
    raise SaveError(f"{path} could not be written.")


@pytest.mark.slow
def test_more_patience_that_was_lost_before_its_first_state_counts(train: Train) -> None:
    done = len(train(name="a", epochs=20, patience=1, lr=1e-9).history)
    with pytest.raises(Killed):
        train(resume="a", patience=3, observer=At(die, steps=2))
    assert len(train(resume="a").history) > done


@pytest.mark.slow
@pytest.mark.parametrize(("part", "value"), [("lr", 0.5), ("seed", 7), ("augment", None), ("ema", 0)])
@pytest.mark.parametrize("finished", [False, True])
def test_a_recipe_edited_in_the_configuration_is_refused_by_name(
    train: Train, part: str, value: Any, finished: bool
) -> None:
    run = train(name="run", epochs=1) if finished else stopped(train)
    config = run.config
    config["recipe"][part] = value
    run.write_config(config)
    told = rf"config.json differs from the saved training in its {part} \(.*when the state was saved"
    with pytest.raises(UsageError, match=told):
        train(resume="run")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["network", "preprocessing"])
def test_a_network_edited_in_the_configuration_is_refused(train: Train, part: str) -> None:
    run = stopped(train)
    config = run.config
    if part == "network":
        config["network"]["layers"][-1]["name"] = "other"
    else:
        config["preprocessing"]["mean"] = [0.5, 0.5, 0.5]
    run.write_config(config)
    with pytest.raises(UsageError, match=f"config.json differs from the saved training in its {part};"):
        train(resume="run")


@pytest.mark.slow
def test_a_finished_run_mends_its_history(train: Train) -> None:
    run = train(name="run", epochs=2)
    before = (run.path / "history.csv").read_bytes()
    for damaged in (b"", before[:-3], b"\0" * 100):
        (run.path / "history.csv").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"cnn train --resume run --runs "):
            _ = run.history
        train(resume="run")
        assert (run.path / "history.csv").read_bytes() == before


@pytest.mark.slow
def test_an_epoch_that_was_written_and_not_saved_is_none(train: Train) -> None:
    """What is killed between the two leaves a row too many: it goes before training goes on."""
    run, seen = stopped(train), list[Any]()
    [row] = run.history
    run.write_history([row, {**row, "epoch": 2}])

    class Look(At):
        def started(self, run: Run, summary: dict[str, Any]) -> None:
            seen.append(run.history)

    train(resume="run", observer=Look(die))
    assert seen == [[row]]
    assert run.trained is not None
    assert run.config["resumed"] > run.config["began"]


@pytest.mark.slow
def test_a_run_lengthened_on_its_way_says_how_its_rate_goes_on(train: Train) -> None:
    stopped(train, schedule="cosine")
    observer = At(die)
    run = train(resume="run", epochs=9, observer=observer)
    assert len(run.history) == 9
    assert "goes on, from" in observer.notes[-1]
    assert "a cosine schedule of 9 epochs" in observer.notes[-1]


def test_a_warm_up_is_not_left_longer_than_the_run(train: Train) -> None:
    stopped(train, schedule="cosine", warmup=3)
    with pytest.raises(UsageError, match="warm-up of 3 epochs does not fit into 2"):
        train(resume="run", epochs=2)


@pytest.mark.slow
def test_more_epochs_at_a_constant_rate_are_those_of_the_longer_run(train: Train) -> None:
    expected = outcome(train(epochs=4, schedule="constant", ema=0))
    train(epochs=2, schedule="constant", ema=0, name="short")
    model, arrays, rows = outcome(train(resume="short", epochs=4))
    assert (arrays, rows) == expected[1:]
    assert model


@pytest.mark.slow
def test_a_longer_run_forgets_the_average_that_it_had_as_a_short_one(train: Train) -> None:
    expected = outcome(train(epochs=4, schedule="constant"))[1]
    assert any(name.startswith("average.") for name in expected)
    train(epochs=2, schedule="constant", name="short")
    assert outcome(train(resume="short", epochs=4))[1] == expected


def test_a_finished_run_says_so(train: Train) -> None:
    expected = outcome(train())
    observer = At(die)
    run = train(resume=True, observer=observer)
    assert outcome(run) == expected
    assert "finished already, after 3 epochs; there is nothing to resume" in observer.notes[-1]
    assert observer.notes[-1].endswith(f"cnn train --resume {run.as_option()} --epochs 6")


@pytest.mark.slow
def test_patience_may_be_changed(train: Train) -> None:
    run = train(epochs=20, patience=1, lr=1e-9)
    done = len(run.history)
    assert done < 20
    observer = At(die)
    train(resume=True, epochs=30, observer=observer)
    assert len(run.history) == done, "more epochs mean nothing to a run without patience"
    assert f"stopped early after {done} of 30 epochs" in observer.notes[-1]
    assert "--patience 2" in observer.notes[-1]
    train(resume=True, patience=3, observer=observer)
    assert len(run.history) > done
    assert any("patience is 3" in sentence for sentence in observer.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [("more", "4 for validation now"), ("fewer", "for training"), ("other", "as many"), ("class", "new: dog"),
     ("no class", "gone: cat"), ("broken", "other images can be read now than when")],
)
def test_changed_data_are_refused_by_name(train: Train, tmp_path: Path, change: str, words: str) -> None:
    data = make_folder(tmp_path / "data")
    run = stopped(train, data=data)
    victim = data / "ant" / "01.png"
    if change == "more":
        for number in range(20, 22):
            shutil.copy(victim, data / "ant" / f"{number}.png")
    elif change == "fewer":
        for number in range(1, 9):
            (data / "ant" / f"{number:02}.png").unlink()
    elif change == "other":
        victim.write_bytes(victim.read_bytes() + b"longer")
    elif change == "class":
        shutil.copytree(data / "ant", data / "dog")
    elif change == "no class":
        shutil.rmtree(data / "cat")
    elif change == "broken":
        victim.write_bytes(b"x" * victim.stat().st_size)
    with pytest.raises(DataError, match=words):
        train(resume=run.path)


@pytest.mark.slow
def test_data_may_have_moved(train: Train, tmp_path: Path) -> None:
    expected = outcome(train(data=make_folder(tmp_path / "data")))
    run = stopped(train, data=tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="data"):
        train(resume=run.path)
    assert outcome(train(resume=run.path, data=tmp_path / "moved")) == expected


@pytest.mark.slow
def test_a_run_under_way_is_refused_by_process(train: Train) -> None:
    run = stopped(train)
    with RunLock(run), pytest.raises(TrainingError, match=f"process {os.getpid()}"):
        train(resume="run")
    assert len(train(resume="run").history) == 3


def test_a_file_of_another_version_is_told(train: Train) -> None:
    run = stopped(train)
    run.write_config({**run.config, "format": 99})
    with pytest.raises(UsageError, match="another version"):
        train(resume="run")


@pytest.mark.slow
def test_resuming_makes_the_run_the_latest(train: Train) -> None:
    run = stopped(train)
    other: list[Row] = train().history
    assert getattr(latest_run(run.path.parent), "name", None) != "run"
    assert len(other) == len(train(resume="run").history)
    assert getattr(latest_run(run.path.parent), "name", None) == "run"
