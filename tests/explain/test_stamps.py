"""explain/stamps.py and pasting.py by their parts, against plain loops; test_shortcuts.py has them together."""

import numpy as np
import pytest

from cnncli.explain.pasting import Known, _random
from cnncli.explain.places import Place
from cnncli.explain.stamps import _windows


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
