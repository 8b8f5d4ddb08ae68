"""`fit`: how images get the network's shape is asked for in a training, and is the model's from then on."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data.preprocessing import RESIZES, Resize
from cnncli.errors import UsageError
from cnncli.runs.again import changed_command
from cnncli.training.options import Options
from cnncli.training.start import _preprocessing, from_weights

from .conftest import Train


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Images that are three times as wide as high, whose left end says the class: what a crop does not see."""
    rng = np.random.default_rng(0)
    for label, light in (("dark", 0), ("light", 200)):
        (tmp_path / "long" / label).mkdir(parents=True)
        for number in range(14):
            pixels = rng.integers(60, 100, (40, 120, 3), np.uint8)
            pixels[:, :25] = light
            Image.fromarray(pixels).save(tmp_path / "long" / label / f"{number}.png")
    return tmp_path / "long"


@pytest.mark.slow
@pytest.mark.parametrize("fit", RESIZES)
def test_a_model_keeps_how_its_images_are_fitted(train: Train, long: Path, fit: Resize, tmp_path: Path) -> None:
    run = train(data=long, fit=fit, size=12, epochs=4, augment=False)
    model = run.model
    assert (model.preprocessing.resize, run.config["recipe"]["resize"], run.config["asked"]["fit"]) == (fit,) * 3
    again = train(data=long, fit=fit, size=12, epochs=4, augment=False, cache="none")
    for name, weights in model.network.parameters().items():
        assert np.array_equal(weights, again.model.network.parameters()[name]), "decoded again each time"
    path = next(long.glob("dark/*.png"))
    pixels = np.asarray(Image.open(path))
    by_file, by_array = model.predict([path, pixels])
    assert by_file.probability == by_array.probability
    found = cnncli.evaluate(run)
    assert (found.accuracy == 1) == (fit != "crop"), "only a crop does not see the end"
    assert f" --fit {fit} " in changed_command(run, "--epochs 9")
    model.save(tmp_path / "copy.safetensors")
    assert cnncli.load(tmp_path / "copy.safetensors").preprocessing == model.preprocessing
    for other in (None, "squash"):
        begun = from_weights(str(run.path), None, None, None, ["dark", "light"], 0, other)
        assert begun.preprocessing.resize == (other or fit)


@pytest.mark.slow
def test_without_it_a_training_is_what_it_was(train: Train, long: Path) -> None:
    asked, left = train(data=long, fit="crop", size=12, epochs=1), train(data=long, size=12, epochs=1)
    assert left.config["recipe"] == asked.config["recipe"]
    assert "fit" not in left.config["asked"]
    assert left.model.preprocessing == asked.model.preprocessing
    for name, weights in left.model.network.parameters().items():
        assert np.array_equal(weights, asked.model.network.parameters()[name])


def test_pretrained_networks_keep_their_numbers_and_see_the_grey_as_nothing() -> None:
    weights = SimpleNamespace(model=None)
    usual, padded = (_preprocessing("x", "efficientnet_lite0", weights, None, None, fit)  # type: ignore[arg-type]
                     for fit in (None, "pad"))
    assert (usual.resize, padded) == ("crop", replace(usual, resize="pad"))
    seen = padded.normalise(padded.prepare_array(np.zeros((9, 90, 3), np.uint8))[None])
    assert not seen[0, 0].any()
    assert seen[0, 112].all()


def test_what_is_no_way_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no way to fit images 'padd'; give one of squash, crop, pad. Did"):
        Options(fit="padd")  # type: ignore[arg-type]
