"""training/strangeness.py: a finished training leaves a model that tells strange images, fitted to the weights that
were kept; one without validation images leaves one that does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.model import checkpoint
from cnncli.training import strangeness
from cnncli.training.strangeness import fit_strangeness, some_of_each

from .conftest import Train


@pytest.mark.slow
def test_the_kept_model_tells_strange_images(train: Train) -> None:
    run = train()
    model = run.model
    strange = model.strangeness
    assert strange is not None
    assert strange.means.shape[0] == len(model.classes)
    assert strange.images == run.config["images"]["val"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, *model.preprocessing.shape), np.uint8)
    logits, values = model.judging()(pixels)
    np.testing.assert_array_equal(logits, model.logits(pixels))
    assert np.isfinite(values).all()
    assert checkpoint.load_state(run.path).model.strangeness is None, "a state goes on to other weights"


@pytest.mark.slow
def test_the_same_training_gives_the_same_bytes(train: Train) -> None:
    first, second = (train(threads=threads).path / checkpoint.MODEL for threads in (1, 2))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_without_validation_images_nothing_is_fitted(train: Train) -> None:
    assert train(recipe="fast", arch="resnet9", epochs=1, size=16).model.strangeness is None


def test_some_of_each_class() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2] * 10)
    chosen = some_of_each(labels, 5)
    assert np.bincount(labels[chosen]).tolist() == [5, 3, 5]
    assert (np.diff(chosen) > 0).all()
    assert chosen[:5].tolist() == [0, 12, 24, 36, 49]


class Few:
    """So many images of three classes, in turn; the pixels asked for are kept."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.labels, self.shape, self.asked = np.arange(count) % 3, shape, list[int]()

    def pixels(self, indices: np.ndarray) -> np.ndarray:
        self.asked.append(len(indices))
        return np.random.default_rng(1).integers(0, 256, (len(indices), *self.shape)).astype(np.uint8)

    def in_order(self, at_once: int) -> Iterator[np.ndarray]:
        yield from (self.pixels(np.arange(start, len(self))[:at_once]) for start in range(0, len(self), at_once))

    def __len__(self) -> int:
        return len(self.labels)


@pytest.mark.slow
def test_some_of_the_training_images_are_looked_at(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (strangeness.IMAGES, strangeness.OF_A_CLASS) == (2000, 10)
    run, fitted = train(epochs=1), list[Any]()
    monkeypatch.setattr(strangeness, "fit", lambda x, labels, known: fitted.append(
        (len(x), labels.tolist(), len(known))))
    for most, of_a_class, looked_at in ((2000, 10, 120), (60, 10, 60), (60, 25, 75)):
        monkeypatch.setattr(strangeness, "IMAGES", most)
        monkeypatch.setattr(strangeness, "OF_A_CLASS", of_a_class)
        told: list[tuple[int, int]] = []
        images, val = (Few(count, run.model.preprocessing.shape) for count in (120, 70))
        fit_strangeness(run.path / checkpoint.MODEL, images, val,  # type: ignore[arg-type]
                        lambda *how_far, told=told: told.append(how_far))  # type: ignore[misc]
        assert sum(images.asked) == looked_at
        assert told == [(int(done), looked_at + 70) for done in np.cumsum([*images.asked, *val.asked])]
        assert val.asked == [64, 6]
        assert fitted.pop() == (looked_at, [0, 1, 2] * (looked_at // 3), 70)


@pytest.mark.slow
def test_features_that_are_no_numbers_are_left_alone(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(epochs=1)
    before = (run.path / checkpoint.MODEL).read_bytes()
    few: Any = Few(6, run.model.preprocessing.shape)
    for broken in (0, 1):
        calls: list[int] = []

        def flat(features: np.ndarray, calls: list[int] = calls, broken: int = broken) -> np.ndarray:
            calls.append(1)
            return np.full((len(features), 4), np.nan if len(calls) == 1 + broken else 1.0)

        monkeypatch.setattr(strangeness, "flat", flat)
        fit_strangeness(run.path / checkpoint.MODEL, few, few, lambda *how_far: None)
    assert (run.path / checkpoint.MODEL).read_bytes() == before


@pytest.mark.slow
def test_who_is_stopped_leaves_the_file_as_it_was(train: Train) -> None:
    run = train()
    path: Path = run.path / checkpoint.MODEL
    before = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    few: Any = Few(3, run.model.preprocessing.shape)
    with pytest.raises(KeyboardInterrupt):
        fit_strangeness(path, few, few, stop)
    assert path.read_bytes() == before
