"""--time: what is a time, how many epochs end in it, and that measuring leaves no trace in the training."""

import math
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnncli.errors import SaveError, UsageError
from cnncli.ranks.world import ALONE
from cnncli.training import budget, prepare
from cnncli.training.budget import Cost, epochs_within
from cnncli.training.fit import Fit
from cnncli.training.observer import Observer
from cnncli.training.options import Options, seconds_of

from ..pictures import make_folder
from .conftest import Train
from .test_resume import outcome


class Notes(Observer):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.mark.parametrize(("text", "seconds"), [
    ("10m", 600), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1h 5m 7s", 3907), ("1.5h", 5400), ("10MIN", 600),
    (" 3m ", 180), (45, 45), (0.5, 0.5)])
def test_times(text: Any, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("wrong", ["", "10", "m", "10 apples", "-5m", "0s", 0, -1, math.nan, math.inf, "5m5m", True,
                                   "1e9h", "1m2x", "..m", None])
def test_what_is_no_time_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="10m, 90s or 1h30m"):
        seconds_of(wrong)


def test_time_and_epochs_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="time and epochs cannot be given together"):
        Options(time="10m", epochs=3)


def test_as_many_epochs_as_end_in_time() -> None:
    for row in (0.0, 0.001, 0.5):
        cost = Cost(step=0.01, validation=0.5, closing=0.5, row=row, images_per_second=1.0)
        assert cost.epoch(100) == 2.0
        for seconds in (1, 5, 30, 100, 3600):
            epochs = epochs_within(seconds, cost, 100)
            assert epochs >= 1
            total = sum(2.0 + row * before for before in range(epochs)) + budget.AFTERWARDS
            assert epochs == 1 or total <= seconds * (1 - budget.MARGIN) < total + 2.0 + row * epochs


@pytest.mark.parametrize(("seconds", "row", "epochs"), [
    (100, 0.0, 46),  # 95 seconds less 2 for the picture, 2 an epoch
    (100, 0.5, 16),  # and half a second more each
    (6.3, 0.0, 1), (6.4, 0.0, 2), (2, 0.0, 1)])
def test_a_twentieth_of_the_time_and_two_seconds_are_set_aside(seconds: float, row: float, epochs: int) -> None:
    assert epochs_within(seconds, Cost(0.01, 0.5, 0.5, row, 1.0), 100) == epochs


@pytest.mark.parametrize(("seconds", "measured"), [(1, 0.3), (101, 3.03), (5000, 10)])
def test_a_thirtieth_of_the_time_is_for_measuring(seconds: float, measured: float,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def measure(fit: Any, most: float, runs: str) -> Cost:
        asked.append((fit.name, most, runs))
        return Cost(0.01, 0.25, 0.25, 0.0, 1234.5)

    monkeypatch.setattr(budget, "measure", measure)
    rehearsal: Any = SimpleNamespace(batches=SimpleNamespace(steps=100), name="rehearsal")
    epochs, why = budget.choose_epochs(seconds, time.monotonic(), rehearsal, "runs")
    assert asked == [("rehearsal", pytest.approx(measured), "runs")]
    assert epochs == {1: 1, 101: 62, 5000: 3165}[int(seconds)]
    assert why == "Time: 1,234 images a second, and 0.5 s to validate and save, make 1.5 s an epoch; " + {
        1: "not even one epoch ends in 1 s, but one is trained.", 101: "62 epochs end in 1:41.",
        5000: "3,165 epochs end in 1:23:20."}[int(seconds)]


def test_one_epoch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "measure", lambda *_: Cost(0.01, 0.25, 0.25, 0.0, 1234.5))
    rehearsal: Any = SimpleNamespace(batches=SimpleNamespace(steps=100))
    assert budget.choose_epochs(4, time.monotonic(), rehearsal, "runs")[1].endswith("; 1 epoch ends in 4 s.")


