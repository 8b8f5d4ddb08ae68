"""explain/evidence.py: where most of the evidence lies, against a plain loop; test_shortcuts.py has it at work."""

import numpy as np

from cnncli.explain.evidence import _densest


def test_the_densest_square() -> None:
    """Four by four of 16 x 16 cells."""
    evidence = np.random.default_rng(1).uniform(0, 1, (16, 16))
    sums = {(y, x): evidence[y : y + 4, x : x + 4].sum() for y in range(13) for x in range(13)}
    row, column = max(sums, key=sums.__getitem__)
    place = _densest(evidence, (32, 64))
    assert (place.top, place.left, place.bottom, place.right) == (2 * row, 4 * column, 2 * row + 8, 4 * column + 16)
