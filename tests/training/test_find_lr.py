"""The range test: where the loss is lowest is found, running away is noticed and no crash, and nothing else is left
than a table and a picture."""

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli import cli, find_lr
from cnncli.errors import TrainingError, UsageError
from cnncli.report import rates as report
from cnncli.training import find_lr as module
from cnncli.training.find_lr import STEPS, lowest_of, smooth, sweep
from cnncli.training.fit import Done
from cnncli.training.options import Options


class Fake:
    """Stands for a Fit whose losses are known: a list, of which None is a step that breaks."""

    def __init__(self, losses: list[float | None]) -> None:
        self.losses = losses

    def schedule(self, step: int) -> float:
        return 10.0**step

    def endless_steps(self):
        for loss in self.losses:
            if loss is None:
                raise TrainingError("the loss became inf")
            yield Done(loss, 1, 4)


def test_losses_are_those_of_each_batch() -> None:
    losses = [2 + math.sin(step) for step in range(STEPS)]
    told: list[tuple[int, int]] = []
    observer: Any = SimpleNamespace(testing_rates=lambda *how_far: told.append(how_far))
    found, stopped = sweep(Fake([*losses, 9.0]), observer)  # type: ignore[arg-type]
    assert found == pytest.approx(losses)
    assert stopped is None
    assert told == [(step, 120) for step in range(1, 121)]


@pytest.mark.parametrize("end", [None, math.inf, math.nan, 1e9])
def test_it_stops_where_the_loss_has_run_away(end: float | None) -> None:
    found, stopped = sweep(Fake([2.0] * 30 + [end] * 100), module.Observer())  # type: ignore[arg-type]
    assert stopped == 10.0**30
    assert all(math.isfinite(loss) for loss in found)
    assert found[:30] == [2.0] * 30


def test_three_times_the_lowest_is_run_away_once_the_average_has_settled() -> None:
    for losses, last in (([2.0] * 30 + [5.9] * 90, None), ([2.0] * 30 + [6.2] * 90, 58), ([0.1] + [1.0] * 119, 10)):
        found, stopped = sweep(Fake([*losses]), module.Observer())  # type: ignore[arg-type]
        assert stopped == (None if last is None else 10.0**last)
        assert len(found) == (STEPS if last is None else last + 1)


def test_what_has_fallen_by_less_than_a_hundredth_has_not_fallen() -> None:
    rates = [float(step) for step in range(60)]
    for lowest, place in ((1.981, None), (1.979, 40)):
        losses = [1.0] * 9 + [2.0] * 50 + [2.0]  # what comes before the tenth step says nothing
        losses[40] = lowest
        assert lowest_of(rates, losses) == place
    assert lowest_of(rates, [2.0] * 10 + [1.0] * 50) == 10, "the first of equals"
    assert lowest_of(rates[:11], [2.0] * 10 + [1.0]) == 10
    assert lowest_of(rates[:10], [2.0] * 9 + [1.0]) is None


def test_smoothing_does_not_lean_towards_zero() -> None:
    assert smooth([3.0] * 20) == pytest.approx([3.0] * 20)
    assert smooth([0.0, 1.0])[-1] == pytest.approx(1 / 1.9)


def test_the_lowest_is_found_and_not_imagined() -> None:
    rates = [10.0 ** (step / 10 - 4) for step in range(60)]
    valley = [2 + (step - 40) ** 2 / 1000 for step in range(60)]
    assert lowest_of(rates, valley) == rates[40]
    assert lowest_of(rates, [2.0] * 60) is None
    assert lowest_of(rates, [2.0 + step / 10 for step in range(60)]) is None
    assert lowest_of(rates[:5], valley[:5]) is None, "ended before the average said anything"


class Steps(Fake):
    """The losses of a valley, at the rates that the range test asks for."""

    head_first = False

    def __init__(self, schedule: Any) -> None:
        super().__init__([2 + math.cos(math.pi * step / 80) + 0.3 * (-1) ** step for step in range(STEPS)])
        self.schedule = schedule  # type: ignore[method-assign]


