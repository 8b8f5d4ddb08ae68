"""evaluation/headline.py: which accuracy is said first, and what its interval holds for."""

import numpy as np
import pytest

from cnncli.data import Sample
from cnncli.evaluation.baselines import Baseline
from cnncli.evaluation.headline import TRAINED, few_images, headline
from cnncli.evaluation.intervals import of_groups, wilson


def samples(*groups: str | None) -> list[Sample]:
    """Return two samples of each group."""
    return [Sample("", f"{group} {i}", 0, group=group) for i, group in enumerate(groups) for _ in range(2)]


RIGHT = np.array([True, False, True, True])


def test_without_groups_it_is_the_accuracy_of_what_was_not_learnt() -> None:
    pictures = samples(None, None)
    for seen in (None, np.zeros(4, bool)):
        found = headline(pictures, RIGHT, seen)
        assert (found.accuracy, found.unseen, found.interval, found.second) == (0.75, False, wilson(3, 4), None)
        assert (found.means, found.warning) == ("for new images like those tested", "")
    found = headline(pictures, RIGHT, np.array([True, False, False, False]))
    assert (found.right, found.image_count, found.unseen, found.interval) == (2, 3, True, wilson(2, 3))
    found = headline(samples("a", "b"), RIGHT, np.ones(4, bool))
    assert (found.accuracy, found.image_count, found.interval, found.second) == (0.75, 4, None, None)
    assert found.warning == TRAINED
    assert found.as_json() == {"accuracy": 0.75, "right": 3, "images": 4, "unseen": False, "interval": None,
                               "interval_means": None, "warning": TRAINED}


def test_groups_count_before_images() -> None:
    one = headline(samples("s8", "s8"), RIGHT, None)
    assert (one.interval, one.second) == (wilson(3, 4), None)
    assert one.means == "for new images of group s8; it says nothing about new groups"
    two = headline(samples("a", "b"), RIGHT, None)
    assert (two.interval, two.means) == (wilson(3, 4), "for new images of these 2 groups, not for new groups")
    assert two.second == (of_groups([1, 2], [2, 2]), "for images of new groups, by the 2 groups tested")
    right = np.array([True] * 9 + [False])
    five = headline(samples(*"abcde"), right, None)
    assert (five.interval, five.means) == (of_groups([2, 2, 2, 2, 1], [2] * 5),
                                           "for images of new groups, by the 5 groups tested")
    assert five.second == (wilson(9, 10), "for new images of these 5 groups")
    part = headline(samples(*"abcde"), right, np.array([True] * 8 + [False] * 2))
    assert part.means == "for new images of group e; it says nothing about new groups", "the others were learnt"
    assert part.as_json()["interval_means"] == part.means


@pytest.mark.parametrize(("nearest", "words"), [
    (3, ""), (95, "The model has learnt something, but is no better than a comparison with the most similar training "
                  "image. The accuracy of 90.0% is not clearly above what is reached without learning: the nearest "
                  "neighbour (95.0%). Its interval begins at 82.6%."),
    (83, "The accuracy of 90.0% is not clearly above what is reached without learning: the nearest neighbour (83.0%). "
         "Its interval begins at 82.6%.")])
def test_what_is_not_clearly_above_the_baselines_is_said(nearest: int, words: str) -> None:
    found = headline(samples(*[None] * 50), np.arange(100) < 90, None)
    baselines = {"nearest neighbour": Baseline(nearest, 100, ""), "majority class": Baseline(40, 100, "")}
    assert found.verdict(baselines) == words
    learnt = headline(samples(None), RIGHT[2:], np.ones(2, bool))
    assert learnt.verdict(baselines) == "", "training images say nothing"
    assert "neighbour (95.0%) and always the commonest class (90.0%). " in found.verdict({
        "nearest neighbour": Baseline(95, 100, ""), "majority class": Baseline(90, 100, "")})


def test_classes_of_few_images_are_named() -> None:
    assert few_images({"a": 5, "b": 0}) == ""
    assert few_images({"a": 4, "b": 0, "c": 9}) == (
        "There are fewer than 5 tested images of a (4). The recall of this class is hardly known: see the intervals.")
    assert "of a (1), b (2). The recall of these classes is" in few_images({"a": 1, "b": 2})
