"""explain/boxes.py: the largest piece of a map and its box, in the image's own pixels; one threshold for a set, fitted
on one half of the images and judged on the other."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import Preprocessing
from cnncli.data.boxes import Box, Drawn, Truth, read_boxes
from cnncli.errors import DataError
from cnncli.explain.boxes import (
    OVERLAPS,
    SHARE,
    SHARES,
    Figures,
    Located,
    _figures,
    _half,
    _leaves,
    _overlaps,
    _wanted,
    box_of,
    boxed,
    boxes_of,
    locate,
    pieces,
)
from cnncli.explain.geometry import on_image
from cnncli.explain.trust import middle

from .test_explanation import lit, sides


def flooded(mask: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """The pieces by filling each from a first pixel, one neighbour at a time."""
    left, found = {tuple(at) for at in np.argwhere(mask)}, []
    while left:
        todo = [min(left)]
        piece = {todo[0]}
        left -= piece
        while todo:
            y, x = todo.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            piece |= near
            todo += near
        ys, xs = zip(*piece, strict=True)
        found.append((len(piece), min(xs), min(ys), max(xs) + 1, max(ys) + 1))
    return sorted(found, key=lambda one: (-one[0], one[2], one[1]))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.35, 0.5, 1.0])
def test_pieces_are_those_of_a_flood(share: float) -> None:
    rng = np.random.default_rng(int(share * 10))
    for size in ((9, 14), (1, 7), (6, 1)):
        mask = rng.random(size) < share
        assert pieces(mask) == flooded(mask)


def test_arms_that_meet_later_are_one_piece() -> None:
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 0, 1, 1], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    assert pieces(mask) == [(11, 0, 0, 5, 4)]
    spiral = np.ones((5, 5), bool)
    spiral[1, :4] = spiral[3, 1:] = False
    assert pieces(spiral) == flooded(spiral)


def test_the_box_of_a_map() -> None:
    values = np.zeros((8, 12))
    values[2:4, 3:6] = 1
    values[6, 9] = 5  # a smaller piece, though stronger
    values[7, 0] = 0.9
    exact = Preprocessing((8, 12))
    assert boxes_of(values, 0.2, exact, (8, 12)) == [Box(3, 2, 6, 4), Box(9, 6, 10, 7)]
    assert boxes_of(values, 0.5, exact, (8, 12)) == [Box(9, 6, 10, 7)]
    assert boxes_of(values, 0.2, exact, (80, 60))[0] == Box(15, 20, 30, 40), "of an image of another size"
    cut = boxes_of(values, 0.2, Preprocessing((8, 12), resize="crop"), (80, 120))[0]
    assert cut == pytest.approx(Box(*(side * 8.75 + margin for side, margin in zip((3, 2, 6, 4), (7.5, 5) * 2,
                                                                                   strict=True))))
    padded = Preprocessing((8, 12), resize="pad")
    assert boxes_of(values, 0.2, padded, (80, 60)) == [Box(0, 20, 30, 40), Box(60, 60, 60, 70)][:1], "none on the grey"
    assert boxes_of(values, 0.2, padded, (20, 120))[0] == Box(30, 0, 60, 10), "only what lies on the image"
    assert boxes_of(-values, 0.2, exact, (8, 12)) == [], "nothing speaks for it"


def test_the_box_of_an_explanation() -> None:
    found = cnncli.explain(sides(), lit(27, 15, side=6))
    box = box_of(found)
    assert box is not None
    assert box.iou(Box(27, 15, 33, 21)) > 0.5
    [line] = boxed()(found).lines
    assert line.startswith("A coarse box round right: x 27 to 33, y 15 to 21, at 20% of")
    assert boxed()(found).figures["box"]["xmin"] == box.xmin
    nothing = cnncli.explain(sides(), lit(27, 15), target="neither")
    assert box_of(nothing) is None
    assert boxed()(nothing).lines == ["No box: nothing speaks for neither."]


def test_one_threshold_for_the_set() -> None:
    """Each image has a threshold of its own where its box is right; no two can be had at once."""
    overlaps = np.zeros((8, len(SHARES), 2))
    for i in range(8):
        overlaps[i, 5 * i] = 1
    fits = np.arange(8) % 2 == 0
    overlaps[[0, 2, 4, 3], 11] = 0.6
    found = _figures(overlaps, fits)
    assert found.share == pytest.approx(SHARES[11], abs=0.01)
    assert found.accuracy == {0.3: 0.25, 0.5: 0.25, 0.7: 0}, "not 1, the best of each"
    assert found.cor_loc == 0.25
    assert found.max_box_acc == pytest.approx(0.5 / 3)
    assert _figures(overlaps, np.zeros(8, bool)).share == SHARE


def test_boxes_in_the_pixels_of_another_size_are_not_taken(place: Path) -> None:
    """As they were drawn on the photographs themselves, where the images are smaller copies."""
    [drawn] = read_boxes(place / "boxes.csv").of("00.png")
    far, near = (Truth("x.csv", {f"0{i}.png": [drawn._replace(box=Box(0, 0, 36 + more, 24 + more))] for i in (0, 1)},
                       [], suffixes=True) for more in (2, 1))
    assert locate(sides(), [place / "00.png", place / "01.png"], near).judged_on == 2
    with pytest.raises(DataError, match=r"none of the images can be compared; \S*/01\.png: a box of it in x\.csv lies "
                                        r"outside of its 36 x 24 pixels; boxes are in the pixels of the image itself"):
        locate(sides(), [place / "00.png", place / "01.png"], far)
    far.boxes["01.png"][:] = [drawn._replace(box=Box(1, 1, 9, 9))]
    found = locate(sides(), [place / "00.png", place / "01.png"], far)
    assert (found.judged_on, [path for path, _ in found.skipped]) == (1, [str(place / "00.png")])


def test_halves_are_drawn_by_the_seed_and_the_names() -> None:
    paths = [f"a/{i}.png" for i in range(21)]
    assert _half(paths, 0).sum() == 10
    assert np.array_equal(_half(paths, 0), _half([f"elsewhere/{path}" for path in paths], 0))
    assert not np.array_equal(_half(paths, 0), _half(paths, 1))
    assert not _half(paths[:3], 0).any(), "too few to fit anything"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Images with a light square, and boxes.csv, which has boxes of all but the last."""
    rng, lines = np.random.default_rng(0), ["file,xmin,ymin,xmax,ymax,label"]
    for i in range(12):
        x, y = int(rng.integers(0, 12)) + 18 * (i % 2), int(rng.integers(0, 18))
        Image.fromarray(lit(x, y, side=6)).save(tmp_path / f"{i:02}.png")
        lines.append(f"{i:02}.png,{x},{y},{x + 6},{y + 6},{'right' if i % 2 else 'unknown'}")
    Image.fromarray(lit(0, 0)).save(tmp_path / "none.png")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.slow
