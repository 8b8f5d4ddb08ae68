"""cli/train_view.py: each thing that a training tells, in words and numbers, when it is time; by a clock of its own."""

from pathlib import Path
from typing import Any

import pytest

from cnncli.cli import train_view
from cnncli.cli.train_view import HEADER, TrainView, clock, epoch_line
from cnncli.runs import Run

ROW = {"epoch": 3, "train_loss": 1.5, "train_accuracy": 0.5, "val_loss": 0.25, "val_accuracy": 0.75,
       "learning_rate": 0.123, "images_per_second": 12345.6, "seconds": 61.0}
RECIPE = {"size": (48, 64), "optimizer": "sgd", "schedule": "one-cycle", "lr": 0.05, "batch_size": 8, "probe": False,
          "seed": 3}


class Clock:
    """Stands where time.monotonic does."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(train_view, "time", Clock())
    return train_view.time  # type: ignore[attr-defined, no-any-return]


class Bar:
    """Stands where rich's bar does, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def refresh(self) -> None:
        self.told.append({})

    def add_task(self, description: str, **fields: Any) -> int:
        self.told.append({"description": description, **fields})
        return 7

    def update(self, task: int, **fields: Any) -> None:
        assert task == 7
        assert self.running
        self.told.append(fields)


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    made = Bar()
    monkeypatch.setattr(train_view, "_make_bar", lambda: made)
    monkeypatch.setattr(train_view, "is_terminal", lambda *_: True)
    return made


def test_what_is_said_at_the_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"architecture": "lenet5", "recipe": RECIPE, "images": {"train": 1234, "val": 56}}
    view = TrainView()
    view.started(Run("runs/a"), summary)
    assert capsys.readouterr() == ("", "Training lenet5 on 1,234 images of 64 x 48 pixels, validating on 56; sgd, one-"
                                       "cycle up to 0.05, batches of 8, seed 3.\nRun: runs/a\n")
    view.started(Run(Path("runs/a")), {**summary, "recipe": {**RECIPE, "probe": True, "split_seed": 4}})
    assert capsys.readouterr().err.startswith(
        "Training lenet5 on 1,234 images of 64 x 48 pixels, validating on 56; seed 3, split seed 4.\n")
    view.resumed([ROW] * 2, 5)
    view.resumed([ROW], 0)
    view.note("a\nb")
    assert capsys.readouterr().err == "Resuming after 2 epochs and 5 steps.\nResuming after 1 epoch.\na\\nb\n"


def test_the_table_goes_to_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    for view, place in ((TrainView(), 0), (TrainView(quiet_stdout=True), 1)):
        for epoch in (1, 2):
            view.epoch_started(epoch, 15, 10)
        view.epoch_done(ROW, True)
        view.epoch_done({**ROW, "val_loss": None}, False)
        said = capsys.readouterr()
        assert said[place] == f"{HEADER}\n{epoch_line(ROW, 15, True)}\n{epoch_line({**ROW, 'val_loss': None}, 15, 0)}\n"
        assert said[1 - place] == ""


def test_a_line_of_the_table() -> None:
    assert epoch_line(ROW, 15, True) == "     3/15     1.5000   50.00%    0.2500   75.00%     0.12    12,346    1:01 *"
    none = {**ROW, "val_loss": None, "val_accuracy": None, "train_accuracy": 0.12345, "learning_rate": 1e-4}
    assert epoch_line(none, 15, False) == (
        "     3/15     1.5000   12.35%         -        -   0.0001    12,346    1:01")
    assert len(HEADER) == 80
    assert len(epoch_line(ROW, 15, False)) == 75
    assert [HEADER.index(word) + len(word) for word in ("epoch", "train loss", "val loss", "rate", "time")] == [
        9, 20, 39, 57, 75]
    assert [clock(seconds) for seconds in (59.4, 59.6, 60, 3599, 3600, 36000)] == [
        "0:59", "1:00", "1:00", "59:59", "1:00:00", "10:00:00"]


def test_a_long_training_is_announced_after_its_first_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    """Not where its time was asked for: then it is known."""
    images = {"train": 1, "val": 1}
    for limit, epoch, seconds in ((None, 1, 50.0), (None, 1, 40.0), (None, 2, 50.0), (900.0, 1, 50.0)):
        view = TrainView()
        view.started(Run(Path("runs/a")), {"architecture": "lenet5", "recipe": {**RECIPE, "time": limit},
                                           "images": images})
        view.epoch_started(epoch, 15, 10)
        capsys.readouterr()
        view.epoch_done({**ROW, "epoch": epoch, "seconds": seconds}, True)
        said = capsys.readouterr().err
        assert said == ("" if (limit, epoch, seconds) != (None, 1, 50.0) else
                        "All 15 epochs will take about 12:30. Ctrl-C saves and stops; with --time 10m, a new training "
                        "has as many epochs as fit into 10 minutes.\n")


