"""explain/shortcuts.py by its parts: which images are looked at, which of them a class's patches come from, and what
becomes of the places that were tried. test_shortcuts.py has the whole search."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.data.splits import Sample
from cnncli.explain import shortcuts
from cnncli.explain.pasting import Known
from cnncli.explain.places import Place
from cnncli.explain.shortcuts import Shortcut, _Candidate, _inside, _Search, _some, _unified
from cnncli.explain.stamps import Stamp

SIZE = (16, 16)
CORNER, NEAR, FAR = Place(0, 0, 4, 4, SIZE), Place(2, 2, 6, 6, SIZE), Place(10, 10, 14, 14, SIZE)


def model_of(shape: tuple[int, int, int], classes: int) -> Any:
    return SimpleNamespace(classes=[f"c{i}" for i in range(classes)], preprocessing=SimpleNamespace(shape=shape))


@pytest.mark.parametrize(("shape", "classes", "most"), [
    ((16, 16, 1), 2, 60), ((1024, 1024, 2), 10, 25), ((1024, 1024, 2), 4, 60), ((4096, 4096, 1), 4, 8)])
def test_so_many_of_each_class_are_looked_at(shape: tuple[int, int, int], classes: int, most: int) -> None:
    """60; fewer where those of all classes are more than half a gigabyte together; never fewer than 8."""
    samples = [Sample(f"{i}", f"{i}", i % 2) for i in range(150)]
    chosen = _some(samples, model_of(shape, classes), 0)
    for label in (0, 1):
        assert [each for each in chosen if each.label == label] == samples[label::2][:most], "the first ones"


def test_images_that_were_held_out_come_before_those_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out, training = [Sample("b", "b", 0), Sample("a", "a", 1)], [Sample("c", "c", 0), Sample("b", "b", 0)]
    monkeypatch.setattr(shortcuts, "choose", lambda *arguments, **options: (held_out, training))
    opened: Any = SimpleNamespace(model=model_of((16, 16, 1), 2))
    assert [each.path for each in shortcuts._samples(opened, None, print)] == ["b", "a", "c"]


def test_images_that_the_model_gets_right_come_first() -> None:
    labels, answers = np.array([0, 1, 1, 2, 1, 2]), np.array([1, 0, 1, 1, 1, 2])
    search: Any = SimpleNamespace(known=Known(np.zeros((6, 4, 4, 1), np.uint8), labels, np.eye(3)[answers]))
    assert [_Search._own(search, label).tolist() for label in (0, 1, 2)] == [[0], [2, 4, 1], [5, 3]]


def tried(place: Place, turned: int, proven: bool, own: float | None) -> Shortcut:
    pasted: Any = SimpleNamespace(place=place, turned=turned, tried=10, random=0, raised=2.0, least=1.5)
    return Shortcut("c0", ("maps",), own, None if own is None else 0.0, pasted, proven)


def test_what_becomes_of_the_places_that_were_tried() -> None:
    """What is proven is found, the strongest first; what is the same in all images of a class and not proven is a mark;
    what lies where a stamp was proven, and is none itself, is only that others lack it."""
    stamped, beside = tried(CORNER, 3, True, 1.0), tried(NEAR, 9, True, None)
    strong, mark, nothing = tried(FAR, 8, True, None), tried(FAR, 0, False, 0.9), tried(NEAR, 0, False, None)
    told: list[tuple[str, int, int]] = []
    search: Any = SimpleNamespace(
        numbers=[0, 1], passes=7, model=model_of((16, 16, 1), 2), known=Known(np.zeros((5, 1)), np.zeros(5), np.eye(5)),
        _greyed=lambda i, each: f"greyed {i} {each}", _candidates=lambda i, greyed: [stamped, beside] if i == 0 else
        [strong, mark, nothing], _tried=lambda i, candidate, z: [candidate], _moved=lambda: ["moved"],
        _told=lambda *each: told.append(each))
    found = _Search.result(search, "name", [("a.png", "broken")])
    assert found.found == [strong, stamped]
    assert (found.marks, found.others, found.moved) == ([mark], [beside, nothing], ["moved"])
    assert found.named == [strong, stamped, mark]
    assert (found.name, found.classes, found.image_count, found.passes, found.places) == ("name", ["c0", "c1"], 5, 7, 5)
    assert found.greyed == {"c0": "greyed 0 0", "c1": "greyed 1 1"}
    assert found.skipped == [("a.png", "broken")]
    assert told == [("pasting into other classes", done, 5) for done in range(1, 6)]


def test_the_more_places_are_tried_the_surer_a_proof_must_be() -> None:
    asked: list[float] = []
    for places in (1, 10):
        search: Any = SimpleNamespace(
            numbers=[0], passes=0, model=model_of((16, 16, 1), 2),
            known=Known(np.zeros((5, 1)), np.zeros(5), np.eye(5)), _greyed=lambda i, each: None,
            _candidates=lambda i, greyed, places=places: [FAR] * places,
            _tried=lambda i, candidate, z: asked.append(z) or [], _moved=list, _told=lambda *each: None)
        _Search.result(search, "name", [])
    assert asked == pytest.approx([1.6449] + [2.5758] * 10, abs=1e-4), "5 % over all of them together"


@pytest.mark.parametrize(("place", "inside"), [
    (Place(0, 0, 4, 4, SIZE), True), (Place(2, 2, 6, 6, SIZE), False), (Place(0, 2, 4, 5, SIZE), True),
    (Place(2, 0, 5, 4, SIZE), True), (Place(0, 2, 4, 6, SIZE), False), (Place(2, 0, 6, 4, SIZE), False),
    (Place(0, 0, 1, 16, SIZE), False), (Place(0, 0, 16, 1, SIZE), False)])
def test_the_middle_of_a_place_in_another(place: Place, inside: bool) -> None:
    assert _inside(place, CORNER) is inside


def test_places_that_are_the_same_become_one_that_knows_how_it_was_found() -> None:
    stamp = Stamp(CORNER, 1.0, 0.0)
    large = Place(0, 0, 8, 8, SIZE)
    found = _unified([_Candidate(CORNER, ("stamp",), stamp), _Candidate(NEAR, ("greying",)), _Candidate(FAR, ("maps",)),
                      _Candidate(Place(11, 11, 15, 15, SIZE), ("greying", "maps")), _Candidate(large, ("maps",))])
    assert [(each.place, each.found_by) for each in found] == [
        (CORNER, ("stamp", "greying", "maps")), (FAR, ("maps", "greying"))]
    apart = _unified([_Candidate(CORNER, ("greying",)), _Candidate(Place(3, 3, 7, 7, SIZE), ("maps",))])
    assert len(apart) == 2, "a corner of it is not the same place where nothing is a stamp"
    whole = Place(0, 0, 16, 16, SIZE)
    for first, then, count in ((CORNER, whole, 2), (whole, Place(7, 7, 9, 9, SIZE), 1)):
        assert len(_unified([_Candidate(first, ("greying",)), _Candidate(then, ("maps",))])) == count
