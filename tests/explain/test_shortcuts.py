"""explain/shortcuts.py: what decides at a place is proved by pasting it, what only lies there is no proof, and images
without such a thing raise no alarm. On networks whose weights say where they look."""

from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.errors import DataError, UsageError
from cnncli.explain.places import Place
from cnncli.explain.shortcut_sheet import draw
from cnncli.explain.shortcuts import shortcuts
from cnncli.explain.stamps import find, find_some, shrunk

from .shortcutting import CLASSES, EACH, MARK, SIDE, images, network, write


def data(marked: bool) -> tuple[np.ndarray, list[str]]:
    pixels, labels = images(marked)
    return pixels, [CLASSES[label] for label in labels]


def test_a_mark_that_decides_is_named_with_its_place() -> None:
    said: list[str] = []
    told: list[tuple[str, int, int]] = []
    found = shortcuts(network(True), data(True), note=said.append, progress=lambda *each: told.append(each))
    [one] = found.found
    place = one.place
    assert (place.top, place.left, place.bottom, place.right) == MARK
    assert (one.label, place.where, one.proven) == ("top", "the lower right corner", True)
    assert one.found_by == ("stamp", "greying", "maps")
    assert (one.own, one.others) == (1, 0)
    assert (one.pasted.tried, one.pasted.turned, one.pasted.random) == (24, 24, 0)
    assert one.pasted.lost == one.pasted.removed == EACH
    assert found.sentences == [
        "top: what lies at the lower right corner (rows 11 to 15, columns 12 to 16 of 16 x 16) decides: pasted into 24 "
        "images of other classes it turns 24 into top; a random patch turns 0. The same lies there in 100% of the "
        "images of top and in 0% of the others."]
    assert said[-1].startswith("Looking for shortcuts of 3 classes in 36 images: ")
    assert [what for what, done, total in told if done == total] == [
        "reading images", "greying places", "pasting into other classes"]
    assert found.as_json()["shortcuts"][0]["place"] == {
        "where": "the lower right corner", "rows": [11, 15], "columns": [12, 16], "of": [16, 16], "area": 0.0625}


def test_a_mark_that_nobody_looks_at_is_named_and_not_proven() -> None:
    found = shortcuts(network(False), data(True))
    assert found.found == []
    [one] = found.marks
    assert (one.place.top, one.place.left, one.place.bottom, one.place.right) == MARK
    assert one.sentence.startswith("top: what lies at the lower right corner (rows 11 to 15, columns 12 to 16 of 16 x "
                                   "16) marks the class, but the model hardly goes by it: pasted into 24 images")
    assert found.sentences[-1].startswith("No shortcut was found in the images of 3 classes. Every place was greyed")


@pytest.mark.slow
def test_no_alarm_where_nothing_is_planted() -> None:
    found = shortcuts(network(False), data(False))
    assert (found.found, found.marks) == ([], [])
    assert found.sentences == [found.nothing]


def test_a_mark_on_some_images_of_a_class_is_found_and_pasted_from_these() -> None:
    pixels, labels = images(True)
    pixels[np.flatnonzero(labels == 2)[5:]] = images(False, seed=3)[0][labels == 2][5:]  # 5 of 12 bear it
    [one] = shortcuts(network(True), (pixels, [CLASSES[label] for label in labels])).found
    assert (one.place.top, one.place.left, one.place.bottom, one.place.right) == MARK
    assert one.own == pytest.approx(5 / EACH)
    assert one.pasted.turned == one.pasted.tried


def test_a_background_where_others_have_things_is_no_mark() -> None:
    rng = np.random.default_rng(0)
    pixels = np.zeros((40, SIDE, SIDE, 1), np.uint8)
    for i, image in enumerate(pixels):  # a: a thing at the left, b: at the right; elsewhere black
        left = 0 if i < 20 else SIDE // 2
        thing = image[2 : rng.integers(12, 16), left : left + rng.integers(6, 9)]
        thing[...] = rng.integers(60, 255, thing.shape)
    small = shrunk(pixels)
    assert find(small[:20], small[20:], (SIDE, SIDE)) is None
    assert find_some(small[:20], small[20:], (SIDE, SIDE)) is None
    pixels[:20, 3:7, 10:14] = 120
    small = shrunk(pixels)
    found = find(small[:20], small[20:], (SIDE, SIDE))
    assert found is not None
    assert found.place.shares(Place(3, 10, 7, 14, (SIDE, SIDE))) == 1