@pytest.mark.parametrize(("seconds", "shown"), [
    (0.123, "0.12 s"), (9.4, "9.4 s"), (9.5, "10 s"), (59, "59 s"), (60, "1:00"), (200.4, "3:20"), (3599, "59:59"),
    (3600, "1:00:00"), (3723, "1:02:03")])
def test_times_are_shown(seconds: float, shown: str) -> None:
    assert budget._shown(seconds) == shown


def test_a_part_of_labelled_images_are_the_first_ones() -> None:
    images: Any = SimpleNamespace(labels=list(range(10)), skipped=["x"],
                                  in_order=lambda at_once, of: (range(i * at_once, (i + 1) * at_once) for i in of))
    for count in (1, 4, 5, 10):
        part = budget._Part(images, count)
        assert part.labels == list(range(count))
        assert [number for pixels in part.in_order(5) for number in pixels] == list(range(count))
        assert [number for pixels in part.in_order(3, range(1)) for number in pixels] == list(range(min(3, count)))


class Clock:
    """A clock that only moves when somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Working:
    """Stands for a Fit and its model and images: a step takes 2 seconds, but the first one 100; judging an image takes
    a tenth of one."""

    def __init__(self, clock: Clock, images: int = 400, first: float = 100) -> None:
        self.clock, self.made, self.first = clock, 0, first
        self.labels, self.judged, self.world = range(images), False, ALONE

    def endless_steps(self):
        while True:
            self.clock.now += self.first if self.made < 1 else 2
            self.made += 1
            yield self.made

    def in_order(self, at_once: int, of: range | None = None):
        for start in range(0, len(self.labels), at_once):
            yield self.labels[start : start + at_once]

    def logits(self, pixels: range) -> None:
        self.clock.now += 0.1 * len(pixels) if self.judged else 50
        self.judged = True


def test_the_first_steps_do_not_count() -> None:
    clock = Clock()
    working = Working(clock)
    assert budget._step(working, 40.0, clock) == 2.0  # type: ignore[arg-type]
    assert working.made == 1 + 20


@pytest.mark.parametrize(("seconds", "made"), [(1.0, 2), (26.0, 3)])
def test_slow_steps_do_not_eat_up_the_time(seconds: float, made: int) -> None:
    """Four times what was meant, the first step counted in."""
    clock = Clock()
    working = Working(clock)
    assert budget._step(working, seconds, clock) == 2.0  # type: ignore[arg-type]
    assert working.made == made


def test_four_steps_are_counted_at_least() -> None:
    clock = Clock()
    working = Working(clock, first=1)
    assert budget._step(working, 4.0, clock) == 2.0  # type: ignore[arg-type]
    assert working.made == 5


def test_a_part_of_the_validation_stands_for_all_of_it() -> None:
    clock = Clock()
    working: Any = Working(clock)
    each, judged = budget._judging(working, working, 3.0, clock)
    assert each == pytest.approx(0.1)
    assert judged == 64, "a part of it"
    working = Working(clock, images=100)
    assert budget._judging(working, working, 1000.0, clock) == (pytest.approx(0.1), 100), "no more than there are"


def test_the_costs_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 2 seconds with batches of 8; an image is judged in a tenth of one, 400 of them; the head is fitted to
    90 images before the first step."""
    clock = Clock()
    working: Any = Working(clock)
    monkeypatch.setattr(budget, "_closing", lambda fit, judged, runs, clock: (0.25, 0.001))
    working.batches = SimpleNamespace(batch_size=8, images=range(100))
    working.model, working.validation, working.head_images = working, working, 90
    judged: list[int] = []
    working.validate, working.skipped = lambda images: judged.append(len(images.labels)), []
    assert budget.measure(working, 40.0, "runs", clock) == Cost(2.0, pytest.approx(40), 0.25, 0.001, 4.0,
                                                                pytest.approx(9))
    assert judged == [192], "for a third of the time: 13.3 seconds"
    working.made, working.validation, working.batches.images = 0, None, range(5)
    assert budget.measure(working, 40.0, "runs", clock) == Cost(2.0, 0.0, 0.25, 0.001, 2.5, pytest.approx(36))


