"""cnncli/data/sizes.py: where the choice of a size changes, and what is said of it. test_preprocessing.py chooses for
files."""

import numpy as np
import pytest

from cnncli.data import Sample, choose_size, typical_side

BLUE = np.array([0, 0, 200], np.uint8)

CROPPED = "128 x 128 pixels, scaled and cropped at the centre"


def of(*sizes: tuple[int, int], grey: bool = False) -> list[Sample]:
    """Images in memory of these (h, w), in colour or not."""
    pictures = [np.zeros((*size, 3), np.uint8) + (0 if grey else BLUE) for size in sizes]
    return [Sample("", str(i), 0, pixels=picture.astype(np.uint8)) for i, picture in enumerate(pictures)]


@pytest.mark.parametrize(("sizes", "size", "resize", "why"), [
    ([(40, 30)], (40, 30), "squash", "30 x 40 pixels, the images' own size."),
    ([(30, 40)], (30, 40), "squash", "40 x 30 pixels, the images' own size."),
    ([(41, 41)], (64, 64), "squash", "64 x 64 pixels, because the images are 41 x 41."),
    ([(96, 95)], (64, 64), "crop", "64 x 64 pixels, because the images are 95 x 96."),
    ([(97, 49)], (128, 128), "crop", f"{CROPPED}, because the images are photographs (typically "
                                     "49 pixels on the shorter side); --size asks for another, "
                                     "--fit pad for the whole of each image."),
    ([(97, 48)], (128, 128), "crop",
     f"{CROPPED}, because the images are large (typically 48 x 97), which leaves most of such "
     "long ones out; --size 48x97 takes them whole."),
    ([(60, 1024)], (128, 128), "crop",
     f"{CROPPED}, because the images are large (typically 1024 x 60), which leaves most of such "
     "long ones out; --size 256x15 takes them whole."),
    ([(24, 24)] * 4 + [(240, 320 + i) for i in range(9)], (128, 128), "crop",
     f"{CROPPED}, because the images are photographs (typically 240 pixels on the shorter side); "
     "--size asks for another, --fit pad for the whole of each image."),
    ([(20, 20)] * 2 + [(40, 40), (40, 41), (40, 39)], (20, 20), "squash", "20 x 20 pixels, the own size of 40 % of the "
                                                                          "images."),
    ([(20, 20)] * 2 + [(41, 40), (41, 41), (41, 39)], (64, 64), "squash",
     "64 x 64 pixels, because 39 x 41 is the middle of the images' sizes, 20 x 20 to 41 x 41."),
    ([(50, 50)] * 2 + [(60, 60)] * 2, (64, 64), "squash", "64 x 64 pixels, because 50 % of the images are 50 x 50."),
    ([(50, 50)] * 3 + [(60, 60)] * 2, (64, 64), "squash", "64 x 64 pixels, because most images are 50 x 50."),
    ([(50, 50), (60, 60), (70, 70), (80, 80)], (64, 64), "squash",
     "64 x 64 pixels, because 25 % of the images are 50 x 50."),
    ([(50, 50), (60, 66), (70, 77), (80, 80), (90, 90)], (64, 64), "squash",
     "64 x 64 pixels, because 77 x 70 is the middle of the images' sizes, 50 x 50 to 90 x 90."),
    ([(50, 50), (60, 66), (70, 78), (80, 80), (90, 90)], (64, 64), "crop",
     "64 x 64 pixels, because 78 x 70 is the middle of the images' sizes, 50 x 50 to 90 x 90."),
    ([(10, 30), (30, 10), (20, 21), (21, 20), (35, 5)], (21, 20), "squash",
     "20 x 21 pixels, the middle of the images' sizes, 5 x 35 to 20 x 21."),
])
def test_sizes_and_reasons(sizes: list[tuple[int, int]], size: tuple[int, int], resize: str, why: str) -> None:
    preprocessing, notes = choose_size(of(*sizes))
    assert (preprocessing.size, preprocessing.resize) == (size, resize)
    assert notes == ["colour, because the images have it.", why]


@pytest.mark.parametrize(("sizes", "resize"), [
    ([(40, 40), (30, 20)], "squash"), ([(41, 41)], "squash"), ([(96, 20)], "squash"), ([(97, 97)], "crop"),
    ([(41, 41), (41, 41), (42, 41)], "crop")])
def test_how_a_size_that_is_asked_for_is_reached(sizes: list[tuple[int, int]], resize: str) -> None:
    for asked, size in ((32, (32, 32)), ((32, 48), (32, 48))):
        preprocessing, notes = choose_size(of(*sizes), asked)
        assert (preprocessing.size, preprocessing.resize) == (size, resize)
        assert notes == ["colour, because the images have it."]


def test_which_are_grey() -> None:
    plain = [Sample("", "p", 0, pixels=np.zeros(shape, np.uint8)) for shape in ((9, 9), (9, 9, 1))]
    for samples, why in ((plain, ""), (of((9, 9), grey=True), ", although they are stored as colour"),
                         ([*plain, *of((9, 9), grey=True)], ", although some are stored as colour")):
        preprocessing, notes = choose_size(samples)
        assert preprocessing.grey
        assert notes[0] == f"grey, because the images are{why}."
    assert choose_size([*plain, *of((9, 9))])[1][0] == "colour, because the images have it."
    for grey in (False, True):
        preprocessing, notes = choose_size(of((9, 9)), grey=grey)
        assert preprocessing.grey == grey
        assert notes == ["9 x 9 pixels, the images' own size."]


def test_two_hundred_are_looked_at_and_evenly_spread() -> None:
    small, large = of((8, 9), (30, 20))
    assert typical_side([small] * 199 + [large]) == 9
    assert typical_side(([small] * 2 + [large]) * 200) == 9
    assert typical_side(([large] + [small] * 2) * 200) == 30  # of 600 each third
    assert typical_side([large] + [small] * 200) == 9
    assert choose_size([large] + [small] * 199)[1][1] == "9 x 8 pixels, most images' own size."
    assert choose_size([small] * 200 + [large])[1][1] == "9 x 8 pixels, the images' own size."  # the last is not
