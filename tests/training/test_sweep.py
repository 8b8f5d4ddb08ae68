"""sweep: which runs there are, that each is the training that it says, that one which is stopped anywhere goes on to
the same bits, and that whatever makes no sense is refused before anything is trained."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.data import images as decoding
from cnncli.errors import DataError, Interrupted, ModelError, NetworkError, UsageError
from cnncli.training import sweep as sweeping
from cnncli.training import train as training
from cnncli.training.observer import Observer
from cnncli.training.sweep import Sweep
from cnncli.training.sweep_settings import draws, grid, name_of, settings_of

from .conftest import Train
from .test_resume import At, Killed, die, interrupt, outcome

Begin = Callable[..., Sweep]


@pytest.fixture
def begin(train: Train, shared: Path, tmp_path: Path) -> Begin:
    """Sweep with quick trainings into tmp_path/runs; to resume, pass nothing but what resuming takes."""

    def run(settings: Any = (), **options: Any) -> Sweep:
        if "resume" not in options:
            options = {"data": shared / "data", "arch": str(shared / "net.toml"), "epochs": 2, "batch_size": 8,
                       "name": "s", **options}
        return cnncli.sweep(options.pop("data", None), settings, **{"runs": tmp_path / "runs", **options})

    return run


def bits(found: Sweep) -> dict[str, Any]:
    return {each.name: outcome(each.run) for each in found.runs if each.run and not each.failed}


# ---- what is trained ----


@pytest.mark.slow
def test_each_run_is_the_training_that_its_name_says(begin: Begin, train: Train) -> None:
    found = begin({"lr": [0.05, 0.01], "optimizer": "sgd,adam"})
    assert {each.name for each in found.runs} == {f"lr={lr},optimizer={how}" for lr in (0.05, 0.01)
                                                  for how in ("sgd", "adam")}
    for each in found.runs:
        assert each.run
        assert outcome(train(**each.settings, epochs=2, name=each.name)) == outcome(each.run)
        best = each.run.model.training
        assert (each.val_accuracy, each.epoch, each.epochs) == (best["val_accuracy"], best["epoch"], 2)
    order = [(-each.val_accuracy, each.val_loss) for each in found.runs]
    assert order == sorted(order)
    assert found.best == found.runs[0]
    assert found.image_count == found.runs[0].run.config["images"]["val"]  # type: ignore[union-attr]


@pytest.mark.slow
def test_images_are_decoded_once_for_each_size(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    load = decoding.load_images

    def counted(samples: Any, preprocessing: Any, *rest: Any, **more: Any) -> Any:
        sizes.append(preprocessing.size)
        return load(samples, preprocessing, *rest, **more)

    monkeypatch.setattr("cnncli.training.decoded.load_images", counted)
    begin(["size=10,12", "lr=0.1,0.2"], epochs=1)
    assert sorted(sizes) == [(10, 10)] * 2 + [(12, 12)] * 2  # training and validation images


@pytest.mark.slow
def test_all_are_validated_on_the_same_images(begin: Begin) -> None:
    found = begin({"seed": [0, 1]}, epochs=1)
    configs = [each.run.config for each in found.runs if each.run]
    assert configs[0]["samples"] == configs[1]["samples"]
    assert [config["recipe"]["split_seed"] for config in configs] == [0, 0]
    assert len({outcome(each.run)[0] for each in found.runs if each.run}) == 2


@pytest.mark.slow
def test_a_run_that_fails_is_said_and_the_others_go_on(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = At(print)
    found = begin(["lr=1e6,0.05"], observer=watch)
    assert [each.failed is None for each in found.runs] == [True, False]
    assert "use a lower learning rate" in str(found.runs[1].failed)
    assert any(note.startswith("Run 1 of 2 failed: ") for note in watch.notes)
    monkeypatch.setattr(sweeping, "begin", None)
    assert begin(resume="s").as_json() == found.as_json()  # not trained once more


@pytest.mark.slow
def test_where_every_run_fails_there_is_no_best(begin: Begin) -> None:
    found = begin({"lr": [1e6]})
    assert (found.best, found.error, found.as_json()["best"]) == (None, 0.0, None)


def test_no_memory_for_one_leaves_the_others(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(data: Any, options: Any, *rest: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(sweeping, "begin", trained)
    found = begin({"batch_size": [8, 16]}, batch_size=None)
    assert [each.failed for each in found.runs] == ["there is not enough memory."] * 2
    assert [each["failed"] for each in plan(found)["runs"]] == [None, None]  # there may be some when it is resumed


def plan(found: Sweep) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((found.path / "sweep.json").read_bytes())
    return config


# ---- going on ----


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grid", "random", "optuna"])
@pytest.mark.parametrize("step", [1, 9, 14])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(begin: Begin, tmp_path: Path, way: str, step: int) -> None:
    how: dict[str, Any] = {"grid": {}, "random": {"random": 3}, "optuna": {"optuna": 3}}[way]
    if way == "optuna":
        pytest.importorskip("optuna")
    settings = {"lr": [0.2, 0.1, 0.05] if way == "grid" else "0.05..0.2"}
    expected = bits(begin(settings, name="whole", **how))
    with pytest.raises(Interrupted, match=r"continue with: cnn sweep --resume stopped --runs ") as caught:
        begin(settings, name="stopped", observer=At(interrupt, steps=step), **how)
    assert bits(begin(resume=caught.value.run)) == expected
    assert bits(begin(resume=True)) == expected
    assert len(expected) == 3


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 12])
def test_killed_it_goes_on_to_the_same_bits(begin: Begin, step: int) -> None:
    expected = bits(begin({"lr": [0.2, 0.1]}, name="whole"))
    with pytest.raises(Killed):
        begin({"lr": [0.2, 0.1]}, observer=At(die, steps=step))
    assert bits(begin(resume="s/lr=0.2")) == expected  # named by one of its runs


@pytest.mark.slow
def test_more_draws_are_added_to_those_that_there_are(begin: Begin) -> None:
    few = bits(begin({"lr": "0.01..0.3"}, random=2, seed=3, epochs=1))
    more = bits(begin(resume="s", random=4))
    assert more.keys() > few.keys()
    assert len(more) == 4
    assert all(more[name] == few[name] for name in few)


@pytest.mark.slow
def test_ctrl_c_while_images_are_decoded(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    class Early(Observer):
        def loading(self, what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"all saved; continue with: cnn sweep --resume s") as caught:
        begin({"lr": [0.2]}, observer=Early())
    assert caught.value.exit_code == 130
    assert len(begin(resume="s").runs) == 1


@pytest.mark.slow
def test_images_that_were_moved_are_found_or_named(begin: Begin, shared: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(shared / "data", tmp_path / "a" / "data")
    with pytest.raises(Interrupted):
        begin({"lr": [0.2, 0.1]}, data=tmp_path / "a" / "data", runs=tmp_path / "a" / "runs",
              observer=At(interrupt, steps=2))
    (tmp_path / "a").rename(tmp_path / "b")
    assert len(bits(begin(resume="s", runs=tmp_path / "b" / "runs"))) == 2
    (tmp_path / "b" / "data").rename(tmp_path / "other")
    with pytest.raises(DataError, match=r"say where they are: cnn sweep DATA --resume s --runs"):
        begin(resume="s", runs=tmp_path / "b" / "runs")
    assert len(bits(begin(data=tmp_path / "other", resume="s", runs=tmp_path / "b" / "runs"))) == 2


def test_it_is_resumed_as_it_began_and_nothing_else(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                    ) -> None:
    monkeypatch.setattr(sweeping, "carry_out", die)
    with pytest.raises(TypeError):
        begin({"lr": [0.1]})
    for options, words in (({"settings": ["lr=1"]}, "leave the settings out"), ({"epochs": 3}, "leave epochs out"),
                           ({"name": "other"}, "leave name out"), ({"random": 2}, "without random=2"),
                           ({"resume": "nix"}, "no sweep nix"), ({"resume": "ss"}, "Did you mean 's'")):
        with pytest.raises(UsageError, match=words):
            begin(**{"resume": "s", **options})
    (tmp_path / "runs" / "s" / "sweep.json").write_text("{")
    with pytest.raises(UsageError, match=r"sweep\.json cannot be used"):
        begin(resume="s")
    with pytest.raises(UsageError, match=r"there is no sweep in .*; begin one with: cnn sweep DATA lr="):
        begin(resume=True, runs=tmp_path / "none")


# ---- what is refused ----


@pytest.mark.parametrize(("settings", "options", "words"), [
    ([], {}, "nothing to vary"),
    (["lrr=1"], {}, "Did you mean 'lr'"),
    (["quux=1"], {}, "give one of arch, augment"),
    (["lr"], {}, "'lr' is no setting"),
    (["lr="], {}, "must be a number"),
    (["arch=resnet8,"], {}, "empty value"),
    (["lr=a"], {}, "lr=a: the value must be a number"),
    (["lr=0"], {}, "lr=0: the learning rate must be"),
    (["lr=0.1", "lr=0.2"], {}, "lr=A,B"),
    (["lr=0.1,0.2"], {"lr": 0.1}, "leave one of them out"),
    (["epochs=1.5"], {}, "the value must be a whole number"),
    (["exact=maybe"], {}, "must be yes or no"),
    (["size=big"], {}, "must be pixels"),
    (["augment=flip,bogus"], {}, "augment=bogus: "),
    (["split-seed=1,2"], {}, "split-seed cannot be varied"),
    (["fold=1,2"], {}, "cnn train DATA --folds 5"),
    (["lr=0.1"], {"folds": 3}, "leave folds out"),
    (["lr=0.1..0.2"], {}, "random='N' or optuna='N'"),
    (["lr=0.2..0.1"], {"random": 3}, "smaller than the second"),
    (["lr=0..0.1"], {"random": 3}, "lr=0: the learning rate must be"),
    (["lr=0.1,0.2"], {"random": 3}, "not 3 different runs"),
    (["lr=0.1"], {"random": 0}, "at least 1, not 0"),
    (["lr=0.1"], {"random": 1, "optuna": 1}, "random and optuna cannot be given together"),
    (["lr=0.1"], {"recipe": "fast"}, "leave the recipe fast out"),
    (["warmup=1,9"], {}, "warmup=9: a warm-up of 9 epochs"),
    (["lr=0.1"], {"init": "efficientnet_lite0", "probe": True, "epochs": None, "arch": None}, "lr changes nothing"),
    ({"augment": [cnncli.Observer()]}, {}, "words or numbers"),
    ({"lr": []}, {}, "has no values"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_before_the_first_training(
    begin: Begin, tmp_path: Path, settings: Any, options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.Prepared, "__init__", None)
    with pytest.raises(UsageError, match=words):
        begin(settings, **options)
    assert not (tmp_path / "runs" / "s").exists()


@pytest.mark.parametrize(("setting", "kind"), [("arch=resnet8,resnet21", NetworkError), ("arch=vgg-small", UsageError),
                                               ("init=none,bogus", ModelError)])
def test_what_the_images_do_not_take_is_refused_before_the_first_training(
    begin: Begin, tmp_path: Path, setting: str, kind: type[Exception]
) -> None:
    with pytest.raises((UsageError, NetworkError, ModelError)):
        begin([setting, "size=4"], arch=None)
    assert not (tmp_path / "runs" / "s").exists()


# ---- settings ----


def test_combinations_draws_and_names() -> None:
    settings = settings_of(["lr=0.01..1", "batch-size=8..64", "arch=resnet8,net.toml", "size=64x48,32"])
    assert settings == settings_of({"lr": "0.01..1", "batch_size": "8..64", "arch": ["resnet8", "net.toml"],
                                    "size": [(48, 64), 32]})
    points = draws(settings, 200, seed=1)
    assert points[:50] == draws(settings, 50, seed=1)
    assert points != draws(settings, 200, seed=2)
    rates, sizes = [p["lr"] for p in points], [p["batch_size"] for p in points]
    assert min(rates) >= 0.01
    assert max(rates) <= 1
    assert 70 < sum(rate < 0.1 for rate in rates) < 130  # by factors: as many in each power of ten
    assert set(map(type, sizes)) == {int}
    assert 70 < sum(size < 23 for size in sizes) < 130
    assert {p["arch"] for p in points} == {"resnet8", "net.toml"}
    assert all(float(f"{rate:.3g}") == rate for rate in rates)
    assert len({tuple(p.items()) for p in points}) == 200
    grown = grid(settings_of(["lr=1,2,1", "exact=yes,no"]))
    assert [list(point.values()) for point in grown] == [[1, True], [1, False], [2, True], [2, False]]
    assert name_of(grown[0], []) == "lr=1,exact=yes"
    assert name_of({"size": (48, 64), "arch": "a b/net.toml", "class_weights": None}, []) == (
        "size=64x48,arch=net,class-weights=none")
    assert [name_of(point, []) for point in grid(settings_of({"augment": [None, "none"], "init": [None, "none"]}))] == [
        "augment=auto,init=auto", "augment=auto,init=none", "augment=none,init=auto", "augment=none,init=none"]
    assert name_of({"arch": "b/net.toml"}, ["arch=net"]) == "arch=net-2"
    long = name_of({"augment": "shift=4," * 30}, ["x"])
    assert len(long) < 90
    assert "/" not in long
    assert [s.values for s in settings_of(["augment=none;shift=4,flip"])] == [("none", "shift=4,flip")]
    numbers = settings_of({"lr": np.array([0.5, 0.25], np.float32), "epochs": [np.int64(3)], "seed": np.arange(2)})
    assert [[(type(value), value) for value in setting.values] for setting in numbers] == [
        [(float, 0.5), (float, 0.25)], [(int, 3)], [(int, 0), (int, 1)]]
    linear = draws(settings_of(["label-smoothing=0..0.2"]), 100, 0)
    assert 30 < sum(point["label_smoothing"] < 0.1 for point in linear) < 70