class Closing:
    """Stands for a Fit: an epoch is closed in 1 second and a hundredth for each row of the history, but the first time
    in 7; after a while the disk may refuse."""

    def __init__(self, clock: Clock, refuses: bool = False) -> None:
        self.clock, self.refuses, self.rows = clock, refuses, list[int]()
        self.progress = SimpleNamespace(history=[])

    def write_into(self, run: Any) -> None:
        self.folder = run.path

    def arrays(self) -> dict[str, Any]:
        return {"a": 1}

    def restore(self, progress: Any, arrays: dict[str, Any]) -> None:
        assert (progress.epoch, progress.step, progress.loss, progress.best, arrays) == (1, 1, 1.0, None, {"a": 1})
        self.rows.append(len(progress.history))

    def close_epoch(self, judged: Any) -> None:
        assert judged == "judged"
        if self.refuses:
            raise SaveError("the disk is full.")
        self.progress.history.append({"epoch": 1})
        self.clock.now += 7 if len(self.rows) == 1 else 1 + 0.01 * self.rows[-1]


@pytest.mark.parametrize("runs", ["", "runs", "some/where/runs"])
def test_closing_is_measured_on_the_disk_of_the_run(runs: str, tmp_path: Path) -> None:
    clock = Clock()
    closing: Any = Closing(clock)
    closed, row = budget._closing(closing, "judged", str(tmp_path / runs), clock)  # type: ignore[arg-type]
    assert (closed, row) == (pytest.approx(1.0), pytest.approx(0.01))
    assert closing.rows == [0, 0, 400]
    assert closing.folder.parent == tmp_path
    assert closing.folder.name.startswith(".cnn-time-")
    assert list(tmp_path.iterdir()) == []
    refusing: Any = Closing(clock, refuses=True)
    assert budget._closing(refusing, "judged", str(tmp_path / runs), clock) == (0.0, 0.0)  # type: ignore[arg-type]


def test_what_comes_before_the_first_step_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal: Any = SimpleNamespace(batches=SimpleNamespace(steps=10))
    chosen = []
    for opening in (0.0, 500.0):
        monkeypatch.setattr(budget, "measure", lambda *_, opening=opening: Cost(1.0, 0.0, 0.0, 0.0, 1.0, opening))
        chosen.append(budget.choose_epochs(1000.0, time.monotonic(), rehearsal, "runs")[0])
    assert chosen == [94, 47]


@pytest.mark.slow
def test_a_fresh_head_costs_a_look_at_all_images(train: Train, tmp_path: Path) -> None:
    before = train().path
    setting = prepare.Setting(None, "ram", False, Observer())

    def rehearsal(data: Path) -> Fit:
        material, model = prepare.gather(str(data), Options(init=str(before)), setting)
        return material.fit(model)

    fit = rehearsal(make_folder(tmp_path / "others", classes=("dog", "eel")))
    assert fit.head_images == len(fit.batches.images) + len(fit.validation or ())
    cost = budget.measure(fit, 0.05, str(tmp_path))
    assert cost.opening == pytest.approx(cost.validation / len(fit.validation or ()) * fit.head_images)
    assert rehearsal(make_folder(tmp_path / "same")).head_images == 0, "the classes that the head knows"


