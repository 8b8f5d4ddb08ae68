"""training/observer.py: what an observer is told is true, and a method that nothing would call is refused."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli import Observer, Observers, Row, Run, TrainingSummary
from cnncli.errors import UsageError
from cnncli.runs import as_written

from .conftest import Train


@pytest.mark.parametrize(("name", "meant"), [
    ("epoch_end", "epoch_done"), ("epoch_ended", "epoch_done"), ("on_epoch_end", "epoch_done"),
    ("onEpochDone", "epoch_done"), ("epochFinished", "epoch_done"), ("epoch_start", "epoch_started"),
    ("step_ended", "step_done"), ("on_start", "started"), ("notes", "note"), ("look_inside", "looking_inside"),
    ("stoping", "stopping"), ("validated", "validating")])
def test_a_misspelt_method_is_refused_where_its_class_is_made(name: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        type("Watch", (Observer,), {name: lambda self, *what: None})
    assert str(refused.value) == (f"Watch.{name} would never be called, because a cnncli.Observer has no such method; "
                                  f"call it {meant}, or _{name} if it is one of your own.")


def test_other_methods_are_ones_own() -> None:
    def told(self: Any, first: Any, second: Any = None) -> None: ...
    def asked(self: Any) -> None: ...

    for name in ("_epoch_end", "__call__", "close", "plot", "report", "save", "epoch_loss", "append_row", "draw", "log",
                 "stop_early", "train_loss", "write", "batch_done", "accuracy"):
        type("Watch", (Observer,), {name: told})
    for name in ("step_count", "notes", "epochs", "is_done", "resume"):  # nothing is told to a method without arguments
        type("Watch", (Observer,), {name: asked})
    type("Watch", (Observer,), {"notes": [], "epoch_end": property(asked), "resume": None})


def test_what_tells_several_of_them_is_an_observer_too() -> None:
    class Once(Observers):
        def note(self, sentence: str) -> None: ...

    assert isinstance(Once(Observer()), Observers)
    with pytest.raises(UsageError, match=r"^Twice\.noted would never be called"):
        type("Twice", (Once,), {"noted": lambda self, sentence: None})


def test_a_row_as_it_is_written() -> None:
    row = Row(epoch=2, train_loss=0.123456789, train_accuracy=2 / 3, val_loss=None, val_accuracy=None,
              learning_rate=1e-9 / 3, images_per_second=12345678.9, seconds=1.0)
    assert as_written(row) == {
        "epoch": 2, "train_loss": 0.1234568, "train_accuracy": 0.6666667, "val_loss": None, "val_accuracy": None,
        "learning_rate": 3.333333e-10, "images_per_second": 12345680.0, "seconds": 1.0}
    assert as_written(as_written(row)) == as_written(row)


class Remembering(Observer):
    """Keeps what it is told, and stops where it is told to."""

    def __init__(self, stop: Callable[[Row], bool] = lambda row: False) -> None:
        self.rows: list[Row] = []
        self.stop = stop
        self.summary: TrainingSummary | None = None

    def started(self, run: Run, summary: TrainingSummary) -> None:
        self.summary = summary

    def resumed(self, rows: Sequence[Row], step: int) -> None:
        self.rows = list(rows)

    def epoch_done(self, row: Row, best: bool) -> None:
        self.rows.append(row)
        if self.stop(row):
            raise KeyError("enough")


@pytest.mark.slow
def test_rows_are_those_of_the_history(train: Train, tmp_path: Path) -> None:
    first, then = Remembering(lambda row: row["epoch"] == 2), Remembering()
    with pytest.raises(KeyError, match="enough"):
        train(epochs=3, name="rows", observer=first)
    assert first.rows == cnncli.find_run("rows", tmp_path / "runs").history
    run = train(resume="rows", observer=then)
    assert then.rows == run.history
    assert first.rows == run.history[:2]
    assert then.summary is not None
    assert then.summary.keys() == TrainingSummary.__annotations__.keys()
    assert {name: run.model.training[name] for name in then.summary} == then.summary
