"""cnncli/data/preprocessing.py: the resize policies, mean and deviation, the automatic choice, the stored form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Preprocessing, Sample, choose_size, typical_side
from cnncli.data import preprocessing as preparing
from cnncli.data.depth import Scales, Seen, Values
from cnncli.errors import DataError, ImageError, ModelError, UsageError

from .tiffs import write


def save(path: Path, w: int, h: int, mode: str = "RGB", value: Any = 0) -> Sample:
    image = Image.new(mode, (w, h), value)
    if mode == "RGB" and not value:
        image.paste((200, 40, 90), (0, 0, w // 2, h // 2))  # something that has a colour
    image.save(path)
    return Sample(str(path), path.name, 0)


# ---- prepare ----


def test_an_image_of_the_right_size_is_left_alone(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for resize in preparing.RESIZES:
        assert np.array_equal(Preprocessing((20, 30), False, resize).prepare(tmp_path / "a.png"), pixels)


def test_squash_uses_the_whole_image(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80), np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    out = Preprocessing((10, 10), True).prepare(tmp_path / "a.png")
    assert out.shape == (10, 10, 1)
    assert (out[:, :4] < 5).all()
    assert (out[:, 6:] > 195).all()


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("image", "size", "inner", "place"), [
    ((40, 80), (10, 10), (5, 10), (2, 0)), ((80, 40), (10, 10), (10, 5), (0, 2)), ((3, 1000), (8, 6), (1, 6), (3, 0)),
    ((6, 9), (12, 18), (12, 18), (0, 0)), ((5, 5), (5, 9), (5, 5), (0, 2)), ((30, 41), (20, 20), (15, 20), (2, 0))])
def test_pad_keeps_proportions_and_everything(image: tuple[int, int], size: tuple[int, int], inner: tuple[int, int],
                                              place: tuple[int, int], grey: bool, rng: np.random.Generator) -> None:
    """The whole image is in the middle, as squashing to that part makes it, and the rest is grey."""
    pixels = rng.integers(0, 256, (*image, 3), np.uint8)
    made = Preprocessing(size, grey, "pad")
    assert made.inside(image[::-1]) == (inner[::-1], place[::-1])
    wanted = np.full(made.shape, 127, np.uint8)
    rows, columns = (slice(start, start + side) for start, side in zip(place, inner, strict=True))
    wanted[rows, columns] = Preprocessing(inner, grey, "squash").prepare_array(pixels)
    assert np.array_equal(made.prepare_array(pixels), wanted)
    left, top, right, bottom = made.box(image[::-1])
    for begin, end, side, own, part, start in ((top, bottom, size[0], image[0], inner[0], place[0]),
                                               (left, right, size[1], image[1], inner[1], place[1])):
        step = (end - begin) / side
        assert (begin + start * step, begin + (start + part) * step) == pytest.approx((0, own))


@pytest.mark.parametrize("upright", [False, True])
def test_crop_keeps_proportions_and_takes_the_centre(upright: bool, tmp_path: Path) -> None:
    """In a 160 x 80 image the square of 0.875 * 80 = 70 pixels in the middle is what is seen."""
    pixels = np.full((80, 160), 255, np.uint8)
    pixels[5:75, 45:115] = 0
    Image.fromarray(np.ascontiguousarray(pixels.T if upright else pixels)).save(tmp_path / "a.png")
    out = Preprocessing((35, 35), True, "crop").prepare(tmp_path / "a.png")
    assert out.shape == (35, 35, 1)
    assert out[2:-2, 2:-2].max() <= 8  # nothing of the white around, but for the antialiasing's reach
    pixels[5:75, 45:115] = 0
    pixels[10:70, 50:110] = 255
    Image.fromarray(pixels).save(tmp_path / "b.png")
    assert Preprocessing((35, 35), True, "crop").prepare(tmp_path / "b.png")[1].max() < 64


@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_any_pillow_scales_alike(resize: str, rng: np.random.Generator,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes lie between the passes over lines and columns; which comes first is Pillow 13's, whichever is installed."""
    how = Preprocessing((13, 9), False, resize)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8)
              for size in [(13, 9), (14, 9), (14, 8), (200, 9), (9, 200), (27, 16), (27, 17), (40, 31), (2, 90)]]
    if not preparing._KNOWN_ORDER:
        pytest.skip("this Pillow is not the one to compare with")
    usual = [how.prepare_array(image) for image in images]
    monkeypatch.setattr(preparing, "_KNOWN_ORDER", False)
    for image, expected in zip(images, usual, strict=True):
        assert np.array_equal(how.prepare_array(image), expected), image.shape


