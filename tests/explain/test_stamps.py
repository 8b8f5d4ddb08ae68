"""explain/stamps.py and pasting.py by their parts, against plain loops; test_shortcuts.py has them together."""

import numpy as np
import pytest

from cnncli.explain.pasting import Known, _random
from cnncli.explain.places import Place
from cnncli.explain.stamps import _place, _stamp, _windows, find, find_some


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
