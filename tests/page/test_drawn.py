"""How pictures to be drawn should be: what images have in common."""

import numpy as np
import pytest

from cnncli.page.drawn import drawing


def squares(ground: int, ink: int, *places: tuple[int, int], size: int = 6) -> list[np.ndarray]:
    """Images of 20 x 20 with a square each, by its upper left corner."""
    made = []
    for top, left in places:
        image = np.full((20, 20, 1), ground, np.uint8)
        image[top : top + size, left : left + size - 2] = ink
        made.append(image)
    return made


@pytest.mark.parametrize(("ground", "ink"), [(0, 200), (255, 30)])
def test_what_images_have_in_common(ground: int, ink: int) -> None:
    found = drawing(squares(ground, ink, (4, 6), (6, 8)))
    assert found is not None
    assert found["ground"] == ground
    assert found["ink"] == ink
    assert found["extent"] == pytest.approx(6 / 20)
    assert found["centre"] == pytest.approx([(5 + 3) / 20, (7 + 2) / 20])


def test_what_nobody_draws() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 1)).astype(np.uint8)
    assert drawing([]) is None
    assert drawing([noise]) is None
    assert drawing([np.zeros((20, 20, 1), np.uint8)]) is None
    assert drawing([np.zeros((20, 20, 3), np.uint8)]) is None
    assert drawing([np.zeros((20, 18, 1), np.uint8)]) is None


def test_an_empty_image_among_others_changes_nothing() -> None:
    some = squares(0, 200, (4, 6))
    assert drawing([*some, np.zeros((20, 20, 1), np.uint8)]) == drawing(some)


@pytest.mark.parametrize("side", range(4))
def test_the_border_is_what_lies_outermost(side: int) -> None:
    """Ink along a side makes the ground uneven; one pixel from it does not."""
    beside, on = np.zeros((2, 20, 20, 1), np.uint8)
    beside[1:19, 1] = 200
    on[:, 0] = 200
    assert drawing([np.rot90(beside, side)]) is not None
    assert drawing([np.rot90(on, side)]) is None