def test_crop_of_other_proportions(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 31, 200, "L", 7)
    for size in ((16, 32), (32, 16), (64, 64), (1, 1)):
        out = Preprocessing(size, False, "crop").prepare(tmp_path / "a.png")
        assert out.shape == (*size, 3)
        assert (out == 7).all()


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "a.png")
    out = Preprocessing((16, 16), True).prepare(tmp_path / "a.png")
    assert abs(out.astype(int) - 127).max() <= 3


def test_arrays_go_the_same_way_as_files(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for preprocessing in (Preprocessing((16, 16)), Preprocessing((16, 16), True, "crop")):
        assert np.array_equal(preprocessing.prepare_array(pixels), preprocessing.prepare(tmp_path / "a.png"))
    assert Preprocessing((8, 8)).prepare_array(pixels[..., :1]).shape == (8, 8, 3)
    assert Preprocessing((8, 8), True).prepare_array(pixels[..., 0]).shape == (8, 8, 1)


@pytest.mark.slow
def test_large_jpegs_come_out_as_if_decoded_whole(tmp_path: Path) -> None:
    """The reduced decoding of a photograph may differ from the full one by a few grey levels, not more."""
    y, x = np.mgrid[:700, :900]
    photo = np.stack([127 + 120 * np.sin(x / 60), 127 + 120 * np.sin(y / 45), (x + y) / 7], axis=-1).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(photo).save(tmp_path / "a.png")
    for resize in ("squash", "crop"):
        preprocessing = Preprocessing((64, 64), False, resize)
        difference = preprocessing.prepare(tmp_path / "a.jpg").astype(int) - preprocessing.prepare(tmp_path / "a.png")
        assert abs(difference).max() <= 8


# ---- mean, deviation, normalise ----


def test_normalise(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (5, 4, 6, 3), np.uint8)
    preprocessing = Preprocessing((4, 6), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    out = preprocessing.normalise(images)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, (images / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7], rtol=1e-6, atol=1e-6)
    assert preprocessing.normalise(images[:0]).shape == (0, 4, 6, 3)
    np.testing.assert_allclose(Preprocessing((4, 6)).normalise(images), images / 255, rtol=1e-6)


def test_fitted(rng: np.random.Generator) -> None:
    images = rng.integers(0, 200, (50, 4, 6, 3), np.uint8)
    images[..., 2] = 9
    histogram = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(3)])
    fitted = Preprocessing((4, 6)).fitted(histogram)
    scaled = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(fitted.mean, scaled.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fitted.std, [*scaled.std(axis=0)[:2], 1], atol=1e-6)
    np.testing.assert_allclose(fitted.normalise(images).mean(axis=(0, 1, 2)), 0, atol=1e-5)
    assert Preprocessing((4, 6), True).fitted(np.zeros((1, 256), np.int64)).std == (1.0,)


# ---- the stored form ----


def test_config_round_trip() -> None:
    for preprocessing in (Preprocessing((28, 28), True, mean=(0.286041,), std=(0.353024,)),
                          Preprocessing((64, 48), False, "crop", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))):
        again = Preprocessing.from_config(json.loads(json.dumps(preprocessing.config())))
        assert again == preprocessing
        assert again.shape == preprocessing.shape


