"""explain/picture.py: the words and numbers of a picture, colours of one scale, maps that lie on the image, and how
little memory a large image takes."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data.boxes import Box
from cnncli.explain.boxes import boxed
from cnncli.explain.explanation import Beside, Explanation
from cnncli.explain.picture import SIDE, _Panels, _resized, draw, laid, pixels_of, strip
from tests.words import Words

from .test_explanation import beside, lit, sides


def drawn(words: Words, *targets: str, method: str = "hirescam") -> Any:
    found = [cnncli.explain(sides(), lit(27, 15), target=target, method=method) for target in targets]
    return found, np.asarray(draw(found, "a.png in sides", lit(27, 15)).image).astype(int)


def test_a_wrong_answer_is_said_to_be_one_and_has_both_classes_and_the_difference(words: Words) -> None:
    [found] = beside([lit(27, 15)], {"images[0]": "left"})
    pixels = np.asarray(draw(found, "a.png in sides", lit(27, 15)).image).astype(int)
    words.check((pixels.shape[1], pixels.shape[0]))
    assert {f"said right, {found[0].probability:.1%}, is left", "what speaks for right", "what speaks for left",
            "right rather than left", "the difference"} <= set(words.texts)
    assert not [text for text in words.texts if text.startswith("what speaks for neither")]
    red = (pixels[..., 0] - pixels[..., 2]).clip(0)
    width = SIDE // 36 * 36
    image, said, true, difference = (red[84:348, 24 + i * (width + 20) :][:, :width].max() for i in range(4))
    assert image == 0
    assert min(said, difference) > 50 > 10 > true


def test_every_word_is_on_it(words: Words) -> None:
    found, pixels = drawn(words, "right", "left")
    words.check((pixels.shape[1], pixels.shape[0]))
    most = max(each.strongest for each in found)
    assert {"what speaks for right", "what speaks for left", "36 x 24 pixels", "a.png in sides",
            f"right, {found[0].probability:.1%}", f"probability {found[0].probability:.1%}",
            f"against {-most:.3g}", "0", f"for {most:.3g}"} <= set(words.texts)


def test_a_method_without_what_speaks_against_has_half_a_scale(words: Words) -> None:
    drawn(words, "right", method="layercam")
    assert not any(text.startswith("against") for text in words.texts)
    assert any(text.startswith("for ") for text in words.texts)


@pytest.mark.parametrize(("method", "title"), [
    ("deconvnet", "what the network reacts to (deconvnet)"), ("guided", "what the network reacts to (guided)"),
    ("gradient", "what right is sensitive to"), ("smoothgrad", "what right is sensitive to")])
def test_a_method_that_takes_no_side_has_neither_for_nor_against(method: str, title: str, words: Words) -> None:
    [found], _ = drawn(words, "right", method=method)
    assert {title, f"for right, probability {found.probability:.1%}", f"{found.strongest:.3g}"} <= set(words.texts)
    assert not [text for text in words.texts if text.startswith(("what speaks for", "against", "for 0", "for 1"))]


@pytest.mark.parametrize("method", ["occlusion", "rise"])
def test_a_ground_that_the_grey_is_new_on_is_told(method: str, words: Words) -> None:
    drawn(words, "right", method=method)
    assert "itself something new, so colour" not in " ".join(words.texts), "the mean colour of this model is black"
    bright = np.full((24, 36, 3), 250, np.uint8)
    [of_bright, of_dark, of_many] = cnncli.explanations(
        sides(), [bright, lit(27, 15), np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)], method=method)
    assert isinstance(of_bright, Explanation)
    assert str(of_bright.doubt).startswith("The ground of this image is much lighter than the grey that covers")
    assert of_dark.doubt is None
    assert of_many.doubt is None, "a ground of many colours"
    draw([of_bright], "b.png", bright)
    assert "There the grey is itself something new" in " ".join(words.texts)


def test_where_nothing_speaks_for_a_class_it_is_said(words: Words) -> None:
    drawn(words, "neither")
    assert "nothing at relu1 speaks for neither" in words.texts


def test_all_maps_have_one_scale(words: Words) -> None:
    """What hardly speaks for a class stays pale beside what does."""
    _, pixels = drawn(words, "right", "left")
    red = (pixels[..., 0] - pixels[..., 2]).clip(0)
    width = SIDE // 36 * 36
    strong, weak = red[84:348, 24 + width + 20 :][:, :width], red[84:348, 24 + 2 * (width + 20) :][:, :width]
    assert strong.max() > 50
    assert weak.max() < 10


@pytest.mark.parametrize("share", [1.0, -1.0])
def test_red_is_for_and_blue_against(share: float) -> None:
    grey = np.full((2, 2, 1), 100, np.uint8)
    colour = laid(grey, np.array([[share, 0.0], [0.0, share / 2]])).astype(int)
    assert share * (colour[0, 0, 0] - colour[0, 0, 2]) > 30
    assert share * (colour[1, 1, 0] - colour[1, 1, 2]) > 30
    assert (colour[0, 1] == colour[0, 1, 0]).all(), "what makes no difference has no colour"
    assert colour[0, 1, 0] == round(255 - 155 * 0.35), "the image is pale beneath it"


def test_a_box_is_on_both_halves_of_a_strip() -> None:
    """A light line, two dark ones and a light one, from its own edges inwards: four pixels of the strip for each."""
    found = cnncli.explain(sides(), lit(27, 15))
    plain = strip([found], lit(27, 15))
    made = strip([replace(found, besides=(Beside([], {}, Box(6, 3, 18, 12)),))], lit(27, 15))
    for left in (0, 148):
        drawn = np.argwhere((made != plain).any(axis=2)[:, left : left + 144])
        assert (drawn.min(axis=0).tolist(), drawn.max(axis=0).tolist()) == ([12, 24], [47, 71])
        inner = made[12:48, left + 24 : left + 72].astype(int)
        for line in (inner[:4, 24], inner[::-1][:4, 24], inner[18, :4], inner[18, ::-1][:4]):
            assert [each.mean() > 200 for each in line] == [True, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_a_large_image_is_drawn_as_a_small_one_in_little_memory(form: str, tmp_path: Path) -> None:
    """Also where a JPEG is decoded smaller: boxes are in its own pixels."""
    y, x = np.mgrid[:240, :360]
    light = Image.fromarray((255 * np.exp(-((y - 150) ** 2 + (x - 280) ** 2) / 900)).astype(np.uint8))
    large, small = tmp_path / f"large.{form}", tmp_path / "small.png"
    light.resize((3600, 2400), Image.Resampling.BILINEAR).save(large, quality=95)
    light.save(small)
    found = [cnncli.explain(sides(True), path) for path in (large, small)]
    one, other = (replace(each, besides=(boxed()(each),)) for each in found)
    tracemalloc.start()
    strips = strip([one], pixels_of(one, 144)), strip([other], pixels_of(other, 144))
    draw([one], "a", pixels_of(one)).image.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 2400 * 3600, "bytes: less than one array of float64 that is as large as the image"
    assert abs(strips[0].astype(int) - strips[1]).mean() < 2


@pytest.mark.parametrize(("own", "size", "colours"), [
    ((420, 840), (420, 210), {100}), ((2, 4), (420, 210), {0, 200}), ((3, 420), (420, 3), {0, 200}),
    ((900, 1), (1, 420), {0})])
def test_an_image_is_made_larger_by_its_pixels_and_smaller_by_their_means(
        own: tuple[int, int], size: tuple[int, int], colours: set[int]) -> None:
    pixels = np.zeros((*own, 1), np.uint8)
    pixels[:, 1::2] = 200
    panels = _Panels(pixels, own)
    assert panels.image().size == panels.size == size
    assert set(np.unique(np.asarray(panels.image()))) == colours
    assert panels.width == max(size[0], 220)


def test_a_map_on_an_image_is_linear_between_its_values() -> None:
    """And its strongest colour stands for as much as is said; where that is nothing, there is no colour."""
    panels = _Panels(np.full((420, 420, 1), 255, np.uint8), (420, 420))
    values = np.linspace(-2, 2, 420, dtype=np.float32)[None].repeat(420, axis=0)
    assert np.array_equal(np.asarray(panels.laid(values, 4.0)), laid(np.full((420, 420, 1), 255, np.uint8), values / 4))
    assert (np.asarray(panels.laid(0 * values, 0.0)) == 255).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_strip_has_two_beside_each_other(count: int) -> None:
    """36 x 24 pixels, four times as large; four pixels of white between, and where nothing is."""
    found = [cnncli.explain(sides(), lit(27, 15), target=target) for target in ("right", "left", "neither", "right")]
    pixels = lit(27, 15)
    made = strip(found[:count], pixels)
    large = pixels.repeat(4, axis=0).repeat(4, axis=1)
    wanted = np.full((96 if count == 1 else 196 if count < 4 else 296, 292, 3), 255, np.uint8)
    most = found[0].strongest
    for i, each in enumerate((None, *found[:count])):
        top, left = (0, 100, 200)[i // 2], (0, 148)[i % 2]
        part = large if each is None else laid(large, _resized(each, most, (144, 96)))
        wanted[top : top + 96, left : left + 144] = part
    assert np.array_equal(made, wanted)
    if count == 1:
        faint = replace(found[0], values=0 * found[0].values)
        assert np.array_equal(strip([faint], pixels)[:, 148:], laid(large, np.zeros((96, 144)))), "nothing speaks"
        assert strip(found[:1], pixels, 18).shape == (12, 40, 3)
        halved = pixels.reshape(12, 2, 18, 2, 3).mean(axis=(1, 3))
        assert strip(found[:1], pixels, 18)[:, :18].max() == halved.max()


def test_the_image_of_a_picture_that_is_given_is_its_own() -> None:
    found = cnncli.explain(sides(), lit(27, 15))
    assert np.array_equal(pixels_of(found), lit(27, 15))
