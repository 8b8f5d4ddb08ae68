"""explain/moving.py: what giving images the brightness, contrast or tint of others makes of them, and what proves that
a model goes by it; test_shortcuts.py has it at work."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.explain import moving
from cnncli.explain.moving import PASSES, PROPERTIES, move
from cnncli.explain.pasting import TRIED, Known
from cnncli.model import Model

from .shortcutting import SIDE, images, network


@pytest.mark.parametrize("moved", PROPERTIES, ids=lambda each: each.name)
def test_images_get_the_property_of_others(moved) -> None:
    """And keep the other two, but that images without contrast have no light to be moved between."""
    some = np.random.default_rng(0).uniform(90, 160, (4, 6, 6, 3)).astype(np.float32)
    now = moved.values(some)
    made = moved.given(some, now, now + 7)
    assert np.allclose(moved.values(made), now + 7, atol=1e-3)
    for other in PROPERTIES:
        if other.name != moved.name and {other.name, moved.name} not in ({"contrast", "tint"},):
            assert np.allclose(other.values(made), other.values(some), atol=1e-3)
    assert np.allclose(moved.given(some, now, now), some, atol=1e-4)


def _light() -> tuple[Model, Known]:
    """A model whose "top" are light images, alone; and images of which those of top are light."""
    pixels, labels = (np.concatenate(each) for each in zip(images(False), images(False, seed=1), strict=True))
    pixels[labels == 2] = np.minimum(pixels[labels == 2], 215) + 40
    model = network(False)
    model.network.parameters()["linear1.weight"].reshape(3, SIDE, SIDE)[2] = 40 / SIDE**2
    light = pixels.mean(axis=(1, 2, 3)) / 255
    model.network.parameters()["linear1.bias"][2] = -40 * (light[labels == 2].min() - 0.005)
    return model, Known(pixels, labels, model.logits(pixels))


def test_what_a_model_goes_by_turns_other_images() -> None:
    model, known = _light()
    [found] = [each for each in move(model, known, 2, 0, 2.0) if each.name == "brightness"]
    assert (found.label, found.says, found.proven) == ("top", "bright", True)
    others = (known.labels != 2) & (known.answers != 2)
    assert found.tried == others.sum() == 48
    assert 24 < found.turned <= 48
    assert found.random == 0
    assert len(found.pairs) == 3
    for index, made in found.pairs:
        assert others[index]
        assert model.logits(made[None]).argmax() == 2, "those that turn come first"
        assert made.mean() > known.pixels[index].mean() + 10
    assert PASSES == 2 * TRIED >= 2 * found.tried
    again = [each.as_json() for each in move(model, known, 2, 0, 2.0)]
    assert again == [each.as_json() for each in move(model, known, 2, 0, 2.0)], "the same each time"
    assert not [each for each in move(model, known, 0, 0, 2.0) if each.name == "brightness"], "left is like right"


def test_what_it_does_not_go_by_is_not_proven() -> None:
    _, known = _light()
    blind = network(False)
    seen = Known(known.pixels, known.labels, blind.logits(known.pixels))
    [found] = [each for each in move(blind, seen, 2, 0, 2.0) if each.name == "brightness"]
    assert not found.proven
    assert "marks the class, but the model hardly goes by it" in found.sentence
    assert found.as_json() == {
        "class": "top", "property": "brightness", "told": round(found.share, 4), "proven": False, "tried": found.tried,
        "turned": found.turned, "turned_by_others": found.random, "sentence": found.sentence}


def test_too_few_images_tell_nothing() -> None:
    model, known = _light()
    few = np.r_[0:12, 24:28]  # four of top
    assert move(model, Known(known.pixels[few], known.labels[few], known.logits[few]), 2, 0, 2.0) == []


@pytest.mark.parametrize(("own", "others", "share", "found"), [
    (20, 20, 0.9, True), (19, 20, 0.9, False), (20, 19, 0.9, False), (20, 20, 0.89, False)])
def test_a_property_that_tells_a_class_is_moved(own: int, others: int, share: float, found: bool,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the middle one of three classes: those before it and those behind it are the others."""
    labels = np.array([0] * (others // 2) + [1] * own + [2] * (others - others // 2))
    asked: list[tuple[list[float], list[bool]]] = []
    monkeypatch.setattr(moving, "tells", lambda values, which: asked.append((values, which.tolist())) or share)
    monkeypatch.setattr(moving, "_moved", lambda *arguments: arguments[3:])
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 2, 2, 3)).astype(np.uint8)
    result = move("model", Known(pixels, labels, np.eye(3)[labels]), 1, 7, 2.5)
    assert [(each[0].name, each[2:]) for each in result] == [
        (name, (share, 7, 2.5)) for name in ("brightness", "contrast", "tint") if found]
    assert len(asked) == (3 if min(own, others) >= 20 else 0)
    for (values, which), each in zip(asked, PROPERTIES, strict=False):
        assert which == (labels == 1).tolist()
        assert values == each.values(pixels).tolist()


