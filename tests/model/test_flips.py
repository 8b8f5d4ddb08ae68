"""Test-time flips: the mean of an image's logits and its mirror image's, the same bits from ``cnn test``,
``cnn predict`` and whoever else asks a Model, and a word where a model has never seen a mirror image."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli import cli
from cnncli.evaluation.scores import evaluate
from cnncli.model import Model, checkpoint
from cnncli.model.flips import with_flips

from ..small_model import CLASSES, small_model


class Held:
    """Labelled images in memory, as ``evaluate`` takes them."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels, self.skipped = pixels, labels, []

    def in_order(self, at_once: int):
        for start in range(0, len(self.pixels), at_once):
            yield self.pixels[start : start + at_once]


def mirroring() -> Model:
    model = small_model()
    model.flips = True
    return model


def test_it_is_the_mean_of_both_logits(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (7, 6, 5, 3), np.uint8)
    plain, flipped = small_model(), mirroring()
    both = (plain.logits(images) + plain.logits(images[:, :, ::-1])) / 2
    np.testing.assert_array_equal(flipped.logits(images), both)
    assert not np.array_equal(flipped.logits(images), plain.logits(images))
    np.testing.assert_array_equal(flipped.logits(images), flipped.logits(images[:, :, ::-1]))
    upside_down = flipped.logits(images[:, ::-1])
    assert not np.array_equal(flipped.logits(images), upside_down), "left to right, not upside down"


def test_an_image_gets_the_same_bits_in_any_batch_and_from_everybody(tmp_path: Path, rng: np.random.Generator) -> None:
    images, model = rng.integers(0, 256, (70, 6, 5, 3), np.uint8), mirroring()
    alone = np.concatenate([model.logits(images[i : i + 1]) for i in range(70)])
    np.testing.assert_array_equal(model.logits(images), alone)
    found = evaluate(model, Held(images, np.zeros(70, np.int64)), batch_size=32)
    assert found.flips
    paths = []
    for number, image in enumerate(images):
        paths.append(str(tmp_path / f"{number:02}.png"))
        Image.fromarray(image).save(paths[-1])
    for row, answer in zip(found.probabilities, model.predict(paths), strict=True):
        assert dict(answer.top) == dict(zip(CLASSES, row, strict=True)), "to the last bit"
        assert answer.label == CLASSES[int(row.argmax())]


def test_predict_flips_where_it_is_asked_to(tmp_path: Path, rng: np.random.Generator,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    path, image = str(tmp_path / "a.png"), rng.integers(0, 256, (6, 5, 3), np.uint8)
    Image.fromarray(image).save(path)
    checkpoint.save_model(tmp_path / "m.safetensors", small_model())
    for flags, model in (([], small_model()), (["--tta"], mirroring())):
        assert cli.main(["predict", path, "-m", str(tmp_path / "m.safetensors"), "--json", *flags]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)[0]["probability"] == model.probabilities(image[None]).max()
        assert ("trained without mirror images" in err) == bool(flags)


@pytest.mark.parametrize(("augment", "grey", "said"), [
    ({"shift": 4, "flip": True}, False, ""), ({"shift": 2, "flip": False}, True, "digits or letters"),
    ({"shift": 2, "flip": False}, False, "without mirror images"), (None, False, "without mirror images")])
def test_who_has_never_seen_a_mirror_image_is_said(augment, grey: bool, said: str) -> None:
    model = small_model(grey=grey)
    model.training["recipe"] = {"augment": augment}
    told: list[str] = []
    assert with_flips(model, True, told.append).flips
    assert len(told) == bool(said)
    assert said in "".join(told)
    assert ("digits" in "".join(told)) == grey


def test_the_model_itself_stays_as_it_is(rng: np.random.Generator) -> None:
    images, model = rng.integers(0, 256, (3, 6, 5, 3), np.uint8), small_model()
    flipped = with_flips(model, True)
    np.testing.assert_array_equal(flipped.logits(images), mirroring().logits(images))
    assert not model.flips
    assert flipped.network is model.network
    assert with_flips(model, None) is model
    assert not with_flips(flipped, False, pytest.fail).flips
