"""The precision of a training: asked for, measured or as a variable says, and how a run that is resumed goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.errors import UsageError
from cnncli.model import checkpoint
from cnncli.network import Network
from cnncli.optim import SGD
from cnncli.runs import Run
from cnncli.training import precision as measuring
from cnncli.training.find_lr import find_lr
from cnncli.training.trainer import Trainer

from ..model.test_precision import having
from .conftest import Train
from .test_resume import At, interrupt, outcome
from .test_trainer import LAYERS, batch


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable, and without instructions for bfloat16."""
    monkeypatch.delenv("CNN_PRECISION", raising=False)
    having(monkeypatch)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let there be instructions. Each step is made twice, and seems to be twice as fast in bfloat16; returns the
    precision of each measurement."""
    having(monkeypatch, "bf16")
    made: list[str] = []

    def timed(work: dict[str, Callable[[], object]], images: int, clock: object) -> dict[str, float]:
        for name, each in work.items():
            made.append(name)
            each(), each()
        return {"float32": images, "bfloat16": 2 * images}

    monkeypatch.setattr(measuring, "in_turns", timed)
    return made


class Heard(At):
    """Keeps what is said of the precision."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    @property
    def said(self) -> list[str]:
        return [sentence for sentence in self.notes if "recision" in sentence]


def recipe(run: Run) -> Any:
    return run.config["recipe"].get("precision")


# ---- a new training ----


def test_without_the_option_nothing_is_said_and_nothing_written(train: Train, measured: list[str]) -> None:
    heard = Heard()
    run = train(epochs=1, observer=heard)
    assert heard.said == []
    assert measured == []
    assert "precision" not in json.dumps(run.config)
    assert b"precision" not in (run.path / "model.safetensors").read_bytes()


def test_bfloat16_is_kept_in_the_configuration_and_the_model(train: Train) -> None:
    heard = Heard()
    run = train(epochs=1, precision="bfloat16", observer=heard)
    assert recipe(run) == run.model.training["recipe"]["precision"] == run.config["asked"]["precision"] == "bfloat16"
    assert run.config["precision"] == {"asked": "bfloat16", "chosen": "bfloat16", "rounding": "floats",
                                       "images_per_second": None}
    assert heard.said == ["Precision: bfloat16, as asked. There are no instructions for it here, so it saves memory, "
                          "but no time."]
    assert run.model.network.precision == "float32", "that of a file is chosen by those who use it"


def test_the_network_that_learns_has_the_precision(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self, *given: seen.append(self.network.precision) or step(self, *given))
    train(epochs=1, precision="bfloat16")
    assert {*seen} == {"bfloat16"}


def test_measuring_changes_nothing(train: Train, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of dropout's clock, batch norm's statistics and the network's gradients."""
    plain = train(name="plain", precision="float32")
    assert measured == []
    slower = measuring.in_turns
    monkeypatch.setattr(measuring, "in_turns", lambda *given: {**slower(*given), "bfloat16": 0.0})
    heard = Heard()
    auto = train(name="auto", precision="auto", observer=heard)
    assert measured == ["float32", "bfloat16"]
    assert outcome(auto) == outcome(plain)
    assert heard.said == ["Measuring how fast each precision is …", "Precision: float32, because bfloat16 is not "
                          "clearly faster here: 0 images a second, 8 in float32."]
    assert auto.config["precision"]["images_per_second"] == {"float32": 8, "bfloat16": 0}


def test_what_is_measured_to_be_faster_is_taken(train: Train, measured: list[str]) -> None:
    run = train(epochs=1, precision="auto")
    assert (recipe(run), run.config["asked"]["precision"]) == ("bfloat16", "auto")
    assert run.config["precision"] == {"asked": "auto", "chosen": "bfloat16", "rounding": "pairs",
                                       "images_per_second": {"float32": 8, "bfloat16": 16}}


def test_without_instructions_auto_is_float32(train: Train, measured: list[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, "vnni")
    run = train(epochs=1, precision="auto")
    assert measured == []
    assert recipe(run) is None
    assert run.config["precision"]["chosen"] == "float32"


def test_the_variable_is_for_those_who_say_nothing(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    run = train(epochs=1)
    assert recipe(run) == run.config["asked"]["precision"] == "bfloat16"
    assert recipe(train(epochs=1, precision="float32")) is None
    monkeypatch.setenv("CNN_PRECISION", "half")
    with pytest.raises(UsageError, match="CNN_PRECISION=half cannot be used"):
        train(epochs=1, name="none")
    assert not Run(run.path.parent / "none").path.exists()


def test_an_unknown_precision(train: Train) -> None:
    with pytest.raises(UsageError, match="there is no precision 'half'; give one of auto, float32, bfloat16"):
        train(precision="half")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"freeze": 1}, {"probe": True, "epochs": None}, {"freeze": "all"}])
def test_trainings_that_begin_with_weights_are_measured_as_they_are(
        options: dict[str, Any], train: Train, measured: list[str]) -> None:
    first = train(epochs=1, name="first")
    run = train(**{"arch": None, "init": first.path, "epochs": 1, "precision": "auto", **options})
    assert measured == ["float32", "bfloat16"]
    assert recipe(run) == "bfloat16"


