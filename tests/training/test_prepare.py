"""training/prepare.py: what a training is made of, piece by piece, and what is said and refused on the way."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli import __version__
from cnncli.data import Images
from cnncli.errors import DataError
from cnncli.training import prepare
from cnncli.training.fit import Fit
from cnncli.training.observer import Observer
from cnncli.training.options import Options
from cnncli.training.prepare import Material, Prepared, Setting, gather
from cnncli.training.trainer import PartTrainer, Trainer

from ..pictures import make_folder

BATCH = {"epochs": 4, "batch_size": 8}


class Heard(Observer):
    """Keeps what is said, and how far decoding is."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.far: list[tuple[str, int, int]] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def loading(self, what: str, done: int, total: int) -> None:
        self.far.append((what, done, total))


def gathered(data: Path, **options: Any) -> tuple[Material, Any, Heard]:
    heard = Heard()
    options = {"arch": str(data.parent / "net.toml"), **BATCH, **options}
    return *gather(str(data), Options(**options), Setting(None, "ram", False, heard)), heard


def test_the_configuration_says_what_is_trained_on_what(shared: Path) -> None:
    material, model, heard = gathered(shared / "data")
    config = material.config
    assert (config["format"], config["cnn"], config["classes"]) == (1, __version__, ["ant", "bee", "cat"])
    assert (config["images"], config["init"], config["excluded"]) == ({"train": 36, "val": 3}, None, [])
    assert config["recipe"] == material.recipe.config()
    assert config["network"] == model.network.config()
    assert config["preprocessing"] == model.preprocessing.config()
    assert model.preprocessing.mean == material.recipe.preprocessing.fitted(material.train.histogram).mean
    assert "options" not in config
    assert model.seen is None, "the weights are fresh"
    assert [(what, done) for what, done, total in heard.far if done == total] == [("training", 36), ("validation", 3)]
    assert heard.notes[0].startswith(f"{shared / 'data'} has no train/ and test/: 36 images are for training, 3 for ")
    assert heard.notes[1:] == ["Images: colour, because the images have it.",
                               "Images: 10 x 10 pixels, the images' own size.",
                               "Images are shifted by up to 1 pixel and flipped half of the time in training."]
    assert gathered(shared / "data", fold=(1, 3))[0].config["options"]["fold"] == (1, 3), "the other folds need them"
    again = material.first_model()
    assert again.network.config() == model.network.config()
    ours, theirs = again.network.parameters(), model.network.parameters()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("given", [None, "0:4095"])
def test_what_deeper_images_become_is_said(given: str | None, tmp_path: Path, shared: Path) -> None:
    for number in range(12):
        path = tmp_path / "data" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 341 * number, np.uint16)).save(path)
    (tmp_path / "net.toml").write_text((shared / "net.toml").read_text())
    material, model, heard = gathered(tmp_path / "data", range=given)
    [said] = [note for note in heard.notes if "becomes black" in note]
    why = "range='0:4095' was given." if given else "range='LOW:HIGH' sets others."
    assert said.endswith(f"0 becomes black, 4,095 white; {why}")
    assert material.recipe.range == model.preprocessing.range == (0.0, 4095.0)


def test_the_loop_gets_what_the_recipe_says(shared: Path) -> None:
    material, model, _ = gathered(shared / "data", seed=5, patience=2, ema=0.5, exact=True, augment="shift=1", lr=0.5)
    fit = material.fit(model)
    assert (fit.epochs, fit.patience, fit.averaged, fit.head_first, fit.head_only) == (4, 2, 0.5, False, False)
    assert (fit.validation, fit.observer, fit.lookahead) == (material.validation, material.setting.observer, None)
    assert (fit.batches.batch_size, fit.batches.seed, fit.batches.sampling, fit.batches.steps) == (8, 5, "shuffled", 5)
    assert fit.batches.augmentation == material.recipe.augmentation
    assert [fit.schedule(step) for step in (0, 7, 19)] == [
        material.recipe.make_schedule(5)(step) for step in (0, 7, 19)]
    assert (type(fit.trainer), int(fit.trainer.network.clock[0])) == (Trainer, 5)
    assert model.network.exact
    assert not model.network.fixed_statistics
    assert set(model.seen.tolist()) >= set(material.train.marks[:, 0].tolist()) - {0}
    assert fit.summary == {
        "architecture": "net.toml", "recipe": material.recipe.config(), "cnn": __version__,
        "images": {"train": 36, "val": 3}, "fingerprint": material.config["samples"]["fingerprint"]}
    watched, rising = Observer(), float
    other = material.fit(model, observer=watched, schedule=rising)
    assert (other.observer, other.schedule) == (watched, rising)
    for changed, found in (({"lookahead": True}, lambda fit: fit.lookahead.total_steps == 20),
                           ({"freeze": 1}, lambda fit: type(fit.trainer) is PartTrainer),
                           ({"fixed_statistics": True}, lambda fit: fit.model.network.fixed_statistics),
                           ({"head_first": True}, lambda fit: fit.head_first),
                           ({"probe": True}, lambda fit: fit.head_only)):
        assert found(replace(material, recipe=replace(material.recipe, **changed)).fit(model)), changed


