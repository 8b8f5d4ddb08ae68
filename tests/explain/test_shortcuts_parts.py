"""explain/shortcuts.py by its parts, once more: which places are tried of a class, what proves one, what is counted and
told meanwhile, and what is said in the end. test_shortcuts_search.py has what becomes of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.data.splits import Sample
from cnncli.errors import DataError
from cnncli.explain import shortcuts
from cnncli.explain.greying import PASSES as GREYING
from cnncli.explain.moving import PASSES as MOVING
from cnncli.explain.pasting import Known, Pasted
from cnncli.explain.places import Place
from cnncli.explain.shortcuts import Shortcut, Shortcuts, _Candidate, _Search, _times
from cnncli.explain.stamps import Stamp

from .shortcutting import CLASSES, network

SIZE = (16, 16)
CORNER, FAR = Place(0, 0, 4, 4, SIZE), Place(10, 10, 14, 14, SIZE)
LABELS = np.array([0, 1, 1, 2, 1, 0])


def searching(**more: Any) -> Any:
    """What a method of a search asks of it: six images, 1, 2 and 4 of class 1; image i has the number 10 i."""
    pixels = (10 * np.arange(6, dtype=np.uint8)).reshape(6, 1, 1, 1)
    own: dict[str, Any] = {"known": Known(pixels, LABELS, np.eye(3)[LABELS]), "_small": pixels[:, 0], "size": SIZE,
                           "model": SimpleNamespace(classes=CLASSES), "seed": 3, "passes": 100, "numbers": [0, 1, 2]}
    return SimpleNamespace(**own | more)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stamps.find, find_some and evident return by the images they are asked with, and nothing else."""
    found: dict[str, Any] = {"find": {}, "some": None, "evident": []}

    def find(own: np.ndarray, others: np.ndarray, size: tuple[int, int]) -> Stamp | None:
        assert (others.ravel().tolist(), size) == ([0, 30, 50], SIZE)
        return found["find"].get(tuple(own.ravel().tolist()))

    def find_some(own: np.ndarray, others: np.ndarray, size: tuple[int, int]) -> Any:
        assert (own.ravel().tolist(), others.ravel().tolist(), size) == ([10, 20, 40], [0, 30, 50], SIZE)
        return found["some"]

    def evident(model: Any, pixels: np.ndarray, label: int, seed: int) -> Any:
        assert (pixels.ravel().tolist(), label, seed) == ([10, 20, 40], 1, 3)
        return found["evident"]

    monkeypatch.setattr(shortcuts.stamps, "find", find)
    monkeypatch.setattr(shortcuts.stamps, "find_some", find_some)
    monkeypatch.setattr(shortcuts, "evident", evident)
    monkeypatch.setattr(shortcuts, "_unified", lambda candidates: candidates)
    return found


def worst(drop: float) -> Any:
    def of(size: tuple[int, int]) -> tuple[Place, float]:
        assert size == SIZE
        return FAR, drop

    return SimpleNamespace(worst=of)


def candidates(found: Any) -> list[tuple[Any, ...]]:
    search = searching()
    result = [(each.place, each.found_by, each.stamp, None if each.donors is None else each.donors.tolist())
              for each in _Search._candidates(search, 1, found)]
    assert search.passes == 103, "a map of each image of the class"
    return result


def test_a_stamp_comes_first_then_what_greying_costs_and_where_the_maps_are(asked: dict[str, Any]) -> None:
    stamp, some, groups = Stamp(CORNER, 1.0, 0.0), Stamp(CORNER, 0.5, 0.0), Stamp(CORNER, 0.9, 0.1)
    asked["find"], asked["some"] = {(10, 20, 40): stamp}, (some, np.array([True, False, True]))
    assert candidates(worst(0.01)) == [(CORNER, ("stamp",), stamp, None), (FAR, ("greying",), None, None)]
    asked["find"] = {}
    assert candidates(worst(0.0)) == [(CORNER, ("stamp",), some, [1, 4])]
    asked["some"] = None
    asked["evident"] = [((0, 1, 2), FAR), ((0, 2), FAR), ((1,), FAR)]
    asked["find"] = {(20,): groups}
    assert candidates(worst(-0.5)) == [(FAR, ("maps",), None, None), (FAR, ("maps",), None, [1, 4]),
                                       (CORNER, ("maps",), groups, [2])]


