"""cnncli/data/check/facts.py: what is measured of single images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cnncli.data.check import facts
from cnncli.data.check.facts import Facts, measure
from cnncli.data.check.usual import BLANK

from .pictures import scene, write


def of(folder: Path, **images: Image.Image) -> list[Facts]:
    write(folder, {f"{name}.png": image for name, image in images.items()})
    found = measure([str(folder / f"{name}.png") for name in images], 1).facts
    assert all(isinstance(item, Facts) for item in found)
    return [item for item in found if isinstance(item, Facts)]


def test_equal_pixels_have_equal_digests_whatever_mode_they_are_in(tmp_path: Path) -> None:
    grey = scene(1).convert("L")
    plain, as_rgb, turned, colour = of(tmp_path, plain=grey, rgb=grey.convert("RGB"),
                                       turned=grey.transpose(Image.Transpose.ROTATE_90), colour=scene(1))
    assert plain.digest == as_rgb.digest
    assert not plain.colour
    assert not as_rgb.colour
    assert colour.colour
    assert len({plain.digest, turned.digest, colour.digest}) == 3


def test_strips_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = {"colour": scene(6), "grey": scene(7).convert("L").convert("RGB")}
    images["late"] = images["grey"].copy()
    images["late"].putpixel((50, 79), (200, 10, 10))
    whole = of(tmp_path, **images)
    monkeypatch.setattr(facts, "_STRIP", 7 * 96)
    assert of(tmp_path, **images) == whole
    assert [item.colour for item in whole] == [True, False, True]


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_after_each_piece(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_PIECE", 2)
    told: list[tuple[int, int]] = []
    measure([str(tmp_path / f"{i}.png") for i in range(7)], threads, lambda *step: told.append(step))
    assert sorted({*told} - {(0, 7)}) == [(done, 7) for done in (2, 4, 6, 7)], "and before, of slow ones"
    assert told == sorted(told)


def test_colour_in_a_single_pixel_is_colour(tmp_path: Path) -> None:
    image = scene(2).convert("L").convert("RGB")
    image.putpixel((37, 41), (10, 200, 10))
    assert of(tmp_path, image=image)[0].colour


def test_brightness_and_span(tmp_path: Path) -> None:
    values = np.full((1000, 1000), 30, np.uint8)
    values[5::100, 5::101] = 255  # 100 of a million, one by one: too few to count for either
    values[7::100, 5::101] = 0
    one, other = of(tmp_path, one=Image.fromarray(values), other=Image.fromarray(np.arange(256, dtype=np.uint8)[None]))
    assert (one.bright, one.span) == (30, 0)
    assert other.span == 255
    assert 252 <= other.bright <= 254


@pytest.mark.slow
@pytest.mark.parametrize("side", [120, 256, 600])
def test_something_small_is_something(side: int, tmp_path: Path) -> None:
    """A scratch of 0.04 % of the pixels, a few words on a page: no flat colour, however few pixels they are."""
    values = np.random.default_rng(0).normal(200, 0.5, (side, side)).clip(0, 255).astype(np.uint8)
    marked = values.copy()
    marked[side // 3 : side // 3 + side // 50, side // 2 : side // 2 + side // 50] = 20
    flat, page = of(tmp_path, flat=Image.fromarray(values), page=Image.fromarray(marked))
    assert flat.span <= BLANK < 2 * BLANK < page.span


@pytest.mark.slow
@pytest.mark.parametrize("size", [(200, 180), (900, 700)])
def test_blur_grows_with_blurring(size: tuple[int, int]) -> None:
    scale = max(1.0, max(size) / 256)
    image = scene(3, *size).convert("L")
    blurs = [facts._blur(image.filter(ImageFilter.GaussianBlur(sigma * scale))) for sigma in (0, 1, 2, 4, 12)]
    assert blurs[0] < 0.45
    assert blurs[0] < blurs[1] < blurs[2] < blurs[3]
    assert blurs[4] > 0.6, "steps of one level are no edges"


def test_small_images_are_not_called_blurred(tmp_path: Path) -> None:
    small, large = of(tmp_path, small=scene(4, 60, 100), large=scene(4, 64, 100))
    assert small.blur is None
    assert large.blur is not None


def test_thumbnails_of_what_cannot_be_used_are_empty(tmp_path: Path) -> None:
    write(tmp_path, {"good.png": 5})
    (tmp_path / "bad.png").write_bytes(b"bad")
    measured = measure([str(tmp_path / "bad.png"), str(tmp_path / "good.png")], 2)
    assert not measured.thumbs[0].any()
    assert measured.thumbs[1].std() > 10
    assert measure([], 2).thumbs.shape == (0, 32, 32)
