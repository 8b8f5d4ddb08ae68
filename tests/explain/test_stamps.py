"""explain/stamps.py and pasting.py by their parts, against plain loops; test_shortcuts.py has them together."""

import numpy as np
import pytest

from cnncli.explain.pasting import Known, _random
from cnncli.explain.places import Place
from cnncli.explain.stamps import (
    _bear,
    _goes_on,
    _place,
    _same,
    _stamp,
    _steps,
    _together,
    _wider,
    _windows,
    find,
    find_some,
    shrunk,
)


@pytest.mark.parametrize("side", [1, 3, 5])
def test_sums_over_all_windows(side: int) -> None:
    values = np.random.default_rng(side).integers(0, 2, (5, 8)).astype(bool)
    wanted = [[values[y : y + side, x : x + side].sum() for x in range(8 - side + 1)] for y in range(5 - side + 1)]
    assert np.array_equal(_windows(values, side), wanted)
    assert not _windows(values, 6).any()


def test_random_patches_are_pasted_at_the_place_and_elsewhere() -> None:
    """Every image has a number of its own as its colour: the patches show which they are from, and where they lie."""
    labels = np.arange(20) % 2
    known = Known(np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None], (20, 12, 12, 1)).copy(), labels,
                  np.eye(2)[labels])
    recipients, givers = np.flatnonzero(labels == 0)[:6], np.flatnonzero(labels == 1)[:6]
    place = Place(0, 0, 3, 4, (12, 12))
    same, elsewhere = _random(known, 1, place, recipients, givers, 0)
    for one, other, recipient, giver in zip(same[..., 0], elsewhere[..., 0], recipients, givers, strict=True):
        assert (np.delete(one.ravel(), [12 * y + x for y in range(3) for x in range(4)]) == recipient).all()
        assert len(np.unique(one[:3, :4])) == 1
        assert one[0, 0] % 2 == 0, "from an image that is not of the class"
        rows, columns = np.nonzero(other == giver)
        assert len(rows) == 12
        assert (np.ptp(rows), np.ptp(columns)) == (2, 3)
        assert rows.min() >= 3 or columns.min() >= 4, "it lies off the place"
        assert (other == recipient).sum() == 144 - 12


def _noise(images: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (images, 12, 12, 1)).astype(np.float32)


@pytest.mark.parametrize(("bear", "others_bear", "found"), [(6, 3, True), (5, 0, False), (10, 4, False)])
def test_so_many_of_a_class_and_so_few_of_the_others_bear_a_stamp(bear: int, others_bear: int, found: bool) -> None:
    """6 of 10 of the class at least, 3 of 20 of the others at most; of the class, how light it is does not count."""
    mask = np.zeros((12, 12), bool)
    mask[2:6, 3:7] = True
    usual = _noise(1, 0)[0]
    own, others = _noise(10, 1), _noise(20, 2)
    own[:bear, mask] = usual[mask] + np.arange(bear, dtype=np.float32)[:, None, None]
    others[:others_bear, mask] = usual[mask]
    stamp = _stamp(mask, own, others, usual, (12, 12))
    assert (stamp is not None) is found
    if stamp:
        assert (stamp.own, stamp.others) == (0.6, 0.15)
        assert (stamp.place.top, stamp.place.left, stamp.place.bottom, stamp.place.right) == (2, 3, 6, 7)


@pytest.mark.parametrize(("pixels", "found"), [(1, False), (2, True)])
def test_a_stamp_is_of_some_size(pixels: int, found: bool) -> None:
    """0.004 of an image of 400 pixels: 1.6."""
    mask = np.zeros((20, 20), bool)
    mask[4, 4 : 4 + pixels] = True
    usual = np.arange(400, dtype=np.float32).reshape(20, 20, 1) % 256
    own, others = np.repeat(usual[None], 6, axis=0), np.zeros((6, 20, 20, 1), np.float32) + 200
    assert (_stamp(mask, own, others, usual, (20, 20)) is not None) is found


@pytest.mark.parametrize("lacking", [0, 1])
def test_an_edge_that_one_image_lacks_belongs_to_the_stamp(lacking: int) -> None:
    own, others = _noise(10, 1), _noise(20, 2)
    mark = np.random.default_rng(3).integers(0, 2, (5, 5, 1)) * np.float32(255)
    own[:, 3:8, 4:9] = mark
    own[:lacking, 3:8, 8] = 255 - mark[:, 4]
    stamp = find(own, others, (12, 12))
    assert stamp is not None
    assert (stamp.place.top, stamp.place.left, stamp.place.bottom, stamp.place.right) == (3, 4, 8, 9)


