"""cnncli/data/augmentation.py and naming.py: what is drawn is a function of (seed, epoch, image), spread as the papers
say; names and lists say what they mean, and nonsense is refused with a remedy."""

import json
import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli.data import Augmentation, Preprocessing, describe, naming
from cnncli.data.augmentation import beta
from cnncli.errors import UsageError
from cnncli.kernels import OPERATIONS

COLOUR, GREY = Preprocessing((32, 32)), Preprocessing((28, 28), grey=True)
EVERYTHING = Augmentation(3, True, 10, 0.2, 8, 0.3, 0.4, 0.5, 0.1, 3, 12, 0.5, 8, 0.4, 1)
MANY = np.arange(20000)


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# ---- what is drawn ----


def test_an_image_is_varied_alike_in_whatever_company() -> None:
    whole = EVERYTHING.draw(3, 5, MANY[:500], (32, 30, 3))
    for first, end in ((0, 1), (17, 18), (100, 333)):
        assert same(whole.part(first, end), EVERYTHING.draw(3, 5, MANY[first:end], (32, 30, 3)))
    assert same(whole, EVERYTHING.draw(3, 5, MANY[:500], (32, 30, 3)))
    for other in (EVERYTHING.draw(4, 5, MANY[:500], (32, 30, 3)), EVERYTHING.draw(3, 6, MANY[:500], (32, 30, 3))):
        assert not any(np.array_equal(a, b) for a, b in zip(whole, other, strict=True))


def test_one_strength_does_not_move_another() -> None:
    """Somebody who adds erasing keeps the same shifts: each has random numbers of its own."""
    whole = EVERYTHING.draw(0, 1, MANY[:99], (32, 32, 3))
    for name in ("shift", "rotate", "erase", "hue"):
        alone = Augmentation(**{name: getattr(EVERYTHING, name)}).draw(0, 1, MANY[:99], (32, 32, 3))
        if name == "shift":
            assert np.array_equal(alone.moves[:, :2], whole.moves[:, :2])
        elif name == "erase":
            assert np.array_equal(alone.boxes[:, 0], whole.boxes[:, 1])
        else:
            column = np.flatnonzero(whole.operations[0] == OPERATIONS[name])[-1]
            assert np.array_equal(alone.strengths[:, 0], whole.strengths[:, column])


def test_what_was_drawn_in_the_release_before_is_drawn_again() -> None:
    """A run is resumed by a later release: the very numbers, of three images in one epoch."""
    indices, size = np.array([7, 1_000_003, 12]), (32, 30)
    drawn = EVERYTHING.draw(3, 5, indices, (*size, 3))
    assert drawn.moves.tolist() == [[-3, -2, 0], [0, -2, 0], [2, 3, 0]]
    assert drawn.operations.tolist() == [[1, 2, 3, 4, 7, 3, 11, 7, 8, 9, 10], [1, 2, 3, 4, 13, 12, 13, 7, 8, 9, 10],
                                         [1, 2, 3, 4, 1, 3, 11, 7, 8, 9, 10]]
    np.testing.assert_allclose(drawn.strengths, [
        [-3.6835054, 0.15448176, 5.30351578, -5.87941495, 1.36, -6.6796977, 6, 1.09955833, 0.67605329, 0.88336435,
         0.00989169],
        [9.81887669, -0.1504748, 7.4698135, -0.23018974, 0, 153, 0, 0.80197103, 1.11612531, 0.63132579, 0.04688869],
        [1.85426715, 0.12376426, -4.98055931, 3.65576587, -12, -6.6796977, 6, 1.15556439, 1.09327217, 0.6566047,
         0.0127782]], atol=1e-7)
    assert drawn.boxes.tolist() == [[[14, 4, 8, 8], [10, 20, 0, 0]], [[19, 6, 8, 8], [13, 1, 0, 0]],
                                    [[23, 7, 8, 8], [17, 5, 0, 0]]]
    assert drawn.noise.tolist() == [[0, 13586656163329676285], [0, 3172922113591042587], [0, 16352484128393114505]]
    mixing = EVERYTHING.mixing(3, 5, indices, size)
    assert mixing.partners.tolist() == [1, 2, 0]
    assert mixing.shares.tolist() == pytest.approx([0.69375, 0.9906099, 0.75], abs=1e-6)
    assert mixing.boxes.tolist() == [[18, 9, 14, 21], [0, 0, 0, 0], [20, 0, 12, 20]]
    flips = Augmentation(flip="alternate").moves(3, 4, np.arange(16), size)[:, 2]
    assert flips.tolist() == [0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "field", "strength", "low", "high"),
    [("rotate", "rotate", 20, -20, 20), ("scale", "scale", 0.25, -math.log(1.25), math.log(1.25)),
     ("shear-x", "shear", 8, -8, 8), ("shear-y", "shear", 8, -8, 8), ("brightness", "brightness", 0.4, 0.6, 1.4),
     ("contrast", "contrast", 0.3, 0.7, 1.3), ("saturation", "saturation", 1, 0, 2), ("hue", "hue", 0.1, -0.1, 0.1)],
)
def test_strengths_are_spread_evenly(name: str, field: str, strength: float, low: float, high: float) -> None:
    drawn = Augmentation(**{field: strength}).draw(0, 0, MANY, (32, 32, 3))
    column = list(drawn.operations[0]).index(OPERATIONS[name])
    shares = np.histogram(drawn.strengths[:, column], 10, (low, high))[0] / len(MANY)
    assert shares.sum() == 1
    assert shares.min() > 0.092
    assert shares.max() < 0.108


