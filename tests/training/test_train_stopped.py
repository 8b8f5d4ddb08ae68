"""What stops a training, or keeps it from beginning: numbers that are none, a full disk, folders and options that make
no sense."""

import errno
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli import atomic
from cnncli.data import scan
from cnncli.errors import DataError, SaveError, TrainingError, UsageError
from cnncli.model import checkpoint
from cnncli.runs import Run
from cnncli.training import fit
from cnncli.training.observer import Observer
from cnncli.training.trainer import Trainer

from ..pictures import NETWORK, make_folder, make_network
from .conftest import Train
from .test_train import model_bytes


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 1e30), ("adam", 1e38)])
def test_a_loss_that_is_no_number_stops_training(train: Train, optimizer: str, lr: float, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch \d, .*learning rate.*no model had been saved") as caught:
        train(optimizer=optimizer, lr=lr, schedule="constant", name="wild")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "runs" / "wild" / "model.safetensors").exists()


@pytest.mark.slow
def test_the_model_is_the_average_of_the_last_weights(train: Train) -> None:
    def weights(run: Run) -> tuple[np.ndarray, np.ndarray]:
        name = next(iter(run.model.network.parameters()))
        last = checkpoint.load_state(run.path).model.network.parameters()[name]
        return run.model.network.parameters()[name], last

    averaged, last = weights(train(name="averaged", epochs=1))
    plain, also_last = weights(train(name="plain", epochs=1, ema=0))
    np.testing.assert_array_equal(plain, last)
    np.testing.assert_array_equal(plain, also_last)
    assert 0 < np.abs(averaged - plain).max() < np.abs(plain).max()