@pytest.mark.parametrize(("pixels", "found"), [(10, True), (9, False)])
def test_a_stamp_of_some_fills_two_fifths_of_a_window(pixels: int, found: bool) -> None:
    """Of 25 pixels, which are 6 % of 20 x 20."""
    rng = np.random.default_rng(0)
    own, others = (rng.integers(0, 256, (n, 20, 20, 1)).astype(np.float32) for n in (20, 100))
    mark = rng.integers(0, 256, (10, 1)).astype(np.float32)
    rows, columns = (each.ravel()[:pixels] for each in np.mgrid[6:8, 9:14])
    others[:, 6:8, 9:14] = (mark.reshape(2, 5, 1) + 128) % 256  # which would have it by chance now and then
    own[8:, 6:8, 9:14] = others[0, 6:8, 9:14]
    own[:8, rows, columns] = mark[:pixels]
    some = find_some(own, others, (20, 20))
    assert (some is not None) is found
    if some:
        assert some[1].tolist() == [True] * 8 + [False] * 12
        assert (some[0].place.top, some[0].place.left, some[0].own, some[0].others) == (6, 9, 0.4, 0.0)


def test_of_a_large_place_only_the_pixels_that_are_the_same_are_meant() -> None:
    """A quarter of 40 x 80 pixels; the image was compared at half its size."""
    there = np.arange(10 * 20).reshape(10, 20) % 3 == 0
    large = _place((4, 6, 14, 26), there, (20, 40), (40, 80))
    assert (large.top, large.left, large.bottom, large.right) == (8, 12, 28, 52)
    assert large.mask is not None
    assert np.array_equal(large.mask, there.repeat(2, axis=0).repeat(2, axis=1))
    small = _place((4, 6, 14, 25), there[:, 1:], (20, 40), (40, 80))
    assert (small.right, small.mask) == (50, None)
    edge = _place((4, 6, 20, 26), np.ones((16, 20), bool), (20, 40), (41, 80))
    assert edge.bottom == 41, "what does not fill a whole square belongs to the last"
    assert edge.mask is not None
    assert edge.mask.shape == (33, 40)


