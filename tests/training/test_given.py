"""What ``cnncli.train`` is given in another form than the usual one: taken where its meaning is clear, refused in a
sentence elsewhere."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import Network, Observer, Observers, cross_validate, evaluate
from cnncli.data import Preprocessing
from cnncli.errors import UsageError
from cnncli.training.options import Options, seconds_of

from .conftest import Train


class Scribbler(Observer):
    """Writes into everything that it is told."""

    def started(self, run: Any, summary: dict[str, Any]) -> None:
        summary["recipe"].clear()
        summary.clear()

    def resumed(self, rows: Any, step: int) -> None:
        for row in rows:
            row.clear()

    def epoch_done(self, row: dict[str, Any], best: bool) -> None:
        row.clear()


@pytest.mark.slow
def test_paths_runs_and_numbers_of_numpy(train: Train, shared: Path) -> None:
    run = train(arch=shared / "net.toml", epochs=np.int64(1), lr=np.float32(0.01), observer=Scribbler(),
                exclude=[Path(sorted((shared / "data").rglob("*.png"))[0]).relative_to(shared / "data")])
    assert [row["epoch"] for row in run.history] == [1]
    assert len(run.config["excluded"]) == 1
    assert len(train(resume=run, epochs=np.int64(2), observer=Scribbler()).history) == 2
    assert os.fspath(run) == str(run.path)


@pytest.mark.slow
def test_a_model_whose_file_has_gone_is_still_one(train: Train, shared: Path) -> None:
    run = train(epochs=1)
    model = run.model
    shutil.rmtree(run.path)
    found = evaluate(model, shared / "data", compare=False)
    assert found.as_json()["trained"] is None
    assert found.image_count == 42


def test_the_time_is_seconds_or_a_timedelta() -> None:
    assert seconds_of(timedelta(minutes=2)) == seconds_of(np.int64(120)) == seconds_of("2m") == 120
    assert Options(time=timedelta(seconds=90)).given() == {"time": 90.0}  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="or a number of seconds, not 'soon'"):
        seconds_of("soon")


@pytest.mark.parametrize(("given", "words"), [
    ({"arch": Network([{"type": "Flatten"}], (2, 2, 1))}, "arch must be a text or a path, not "),
    ({"class_weights": {"bea": 2.0}}, "there is no class 'bea'; give one of ant, bee, cat. Did you mean 'bee'?"),
    ({"class_weights": {"ant": "2"}}, "or a mapping of names of classes to numbers, not {'ant': '2'}."),
    ({"class_weights": {}}, "names of classes to numbers, not {}"), ({"class_weights": ["a"]}, "order"),
    ({"augment": 3}, "augment must be a text, True or False or an Augmentation, not 3"),
    ({"augment": ()}, "augment must be"), ({"resume": 1}, "resume must be True or False"),
    ({"runs": None}, "runs must be"),
    ({"name": 5}, "name must be a text, not 5"), ({"data": ["photos"]}, "a list of paths has no labels")])
def test_what_is_refused(given: dict[str, Any], words: str, train: Train, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        train(**given)
    assert words in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_functions_are_no_observers() -> None:
    with pytest.raises(UsageError, match="several must be an Observer, not <built-in function print>"):
        Observers(print)  # type: ignore[arg-type]


def test_a_files_content_is_prepared_as_the_file(shared: Path) -> None:
    how, path = Preprocessing((4, 5)), sorted((shared / "data").rglob("*.png"))[0]
    assert np.array_equal(how.prepare(path.read_bytes()), how.prepare(path))


@pytest.mark.slow
def test_weights_by_the_names_of_classes(train: Train) -> None:
    """They are those of a list, in the run's recipe and in each fold; resuming takes either form."""
    named, listed = train(epochs=1, class_weights={"bee": 2}), train(epochs=1, class_weights=[1, 2, 1], name="listed")
    assert named.config["recipe"]["class_weights"] == listed.config["recipe"]["class_weights"] == [1.0, 2.0, 1.0]
    assert named.config["asked"]["class_weights"] == {"bee": 2}
    assert (named.path / "model.safetensors").read_bytes() == (listed.path / "model.safetensors").read_bytes()
    for weights in ({"bee": 2.0}, {"ant": 1, "bee": 2}, [1, 2, 1]):
        assert train(resume=named, class_weights=weights).path == named.path
    with pytest.raises(UsageError, match=r"began with class weights \[1, 2, 1\], which a resumed run keeps"):
        train(resume=named, class_weights={"bee": 3})
    with pytest.raises(UsageError, match=r"^there is no class 'bea'; give one of ant, bee, cat\. Did you mean 'bee'"):
        train(resume=named, class_weights={"bea": 3})


@pytest.mark.slow
def test_weights_by_the_names_of_classes_in_every_fold(shared: Path, tmp_path: Path) -> None:
    found = cross_validate(shared / "data", 2, arch=shared / "net.toml", epochs=1, runs=tmp_path / "runs",
                           class_weights={"bee": 2})
    assert [fold.run.config["recipe"]["class_weights"] for fold in found.folds] == [[1.0, 2.0, 1.0]] * 2
