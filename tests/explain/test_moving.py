"""explain/moving.py: what giving images the brightness, contrast or tint of others makes of them, and what proves that
a model goes by it; test_shortcuts.py has it at work."""

import numpy as np
import pytest

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