@pytest.mark.parametrize(("key", "value"), [
    ("size", [28]), ("size", [0, 28]), ("size", [28.0, 28]), ("size", [True, 28]), ("size", [10**9, 28]),
    ("size", None), ("size", "x" * 10**6),
    ("grey", 1), ("grey", "yes"), ("resize", "stretch"), ("resize", []), ("mean", [0.5, 0.5]), ("mean", ["a"] * 3),
    ("mean", [float("nan")] * 3), ("mean", [2.0] * 3), ("mean", {}), ("std", [0.0] * 3), ("std", [-1.0] * 3),
    ("std", [float("inf")] * 3), ("std", [True] * 3),
])
def test_a_config_that_makes_no_sense(key: str, value: Any) -> None:
    config = {**Preprocessing((28, 28)).config(), key: value}
    with pytest.raises(ModelError, match=f"preprocessing has {key} = ") as caught:
        Preprocessing.from_config(config)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("config", [None, [], {}, {"size": [1, 1]}, {**Preprocessing((2, 2)).config(), "pickle": 1}])
def test_a_config_with_other_entries(config: Any) -> None:
    with pytest.raises(ModelError, match="entries"):
        Preprocessing.from_config(config)


@pytest.mark.parametrize(("key", "good", "bad"), [
    ("size", [1, 4096], [1, 4097]), ("mean", [0, 0.5, 1], [0, 0.5, 1.01]), ("mean", [0, 0, 0], [-0.01, 0, 0]),
    ("std", [1e-6, 1, 1e6], [9e-7, 1, 1]), ("std", [1, 1, 1], [1, 1, 1.1e6]), ("range", [1, 2], [2, 2]),
    ("float_range", [-1, 0], [0, 0]), ("float_range", [0, 1], [0, 1, 2])])
def test_the_limits_of_what_makes_sense(key: str, good: list[float], bad: list[float]) -> None:
    config = Preprocessing((28, 28)).config()
    assert Preprocessing.from_config({**config, key: good}).config()[key] == good
    with pytest.raises(ModelError, match=f"preprocessing has {key} = "):
        Preprocessing.from_config({**config, key: bad})


@pytest.mark.parametrize(("given", "said"), [
    ({}, "colour images, scaled to 48 x 64 pixels."),
    ({"grey": True, "resize": "crop"}, "grey images, scaled and cropped to 48 x 64 pixels."),
    ({"resize": "pad"}, "colour images, scaled and padded to 48 x 64 pixels."),
    ({"range": (0, 4095)}, "colour images, scaled to 48 x 64 pixels, values deeper than 8 bits from 0:4095."),
    ({"range": (0, 4095), "float_range": (0, 1)}, "colour images, scaled to 48 x 64 pixels, values deeper than 8 bits "
                                                  "from 0:4095 (floats from 0:1)."),
])
def test_what_is_said_of_it(given: dict[str, Any], said: str) -> None:
    assert Preprocessing((64, 48), **given).describe() == said


def test_a_channel_that_hardly_varies_has_the_deviation_1() -> None:
    for others, steady in ((1, False), (0, True)):
        histogram = np.zeros((1, 256), np.int64)
        histogram[0, 7], histogram[0, 8] = 1500, others  # a variance of 1.02e-8
        fitted = Preprocessing((4, 6), True).fitted(histogram)
        assert (fitted.std == (1.0,)) == steady
    histogram[0, 8] = 1500
    assert Preprocessing((4, 6), True).fitted(histogram).std == (0.001961,)
    assert Preprocessing((4, 6), True).fitted(histogram).mean == (0.029412,)
    histogram[0, 7], histogram[0, 8] = 1600, 1  # 9.6e-9
    assert Preprocessing((4, 6), True).fitted(histogram).std == (1.0,)