def test_boxes_are_compared_with_those_drawn(place: Path) -> None:
    counts: list[int] = []
    found = locate(sides(), place, read_boxes(place / "boxes.csv"), progress=lambda done, _: counts.append(done))
    assert (found.fitted_on, found.judged_on) == (6, 6)
    assert found.maps.cor_loc == 1
    assert found.middle.cor_loc < 0.5
    assert found.maps.max_box_acc > found.middle.max_box_acc
    assert list(found.maps.accuracy) == list(OVERLAPS)
    assert [path for path, _ in found.skipped] == [str(place / "none.png")]
    assert "there is no box of it in" in found.skipped[0][1]
    assert counts[-1] == 12
    assert found.sentences[0].endswith("of the maximum, fitted on 6 images, judged on 6 others:")
    assert found.as_json()["cor_loc"] == 1
    few = locate(sides(), [place / "00.png", place / "01.png"], read_boxes(place / "boxes.csv"))
    assert (few.fitted_on, few.judged_on, few.maps.share) == (0, 2, SHARE)
    assert "20% of the maximum, which is usual, judged on 2 images" in few.sentences[0]


def test_the_class_is_the_one_that_a_box_is_labelled_with(place: Path) -> None:
    truth = read_boxes(place / "boxes.csv")
    wrong = Truth("x", {"00.png": [truth.of("00.png")[0]._replace(label="right")]}, [], suffixes=True)
    reached = [locate(sides(), place / "00.png", *how).maps.accuracy[0.3] for how in (
        (wrong,), (wrong, "hirescam", "left"), (truth,))]
    assert reached == [0, 1, 1], "the left square is no evidence for right"


def test_images_without_any_box(place: Path) -> None:
    truth = read_boxes(place / "boxes.csv")
    (place / "02.png").write_bytes(b"no image")
    found = locate(sides(), [place / "02.png", place / "03.png", lit(0, 0)], truth)
    assert [path for path, _ in found.skipped] == ["images[2]", str(place / "02.png")]
    with pytest.raises(DataError, match=r"none of the images has a box in .*boxes\.csv"):
        locate(sides(), place / "none.png", truth)


def test_the_overlap_of_the_largest_piece_and_of_any() -> None:
    drawn = [Box(0, 0, 4, 4), Box(10, 10, 14, 14)]
    half, whole, off = Box(0, 0, 4, 2), Box(10, 10, 14, 14), Box(5, 5, 6, 6)
    found = _overlaps([[half, whole], [whole, half], [], [off], [off, half]], drawn)
    assert found.tolist() == [[0.5, 1], [1, 1], [0, 0], [0, 0], [0, 0.5]]