@pytest.mark.slow
def test_the_last_good_model_is_kept(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = train(name="reference", epochs=1, schedule="constant", ema=0)
    step, steps = Trainer.step, []

    def poisoned(self: Trainer, images: np.ndarray, labels: np.ndarray, mixed: None) -> float:
        steps.append(1)
        return step(self, images * np.float32("nan") if len(steps) == 8 else images, labels)

    monkeypatch.setattr(Trainer, "step", poisoned)
    with pytest.raises(TrainingError, match=r"epoch 2, step 3: the loss .*the model of epoch 1 is kept in .*model"):
        train(name="poisoned", schedule="constant", ema=0)
    run = Run(tmp_path / "runs" / "poisoned")
    for name, array in run.model.network.parameters().items():
        np.testing.assert_array_equal(array, reference.model.network.parameters()[name])
    state = checkpoint.load_state(run.path)
    assert all(np.isfinite(array).all() for array in state.model.network.buffers().values())
    assert len(run.history) == 1


def test_statistics_that_are_no_numbers_are_not_saved(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, steps = Trainer.step, []

    def poisoned(self: Trainer, images: np.ndarray, labels: np.ndarray, mixed: None) -> float:
        loss = step(self, images, labels)
        steps.append(1)
        if len(steps) == 7:
            next(iter(self.network.buffers().values()))[0] = np.inf
        return loss

    monkeypatch.setattr(Trainer, "step", poisoned)
    monkeypatch.setattr(fit, "SAVE_SECONDS", -1.0)  # save after each step
    with pytest.raises(TrainingError, match=r"epoch 2, checking the weights: batchnorm1.running.*epoch 1 is kept"):
        train(name="poisoned")
    state = checkpoint.load_state(tmp_path / "runs" / "poisoned")
    assert all(np.isfinite(array).all() for array in state.model.network.buffers().values())


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.safetensors", "history.csv", "last.safetensors"])
def test_a_full_disk_leaves_the_checkpoint_before_whole(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    expected = model_bytes(train(name="whole"))
    write, seen = atomic._write_new, []

    def full(path: str, data: bytes, living: ExitStack) -> None:
        if atomic._leftover_prefix(file) in path:
            seen.append(path)
            if len(seen) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data, living)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_write_new", full)
        with pytest.raises(SaveError, match=r"no space left.*bytes are needed.*cnn train --resume full"):
            train(name="full")
    run = tmp_path / "runs" / "full"
    assert checkpoint.load_state(run).progress["history"][0]["epoch"] == 1
    assert not [name for name in os.listdir(run) if name.startswith(".")]
    assert model_bytes(train(resume="full")) == expected


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "val"])
def test_images_that_can_no_longer_be_read_end_it_saved(train: Train, tmp_path: Path, part: str) -> None:
    """Without a cache files are read as long as it lasts: a disk that is unplugged, say, and plugged in again."""
    data = make_folder(tmp_path / "data")
    lost = [Path(sample.path) for sample in getattr(scan(data), part)]
    kept = {path: path.read_bytes() for path in lost}

    class Unplugger(Observer):
        def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
            if epoch == 2:
                for path in lost:
                    path.write_bytes(b"")

    with pytest.raises(DataError, match=r"stopped in epoch 2, all saved; .* cnn train --resume run --runs ") as caught:
        train(data=data, cache="none", name="run", observer=Unplugger())
    assert caught.value.exit_code == 1
    for path, content in kept.items():
        path.write_bytes(content)
    assert [row["epoch"] for row in train(resume="run", cache="none").history] == [1, 2, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs"), ({"epochs": 1.5}, "epochs"), ({"batch_size": 0}, "batch size"),
        ({"batch_size": -3}, "batch size"), ({"lr": 0}, "learning rate"), ({"lr": -1}, "learning rate"),
        ({"lr": float("nan")}, "learning rate"), ({"size": 0}, "size"), ({"size": (12, -1)}, "size"),
        ({"size": 99999}, "size"), ({"seed": -1}, "seed"), ({"patience": 0}, "patience"),
        ({"warmup": -1}, "warm-up"), ({"warmup": 4}, "warm-up"), ({"weight_decay": -1}, "weight decay"),
        ({"label_smoothing": 2}, "label smoothing"), ({"loss": "squared-error", "label_smoothing": 0.1}, "smoothing"),
        ({"class_weights": "some"}, "class weights"), ({"class_weights": [1, 2]}, "class weights"),
        ({"optimizer": "adamm"}, "'adamw?'"), ({"schedule": "cosin"}, "'cosine'"),
        ({"loss": "crossentropy"}, "'cross-entropy'"), ({"arch": "resnt20", "size": 32}, "'resnet20'"),
        ({"cache": "tape"}, "cache"), ({"name": "a/b"}, "name"), ({"threads": 0}, "threads"),
        ({"data": None}, "folder"), ({"resume": True, "name": "x"}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    train: Train, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        train(**options)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("change", ["no folder", "empty", "one class", "no images", "class only in val"])
def test_folders_that_cannot_be_used_are_refused_before_anything_is_written(
    train: Train, tmp_path: Path, change: str
) -> None:
    data = tmp_path / "data"
    if change == "empty":
        data.mkdir()
    elif change == "one class":
        make_folder(data, classes=["ant"])
    elif change == "no images":
        (data / "ant").mkdir(parents=True)
        (data / "ant" / "readme.txt").write_text("no image")
    elif change == "class only in val":
        make_folder(data / "train")
        make_folder(data / "val", classes=["dog"])
    with pytest.raises(DataError, match="data"):
        train(data=data)
    assert not (tmp_path / "runs").exists()


def test_a_network_that_does_not_fit_is_told_with_its_line(train: Train, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="line 6") as caught:
        train(arch=make_network(tmp_path / "bad.toml", NETWORK.replace('"BatchNorm2d"', '"BatchNrm2d"')))
    assert getattr(caught.value, "exit_code", None) == 2


@pytest.mark.slow
def test_an_existing_run_is_refused_at_once(train: Train, tmp_path: Path) -> None:
    train(name="birds", epochs=1)
    before = (tmp_path / "runs" / "birds" / "config.json").read_bytes()
    with pytest.raises(UsageError, match="birds already"):
        train(name="birds", data=tmp_path / "nothing is looked at")
    assert (tmp_path / "runs" / "birds" / "config.json").read_bytes() == before
    assert json.loads(before)["recipe"]["epochs"] == 1
