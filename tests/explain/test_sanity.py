"""explain/sanity.py: maps of methods that explain change when the network's layers are drawn anew, those of guided
backpropagation hardly do; the model stays as it was."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.errors import DataError, UsageError
from cnncli.explain.sanity import ALIKE, IMAGES, STAGES, Sanity, Stage, copied, sanity, spearman
from cnncli.model import Model

from ..trained import EACH, trained
from .test_explanation import lit, sides

__all__ = ["trained"]


@pytest.fixture
def model(trained: Path) -> Model:
    return cnncli.load(trained / "runs" / "small")


@pytest.mark.slow
def test_methods_that_explain_change_and_guided_backpropagation_does_not(model: Model, trained: Path) -> None:
    images = sorted((trained / "photos" / "stripe").iterdir())[:8]
    found = {name: sanity(model, images, name, seed=1) for name in ("hirescam", "gradcam", "gradient", "guided",
                                                                      "deconvnet")}
    for name in ("hirescam", "gradcam", "gradient"):
        assert found[name].passes, (name, found[name].stages)
        assert found["guided"].alike > found[name].alike + 0.1, name
        assert found["deconvnet"].alike > found[name].alike, name
    assert not found["guided"].passes
    assert found["guided"].verdict.startswith("Guided backpropagation gives similar maps when the weights are random: ")
    assert found["hirescam"].verdict.startswith("HiResCAM depends on what the network has learnt")
    assert [stage.layer for stage in found["hirescam"].stages] == ["fc3", "fc2", "fc1", "conv2", "conv1"]
    assert found["hirescam"].layer is not None
    assert found["gradient"].layer is None
    assert found["hirescam"].image_count == len(images)
    assert found["hirescam"].as_json()["stages"][0]["layer"] == "fc3"


@pytest.mark.slow
def test_the_model_stays_as_it_was(model: Model, trained: Path) -> None:
    before = {key: array.copy() for key, array in model.arrays().items()}
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), np.uint8)
    logits = model.logits(image)
    found = sanity(model, trained / "photos")
    assert found.image_count == IMAGES < 4 * EACH
    assert sanity(model, trained / "photos") == found, "and the same each time"
    assert all(np.array_equal(before[key], array) for key, array in model.arrays().items())
    assert np.array_equal(model.logits(image), logits)
    assert np.array_equal(copied(model).logits(image), logits)


def test_the_seed_of_the_training_does_not_bring_its_weights_back() -> None:
    model = Model(architecture("lenet5", (28, 28, 1), 2, seed=0), ["a", "b"], Preprocessing((28, 28), grey=True))
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    assert sanity(model, images, seed=0).stages[0].correlation < 0.99


def test_a_copy_says_the_same_and_has_numbers_of_its_own() -> None:
    model = sides()
    model.network.parameters()["linear1.bias"][...] += 1
    image, one = np.stack([lit(3, 3), lit(9, 2)]), copied(model)
    assert np.array_equal(one.logits(image), model.logits(image))
    one.network.parameters()["linear1.bias"][...] += 5
    one.network.changed()
    assert not np.array_equal(one.logits(image), model.logits(image))


def test_a_deep_network_is_looked_at_so_often(network) -> None:
    net = network("resnet20")
    deep = Model(net, list("abcde"), Preprocessing((32, 32)))
    found = sanity(deep, np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))
    assert len(found.stages) == STAGES == 8
    assert (found.stages[0].layer, found.stages[-1].layer) == ("fc", "conv1")



def test_spearman() -> None:
    assert spearman(np.array([1.0, 2, 3, 10]), np.array([-5.0, 0, 0.1, 99])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 2, 2, 3]), np.array([1.0, 3, 2, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman(np.ones(4), np.arange(4.0)) == 0, "no NaN where a map says nothing"


def test_what_cannot_be_tested(tmp_path: Path) -> None:
    model = sides()
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png cannot be used"):
        sanity(model, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the images can be used"):
        sanity(model, tmp_path)
    assert sanity(model, [lit(3, 3), str(tmp_path / "b.png")]).skipped[0][0] == str(tmp_path / "b.png")
    with pytest.raises(UsageError, match="no method"):
        sanity(model, [lit(3, 3)], "none")


def test_what_is_doubtful_of_the_images_is_said(tmp_path: Path) -> None:
    dark = np.arange(256, dtype=np.uint16).reshape(16, 16) * 15 + 7
    Image.fromarray(dark).save(tmp_path / "deep.png")
    said: list[str] = []
    sanity(sides(), tmp_path / "deep.png", note=said.append)
    assert [sentence for sentence in said if "deeper than 8 bits" in sentence and "nearly black" in sentence]


def test_maps_that_stay_alike_at_the_end_do_not_pass() -> None:
    stages = [Stage("fc", 0.1), Stage("conv", 0.1), Stage("conv1", ALIKE)]
    assert not Sanity("gradient", "X", None, 3, stages, []).passes
    assert Sanity("gradient", "X", None, 3, stages[:2], []).passes


def test_to_change_with_the_weights_is_not_to_be_evidence() -> None:
    stages = [Stage("fc", 0.1), Stage("conv1", 0.1)]
    assert Sanity("gradient", "G", None, 3, stages, []).verdict == (
        "G depends on what the network has learnt: its maps change with it")
    assert Sanity("deconvnet", "D", None, 3, stages, []).verdict == (
        "D: the maps change with what the network has learnt. That alone does not make them evidence for a class, and "
        "they are none")
