"""Trainings on images deeper than 8 bits: one range, found from the training images or given, kept in the model, and
the same weights as on the pictures of 8 bits."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.errors import UsageError
from cnncli.model import Model, checkpoint
from cnncli.runs import Run
from cnncli.training.recipe import Recipe

from ..pictures import CLASSES, NETWORK, make_folder
from ..small_model import weights


class Noted(cnncli.Observer):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The same grey pictures as PNG of 8 bits, and with 12 bits in 16 under the same names."""
    eight, twelve = make_folder(tmp_path / "eight", grey=True), tmp_path / "twelve"
    for path in eight.rglob("*.png"):
        values = np.rint(np.asarray(Image.open(path)) * (4095 / 255)).astype(np.uint16)
        target = twelve / path.relative_to(eight)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(target)
    (tmp_path / "net.toml").write_text(NETWORK)
    return eight, twelve


def same(one: Model, other: Model) -> bool:
    """Whether two models have the same weights and normalise alike."""
    mine, theirs = weights(one), weights(other)
    return all(np.array_equal(mine[name], theirs[name]) for name in theirs) and (
        one.preprocessing.mean == other.preprocessing.mean)


def train(data: Path, name: str, observer: Noted | None = None, **options: object) -> Run:
    return cnncli.train(data, arch=str(data.parent / "net.toml"), epochs=1, batch_size=8, name=name,
                        runs=data.parent / "runs", observer=observer, **options)


@pytest.mark.slow
def test_twelve_bits_train_the_model_of_eight(folders: tuple[Path, Path]) -> None:
    eight, twelve = folders
    noted, plain = Noted(), train(eight, "eight")
    for cache in ("ram", "none"):
        deep = train(twelve, cache, noted, cache=cache)
        assert same(deep.model, plain.model)
        assert deep.model.preprocessing.range == (0, 4095)
    assert "range" not in plain.model.preprocessing.config()
    assert "range" not in plain.config["recipe"]
    count = plain.config["images"]["train"]
    assert sum(said.startswith(f"Values: {count} of the training images are deeper than 8 bits, integers from 0 to ")
               and "0 becomes black, 4,095 white" in said for said in noted.sentences) == 2
    again = checkpoint.load_model(deep.path)
    assert again.preprocessing.range == (0, 4095)
    assert "deeper than 8 bits from 0:4095" in again.preprocessing.describe()
    paths = [str(twelve / name / "00.png") for name in CLASSES]
    shown = [str(eight / name / "00.png") for name in CLASSES]
    assert [p.top for p in again.predict(paths)] == [p.top for p in plain.model.predict(shown)]
    assert Recipe.from_config(json.loads(json.dumps(deep.config["recipe"]))).range == (0, 4095)


@pytest.mark.slow
def test_a_test_says_where_the_scale_does_not_suit(folders: tuple[Path, Path]) -> None:
    eight, twelve = folders
    plain, deep = train(eight, "eight"), train(twelve, "twelve")
    assert any("nearly black to it" in said for said in cnncli.evaluate(plain.model, twelve, compare=False).notes)
    told: list[str] = []
    assert len(list(cnncli.predict(plain.model, twelve / "ant", note=told.append))) == 14
    assert [said.startswith("Values: 14 of these images are deeper than 8 bits") for said in told] == [True]
    list(cnncli.predict(deep.model, twelve / "ant", note=told.append))
    assert [said.partition(" are ")[0] for said in told[1:]] == ["12 of the 14 images"]
    found = cnncli.evaluate(deep.model, twelve, compare=False)
    assert not any("Values" in said for said in found.notes)
    same_pictures = cnncli.evaluate(plain.model, eight, compare=False)
    assert np.array_equal(found.probabilities, same_pictures.probabilities)


@pytest.mark.slow
def test_a_few_deep_images_among_others(folders: tuple[Path, Path]) -> None:
    """Which images are deep is known when all are decoded: also two of them are on one scale, and change nothing."""
    eight, twelve = folders
    plain = train(eight, "eight")
    for name in ("ant/05.png", "cat/11.png"):
        (eight / name).write_bytes((twelve / name).read_bytes())
    mixed = train(eight, "mixed")
    assert mixed.model.preprocessing.range == (0, 4095)
    assert same(mixed.model, plain.model)


@pytest.mark.slow
def test_a_range_that_is_given(folders: tuple[Path, Path]) -> None:
    eight, twelve = folders
    noted = Noted()
    run = train(twelve, "given", noted, range="0:8190")
    assert run.model.preprocessing.range == run.model.preprocessing.scales.real == (0, 8190)
    assert any("8,190 white; range='0:8190' was given." in said for said in noted.sentences)
    small = run.model.preprocessing.prepare(twelve / "ant" / "00.png").astype(int)
    assert abs(small - np.asarray(Image.open(eight / "ant" / "00.png"))[..., None] / 2).max() <= 1
    with pytest.raises(UsageError, match="range"):
        cnncli.train(resume="given", runs=twelve.parent / "runs", range="0:4095", epochs=2)
    longer = cnncli.train(resume="given", runs=twelve.parent / "runs", range="0:8190", epochs=2)
    assert longer.model.preprocessing.range == (0, 8190)
    train(eight, "none", noted, range=(0, 4095))
    assert any("none of the training images is deeper" in said for said in noted.sentences)


@pytest.mark.slow
def test_a_model_that_is_trained_further_keeps_its_range(folders: tuple[Path, Path]) -> None:
    _, twelve = folders
    first = train(twelve, "first", range="0:5000")
    second = cnncli.train(twelve, init=str(first.path), epochs=1, name="second", runs=twelve.parent / "runs")
    assert second.model.preprocessing.range == (0, 5000)
    third = cnncli.train(twelve, init=str(first.path), epochs=1, name="third", runs=twelve.parent / "runs",
                         range="0:4095")
    assert third.model.preprocessing.range == (0, 4095)