@pytest.mark.parametrize(("best", "chosen"), [([7], 7), ([3, 4, 9], 4), ([3, 4, 9, 20], 9), ([0, 48], 48)])
def test_of_thresholds_that_do_as_well_the_middle_one(best: list[int], chosen: int) -> None:
    overlaps = np.zeros((2, len(SHARES), 2))
    overlaps[0, best, 1] = 0.5
    overlaps[0, 12, 1] = 0.49  # less often enough
    found = _figures(overlaps, np.array([True, False]))
    assert found.share == pytest.approx(0.02 + 0.02 * chosen)


def test_what_is_reached_is_that_of_the_images_that_fitted_nothing() -> None:
    overlaps = np.zeros((5, len(SHARES), 2))
    overlaps[0, 9] = 1
    overlaps[1:, 9, 0], overlaps[1:, 9, 1] = [0.5, 0.49, 0.1, 0.9], [0.5, 0.7, 0.3, 0.9]
    found = _figures(overlaps, np.arange(5) == 0)
    assert (found.accuracy, found.cor_loc) == ({0.3: 1, 0.5: 0.75, 0.7: 0.5}, 0.5)
    assert found.as_json() == {"share": 0.2, "cor_loc": 0.5, "max_box_acc_v2": 0.75,
                               "accuracy": {"0.3": 1, "0.5": 0.75, "0.7": 0.5}}


@pytest.mark.parametrize(("box", "leaves"), [
    (Box(-1, -1, 13, 9), False), (Box(-1.5, 0, 4, 4), True), (Box(0, -1.5, 4, 4), True), (Box(0, 0, 13.5, 4), True),
    (Box(0, 0, 4, 9.5), True), (Box(0, 0, 9, 13), True)])
def test_which_box_leaves_an_image(box: Box, leaves: bool) -> None:
    assert _leaves(box, (8, 12)) is leaves


def test_the_boxes_of_the_class_or_all() -> None:
    drawn = [Drawn(Box(0, 0, i, i), label) for i, label in enumerate(("a", "b", None, "a"), 1)]
    assert [each.xmax for each in _wanted(drawn, "a")] == [1, 4]
    assert [each.xmax for each in _wanted(drawn, "c")] == [1, 2, 3, 4]


def test_a_few_images_are_compared_by_plain_loops(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnncli.explain.boxes.SHARES", np.array([0.1, SHARE, 0.6]))
    truth, counts, files = read_boxes(place / "boxes.csv"), list[tuple[int, int]](), ["00.png", "01.png", "03.png"]
    found = locate(sides(), [*(place / name for name in files), place / "none.png", place / "gone.png"], truth, seed=1,
                   progress=lambda *each: counts.append(each))
    assert counts == [(1, 3), (2, 3), (3, 3)]
    assert [os.path.basename(path) for path, _ in found.skipped] == ["none.png", "gone.png"]
    for reached, maps in ((found.maps, None), (found.middle, middle((8, 12)))):
        overlaps = []
        for name in files:
            [drawn] = truth.of(name)
            why = cnncli.explain(sides(), place / name, target="right" if drawn.label == "right" else None)
            values = on_image(why.values, why.grid, why.preprocessing, (8, 12)) if maps is None else maps
            boxes = boxes_of(values, SHARE, why.preprocessing, (24, 36))
            overlaps.append([box.iou(drawn.box) for box in boxes])
        assert reached.accuracy == {least: np.mean([max(each) >= least for each in overlaps]) for least in OVERLAPS}
        assert reached.cor_loc == np.mean([each[0] >= 0.5 for each in overlaps])
    assert (found.fitted_on, found.judged_on, found.maps.share) == (0, 3, SHARE)


def test_what_is_said_of_how_boxes_fit() -> None:
    ours, theirs = (Figures(share, {0.3: 1.0, 0.5: high, 0.7: 0.25}, high)
                    for share, high in ((0.34, 0.75), (0.5, 0.5)))
    found = Located(1500, 1501, ours, theirs, [])
    assert found.sentences == [
        "Boxes by a threshold of 34% of the maximum, fitted on 1,500 images, judged on 1,501 others:",
        "  CorLoc       0.75  (pointing at the middle: 0.50)",
        "  MaxBoxAccV2  0.67  (pointing at the middle: 0.58; by overlap 0.3: 1.00, 0.5: 0.75, 0.7: 0.25)"]
    assert found.as_json() == {"fitted_on": 1500, "judged_on": 1501, **ours.as_json(), "middle": theirs.as_json()}
    assert Located(0, 3, ours, theirs, []).sentences[0] == (
        "Boxes by a threshold of 34% of the maximum, which is usual, judged on 3 images:")
