"""explain/explained_units.py by its parts: which images a channel is explained with and where in them, how far the work
is, what all is said of a layer, and which images are looked at. Nothing is made from noise here."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncli.data.finding import Missing
from cnncli.data.splits import Sample
from cnncli.errors import DataError
from cnncli.explain import explained_units
from cnncli.explain.explained_units import (
    STEPS,
    STOPPED,
    ExplainedUnits,
    Searched,
    Unit,
    data_named,
    explain_units,
    labelled,
    search,
    units_one_by_one,
)
from cnncli.explain.look import Look
from cnncli.explain.pleasing import Pleasing
from cnncli.explain.units import Window

from .test_units import CLASSES, items_of, model_of, pictures


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], int]]:
    """Images that please channels cost nothing: pixel number i is i plus the channel, and their values are twice the
    channels. Returns which were asked for, with which seed."""
    asked: list[tuple[list[int], int]] = []

    def pleasing(look: Look, preprocessing: Any, channels: np.ndarray, *, seed: int, told: Any) -> Pleasing:
        asked.append((channels.tolist(), seed))
        for done in range(1, 5):
            told(done, 4)
        pixels = (np.arange(144) + channels[:, None]).reshape(-1, 12, 12, 1).astype(np.uint8)
        return Pleasing(pixels, 2.0 * channels, (5, 6), STEPS)

    monkeypatch.setattr(explained_units, "pleasing", pleasing)
    return asked


def test_what_excites_a_channel_is_cut_out_of_its_images(made: list[tuple[list[int], int]]) -> None:
    """relu1 sees 3 x 3 pixels about each of 12 x 12; 128 lies outside."""
    model, images = model_of(), np.stack(pictures(6))
    found = explain_units(model, "relu1", (images, ["a", "b"] * 3), [3, 1], count=2, seed=7)
    assert made == [([3, 1], 7)]
    yielded = model.network.activations(model.preprocessing.normalise(images), ["relu1"])["relu1"]
    for unit, channel in zip(found.units, (3, 1), strict=True):
        best = sorted(range(6), key=lambda i: -yielded[i, ..., channel].max())[:2]
        assert (unit.channel, unit.paths) == (channel, [f"images[{i}]" for i in best])
        assert unit.values == [yielded[i, ..., channel].max() for i in best]
        for i, seen, patch, answer in zip(best, unit.windows, unit.patches, unit.answers, strict=True):
            y, x = np.unravel_index(yielded[i, ..., channel].argmax(), (12, 12))
            assert seen == Window(y - 1, x - 1, y + 2, x + 2)
            wide = np.pad(images[i], ((1, 1), (1, 1), (0, 0)), constant_values=128)
            assert np.array_equal(patch, wide[y : y + 3, x : x + 3])
            weight = model.network.parameters()["conv1.weight"][channel, 0]
            inside = np.pad(np.ones((12, 12)), 1)[y : y + 3, x : x + 3]
            np.testing.assert_allclose(answer[..., 0], yielded[i, y, x, channel] * weight * inside, rtol=1e-4)
        assert unit.made[..., 0].tolist() == [[12 * y + x + channel for x in (5, 6, 7)] for y in (4, 5, 6)]
        assert unit.made_value == 2 * channel
    assert (found.image_count, found.given, found.wanted, found.channels, found.stopped) == (6, 6, 2, 5, None)
    assert (found.telling, found.answered, found.by_weights, found.back) == (False, False, False, "guided")
    assert (found.kind, found.size, found.sees, found.names) == ("ReLU", (12, 12), (3, 3), [])


def test_how_far_it_is(made: list[tuple[list[int], int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_units, "_AT_ONCE", 2)
    told: list[tuple[str, int, int]] = []
    explain_units(model_of(), "relu1", np.stack(pictures(4)), [4, 0, 2], progress=lambda *each: told.append(each))
    assert [of for of, _ in made] == [[4, 0], [2]]
    assert [each[1:] for each in told if each[0] == "making pictures for each filter of relu1"] == [
        (0, 3), (1, 3), (1, 3), (2, 3), (2, 3), (2, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("floats", "at_once"), [
    (2 * 144 - 1, [1] * 5), (2 * 144, [2, 2, 1]), (2**19, [5]), (1, [1] * 5)])
def test_memory_bounds_how_many_are_worked_on_together(
        floats: int, at_once: list[int], made: list[tuple[list[int], int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_units, "_FLOATS", floats)
    explain_units(model_of(), "relu1", np.stack(pictures(2)))
    assert [len(channels) for channels, _ in made] == at_once


def test_a_stop_before_any_is_made_is_raised_and_later_it_keeps_what_is_found(
        made: list[tuple[list[int], int]], monkeypatch: pytest.MonkeyPatch) -> None:
    model, images, notes = model_of(), np.stack(pictures(4)), list[str]()
    searched = search(model, {"relu1": None}, images)
    stopped = replace(searched, found=replace(searched.found, stopped=True))
    _, units = units_one_by_one(stopped, "relu1", [1, 2], note=notes.append)
    assert [(unit.channel, unit.made, unit.made_value) for unit in units] == [(1, None, None), (2, None, None)]
    assert (made, notes) == ([], []), "it is said where the search is stopped"
    real, calls = explained_units.projections, list[int]()

    def stops_at_the_third(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(explained_units, "projections", stops_at_the_third)
    found = explain_units(model, "relu1", images, note=notes.append)
    assert [(unit.channel, unit.made) for unit in found.units] == [(0, None), (1, None)]
    assert notes == ["4 of only 4 images are shown for each filter. That says little about what it looks for. Give "
                     "more images.", STOPPED]
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        list(units_one_by_one(stopped, "relu1")[1])


def test_an_image_that_cannot_be_read_again_is_left_out(made: list[tuple[list[int], int]]) -> None:
    model, images = model_of(), pictures(4)
    searched = search(model, {"relu1": None}, np.stack(images), count=3)
    [whole] = units_one_by_one(searched, "relu1", [2])[1]
    gone = int(whole.paths[1][7:-1])
    items = [Missing(each.path, "gone") if i == gone else each for i, each in enumerate(items_of(images))]
    [left] = units_one_by_one(Searched(searched.opened, items, searched.found), "relu1", [2])[1]
    for name in ("values", "paths", "windows"):
        assert getattr(left, name) == [getattr(whole, name)[i] for i in (0, 2)]
    assert [np.array_equal(left.patches[i], whole.patches[2 * i]) for i in (0, 1)] == [True, True]
    [none] = units_one_by_one(Searched(searched.opened, [Missing(each.path, "gone") for each in items_of(images)],
                                       searched.found), "relu1", [2])[1]
    assert (none.paths, none.values, none.answers, none.made_value) == ([], [], [], 4)


def test_the_classes_are_those_with_the_largest_numbers_above_nothing() -> None:
    model: Any = SimpleNamespace(classes=list("abcdef"))
    assert explained_units._most(model, np.array([0.5, -3, 2, 0.5, 0, 1])) == [("c", 2), ("f", 1), ("a", 0.5)]
    assert explained_units._most(model, np.array([0, -1, 0.25, 0, 0, -2])) == [("c", 0.25)]


def test_of_very_many_channels_those_that_tell_the_classes_apart_most(monkeypatch: pytest.MonkeyPatch) -> None:
    top: Any = SimpleNamespace(values=np.zeros((4, 2)), by_class=lambda: np.array([[1, 0, 3, 0.5], [-9, 2, -1, 3]]))
    assert explained_units._most_telling(top) == [0, 1, 2, 3]
    many: Any = SimpleNamespace(values=np.zeros((257, 1)), by_class=lambda: np.arange(257)[None])
    assert explained_units._most_telling(many) == [*range(256, 0, -1)]
    for most, wanted in ((4, [0, 1, 2, 3]), (3, [2, 3, 1]), (2, [2, 3])):
        monkeypatch.setattr(explained_units, "MOST", most)
        assert explained_units._most_telling(top) == wanted


UNIT = Unit(7, [2.5, 1.0], ["a.png", "b.png"], [Window(-1, 2, 4, 8), Window(0, 1, 5, 7)], [np.zeros((5, 6, 1))] * 2,
            [np.ones((5, 6, 1))] * 2, np.zeros((5, 6, 1)), 3.5, [("b", 1.5)])
FOUND = ExplainedUnits("net", "conv2", "Conv2d", "relu2", True, 1200, 2, True, (12, 12), (5, 6), 8, 9, True,
                       "deconvnet", True, [], [("c.png", "broken")], [UNIT, replace(UNIT, values=[-1.0, -2.0])])


def test_what_is_printed_of_a_layer() -> None:
    unit = {"channel": 7, "top": [{"image": "a.png", "value": 2.5, "window": [-1, 2, 4, 8]},
                                  {"image": "b.png", "value": 1.0, "window": [0, 1, 5, 7]}],
            "made": 3.5, "classes": [{"name": "b", "by": 1.5}], "dead": False}
    assert replace(FOUND, units=[UNIT]).as_json() == {
        "layer": "conv2", "type": "Conv2d", "activation": "relu2", "channels": 1200, "sees": [5, 6], "images": 8,
        "labels": "the model's answers", "answers_by": "deconvnet", "classes_by": "weights", "units": [unit]}
    other = replace(FOUND, answered=False, by_weights=False).as_json()
    assert (other["labels"], other["classes_by"]) == ("given", "means")
    assert [each["dead"] for each in other["units"]] == [False, True]
    assert UNIT.without_pictures().as_json() == UNIT.as_json()
    assert (UNIT.without_pictures().patches, UNIT.without_pictures().answers, UNIT.without_pictures().made) == (
        [], [], None)


def test_what_is_said_of_a_layer() -> None:
    assert FOUND.others == ("conv2 has 1,200 filters; these are the 2 that tell the classes apart most. To see "
                            "all of them: cnn explain --units conv2:0-1199")
    assert replace(FOUND, telling=False).others == (
        "conv2 has 1,200 filters. To see all of them: cnn explain --units conv2:0-1199")
    assert replace(FOUND, wanted=1200).others is None
    assert FOUND.before_activation == (
        "These are the numbers of conv2 before its activation. Only those above 0 pass relu2 and reach the rest of "
        "the network. To see that: cnn explain --units relu2")
    assert replace(FOUND, rectified=False).before_activation == (
        "These are the numbers of conv2 before its activation. The rest of the network gets what relu2 makes of them. "
        "To see that: cnn explain --units relu2")
    assert replace(FOUND, activation=None).before_activation is None


def test_after_what_it_was_stopped() -> None:
    assert (FOUND.searched_in_part, FOUND.stopped) == (False, None), "8 images, and one that cannot be used, of 9"
    part = replace(FOUND, image_count=1500, given=2500)
    assert (part.searched_in_part, part.stopped) == (True, "after 1,500 of 2,500 images")
    assert replace(FOUND, image_count=7).stopped == "after 7 of 9 images"
    unmade = replace(FOUND, wanted=3, units=[UNIT, replace(UNIT, made_value=None)])
    assert (unmade.searched_in_part, unmade.stopped) == (False, "after 1 of 3 filters")


@pytest.mark.parametrize(("values", "rectified", "dead"), [
    ([], True, False), ([0.0], False, True), ([0.0], True, True), ([-0.5, -1.0], True, True), ([-0.5], False, False),
    ([0.5, 0.0], True, False), ([0.5, -1.0], True, False)])
def test_which_channel_nothing_excites(values: list[float], rectified: bool, dead: bool) -> None:
    assert replace(FOUND, rectified=rectified).is_dead(replace(UNIT, values=values)) is dead


def test_what_names_on_a_command_line_mean(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "a.png").write_bytes(b"")
    folder, file = str(tmp_path / "set"), str(tmp_path / "a.png")
    assert data_named([]) is None
    assert data_named([folder]) == folder
    assert data_named([file]) == [file]
    assert data_named([file, file + "x"])[0] == file
    assert data_named(["-"], file.encode()) == [file]


def test_images_with_labels_beside_them_and_without() -> None:
    opened: Any = SimpleNamespace(model=SimpleNamespace(classes=CLASSES))
    images = np.stack(pictures(3))
    items, labels = labelled(opened, (images, ["b", "a", "c"]), print)
    assert {(item.path, label) for item, label in zip(items, labels, strict=True)} == {
        ("images[0]", 1), ("images[1]", 0), ("images[2]", 2)}
    assert all(np.array_equal(item.pixels, images[int(item.path[7])]) for item in items)
    items, labels = labelled(opened, images, print)
    assert ([item.path for item in items], labels) == (["images[0]", "images[1]", "images[2]"], None)
    with pytest.raises(DataError, match="there are no images; give a folder, or images"):
        labelled(opened, [], print)


def test_a_sample_is_its_file_or_its_pixels() -> None:
    items, labels = explained_units._of_samples([Sample("a.png", "a.png", 2), Sample("b", "b", 0, pixels=np.ones(3))])
    assert (items[0], items[1].path, items[1].pixels.tolist(), labels) == ("a.png", "b", [1, 1, 1], [2, 0])