@pytest.mark.parametrize(("size", "factor"), [((3, 64), 1), ((4, 65), 2), ((128, 6), 2), ((130, 7), 3), ((6, 192), 3)])
def test_images_are_shrunk_to_means_of_squares(size: tuple[int, int], factor: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    found = shrunk(images)
    assert (found.dtype, found.shape) == (np.float32, (2, size[0] // factor, size[1] // factor, 3))
    rows, columns = (slice(side // factor * factor) for side in size)
    means = sum(images[:, i:, j:][:, rows, columns][:, ::factor, ::factor][:, : size[0] // factor, : size[1] // factor]
                .astype(np.float64) for i in range(factor) for j in range(factor)) / factor**2
    np.testing.assert_allclose(found, means, rtol=1e-5)


def test_what_is_the_same_in_enough_of_the_class_and_few_of_the_others() -> None:
    """By pixels, in all colours, within a distance of each pixel's own."""
    own = np.array([10, 14, 15, 30]).reshape(4, 1, 1, 1) + np.zeros((1, 1, 2, 2))
    own[0, 0, 1, 1] = 40
    others, usual = np.full((4, 1, 2, 2), 99.0), np.full((1, 2, 2), 10.0)
    others[0, 0, 1] = 10
    for within, least, most, wanted in ((5.0, 0.75, 0.25, [0.75, 0]), (5.0, 0.76, 0.25, [0, 0]),
                                        (4.9, 0.5, 0.25, [0.5, 0]), (4.9, 0.25, 0.25, [0.5, 0.25]),
                                        (4.9, 0.25, 0.24, [0.5, 0])):
        assert _same(own, others, usual, np.full((1, 2), within), least, most).tolist() == [wanted]


def test_steps_that_are_the_same_whatever_shines_through() -> None:
    """At 8 levels or more; two levels and three tenths of its height may be missing."""
    base = np.array([0.0, 50, 90, 130]).reshape(4, 1, 1, 1)
    row = np.array([0.0, 0, 8, 0, -20, 87]).reshape(1, 1, 6, 1)
    own, others = base + row, np.zeros((4, 1, 6, 1))
    own[0, 0, 5] += 2 + 0.3 * 107
    assert _steps(own, others, 1).tolist() == [[0, 1, 1, 1, 1]]
    own[:2, 0, 5] += 1
    assert _steps(own, others, 1).tolist() == [[0, 1, 1, 1, 0.75]]
    assert _steps(own.transpose(0, 2, 1, 3), others.transpose(0, 2, 1, 3), 0).tolist() == [[0], [1], [1], [1], [0.75]]
    own[:, 0, 2] -= 0.5
    assert _steps(own, others, 1).tolist() == [[0, 0, 0, 1, 0.75]]


def test_a_mark_that_images_shine_through_is_found_by_its_steps() -> None:
    rng = np.random.default_rng(4)
    own, others = (np.zeros((n, 20, 20, 1)) + rng.uniform(0, 120, (n, 1, 1, 1)) for n in (12, 30))
    own += rng.integers(0, 6, own.shape)
    mark = np.kron(rng.integers(0, 2, (3, 4)), np.ones((2, 2)))[..., None] * 100
    own[:, 5:11, 8:16] += mark
    stamp = find(own.astype(np.float32), others.astype(np.float32), (20, 20))
    assert stamp is not None
    place = stamp.place
    assert (place.shares(Place(5, 8, 11, 16, (20, 20))), stamp.own, stamp.others) == (1, 1, 0)
    assert place.overlap(Place(5, 8, 11, 16, (20, 20))) > 0.5


@pytest.mark.parametrize(("plain", "bear", "found"), [(False, 8, True), (True, 8, False), (False, 5, True),
                                                     (False, 4, False)])
def test_of_what_some_bear_a_plain_patch_is_none(plain: bool, bear: int, found: bool) -> None:
    """As a piece of wall is; and a fifth of 25 images have to bear it."""
    rng = np.random.default_rng(0)
    own, others = (rng.integers(0, 200, (n, 20, 20, 3)).astype(np.float32) for n in (25, 60))
    own[:bear, 6:11, 9:14] = 230 if plain else 205 + 40 * rng.integers(0, 2, (5, 5, 1))
    own[1:bear, 6:11, 9:14] += 8  # levels, within which colours are the same
    some = find_some(own, others, (20, 20))
    assert (some is not None) is found
    if some:
        assert some[1].tolist() == [True] * bear + [False] * (25 - bear)
        assert some[0].own == bear / 25


def test_what_hangs_together_with_most_of_a_window() -> None:
    """Up to a gap of a pixel or two; what lies apart is something else."""
    mask = np.zeros((9, 14), bool)
    mask[1:3, 1:3] = mask[2, 5] = True  # two pixels between them
    mask[7, 10:13] = True
    near = mask.copy()
    near[7] = False
    assert np.array_equal(_together(mask, (slice(0, 4), slice(0, 6))), near)
    assert np.array_equal(_together(mask, (slice(5, 9), slice(5, 14))), mask ^ near)
    assert np.array_equal(_together(mask, (slice(2, 9), slice(3, 14))), mask ^ near), "three are more than one"
    assert not _together(mask, (slice(4, 6), slice(0, 14))).any()


def test_a_pixel_wider_on_every_side() -> None:
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = mask[1, 2] = True
    assert _wider(mask).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]]


def test_what_goes_on_around_it_is_a_background() -> None:
    """Of 12 pixels around the one, a fifth have its colour, in three of four images."""
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    around = [(y, x) for y in range(5) for x in range(5) if 1 <= abs(y - 2) + abs(x - 2) <= 2]
    usual = np.full((5, 5, 1), 50.0)
    for many, bear, wanted in ((3, 3, True), (2, 3, False), (3, 2, False), (12, 4, True)):
        own = np.full((4, 5, 5, 1), 99.0)
        for y, x in around[:many]:
            own[:bear, y, x] = 58
        assert _goes_on(mask, own, usual) is wanted
    assert _goes_on(np.ones((5, 5), bool), np.zeros((4, 5, 5, 1)), usual), "it is all there is"


def test_which_images_bear_it_but_for_their_light() -> None:
    usual = np.array([[0.0], [100], [50], [50]])
    light, off, further = usual + 70, usual + np.array([[9.0], [-9], [7], [-7]]), usual + np.array(
        [[9.0], [-9], [8], [-8]])
    assert _bear(np.stack([usual, light, off, further]), usual).tolist() == [True, True, True, False]


def test_of_too_few_images_nothing_is_said() -> None:
    mark = np.random.default_rng(0).integers(0, 256, (5, 5, 1))
    for own, others, found in ((5, 5, True), (4, 5, False), (5, 4, False)):
        ours, theirs = _noise(own, 1), _noise(others, 2)
        ours[:, 3:8, 3:8] = mark
        assert (find(ours, theirs, (12, 12)) is not None) is found
        assert find_some(ours, theirs, (12, 12)) is None, "what one has, a fifth have"


@pytest.mark.parametrize(("others", "found"), [(150, False), (151, True)])
def test_of_very_many_others_every_second_is_compared(others: int, found: bool) -> None:
    """Every other one bears it, too: of 150 all are asked, of 151 the first, the third …"""
    ours, theirs = _noise(6, 1), _noise(others, 2)
    mark = np.random.default_rng(0).integers(0, 256, (5, 5, 1))
    ours[:, 3:8, 3:8] = theirs[1::2, 3:8, 3:8] = mark
    assert (find(ours, theirs, (12, 12)) is not None) is found


@pytest.mark.parametrize(("own", "others", "found"), [(24, 150, True), (25, 150, False), (24, 151, True)])
def test_of_very_many_images_some_are_asked_for_what_some_bear(own: int, others: int, found: bool) -> None:
    """A dozen: of 24 every second, of 25 every third, which here are those that do not bear it."""
    rng = np.random.default_rng(0)
    ours, theirs = (rng.integers(0, 200, (n, 12, 12, 3)).astype(np.float32) for n in (own, others))
    bear = np.arange(own) % 2 == 0 if own == 24 else np.arange(own) % 3 > 0
    ours[bear, 3:7, 3:7] = 205 + 50 * rng.integers(0, 2, (4, 4, 1))
    some = find_some(ours, theirs, (12, 12))
    assert (some is not None) is found
    if some:
        assert some[1].tolist() == bear.tolist()


@pytest.mark.parametrize(("pixels", "found"), [(3, False), (4, True)])
def test_of_tiny_images_windows_of_three_by_three_are_looked_at(pixels: int, found: bool) -> None:
    """Two fifths of its nine pixels have to be the same."""
    rng = np.random.default_rng(1)
    own, others = (rng.integers(0, 200, (n, 6, 6, 3)).astype(np.float32) for n in (30, 60))
    mark = np.array([255, 205, 255, 205])[:pixels, None]
    rows, columns = [2, 2, 3, 3][:pixels], [1, 2, 1, 2][:pixels]
    own[:9, rows, columns] = mark
    assert (find_some(own, others, (6, 6)) is not None) is found
    own[:, rows, columns] = 215 + rng.integers(0, 4, (30, 1, 1))  # nearly as light all over: hardly any steps
    own[:, [1, 1, 2, 3, 4], [1, 2, 3, 3, 2]] = own[:, rows[:1], columns[:1]] + rng.choice([-100, -60, 30], (30, 5, 1))
    assert (find(own, others, (6, 6)) is not None) is found


def test_what_is_less_often_the_same_than_most_of_a_window_is_no_part_of_it() -> None:
    """An x of five pixels, of which the middle is the same in all of 50 images and the arms in 38: nine tenths of what
    is the same at all reach to 0.904, and what is a tenth below that does not belong."""
    rng = np.random.default_rng(0)
    own, others = (rng.integers(0, 256, (n, 12, 12, 3)).astype(np.float32) for n in (50, 60))
    own[:, 5, 5] = (250, 10, 130)
    for y, x in ((4, 4), (4, 6), (6, 4), (6, 6)):
        own[rng.permutation(50)[:38], y, x] = rng.integers(0, 256, 3)
    stamp = find(own, others, (12, 12))
    assert stamp is not None
    place = stamp.place
    assert (place.top, place.left, place.bottom, place.right, stamp.own) == (5, 5, 6, 6, 1)