@pytest.mark.slow
def test_measuring_changes_nothing_of_the_loop_that_it_measures(train: Train, tmp_path: Path) -> None:
    """All images validate afterwards, the same observer watches, the same rates are meant (once a part of them did)."""
    setting = prepare.Setting(None, "ram", False, Observer())
    material, model = prepare.gather(str(tmp_path.parent / train().config["data"]), Options(epochs=2), setting)
    fit = material.fit(model)
    kept = (fit.observer, fit.validation, fit.schedule, fit.model, fit.trainer, fit.batches)
    budget.measure(fit, 0.01, str(tmp_path))
    now = (fit.observer, fit.validation, fit.schedule, fit.model, fit.trainer, fit.batches)
    assert all(one is other for one, other in zip(kept, now, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("extra", [{"init": None}, {}, {"freeze": 1}], ids=["fresh", "taken over", "frozen"])
def test_time_validates_on_all_images_also_where_weights_are_taken_over(
        train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]) -> None:
    """The rehearsal's part of the validation images was left in the training itself: it ended with a TypeError where a
    head had to be fitted, and chose the best epoch by the part elsewhere."""
    before = train().path
    data = make_folder(tmp_path / "others", classes=("dog", "eel"), each=40)
    monkeypatch.setattr(budget, "epochs_within", lambda seconds, cost, steps: 2)
    monkeypatch.setattr(budget, "AT_ONCE", 1)  # so that one image stands for all of them in the rehearsal
    given: dict[str, Any] = {"data": data, "init": before, "batch_size": 8, **extra}
    given |= {"arch": None} if given["init"] else {}
    timed = train(**given, epochs=None, time="0.05s", name="timed")
    counted = train(**given, epochs=2, name="counted")
    assert outcome(timed)[1:] == outcome(counted)[1:]
    assert timed.model.training["images"]["val"] > 1


@pytest.mark.slow
def test_the_time_chooses_epochs_and_leaves_no_other_trace(train: Train, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "epochs_within", lambda seconds, cost, steps: 3)
    observer = Notes()
    run = train(epochs=None, time="5s", observer=observer)
    assert sorted(os.listdir(tmp_path / "runs")) == ["latest", run.name]
    assert os.listdir(tmp_path) == ["runs"]
    model, arrays, rows = outcome(train(epochs=3, name="same"))
    assert outcome(run)[1:] == (arrays, rows)
    assert model
    assert (run.config["recipe"]["epochs"], run.config["recipe"]["time"]) == (3, 5.0)
    assert any("images a second" in note and "3 epochs end in 5 s" in note for note in observer.notes)
    monkeypatch.setattr(budget, "choose_epochs", None)  # resuming does not measure
    assert outcome(train(resume=run.name, time="5s"))[1:] == (arrays, rows)
    with pytest.raises(UsageError, match="give epochs instead of time"):
        train(resume=run.name, time="9s")
    assert train(resume=run.name, epochs=4).config["recipe"]["time"] is None


@pytest.mark.slow
@pytest.mark.alone
def test_it_ends_in_time(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "AFTERWARDS", 0.2)
    took = []
    for _ in range(4):  # on a machine that is busier while it trains than while it measures no forecast holds
        began = time.monotonic()
        run = train(epochs=None, time=2.0)
        took.append(time.monotonic() - began)
        assert len(run.history) > 1
        if took[-1] < 2.2:
            return
    raise AssertionError(f"2 seconds became {took}")


@pytest.mark.slow
def test_without_validation_images(train: Train, tmp_path: Path) -> None:
    observer = Notes()
    train(data=make_folder(tmp_path / "few", each=2), epochs=None, time="0.001s", observer=observer)
    assert any("no validation images" in note for note in observer.notes)


@pytest.mark.slow
def test_a_time_too_short_for_one_epoch_trains_one_and_says_so(train: Train) -> None:
    observer = Notes()
    assert len(train(epochs=None, time="0.001s", observer=observer).history) == 1
    assert any("not even one epoch ends in" in note for note in observer.notes)


@pytest.mark.slow
def test_a_warm_up_that_does_not_fit_is_told_before_a_run_is_made(train: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="warm-up of 4 epochs does not fit into 1"):
        train(epochs=None, time="0.001s", warmup=4)
    assert not (tmp_path / "runs").exists()