def test_an_alternating_flip_shows_each_side_in_turn() -> None:
    augmentation = Augmentation(flip="alternate")
    flips = np.stack([augmentation.moves(7, epoch, MANY, (32, 32))[:, 2] for epoch in range(4)])
    assert np.array_equal(flips[0], flips[2])
    assert np.array_equal(flips[0], 1 - flips[1])
    assert np.array_equal(flips[1], flips[3])
    assert abs(flips[0].mean() - 0.5) < 0.02
    assert not np.array_equal(flips[0], augmentation.moves(8, 0, MANY, (32, 32))[:, 2])


def test_randaugment_draws_from_its_list_with_its_strengths() -> None:
    drawn = Augmentation(randaugment=2, magnitude=15).draw(0, 0, MANY, (20, 40, 3))
    assert drawn.operations.shape == (20000, 2)
    zero, factor = {0.0}, {0.55, 1.45}
    known = {
        "none": zero, "autocontrast": zero, "equalise": zero, "shear-x": {-8.35, 8.35}, "shear-y": {-8.35, 8.35},
        "translate-x": {-9.0, 9.0}, "translate-y": {-4.5, 4.5}, "rotate": {-15.0, 15.0}, "posterise": {6.0},
        "solarise": {127.5}, "brightness": factor, "saturation": factor, "contrast": factor, "sharpness": factor}
    for name, strengths in known.items():
        here = drawn.operations == OPERATIONS[name]
        assert here.mean() == pytest.approx(1 / 14, rel=0.08), name
        assert set(np.round(drawn.strengths[here], 2).tolist()) == strengths, name
    assert abs(np.corrcoef(drawn.operations.T)[0, 1]) < 0.03


def test_erased_boxes_have_the_papers_sizes() -> None:
    size = (60, 40)
    boxes = Augmentation(erase=0.3).draw(0, 0, MANY, (*size, 3)).boxes[:, 0]
    erased = boxes[boxes[:, 2] > 0]
    assert len(erased) / len(MANY) == pytest.approx(0.3, abs=0.015)
    top, left, height, width = erased.T
    assert min(top.min(), left.min()) >= 0
    assert (top + height).max() <= 60
    assert (left + width).max() <= 40
    area = height * width / 2400
    assert area.min() > 0.015
    assert area.max() < 0.345
    assert np.mean(area) == pytest.approx((0.02 + 1 / 3) / 2, abs=0.012)
    assert np.mean(height > width) == pytest.approx(0.5, abs=0.05)
    free = (height < 40) & (width < 40)
    assert ((np.maximum(height, width) / np.minimum(height, width))[free] < 4.5).all()
    assert np.histogram(top[height == 12], 7, (0, 49))[0].min() > 0, "not everywhere"


