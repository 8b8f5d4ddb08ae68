"""evaluation/listing.py from Python: the record of each run, runs beside each other, and what is refused."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import cnncli
from cnncli.errors import UsageError
from cnncli.evaluation.intervals import wilson

from ..cli.test_runs import make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make(Path("runs"), "a", [0.5, 0.9, 0.8])
    make(Path("runs"), "b", [0.5, 0.7], epochs=5, lr=0.05)
    make(Path("runs"), "c", [None])
    return tmp_path


def test_each_run_has_a_record(here: Path) -> None:
    a, b, c = sorted(cnncli.list_runs(), key=lambda each: each.name)
    assert (a.name, a.architecture, a.state, a.epochs, a.epoch, a.seconds) == ("a", "lenet5", "done", 3, 2, 5550.0)
    assert (a.accuracy, a.interval, a.image_counts) == (0.9, wilson(9, 10), {"train": 90, "val": 10})
    assert a.trained == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert (b.state, b.epochs, b.differs) == ("stopped", 2, {"epochs": 5, "lr": 0.05})
    assert (c.accuracy, c.interval, c.epoch) == (None, None, 1)
    assert a.as_json()["interval"] == list(wilson(9, 10))
    assert a.history == cnncli.find_run("a").history


def test_runs_beside_each_other(here: Path) -> None:
    b, a = cnncli.compare_runs(["b", cnncli.find_run("a")])
    assert (a.name, a.differs, b.differs) == ("a", {"epochs": 3, "lr": 0.1}, {"epochs": 5, "lr": 0.05})
    assert [each.name for each in cnncli.compare_runs(("runs/a", Path("runs", "c")))] == ["a", "c"]
    assert cnncli.find_run("b", "runs").path == cnncli.find_run(Path("runs/b")).path


def test_a_run_says_what_it_was_computed_in(here: Path) -> None:
    """A recipe says it where it is not float32, and of a run that went on in float32 nothing."""
    a, b = cnncli.find_run("a"), cnncli.find_run("b")
    a.write_config({**a.config, "precision": {"chosen": "bfloat16", "continued": {"precision": "float32", "epoch": 2}}})
    b.write_config({**b.config, "recipe": {**b.config["recipe"], "precision": "bfloat16"}})
    assert {each.name: each.settings["precision"] for each in cnncli.list_runs()} == {
        "a": "bfloat16 then float32", "b": "bfloat16", "c": "float32"}
    assert cnncli.compare_runs(["b", "c"])[1].differs["precision"] == "float32"


@pytest.mark.parametrize("config", ["{", '{"images": 3, "recipe": {"arch": ["x"]}}', '{"images": {"val": "x"}}'])
def test_a_run_with_a_damaged_configuration_is_listed(config: str, here: Path) -> None:
    Path("runs/b/config.json").write_text(config, encoding="utf-8")
    [b] = [each for each in cnncli.list_runs() if each.name == "b"]
    assert (b.architecture, b.image_counts, b.interval) == (None, {}, None)
    assert ("config.json cannot be used" in (b.trouble or "")) == (config == "{")


@pytest.mark.parametrize(("call", "given", "sentence"), [
    ("list_runs", ["gone"], "there is no folder gone"),
    ("list_runs", [3], "runs must be a text or a path, not 3."),
    ("compare_runs", [["a"]], "there must be at least two runs to compare; give a list of their names."),
    ("compare_runs", ["ab"], "there must be at least two runs"),
    ("compare_runs", [["a", "bb"]], "there is no run bb. Did you mean"),
    ("compare_runs", [["a", 3]], "3 is no run; give its name, or the path of its folder."),
    ("compare_runs", [5], "there must be at least two runs"),
    ("find_run", [3], "3 is no run; give its name, or the path of its folder."),
    ("find_run", ["aa"], "there is no run aa in runs/. Did you mean"),
])
def test_what_is_refused(call: str, given: list[Any], sentence: str, here: Path) -> None:
    with pytest.raises(UsageError) as error:
        getattr(cnncli, call)(*given)
    assert sentence in str(error.value)
