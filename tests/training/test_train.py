"""A training as a whole: what it leaves behind, that it is a function of data, recipe and seed, and how it fails."""

import errno
import math
import os
import weakref
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import kernels
from cnncli.data import Images, load_images, scan
from cnncli.errors import DataError, ImageError, SaveError
from cnncli.evaluation.scores import evaluate
from cnncli.model import checkpoint
from cnncli.model.calibration import calibrate
from cnncli.report import augmented
from cnncli.runs import COLUMNS, Row, Run, latest_run
from cnncli.runs.kept import highest
from cnncli.training import prepare
from cnncli.training import train as training
from cnncli.training.observer import Observer
from cnncli.training.options import Options
from cnncli.training.trainer import Trainer

from ..pictures import make_folder
from .conftest import Train


class Notes(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.calls: list[str] = []
        self.best: list[int] = []

    def note(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def started(self, run: Run, summary: dict[str, Any]) -> None:
        self.calls.append(f"started {summary['architecture']}")

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        self.calls.append(f"epoch {epoch}/{epochs}")

    def step_done(self, step: int, steps: int, loss: float, accuracy: float) -> None:
        assert math.isfinite(loss)
        assert 0 <= accuracy <= 1
        self.calls.append(f"step {step}/{steps}")

    def validating(self, done: int, total: int) -> None:
        self.calls.append(f"validating {done}/{total}")

    def epoch_done(self, row: Row, best: bool) -> None:
        self.calls.append("done")
        if best:
            self.best.append(row["epoch"])


def model_bytes(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


def test_what_a_training_leaves_behind(train: Train, shared: Path) -> None:
    notes = Notes()
    run = train(observer=notes)
    assert run.name == "net-1"
    assert {"config.json", "history.csv", "last.safetensors", "model.safetensors", "previous.safetensors"} <= set(
        os.listdir(run.path))
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    assert (run.path / "history.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert run.config["data"] == str(shared / "data")
    assert run.config["classes"] == [*run.model.classes] == ["ant", "bee", "cat"]
    assert run.skipped == []
    epoch = [*(f"step {n}/5" for n in range(1, 6)), "validating 3/3", "done"]
    assert notes.calls == ["started net.toml", "epoch 1/3", *epoch, "epoch 2/3", *epoch, "epoch 3/3", *epoch]
    assert os.listdir(run.path.parent / "latest") == os.listdir(run.path)


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_a_test_finds_what_training_said(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", each=40)
    run = train(data=data, epochs=6, lr=0.3, schedule="constant", weight_decay=0, label_smoothing=0.1)
    rows = run.history
    best = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert run.model.training["epoch"] == best["epoch"]
    model = run.model
    result = evaluate(model, load_images(scan(data).val, model.preprocessing))
    assert (result.loss, result.accuracy) == (model.training["val_loss"], model.training["val_accuracy"])
    assert model.calibration == calibrate(result.logits, result.labels), "fitted to just these"
    assert checkpoint.load_model(run.path / checkpoint.LAST).calibration is None, "which has other weights"
    averaged = train(data=data, epochs=3, ema=1).model
    result = evaluate(averaged, load_images(scan(data).val, averaged.preprocessing))
    assert result.loss == averaged.training["val_loss"], "the average is what is validated"
    state = checkpoint.load_state(run.path)
    assert state.progress["best"]["epoch"] == best["epoch"]
    assert state.progress["finished"] is True


@pytest.mark.slow
def test_it_learns(train: Train, tmp_path: Path) -> None:
    run = train(data=make_folder(tmp_path / "data", each=30), epochs=8, augment=False)
    assert run.history[-1]["train_loss"] < 0.7 * run.history[0]["train_loss"]
    assert run.model.training["val_accuracy"] > 0.6


@pytest.mark.slow
def test_the_model_file_is_a_function_of_data_recipe_and_seed(
    train: Train, shared: Path, tmp_path: Path, isa: str
) -> None:
    before = kernels.threads()
    try:
        files = {count: model_bytes(train(threads=count, name=f"t{count}")) for count in (1, 2, 4)}
    finally:
        kernels.set_threads(before)
    assert files[1] == files[2] == files[4]
    assert model_bytes(train(cache="none")) == files[1]
    assert model_bytes(train(data=make_folder(tmp_path / "elsewhere"), runs=tmp_path / "there")) == files[1]
    assert model_bytes(train(seed=1)) != files[1]


@pytest.mark.slow
def test_no_time_thread_or_place_is_in_the_model_file(train: Train, tmp_path: Path) -> None:
    data = model_bytes(train())
    for word in (b"seconds", b"threads", os.fsencode(tmp_path), b"2026"):
        assert word not in data


@pytest.mark.slow
def test_patience_ends_a_training_that_gets_no_better(train: Train) -> None:
    notes = Notes()
    run = train(epochs=50, patience=2, lr=1e-9, observer=notes)
    assert len(run.history) == highest(run.history)["epoch"] + 2 < 50
    assert "stopped early" in notes.sentences[-1]
    assert run.model.training["epoch"] == notes.best[-1]


@pytest.mark.slow
def test_a_training_keeps_the_latest_of_epochs_that_validation_cannot_tell_apart(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.5, 0.9, 0.1, 0.89, 0.2])  # a standard error of 0.9 is less than 0.3, however few the images
    monkeypatch.setattr("cnncli.training.fit.evaluate", lambda model, images, progress, world: replace(
        evaluate(model, images, progress=progress), accuracy=next(accuracies)))
    notes = Notes()
    run = train(epochs=5, observer=notes)
    assert notes.best == [1, 2, 4]
    assert run.model.training["epoch"] == 4


def test_without_validation_images_the_last_epoch_is_the_best(train: Train, tmp_path: Path) -> None:
    notes = Notes()
    run = train(data=make_folder(tmp_path / "data", each=2), observer=notes)
    assert notes.best == [1, 2, 3]
    assert run.model.training["epoch"] == 3
    assert run.history[0]["val_loss"] is None
    assert run.model.training["val_accuracy"] is None
    assert any("no validation images" in sentence for sentence in notes.sentences)
    assert run.model.calibration is None


@pytest.mark.slow
def test_grey_images_are_not_flipped_and_it_is_said(train: Train, tmp_path: Path) -> None:
    notes = Notes()
    run = train(data=make_folder(tmp_path / "data", grey=True), observer=notes)
    assert run.config["recipe"]["grey"] is True
    assert run.config["recipe"]["augment"]["flip"] is False
    assert any("not flipped" in sentence for sentence in notes.sentences)


@pytest.mark.slow
def test_losses_and_accuracy_of_mixed_images_are_of_both_labels(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step
    losses, right = [], []

    def watched(self: Trainer, images: np.ndarray, labels: np.ndarray, mixed: Any) -> float:
        loss = step(self, images, labels, mixed)
        others, shares = mixed
        logp = self.logits.astype(float) - np.log(np.exp(self.logits.astype(float)).sum(1, keepdims=True))
        at = np.arange(len(labels))
        losses.extend(-shares * logp[at, labels] - (1 - shares) * logp[at, others])
        right.extend(self.logits.argmax(1) == np.where(shares < 0.5, others, labels))
        assert loss == pytest.approx(np.mean(losses[-len(labels):]), rel=1e-5), "what is made small"
        return loss

    monkeypatch.setattr(Trainer, "step", watched)
    row = train(augment="mixup=2,cutmix=1", epochs=1, label_smoothing=0.0).history[0]
    assert row["train_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_the_preview_is_drawn_before_training_and_changes_nothing(train: Train, shared: Path) -> None:
    class Watch(Notes):
        def started(self, run: Run, summary: dict[str, Any]) -> None:
            seen.append((run.path / "augmented.png").read_bytes()[:4])

    seen: list[bytes] = []
    notes = Watch()
    run = train(preview=True, observer=notes)
    assert seen == [b"\x89PNG"]
    assert any(sentence == f"{run.path / 'augmented.png'} shows what training images look like."
               for sentence in notes.sentences)
    plain = train()
    assert model_bytes(plain) == model_bytes(run)
    assert not (plain.path / "augmented.png").exists()


@pytest.mark.slow
def test_a_preview_that_cannot_be_drawn_stops_no_training(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise SaveError("no space left.")

    monkeypatch.setattr(augmented, "draw", full)
    notes = Notes()
    assert len(train(preview=True, observer=notes).history) == 3
    assert any("could not be drawn: no space left." in sentence for sentence in notes.sentences)


@pytest.mark.slow
def test_the_curves_are_drawn(shared: Path, tmp_path: Path) -> None:
    run = training.train(shared / "data", str(shared / "net.toml"), epochs=1, runs=tmp_path)
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")
    schedule, steps = training._rates(run)  # type: ignore[misc]
    assert schedule(steps - 1) == pytest.approx(run.history[0]["learning_rate"], rel=1e-6)
    assert schedule(0) > schedule(steps - 1)
    run.write_config({**run.config, "recipe": {"lr": 0.1}})
    assert training._rates(run) is None


class Prepared:
    """Stands for a training that is finished already."""

    def __init__(self, run: Run) -> None:
        self.lock, self.fit, self.why = nullcontext(), None, "it is finished."
        self.lock.run = run  # type: ignore[attr-defined]


def test_what_is_asked_for_is_what_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    for name in ("begin", "resumed"):
        monkeypatch.setattr(training, name, lambda *given: (asked.append(given), Prepared(Run(tmp_path)))[1])
    monkeypatch.setattr(training, "_finish", lambda prepared, watcher: watcher)
    monkeypatch.setattr(kernels, "set_threads", asked.append)
    monkeypatch.setattr(training, "_preview", lambda prepared, watcher: asked.append("preview"))
    given: dict[str, Any] = {
        "arch": "resnet8", "epochs": 2, "batch_size": 3, "lr": 0.5, "optimizer": "adam", "schedule": "step",
        "warmup": 0.5, "weight_decay": 0.1, "loss": "cross-entropy", "label_smoothing": 0.3, "augment": "shift=1",
        "size": 9, "grey": True, "seed": 4, "split_seed": 5, "patience": 6, "ema": 0.75, "exact": True,
        "sampling": "balanced", "fold": (2, 3), "init": "efficientnet_lite0", "freeze": 1, "range": (0.0, 9.0),
        "fit": "pad"}
    notes = Notes()
    beside: Any = {"threads": 3, "cache": "none", "strict": True, "observer": notes, "preview": True}
    assert training.train("data", **given, name="n", runs=tmp_path, **beside) is notes
    assert asked[0] == 3
    data, options, name, runs, setting = asked[1]
    assert (data, options, name, runs) == ("data", Options(**given), "n", str(tmp_path))
    assert (setting.threads, setting.cache, setting.strict, setting.observer) == (3, "none", True, notes)
    assert asked[2:] == ["preview"]
    asked.clear()
    for more in ({"class_weights": [1, 2]}, {"time": 60.0}, {"recipe": "fast"}, {"probe": True},
                 {"exclude": ["a"]}, {"group_by": "(x)"}):
        training.train("data", **more)
        assert asked.pop()[1] == Options(**more)
    training.train("data")
    [(data, options, name, runs, setting)] = asked
    assert (options, name, runs) == (Options(), None, "runs")
    assert (setting.threads, setting.cache, setting.strict) == (None, "auto", False)
    for which, found in ((True, None), ("a", "a"), (Path("b"), "b")):
        training.train(resume=which, patience=3)
        assert asked.pop()[:4] == (None, Options(patience=3), found, "runs")


def test_a_run_that_is_finished_gets_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed just before, it has no curves, and runs/latest leads elsewhere; one that is not the newest keeps away."""
    drawn: list[str] = []
    monkeypatch.setattr(training, "_draw", lambda run, observer: drawn.append(run.name))
    for name, day in (("old", 1), ("new", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"began": "2026-01-0{day}T00:00:00+00:00"}}')
        (tmp_path / name / "model.safetensors").touch()
    notes = Notes()
    for name, curves, latest in (("old", False, None), ("old", True, None), ("new", True, "new"),
                                 ("old", True, "new")):
        run = Run(tmp_path / name)
        (run.path / "curves.png").touch() if curves else None
        assert training._finish(Prepared(run), notes) is run  # type: ignore[arg-type]
        assert getattr(latest_run(tmp_path), "name", None) == latest
    assert drawn == ["old"]
    assert notes.sentences == ["it is finished."] * 4
    (tmp_path / "new" / "model.safetensors").unlink()
    (tmp_path / "latest").unlink()
    training.end_latest(Run(tmp_path / "new"))
    assert latest_run(tmp_path) is None, "a run without a model is none to use"


@pytest.mark.slow
def test_the_images_are_given_back_before_the_curves_are_drawn(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """What draws them takes as much memory again."""
    alive: weakref.WeakSet[Images] = weakref.WeakSet()
    left: list[int] = []

    class Counting(Observer):
        def epoch_done(self, row: Row, best: bool) -> None:
            left.append(len(alive))

    load = prepare.load_images

    def watched(*args: Any, **options: Any) -> Images:
        images = load(*args, **options)
        alive.add(images)
        return images

    monkeypatch.setattr(prepare, "load_images", watched)
    monkeypatch.setattr(training, "_draw", lambda run, observer: left.append(len(alive)))
    train(epochs=1, observer=Counting())
    assert left == [2, 0]


@pytest.mark.slow
def test_a_training_is_not_lost_over_a_picture(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cnncli.report.curves.draw", refuse)
    notes = Notes()
    run = training.train(shared / "data", str(shared / "net.toml"), epochs=1, runs=tmp_path, observer=notes)
    assert run.model.training["epoch"] == 1
    assert "could not be drawn" in notes.sentences[-1]


# ---- bad images ----


@pytest.mark.slow
def test_images_that_cannot_be_used_are_skipped_and_listed(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    (data / "ant" / "00.png").write_bytes(b"no image at all")
    (data / "bee" / "03.png").write_bytes((data / "bee" / "03.png").read_bytes()[:60])
    (data / "cat" / "new\nline.png").write_bytes(b"")
    os.mkfifo(data / "cat" / "pipe.png")
    (data / "cat" / "loop").symlink_to(data / "cat")
    run = train(data=os.path.relpath(data))
    assert sorted(os.path.basename(path) for path, _ in run.skipped) == ["00.png", "03.png", "new\nline.png"]
    assert sorted(train(resume=run.name, epochs=4).skipped) == sorted(run.skipped), "by the same paths"
    assert all(reason for _, reason in run.skipped)
    assert (data / "ant" / "00.png").read_bytes() == b"no image at all"
    with pytest.raises(ImageError):
        train(data=data, strict=True)


@pytest.mark.slow
def test_images_that_are_damaged_but_no_pixel_of_them_are_used_and_said(train: Train, tmp_path: Path) -> None:
    data, notes = make_folder(tmp_path / "data"), Notes()
    for name in ("ant/00.png", "bee/03.png"):
        with (data / name).open("ab") as file:
            file.write(b"more")
    run = train(data=data, observer=notes, strict=True)
    assert run.skipped == []
    [said] = [sentence for sentence in notes.sentences if "images are damaged" in sentence]
    assert said == ("2 images are damaged, but no pixel of them, and used all the same: "
                    f"{data}/ant/00.png (4 bytes behind its end were passed over); "
                    f"{data}/bee/03.png (4 bytes behind its end were passed over).")


def test_a_class_without_one_usable_image_is_an_error(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    for file in (data / "bee").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of the training images of bee"):
        train(data=data)
    for file in data.glob("*/*.png"):
        file.write_bytes(b"broken")
    with pytest.raises(DataError):
        train(data=data)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_image_that_vanishes_meanwhile_stops_nothing(train: Train, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data")
    victim = scan(data).train[0].path

    class Remover(Observer):
        def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
            if epoch == 2:
                os.unlink(victim)

    run = train(data=data, cache="none", observer=Remover())
    assert [path for path, _ in run.skipped] == [victim]
    assert len(run.history) == 3
