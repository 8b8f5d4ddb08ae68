"""training/folds.py without a training: which runs a cross-validation makes or goes on with, by which options, and what
it says of their figures."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnncli.errors import UsageError
from cnncli.training import folds as module
from cnncli.training.folds import cross_validate
from cnncli.training.observer import Observer

WRITTEN: dict[Path, bytes] = {}
ACCURACIES, LAST = [0.5, 0.75, 0.7], [0.25, 0.6666667, 0.9]


class Heard(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Keep what trainings are asked for; each of them reaches what is above."""
    asked: list[tuple[Any, dict[str, Any]]] = []

    def train(data: Any, **options: Any) -> Any:
        asked.append((data, options))
        place = len(asked) - 1
        skipped = [("b", "x"), (f"a{place}", "y")]
        return SimpleNamespace(
            name=options.get("name") or options["resume"], path=Path(f"runs/{place}"), skipped=skipped,
            model=SimpleNamespace(training={"epoch": place + 1, "val_loss": 0.1, "val_accuracy": ACCURACIES[place]}),
            config={"images": {"val": 3 if place == 1 else 20}}, history=[{}, {"val_accuracy": LAST[place]}])

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "write_atomically", lambda path, data: WRITTEN.update({path: data}))
    return asked


def test_each_fold_is_a_training_and_all_of_them_a_figure(trained: list[Any], tmp_path: Path) -> None:
    heard = Heard()
    found = cross_validate("data", 3, name="cv", runs=tmp_path, epochs=4, observer=heard)
    more = {"runs": str(tmp_path), "epochs": 4, "observer": heard}
    assert trained == [("data", {"name": f"cv-fold{k}", "fold": (k, 3), **more}) for k in (1, 2, 3)]
    assert heard.notes == [f"Fold {k} of 3: {tmp_path}/cv-fold{k}" for k in (1, 2, 3)]
    assert (found.name, found.skipped) == ("cv", [("a0", "y"), ("a1", "y"), ("a2", "y"), ("b", "x")])
    assert (found.mean, found.deviation) == (pytest.approx(0.65), pytest.approx(0.0175**0.5))
    assert found.last_mean == pytest.approx((0.25 + 2 / 3 + 0.9) / 3)
    assert found.last_deviation == pytest.approx((((0.25 - found.last_mean) ** 2 + (2 / 3 - found.last_mean) ** 2
                                                   + (0.9 - found.last_mean) ** 2) / 2) ** 0.5)
    said = found.as_json()
    assert [said[key] for key in ("name", "mean", "deviation", "last_mean", "last_deviation")] == [
        "cv", found.mean, found.deviation, found.last_mean, found.last_deviation]
    assert said["folds"][1] == {"fold": 2, "run": "cv-fold2", "path": "runs/1", "images": 3, "best_epoch": 2,
                                "val_loss": 0.1, "val_accuracy": 0.75, "last_accuracy": 2 / 3}
    assert said["skipped"][0] == {"path": "a0", "error": "y"}
    assert json.loads(WRITTEN[Path("runs/2/folds.json")])["folds"][1]["path"] == "runs/1"


def begun(runs: Path, name: str, **config: Any) -> None:
    """Write the configuration of a run."""
    (runs / name).mkdir(parents=True)
    (runs / name / "config.json").write_text(json.dumps(config))


FIRST = {"data": "/the/data", "recipe": {"fold": [1, 3]},
         "options": {"epochs": 5, "patience": 2, "lr": 0.1, "fold": [1, 3], "seed": 7}}


@pytest.mark.parametrize(("data", "options", "epochs", "patience"), [
    (None, {}, 5, 2), ("elsewhere", {"epochs": 9}, 9, 2), (None, {"patience": 4, "lr": 0.1}, 5, 4)])
def test_what_is_there_goes_on_and_the_rest_begins_as_the_first_did(
        data: Any, options: dict[str, Any], epochs: int, patience: int, trained: list[Any], tmp_path: Path) -> None:
    begun(tmp_path, "cv-fold1", **FIRST)
    (tmp_path / "cv-fold2").mkdir()
    begun(tmp_path, "cv-fold3", **FIRST)
    found = cross_validate(data, 3, resume="cv", runs=tmp_path, **options)
    assert found.name == "cv"
    where, more = data or "/the/data", {**options, "epochs": epochs, "patience": patience}
    stored = {"lr": 0.1, "seed": 7, **more}
    assert trained == [(where, {"resume": "cv-fold1", "runs": str(tmp_path), **more}),
                       (where, {"name": "cv-fold2", "runs": str(tmp_path), "fold": (2, 3), **stored}),
                       (where, {"resume": "cv-fold3", "runs": str(tmp_path), **more})]


def test_the_latest_is_that_of_the_newest_fold(trained: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    begun(tmp_path, "a-b-fold2", **FIRST)
    monkeypatch.setattr(module, "newest_run", lambda runs: SimpleNamespace(name="a-b-fold2"))
    for which in (True, "latest", "a-b-fold3", "a-b", tmp_path / "a-b"):
        assert cross_validate(None, 3, resume=which, runs=tmp_path).name == "a-b"
        trained.clear()
    monkeypatch.setattr(module, "newest_run", lambda runs: SimpleNamespace(name="resnet8-1"))
    for which, count, words in (
            (True, 3, "is no fold; name the cross-validation to continue: folds=3 resume='NAME'"),
            ("a-b", 4, "a-b has 3 folds; resume it with folds=3."),
            ("c", 3, "there is no cross-validation c in .*; begin one with: cnn train DATA --folds 3")):
        with pytest.raises(UsageError, match=words):
            cross_validate(None, count, resume=which, runs=tmp_path)
    for config in ({**FIRST, "recipe": {}}, {"recipe": FIRST["recipe"]}):
        (tmp_path / "a-b-fold2" / "config.json").write_text(json.dumps(config))
        with pytest.raises(UsageError, match="a-b-fold2 is no fold of a cross-validation"):
            cross_validate(None, 3, resume="a-b", runs=tmp_path)


@pytest.mark.parametrize(("arch", "name"), [
    (None, "folds-1"), ("auto", "folds-1"), ("resnet8", "resnet8-3"), ("some/where/my net.toml", "my-net-1"),
    ("...toml", "folds-1"), ("lenet5", "lenet5-1")])
def test_a_free_name_follows_the_architecture(arch: str | None, name: str, tmp_path: Path) -> None:
    for taken in ("resnet8-1-fold2", "resnet8-2", "resnet8-10", "lenet5-11-fold1", "lenet5"):
        (tmp_path / taken).mkdir()
    assert module._free_name(tmp_path, arch) == name
    assert module._free_name(tmp_path / "nowhere", "resnet8") == "resnet8-1"
