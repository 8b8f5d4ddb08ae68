"""training/strangeness.py: a finished training leaves a model that tells strange images, fitted to the weights that
were kept; one without validation images leaves one that does not."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.model import checkpoint
from cnncli.training.strangeness import fit_strangeness, some_of_each

from .conftest import Train


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


def test_who_is_stopped_leaves_the_file_as_it_was(train: Train) -> None:
    run = train()
    path: Path = run.path / checkpoint.MODEL
    before = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    class Few:
        labels = np.array([0, 1, 2])

        def pixels(self, indices: np.ndarray) -> np.ndarray:
            return np.zeros((len(indices), *run.model.preprocessing.shape), np.uint8)

        def __len__(self) -> int:
            return 3

    with pytest.raises(KeyboardInterrupt):
        fit_strangeness(path, Few(), Few(), stop)  # type: ignore[arg-type]
    assert path.read_bytes() == before