def test_a_range_that_is_found_is_kept() -> None:
    seen = Seen()
    seen.look(Values(np.array([[0, 4000]], np.uint16), 16))
    plain = Preprocessing((8, 8))
    assert (plain.scales, plain.scaled(Seen())) == (Scales(), plain)
    assert plain.scaled(seen) == Preprocessing((8, 8), range=(0, 4095))
    assert plain.scaled(seen).scales == Scales((0, 4095), (0, 4095))
    seen.look(Values(np.array([[0.0, 1.0]]), 64))
    both = plain.scaled(seen)
    assert both == Preprocessing((8, 8), range=(0, 4095), float_range=(0, 1))
    assert both.scales == Scales((0, 4095), (0, 1))
    given = Preprocessing((8, 8), range=(0, 9))
    assert given.scaled(seen) is given


# ---- the automatic choice ----


def chosen(samples: list[Sample], **options: Any) -> tuple[tuple[int, int], bool, str]:
    preprocessing, notes = choose_size(samples, **options)
    assert all(note.endswith(".") for note in notes)
    return preprocessing.size, preprocessing.grey, preprocessing.resize


def test_small_images_keep_their_size(tmp_path: Path) -> None:
    samples = [save(tmp_path / f"{i}.png", 28, 28, "L") for i in range(5)]
    assert chosen(samples) == ((28, 28), True, "squash")
    preprocessing, notes = choose_size(samples)
    assert preprocessing.describe() == "grey images, scaled to 28 x 28 pixels."
    assert notes == ["grey, because the images are.", "28 x 28 pixels, the images' own size."]
    samples += [save(tmp_path / "c.png", 32, 20), save(tmp_path / "d.png", 20, 32)]
    assert chosen(samples) == ((28, 28), False, "squash")
    assert chosen([save(tmp_path / "e.png", 40, 24, "1")]) == ((24, 40), True, "squash")


def test_grey_pictures_stored_as_colour_are_grey(tmp_path: Path, rng: np.random.Generator) -> None:
    samples = []
    for i, suffix in enumerate(["png", "jpg", "webp", "tif", "gif", "bmp"]):
        values = rng.integers(0, 256, (28, 28, 1), np.uint8)
        Image.fromarray(np.repeat(values, 3, axis=2)).save(tmp_path / f"{i}.{suffix}", quality=60)
        samples.append(Sample(str(tmp_path / f"{i}.{suffix}"), f"{i}.{suffix}", 0))
    preprocessing, notes = choose_size(samples)
    assert preprocessing.grey
    assert notes[0].startswith("grey, because the images are, although ")
    in_memory = [Sample("", str(i), 0, pixels=np.repeat(values, 3, axis=2)) for i in range(3)]
    assert choose_size(in_memory)[0].grey
    assert choose_size(samples, grey=False)[0].channels == 3
    one = save(tmp_path / "one.png", 28, 28)
    assert not choose_size([*samples, one])[0].grey
    deep = np.full((28, 28, 3), 200, np.uint16)
    deep[3, 4] = 240, 200, 200  # of a set whose white is 255 in 16 bits
    tiff = Sample(str(write(tmp_path / "deep.tif", deep)), "deep.tif", 0)
    assert not choose_size([*samples, tiff])[0].grey


def test_the_size_comes_from_all_sizes(tmp_path: Path) -> None:
    """Two images of 200 that share a size say nothing of the others."""
    rng = np.random.default_rng(2)
    sides = rng.permutation(np.arange(70, 90))
    samples = [save(tmp_path / f"{i}.png", int(side), int(side) + i % 3) for i, side in enumerate(sides)]
    twins = [save(tmp_path / f"twin{i}.png", 20, 18) for i in range(2)]
    preprocessing, notes = choose_size([*twins, *samples])
    assert preprocessing.size == (64, 64)
    assert preprocessing.resize == "squash"
    assert notes[1] == ("64 x 64 pixels, because 79 x 80 is the middle of the images' sizes, 20 x 18 to 89 x 91.")
    assert typical_side([*twins, *samples]) == 80
    small = [save(tmp_path / f"s{i}.png", 20 + i, 24 + i) for i in range(9)]
    preprocessing, notes = choose_size(small)
    assert preprocessing.size == (28, 24)
    assert notes[1] == "24 x 28 pixels, the middle of the images' sizes, 20 x 24 to 28 x 32."
    preprocessing, notes = choose_size([*small, *[save(tmp_path / f"c{i}.png", 30, 30) for i in range(4)]])
    assert preprocessing.size == (30, 30)
    assert notes[1] == "30 x 30 pixels, the own size of 31 % of the images."
    long = [save(tmp_path / f"l{i}.png", 90 + i, 50 + i) for i in range(6)]
    assert chosen(long) == ((64, 64), False, "crop")