def test_cutout_is_a_square_around_any_pixel_cut_off_at_the_border() -> None:
    drawn = Augmentation(cutout=8).draw(0, 0, MANY, (32, 32, 3))
    _, _, height, width = drawn.boxes[:, 0].T
    assert (drawn.noise == 0).all()
    assert height.max() == width.max() == 8
    assert height.min() == 4
    covered = np.zeros((32, 32))
    for top, left, h, w in drawn.boxes[:, 0]:
        covered[top : top + h, left : left + w] += 1
    assert covered[8:24, 8:24].std() / covered[8:24, 8:24].mean() < 0.05


def test_shifts_go_as_far_each_way_and_each_axis_draws_its_own() -> None:
    moves = Augmentation(shift=3, flip=True).moves(0, 0, MANY, (32, 32))
    for column in (0, 1):
        values, counts = np.unique(moves[:, column], return_counts=True)
        assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
        assert counts.min() > 0.9 * len(MANY) / 7
    assert Augmentation(shift=9).moves(0, 0, MANY, (2, 32)).min(axis=0).tolist() == [-2, -9, 0], "within the image"
    assert np.abs(np.corrcoef(moves.T) - np.eye(3)).max() < 0.03


def test_every_strength_draws_its_own() -> None:
    drawn = Augmentation(rotate=9, scale=0.2, shear=9, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1).draw(
        0, 0, MANY, (32, 32, 3))
    assert drawn.strengths.shape == (len(MANY), 8)
    assert np.abs(np.corrcoef(drawn.strengths.T) - np.eye(8)).max() < 0.03


def test_erased_boxes_are_at_most_ten_thirds_as_long_as_wide() -> None:
    sides = Augmentation(erase=1).draw(0, 0, MANY, (1000, 1000, 1)).boxes[:, 0, 2:]
    ratios = sides.min(axis=1) / sides.max(axis=1)
    assert ratios.min() == pytest.approx(0.3, abs=0.01)
    assert ratios.max() == pytest.approx(1, abs=0.01)
    assert (sides[:, 0] > sides[:, 1]).mean() == pytest.approx(0.5, abs=0.02)


def test_randaugment_at_its_largest_magnitude() -> None:
    drawn = Augmentation(randaugment=1, magnitude=30).draw(0, 0, MANY, (20, 40, 3))
    names = {number: name for name, number in OPERATIONS.items()}
    found = {names[number]: sorted({round(float(s), 4) for s in drawn.strengths[drawn.operations == number]})
             for number in np.unique(drawn.operations).tolist()}
    shear = round(math.degrees(math.atan(0.3)), 4)
    assert found == {
        "none": [0], "shear-x": [-shear, shear], "shear-y": [-shear, shear], "translate-x": [-18, 18],
        "translate-y": [-9, 9], "rotate": [-30, 30], "brightness": [0.1, 1.9], "saturation": [0.1, 1.9],
        "contrast": [0.1, 1.9], "sharpness": [0.1, 1.9], "posterise": [4], "solarise": [0], "autocontrast": [0],
        "equalise": [0]}


def test_randaugment_without_magnitude_changes_nothing() -> None:
    drawn = Augmentation(randaugment=1, magnitude=0).draw(0, 0, MANY[:999], (20, 40, 3))
    strengths = {name: set(drawn.strengths[drawn.operations == number].tolist())
                 for name, number in OPERATIONS.items()}
    neutral = {"posterise": {8}, "solarise": {255}, "brightness": {1}, "saturation": {1}, "contrast": {1},
               "sharpness": {1}}
    assert {name: found for name, found in strengths.items() if found - {0}} == neutral


# ---- mixing ----


