"""watching/trackers.py: what each library is told, by stand-ins of each, and by those that are installed."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import UsageError
from cnncli.training.observer import Observer, Observers
from cnncli.watching import recorder
from cnncli.watching.trackers import ADAPTERS, Tracker

from ..training.conftest import Train, shared, train
from ..training.test_resume import outcome

__all__ = ["shared", "train"]
STEPS = 5  # of an epoch
Told = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a recorder take the time to tell everything."""
    monkeypatch.setattr(recorder, "SHARE_OF_STEPS", 1e6)
    monkeypatch.setattr(recorder, "SHARE_OF_LOOKS", 1e6)


def wandb(told: Told) -> types.ModuleType:
    module: Any = types.ModuleType("wandb")
    module.Settings = lambda **given: given

    def init(**given: Any) -> Any:
        print("welcome")  # not to stdout, where data goes
        told.append(("begin", given.pop("name"), given.pop("config"), given["mode"]))
        return types.SimpleNamespace(log=lambda numbers, step: told.append(("log", numbers, step)),
                                     finish=lambda exit_code: told.append(("end", exit_code)))

    module.init = init
    return module  # type: ignore[no-any-return]


def trackio(told: Told) -> types.ModuleType:
    module: Any = types.ModuleType("trackio")
    module.init = lambda project, name, config: told.append(("begin", name, config, project))
    module.log = lambda numbers, step: told.append(("log", numbers, step))
    module.finish = lambda: told.append(("end", 0))
    return module  # type: ignore[no-any-return]


def mlflow(told: Told) -> types.ModuleType:
    module: Any = types.ModuleType("mlflow")
    module.entities = types.SimpleNamespace(Param=lambda key, value: (key, value),
                                            Metric=lambda key, value, when, step: (key, value, step))

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> None:
            return None

        def create_experiment(self, name: str) -> str:
            return "7"

        def create_run(self, experiment: str, run_name: str) -> Any:
            self.name = run_name
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

        def log_batch(self, run: str, metrics: Any = (), params: Any = ()) -> None:
            if params:
                told.append(("begin", self.name, dict(params), run))
            else:
                told.append(("log", {key: value for key, value, _ in metrics}, metrics[0][2]))

        def set_terminated(self, run: str, status: str) -> None:
            told.append(("end", 0 if status == "FINISHED" else 1))

    module.MlflowClient = MlflowClient
    return module  # type: ignore[no-any-return]


STAND_INS: dict[str, Callable[[Told], types.ModuleType]] = {"wandb": wandb, "trackio": trackio, "mlflow": mlflow}


def test_each_has_a_stand_in() -> None:
    assert STAND_INS.keys() == ADAPTERS.keys()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found: Told = []
    for name, make in STAND_INS.items():
        monkeypatch.setitem(sys.modules, name, make(found))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("library", ADAPTERS)
def test_each_is_told_everything(train: Train, told: Told, library: str, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    run = train(observer=Tracker(library, said.append), name="a")
    assert outcome(run) == outcome(train(name="plain"))
    (begin, name, settings, _), *logged, end = told
    assert (begin, name, end) == ("begin", "a", ("end", 0))
    assert str(settings["lr"]) == str(run.config["recipe"]["lr"])
    assert all(kind == "log" for kind, *_ in logged)
    at = [step for _, _, step in logged]
    assert at == sorted(at)
    losses = {step: numbers["epoch/val_loss"] for _, numbers, step in logged if "epoch/val_loss" in numbers}
    assert losses == pytest.approx({row["epoch"] * STEPS: row["val_loss"] for row in run.history}, rel=1e-5)
    assert [step for _, numbers, step in logged if "train/loss" in numbers] == list(range(1, 3 * STEPS + 1))
    assert any(name.startswith("gradients/") for _, numbers, _ in logged for name in numbers)
    assert said == [f"{library}: goes to {ADAPTERS[library].where}."]
    assert capsys.readouterr().out == ""
    if library == "wandb":
        assert told[0][3] == "offline"


@pytest.mark.slow
def test_a_run_that_goes_on_is_a_new_one_with_the_earlier_epochs(train: Train, told: Told) -> None:
    train(name="a")
    train(resume="a", epochs=4, observer=Tracker("trackio"))
    assert [numbers["epoch/number"] for kind, *rest in told if kind == "log" for numbers in rest[:1]
            if "epoch/number" in numbers] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("library", ADAPTERS)
@pytest.mark.parametrize("call", [0, 1, 9])
def test_one_that_fails_gets_one_note_and_the_training_goes_on(train: Train, told: Told, library: str, call: int
                                                               ) -> None:
    said: list[str] = []
    taken = told.append

    class Failing(list[Any]):
        def append(self, each: Any) -> None:
            taken(each)
            if len(told) > call:
                raise ValueError("the server says no\nat length")

    sys.modules[library] = STAND_INS[library](Failing())
    run = train(observer=Tracker(library, said.append), name="a")
    assert outcome(run) == outcome(train(name="plain"))
    assert said[1:] == [f"The training is not told to {library} any more, but goes on: ValueError: the server says "
                        "no\\nat length."]


def test_what_was_begun_is_ended_where_no_epoch_is(train: Train, told: Told) -> None:
    class Leaving(Observer):
        def looking_inside(self, inside: object) -> None:
            raise KeyError

    with pytest.raises(KeyError):
        train(observer=Observers(Tracker("wandb"), Leaving()))
    assert [each[0] for each in told] == ["begin", "end"]


def test_what_is_not_there_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ADAPTERS:
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(UsageError, match=f"Tracker {library} needs the package {library}; get it with: pip inst"):
            Tracker(library)
    with pytest.raises(UsageError, match="Did you mean 'mlflow'"):
        Tracker("mlfow")


def test_one_that_is_broken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb.py").write_text("raise RuntimeError('of another age')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(UsageError, match=r"cannot be imported \(RuntimeError: of another age\); install it again"):
        Tracker("wandb")


# ---- the libraries themselves ----


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio_itself_has_it(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    import sqlite3
    from contextlib import closing

    run = train(observer=Tracker("trackio"), name="a")
    assert capsys.readouterr().out == ""
    database = next((tmp_path / "trackio").rglob("*.db"))
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("select step, metrics from metrics").fetchall()
    assert {step for step, numbers in rows if b"epoch/val_loss" in bytes(numbers)} == {
        row["epoch"] * STEPS for row in run.history}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_has_it(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    run = train(observer=Tracker("mlflow"), name="a")
    client = mlflow.MlflowClient()
    found = client.search_runs([client.get_experiment_by_name("cnn").experiment_id])[0]
    assert (found.info.run_name, found.info.status) == ("a", "FINISHED")
    assert found.data.params["arch"] == "net.toml"
    curve = {each.step: each.value for each in client.get_metric_history(found.info.run_id, "epoch/val_loss")}
    assert curve == pytest.approx({row["epoch"] * STEPS: row["val_loss"] for row in run.history}, rel=1e-5)
