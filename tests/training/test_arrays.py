"""Training and evaluating on arrays in memory: the same as on a folder of the same images, twice the same bits, resumed
with the same arrays only, and never a file that is not the run's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.errors import DataError, UsageError
from cnncli.runs import Run

from ..pictures import CLASSES
from .conftest import Train

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def arrays(shared: Path) -> Arrays:
    """The images of the shared folder, in the order of their names, with the names of their classes."""
    paths = sorted((shared / "data").glob("*/*.png"))
    return np.stack([np.asarray(Image.open(path)) for path in paths]), np.array([path.parent.name for path in paths])


def weights(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_same_arrays_give_the_same_model_on_any_threads(train: Train, arrays: Arrays) -> None:
    runs = [train(data=data, epochs=2, threads=threads, cache=cache) for data, threads, cache in (
        (arrays, 1, "ram"), (arrays, 3, "none"), ((list(arrays[0] / 255), arrays[1].tolist()), 2, "ram"))]
    assert weights(runs[0]) == weights(runs[1]) == weights(runs[2])
    assert runs[0].model.classes == tuple(CLASSES)
    assert runs[0].config["data"] is None
    assert runs[0].config["images"] == {"train": 36, "val": 3}
    assert weights(train(data=arrays, epochs=2, seed=1)) != weights(runs[0])


@pytest.mark.slow
def test_it_is_the_training_of_a_folder_with_the_same_split(train: Train, arrays: Arrays, tmp_path: Path) -> None:
    images, labels = arrays
    splits = {"train": slice(None, None, 2), "val": slice(1, None, 4), "test": slice(3, None, 4)}
    for split, part in splits.items():
        for i, (image, label) in enumerate(zip(images[part], labels[part], strict=True)):
            (tmp_path / "data" / split / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "data" / split / label / f"{i:02}.png")
    ours = train(data={split: (images[part], labels[part]) for split, part in splits.items()})
    theirs = train(data=tmp_path / "data")
    assert [row["val_loss"] for row in ours.history] == [row["val_loss"] for row in theirs.history]
    for name, array in theirs.model.network.parameters().items():
        np.testing.assert_array_equal(ours.model.network.parameters()[name], array)


@pytest.mark.slow
def test_evaluating_and_predicting(train: Train, arrays: Arrays) -> None:
    run = train(data=arrays)
    found = cnncli.evaluate(run, arrays)
    assert found.image_count == 3
    counts = [cnncli.evaluate(run.model, arrays, split=split).image_count for split in ("train", "val", "test")]
    assert counts == [36, 3, 3]
    assert {s.relative for s in found.samples}.isdisjoint(
        {s.relative for s in cnncli.evaluate(run, arrays, split="train").samples})
    assert set(found.baselines) == {"majority class", "nearest neighbour"}
    assert cnncli.evaluate(run, arrays, split="val").accuracy == run.model.training["val_accuracy"]
    every = cnncli.evaluate(run, (arrays[0][:20], arrays[1][:20]))
    assert every.image_count == 20
    assert [p.label for p in run.model.predict(arrays[0][:20])] == [
        run.model.classes[guess] for guess in every.guesses[np.argsort([int(s.relative) for s in every.samples])]]
    assert cnncli.evaluate(run, {"test": arrays}, split="test").image_count == 42
    with pytest.raises(UsageError, match="no val images"):
        cnncli.evaluate(run, (arrays[0][1:], arrays[1][1:]), split="val")
    with pytest.raises(UsageError, match="trained on arrays in memory; give them again"):
        cnncli.evaluate(run)
    with pytest.raises(DataError, match="labels hold 0"):
        cnncli.evaluate(run, (arrays[0], np.zeros(42, int)))


@pytest.mark.slow
def test_of_a_model_that_was_trained_on_a_folder(train: Train, arrays: Arrays) -> None:
    run = train(epochs=1)
    assert cnncli.evaluate(run, arrays).image_count == 42
    assert cnncli.evaluate(run, arrays).accuracy == pytest.approx(np.mean(
        [p.label == label for p, label in zip(run.model.predict(arrays[0]), arrays[1], strict=True)]))


@pytest.mark.slow
def test_arrays_are_known_again_in_any_order_and_as_files(train: Train, arrays: Arrays, tmp_path: Path) -> None:
    images, labels = arrays
    run = train(data=arrays, epochs=1)
    found = cnncli.evaluate(run, (images[::-1], labels[::-1]))
    assert (found.image_count, found.trained_on) == (42, 36)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (tmp_path / "files" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "files" / label / f"{i:02}.png")
    found = cnncli.evaluate(run, tmp_path / "files")
    assert (found.image_count, found.trained_on) == (42, 36)
    report = cnncli.check(tmp_path / "files", models=[run])
    assert report.judged is not None
    assert report.judged["seen"] == 36


class Stop(cnncli.Observer):
    """Ends the training in the middle of its second epoch."""

    def epoch_started(self, epoch: int, epochs: int, steps: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_resuming_needs_the_same_arrays(train: Train, arrays: Arrays) -> None:
    images, labels = arrays
    whole = weights(train(data=arrays, name="whole"))
    with pytest.raises(KeyboardInterrupt):
        train(data=arrays, name="half", observer=Stop())
    with pytest.raises(UsageError, match="half was trained on arrays in memory; give them again"):
        train(resume="half")
    for other, words in (((images[::-1], labels[::-1]), "holds other images"),
                         ((images ^ np.uint8(1), labels), "other labels or pixels"),
                         ((images[:-1], labels[:-1]), "then"),
                         ((images, np.char.add(labels, "s")), r"other classes .*\(new: ants")):
        with pytest.raises(DataError, match=words):
            train(data=other, resume="half")
    assert weights(train(data=(images.copy(), labels.tolist()), resume="half")) == whole
    assert train(resume="half").name == "half"  # finished: nothing needs the images
    assert len(train(data=arrays, resume="half", epochs=4).history) == 4


@pytest.mark.slow
def test_folds_and_the_range_test(shared: Path, tmp_path: Path, train: Train, arrays: Arrays) -> None:
    options = {"arch": str(shared / "net.toml"), "runs": tmp_path / "runs", "batch_size": 8}
    found = cnncli.cross_validate(arrays, 3, epochs=1, **options)
    assert [fold.image_count for fold in found.folds] == [13, 13, 13]
    again = cnncli.cross_validate(None, 3, resume=found.name, runs=tmp_path / "runs")
    assert again.mean == found.mean
    assert cnncli.find_lr(arrays, **options).rates
    assert train(data=arrays, epochs=1, exclude=["0", "1"]).config["images"]["train"] < 36


@pytest.mark.parametrize(("data", "words"), [
    (3, "not int"), ((np.zeros((4, 6, 6), np.uint8), [0, 1, 0]), "4 images and 3 labels"),
    ((np.zeros((4, 3, 6, 6), np.uint8), [0, 1, 0, 1]), "moveaxis"), (np.zeros((4, 6, 6)), "not ndarray"),
    ((np.full((4, 6, 6), 128.0), [0, 1, 0, 1]), "floats go from 128 to 128"),
    ({"val": (1, 2)}, "no train; give the training images")])
def test_what_is_no_data_is_refused_and_leaves_no_run(train: Train, tmp_path: Path, data: object, words: str) -> None:
    with pytest.raises((UsageError, DataError), match=words):
        train(data=data)
    assert not (tmp_path / "runs").exists()
