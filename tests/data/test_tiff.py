"""cnncli/data/tiff.py: every kind of number in every arrangement comes out as it was written, and what is not read is
refused for what it is."""

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import tiff
from cnncli.data.decode import decode, examine, read_header
from cnncli.data.depth import Values
from cnncli.errors import ImageError

from .tiffs import write

H, W = 21, 37
ASSOCIATED, UNASSOCIATED = {338: (1,)}, {338: (2,)}
PICTURE = (np.mgrid[:16, :16].sum(axis=0) * 8.5).astype(np.uint8)  # a ramp from 0 to 255


def read(path: Path) -> Values:
    with path.open("rb") as file:
        page = tiff.first_page(file)
        assert page is not None
        assert page.deep
        assert page.refusal() is None
        return page.values(file)


def drawn(kind: str, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Return values from all that a type can hold, (h, w, channels)."""
    shape, dtype = (H, W, channels), np.dtype(kind)
    if dtype.kind == "f":
        return rng.normal(0, 1, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_kind_of_number(kind: str, order: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for channels in (1, 3):
        values = drawn(kind, channels, rng)
        for options in ({}, {"strip": 6}, {"strip": 6, "planes": True}, {"deflate": True, "strip": 5}):
            found = read(write(tmp_path / "a.tif", values, order, **options)).colours
            assert found.dtype == np.dtype(kind), (channels, options)
            assert np.array_equal(found, values.squeeze()), (channels, options)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["I;16", "I;16B", "F"])
def test_what_pillow_packs(compression: str, mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    values = rng.random((H, W)).astype(np.float32) if mode == "F" else rng.integers(0, 65536, (H, W), np.uint16)
    image = Image.fromarray(values.astype(">u2") if mode == "I;16B" else values)
    for predictor in (1, 2, 3) if mode == "F" else (1, 2):  # which counts for nothing where nothing is packed by it
        image.save(tmp_path / "a.tif", compression=compression, tiffinfo={317: predictor})
        assert np.array_equal(read(tmp_path / "a.tif").colours, values), predictor


def test_tiles_have_predictors_of_their_own(tmp_path: Path) -> None:
    """Two tiles of 16 pixels for a row of 20: each begins its sums anew, and the second goes beyond the border."""
    rng = np.random.default_rng(7)
    values = rng.integers(0, 65536, (16, 20), np.uint16)
    padded = np.pad(values, ((0, 0), (0, 12)))
    tiles = [np.diff(padded[:, left : left + 16], axis=1, prepend=np.uint16(0)).astype("<u2") for left in (0, 16)]
    packed = [zlib.compress(tile.tobytes()) for tile in tiles]
    write(tmp_path / "a.tif", np.frombuffer(b"".join(packed), np.uint8)[None], tags={
        256: (20,), 257: (16,), 258: (16,), 259: (8,), 317: (2,), 322: (16,), 323: (16,),
        324: (8, 8 + len(packed[0])), 325: tuple(map(len, packed))})
    assert np.array_equal(read(tmp_path / "a.tif").colours, values)


@pytest.mark.parametrize("planes", [False, True])
def test_tiles_in_rows_that_are_not_as_high_as_the_picture(planes: bool, tmp_path: Path) -> None:
    """Three rows of two tiles, whose last go beyond both borders."""
    values = np.random.default_rng(11).integers(0, 65536, (40, 20, 3), np.uint16)
    padded = np.pad(values, ((0, 8), (0, 12), (0, 0)))
    tiles = [padded[top : top + 16, left : left + 16] for top in (0, 16, 32) for left in (0, 16)]
    if planes:
        tiles = [np.ascontiguousarray(tile[..., channel]) for channel in range(3) for tile in tiles]
    sizes = tuple(tile.nbytes for tile in tiles)
    stacked = np.concatenate([tile.reshape(1, -1) for tile in tiles], axis=1)
    write(tmp_path / "a.tif", stacked, photometric=2, tags={
        256: (20,), 257: (40,), 258: (16,) * 3, 277: (3,), 284: (2 if planes else 1,), 322: (16,), 323: (16,),
        324: tuple(8 + sum(sizes[:i]) for i in range(len(sizes))), 325: sizes})
    assert np.array_equal(read(tmp_path / "a.tif").colours, values)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_without_gaps_of_signed_numbers(signed: bool, tmp_path: Path) -> None:
    """In a file of two rows of two numbers: 2047 and -2048, -1 and 5."""
    rows = np.frombuffer(bytes([0x7F, 0xF8, 0, 0xFF, 0xF0, 5]), np.uint8).reshape(2, 3)
    write(tmp_path / "a.tif", rows, tags={256: (2,), 258: (12,), 339: (2 if signed else 1,)})
    found = read(tmp_path / "a.tif").colours
    assert found.tolist() == ([[2047, -2048], [-1, 5]] if signed else [[2047, 2048], [4095, 5]])


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_bits_without_gaps(bits: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    values = rng.integers(0, 2**bits, (H, W), np.uint16)
    each = (values[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(each.reshape(H, -1).astype(np.uint8), axis=1)
    write(tmp_path / "a.tif", rows, tags={256: (W,), 258: (bits,)})
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.colours, values)
    assert found.bits == bits
    assert np.array_equal(decode(tmp_path / "a.tif", grey=True)[..., 0], np.rint(values * (255 / (2**bits - 1))))


def test_twenty_four_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2**23, 2**24 - 1]])
    for order in "<>":
        data = b"".join(int(v).to_bytes(3, "little" if order == "<" else "big") for v in values.ravel())
        write(tmp_path / "a.tif", np.frombuffer(data, np.uint8)[None], order, tags={256: (4,), 258: (24,)})
        assert np.array_equal(read(tmp_path / "a.tif").colours, values)
        assert decode(tmp_path / "a.tif", grey=True).ravel().tolist() == [0, 0, 128, 255]


# ---- what is black and what is white ----


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(("kind", "top"), [("u2", 65535), ("u4", 2**32 - 1), ("u8", 2**64 - 1), ("i2", 2**15 - 1),
                                           ("i4", 2**31 - 1), ("f2", 1), ("f4", 1), ("f8", 1)])
def test_every_depth_gives_the_picture_of_eight_bits(kind: str, top: int, photometric: int, order: str,
                                                     tmp_path: Path) -> None:
    shares = PICTURE.astype(np.longdouble) / 255
    values = ((1 - shares if photometric == 0 else shares) * top)
    values = (values if np.dtype(kind).kind == "f" else np.rint(values)).astype(kind)
    write(tmp_path / "a.tif", values, order, photometric)
    found = decode(tmp_path / "a.tif", grey=True)[..., 0].astype(int)
    assert abs(found - PICTURE).max() <= (kind == "f2")
    assert read_header(tmp_path / "a.tif") == (16, 16, True)


@pytest.mark.parametrize("kind", ["i1", "i2", "i4"])
def test_signed_numbers_that_use_all_of_their_type(kind: str, tmp_path: Path) -> None:
    limits = np.iinfo(kind)
    values = np.rint(PICTURE / 255 * (2.0**limits.bits - 1) + limits.min).astype(kind)
    write(tmp_path / "a.tif", values)
    assert abs(decode(tmp_path / "a.tif", grey=True)[..., 0].astype(int) - PICTURE).max() <= 1


def test_colour_and_transparency(tmp_path: Path) -> None:
    top = 65535
    colours = np.array([[[top, 0, 0], [0, 0, top], [0, 0, 0]]], np.uint16)
    assert decode(write(tmp_path / "a.tif", colours), grey=False)[0].tolist() == [[255, 0, 0], [0, 0, 255], [0, 0, 0]]
    assert read_header(tmp_path / "a.tif") == (1, 3, False)
    alpha = np.array([[[top], [0], [top // 2]]], np.uint16)
    both = np.concatenate([colours, alpha], axis=2)
    shown = [[255, 0, 0], [255, 255, 255], [128, 128, 128]]
    assert decode(write(tmp_path / "a.tif", both, tags=UNASSOCIATED), grey=False)[0].tolist() == shown
    multiplied = np.concatenate([(colours * (alpha / top)).astype(np.uint16), alpha], axis=2)
    assert decode(write(tmp_path / "a.tif", multiplied, tags=ASSOCIATED), grey=False)[0].tolist() == shown
    assert examine(tmp_path / "a.tif")[1].transparent
    assert decode(write(tmp_path / "a.tif", both, tags={338: (0,)}), grey=False)[0, 1].tolist() == [0, 0, 255]
    floats = (both / top).astype(np.float32)
    assert decode(write(tmp_path / "a.tif", floats, tags=UNASSOCIATED), grey=False)[0].tolist() == shown
    grey = np.array([[[top, top], [100, 0]]], np.uint16)
    assert decode(write(tmp_path / "a.tif", grey, tags=UNASSOCIATED), grey=True).ravel().tolist() == [255, 255]


def test_what_a_map_has_no_data_for_is_dark(tmp_path: Path) -> None:
    values = np.array([[-9999, 0, 0.5, 1]], np.float32)
    write(tmp_path / "a.tif", values, tags={42113: b"-9999\0"})
    assert decode(tmp_path / "a.tif", grey=True).ravel().tolist() == [0, 0, 128, 255]


def test_orientation(tmp_path: Path) -> None:
    values = np.zeros((2, 3), np.uint16)
    values[0, 0] = 65535
    write(tmp_path / "a.tif", values, tags={274: (6,)})  # a quarter turn to the right
    found = decode(tmp_path / "a.tif", grey=True)[..., 0]
    assert found.shape == (3, 2)
    assert found[0, 1] == 255
    assert found.sum() == 255
    assert read_header(tmp_path / "a.tif") == (3, 2, True)
    assert examine(tmp_path / "a.tif")[1].orientation == 6


# ---- strips ----


def test_lengths_of_strips_that_are_not_said(tmp_path: Path) -> None:
    values = drawn("u2", 3, np.random.default_rng(9))
    write(tmp_path / "a.tif", values, strip=8, tags={279: ()})  # three strips, the last of five rows
    assert np.array_equal(read(tmp_path / "a.tif").colours, values)
    bits = np.random.default_rng(10).integers(0, 256, (4, 8), np.uint8)  # five values of 12 bits, and four bits more
    write(tmp_path / "a.tif", bits, strip=3, tags={279: (), 256: (5,), 258: (12,)})
    assert read(tmp_path / "a.tif").colours[:, 0].tolist() == [int(a) << 4 | int(b) >> 4 for a, b, *_ in bits]
    for tags in ({279: (), 259: (8,)}, {273: (), 279: ()}, {279: (9, 9)}):
        with pytest.raises(ImageError, match=r"damaged or cut short .it does not say where its pixels are"):
            decode(write(tmp_path / "a.tif", values, strip=8, tags=tags), grey=True)


def test_strips_may_be_twice_their_pixels_and_a_little(tmp_path: Path) -> None:
    file = io.BytesIO(bytes(70_000))
    assert len(tiff.pieces(file, (0, 9), (65_536, 10), 10)) == 65_546
    with pytest.raises(ValueError, match="larger than what is in them"):
        tiff.pieces(file, (0, 9), (65_536, 11), 10)
    assert tiff.pieces(file, (69_990,), (10,), 0) == bytes(10)
    with pytest.raises(ValueError, match="is cut off"):
        tiff.pieces(file, (69_990,), (11,), 0)


# ---- refusals ----


@pytest.mark.parametrize(("values", "photometric", "tags", "reason"), [
    (np.zeros((4, 4, 5), np.uint16), 1, {}, "5 channels"),
    (np.zeros((4, 4, 5), np.uint8), 1, {}, "5 channels"),
    (np.zeros((4, 4, 2), np.uint16), 1, {338: (0,)}, "2 channels"),
    (np.zeros((4, 4), np.complex64), 1, {}, "complex numbers of 64 bits"),
    (np.zeros((4, 4), np.uint32), 3, {}, "a palette"),
    (np.zeros((4, 4, 3), np.uint16), 2, {258: (16, 16, 8)}, "16, 16, 8 bits"),
    (np.zeros((4, 4), np.uint16), 32803, {}, "raw file"),
    (np.zeros((4, 4), np.uint16), 1, {259: (7,)}, "packed by JPEG"),
    (np.zeros((4, 4), np.uint8), 1, {258: (12,), 256: (2,), 259: (5,), 317: (2,)}, "predictor 2"),
    (np.zeros((4, 4), np.uint8), 1, {50706: (1,)}, "raw file"),
    (np.zeros((1, 4), np.uint16), 1, {256: (20_000,), 257: (20_000,)}, "megapixels"),
    (np.zeros((1, 4), np.float64), 1, {256: (9_000,), 257: (9_000,)}, "MiB"),
])
def test_what_is_not_read_is_named(values: np.ndarray, photometric: int, tags: dict[int, tuple[int, ...]], reason: str,
                                   tmp_path: Path) -> None:
    write(tmp_path / "a.tif", values, photometric=photometric, tags=tags)
    for look in (lambda path: decode(path, grey=True), read_header):
        with pytest.raises(ImageError) as caught:
            look(tmp_path / "a.tif")
        assert reason in str(caught.value)
        assert "content is not" not in str(caught.value)


def test_damage_is_called_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.arange(400, dtype=np.uint16).reshape(20, 20), deflate=True)
    good = path.read_bytes()
    for at in range(8, 60, 4):
        path.write_bytes(good[:at] + b"\xff\xff" + good[at + 2 :])
        with pytest.raises(ImageError, match="damaged"):
            decode(path, grey=True)
    write(path, np.zeros((20, 20), np.uint16), tags={279: (5000,), 257: (60,), 278: (60,)})
    with pytest.raises(ImageError, match="damaged"):
        decode(path, grey=True)


# ---- pages ----


def pages_of(path: Path) -> int:
    with path.open("rb") as file:
        page = tiff.first_page(file)
        assert page is not None
        return page.pages


def test_pages_are_counted(tmp_path: Path) -> None:
    values = np.zeros((4, 4), np.uint16)
    for pages in (1, 2, 5):
        assert pages_of(write(tmp_path / "a.tif", values, pages=pages)) == pages
    write(tmp_path / "a.tif", values, tags={270: b"ImageJ=1.53\nimages=30\nslices=30\n\0"})
    assert pages_of(tmp_path / "a.tif") == 30
    frames = [Image.new("L", (4, 4), value) for value in (10, 20, 30)]
    frames[0].save(tmp_path / "b.tif", save_all=True, append_images=frames[1:])
    assert pages_of(tmp_path / "b.tif") == 3


def test_pages_that_go_round_in_a_circle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((4, 4), np.uint16), pages=2)
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[4:8], "little")
    after = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    data[after : after + 4] = start.to_bytes(4, "little")
    path.write_bytes(data)
    assert pages_of(path) == 1


def test_pages_are_counted_no_further_than_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_MOST_PAGES", 3)
    assert pages_of(write(tmp_path / "a.tif", np.zeros((4, 4), np.uint16), pages=5)) == 3


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("size", "signed"), [(3, False), (3, True), (5, True), (6, False), (7, True)])
def test_numbers_of_odd_sizes(order: str, size: int, signed: bool) -> None:
    top = 1 << 8 * size
    values = [0, 1, top // 2 - 1, top // 2, top - 1, 0x123456 % top]
    data = b"".join(value.to_bytes(size, "little" if order == "<" else "big") for value in values)
    found = tiff._wide(np.frombuffer(data, np.uint8).reshape(1, -1, size), order, signed)
    assert found.tolist() == [[value - top * (signed and value >= top // 2) for value in values]]


@pytest.mark.parametrize(("bits", "kind"), [(10, "u2"), (12, "u2"), (17, "u4"), (31, "u4"), (33, "u8")])
def test_signed_numbers_of_any_number_of_bits(bits: int, kind: str) -> None:
    top = 1 << bits
    values = [0, 1, top // 2 - 1, top // 2, top - 1]
    text = "".join(f"{value:0{bits}b}" for value in values).ljust(-(-5 * bits // 8) * 8, "1")
    rows = np.frombuffer(int(text, 2).to_bytes(len(text) // 8, "big"), np.uint8)[None]
    for signed in (False, True):
        found = tiff._bits(rows, bits, signed)
        assert found.dtype == ("i8" if signed else kind)
        assert found[0, :5].tolist() == [value - top * (signed and value >= top // 2) for value in values]


def test_what_is_no_tiff_is_none() -> None:
    for data in (b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8, b"\x89PNG"):
        assert tiff.first_page(io.BytesIO(data)) is None
