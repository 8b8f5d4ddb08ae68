"""together.py, and whatever of a training several processes share: the same bits as one process, whatever is asked for;
refused where they differ. The processes are threads here (tests/ranks/threads.py); tests/cli/test_together.py has real
ones."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import cross_validate, find_lr
from cnncli.errors import DataError, Interrupted, TrainingError, UsageError
from cnncli.optim import SGD
from cnncli.ranks.world import ALONE, World
from cnncli.runs import Run
from cnncli.training import find_lr as finding
from cnncli.training import folds, together, train
from cnncli.training.observer import Observer
from cnncli.training.options import Options
from cnncli.training.shards import check_shards
from cnncli.training.trainer import Trainer

from ..ranks.threads import together as in_threads
from .conftest import Train
from .test_resume import outcome
from .test_shards import DROPOUT, LAYERS, batch, gradients, network, state

Several = Callable[..., list[Any]]


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Several:
    """Call something in so many threads, each of which is a process among them."""
    local = threading.local()

    def found() -> World:
        world: World = getattr(local, "world", ALONE)
        return world

    @contextmanager
    def apart() -> Iterator[None]:
        before, local.world = local.world, ALONE
        yield
        local.world = before

    for module in (train, finding, folds):
        monkeypatch.setattr(module, "found_world", found)
    monkeypatch.setattr(together, "apart", apart)

    def call(size: int, work: Callable[[], Any]) -> list[Any]:
        def entered(world: World) -> Any:
            local.world = world
            return work()

        return in_threads(size, entered)

    return call


@pytest.mark.parametrize("size", [16, 13, 5])
@pytest.mark.parametrize("layers", [LAYERS, DROPOUT], ids=["batch norm", "and dropout"])
@pytest.mark.parametrize("processes", [2, 4])
def test_a_step_has_the_bits_of_one_process(processes: int, layers: Any, size: int, rng: np.random.Generator) -> None:
    batches = [batch(rng, size) for _ in range(3)]
    mixed = rng.integers(0, 3, size), rng.random(size).astype(np.float32)

    def learn(world: World) -> Any:
        net = network(layers)
        trainer = Trainer(net, SGD(lr=0.1, momentum=0.9), shards=4, world=world)
        first, end = trainer.span(size)
        losses = [trainer.step(images[first:end], labels, mixed) for images, labels in batches]
        return losses, trainer.logits.copy(), state(net), gradients(net)

    expected = learn(ALONE)
    for in_memory in (False, True):
        for found in in_threads(processes, learn, in_memory):
            np.testing.assert_equal(found, expected)


def test_what_is_not_finite_ends_all_of_them(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 8)
    images[7] = np.inf  # of the last process

    def learn(world: World) -> tuple[str, Any]:
        net = network()
        trainer = Trainer(net, SGD(lr=0.1), shards=2, world=world)
        first, end = trainer.span(8)
        before = state(net)
        with pytest.raises(TrainingError) as error:
            trainer.step(images[first:end], labels)
        np.testing.assert_equal(state(net), before)
        return str(error.value)

    alone = learn(ALONE)
    assert "images hold infinities or NaN" in alone
    assert in_threads(2, learn) == [alone, alone]


def test_a_trainer_wants_the_images_of_its_span(rng: np.random.Generator) -> None:
    images, labels = batch(rng, 8)

    def learn(world: World) -> str:
        trainer = Trainer(network(), SGD(lr=0.1), shards=2, world=world)
        with pytest.raises(DataError) as error:
            trainer.step(images, labels)
        return str(error.value)

    assert in_threads(2, learn)[1] == ("of this batch the process needs the images 4 to 8, not 8 of them; give those "
                                       "of span().")


@pytest.mark.parametrize(("shards", "processes", "fit"), [(4, 3, "1, 2 or 4 processes"), (1, 2, "1 process"),
                                                          (6, 4, "1, 2, 3 or 6 processes")])
def test_parts_that_cannot_be_shared_equally(shards: int, processes: int, fit: str) -> None:
    with pytest.raises(UsageError, match=f"which {processes} processes cannot share equally; start {fit}, or"):
        check_shards(shards, processes)
    check_shards(12, 4)


TRAININGS: dict[str, dict[str, Any]] = {
    "mixup": {"augment": "shift=1,flip,mixup=0.4"},
    "averaged, cutmix": {"augment": "strong,cutmix=1", "ema": 0.5},
    "from files": {"cache": "none", "augment": "flip,mixup=0.4"},
    "balanced": {"sampling": "balanced", "optimizer": "adam"},
    "bfloat16": {"precision": "bfloat16"},
    "measured": {"precision": "auto", "patience": 2},
}


QUICK = ("mixup", "from files")


@pytest.mark.parametrize("options", [pytest.param(options, id=name, marks=[] if name in QUICK else pytest.mark.slow)
                                     for name, options in TRAININGS.items()])
def test_a_training_has_the_bits_of_one_process(options: dict[str, Any], train: Train, several: Several) -> None:
    given = {"shards": 4, "epochs": 2, **options}
    expected = outcome(train(**given, name="alone"))
    for size in (2, 4):
        run = several(size, lambda size=size: train(**given, name=f"by{size}"))[0]
        assert outcome(run) == expected


def test_a_training_that_is_handed_on(train: Train, several: Several) -> None:
    given: dict[str, Any] = {"shards": 4, "epochs": 2, "augment": "flip,mixup=0.4", "ema": 0.5}
    expected = outcome(train(**given, name="alone"))

    class Stop(Observer):
        def looking_inside(self, inside: Any) -> None:
            self.inside = inside

        def step_done(self, step: int, *of: Any) -> None:
            if step == 2:
                self.inside.stop("somebody")

    def stopped() -> Any:
        with pytest.raises(Interrupted, match=r"stopped by .* in epoch 1, 2 of 5 steps done, all saved"):
            train(**given, name="run", observer=Stop())

    several(4, stopped)
    with pytest.raises(UsageError, match=r"start 1, 2 or 4 processes"):
        several(3, lambda: train(resume="run"))
    assert outcome(several(2, lambda: train(resume="run"))[0]) == expected
    assert several(2, lambda: train(resume="run"))[0].history  # which is finished


@pytest.mark.slow
def test_other_ways_to_train(shared: Path, train: Train, several: Several, tmp_path: Path) -> None:
    given: dict[str, Any] = {"arch": str(shared / "net.toml"), "batch_size": 8}
    alone = find_lr(shared / "data", shards=2, **given, runs=tmp_path / "a")
    by_two = several(2, lambda: find_lr(shared / "data", **given, runs=tmp_path / "b"))
    assert [found.losses for found in by_two] == [alone.losses] * 2
    one = cross_validate(shared / "data", folds=3, epochs=1, **given, runs=tmp_path / "a", name="cv")
    other = several(2, lambda: cross_validate(shared / "data", folds=3, epochs=1, **given, runs=tmp_path / "b",
                                              name="cv"))
    assert [fold.val_loss for fold in other[1].folds] == [fold.val_loss for fold in one.folds]
    assert (tmp_path / "b" / "cv-fold3" / "folds.csv").read_bytes() == one.path.with_name("folds.csv").read_bytes()
    with pytest.raises(UsageError, match="precision auto decides once for all folds"):
        several(2, lambda: cross_validate(shared / "data", folds=2, epochs=1, **given, runs=tmp_path / "c",
                                          precision="auto"))
    timed = several(2, lambda: train(epochs=None, time="1s", name="timed"))[0]
    assert timed.config["recipe"]["shards"] == 2
    first = train(epochs=1, name="first").path
    tuned = [outcome(run) for run in (train(arch=None, init=first, freeze=1, shards=2, epochs=1, name="one"),
                                      several(2, lambda: train(arch=None, init=first, freeze=1, epochs=1))[0])]
    assert tuned[0] == tuned[1]
    probed = [run.model.network.parameters() for run in (
        train(arch=None, init=first, epochs=None, probe=True, name="p1"),
        several(2, lambda: train(arch=None, init=first, epochs=None, probe=True, name="p2"))[0])]
    np.testing.assert_equal(probed[0], probed[1])


def test_folds_are_dealt_among_the_processes(several: Several, tmp_path: Path) -> None:
    trained: list[int] = []
    notes: list[str] = []

    class Notes(Observer):
        def note(self, sentence: str) -> None:
            notes.append(sentence)

    def fold(number: int) -> Run:
        trained.append(number)
        run = Run(tmp_path / f"fold{number}")
        run.skipped = [(f"{number}.png", "it is broken")]
        return run

    def work(precision: Any = None) -> list[Run]:
        return together.by_turns(folds.found_world(), 3, fold, Notes(), precision)

    expected = [(tmp_path / f"fold{number}", [(f"{number}.png", "it is broken")]) for number in (1, 2, 3)]
    assert [[(run.path, run.skipped) for run in runs] for runs in several(2, work)] == [expected] * 2
    assert sorted(trained) == [1, 2, 3]
    assert notes[0] == "2 processes train the folds, each by itself. Shown are those of the first one."
    with pytest.raises(UsageError, match="precision auto decides once for all folds"):
        several(2, lambda: work("auto"))
    trained.clear()
    assert [run.path for run in work()] == [path for path, _ in expected]
    assert trained == [1, 2, 3]


def test_they_are_compared_before_the_first_step() -> None:
    notes: list[str] = []

    class Notes(Observer):
        def note(self, sentence: str) -> None:
            notes.append(sentence)

    in_threads(2, lambda world: together.begin_together(world, Options(), Notes() if world.leads else Observer()))
    assert notes[0].startswith("2 processes on 1 machine train together, with ")
    with pytest.raises(AssertionError, match="the options"):
        in_threads(2, lambda world: together.begin_together(world, Options(seed=world.rank), Observer()))


def test_a_followed_run_is_not_locked(tmp_path: Path) -> None:
    with together.Followed(Run(tmp_path)) as followed:
        assert followed.run.path == tmp_path
    followed.release()
