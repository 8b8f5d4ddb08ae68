"""Resuming: from wherever a training was stopped or killed, it reaches the very bits of one that was not; and it never
goes on with something else than what it began with, silently."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cnncli import atomic
from cnncli.errors import Interrupted, ModelError, UsageError
from cnncli.model import checkpoint
from cnncli.runs import Run
from cnncli.runs import run as runs
from cnncli.training import fit
from cnncli.training.observer import Observer

from ..pictures import make_folder
from .conftest import Train

UNTIMED = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")


class Killed(BaseException):
    """What a test raises in place of SIGKILL: nothing handles it."""


def outcome(run: Run) -> tuple[Any, ...]:
    """Everything that must be the same bits: model, last weights, optimiser, history but for the times."""
    state = checkpoint.load_state(run.path)
    network = state.model.network
    arrays = {**network.parameters(), **network.buffers(), **state.arrays}
    rows = [[row[column] for column in UNTIMED] for row in run.history]
    return ((run.path / "model.safetensors").read_bytes(), {k: a.tobytes() for k, a in arrays.items()}, rows)


class At(Observer):
    """Does something once, after a number of steps of the whole training, or at a validation."""

    def __init__(self, action: Any, steps: int = 0, validation: int = 0) -> None:
        self.action, self.steps, self.validation = action, steps, validation
        self.stopped = ""
        self.notes: list[str] = []
        self.run: Run | None = None

    def started(self, run: Run, summary: dict[str, Any]) -> None:
        self.run = run

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.action()

    def validating(self, done: int, total: int) -> None:
        self.validation -= 1
        if self.validation == 0:
            self.action()

    def stopping(self, cause: str) -> None:
        self.stopped = cause

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def die() -> None:
    raise Killed


# ---- the same bits ----


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_stopped_after_any_step_and_resumed(train: Train, optimizer: str) -> None:
    expected = outcome(train(optimizer=optimizer))
    for step in range(1, 15) if optimizer == "sgd" else (5, 7):
        with pytest.raises(Interrupted):
            train(optimizer=optimizer, name=f"s{step}", observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"s{step}")) == expected, f"after step {step}"


@pytest.mark.slow
def test_balanced_sampling_resumes_to_the_same_bits(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=20)
    for number in range(6, 20):
        (data / "bee" / f"{number:02}.png").unlink()
    expected = outcome(train(data=data, sampling="balanced"))
    assert expected[1] != outcome(train(data=data))[1], "other weights than without"
    steps = -(-36 // 8)
    for step in (1, steps, steps + 2, 2 * steps + 1):
        with pytest.raises(Interrupted):
            train(data=data, sampling="balanced", name=f"s{step}", observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"s{step}", cache="none")) == expected, f"after step {step}"


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "none"])
def test_varied_and_mixed_images_are_the_same_after_resuming(train: Train, cache: str) -> None:
    strong = {"augment": "strong,rotate,scale,shear,colour,hue,cutout=3,flip=alternate", "epochs": 2}
    expected = outcome(train(**strong))
    assert expected != outcome(train(epochs=2, name="other"))
    for step in (3, 5, 8):
        with pytest.raises(Interrupted):
            train(**strong, cache=cache, threads=2, name=f"m{step}", observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"m{step}", cache=cache, threads=1)) == expected, f"after step {step}"


def test_the_strengths_of_a_run_are_told_where_others_are_asked_for(train: Train) -> None:
    with pytest.raises(Interrupted):
        train(augment="shift=2,rotate=20", name="run", observer=At(interrupt, steps=2))
    with pytest.raises(UsageError, match=r"began with augment shift=2,rotate=20\.0.*leave augment out"):
        train(resume="run", augment="shift=2,rotate=30")


@pytest.mark.slow
def test_stopped_at_every_step_in_turn(train: Train) -> None:
    expected = outcome(train())
    with pytest.raises(Interrupted):
        train(name="often", observer=At(interrupt, steps=1))
    for _ in range(13):
        with pytest.raises(Interrupted):
            train(resume="often", observer=At(interrupt, steps=1))
    assert outcome(train(resume="often")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_stopped_during_validation(train: Train, epoch: int) -> None:
    expected = outcome(train())
    observer = At(interrupt, validation=epoch)
    # The one batch of validation is over by then; the next epoch is where the flag is seen, or, behind the last one,
    # while images are looked at for what tells strange ones: that epoch is then closed again.
    where = f"epoch {epoch + 1}, 0 of 5 steps" if epoch < 3 else "epoch 3, 5 of 5 steps"
    with pytest.raises(Interrupted, match=where):
        train(name="v", observer=observer)
    assert observer.stopped == "Ctrl-C"
    assert outcome(train(resume="v")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("ema", [0, 1])  # while averaged weights are judged, the state is still that of the others
def test_stopped_between_the_batches_of_validation(train: Train, monkeypatch: pytest.MonkeyPatch, ema: int) -> None:
    expected = outcome(train(ema=ema))
    evaluate = fit.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(fit, "evaluate", lambda *args, **options: evaluate(*args, **options, batch_size=1))
        with pytest.raises(Interrupted, match="epoch 2, 5 of 5 steps"):
            train(name="v", ema=ema, observer=At(interrupt, validation=5))
    assert outcome(train(resume="v")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("every_step", [False, True])
def test_killed_after_any_step_and_resumed(train: Train, monkeypatch: pytest.MonkeyPatch, every_step: bool) -> None:
    expected = outcome(train())
    if every_step:
        monkeypatch.setattr(fit, "SAVE_SECONDS", -1.0)
    for step in range(1, 16, 2 if every_step else 5):
        with pytest.raises(Killed):
            train(name=f"k{step}", observer=At(die, steps=step))
        assert outcome(train(resume=f"k{step}")) == expected, f"after step {step}"


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_write_and_resumed(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    expected = outcome(train())
    for n in range(1, 40):
        count = [0]

        def counting(write: Any, count: list[int] = count, n: int = n) -> Any:
            def counted(*args: Any, **options: Any) -> None:
                count[0] += 1
                if count[0] == n and not after:
                    raise Killed
                write(*args, **options)
                if count[0] == n and after:
                    raise Killed
            return counted

        with monkeypatch.context() as patch:
            for module in (runs, checkpoint):
                patch.setattr(module, "write_atomically", counting(module.write_atomically))
            try:
                train(name=f"w{n}")
                break
            except Killed:
                pass
        if (tmp_path / "runs" / f"w{n}" / "config.json").exists():
            assert outcome(train(resume=f"w{n}")) == expected, f"at write {n}"
    # Configuration, list of images; at each epoch the best model (or not), history and state; what tells strange ones.
    assert n == 1 + 2 + 3 * 3 + 1


@pytest.mark.slow
def test_killed_by_the_system_at_random_moments(train: Train, shared: Path, tmp_path: Path) -> None:
    """SIGKILL to a real process, again and again, until it gets through."""
    options = ["--epochs", "30", "--batch-size", "4", "--runs", str(tmp_path / "real"), "--name", "r", "--threads", "1"]
    expected = outcome(train(epochs=30, batch_size=4))
    command = [sys.executable, "-m", "cnncli", "train"]
    first = [*command, str(shared / "data"), "--arch", str(shared / "net.toml"), *options]
    again = [*command, "--resume", "r", "--runs", str(tmp_path / "real")]
    rng, kills, folder = random.Random(3), 0, tmp_path / "real" / "r"
    most = 20 if os.environ.get("CNN_FAULTS") else 3  # make faults sets it
    while True:
        process = subprocess.Popen(again if (folder / "config.json").exists() else first, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        if kills < most:
            for _ in range(rng.randrange(1, 6)):  # lines of the table
                process.stdout.readline()  # type: ignore[union-attr]
            time.sleep(rng.random() * 0.02)
            process.kill()
            kills += 1
        _, complaint = process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, complaint
            break
    assert outcome(Run(folder)) == expected


@pytest.mark.slow
def test_a_damaged_last_state_falls_back_to_the_one_before(train: Train, tmp_path: Path) -> None:
    expected = outcome(train())
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=12))
    run = Run(tmp_path / "runs" / "k")
    last = run.path / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    observer = At(die)
    assert outcome(train(resume="k", observer=observer)) == expected
    assert any("previous.safetensors" in sentence for sentence in observer.notes)


@pytest.mark.slow
def test_when_both_states_are_damaged_it_is_told(train: Train) -> None:
    run = train()
    for file in ("last.safetensors", "previous.safetensors"):
        (run.path / file).write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        train(resume=True)
    assert caught.value.exit_code == 4


@pytest.mark.slow
def test_a_best_model_that_was_lost_is_replaced(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=7))
    run = Run(tmp_path / "runs" / "k")
    (run.path / "model.safetensors").unlink()
    observer = At(die)
    train(resume="k", observer=observer)
    assert run.model.training["epoch"] in (2, 3)
    assert any("takes its place" in sentence for sentence in observer.notes)


@pytest.mark.slow
def test_history_has_each_epoch_once(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=12))
    run = Run(tmp_path / "runs" / "k")
    rows = run.history
    run.write_history([*rows, {**rows[-1], "epoch": 3}])  # as if the state had not been saved any more
    assert [row["epoch"] for row in train(resume="k").history] == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("finished", [False, True])
def test_what_killed_writes_left_is_removed(train: Train, tmp_path: Path, finished: bool) -> None:
    if finished:
        train(name="k", epochs=1)
    else:
        with pytest.raises(Killed):
            train(name="k", observer=At(die, steps=7))
    run = Run(tmp_path / "runs" / "k")
    for file in ("model.safetensors", "last.safetensors", "history.csv", "config.json", "curves.png"):
        for end in ("tmp", "old"):
            (run.path / f"{atomic._leftover_prefix(file)}{'0' * 16}.{end}").write_bytes(b"half")
    train(resume="k")
    assert not [name for name in os.listdir(run.path) if name.startswith(".")]


# ---- signals ----


@pytest.mark.slow
def test_signals_save_say_how_to_go_on_and_put_the_handlers_back(train: Train) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    for action, code, cause in ((interrupt, 130, "Ctrl-C"), (terminate, 143, "SIGTERM")):
        observer = At(action, steps=7)
        with pytest.raises(Interrupted, match=rf"by {cause} in epoch 2, 2 of 5 .*cnn train --resume {cause}") as caught:
            train(name=cause, observer=observer)
        assert caught.value.exit_code == code
        assert observer.stopped == cause
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.slow
def test_in_another_thread_no_handler_is_touched(train: Train) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(train).result().history) == 3