def test_middling_images_become_64(tmp_path: Path) -> None:
    assert chosen([save(tmp_path / "a.png", 96, 96)]) == ((64, 64), False, "squash")
    assert chosen([save(tmp_path / "b.png", 80, 60)]) == ((64, 64), False, "crop")


def test_photographs_become_128_cropped(tmp_path: Path) -> None:
    samples = [save(tmp_path / f"{i}.jpg", 640 + i, 480) for i in range(5)]
    assert chosen(samples) == ((128, 128), False, "crop")
    assert "480 pixels on the shorter side" in choose_size(samples)[1][1]


def test_what_is_asked_for_wins(tmp_path: Path) -> None:
    small, large = [save(tmp_path / "a.png", 28, 28, "L")], [save(tmp_path / "b.png", 640, 480)]
    assert chosen(small, size=32, grey=False) == ((32, 32), False, "squash")
    assert chosen(large, size=(96, 64), grey=True) == ((96, 64), True, "crop")
    assert choose_size(small, size=32, grey=False)[1] == []


def test_only_some_headers_are_read_and_bad_ones_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    bad = Sample(str(tmp_path / "bad.png"), "bad.png", 0)
    good = save(tmp_path / "a.png", 28, 28, "L")
    assert chosen([bad, good, bad]) == ((28, 28), True, "squash")
    with pytest.raises(DataError, match=r"none of the training images can be used; give others. The last: .*bad\.png "
                                        "cannot be used"):
        choose_size([bad, bad])
    with pytest.raises(DataError, match="none"):
        choose_size([])
    gone = Sample(str(tmp_path / "gone.png"), "gone.png", 0)
    few = ([good] + [gone] * 9) * 200  # of each ten the first is looked at
    assert chosen(few) == ((28, 28), True, "squash")
    assert typical_side(few) == 28
    with pytest.raises(DataError, match="none"):
        typical_side([gone] * 3)
    with pytest.raises(ImageError):
        Preprocessing((8, 8)).prepare(bad.path)


@pytest.mark.parametrize("wrong", [{"size": 32}, {"size": (32,)}, {"size": (0, 32)}, {"size": (32.0, 32)},
                                   {"size": "ab"}, {"grey": 1}, {"resize": "stretch"}, {"mean": 0.5}, {"mean": (0.5,)},
                                   {"std": (0.0, 1.0, 1.0)}, {"mean": (float("nan"), 0, 0)}], ids=repr)
def test_a_preprocessing_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match=f"the preprocessing cannot have {next(iter(wrong))} = .*; give "):
        Preprocessing(**{"size": (32, 32), **wrong})


# ---- values deeper than 8 bits ----


def test_ranges_are_kept() -> None:
    for ranges in ({}, {"range": (0.0, 4095.0)}, {"range": (-1024.0, 3071.0), "float_range": (0.0, 1.0)}):
        preprocessing = Preprocessing((8, 8), True, **ranges)
        config = json.loads(json.dumps(preprocessing.config()))
        assert Preprocessing.from_config(config) == preprocessing
        assert set(config) - {"size", "grey", "resize", "mean", "std"} == set(ranges)
    for wrong in ([4095, 0], [1], "0:1", [0, float("inf")], 5):
        with pytest.raises(ModelError, match="range"):
            Preprocessing.from_config({**Preprocessing((8, 8)).config(), "range": wrong})
        with pytest.raises(UsageError, match="range"):
            Preprocessing((8, 8), range=wrong)