def test_the_properties_of_an_image() -> None:
    image = np.array([[[[0, 30, 10], [100, 50, 20]]]], np.uint8)
    light, contrast, tint = (each.values(image).item() for each in PROPERTIES)
    assert light == 35
    assert contrast == pytest.approx((((np.array([0, 30, 10, 100, 50, 20]) - 35.0) ** 2).mean()) ** 0.5)
    assert tint == 50 - 15
    assert PROPERTIES[2].values(image[..., :1]).item() == 0, "grey has none"


def test_what_moving_makes_of_an_image() -> None:
    image, then = np.array([[[[10.0, 20, 60], [30, 40, 20]]]], np.float32), np.array([7.0])
    light, contrast, tint = (each.given(image, np.array([3.0]), then).ravel().tolist() for each in PROPERTIES)
    assert light == [14, 24, 64, 34, 44, 24]
    assert contrast == pytest.approx([30 + 7 / 3 * (each - 30) for each in (10, 20, 60, 30, 40, 20)])
    assert tint == [12, 20, 58, 32, 40, 18]
    flat = PROPERTIES[1].given(image, np.array([0.5]), then).ravel().tolist()
    assert flat == pytest.approx([30 + 7 * (each - 30) for each in (10, 20, 60, 30, 40, 20)]), "a level at least"


def test_images_are_given_the_values_of_the_class_and_then_of_each_other() -> None:
    """A property of which there are 500, -100 and 8.6 in the class and 3.2 elsewhere becomes that, within 0 to 255."""
    labels = np.array([1, 1, 1, 0, 2, 2, 2, 0])
    answers = np.array([1, 1, 1, 0, 2, 1, 2, 2])
    values = np.array([500, -100, 8.6, 3.2, 3.2, 3.2, 3.2, 3.2])
    pixels = np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1)
    asked: list[list[int]] = []

    def logits(images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        asked.append(images.ravel().tolist())
        return np.eye(3)[np.where(images.ravel() == 255, 1, 0)]

    def given(images: np.ndarray, now: np.ndarray, then: np.ndarray) -> np.ndarray:
        assert now.tolist() == [3.2] * len(images)
        assert sorted(images.ravel().tolist()) == [3, 4, 6, 7][: len(images)], "5 is called so already"
        return then[:, None, None, None]

    model: Any = SimpleNamespace(classes=["a", "b", "c"], logits=logits)
    moved = moving.Property("x", "so", lambda images: values, given)
    found = moving._moved(model, Known(pixels, labels, np.eye(3)[answers]), 1, moved, values, 0.95, 1, 0.0)
    assert set(asked[0]) <= {0, 9, 255}
    assert asked[1] == [3] * 4
    turned = asked[0].count(255)
    assert turned >= 1
    assert (found.label, found.name, found.says, found.share) == ("b", "x", "so", 0.95)
    assert (found.tried, found.turned, found.random, found.proven) == (4, turned, 0, True)
    shown = [int(made.item()) for _, made in found.pairs]
    assert shown == sorted(asked[0], key=lambda each: each != 255)[:3]
    for seed in range(9):
        moving._moved(model, Known(pixels, labels, np.eye(3)[answers]), 1, moved, values, 0.95, seed, 0.0)
    assert {each for some in asked[::2] for each in some} == {0, 9, 255}
    asked.clear()
    none = moving._moved(model, Known(pixels, labels, np.eye(3)[np.ones(8, int)]), 1, moved, values, 0.9, 1, 0.0)
    assert (none.tried, none.turned, none.random, none.proven, none.pairs, asked) == (0, 0, 0, False, [], [])
    assert none.sentence == ("b: x marks the class, but the model hardly goes by it: 0 images of other classes "
                             "that are made as so as its own turn into b 0 times; made as so as each other, 0 times. "
                             "X alone tells b from the other classes, with 90% right.")