@pytest.mark.parametrize("parameter", [0.1, 0.2, 0.5, 1, 2, 8])
def test_beta(parameter: float) -> None:
    """Against the moments, and for 1/2 and 1 the closed distribution functions."""
    drawn = beta((np.arange(100000) + 0.5) / 100000, parameter)
    assert drawn.mean() == pytest.approx(0.5, abs=1e-6)
    assert drawn.var() == pytest.approx(1 / (4 * (2 * parameter + 1)), rel=2e-3)
    assert (np.diff(drawn) >= 0).all()
    at = np.array([0.01, 0.2, 0.5, 0.9])
    closed = {1: at, 0.5: 2 / math.pi * np.arcsin(np.sqrt(at)), 2: 3 * at**2 - 2 * at**3}
    if parameter in closed:
        np.testing.assert_allclose(np.searchsorted(drawn, at) / 100000, closed[parameter], atol=1e-3)


def test_partners_are_others_and_everybody_may_be_one() -> None:
    mixing = Augmentation(mixup=0.4).mixing(0, 0, MANY, (32, 32))
    assert (mixing.partners != np.arange(len(MANY))).all()
    assert mixing.partners.min() >= 0
    assert np.histogram(mixing.partners, 10, (0, len(MANY)))[0].min() > 1800
    assert (mixing.boxes == 0).all()
    assert mixing.shares.var() == pytest.approx(1 / (4 * 1.8), rel=0.05)
    alone = Augmentation(mixup=0.4, cutmix=1).mixing(0, 0, MANY[:1], (32, 32))
    assert alone.partners.tolist() == [0]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_in_small_batches_every_other_image_is_a_partner_and_none_its_own(size: int) -> None:
    found = {(place, partner) for epoch in range(60) for place, partner in enumerate(
        Augmentation(mixup=0.4).mixing(0, epoch, MANY[:size], (32, 32)).partners.tolist())}
    assert found == {(place, partner) for place in range(size) for partner in range(size) if place != partner}


def test_an_image_draws_its_own_mixing() -> None:
    """How far along the batch its partner is, the share and the box follow the image, not its place."""
    there, back = (Augmentation(mixup=0.4, cutmix=1).mixing(0, 3, indices, (32, 32)) for indices in
                   (MANY[50:150], MANY[50:150][::-1]))
    distances = [(mixing.partners - np.arange(100)) % 100 for mixing in (there, back)]
    assert np.array_equal(distances[0], distances[1][::-1])
    assert np.array_equal(there.shares, back.shares[::-1])
    assert np.array_equal(there.boxes, back.boxes[::-1])
    assert len(set(distances[0])) > 40
    assert not same(there, Augmentation(mixup=0.4, cutmix=1).mixing(0, 4, MANY[50:150], (32, 32)))


def test_cutmix_shares_are_what_is_left_of_the_image() -> None:
    mixing = Augmentation(cutmix=1).mixing(0, 0, MANY, (30, 40))
    left = 1 - mixing.boxes[:, 2] * mixing.boxes[:, 3] / 1200
    np.testing.assert_allclose(mixing.shares, left, atol=1e-6)
    assert (mixing.boxes[:, 0] + mixing.boxes[:, 2] <= 30).all()
    assert (mixing.boxes[:, 1] + mixing.boxes[:, 3] <= 40).all()
    assert (mixing.boxes >= 0).all()
    whole = mixing.shares[(mixing.boxes[:, 0] > 0) & (mixing.boxes[:, 1] > 0)]
    assert whole.min() < 0.3


def test_cutmix_boxes_have_the_share_as_their_area() -> None:
    """Of Beta(1, 1): a box of the side s around any point leaves (s - s^2 / 4)^2 of the image, cut off at the borders;
    with s^2 evenly from 0 to 1 that is 77/240 in the mean."""
    mixing = Augmentation(cutmix=1).mixing(0, 0, MANY, (100, 100))
    assert 1 - mixing.shares.mean() == pytest.approx(77 / 240, abs=0.008)


def test_with_both_half_of_the_images_are_cut() -> None:
    mixing = Augmentation(mixup=0.4, cutmix=1).mixing(0, 0, MANY, (32, 32))
    cut = mixing.boxes[:, 2] > 0
    assert 0.44 < cut.mean() < 0.51
    np.testing.assert_allclose(mixing.shares[cut], (1 - mixing.boxes[:, 2] * mixing.boxes[:, 3] / 1024)[cut], atol=1e-6)


