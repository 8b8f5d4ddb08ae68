"""cnncli/data/depth.py: one range for all images of a set, from what their values are like."""

import numpy as np
import pytest

from cnncli.data.depth import (
    Scales,
    Seen,
    Values,
    _number,
    doubts,
    in_words,
    narrow,
    parse,
    sentences,
    sentences_on_arrays,
    share_of,
)
from cnncli.errors import UsageError

RAMP = np.arange(256).reshape(16, 16)


def of(*arrays: np.ndarray, bits: int | None = None) -> Seen:
    seen = Seen()
    for array in arrays:
        seen.look(Values(array, bits or array.dtype.itemsize * 8))
    return seen


def filled(top: int, kind: str = "u2", low: int = 0) -> np.ndarray:
    """Return values that go from low to top without gaps that would tell of fewer bits."""
    rng = np.random.default_rng(1)
    values = rng.integers(low, top, 2000, endpoint=True)
    values[:2] = low, top
    return values.astype(kind).reshape(40, 50)


@pytest.mark.parametrize(("kind", "low", "high", "range_"), [
    ("u2", 0, 4095, (0, 4095)), ("u2", 3, 3900, (0, 4095)), ("u2", 0, 1000, (0, 1023)), ("u2", 0, 200, (0, 255)),
    ("u2", 0, 16000, (0, 16383)), ("u2", 0, 40000, (0, 65535)), ("u2", 0, 65535, (0, 65535)),
    ("u2", 0, 0, (0, 65535)), ("i2", 0, 4000, (0, 4095)), ("i2", 0, 20000, (0, 32767)), ("i2", 0, 32767, (0, 32767)),
    ("i2", -1024, 3071, (-1024, 3071)), ("i2", -32768, 32767, (-32768, 32767)), ("i1", -128, 127, (-128, 127)),
    ("i4", 0, 60000, (0, 65535)), ("u4", 0, 2**32 - 1, (0, 2**32 - 1)), ("u4", 0, 10**6, (0, 2**20 - 1)),
    ("i4", 0, 2**31 - 1, (0, 2**31 - 1)), ("u8", 0, 2**40, (0, 2**48 - 1)), ("i8", -5, 10, (-5, 10)),
])
def test_the_range_of_integers(kind: str, low: int, high: int, range_: tuple[float, float]) -> None:
    assert of(filled(high, kind, low)).scales() == Scales(range_, range_)


@pytest.mark.parametrize(("low", "high", "range_"), [
    (0, 1, (0, 1)), (0, 0.1, (0, 1)), (0.2, 0.3, (0, 1)), (-0.03, 1.05, (0, 1)), (0, 0.001, (0, 0.001)),
    (-1, 1, (-1, 1)), (-0.9, 0.8, (-1, 1)), (-3, 4, (-3, 4)), (0, 250, (0, 255)), (0, 4000, (0, 4095)),
    (0, 2, (0, 2)), (0, 100, (0, 255)),
    (0, 65535, (0, 65535)), (0, 1e9, (0, 1e9)), (-1024, 3071, (-1024, 3071)),
])
def test_the_range_of_floats(low: float, high: float, range_: tuple[float, float]) -> None:
    values = np.array([[low, high, np.nan, (low + high) / 2]])
    assert of(values).scales() == Scales(range_, range_)