@pytest.mark.parametrize(("optimizer", "low", "high"), [("sgd", 1e-4, 10), ("adam", 1e-6, 1), ("adamw", 1e-6, 1)])
def test_the_table_and_the_picture_say_what_was_found(optimizer: str, low: float, high: float, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = SimpleNamespace(optimizer=optimizer, arch="net")
    material = SimpleNamespace(recipe=recipe, fit=lambda model, schedule: Steps(schedule))
    asked: list[Any] = []
    monkeypatch.setattr(module, "gather", lambda *everything: (asked.extend(everything), (material, None))[1])
    drawn: list[Any] = []
    monkeypatch.setattr(report, "draw", lambda *everything: drawn.append(everything))
    found = find_lr("data", runs=tmp_path, epochs=3)
    assert asked[:2] == ["data", Options(epochs=3)]
    assert (asked[2].threads, asked[2].cache, asked[2].strict) == (None, "auto", False), "as a training has it"
    rates = np.geomspace(low, high, STEPS)
    losses = [2 + math.cos(math.pi * step / 80) + 0.3 * (-1) ** step for step in range(STEPS)]
    smoothed, average = [], 0.0  # each step a tenth of the average, of as many steps as there were
    for step, loss in enumerate(losses, 1):
        average = 0.9 * average + 0.1 * loss
        smoothed.append(average / (1 - 0.9**step))
    lowest = rates[np.argmin(smoothed)]
    assert found.rates == pytest.approx(rates)
    assert found.losses == pytest.approx(losses)
    assert found.smoothed == pytest.approx(smoothed)
    assert (found.lowest, found.suggestion) == (pytest.approx(lowest), pytest.approx(lowest / 3, rel=0.05))
    assert found.stopped is None
    lines = (tmp_path / "lr.csv").read_text().splitlines()
    assert lines[0] == "learning_rate,loss,smoothed"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    np.testing.assert_allclose(table, np.stack([rates, losses, smoothed], axis=1), rtol=1e-5)
    assert drawn == [(found.rates, found.losses, found.smoothed, tmp_path / "lr.png",
                      f"Learning rates for net, {optimizer}", found.suggestion)]


def test_a_fresh_head_is_fitted_before_rates_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[bool] = []

    class Fresh(Steps):
        def fit_head(self) -> None:
            fitted.append(True)

    recipe = SimpleNamespace(optimizer="sgd", arch="net")
    material = SimpleNamespace(recipe=recipe, fit=lambda model, schedule: Fresh(schedule))
    monkeypatch.setattr(report, "draw", lambda *everything: None)
    for first in (False, True):
        monkeypatch.setattr(Steps, "head_first", first)
        monkeypatch.setattr(module, "gather", lambda *everything: (material, None))
        find_lr("data", runs=tmp_path)
    assert fitted == [True]
    for option, words in (({"lr": 0.1}, "find_lr and lr cannot be given "
                                        "together"), ({"probe": True}, "probe has no learning rate")):
        with pytest.raises(UsageError, match=words):
            find_lr("data", runs=tmp_path, **option)


def test_setting_and_threads_are_those_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def gather(data: Any, wanted: Any, setting: Any) -> None:
        asked.append(setting)
        raise TrainingError("enough.")

    monkeypatch.setattr(module, "gather", gather)
    monkeypatch.setattr(module.kernels, "set_threads", asked.append)
    with pytest.raises(TrainingError):
        find_lr("data", runs=tmp_path, threads=3, cache="none", strict=True)
    assert (asked[0], asked[1].threads, asked[1].cache, asked[1].strict) == (3, 3, "none", True)


@pytest.fixture
def wanted(shared: Path) -> dict[str, Any]:
    return {"data": shared / "data", "arch": str(shared / "net.toml"), "batch_size": 8}


@pytest.mark.slow
def test_it_leaves_a_table_and_a_picture_and_no_run(wanted: dict[str, Any], tmp_path: Path) -> None:
    found = find_lr(**wanted, runs=tmp_path / "runs")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["lr.csv", "lr.png"]
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert found.rates[0] == pytest.approx(1e-4)
    assert found.suggestion is not None
    assert found.lowest is not None
    assert found.suggestion == pytest.approx(found.lowest / 3, rel=0.05)
    assert 1e-4 < found.suggestion < 3.4
    with open(found.table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx(found.losses, rel=1e-5)
    with Image.open(found.picture) as image:
        image.verify()
    again = find_lr(**wanted, runs=tmp_path / "runs")
    assert again == found, "the same seed finds the same, and takes the place of the one before"
    assert find_lr(**wanted, runs=tmp_path / "runs", seed=3).losses != found.losses


@pytest.mark.slow
def test_the_command_says_what_to_add(wanted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["train", str(wanted["data"]), "--arch", wanted["arch"], "--batch-size", "8", "--find-lr"]
    assert cli.main(flags) == 0
    out, err = capsys.readouterr()
    rate = out.removeprefix("suggested learning rate: ").strip()
    assert err.splitlines()[-1].endswith(f"--lr {rate}")
    assert cli.main([*flags, "--json", "--epochs", "30", "--optimizer", "adam"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["optimizer"] == "adam"
    assert result["rates"][0] == pytest.approx(1e-6)
    assert result["picture"] == "runs/lr.png"
    monkeypatch.setattr(module, "lowest_of", lambda rates, smoothed: None)
    assert cli.main(flags) == 1
    assert "no suggestion" in capsys.readouterr().err
    for more, word in ((["--resume"], "--resume"), (["--folds", "3"], "--folds"), (["--time", "3m"], "--time"),
                       (["--name", "x"], "--name"), (["--lr", "1"], "--lr")):
        assert cli.main([*flags, *more]) == 2
        assert word in capsys.readouterr().err
    assert cli.main(["train", "--find-lr"]) == 2


@pytest.mark.slow
def test_a_network_that_breaks_at_once_has_no_suggestion(wanted: dict[str, Any], tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.RANGES, "sgd", (1e25, 1e30))
    found = find_lr(**wanted, runs=tmp_path)
    assert found.suggestion is None
    assert found.stopped is not None
    assert found.picture.exists()


def test_where_nothing_can_be_written_it_is_told(wanted: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="runs"):
        find_lr(**wanted, runs=tmp_path / "file")
