"""explain/pasting.py by its parts: which images get a patch and which give it, how much more a patch does than another,
and odds."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.evaluation.intervals import wilson
from cnncli.explain.pasting import PASSES, Known, _factor, _odds, _pairs, _random, more, prove, turned
from cnncli.explain.places import Place

from .shortcutting import images, network

PLACE = Place(0, 0, 4, 4, (8, 8))
CLASS = 1


def known(answers: list[int]) -> Known:
    """Eight images, the first four of class 0 and the others of class 1, and what is said of them."""
    return Known(np.zeros((8, 8, 8, 1), np.uint8), np.repeat([0, 1], 4), np.eye(2)[answers])


def test_patches_come_from_right_answers_and_go_to_images_that_are_not_yet_of_the_class() -> None:
    recipients, givers = _pairs(known([0, 1, 0, 0, 1, 0, 1, 1]), CLASS, 0, 50, None)
    assert sorted(recipients) == [0, 2, 3], "1 is called so already"
    assert sorted(givers) == [4, 6, 7], "5 is not recognised"
    assert len(_pairs(known([0] * 8), CLASS, 0, 2, None)[0]) == 2
    assert set(_pairs(known([0] * 8), CLASS, 0, 50, None)[1]) <= {4, 5, 6, 7}, "no answer is right: all give"
    assert _pairs(known([0] * 8), CLASS, 0, 50, np.array([5]))[1].tolist() == [5] * 4
    assert [each.tolist() for each in _pairs(known([0] * 8), CLASS, 0, 50, np.array([], int))] == 2 * [
        _pairs(known([0] * 8), CLASS, 0, 50, None)[0].tolist()]
    assert not len(_pairs(known([1] * 8), CLASS, 0, 50, None)[0])


@pytest.mark.parametrize(("turned", "random", "tried"), [(30, 2, 50), (10, 10, 50), (0, 49, 50), (50, 0, 50)])
def test_the_least_that_two_shares_differ_by(turned: int, random: int, tried: int) -> None:
    """Newcombe's square-and-add interval, its lower end."""
    one, other = turned / tried, random / tried
    wanted = one - other - ((one - wilson(turned, tried, 2.5)[0]) ** 2 + (wilson(random, tried, 2.5)[1] - other) ** 2
                            ) ** 0.5
    assert more(turned, random, tried, 2.5) == pytest.approx(wanted, rel=1e-12)
    assert more(turned, random, tried, 2.5) < one - other


def test_odds() -> None:
    logits = np.array([[1.0, 2.0, 0.5], [-300.0, 700.0, 100.0]], np.float32)
    shares = np.exp(logits[0].astype(float)) / np.exp(logits[0].astype(float)).sum()
    assert _odds(logits, 1)[0] == pytest.approx(np.log(shares[1] / (1 - shares[1])), rel=1e-6)
    assert _odds(logits, 1)[1] == 600
    assert _factor(np.log(3.0)) == pytest.approx(3)
    assert _factor(1e6) == _factor(700) < np.inf
    assert _factor(-1e6) == _factor(-700) > 0


def test_a_place_of_which_no_image_can_tell_turns_none() -> None:
    assert turned(network(True), known([1] * 8), CLASS, PLACE, 0) == 0


def test_random_patches_come_from_every_other_place() -> None:
    """Images of the class are each pixel's number: what lies somewhere says where it is from."""
    place = Place(3, 4, 5, 7, (8, 12))
    numbers = np.arange(96, dtype=np.uint8).reshape(8, 12, 1)
    few = Known(np.stack([numbers, numbers * 0 + 200]), np.array([CLASS, 0]), np.eye(2))
    recipients, givers = np.full(900, 1), np.zeros(900, int)
    _, elsewhere = _random(few, CLASS, place, recipients, givers, 0)
    corners = {tuple(map(int, np.argwhere(image[..., 0] < 200)[0])) for image in elsewhere}
    assert corners == {(top, left) for top in range(7) for left in range(10)
                       if abs(top - 3) >= 2 or abs(left - 4) >= 3}