@pytest.mark.slow
def test_a_training_for_a_time_and_a_test_of_rates_have_it(train: Train, shared: Path, tmp_path: Path) -> None:
    assert recipe(train(epochs=None, time="1s", precision="bfloat16")) == "bfloat16"
    heard = Heard()
    find_lr(shared / "data", arch=shared / "net.toml", batch_size=8, precision="bfloat16", runs=tmp_path / "rates",
            observer=heard)
    assert heard.said[0].startswith("Precision: bfloat16, as asked.")


# ---- a run that is resumed ----


def stopped(train: Train, **options: Any) -> Run:
    with pytest.raises(cnncli.errors.Interrupted) as caught:
        train(observer=At(interrupt, steps=7), name="stopped", **options)
    return caught.value.run


@pytest.mark.slow
def test_a_run_goes_on_as_it_was_chosen(train: Train, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(name="whole", precision="auto")
    run = stopped(train, precision="auto")
    measured.clear()
    monkeypatch.setenv("CNN_PRECISION", "float32")
    train(resume=run, precision="auto")
    assert measured == []
    assert outcome(run) == outcome(whole)
    assert recipe(run) == "bfloat16"


def test_float32_ends_bfloat16(train: Train) -> None:
    run, heard = stopped(train, precision="bfloat16"), Heard()
    before = run.config["precision"]
    train(resume=run, precision="float32", observer=heard)
    assert heard.said == ["The precision is float32 from now on, not bfloat16 as before."]
    assert recipe(run) is None
    assert run.config["precision"] == {**before, "continued": {"precision": "float32", "epoch": 2}}
    assert "precision" not in checkpoint.load_state(run.path).model.training["recipe"]
    train(resume=run, epochs=5)
    with pytest.raises(UsageError) as caught:
        train(resume=run, precision="bfloat16", epochs=6)
    assert str(caught.value) == (
        f"{run.path} began in bfloat16, goes on in float32 from epoch 2 on, and cannot go back; leave precision out: "
        f"cnn train --resume {run.as_option()} --epochs 6")
    for damaged in ("float32", {"epoch": "2"}):
        run.write_config({**run.config, "precision": {**before, "continued": damaged}})
        with pytest.raises(UsageError, match="does not have the precision of the training as cnn wrote it"):
            train(resume=run, precision="bfloat16", epochs=6)


@pytest.mark.slow
def test_a_run_that_was_killed_before_it_saved_in_float32_goes_on_in_it(train: Train) -> None:
    run = stopped(train, precision="bfloat16")
    with pytest.raises(ZeroDivisionError):
        train(resume=run, precision="float32", observer=At(lambda: 1 / 0, steps=1))  # type: ignore[arg-type,return-value]
    heard = Heard()
    train(resume=run, observer=heard)
    assert heard.said == ["The precision is float32 from now on, not bfloat16 as before."]
    assert recipe(run) is None


def test_another_precision_is_refused(train: Train) -> None:
    run = stopped(train)
    with pytest.raises(UsageError, match="with precision float32, which a resumed run keeps; leave precision out"):
        train(resume=run, precision="bfloat16")
    config = run.config
    run.write_config({**config, "recipe": {**config["recipe"], "precision": "bfloat16"}})
    with pytest.raises(UsageError, match=r"differs from the saved training in its precision \(bfloat16, but float32"):
        train(resume=run)
    run.write_config({**config, "precision": "bfloat16"})
    with pytest.raises(UsageError, match="does not have the precision of the training as cnn wrote it"):
        train(resume=run)


@pytest.mark.parametrize(("first", "then", "words"), [
    (["bf16"], [], r"with instructions for pairs \(vdpbf16ps\), but this CPU or its instruction set computes without"),
    ([], ["bf16"], "without instructions for it, but this CPU or its instruction set computes with instructions"),
    (["bf16"], ["bf16", "amx_bf16"], r"\(vdpbf16ps\), but this CPU or its instruction set computes with tiles")])
def test_bfloat16_that_would_round_otherwise_is_refused(
        first: list[str], then: list[str], words: str, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, *first)
    run = stopped(train, precision="bfloat16")
    having(monkeypatch, *then, "vnni")
    with pytest.raises(UsageError, match=words) as caught:
        train(resume=run)
    assert str(caught.value).endswith(f"float32: cnn train --resume {run.as_option()} --precision float32")
    with pytest.raises(UsageError, match=r" --epochs 9 --patience 4 --precision float32$"):
        train(resume=run, epochs=9, patience=4)
    train(resume=run, precision="float32")
    assert recipe(run) is None


@pytest.mark.slow
def test_a_finished_run_and_one_in_float32_are_not_asked_for_instructions(
        train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    finished, run = train(name="whole", precision="bfloat16", epochs=1), stopped(train, precision="float32")
    having(monkeypatch, "bf16")
    train(resume=finished)
    assert recipe(finished) == "bfloat16"
    train(resume=run)


# ---- several runs ----


@pytest.mark.slow
def test_folds_decide_once(train: Train, measured: list[str], shared: Path, tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    begin = {"data": shared / "data", "folds": 3, "arch": str(shared / "net.toml"), "epochs": 1, "batch_size": 8}
    found = cnncli.cross_validate(**begin, runs=tmp_path / "a", name="a", precision="auto")
    assert measured == ["float32", "bfloat16"]
    assert [recipe(fold.run) for fold in found.folds] == ["bfloat16"] * 3
    for how in ({}, {"precision": "auto"}):  # resumed after the first fold
        measured.clear()
        kept = tmp_path / f"b{len(how)}"
        with pytest.raises(cnncli.errors.Interrupted):
            cnncli.cross_validate(**begin, runs=kept, name="b", precision="auto", observer=At(interrupt, steps=5))
        monkeypatch.setenv("CNN_PRECISION", "float32")
        found = cnncli.cross_validate(None, 3, resume="b", runs=kept, **how)  # type: ignore[arg-type]
        monkeypatch.delenv("CNN_PRECISION")
        assert measured == ["float32", "bfloat16"]
        assert [recipe(fold.run) for fold in found.folds] == ["bfloat16"] * 3
    with pytest.raises(cnncli.errors.Interrupted):
        cnncli.cross_validate(**begin, runs=tmp_path / "c", name="c", observer=At(interrupt, steps=5))
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    found = cnncli.cross_validate(None, 3, resume="c", runs=tmp_path / "c")
    assert [recipe(fold.run) for fold in found.folds] == [None] * 3, "the variable is for trainings that begin"


@pytest.mark.slow
def test_folds_that_cannot_go_on_in_bfloat16_are_continued_together(
        shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = {"data": shared / "data", "arch": str(shared / "net.toml"), "epochs": 1, "batch_size": 8}
    with pytest.raises(cnncli.errors.Interrupted):
        cnncli.cross_validate(**begin, folds=3, runs=tmp_path, name="a", precision="bfloat16",
                              observer=At(interrupt, steps=2))
    having(monkeypatch, "bf16")
    for longer, words in ({}, ""), ({"epochs": 2}, " --epochs 2"):
        with pytest.raises(UsageError) as caught:
            cnncli.cross_validate(None, 3, resume="a", runs=tmp_path, **longer)
        assert str(caught.value).endswith(f": cnn train --folds 3 --resume a --runs {tmp_path}{words} --precision "
                                          "float32")
    found = cnncli.cross_validate(None, 3, resume="a", runs=tmp_path, precision="float32")
    assert [recipe(fold.run) for fold in found.folds] == [None] * 3


@pytest.mark.slow
def test_a_sweep_passes_it_on_or_varies_it(train: Train, shared: Path, tmp_path: Path, measured: list[str],
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"arch": str(shared / "net.toml"), "epochs": 1, "batch_size": 8, "runs": tmp_path}
    found = cnncli.sweep(shared / "data", {"lr": [0.1, 0.01]}, **given, precision="bfloat16")
    assert [recipe(each.run) for each in found.runs if each.run] == ["bfloat16"] * 2
    found = cnncli.sweep(shared / "data", {"precision": "float32,bfloat16"}, **given)
    assert {each.name: recipe(each.run) for each in found.runs if each.run} == {
        "precision=float32": None, "precision=bfloat16": "bfloat16"}
    with pytest.raises(cnncli.errors.Interrupted):
        cnncli.sweep(shared / "data", {"lr": [0.1, 0.01]}, **given, name="c", observer=At(interrupt, steps=2))
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    found = cnncli.sweep(resume="c", runs=tmp_path)
    assert [recipe(each.run) for each in found.runs if each.run] == [None] * 2


# ---- a loop of one's own ----


def test_a_trainer_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(LAYERS, (9, 9, 1))
    Trainer(network, SGD(lr=0.1), precision="bfloat16")
    assert network.precision == "bfloat16"
    Trainer(network, SGD(lr=0.1))
    assert network.precision == "bfloat16", "as it is"
    monkeypatch.setenv("CNN_PRECISION", "float32")
    Trainer(network, SGD(lr=0.1))
    assert network.precision == "float32"
    with pytest.raises(UsageError, match="there is no precision 'half'"):
        Trainer(network, SGD(lr=0.1), precision="half")  # type: ignore[arg-type]


def test_a_trainer_measures_before_its_first_step(measured: list[str], rng: np.random.Generator,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = batch(rng)
    network = Network(LAYERS, (9, 9, 1))
    trainer = Trainer(network, SGD(lr=0.1), precision="auto")
    assert (network.precision, measured) == ("float32", [])
    trainer.step(images, labels), trainer.step(images, labels)
    assert (network.precision, measured) == ("bfloat16", ["float32", "bfloat16"])
    slower = measuring.in_turns
    monkeypatch.setattr(measuring, "in_turns", lambda *given: {**slower(*given), "bfloat16": 0.0})
    both = [Trainer(Network(LAYERS, (9, 9, 1)), SGD(lr=0.1), seed=4, precision=how) for how in ("float32", "auto")]
    losses = [[trainer.step(images, labels) for _ in range(3)] for trainer in both]
    assert losses[0] == losses[1]