def test_which_images_are_greyed_and_how_far_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []

    def greyed(model: Any, pixels: np.ndarray, label: int, tell: Any) -> Any:
        tell(9), tell(9)
        return pixels.ravel().tolist(), label

    monkeypatch.setattr(shortcuts, "greyed", greyed)
    search = searching(_own=lambda label: np.array([4, 1, 2, 0, 3]), _told=lambda *each: told.append(each))
    assert _Search._greyed(search, 1, 2) == ([40, 10, 20, 0], 1)
    assert search.passes == 100 + 4 * GREYING
    assert told == [("greying places", 2 * GREYING + 1, 3 * GREYING), ("greying places", 2 * GREYING + 2, 3 * GREYING)]


def test_each_class_is_moved_and_the_passes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, float]] = []
    monkeypatch.setattr(shortcuts, "move", lambda model, known, label, seed, z: asked.append((label, seed, z)) or
                        ["moved"] * label)
    search = searching()
    assert _Search._moved(search) == ["moved"] * 3
    assert search.passes == 100 + 3 * MOVING
    assert [each[:2] for each in asked] == [(0, 3), (1, 3), (2, 3)]
    assert [each[2] for each in asked] == pytest.approx([2.5392] * 3, abs=1e-3), "5 % over three times three"


def pasted(**more: Any) -> Any:
    did: dict[str, Any] = {"place": CORNER, "tried": 10, "turned": 6, "random": 0, "raised": 2.0, "least": 1.0,
                           "removed": 10, "lost": 5, "pairs": []}
    return Pasted(**did | more)


STAMP = Stamp(CORNER, 0.9, 0.1)


@pytest.mark.parametrize(("stamp", "did", "more", "proven"), [
    (STAMP, {}, 0.01, True), (STAMP, {}, 0.0, False), (STAMP, {"least": 1.01}, -0.5, True), (None, {}, 0.25, True),
    (None, {"turned": 5}, 0.25, False), (None, {}, 0.24, False), (None, {"lost": 4}, 0.25, False),
    (None, {"turned": 10, "tried": 17}, 0.25, False), (None, {"turned": 10, "lost": 10}, 0.5, True),
    (None, {"least": 9.0, "lost": 0}, 0.9, False), (None, {"lost": 5, "removed": 11}, 0.9, False)])
