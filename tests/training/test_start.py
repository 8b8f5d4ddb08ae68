"""training/start.py: what a training begins with. Others' weights are found, fitted and told apart; heads are kept
where the classes are the same; and what cannot be used is refused before anything is written."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnncli.architectures import architecture
from cnncli.data import Preprocessing, scan
from cnncli.errors import ModelError, UsageError
from cnncli.training import start as module
from cnncli.training.options import Options
from cnncli.training.start import AUTOMATIC, automatic, first_network, from_weights
from cnncli.weights import pretrained

from ..pictures import CLASSES, make_folder
from ..weights.torchfiles import saved
from .choosing import chosen
from .conftest import Train

OTHERS = ("dog", "eel", "fox", "gnu")


def arrays(network) -> dict[str, np.ndarray]:
    return {**network.parameters(), **network.buffers()}


def foreign(path: Path, name: str = "resnet8", classes: int = 5, size: int = 32) -> Path:
    network = architecture(name, (size, size, 3), classes, seed=9)
    save_file({key: np.ascontiguousarray(array) for key, array in arrays(network).items()}, path)
    return path


@pytest.mark.slow
def test_a_model_of_ours_brings_network_and_preprocessing(train: Train, tmp_path: Path) -> None:
    model = train(name="first").model
    kept = from_weights(str(tmp_path / "runs/first"), None, None, None, CLASSES, 0)
    assert kept.network.config() == model.network.config()
    assert not kept.new_head
    assert all(np.array_equal(array, arrays(model.network)[name]) for name, array in arrays(kept.network).items())
    assert kept.preprocessing == model.preprocessing


@pytest.mark.slow
def test_other_classes_get_a_fresh_head(train: Train) -> None:
    run = train()
    for classes in (OTHERS, ("x", "y", "z")):
        found = from_weights(str(run.path), None, None, None, classes, 7)
        assert found.new_head
        assert found.network.output_shape == (len(classes),)
        ours, theirs = arrays(found.network), arrays(run.model.network)
        changed = {name for name in ours if not np.array_equal(ours[name], theirs[name])}
        assert changed <= {"linear1.weight", "linear1.bias"}
        assert "linear1.weight" in changed
        again = from_weights(str(run.path), None, None, None, classes, 7).network
        assert all(np.array_equal(array, arrays(again)[name]) for name, array in ours.items())
        other = from_weights(str(run.path), None, None, None, classes, 8).network
        assert not np.array_equal(other.parameters()["linear1.weight"], ours["linear1.weight"])


def test_a_file_of_others_says_by_its_name_what_it_is(tmp_path: Path) -> None:
    path = foreign(tmp_path / "resnet8-5c106cde.safetensors")
    found = from_weights(str(path), None, 32, None, CLASSES, 0)
    assert (found.arch, found.new_head) == ("resnet8", True)
    assert found.preprocessing == Preprocessing((32, 32), False, "crop", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert found.source == str(path)
    assert "fc, is new, for 3 classes" in found.notes[0]
    same_number = from_weights(str(path), None, 32, None, "abcde", 0)
    assert not same_number.new_head, "as many classes: they may well be the same"

    nameless = path.rename(tmp_path / "weights.safetensors")
    with pytest.raises(UsageError, match=r"does not say which network its weights are for; give its arch"):
        from_weights(str(nameless), None, 32, None, CLASSES, 0)
    assert from_weights(str(nameless), "resnet8", 32, None, CLASSES, 0).arch == "resnet8"


@pytest.mark.parametrize(("size", "grey", "found"), [
    (None, None, ((224, 224), False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    (32, False, ((32, 32), False, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    ((20, 30), True, ((20, 30), True, (pytest.approx(1.347 / 3),), (pytest.approx(0.678 / 3),)))])
def test_images_come_to_others_weights_as_they_learnt_them(size: Any, grey: bool | None, found: Any) -> None:
    made = module._preprocessing("x.pth", "resnet8", SimpleNamespace(model=None), size, grey)  # type: ignore[arg-type]
    assert (made.size, made.grey, made.mean, made.std) == found
    assert made.resize == "crop"
    ours = SimpleNamespace(preprocessing=Preprocessing((8, 8), True, "crop", (0.5,), (0.2,)))
    made = module._preprocessing("x", "", SimpleNamespace(model=ours), None, False)  # type: ignore[arg-type]
    assert (made.size, made.grey, made.mean, made.std) == ((8, 8), False, (0.5,) * 3, (0.2,) * 3)


@pytest.mark.slow
def test_the_sentence_says_what_is_begun_with(train: Train) -> None:
    run = train(epochs=1)
    where = f"Start: net.toml with the weights of {run.path}, for 10 x 10 pixels; its last layer"
    assert from_weights(str(run.path), None, None, None, CLASSES, 0).notes == [f"{where} is kept."]
    assert from_weights(str(run.path), None, None, None, OTHERS, 0).notes == [
        f"{where}, linear1, is new, for 4 classes."]


def test_a_file_of_pytorchs_is_taken(tmp_path: Path) -> None:
    network = architecture("resnet8", (32, 32, 3), 5, seed=9)
    (tmp_path / "resnet8.pth").write_bytes(saved(arrays(network)))
    found = from_weights(str(tmp_path / "resnet8.pth"), None, 32, None, CLASSES, 0)
    assert np.array_equal(found.network.parameters()["conv1.weight"], network.parameters()["conv1.weight"])


def test_a_slip_of_the_pen_is_understood() -> None:
    with pytest.raises(ModelError, match="Did you mean 'efficientnet_lite0'"):
        from_weights("eficientnet_lite0", None, None, None, CLASSES, 0)


@pytest.mark.slow
def test_what_does_not_fit_is_listed(tmp_path: Path, train: Train) -> None:
    path = foreign(tmp_path / "resnet8.safetensors")
    with pytest.raises(ModelError, match=r"does not fit resnet20: missing: .*layer1\.1\.conv1\.weight"):
        from_weights(str(path), "resnet20", 32, None, CLASSES, 0)
    with pytest.raises(ModelError, match=r"conv1\.weight \(16 x 3 x 3 x 3 there, 16 x 1 x 3 x 3 here\)"):
        from_weights(str(path), None, 32, True, CLASSES, 0)
    run = train()
    with pytest.raises(ModelError, match=r"does not take images of 20 x 20 pixels .* leave size out"):
        from_weights(str(run.path), None, 20, None, CLASSES, 0)  # a dense layer knows its images' size
    with pytest.raises(ModelError, match=r"nothing.pth is no file and no pretrained network; .*lite2\.$"):
        from_weights(str(tmp_path / "nothing.pth"), "resnet8", None, None, CLASSES, 0)


@pytest.mark.slow
def test_a_run_that_is_begun_anew_begins_with_the_same(train: Train, tmp_path: Path) -> None:
    before = train(name="before")
    run = train(arch=None, epochs=1, batch_size=8, init=before.path, name="after", data=make_folder(
        tmp_path / "others", classes=OTHERS))
    assert run.config["recipe"]["init"] == os.fspath(before.path)
    first = from_weights(str(before.path), None, None, None, OTHERS, 0).network
    again = first_network(run.config)
    assert again.config() == run.config["network"]
    assert all(np.array_equal(array, arrays(again)[name]) for name, array in arrays(first).items())
    train(name="changed", seed=3)
    (before.path / "model.safetensors").write_bytes((before.path.parent / "changed/model.safetensors").read_bytes())
    with pytest.raises(ModelError, match=r"holds other weights than when the run began"):
        first_network(run.config)


@pytest.mark.slow
def test_latest_is_remembered_as_the_run_that_it_was(train: Train, tmp_path: Path) -> None:
    train(name="before")
    run = train(arch=None, epochs=1, init=tmp_path / "runs" / "latest", name="after")
    assert run.config["recipe"]["init"] == os.fspath(tmp_path / "runs" / "before")


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "installed", lambda name: True)
    return make_folder(tmp_path / "photographs", each=3, size=100)


def test_photographs_begin_with_a_pretrained_network_where_one_is_installed(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(folder: Path, size: Any = None, grey: bool = False) -> str | None:
        samples = scan(folder).train
        return automatic(samples, Preprocessing((8, 8), grey, "crop"), size)[0]

    assert asked(photographs) == AUTOMATIC
    assert "--init none" in automatic(scan(photographs).train, Preprocessing((8, 8), False, "crop"), None)[1][0]
    assert asked(photographs, size=160) == AUTOMATIC
    assert asked(photographs, size=64) is None
    sizes: list[Any] = [(64, 200), (200, 64), (65, 200)]
    assert [asked(photographs, size=size) for size in sizes] == [None, None, AUTOMATIC]
    assert asked(photographs, grey=True) is None
    assert asked(make_folder(tmp_path / "small", each=3, size=64)) is None
    assert asked(make_folder(tmp_path / "just", each=3, size=65)) == AUTOMATIC
    monkeypatch.setattr(module, "installed", lambda name: False)
    assert asked(photographs) is None


def test_few_photographs_without_pretrained_weights_are_told_where_to_get_them(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "installed", lambda name: False)
    samples, plain = scan(photographs).train, Preprocessing((8, 8), False, "crop")
    init, [sentence] = automatic(samples, plain, None)
    assert init is None
    assert sentence.startswith(f"With {len(samples)} photographs, a network that starts from ImageNet's weights is ")
    assert "pip install" in sentence
    monkeypatch.setattr(module, "FEW", len(samples) - 1)
    assert automatic(samples, plain, None) == (None, [])


@pytest.mark.slow
def test_what_is_asked_for_comes_first(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = scan(photographs)
    for options in (Options(init="none"), Options(arch="resnet8"), Options(recipe="fast", size=32)):
        assert chosen(options, splits)[0].init is None
    monkeypatch.setattr(module, "from_weights", lambda init, *others: (_ for _ in ()).throw(ModelError(init)))
    with pytest.raises(ModelError, match=AUTOMATIC):
        chosen(Options(), splits)


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.PRETRAINED)
def test_published_weights_begin_a_training(name: str) -> None:
    if not pretrained.installed(name):
        pytest.skip("the extra [pretrained] is not installed")
    found = from_weights(name, None, None, None, CLASSES, 0)
    assert found.source == found.arch == name
    assert found.preprocessing == pretrained.PRETRAINED[name].preprocessing
    assert found.network.output_shape == (3,)
    whole = pretrained.pretrained(name).network.parameters()
    assert np.array_equal(found.network.parameters()["conv_head.weight"], whole["conv_head.weight"])
    assert from_weights(name, None, 128, None, CLASSES, 0).preprocessing.size == (128, 128)


def test_where_pretrained_weights_are_missing_the_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_files", lambda package: [])
    with pytest.raises(ModelError, match=r"pip install "):
        from_weights("efficientnet_lite0", None, None, None, CLASSES, 0)
