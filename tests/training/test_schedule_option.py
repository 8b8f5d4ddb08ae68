"""A Schedule handed to train: what it leaves out is filled in, the recipe has it, and a resumed run follows it."""

import json
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli.data import Augmentation
from cnncli.errors import UsageError
from cnncli.optim import Schedule
from cnncli.runs import Run
from cnncli.training.options import Options
from cnncli.training.recipe import schedule_config

from .conftest import Train
from .test_arrays import Stop


def rates(run: Run) -> list[float]:
    return [row["learning_rate"] for row in run.history]


@pytest.mark.slow
def test_it_does_what_its_kind_does_and_its_options_change_that(train: Train) -> None:
    by_name, by_object = train(schedule="cosine", lr=0.1), train(schedule=Schedule("cosine"), lr=0.1)
    assert by_object.config["recipe"] == by_name.config["recipe"]
    assert (by_object.path / "model.safetensors").read_bytes() == (by_name.path / "model.safetensors").read_bytes()
    other = train(schedule=Schedule("cosine", 0.1, min_lr=0.04))
    assert other.config["recipe"]["schedule"] == {"kind": "cosine", "min_lr": 0.04}
    assert other.config["recipe"]["lr"] == 0.1
    assert min(rates(other)) >= 0.04 > min(rates(by_name))
    long = train(schedule=Schedule("step", 0.1, milestones=[2, 7], gamma=0.5, total_steps=99, warmup_steps=0))
    assert long.config["recipe"]["schedule"]["total_steps"] == 99
    assert rates(long) == pytest.approx([0.05, 0.025, 0.025])


@pytest.mark.slow
def test_a_resumed_run_follows_it(train: Train) -> None:
    schedule = Schedule("cosine", min_lr=0.03)
    whole = train(schedule=schedule, lr=0.1, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        train(schedule=schedule, lr=0.1, epochs=4, name="half", observer=Stop())
    part = train(resume="half", schedule=Schedule("cosine", lr=0.1, min_lr=0.03))
    assert (part.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    assert rates(part) == rates(whole)
    with pytest.raises(UsageError, match=r"began with schedule kind=cosine,min_lr=0\.03"):
        train(resume="half", schedule="cosine", epochs=5)


@pytest.mark.slow
def test_folds_keep_it(shared: Path, tmp_path: Path) -> None:
    found = cnncli.cross_validate(shared / "data", 2, arch=str(shared / "net.toml"), epochs=1, batch_size=8,
                                  schedule=Schedule("cosine", min_lr=0.03), augment=Augmentation(shift=1),
                                  runs=tmp_path)
    options = json.loads((tmp_path / f"{found.name}-fold1" / "config.json").read_text())["options"]
    taken_back = Options(**{name: tuple(value) if name == "fold" else value for name, value in options.items()})
    assert taken_back.schedule == Schedule("cosine", min_lr=0.03)
    assert taken_back.augment == Augmentation(shift=1)
    assert taken_back.config() == {**options, "fold": tuple(options["fold"])}


@pytest.mark.parametrize(("options", "words"), [
    ({"schedule": lambda step: 0.1}, "the schedule cannot be a function"),
    ({"schedule": Schedule("cosine", 0.1), "lr": 0.2}, "the schedule has the learning rate 0.1, and 0.2 is given, too"),
    ({"schedule": Schedule("cosine", 0.0)}, "above 0"), ({"schedule": "cosin"}, "Did you mean 'cosine'"),
    ({"schedule": Schedule("cosine", warmup_steps=3), "warmup": 1}, "leave the warm-up out"), ({"schedule": 3}, "3")])
def test_what_is_no_schedule_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options(**options)


def test_what_a_recipe_says_of_it() -> None:
    assert schedule_config("step") == schedule_config(Schedule("step", 0.1)) == "step"
    assert schedule_config(Schedule("step", 0.1, step_size=3)) == {
        "kind": "step", "milestones": None, "step_size": 3, "gamma": 0.1}