def test_plain_lines_come_now_and_then(time: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with TrainView() as view:
        view.started(Run("runs/a"), {"architecture": "lenet5", "recipe": RECIPE, "images": {"train": 1, "val": 1}})
        view.epoch_started(2, 4, 100)
        capsys.readouterr()
        for step in range(1, 60):
            time.now += 1
            view.step_done(step, 100, 1.23456, 0.5)
        # The first step is the 101st of all; after 29 more in 29 seconds, 270 are to come.
        assert capsys.readouterr().err == "epoch 2/4  loss 1.2346  accuracy 50.0%  (130 of 400, 4:30 left)\n"
        time.now += 1
        view.validating(20, 1000)
        assert capsys.readouterr().err == "epoch 2/4  validating 20 of 1,000  (200 of 400, 1:59 left)\n"
        time.now += 29.9
        view.loading("training", 5, 5)
        view.computing_features(5, 9)
        view.testing_rates(5, 9)
        assert capsys.readouterr().err == ""
        time.now += 0.1
        view.loading("training", 4, 5)
        time.now += 30
        view.computing_features(5, 9)
        time.now += 30
        view.testing_rates(6, 9)
    assert [line.split("  ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "decoding training images", "computing features", "testing learning rates"]


def test_the_time_left_is_told_after_five_steps_of_a_training(time: Clock) -> None:
    view = TrainView()
    view.epoch_started(1, 2, 100)
    time.now += 50  # decoding and all else before
    view.step_done(1, 100, 1, 1)
    time.now += 8
    assert [view._left(done, 200) for done in (5, 6)] == ["", ", 5:10 left"]
    assert view._left(41, 200) == ", 0:32 left"
    view.started(Run("runs/a"), {"architecture": "a", "recipe": RECIPE, "images": {"train": 1, "val": 1}})
    assert view._left(41, 200) == "", "another fold"


def test_an_epochs_end_puts_a_plain_line_off(time: Clock, bar: Bar, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(train_view, "is_terminal", lambda *_: False)
    with TrainView() as view:
        time.now += 20
        view.epoch_done(ROW, True)
        time.now += 20
        view.validating(1, 2)
        assert "validating" not in capsys.readouterr().err
        time.now += 10
        view.validating(1, 2)
        assert "validating" in capsys.readouterr().err
    assert bar.told == []


def test_a_bar_moves_ten_times_a_second(time: Clock, bar: Bar, capsys: pytest.CaptureFixture[str]) -> None:
    with TrainView() as view:
        assert bar.told == [{"description": "looking at the images", "total": None, "left": ""}, {}]
        bar.told.clear()
        view.epoch_started(1, 2, 3)
        time.now += 0.09
        view.step_done(1, 3, 0.5, 0.25)
        assert bar.told == []
        view.loading("validation", 1, 2)
        view.loading("validation", 2, 2)
        time.now += 0.11
        view.step_done(2, 3, 0.5, 0.25)
        time.now += 0.2
        view.epoch_done(ROW, False)
        view.validating(1, 2)
        assert bar.told == [
            {"description": "decoding validation images", "completed": 2, "total": 2, "left": "", "refresh": True},
            {"description": "epoch 1/2  loss 0.5000  accuracy 25.0%", "completed": 2, "total": 6, "left": "",
             "refresh": True},
            {"description": "epoch 1/2  validating 1 of 2", "completed": 3, "total": 6, "left": "", "refresh": True}]
        capsys.readouterr()
        view.stopping("Ctrl-C")
        assert not bar.running
        assert capsys.readouterr().err == "Ctrl-C: saving …\n"
        bar.running = True
    assert bar.running, "stopped once"
    with TrainView():
        assert bar.running
    assert not bar.running


def test_the_bar_writes_tables_above_itself_only_where_both_are_on_the_terminal(monkeypatch) -> None:
    for both in (True, False):
        monkeypatch.setattr(train_view, "is_terminal", lambda *_, both=both: both)
        made = train_view._make_bar()
        assert (made.live.auto_refresh, made.live.transient, made.live._redirect_stdout) == (False, True, both)
        task = made.add_task("[b]", total=3, left=", 0:10 left")
        made.update(task, completed=1)
        texts = [str(column.render(made.tasks[0])) for column in made.columns[::2]]
        assert texts == ["[b]", "33%, 0:10 left"]
        assert made.columns[1].bar_width == 20


def test_a_reader_that_has_gone_is_said_once(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(line: str) -> None:
        raise BrokenPipeError

    view = TrainView()
    monkeypatch.setattr(train_view, "emit", refuse)
    for _ in range(2):
        view.epoch_done(ROW, False)
    line = epoch_line(ROW, 0, False)
    assert capsys.readouterr() == ("", f"The output cannot be written any more; training goes on.\n{line}\n{line}\n")
