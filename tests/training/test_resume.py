"""Resuming: from wherever a training was stopped or killed, it reaches the very bits of one that was not; and it never
goes on with something else than what it began with, silently."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cnncli import atomic
from cnncli.errors import DataError, Interrupted, ModelError, TrainingError, UsageError
from cnncli.model import checkpoint
from cnncli.optim.schedule import Schedule
from cnncli.runs import Row, Run, RunLock
from cnncli.runs import run as runs
from cnncli.training import fit, signals
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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_stopped_after_any_step_and_resumed(train: Train, optimizer: str) -> None:
    expected = outcome(train(optimizer=optimizer))
    for step in range(1, 15) if optimizer == "sgd" else (5, 7):
        with pytest.raises(Interrupted):
            train(optimizer=optimizer, name=f"s{step}", observer=At(interrupt, steps=step))
        assert outcome(train(resume=f"s{step}")) == expected, f"after step {step}"


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
    with pytest.raises(UsageError, match=r"trained with augment shift=2,rotate=20\.0.*leave --augment out"):
        train(resume="run", augment="shift=2,rotate=30")


def test_stopped_at_every_step_in_turn(train: Train) -> None:
    expected = outcome(train())
    with pytest.raises(Interrupted):
        train(name="often", observer=At(interrupt, steps=1))
    for _ in range(13):
        with pytest.raises(Interrupted):
            train(resume="often", observer=At(interrupt, steps=1))
    assert outcome(train(resume="often")) == expected


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_stopped_during_validation(train: Train, epoch: int) -> None:
    expected = outcome(train())
    observer = At(interrupt, validation=epoch)
    # The one batch of validation is over by then; the next epoch is where the flag is seen, or the end.
    if epoch < 3:
        with pytest.raises(Interrupted, match=f"epoch {epoch + 1}, 0 of 5 steps"):
            train(name="v", observer=observer)
        assert observer.stopped == "Ctrl-C"
    else:
        assert outcome(train(name="v", observer=observer)) == expected
    assert outcome(train(resume="v")) == expected


@pytest.mark.parametrize("ema", [0, 1])  # while averaged weights are judged, the state is still that of the others
def test_stopped_between_the_batches_of_validation(train: Train, monkeypatch: pytest.MonkeyPatch, ema: int) -> None:
    expected = outcome(train(ema=ema))
    evaluate = fit.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(fit, "evaluate", lambda *args, **options: evaluate(*args, **options, batch_size=1))
        with pytest.raises(Interrupted, match="epoch 2, 5 of 5 steps"):
            train(name="v", ema=ema, observer=At(interrupt, validation=5))
    assert outcome(train(resume="v")) == expected


@pytest.mark.parametrize("every_step", [False, True])
def test_killed_after_any_step_and_resumed(train: Train, monkeypatch: pytest.MonkeyPatch, every_step: bool) -> None:
    expected = outcome(train())
    if every_step:
        monkeypatch.setattr(fit, "SAVE_SECONDS", -1.0)
    for step in range(1, 16, 2 if every_step else 5):
        with pytest.raises(Killed):
            train(name=f"k{step}", observer=At(die, steps=step))
        assert outcome(train(resume=f"k{step}")) == expected, f"after step {step}"


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
    assert n == 1 + 1 + 3 * 3  # the configuration, and at each epoch the best model (or not), history and state


def test_killed_by_the_system_at_random_moments(train: Train, shared: Path, tmp_path: Path) -> None:
    """SIGKILL to a real process, again and again, until it gets through."""
    options = ["--epochs", "30", "--batch-size", "4", "--runs", str(tmp_path / "real"), "--name", "r", "--threads", "1"]
    expected = outcome(train(epochs=30, batch_size=4))
    command = [sys.executable, "-m", "cnncli", "train"]
    first = [*command, str(shared / "data"), "--arch", str(shared / "net.toml"), *options]
    again = [*command, "--resume", "r", "--runs", str(tmp_path / "real")]
    rng, kills, folder = random.Random(3), 0, tmp_path / "real" / "r"
    while True:
        process = subprocess.Popen(again if (folder / "config.json").exists() else first, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        if kills < 3:
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


def test_when_both_states_are_damaged_it_is_told(train: Train) -> None:
    run = train()
    for file in ("last.safetensors", "previous.safetensors"):
        (run.path / file).write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        train(resume=True)
    assert caught.value.exit_code == 4


def test_a_best_model_that_was_lost_is_replaced(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=7))
    run = Run(tmp_path / "runs" / "k")
    (run.path / "model.safetensors").unlink()
    observer = At(die)
    train(resume="k", observer=observer)
    assert run.model.training["epoch"] in (2, 3)
    assert any("takes its place" in sentence for sentence in observer.notes)


def test_history_has_each_epoch_once(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=12))
    run = Run(tmp_path / "runs" / "k")
    rows = run.history
    run.write_history([*rows, {**rows[-1], "epoch": 3}])  # as if the state had not been saved any more
    assert [row["epoch"] for row in train(resume="k").history] == [1, 2, 3]


def test_what_killed_writes_left_is_removed(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(name="k", observer=At(die, steps=7))
    run = Run(tmp_path / "runs" / "k")
    for file in ("model.safetensors", "last.safetensors", "history.csv", "config.json"):
        (run.path / f"{atomic._leftover_prefix(file)}{'0' * 16}.tmp").write_bytes(b"half")
    train(resume="k")
    assert not [name for name in os.listdir(run.path) if name.startswith(".")]


# ---- signals ----


def test_signals_save_say_how_to_go_on_and_put_the_handlers_back(train: Train) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    for action, code, cause in ((interrupt, 130, "Ctrl-C"), (terminate, 143, "SIGTERM")):
        observer = At(action, steps=7)
        with pytest.raises(Interrupted, match=rf"by {cause} in epoch 2, 2 of 5 .*cnn train --resume {cause}") as caught:
            train(name=cause, observer=observer)
        assert caught.value.exit_code == code
        assert observer.stopped == cause
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_the_second_signal_is_nobodys_business_but_the_systems() -> None:
    with signals.catch_stops() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_in_another_thread_no_handler_is_touched(train: Train) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(train).result().history) == 3


# ---- going on with something else ----


def stopped(train: Train, **options: Any) -> Run:
    observer = At(interrupt, steps=7)
    with pytest.raises(Interrupted):
        train(name="run", observer=observer, **options)
    assert observer.run is not None
    return observer.run


@pytest.mark.parametrize(
    ("changed", "flag"),
    [({"arch": "lenet5"}, "--arch"), ({"batch_size": 4}, "--batch-size"), ({"lr": 0.3}, "--lr"),
     ({"optimizer": "adam"}, "--optimizer"), ({"schedule": "cosine"}, "--schedule"), ({"warmup": 1}, "--warmup"),
     ({"weight_decay": 0.1}, "--weight-decay"), ({"loss": "squared-error"}, "--loss"),
     ({"label_smoothing": 0.3}, "--label-smoothing"), ({"class_weights": "balanced"}, "--class-weights"),
     ({"sampling": "balanced"}, "--sampling"), ({"time": "9m"}, "--time"), ({"fold": (1, 3)}, "--fold"),
     ({"augment": False}, "--augment"), ({"size": 12}, "--size"), ({"grey": True}, "--grey"), ({"seed": 3}, "--seed")],
)
def test_a_changed_option_is_refused_by_name(train: Train, changed: dict[str, Any], flag: str) -> None:
    run = stopped(train)
    before = {file: (run.path / file).read_bytes() for file in os.listdir(run.path) if file != "lock"}
    with pytest.raises(UsageError, match=flag):
        train(resume="run", **changed)
    assert {file: (run.path / file).read_bytes() for file in before} == before


def test_another_network_in_the_file_of_the_same_name_is_refused(train: Train, shared: Path, tmp_path: Path) -> None:
    stopped(train)
    other = tmp_path / "net.toml"
    other.write_text((shared / "net.toml").read_text().replace("kernel_size = 3", "kernel_size = 5"))
    assert other.read_text() != (shared / "net.toml").read_text()
    with pytest.raises(UsageError, match="another network"):
        train(resume="run", arch=str(other))


def test_options_that_are_the_same_may_be_given_again(train: Train, shared: Path) -> None:
    expected = outcome(train())
    stopped(train)
    run = train(resume="run", data=shared / "data", arch=str(shared / "net.toml"), epochs=3, batch_size=8, size=10,
                optimizer="sgd", augment=True, grey=False, seed=0, lr=0.1 * 8 / 128, threads=2, cache="none")
    assert outcome(run) == expected


def test_more_epochs_are_allowed_and_said(train: Train) -> None:
    run = train()
    observer = At(die)
    train(resume=True, epochs=5, observer=observer)
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5]
    assert "epochs are 5 from now on, not 3" in observer.notes[-2]
    assert "not that of an uninterrupted run" in observer.notes[-1]
    assert run.config["recipe"]["epochs"] == 5
    with pytest.raises(UsageError, match="has done 5 epochs already"):
        train(resume=True, epochs=4)


def test_a_finished_run_goes_on_by_the_schedule_of_the_new_length(train: Train) -> None:
    run = train()
    before = run.history
    observer = At(die)
    train(resume=True, epochs=6, observer=observer)
    schedule = Schedule("one-cycle", 0.1 * 8 / 128, 6 * 5)
    rates = [row["learning_rate"] for row in run.history[3:]]
    assert rates == pytest.approx([schedule(step) for step in (19, 24, 29)])
    assert [{**row, "seconds": 0} for row in run.history[:3]] == [{**row, "seconds": 0} for row in before]
    assert schedule(15) > 100 * before[-1]["learning_rate"]
    assert f"raised again, from {before[-1]['learning_rate']:.2g} to {schedule(15):.2g}" in observer.notes[-1]
    assert "ends at 2.5e-08" in observer.notes[-1]
    assert "best model is kept" in observer.notes[-1]


def test_an_extended_run_that_is_stopped_reaches_the_same_bits(train: Train) -> None:
    train(name="a")
    expected = outcome(train(resume="a", epochs=6))
    train(name="b")
    for step in (1, 4, 7):
        with pytest.raises(Interrupted):
            train(resume="b", epochs=6, observer=At(interrupt, steps=step))
    assert outcome(train(resume="b")) == expected


def test_a_run_lengthened_on_its_way_says_how_its_rate_goes_on(train: Train) -> None:
    stopped(train, schedule="cosine")
    observer = At(die)
    run = train(resume="run", epochs=9, observer=observer)
    assert len(run.history) == 9
    assert "goes on, from" in observer.notes[-1]
    assert "a cosine schedule of 9 epochs" in observer.notes[-1]


def test_a_warm_up_is_not_left_longer_than_the_run(train: Train) -> None:
    stopped(train, schedule="cosine", warmup=3)
    with pytest.raises(UsageError, match="warm-up of 3 epochs does not fit into 2"):
        train(resume="run", epochs=2)


def test_more_epochs_at_a_constant_rate_are_those_of_the_longer_run(train: Train) -> None:
    expected = outcome(train(epochs=4, schedule="constant", ema=0))
    train(epochs=2, schedule="constant", ema=0, name="short")
    model, arrays, rows = outcome(train(resume="short", epochs=4))
    assert (arrays, rows) == expected[1:]
    assert model


def test_a_longer_run_forgets_the_average_that_it_had_as_a_short_one(train: Train) -> None:
    expected = outcome(train(epochs=4, schedule="constant"))[1]
    assert any(name.startswith("average.") for name in expected)
    train(epochs=2, schedule="constant", name="short")
    assert outcome(train(resume="short", epochs=4))[1] == expected


def test_a_finished_run_says_so(train: Train) -> None:
    expected = outcome(train())
    observer = At(die)
    run = train(resume=True, observer=observer)
    assert outcome(run) == expected
    assert "finished already, after 3 epochs; there is nothing to resume" in observer.notes[-1]
    assert observer.notes[-1].endswith(f"cnn train --resume {run.name} --epochs 6")


def test_patience_may_be_changed(train: Train) -> None:
    run = train(epochs=20, patience=1, lr=1e-9)
    done = len(run.history)
    assert done < 20
    observer = At(die)
    train(resume=True, epochs=30, observer=observer)
    assert len(run.history) == done, "more epochs mean nothing to a run without patience"
    assert f"stopped early after {done} of 30 epochs" in observer.notes[-1]
    assert "--patience 2" in observer.notes[-1]
    train(resume=True, patience=3, observer=observer)
    assert len(run.history) > done
    assert any("patience is 3" in sentence for sentence in observer.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [("more", "4 for validation now"), ("fewer", "for training"), ("other", "as many"), ("class", "new: dog"),
     ("no class", "gone: cat"), ("broken", "not the same images can be read")],
)
def test_changed_data_are_refused_by_name(train: Train, tmp_path: Path, change: str, words: str) -> None:
    data = make_folder(tmp_path / "data")
    run = stopped(train, data=data)
    victim = data / "ant" / "01.png"
    if change == "more":
        for number in range(20, 22):
            shutil.copy(victim, data / "ant" / f"{number}.png")
    elif change == "fewer":
        for number in range(1, 9):
            (data / "ant" / f"{number:02}.png").unlink()
    elif change == "other":
        victim.write_bytes(victim.read_bytes() + b"longer")
    elif change == "class":
        shutil.copytree(data / "ant", data / "dog")
    elif change == "no class":
        shutil.rmtree(data / "cat")
    elif change == "broken":
        victim.write_bytes(b"x" * victim.stat().st_size)
    with pytest.raises(DataError, match=words):
        train(resume=run.path)


def test_data_may_have_moved(train: Train, tmp_path: Path) -> None:
    expected = outcome(train(data=make_folder(tmp_path / "data")))
    run = stopped(train, data=tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="data"):
        train(resume=run.path)
    assert outcome(train(resume=run.path, data=tmp_path / "moved")) == expected


def test_a_run_under_way_is_refused_by_process(train: Train) -> None:
    run = stopped(train)
    with RunLock(run), pytest.raises(TrainingError, match=f"process {os.getpid()}"):
        train(resume="run")
    assert len(train(resume="run").history) == 3


def test_a_file_of_another_version_is_told(train: Train) -> None:
    run = stopped(train)
    run.write_config({**run.config, "format": 99})
    with pytest.raises(UsageError, match="another version"):
        train(resume="run")


def test_resuming_makes_the_run_the_latest(train: Train) -> None:
    run = stopped(train)
    other: list[Row] = train().history
    assert runs.latest_run(run.path.parent).name != "run"
    assert len(other) == len(train(resume="run").history)
    assert runs.latest_run(run.path.parent).name == "run"