def test_what_proves_a_place(stamp: Stamp | None, did: dict[str, Any], more: float, proven: bool,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is the same in all images any effect beyond a random patch's; of other places more than half of all, a
    quarter beyond it, and the answer of half of the class's images without it."""
    asked: list[tuple[Any, ...]] = []

    def prove(model: Any, known: Any, label: int, place: Place, seed: int, z: float, told: Any, donors: Any) -> Pasted:
        asked.append((label, place, seed, z, donors))
        told(7)
        return pasted(**did)

    def first(model: Any, known: Any, label: int, place: Place, seed: int, donors: Any) -> float:
        asked.append((label, place, seed, donors))
        return 0.3

    monkeypatch.setattr(shortcuts, "prove", prove)
    monkeypatch.setattr(shortcuts, "turned", first)
    monkeypatch.setattr(Pasted, "more", lambda self, z: more if z == 2.5 else 1 / 0)
    search = searching()
    [found] = _Search._tried(search, 2, _Candidate(CORNER, ("maps",), stamp, "donors"), 2.5)
    assert (found.label, found.found_by, found.proven) == ("top", ("maps",), proven)
    assert (found.own, found.others) == ((0.9, 0.1) if stamp else (None, None))
    assert asked == [*([] if stamp else [(2, CORNER, 3, "donors")]), (2, CORNER, 3, 2.5, "donors")]
    assert search.passes == 107 + (0 if stamp else 12)


@pytest.mark.parametrize(("first", "stamp", "proves"), [(0.29, None, False), (0.3, None, True),
                                                       (0.0, Stamp(CORNER, 0.9, 0.0), True)])
def test_a_place_that_turns_next_to_none_is_given_up(
        first: float, stamp: Stamp | None, proves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prove(*arguments: Any) -> Any:
        asked.append("prove")
        return SimpleNamespace(turned=9, tried=10, lost=5, removed=10, least=0.5, place=CORNER, more=lambda z: 0.25)

    monkeypatch.setattr(shortcuts, "turned", lambda *arguments, **options: first)
    monkeypatch.setattr(shortcuts, "prove", prove)
    search: Any = SimpleNamespace(model=SimpleNamespace(classes=["a", "b"]), known=None, seed=0, passes=0)
    candidate = _Candidate(CORNER, ("greying",), stamp)
    found = list(_Search._tried(search, 1, candidate, 2.0))
    assert asked == ["prove"] * proves
    assert [(each.label, each.proven) for each in found] == [("b", True)] * proves
    assert search.passes == (0 if stamp else 12)


def test_what_is_said_before_the_search_and_what_is_known_then() -> None:
    said: list[str] = []
    pixels = np.zeros((9, 130, 20, 1), np.uint8)
    model: Any = SimpleNamespace(logits=lambda images: np.ones((len(images), 3)))
    labels = np.array([0] * 5 + [1] * 3 + [2])
    search = _Search(model, pixels, labels, [0, 1], 4, print, said.append)
    assert said == [f"Looking for shortcuts of 2 classes in 9 images: {7 * GREYING + 18:,} forward passes, and up to "
                    "250 for each place that is tried."]
    assert (search.passes, search.size, search._small.shape) == (9, (130, 20), (9, 43, 6, 1))
    assert search.known.logits.shape == (9, 3)
    _Search(model, pixels, labels, [2], 4, print, said.append)
    assert said[1].startswith(f"Looking for shortcuts of 1 class in 9 images: {GREYING + 18:,} forward passes")


def shortcut(proven: bool = True, own: float | None = None, **did: Any) -> Shortcut:
    return Shortcut("top", ("stamp", "maps"), own, None if own is None else 0.125, pasted(**did), proven)


WHERE = "the upper left corner (rows 0 to 4, columns 0 to 4 of 16 x 16)"


@pytest.mark.parametrize(("found", "sentence"), [
    (shortcut(turned=5, random=1),
     f"top: what lies at {WHERE} decides: pasted into 10 images of other classes it turns 5 into top; a random patch "
     "turns 1."),
    (shortcut(turned=4),
     f"top: what lies at {WHERE} counts: pasted into 10 images of other classes it turns 4 into top, and makes the "
     "odds of top 2.0 times as high; a random patch turns 0."),
    (shortcut(tried=1, turned=1, own=0.75),
     f"top: what lies at {WHERE} decides: pasted into 1 image of other classes it turns 1 into top; a random patch "
     "turns 0. The same lies there in 75% of the images of top and in 12% of the others."),
    (shortcut(False, own=1.0),
     f"top: what lies at {WHERE} marks the class, but the model hardly goes by it: pasted into 10 images of other "
     "classes it turns 6 into top; a random patch turns 0. The same lies there in 100% of the images of top and in 12% "
     "of the others.")])
def test_what_is_said_of_a_place(found: Shortcut, sentence: str) -> None:
    assert found.sentence == sentence
    assert found.as_json() == {
        "class": "top", "place": found.place.as_json(), "proven": found.proven, "found_by": ["stamp", "maps"],
        "same_in_class": found.own, "same_in_others": found.others, **found.pasted.as_json(), "sentence": sentence}


def test_a_factor_in_words() -> None:
    assert [_times(each) for each in (1.25, 99.9, 100, 1e9)] == ["1.2 times", "99.9 times", *["over 100 times"] * 2]


def test_what_is_said_in_the_end() -> None:
    moved: Any = SimpleNamespace(proven=False, sentence="moved", as_json=lambda: {"property": "tint"})
    greyed: Any = SimpleNamespace(as_json=lambda: "drops")
    nothing = Shortcuts("net", CLASSES, 12, 3456, 1, [], [shortcut(False, own=1.0)], [shortcut(False)], [moved],
                        {"top": greyed}, [], searching().known)
    assert nothing.nothing == (
        "No shortcut was found in the images of 3 classes. Every place was greyed, and marks that all images of a "
        "class share were looked for. What lies at 1 place that stood out was pasted into images of other classes, and "
        "did not change their answers as a shortcut would. Backgrounds, and what differs from one slide or camera to "
        "another, are not looked for.")
    assert "the images of 1 class. " in replace(nothing, classes=["top"]).nothing
    assert nothing.sentences == [nothing.marks[0].sentence, "moved", nothing.nothing]
    said = nothing.as_json()
    assert (said["images"], said["classes"], said["passes"], said["places"]) == (12, CLASSES, 3456, 1)
    assert (said["shortcuts"], said["properties"], said["greyed"]) == ([], [{"property": "tint"}], {"top": "drops"})
    assert (said["marks"], said["tried"]) == ([nothing.marks[0].as_json()], [nothing.others[0].as_json()])
    assert said["sentences"] == nothing.sentences
    moved.proven = True
    assert nothing.notes == [], "something was found"
    found = Shortcuts("net", CLASSES, 12, 3456, 1234, [shortcut()], [], [], [], {}, [], searching().known)
    assert (found.notes, found.sentences) == ([], [shortcut().sentence])
    assert "What lies at 1,234 places that stood out" in found.nothing


def test_of_which_classes_a_search_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[int], list[int], int, tuple[int, ...]]] = []

    class Search:
        def __init__(self, model: Any, pixels: np.ndarray, labels: np.ndarray, numbers: list[int], seed: int, told: Any,
                     note: Any) -> None:
            asked.append((sorted(labels.tolist()), numbers, seed, pixels.shape))

        def result(self, name: str, skipped: list[Any]) -> Any:
            return name, skipped

    monkeypatch.setattr(shortcuts, "_Search", Search)
    model, pixels = network(False), np.zeros((8, 16, 16, 1), np.uint8)
    names = ["left"] * 3 + ["right"] * 2 + ["top"] * 3
    shortcuts.shortcuts(model, (pixels, names), seed=5)
    shortcuts.shortcuts(model, (pixels, names), "top")
    assert asked == [([0, 0, 0, 1, 1, 2, 2, 2], numbers, seed, (8, 16, 16, 1))
                     for numbers, seed in (([0, 2], 5), ([2], 0))]
    with pytest.raises(DataError, match="there are too few images of right to look for shortcuts; give at least 3 of "
                                        "each class"):
        shortcuts.shortcuts(model, (pixels, names), "right")


