"""--shards through a whole training: in the recipe, resumed to the bit, in every way to train, refused where it makes
no sense."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnncli import cross_validate, find_lr, sweep
from cnncli.errors import Interrupted, UsageError

from .conftest import Train
from .test_resume import At, interrupt, outcome


@pytest.mark.slow
def test_it_stands_in_the_recipe_and_makes_another_model(train: Train) -> None:
    whole, parts = train(epochs=1), train(epochs=1, shards=2)
    recipe = json.loads((parts.path / "config.json").read_text())["recipe"]
    assert recipe["shards"] == 2
    assert "shards" not in json.loads((whole.path / "config.json").read_text())["recipe"]
    assert outcome(whole) != outcome(parts)
    assert outcome(train(epochs=1, shards=1)) == outcome(whole)


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"augment": "strong,mixup", "ema": 0.5},
    {"precision": "bfloat16"},
    {"optimizer": "adam", "class_weights": "balanced"},
], ids=["mixed and averaged", "bfloat16", "adam"])
def test_stopped_and_resumed_on_other_threads(train: Train, options: dict[str, Any]) -> None:
    given = {"shards": 4, "epochs": 2, **options}
    expected = outcome(train(**given))
    for step in (1, 4, 7):
        with pytest.raises(Interrupted):
            train(**given, name=f"s{step}", threads=2, observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"s{step}", threads=1)) == expected, f"after step {step}"


def test_a_resumed_run_keeps_its_parts(train: Train) -> None:
    with pytest.raises(Interrupted):
        train(shards=2, name="run", observer=At(interrupt, steps=2))
    with pytest.raises(UsageError, match=r"began with shards 2, which a resumed run keeps; leave shards out"):
        train(resume="run", shards=4)
    assert train(resume="run", shards=2).history[-1]["epoch"] == 3


@pytest.mark.slow
def test_other_ways_to_train(shared: Path, train: Train, tmp_path: Path) -> None:
    given: dict[str, Any] = {"arch": str(shared / "net.toml"), "batch_size": 8, "runs": tmp_path / "others"}
    assert find_lr(shared / "data", shards=2, **given).suggestion
    cross_validate(shared / "data", folds=2, epochs=1, shards=2, **given)
    swept = sweep(shared / "data", {"shards": [1, 2, 4]}, epochs=1, **given)
    assert {run.settings["shards"]: run.failed for run in swept.runs} == {1: None, 2: None, 4: None}
    folds = sorted((tmp_path / "others").glob("*-fold?"))
    assert [json.loads((run / "config.json").read_text())["recipe"]["shards"] for run in folds] == [2, 2]
    tuned = train(arch=None, init=train(epochs=1, name="first").path, freeze=1, shards=2, epochs=1, name="tuned")
    assert tuned.history
    assert train(epochs=None, time="1s", shards=2, name="timed").history


def test_what_makes_no_sense(train: Train) -> None:
    with pytest.raises(UsageError, match=r"shards=5 leaves less than 2 of 8 images .* give at most 4, or larger"):
        train(shards=5)
    with pytest.raises(UsageError, match="number of parts of a batch must be a whole number of at least 1, not 0"):
        train(shards=0)
    with pytest.raises(UsageError, match="probe and shards cannot be given together"):
        train(arch=None, init="efficientnet_lite0", epochs=None, probe=True, shards=2)