def test_fresh_first_layers_whiten_and_others_keep_what_they_learnt(shared: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    begin = prepare.begin_with
    monkeypatch.setattr(prepare, "fit_whitening", lambda *given: bool(asked.append(given)) or len(asked) < 2)
    material, model, heard = gathered(shared / "data")
    assert asked == [(model.network, material.train, model.preprocessing)]
    assert heard.notes[-1] == ("The first layer whitens its input. It is computed from training images and does not "
                               "learn.")
    assert "The first layer" not in " ".join(gathered(shared / "data")[2].notes), "where there is none"
    monkeypatch.setattr(prepare, "begin_with", lambda *given: replace(
        begin(*given), source="others", digest="d", new_head=True, preprocessing=material.recipe.preprocessing))
    given, _, heard = gathered(shared / "data")
    assert given.config["init"] == {"digest": "d", "new_head": True}
    assert len(asked) == 2
    assert "The first layer" not in " ".join(heard.notes)
    assert given.config["preprocessing"]["mean"] != material.config["preprocessing"]["mean"], "those of the weights"


def test_skipped_images_are_those_of_both_parts() -> None:
    train, val = SimpleNamespace(skipped=[("a", "x")]), SimpleNamespace(skipped=[("b", "y")])
    fit: Any = SimpleNamespace(batches=SimpleNamespace(images=train), validation=val)
    lock: Any = None
    assert Prepared(lock, fit).skipped == [("a", "x"), ("b", "y")]
    fit.validation = None
    assert Prepared(lock, fit).skipped == [("a", "x")]
    assert (Prepared(lock, None).skipped, Prepared(lock, None).why) == ([], "")


def test_numbers_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepare.in_words({"train": 3, "val": 1}) == "3 for training and 1 for validation"
    some: Any = range(3)
    assert prepare.counts(some, None) == {"train": 3, "val": 0}
    assert prepare.counts(some, some) == {"train": 3, "val": 3}


def test_what_has_no_image_is_told(tmp_path: Path, shared: Path) -> None:
    data = make_folder(tmp_path / "data", each=4, classes=("a", "b"))
    (tmp_path / "net.toml").write_text((shared / "net.toml").read_text())
    for path in sorted(data.glob("b/*")):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the training images of b can be used; put some into its folder"):
        gathered(data)
    for path in data.glob("*/*"):
        path.write_bytes((shared / "data" / "ant" / "00.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"none of the 4 training images can be used; give others. The first: .*\.png: "
                                        r".*[^.]\.$"):
        gathered(data)


def test_room_is_looked_for_before_a_run_is_made(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For eight times the weights; a run is called like the file of its architecture, without the suffix."""
    asked: list[Any] = []
    monkeypatch.setattr(prepare, "check_runs", lambda *given: asked.append(given))
    options: Any = {"arch": str(shared / "net.toml"), **BATCH}
    setting = Setting(None, "ram", False, Heard())
    ready = prepare.begin(str(shared / "data"), Options(**options), None, str(tmp_path), setting)
    with ready.lock:
        assert isinstance(ready.fit, Fit)
        weights = sum(array.nbytes for array in ready.fit.model.network.parameters().values())
        given = (str(tmp_path), str(shared / "data"))
        assert asked == [given, (*given, 8 * weights)]
        run = ready.lock.run
        assert run.name == "net-1"
        config = run.config
        assert (config["data"], config["began"][:2]) == (str(shared / "data"), "20")
        assert (run.path / "images.csv").read_bytes().count(b"train,") == 36


def test_images_for_validation_may_be_missing(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "net.toml").write_text((shared / "net.toml").read_text())
    material, _, heard = gathered(make_folder(tmp_path / "data", each=2))
    assert material.validation is None
    assert isinstance(material.train, Images)
    assert heard.notes[-1].startswith("There are no validation images, so the model of the last epoch is kept")
