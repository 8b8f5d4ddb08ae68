"""training/inside.py and observer.py: what an observer sees of a training, that looking changes no bit of it, and that
it can stop one; whatever the recipe."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.errors import Interrupted, UsageError
from cnncli.runs import Run
from cnncli.training.inside import Inside
from cnncli.training.observer import Observer, Observers
from cnncli.training.signals import StopFlag

from ..pictures import make_folder
from .conftest import Train
from .test_resume import outcome


class Looker(Observer):
    """Looks at everything after each step and epoch, and stops where it is told to."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at, self.told, self.updates = stop_at, list[Any](), list[float]()
        self.inside: Any = None
        self.before: dict[str, np.ndarray] = {}

    def looking_inside(self, inside: Inside) -> None:
        self.inside = inside
        self.told.append("inside")

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        self.told.append(epoch)

    def stopping(self, cause: str) -> None:
        self.told.append(cause)

    def ended(self, cause: str) -> None:
        self.told.append(("ended", cause))

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        self.look()
        self.stop_at -= 1
        if self.stop_at == 0:
            self.inside.stop("a test")
            self.inside.stop("another")

    def epoch_done(self, row: Any, best: bool) -> None:
        self.look()

    def look(self) -> None:
        inside = self.inside
        weights = inside.weights
        if self.before:
            self.updates.append(max(float(np.abs(weights[name] - self.before[name]).max()) for name in weights))
        self.before = {name: array.copy() for name, array in weights.items()}
        assert inside.gradients.keys() <= weights.keys()
        assert all(np.isfinite(array).all() for array in inside.gradients.values())
        assert inside.learning_rate > 0
        images = inside.validation.pixels([0, 1]) if inside.validation else np.zeros(
            (2, *inside.model.network.input_shape), np.uint8)
        assert np.isfinite(inside.model.logits(images)).all()
        with pytest.raises(ValueError, match="read-only"):
            next(iter(weights.values()))[...] = 0
        with pytest.raises(ValueError, match="read-only"):
            next(iter(inside.gradients.values()))[...] = 0


@pytest.mark.slow
def test_what_is_seen_is_what_is_learnt_and_looking_changes_nothing(train: Train) -> None:
    plain, looker = train(name="plain", epochs=2, ema=0), Looker()
    seen = train(name="seen", epochs=2, ema=0, observer=Observers(Observer(), looker))
    assert outcome(seen)[1:] == outcome(plain)[1:]
    assert outcome(seen)[0] == outcome(plain)[0]
    assert looker.told == ["inside", 1, 2, ("ended", "finished")]
    assert all(update > 0 for update in looker.updates[:3])
    assert looker.updates[-1] == 0, "an epoch's end is after its last step"
    for look in ("weights", "gradients", "model", "learning_rate", "validation"):
        with pytest.raises(UsageError, match="the training has ended; look inside while it runs"):
            getattr(looker.inside, look)


@pytest.mark.slow
def test_who_looks_inside_can_stop_and_the_run_goes_on_to_the_same_bits(train: Train) -> None:
    plain, looker = train(name="plain"), Looker(stop_at=6)
    with pytest.raises(Interrupted, match=r"stopped by a test in epoch 2, 1 of \d steps done, all saved; continue "
                                          "with: cnn train --resume ") as caught:
        train(name="stopped", observer=looker)
    assert caught.value.exit_code == 130
    assert looker.told == ["inside", 1, 2, "a test", ("ended", "a test")]
    again = Looker()
    assert caught.value.run.name == "stopped"
    assert outcome(train(resume=caught.value.run, observer=again)) == outcome(plain)
    assert again.told == ["inside", 2, 3, ("ended", "finished")]


def test_who_asks_first_is_named() -> None:
    asked, hit = StopFlag(), StopFlag()
    asked.ask("the page")
    hit.signal = 15
    hit.ask("the page")
    assert [(bool(flag), flag.signal, flag.cause) for flag in (asked, hit)] == [(True, 2, "the page"),
                                                                               (True, 15, "SIGTERM")]


def test_a_training_that_breaks_has_ended_too(train: Train) -> None:
    class Breaking(Looker):
        def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
            raise KeyError("mine")

    first, second = Breaking(), Looker()
    with pytest.raises(KeyError, match="mine"):
        train(observer=Observers(first, second))
    assert first.told == second.told == ["inside", 1, ("ended", "an error")]


def test_several_are_told_everything_in_order_and_of_the_end_whatever_happens() -> None:
    told: list[Any] = []

    class Telling(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def ended(self, cause: str) -> None:
            told.append((self.name, "ended", cause))
            raise RuntimeError(self.name)

    methods = [name for name in vars(Observer) if not name.startswith("_")]
    both: Any = Observers(one := Telling("one"), two := Telling("two"))
    for name in methods:
        if name != "ended":
            for each in (one, two):
                setattr(each, name, lambda *what, who=each.name, name=name: told.append((who, name, *what)))
            getattr(both, name)(1, 2)
            assert told == [("one", name, 1, 2), ("two", name, 1, 2)]
            told.clear()
    with pytest.raises(RuntimeError):
        both.ended("finished")
    assert told == [("one", "ended", "finished"), ("two", "ended", "finished")]


@pytest.mark.slow
@pytest.mark.parametrize("how", [
    {"arch": "resnet8"},  # batch norm and an average of the weights
    {"arch": "resnet8", "init": True, "freeze": 2},  # a part is trained
    {"arch": "resnet8", "init": True, "probe": True},
    {"arch": "resnet9", "recipe": "fast", "lr": 0.02, "size": 12},  # whitening and lookahead, no validation images
    {"arch": "lenet5", "optimizer": "adamw", "augment": "mixup=0.5,flip"},
    {"arch": "vgg-small", "exact": True, "cache": "none"},  # dropout
], ids=str)
def test_looking_changes_no_bit_of_any_training(how: dict[str, Any], train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=12, size=16)
    given = {"size": 16, "batch_size": 8, "epochs": 2, "data": data, **how}
    if given.pop("init", False):
        first: Run = train(data=data, arch="resnet8", epochs=1, size=16, name="first")
        given.update(init=first.path, arch=None)
    if "probe" in how:
        given["epochs"] = None
    looker = Looker()
    plain, seen = train(name="plain", **given), train(name="seen", observer=looker, **given)
    assert outcome(seen) == outcome(plain)
    assert looker.told[-1] == ("ended", "finished")