def test_a_frame_is_pasted_without_what_it_surrounds() -> None:
    pixels, labels = images(False)
    rings = np.zeros((SIDE, SIDE), bool)
    rings[:2], rings[-2:], rings[:, :2], rings[:, -2:] = True, True, True, True
    pixels[np.ix_(labels == 2, *map(np.arange, (SIDE, SIDE)))] = np.where(
        rings[None, :, :, None], 255, pixels[labels == 2])
    model = network(False)
    weight = model.network.parameters()["linear1.weight"].reshape(3, SIDE, SIDE)
    weight[2] = np.where(rings, 20 / rings.sum(), 0)
    model.network.parameters()["linear1.bias"][2] = -15
    found = shortcuts(model, (pixels, [CLASSES[label] for label in labels]))
    [one] = found.found
    assert one.place.where == "the frame"
    assert one.place.mask is not None
    assert np.array_equal(one.place.mask, rings)
    assert one.pasted.turned == one.pasted.tried


@pytest.mark.slow
def test_brightness_that_decides_is_proved_by_moving_it() -> None:
    pixels, labels = (np.concatenate(each) for each in zip(images(False), images(False, seed=1), strict=True))
    pixels[labels == 2] = np.minimum(pixels[labels == 2], 215) + 40
    model = network(False)
    weight = model.network.parameters()["linear1.weight"].reshape(3, SIDE, SIDE)
    weight[2] = 40 / SIDE**2  # 40 times the mean, less what half of all have: others are below, the class is above
    light = pixels.mean(axis=(1, 2, 3)) / 255
    model.network.parameters()["linear1.bias"][2] = -40 * (light[labels == 2].min() - 0.005)
    named = [CLASSES[label] for label in labels]
    found = shortcuts(model, (pixels, named))
    [one] = [each for each in found.moved if each.name == "brightness"]
    assert (one.label, one.proven, one.tried) == ("top", True, 48)
    assert one.turned > 24
    assert one.random == 0
    assert one.sentence.startswith("top: brightness counts: 48 images of other classes that are made as bright as its "
                                   f"own turn into top {one.turned} times; made as bright as each other, {one.random}")
    assert one.sentence in found.sentences
    assert found.as_json()["properties"][0]["property"] == "brightness"
    [same] = [each for each in shortcuts(network(False), (pixels, named)).moved if each.name == "brightness"]
    assert not same.proven, "the halves' light alone decides"


@pytest.mark.slow
def test_one_class_alone() -> None:
    assert [each.label for each in shortcuts(network(True), data(True), "top").found] == ["top"]
    assert shortcuts(network(True), data(True), "left").found == []
    with pytest.raises(UsageError, match=r"no class 'topp'; give one of left, right, top. Did you mean 'top'[?]"):
        shortcuts(network(True), data(True), "topp")


@pytest.mark.slow
def test_the_same_each_time_and_the_model_stays() -> None:
    model = network(True)
    before = {key: array.copy() for key, array in model.arrays().items()}
    assert shortcuts(model, data(True), seed=1).as_json()["shortcuts"] == (
        shortcuts(model, data(True), seed=1).as_json()["shortcuts"])
    assert all(np.array_equal(before[key], array) for key, array in model.arrays().items())


def test_images_that_say_nothing(tmp_path: Path) -> None:
    model = network(True)
    pixels, names = data(True)
    with pytest.raises(DataError, match=r"^shortcuts are looked for by comparing classes; give images of two classes"):
        shortcuts(model, (pixels[:EACH], names[:EACH]))
    with pytest.raises(DataError, match=r"^shortcuts are looked for in images with labels; give one folder"):
        shortcuts(model, ["a.png", "b.png"])
    with pytest.raises(DataError, match=r"^there are too few images to look for shortcuts; give at least 3 of"):
        shortcuts(model, (pixels[[0, EACH]], [names[0], names[EACH]]))
    with pytest.raises(DataError, match=r"^there are too few images of top to look for shortcuts"):
        shortcuts(model, (pixels[: 2 * EACH], names[: 2 * EACH]), "top")


@pytest.mark.slow
def test_a_folder_with_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "top" / "broken.png").write_bytes(b"no image")
    found = cnncli.shortcuts(network(True), tmp_path)
    assert found.image_count == 3 * EACH
    assert [Path(path).name for path, _ in found.skipped] == ["broken.png"]
    assert len(found.found) == 1


@pytest.mark.slow
def test_the_sheet_shows_the_place_and_what_pasting_does() -> None:
    model = network(True)
    found = shortcuts(model, data(True))
    sheet = np.asarray(draw(found, model).image)
    assert sheet.shape[0] > np.asarray(draw(shortcuts(network(False), data(False)), network(False)).image).shape[0]
    pattern = np.kron(np.array([[255, 255, 0, 0], [255, 0, 0, 255], [0, 0, 255, 255], [255, 255, 0, 255]], np.uint8),
                      np.ones((30, 30), np.uint8))
    windows = np.lib.stride_tricks.sliding_window_view(sheet[:, :, 0], pattern.shape)
    assert (windows[:, :, 3::30, 3::30] == pattern[3::30, 3::30]).all(axis=(2, 3)).any(), "the patch is not on it"
