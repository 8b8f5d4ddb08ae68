"""data/check/telling.py: a class that is known by a property of its images alone is named, and chance is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import check, telling
from cnncli.data.check.facts import Facts, measure
from cnncli.data.check.findings import File, Finding


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    path = tmp_path_factory.mktemp("plain") / "a.png"
    Image.fromarray(np.arange(80 * 80, dtype=np.uint8).reshape(80, 80)).save(path)
    [facts] = measure([str(path)], 1).facts
    assert isinstance(facts, Facts)
    return facts


def found(plain: Facts, labels: list[str], **properties: Any) -> list[Finding]:
    """Ask about images with these labels, and these values of header or facts in their order."""
    images = []
    for i, label in enumerate(labels):
        own = {name: values[i] for name, values in properties.items()}
        header = replace(plain.header, **{n: v for n, v in own.items() if hasattr(plain.header, n)})
        facts = replace(plain, header=header, **{n: v for n, v in own.items() if hasattr(plain, n)})
        images.append((File(f"{i}", f"{i}", "train", label), facts))
    return list(telling.of_all(images))


LABELS = [["cat", "dog", "cow"][i % 3] for i in range(120)]
DOGS = [label == "dog" for label in LABELS]


@pytest.mark.parametrize(("name", "property_", "dog", "others"), [
    ("brightness", "bright", 250, 200), ("contrast", "span", 30, 200), ("sharpness", "blur", 0.5, 0.2),
    ("width", "width", 100, 80), ("file format", "format", "JPEG", "PNG")])
def test_what_is_otherwise_in_one_class_is_named(plain: Facts, name: str, property_: str, dog: Any, others: Any
                                                 ) -> None:
    values = [dog if is_dog else others for is_dog in DOGS]
    [one] = found(plain, LABELS, **{property_: values})
    assert (one.kind, one.text, one.value) == (
        "telling-property", f"{name} alone tells dog from the other classes, with 100% right.", 1.0)


def test_a_shape_counts_where_neither_side_tells(plain: Facts) -> None:
    rng = np.random.default_rng(0)
    widths = rng.integers(50, 400, 120)
    heights = [int(w) if is_dog else int(w) * 2 for w, is_dog in zip(widths, DOGS, strict=True)]
    [one] = found(plain, LABELS, width=widths.tolist(), height=heights)
    assert one.text.startswith("shape (width by height) alone tells dog")


@pytest.mark.parametrize(("wrong", "named"), [(0.05, True), (0.18, False)])
def test_how_sure_it_has_to_be(plain: Facts, wrong: float, named: bool) -> None:
    """Of each side so many have the other's value: the mean share that is right is what is left."""
    rng = np.random.default_rng(1)
    labels, sides = LABELS * 10, DOGS * 10
    values = [200 + 50 * (is_dog != bool(rng.random() < wrong)) for is_dog in sides]
    assert bool(found(plain, labels, bright=values)) == named


def test_few_images_say_nothing(plain: Facts) -> None:
    for dogs, named in ((19, False), (20, True)):
        labels = ["dog"] * dogs + ["cat"] * 60
        assert bool(found(plain, labels, bright=[250] * dogs + [200] * 60)) == named


@pytest.mark.slow
def test_chance_is_not_named(plain: Facts) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = {"bright": rng.integers(0, 256, 120).tolist(), "span": rng.integers(0, 256, 120).tolist(),
                  "width": rng.integers(20, 900, 120).tolist(), "height": rng.integers(20, 900, 120).tolist()}
        assert found(plain, LABELS, **values) == []


def test_what_a_class_alone_has_by_ranges_is_judged_on_other_images(plain: Facts) -> None:
    """A value of its own for each image would tell everything, where it was learnt by heart."""
    assert found(plain, LABELS, width=list(range(1000, 1120))) == []


def test_in_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, side in (("a", 30), ("b", 40)):
        (tmp_path / label).mkdir()
        for i in range(22):
            Image.fromarray(rng.integers(0, 256, (30, side, 3), np.uint8)).save(tmp_path / label / f"{i}.png")
    said = [each.text for each in check(tmp_path).findings if each.kind == "telling-property"]
    assert [text.split(" alone")[0] for text in said] == ["width", "width"]


def plainly(places: np.ndarray, own: np.ndarray, fold: np.ndarray) -> float:
    """What telling counts for all classes at once, for one class, image by image."""
    right = np.zeros(len(own), bool)
    for number in range(5):
        known, asked = fold != number, fold == number
        shares = [np.bincount(places[known & side], minlength=places.max() + 1) / max((known & side).sum(), 1)
                  for side in (own, ~own)]
        right[asked] = (shares[0] > shares[1])[places[asked]] == own[asked]
    return float(right[own].mean() + right[~own].mean()) / 2


@pytest.mark.parametrize("seed", range(4))
def test_all_classes_at_once_are_each_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, 400)
    values = np.clip(rng.normal(labels, 1 + seed), 0, 9).astype(int) if seed % 2 else rng.normal(labels, 1)
    places = telling._ranges(values.tolist())
    assert places is not None
    told = telling._told(places, np.where(labels < 5, labels, -1), 5, telling._folds(400))
    each = [plainly(places, labels == label, telling._folds(400)) for label in range(5)]
    assert told.tolist() == each
    assert [telling.tells(values.tolist(), labels == label) for label in range(5)] == each


@pytest.mark.slow
def test_ten_times_as_many_classes_take_no_more_passes(plain: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, real = [], telling._told
    monkeypatch.setattr(telling, "_told", lambda *of: (passes.append(of[2]), real(*of))[1])
    values = list(range(1000, 1880))
    found(plain, [f"{i % 4}" for i in range(880)], width=values)
    few = len(passes)
    found(plain, [f"{i % 40}" for i in range(880)], width=values)
    assert passes == [4] * few + [40] * few