def test_the_proof_by_plain_loops() -> None:
    """By how much the odds grow beyond what the more effective random patch does, and how many images turn."""
    model, (pixels, labels) = network(True), images(True)
    labelled, label, place, z = Known(pixels, labels, model.logits(pixels)), 2, Place(11, 12, 15, 16, (16, 16)), 2.0
    passes: list[int] = []
    did = prove(model, labelled, label, place, 0, z, passes.append)
    recipients, givers = _pairs(labelled, label, 0, 50, None)
    made = [pixels[recipients].copy(), *_random(labelled, label, place, recipients, givers, 0)]
    made[0][:, 11:15, 12:16] = pixels[givers][:, 11:15, 12:16]
    before = _odds(model.logits(pixels[recipients]), 2)
    after, *controls = (_odds(model.logits(each), 2) for each in made)
    beyond = [after - control for control in controls]
    least = [each.mean() - z * each.std(ddof=1) / len(each) ** 0.5 for each in beyond]
    assert did.least == pytest.approx(np.exp(min(least)), rel=1e-6)
    assert did.raised == pytest.approx(np.exp(beyond[int(np.argmin(least))].mean()), rel=1e-6)
    answers = [model.logits(each).argmax(axis=1) == 2 for each in made]
    assert (did.tried, did.turned) == (len(recipients), answers[0].sum())
    assert did.random == max(each.sum() for each in answers[1:])
    assert sum(passes) == 3 * len(recipients) + did.removed <= PASSES == 250
    assert did.removed == ((labels == 2) & (labelled.answers == 2)).sum()
    assert did.pairs == [*zip(recipients, givers, strict=True)], "all turn: their order stays"
    assert (after > before).all()


def test_what_turns_and_what_is_lost_of_a_class_between_others() -> None:
    """Images are their own numbers all over. What 3 has in the corner turns others into class 1, what 4 has there does
    not; what 0, 1 and 2 have there takes the class from its own images."""
    labels, answers, place = np.repeat([0, 1, 2], 3), np.array([0, 2, 0, 1, 1, 0, 2, 2, 1]), Place(0, 0, 2, 2, (4, 4))
    pixels = np.zeros((9, 4, 4, 1), np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None]

    def logits(images: np.ndarray) -> np.ndarray:
        corner, rest = images[:, 0, 0, 0], np.median(images, axis=(1, 2, 3)).astype(int)
        own = np.where((labels[rest] == 1) & (corner < 3), 0, labels[rest])
        return np.eye(3)[np.where((corner == 3) & (rest != 3), 1, own)]

    model: Any = SimpleNamespace(logits=logits)
    known, told = Known(pixels, labels, np.eye(3)[answers]), list[int]()
    for seed in range(3):
        recipients, givers = _pairs(known, 1, seed, 50, None)
        assert (sorted(recipients), set(givers)) == ([0, 1, 2, 6, 7], {3, 4})
        assert turned(model, known, 1, place, seed) == (givers == 3).mean()
        told.clear()
        did = prove(model, known, 1, place, seed, 2.0, told.append)
        assert (did.place, did.tried, did.turned, did.random) == (place, 5, (givers == 3).sum(), 0)
        assert told == [5, 10, 2]
        pairs = [*zip(recipients, givers, strict=True)]
        assert did.pairs == [each for each in pairs if each[1] == 3] + [each for each in pairs if each[1] == 4]
        rng = np.random.default_rng([seed, 1, 1])
        rng.permutation([3, 4])
        assert (did.removed, did.lost) == (2, (rng.choice([0, 1, 2, 6, 7, 8], 2) < 3).sum())
        assert did.as_json() == {
            "tried": 5, "turned": did.turned, "turned_by_a_random_patch": 0, "odds_raised": did.raised,
            "odds_raised_at_least": did.least, "replaced": 2, "lost_by_replacing": did.lost}


def test_of_one_image_or_none_nothing_is_sure() -> None:
    labels = np.array([0, 1, 1])
    model: Any = SimpleNamespace(logits=lambda images: np.eye(2)[np.ones(len(images), int)])
    for answers, tried in (([0, 1, 1], 1), ([1, 1, 1], 0)):
        known = Known(np.zeros((3, 8, 8, 1), np.uint8), labels, np.eye(2)[answers])
        did = prove(model, known, 1, PLACE, 0, 2.0, lambda passes: None)
        assert (did.tried, did.turned, did.raised, did.least) == (tried, tried, 1, _factor(-np.inf))