def test_bits_that_were_scaled_up_have_the_white_of_sixteen() -> None:
    """A dim picture of 8, 10, 12 or 14 bits, brought to 16 by shifting, repeating or multiplying, is not brightened."""
    for bits in (8, 10, 12, 14):
        small, spare, top = np.arange(2**bits // 5), 16 - bits, 2**bits - 1
        for large in (small << spare, (small << spare) | (small >> max(bits - spare, 0)), np.rint(small * 65535 / top)):
            assert of(large.astype(np.uint16)[None]).scales().whole == (0, 65535), bits
    assert of(np.array([[0, 1000]], np.uint16)).scales().whole == (0, 1023)  # too few to tell


def test_strays_do_not_darken_a_set() -> None:
    image = np.tile(filled(4000), (10, 10))
    image[7, 7] = 65535  # one dead pixel of 200,000
    assert of(image).scales().whole == (0, 4095)
    image[:8] = 65535  # a frame is no stray
    assert of(image).scales().whole == (0, 65535)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_dead_pixels_are_strays_in_a_small_set_too(dtype: type) -> None:
    image = filled(900).astype(dtype)
    assert image.size < 10_000
    full = int(np.iinfo(dtype).max)
    image.flat[7] = full  # one in each image of a small set
    assert of(*[image] * 3).scales().whole == (0, 1023)
    image.flat[9] = full // 2  # no longer apart from the others
    assert of(*[image] * 3).scales().whole == (0, full)


def test_zero_as_white_is_said() -> None:
    seen = Seen()
    seen.look(Values(filled(4000), 16, white_is_zero=True))
    [said] = sentences(seen, seen.scales(), "images")
    assert "0 becomes black, 4,095 white (the other way round where a file says that zero is white); range" in said


def test_one_range_for_a_set_whatever_its_order() -> None:
    images = [filled(200), filled(3000), filled(900)]
    parts = [of(image) for image in images]
    parts[0].add(parts[1])
    parts[2].add(parts[0])
    assert parts[2].scales() == of(*images).scales() == Scales((0, 4095), (0, 4095))
    assert parts[2].images == 3


def test_declared_bits_bound_the_range() -> None:
    assert of(filled(3000), bits=12).scales().whole == (0, 4095)


def test_integers_and_floats_have_a_range_each() -> None:
    seen = of(filled(4095), np.array([[0.0, 0.5]]))
    assert seen.scales() == Scales((0, 4095), (0, 1))
    assert seen.scales((1, 2)) == Scales((1, 2), (1, 2))


def test_narrowing() -> None:
    small = RAMP.astype(np.uint8)
    twelve = np.rint(RAMP * (4095 / 255)).astype(np.uint16)
    assert np.array_equal(narrow(Values(twelve, 16), Scales((0, 4095))), small)
    assert np.array_equal(narrow(Values(twelve, 16, white_is_zero=True), Scales((0, 4095))), 255 - small)
    assert narrow(Values(np.array([[-5, 0, 10, 99]], np.int16), 16), Scales((0, 10))).tolist() == [[0, 0, 255, 255]]
    assert narrow(Values(np.array([[np.nan, np.inf, 0.5]]), 64), Scales(None, (0, 1))).tolist() == [[0, 0, 128]]
    with pytest.raises(ValueError, match="finite"):
        narrow(Values(np.full((2, 2), np.nan), 64), Scales())


def test_large_images_are_narrowed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = Values(np.random.default_rng(0).integers(0, 4096, (30, 20, 3), np.uint16), 16,
                    np.random.default_rng(1).random((30, 20)).astype(np.float32))
    whole = narrow(values, Scales((0, 4095)))
    monkeypatch.setattr("cnncli.data.depth._AT_ONCE", 130)
    assert np.array_equal(narrow(values, Scales((0, 4095))), whole)


@pytest.mark.parametrize(("top", "range_"), [
    (1 / 16, (0, 1)), (1 / 17, (0, 1 / 17)), (1.1, (0, 1)), (1.2, (0, 1.2)), (15, (0, 15)), (16, (0, 255)),
    (65534, (0, 65535)), (65536, (0, 65536)), (0, (0, 0))])
def test_where_the_range_of_floats_changes(top: float, range_: tuple[float, float]) -> None:
    assert of(np.array([[0.0, top]])).scales().real == range_


@pytest.mark.parametrize(("low", "high", "range_"), [
    (-0.1, 1, (0, 1)), (-0.11, 1, (-0.11, 1)), (-0.5, 1, (-0.5, 1)), (-0.51, 1, (-1, 1)), (-1, 0.5, (-1, 0.5)),
    (-1, 0.51, (-1, 1)), (-1.01, 1, (-1.01, 1)), (-1, 1.01, (-1, 1.01)), (0, 127.6, (0, 255)), (0, 127.4, (0, 127.4))])
def test_where_floats_are_stretched(low: float, high: float, range_: tuple[float, float]) -> None:
    assert of(np.array([[low, high, 0.25]])).scales().real == range_


@pytest.mark.parametrize(("low", "high", "range_"), [
    (-16384, 16384, (-16384, 16384)), (-16384, 16385, (-32768, 32767)), (-1, 0, (-1, 0))])
def test_signed_numbers_that_fill_half_of_their_type(low: int, high: int, range_: tuple[float, float]) -> None:
    values = np.array([[low, high]], np.int16)
    assert of(values).scales().whole == range_
    assert narrow(Values(values, 16), Scales()).tolist() == narrow(Values(values, 16), Scales(range_)).tolist()


def test_an_image_alone_has_the_range_of_its_type() -> None:
    for kind, bits, high, white in [
            ("u2", 16, 9, 65535), ("i2", 16, 9, 32767), ("u2", 12, 9, 4095), ("u4", 32, 65535, 65535),
            ("u4", 32, 65536, 65536), ("u4", 32, 2**24 - 1, 2**24 - 1), ("u4", 32, 2**24, 2**32 - 1), ("f4", 32, 1, 1),
            ("f4", 32, 0.5, 1), ("f4", 32, 1.5, 1.5)]:
        values = Values(np.array([[0, high]], kind), bits)
        assert narrow(values, Scales()).tolist() == [[0, int(high * 255 / white + 0.5)]], (kind, bits, high)
    assert narrow(Values(np.array([[70_000, 70_510]], np.uint32), 32), Scales()).tolist() == [[0, 255]]
    assert narrow(Values(np.array([[3, 3]], np.float32), 32), Scales()).tolist() == [[0, 0]]


@pytest.mark.parametrize(("kind", "bits", "values", "shares"), [
    ("u2", 16, [0, 255], [0, 1]), ("u2", 16, [0, 256], [0, 256 / 65535]), ("u2", 16, [4095, 0], [1, 0]),
    ("u2", 12, [2047, 0], [2047 / 4095, 0]), ("f4", 32, [0.5, 1], [0.5, 1]), ("f4", 32, [0.5, 0.25], [0.5, 0.25]),
    ("f4", 32, [255, 51], [1, 0.2]), ("f4", 32, [2, 51], [2 / 255, 0.2]), ("f4", 32, [65535, 0], [1, 0]),
    ("f4", 32, [65536, 32768], [1, 0.5]), ("f4", 32, [np.nan, 1], [0, 1]), ("f4", 32, [-1, 1], [0, 1])])
def test_how_opaque_a_pixel_is(kind: str, bits: int, values: list[float], shares: list[float]) -> None:
    found = share_of(np.array([values], kind), bits)
    assert found.dtype == np.float32
    assert found[0].tolist() == pytest.approx(shares, abs=1e-6)


def test_alpha_on_white() -> None:
    alpha = np.array([[1, 0.5, 0]], np.float32)
    grey = np.array([[100, 100, 100]], np.uint16)
    for associated, shown in ((False, [100, 178, 255]), (True, [100, 228, 255])):
        assert narrow(Values(grey, 16, alpha, associated), Scales((0, 255))).tolist() == [shown]
        colours = np.repeat(grey[:, :, None], 3, axis=2)
        assert narrow(Values(colours, 16, alpha, associated), Scales((0, 255)))[0, :, 1].tolist() == shown
    assert narrow(Values(grey, 16, alpha, white_is_zero=True), Scales((0, 255))).tolist() == [[155, 205, 255]]


def test_what_counts_in_a_set() -> None:
    seen = of(np.array([[5, 70_000]], np.uint32), np.array([[-3, 9]], np.int16))
    assert (seen.whole.images, seen.whole.low, seen.whole.high) == (2, -3, 70_000)
    assert (seen.whole.bits, seen.whole.signed) == (32, True)
    assert np.flatnonzero(seen.whole.counts).tolist() == [5, 9]
    assert seen.images == 2
    other = of(np.array([[9, 9]], np.uint16), np.array([[0.5, 2.0]]))
    assert (other.real.low, other.real.high, other.real.whole, other.images) == (0.5, 2, False, 2)
    seen.add(other)
    assert (seen.whole.images, seen.real.images, seen.images) == (3, 1, 4)
    assert seen.whole.counts[9] == 3
    assert not seen.real.whole
    assert of(np.array([[1.0, np.nan]])).real.whole
    assert of(np.array([[np.nan]])).images == 0
    assert seen.scales() == Scales((-3, 70_000), (0, 2))
    assert Seen().scales() == Scales()
    assert Seen().scales((1, 2)) == Scales((1, 2), (1, 2))


def test_strays_are_one_of_a_hundred_thousand() -> None:
    values = np.full(200_000, 100, np.uint16)
    values[:2] = 60_000
    assert of(values.reshape(400, 500)).scales().whole == (0, 255)
    values[:3] = 60_000
    assert of(values.reshape(400, 500)).scales().whole == (0, 65535)


def test_of_the_largest_value_one_in_a_hundred_are_strays() -> None:
    values = np.full(20_000, 16_383, np.uint16)
    values[:200] = 65535
    assert of(values.reshape(100, 200)).scales().whole == (0, 16_383)
    values[300] = 16_384
    assert of(values.reshape(100, 200)).scales().whole == (0, 65535)
    values[300] = 65535
    assert of(values.reshape(100, 200)).scales().whole == (0, 65535)


def test_how_many_values_tell_of_scaling_up() -> None:
    for count, white in ((16, 65535), (15, 4095)):
        assert of((np.arange(count, dtype=np.uint16) << 8)[None]).scales().whole == (0, white)


def test_what_is_said_of_floats_and_of_arrays() -> None:
    seen = of(np.array([[0.25, 3.5]]), np.array([[0, 1500]], np.uint16))
    both = ["integers from 0 to 1,500. 0 becomes black, 1,023 white; what lies beyond is black or white, too",
            "floats from 0.25 to 3.5. 0 becomes black, 3.5 white"]
    both = [f"{one}; range='LOW:HIGH' sets others." for one in both]
    scales = Scales((0, 1023), seen.scales().real)
    assert [*sentences_on_arrays(seen, scales)] == [f"Values: {one}" for one in both]
    assert [*sentences(seen, scales, "images")] == [
        f"Values: 1 of the images is deeper than 8 bits, {one}" for one in both]
    assert [*sentences_on_arrays(Seen(), Scales((0, 1), (0, 1)), given=True)] == [
        "Values: there are none deeper than 8 bits, and range changes nothing."]
    assert not [*sentences_on_arrays(seen, Scales())]
    assert [_number(value) for value in (1e15, 123456.0, 1234.5678, -3.0)] == ["1e+15", "123,456", "1234.57", "-3"]
    assert in_words((0, 1 / 3)) == "0:0.3333333333"


@pytest.mark.parametrize(("white", "said"), [(8 * 4095, "black"), (8 * 4095 - 1, ""), (4095 / 8, "white"),
                                             (4095 / 8 + 1, "")])
def test_how_unlike_a_scale_must_be(white: float, said: str) -> None:
    found = [*doubts(of(filled(4000)), Scales((0, white)))]
    assert len(found) == bool(said)
    assert not said or f"it is nearly {said} to it; bring" in found[0]


def test_what_is_said() -> None:
    seen = of(filled(4000), filled(200))
    (said,) = sentences(seen, seen.scales(), "training images")
    assert said == ("Values: 2 of the training images are deeper than 8 bits, integers from 0 to 4,000. 0 becomes "
                    "black, 4,095 white; range='LOW:HIGH' sets others.")
    (said,) = sentences(seen, seen.scales((0, 1023)), "training images", given=True)
    assert said.endswith("1,023 white; what lies beyond is black or white, too; range='0:1023' was given.")
    (said,) = sentences(Seen(), Scales((0, 1), (0, 1)), "training images", given=True)
    assert "changes nothing" in said
    assert not list(sentences(Seen(), Scales(), "training images"))


@pytest.mark.parametrize(("given", "range_"), [("0:4095", (0, 4095)), (" -1024 : 3071 ", (-1024, 3071)),
                                               ("0:1e-3", (0, 0.001)), ([0, 5], (0, 5)), ((-1.5, 2), (-1.5, 2))])
def test_ranges_are_read(given: object, range_: tuple[float, float]) -> None:
    assert parse(given) == range_ == parse(in_words(range_))


@pytest.mark.parametrize("given", ["", "4095", "4095:0", "1:1", "a:b", "0:inf", "nan:1", "0:1:2", [1], [2, 1], 7,
                                   ["a", "b"], "-1e308:1e308"])
def test_what_is_no_range_is_refused(given: object) -> None:
    with pytest.raises(UsageError, match="range must be two numbers, black and white"):
        parse(given)


def test_a_scale_that_does_not_suit_is_doubted() -> None:
    twelve, sixteen = of(filled(4000)), of(filled(65000))
    assert not list(doubts(twelve, Scales((0, 4095), (0, 4095))))
    assert not list(doubts(sixteen, Scales()))
    (said,) = doubts(twelve, Scales())
    assert "values up to 4,000, where the model takes 65,535 for white, so that it is nearly black" in said
    (said,) = doubts(sixteen, Scales((0, 4095), (0, 4095)))
    assert "nearly white" in said
    floats = of(np.array([[0.0, 0.5, 1.0]]))
    assert not list(doubts(floats, Scales()))
    assert list(doubts(floats, Scales((0, 4095), (0, 4095))))
    assert not list(doubts(Seen(), Scales()))