# ---- names and lists ----


def test_names() -> None:
    assert naming.named("auto", GREY) == Augmentation(2, False) == naming.default(GREY)
    assert naming.named("auto", COLOUR) == Augmentation(4, True)
    assert naming.named("none", COLOUR) is None
    digits, strong = naming.named("digits", COLOUR), naming.named("strong", COLOUR)
    assert digits is not None
    assert strong is not None
    assert not digits.flip
    assert digits.rotate == 10
    assert strong.flip
    assert strong.mixes
    grey = naming.named("strong", GREY), naming.named("photo", GREY)
    assert [one and one.flip for one in grey] == [False, True]


@pytest.mark.parametrize(
    ("text", "fields"),
    [("shift=4,flip,rotate=10,erase=0.25,mixup=0.2", dict(shift=4, flip=True, rotate=10, erase=0.25, mixup=0.2)),
     ("flip=alternate", dict(flip="alternate")), (" Shift = 3 , FLIP ", dict(shift=3, flip=True)),
     ("shift", dict(shift=4)), ("cutout", dict(cutout=16)), ("cutmix", dict(cutmix=1)), ("hue", dict(hue=0.05)),
     ("color=0.3", dict(brightness=0.3, contrast=0.3, saturation=0.3)),
     ("colour=0.3,contrast=0", dict(brightness=0.3, saturation=0.3)),
     ("randaugment", dict(randaugment=2)), ("randaugment=3", dict(randaugment=3)),
     ("randaugment=1:20", dict(randaugment=1, magnitude=20)), ("randaugment=:5", dict(randaugment=2, magnitude=5)),
     ("auto,erase", dict(shift=4, flip=True, erase=0.25)), ("auto,flip=off", dict(shift=4)),
     ("none,scale=0.1", dict(scale=0.1)), ("digits", dict(shift=2, rotate=10, scale=0.1, shear=10)),
     ("digits,shear=off,scale=0", dict(shift=2, rotate=10))],
)
def test_lists(text: str, fields: dict[str, Any]) -> None:
    assert naming.parse(text, COLOUR) == Augmentation(**fields)