def test_of_a_folder_its_own_images_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a training that lie beside it are not of the folder that was named."""
    (tmp_path / "set").mkdir()
    paths = [str(tmp_path / name) for name in ("set/a.png", "set/b.png", "settle/c.png", "d.png")]
    every = [Sample(path, path, 0) for path in paths]
    asked: list[Any] = []
    monkeypatch.setattr(shortcuts, "choose", lambda *arguments, **options: asked.append((arguments, options)) or
                        (every[:1], every))
    opened: Any = SimpleNamespace(model=SimpleNamespace(classes=CLASSES))
    for folder in (tmp_path / "set", str(tmp_path / "set")):
        assert shortcuts._samples(opened, folder, print) == every[:2]
    assert asked[0] == ((opened, str(tmp_path / "set"), None, print), {"remedy": "cnn explain --shortcuts DATA"})
    with pytest.raises(DataError, match=r"none is no folder; give one that has a folder for each class"):
        shortcuts._samples(opened, str(tmp_path / "none"), print)

    def refused(*arguments: Any, **options: Any) -> Any:
        raise DataError("other classes")

    monkeypatch.setattr(shortcuts, "choose", refused)
    with pytest.raises(DataError, match=r"set has no folders called like the model's classes \(left, right"):
        shortcuts._samples(opened, str(tmp_path / "set"), print)
