"""cnncli/data/transparency.py: whatever is transparent is white, exactly, in every format and at every depth."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.decode import decode, examine, open_image, read_header

from .test_decode import png
from .test_forgiving import chunk


def keyed(path: Path, depth: int, colour: int, rows: list[bytes], key: tuple[int, ...]) -> Path:
    """Write a PNG with a colour that is transparent."""
    data = png(path, depth, colour, rows).read_bytes()
    path.write_bytes(data[:33] + chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) + data[33:])
    return path


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_grey(depth: int, tmp_path: Path) -> None:
    top = (1 << depth) - 1
    for key in {0, 1, top // 2, top}:
        values = [key, 0, top, (key + 1) % (top + 1)] * 8
        row = sum(value << depth * i for i, value in enumerate(reversed(values))).to_bytes(4 * depth, "big")
        path = keyed(tmp_path / "a.png", depth, 0, [row], (key,))
        expected = [255 if value == key else value * 255 // top for value in values]
        assert decode(path, grey=True).ravel().tolist() == expected
        assert decode(path, grey=False)[..., 1].ravel().tolist() == expected
        assert read_header(path) == (1, 32, True)
        assert examine(path)[1].transparent


def test_only_the_low_bits_of_a_key_count(tmp_path: Path) -> None:
    path = keyed(tmp_path / "a.png", 2, 0, [bytes([0b00011011])], (0x0102,))
    assert decode(path, grey=True).ravel().tolist() == [0, 85, 255, 255]


def test_a_transparent_colour(tmp_path: Path) -> None:
    path = keyed(tmp_path / "a.png", 8, 2, [bytes([1, 2, 3, 3, 2, 1, 1, 2, 4])], (1, 2, 3))
    assert decode(path, grey=False).tolist() == [[[255] * 3, [3, 2, 1], [1, 2, 4]]]
    assert decode(path, grey=True).ravel()[0] == 255


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_alpha(bits: int, tmp_path: Path) -> None:
    palette, alpha = [(200, 0, 0), (0, 100, 0), (0, 0, 50), (9, 9, 9)][: min(4, 1 << bits)], [0, 128]
    data = png(tmp_path / "a.png", bits, 3, [bytes([{1: 0b01000000, 2: 0b00011011, 4: 0x01, 8: 0}[bits]])]).read_bytes()
    data = data[:33] + chunk(b"PLTE", bytes(sum(palette, ()))) + chunk(b"tRNS", bytes(alpha)) + data[33:]
    (tmp_path / "a.png").write_bytes(data)
    found = decode(tmp_path / "a.png", grey=False)[0]
    shown = [[255] * 3, [127, 177, 127], [0, 0, 50], [9, 9, 9]]  # 128/255 of (0, 100, 0) on white
    assert found.tolist() == {1: [shown[0], shown[1], *[shown[0]] * 6], 2: shown, 4: shown[:2], 8: shown[:1]}[bits]


@pytest.mark.parametrize(("order", "clear"), [
    ("PtD", (0, 1)), ("PDt", ()), ("tPD", ()), ("tPtD", (0, 1)), ("PtTD", (0, 1)), ("PTtD", (2,)), ("PDtT", ())])
def test_transparency_counts_where_it_is_in_place(order: str, clear: tuple[int, ...], tmp_path: Path) -> None:
    """Behind the palette, before the pixels, and once, as browsers have it."""
    parts = {"P": chunk(b"PLTE", bytes(range(12))), "t": chunk(b"tRNS", b"\0\0"), "T": chunk(b"tRNS", b"\xff\xff\0")}
    data = png(tmp_path / "a.png", 2, 3, [bytes([0b00011011])]).read_bytes()
    end = data.index(b"IEND") - 4
    parts["D"] = data[33:end]
    (tmp_path / "a.png").write_bytes(data[:33] + b"".join(map(parts.__getitem__, order)) + data[end:])
    told: list[str] = []
    found = np.asarray(open_image(tmp_path / "a.png", grey=False, forgiven=told))[0]
    assert found.tolist() == [[255] * 3 if i in clear else [3 * i, 3 * i + 1, 3 * i + 2] for i in range(4)]
    wrong = order.lower().count("t") - (1 if clear else 0)
    assert told == ["its chunk tRNS is out of place, and was passed over"] * wrong


def over_white(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.rint(255 + (values.astype(float) - 255) * (alpha / 255)[..., None])


@pytest.mark.parametrize("form", ["png", "webp", "tif"])
def test_alpha_of_every_strength(form: str, tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.integers(0, 256, (16, 256, 4), np.uint8)
    values[..., 3] = np.arange(256)
    options = {"lossless": True, "exact": True} if form == "webp" else {}
    Image.fromarray(values).save(tmp_path / f"a.{form}", **options)
    expected = over_white(values[..., :3], values[..., 3])
    assert abs(decode(tmp_path / f"a.{form}", grey=False) - expected).max() <= 0.51


def tiff(path: Path, samples: np.ndarray, extra: int) -> Path:
    """Write a TIFF of 8 bits with one extra channel of this kind (1: associated alpha, 2: unassociated)."""
    h, w, c = samples.shape
    at = 8 + samples.size
    more = struct.pack(f"<{c}H", *[8] * c)
    value = struct.pack("<HH", 8, 8) if c == 2 else struct.pack("<I", at)
    tags = [(256, 4, 1, struct.pack("<I", w)), (257, 4, 1, struct.pack("<I", h)), (258, 3, c, value),
            (259, 3, 1, struct.pack("<HH", 1, 0)), (262, 3, 1, struct.pack("<HH", 2 if c > 2 else 1, 0)),
            (273, 4, 1, struct.pack("<I", 8)), (277, 3, 1, struct.pack("<HH", c, 0)), (278, 4, 1, struct.pack("<I", h)),
            (279, 4, 1, struct.pack("<I", samples.size)), (338, 3, 1, struct.pack("<HH", extra, 0))]
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHI", t, k, n) + v for t, k, n, v in tags) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", at + len(more)) + samples.tobytes() + more + body)
    return path


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("associated", [False, True])
def test_both_kinds_of_alpha_in_a_tiff(channels: int, associated: bool, tmp_path: Path,
                                       rng: np.random.Generator) -> None:
    values = rng.integers(0, 256, (16, 256, channels), np.uint8)
    values[..., -1] = np.arange(256)
    plain, alpha = values[..., :-1], values[..., -1]
    expected = over_white(plain, alpha)
    if associated:
        values = np.concatenate([np.rint(plain * (alpha / 255)[..., None]), alpha[..., None]], axis=-1).astype(np.uint8)
    found = decode(tiff(tmp_path / "a.tif", values, 1 if associated else 2), grey=channels == 2)
    assert abs(found - expected).max() <= (1.01 if associated else 0.51)


def test_what_a_gif_leaves_free_of_its_canvas(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([200, 0, 0, 0, 0, 200])
    picture.save(tmp_path / "a.gif")
    data = bytearray((tmp_path / "a.gif").read_bytes())
    at = data.index(b"\x2c", 13 + 3 * 2)
    data[6:10] = struct.pack("<HH", 4, 3)
    data[at + 1 : at + 5] = struct.pack("<HH", 1, 2)
    (tmp_path / "a.gif").write_bytes(data)
    found = decode(tmp_path / "a.gif", grey=False).copy()
    assert found.shape == (3, 4, 3)
    assert found[2, 1:3].tolist() == [[200, 0, 0]] * 2
    found[2, 1:3] = 255
    assert (found == 255).all()
    assert examine(tmp_path / "a.gif")[1].transparent


def test_a_large_image_is_laid_on_white_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  rng: np.random.Generator) -> None:
    Image.fromarray(rng.integers(0, 256, (37, 11, 4), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(rng.integers(0, 9, (37, 11), np.uint8)).save(tmp_path / "k.png", transparency=3)
    Image.fromarray(rng.integers(0, 256, (37, 11, 3), np.uint8)).quantize(16).save(tmp_path / "p.png")
    once = [decode(tmp_path / f"{name}.png", grey) for name in "akp" for grey in (False, True)]
    monkeypatch.setattr("cnncli.data.transparency._STRIP", 40)
    again = [decode(tmp_path / f"{name}.png", grey) for name in "akp" for grey in (False, True)]
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