@pytest.mark.parametrize("text", ["none", "shift=0", "flip=off", "auto,shift=0,flip=no"])
def test_a_list_of_nothing_is_none(text: str) -> None:
    assert naming.parse(text, COLOUR) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("rotat=10", r"there is no change 'rotat'.*Did you mean 'rotate'\?"), ("digit", "mean 'digits'"),
     ("", "no change ''"), ("shift=4,", "no change ''"), ("shift,photo", "photo must come first"),
     ("rotate=400", "degrees from 0"), ("rotate=-3", "degrees from 0"), ("shift=1.5", "give a number of pixels"),
     ("rotate=ten", "rotate=ten cannot be used; give an angle in degrees from 0 to 180"),
     ("rotate=nan", "degrees from"), ("shift=17", "more than half; give at most 16"),
     ("cutout=33", "more than the 32 pixels"), ("erase=1.2", "a probability from 0 to 1"), ("hue=0.6", "circle from"),
     ("colour=2", "colour=2 cannot be used; give a share"), ("flip=maybe", "give flip, flip=off or flip=alternate"),
     ("rotate=", "has no strength"), ("randaugment=2:x", "operations and magnitude"), ("randaugment=2:31", "30"),
     ("randaugment=17", "0 to 16"), ("mixup=11", "Beta"), ("mixup=inf", "Beta"), ("shift=\x1b[1m", "x1b")],
)
def test_nonsense_is_refused_with_a_remedy(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as error:
        naming.parse(text, COLOUR)
    assert str(error.value).isprintable()
    assert str(error.value).endswith((".", "?"))


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation)])
def test_fields_are_checked_in_python_too(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Augmentation(**{name: -1})
    with pytest.raises(UsageError, match=name):
        Augmentation(**{name: "much"})


def test_nothing_is_varied_unless_somebody_says_so() -> None:
    assert Augmentation().config() == {field.name: 0 for field in fields(Augmentation)} | {"magnitude": 9}
    assert Augmentation().flip is False
    assert not Augmentation().mixes
    assert Augmentation(mixup=0.1).mixes
    assert Augmentation(cutmix=0.1).mixes


@pytest.mark.parametrize(("name", "most"), [
    ("shift", 4096), ("rotate", 180), ("scale", 2), ("shear", 45), ("brightness", 1), ("contrast", 1),
    ("saturation", 1), ("hue", 0.5), ("randaugment", 16), ("magnitude", 30), ("erase", 1), ("cutout", 4096),
    ("mixup", 10), ("cutmix", 10)])
def test_the_most_that_makes_sense(name: str, most: float) -> None:
    found = getattr(Augmentation(**{name: most}), name)
    whole = name in ("shift", "randaugment", "cutout")
    assert found == most
    assert type(found) is (int if whole else float)
    for wrong in (most + 1, most + 0.01, True, *([most - 0.5] if whole else [])):
        with pytest.raises(UsageError, match=rf"^{name}={wrong} cannot be used; give .* from 0 to {most:g}\.$"):
            Augmentation(**{name: wrong})


def test_config_survives_its_json() -> None:
    for one in (EVERYTHING, Augmentation(), Augmentation(flip="alternate")):
        assert Augmentation.from_config(json.loads(json.dumps(one.config()))) == one
    assert Augmentation.from_config(None) is None
    assert Augmentation.from_config({"shift": 2, "flip": True}) == Augmentation(2, True)
    for wrong in ({"shift": 2, "blur": 1}, [1], {"rotate": 1e9}):
        with pytest.raises(UsageError):
            Augmentation.from_config(wrong)


def test_the_sentence_says_all_of_it() -> None:
    sentence = describe(EVERYTHING, COLOUR)
    for word in ("3 pixels", "flipped half", "10°", "20%", "8°", "brightness 0.3", "hue 0.1", "3 operations", "12",
                 "50%", "8 pixels", "mixup 0.4", "cutmix 1"):
        assert word in sentence
    assert "not flipped" in describe(Augmentation(2), GREY)
    assert "not flipped" not in describe(Augmentation(2), GREY, chosen=False)
    assert "not flipped" not in describe(Augmentation(2), COLOUR)
    assert "too small for that, and not flipped" in describe(Augmentation(), GREY)
    assert describe(EVERYTHING, COLOUR) == (
        "Images are shifted by up to 3 pixels, flipped half of the time, turned by up to 10°, scaled by up to 20%, "
        "slanted by up to 8°, changed in brightness 0.3, contrast 0.4, saturation 0.5, hue 0.1, put through 3 "
        "operations of RandAugment (magnitude 12), erased in part (50% of them), blanked out in a square of 8 pixels "
        "and mixed in pairs (mixup 0.4, cutmix 1) in training.")
    assert describe(Augmentation(1), COLOUR) == "Images are shifted by up to 1 pixel in training."
    assert describe(Augmentation(randaugment=1), COLOUR) == (
        "Images are put through 1 operation of RandAugment (magnitude 9) in training.")
    assert describe(Augmentation(flip="alternate"), GREY) == "Images are flipped in every other epoch in training."
    assert describe(Augmentation(2), GREY) == (
        "Images are shifted by up to 2 pixels in training, but not flipped: grey ones are often digits or letters.")
    assert describe(None, GREY) == describe(Augmentation(), GREY, chosen=False) == "Images are not changed in training."


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64), st.integers(1, 40), st.integers(1, 40), st.integers(0, 10**6))
def test_boxes_are_always_inside(seed: int, h: int, w: int, first: int) -> None:
    indices = np.arange(first, first + 50)
    boxes = EVERYTHING.draw(seed, 1, indices, (h, w, 3)).boxes.reshape(-1, 4)
    boxes = np.concatenate([boxes, EVERYTHING.mixing(seed, 1, indices, (h, w)).boxes])
    assert boxes.min() >= 0
    assert (boxes[:, :2] + boxes[:, 2:] <= (h, w)).all()
