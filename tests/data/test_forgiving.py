"""cnncli/data/forgiving.py, png.py, jpeg.py: damage that takes no pixel is passed over and said, other is refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import forgiving
from cnncli.data.decode import FIRST, decode, examine, open_image, read_header
from cnncli.data.jpeg import read_markers
from cnncli.errors import ImageError


@pytest.fixture
def picture() -> Image.Image:
    y, x = np.mgrid[:40, :56]
    return Image.fromarray(np.stack([y * 6, x * 4, 255 - x * 2 - y * 3], axis=-1).astype(np.uint8))


def packed(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ wrong)


def forgiven(path: Path, data: bytes, good: bytes) -> str:
    """Assert that a file gives the pixels that the good one gives, by every way of reading; return what is said."""
    path.write_bytes(good)
    expected, size = decode(path, grey=False), read_header(path)
    path.write_bytes(data)
    notes: list[str] = []
    assert np.array_equal(np.asarray(open_image(path, False, forgiven=notes)), expected)
    assert read_header(path) == size
    notes = [note for note in notes if not note.startswith(FIRST)]
    assert examine(path)[1].forgiven == tuple(notes)
    return "; ".join(notes)


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        decode(path, grey=False)
    return caught.value.reason


# ---- JPEG ----

KINDS = {"baseline": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_blocks": 3},
         "fine": {"quality": 98, "subsampling": 0}, "both": {"progressive": True, "restart_marker_rows": 1}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_without_its_end(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "JPEG", **KINDS[kind])
    for cut in (1, 2):
        assert forgiven(tmp_path / "a.jpg", data[:-cut], data) == "its end marker is missing"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_pixels_as_well(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "JPEG", **KINDS[kind])
    for cut in (3, 4, 5, 6, 8, 11, 16, 25, 40, 80, len(data) // 2):
        assert "cut short" in refused(tmp_path / "a.jpg", data[:-cut]), cut


def test_a_jpeg_cut_behind_a_scan_or_a_restart(picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    assert "cut short" in refused(tmp_path / "a.jpg", data[: max(data.rfind(b"\xff\xc4", 0, last), 2)])
    data = packed(picture, "JPEG", restart_marker_blocks=3)
    assert "cut short" in refused(tmp_path / "a.jpg", data[: data.rindex(b"\xff\xd2")])


def test_bytes_around_a_jpeg(picture: Image.Image, tmp_path: Path) -> None:
    data, path = packed(picture, "JPEG"), tmp_path / "a.jpg"
    assert forgiven(path, b"\n" + data, data) == "1 byte before its beginning was passed over"
    assert forgiven(path, data + bytes(7), data) == "7 bytes behind its end were passed over"
    assert forgiven(path, b"\xef\xbb\xbf" + data[:-2], data) == (
        "3 bytes before its beginning were passed over; its end marker is missing")
    # What is behind an image may look like another one, and is none of its scans.
    assert forgiven(path, data + b"\xff\xda" * 600 + b".", data) == "1,201 bytes behind its end were passed over"


def test_a_second_picture_behind_the_first_is_nothing_to_mention(picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "JPEG")
    assert forgiven(tmp_path / "a.jpg", data + data, data) == ""


def test_markers_of_a_thumbnail_or_a_comment_are_no_markers(picture: Image.Image) -> None:
    data = packed(picture, "JPEG", comment=b"\xff\xd9\xff\xda\xff\xd9")
    jpeg = read_markers(io.BytesIO(data), 500)
    assert (jpeg.end, jpeg.scans, jpeg.size) == (len(data), 1, (56, 40))


# ---- PNG ----


def test_text_and_profiles_that_are_too_large(picture: Image.Image, tmp_path: Path) -> None:
    data, path = packed(picture, "PNG"), tmp_path / "a.png"
    large = zlib.compress(bytes(2 << 20))
    for more in (chunk(b"zTXt", b"k\0\0" + large), chunk(b"iTXt", b"k\0\1\0\0\0" + large),
                 chunk(b"iCCP", b"k\0\0" + large), chunk(b"pHYs", b"\0"), chunk(b"iCCP", b"k\0\7"),
                 chunk(b"acTL", b"\0")):
        said = forgiven(path, data[:33] + more + data[33:], data)
        name = more[4:8].decode()
        assert said == f"its chunks without pixels ({name}) are damaged or too large, and were passed over"


@pytest.mark.parametrize("place", [33, -12])
def test_a_wrong_checksum_where_no_pixels_are(place: int, picture: Image.Image, tmp_path: Path) -> None:
    data, path = packed(picture, "PNG"), tmp_path / "a.png"
    said = forgiven(path, data[:place] + chunk(b"tEXt", b"k\0v", wrong=1) + data[place:], data)
    assert said == "its chunk tEXt has a wrong checksum, or is cut off, and was passed over"
    assert "its chunk IEND has" in forgiven(path, data[:-1] + b"\0", data)


def test_a_wrong_checksum_of_pixels_is_refused(picture: Image.Image, tmp_path: Path) -> None:
    data, path = packed(picture, "PNG"), tmp_path / "a.png"
    for at, name in ((29, "IHDR"), (len(data) - 13, "IDAT")):
        broken = bytearray(data)
        broken[at] ^= 1
        assert f"checksum of its chunk {name} is wrong" in refused(path, bytes(broken)), name
    flat = packed(picture.quantize(8), "PNG")
    at = flat.index(b"PLTE") + 4
    assert "checksum of its chunk PLTE" in refused(path, flat[:at] + bytes([flat[at] ^ 1]) + flat[at + 1 :])


def test_a_png_without_its_end_and_bytes_around_it(picture: Image.Image, tmp_path: Path) -> None:
    data, path = packed(picture, "PNG"), tmp_path / "a.png"
    for cut in (1, 8, 12):
        assert forgiven(path, data[:-cut], data) == "its end is missing", cut
    assert forgiven(path, data + b"abc", data) == "3 bytes behind its end were passed over"
    assert forgiven(path, b"\r\n" + data, data) == "2 bytes before its beginning were passed over"
    assert "cut short" in refused(path, data[:-40])


def test_only_what_holds_no_pixels_is_taken_from_a_png(picture: Image.Image) -> None:
    data = packed(picture, "PNG")
    for more, taken in ((b"", ""), (chunk(b"eXIf", b"II*\0"), ""), (chunk(b"tRNS", bytes(6)), ""),
                        (chunk(b"tRNS", bytes(5)), "tRNS"),
                        (chunk(b"tEXt", b"k\0v") + chunk(b"pHYs", bytes(9)) + chunk(b"tEXt", b"a\0b"), "tEXt, pHYs")):
        sound = forgiving.forgive("a", io.BytesIO(data[:33] + more + data[33:]))
        assert sound.bare() == bool(taken)
        assert sound.notes == ([f"its chunks without pixels ({taken}) are damaged or too large, and were passed over"]
                               if taken else [])
        sound.file.seek(0)
        assert sound.file.read() == (data if taken else data[:33] + more + data[33:])
        assert not sound.bare(), "there is nothing left to take"
    sound = forgiving.Sound(io.BytesIO(data))
    assert not sound.bare()
    assert (sound.notes, sound.chunks) == ([], [])


def test_exif_behind_the_pixels_turns_a_png(picture: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data, path = packed(picture, "PNG"), tmp_path / "a.png"
    path.write_bytes(data[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[-12:])
    assert read_header(path) == (56, 40, False)
    assert np.array_equal(decode(path, grey=False), np.rot90(np.asarray(picture), -1))
    header = examine(path)[1]
    assert (header.orientation, header.height, header.width) == (6, 56, 40)


def test_a_header_is_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert read_header(tmp_path / "a.png") == (10, 20, False)


# ---- GIF, WebP, BMP, TIFF ----


@pytest.mark.parametrize("form", ["GIF", "WEBP", "BMP", "TIFF"])
def test_bytes_behind_the_others(form: str, picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, form, **({"lossless": True} if form == "WEBP" else {}))
    said = forgiven(tmp_path / "a", data + b"\1\2\3", data)
    assert said == ("" if form == "TIFF" else "3 bytes behind its end were passed over"), "a TIFF's parts lie anywhere"
    assert forgiven(tmp_path / "b", data, data) == ""
    if form in ("GIF", "WEBP"):
        assert forgiven(tmp_path / "c", b"\n" + data, data) == "1 byte before its beginning was passed over"


@pytest.mark.parametrize("end", range(20, 26))
def test_a_webp_of_an_odd_length_ends_behind_a_byte_of_padding(end: int) -> None:
    data = b"RIFF" + (end - 8).to_bytes(4, "little") + b"WEBP"
    for behind in range(3):
        sound = forgiving.Sound(io.BytesIO(data))
        forgiving._webp("a", sound, end + end % 2 + behind, False)
        assert len(sound.notes) == (behind > 0)


def test_a_webp_of_many_megabytes_ends_where_it_says() -> None:
    """Each byte of the length counts; whoever asks for the header alone is told nothing."""
    end = 0x01020304 + 8
    data = b"RIFF" + (end - 8).to_bytes(4, "little") + b"WEBPVP8 "
    for header_only, behind, notes in ((False, 5, ["5 bytes behind its end were passed over"]), (False, 0, []),
                                       (True, 5, [])):
        sound = forgiving.Sound(io.BytesIO(data))
        forgiving._webp("a", sound, end + behind, header_only)
        assert sound.notes == notes
    assert forgiving._end(io.BytesIO(b"?" + data), 1, 40, forgiving._webp) == end + 1


@pytest.mark.parametrize(("header", "packing", "told"), [
    (40, 0, True), (52, 0, True), (56, 3, True), (108, 3, True), (124, 0, False), (64, 0, False), (40, 1, False),
    (40, 2, False), (56, 4, False)])
@pytest.mark.parametrize("height", [0x010203, -0x010203])
def test_a_bmp_of_many_rows_ends_behind_the_last(header: int, packing: int, told: bool, height: int) -> None:
    """Rows are filled up to four bytes. A later header may have a profile there, and packed rows have no length."""
    start, width = 0x01020304, 0x010201
    head = struct.pack("<2sIHHIIiiHHI", b"BM", 0, 0, 0, start, header, width, height, 1, 4, packing)
    end = start + (width // 2 + 1 + 3) // 4 * 4 * abs(height)
    for more, notes in ((1, ["1 byte behind its end was passed over"] * told), (0, [])):
        sound = forgiving.Sound(io.BytesIO(head + bytes(54 - len(head))))
        forgiving._behind_rows(sound, end + more, False)
        assert sound.notes == notes
    forgiving._behind_rows(sound, end + 1, True)
    forgiving._behind_rows(forgiving.Sound(io.BytesIO(head + bytes(53 - len(head)))), end + 1, False)
    assert sound.notes == [], "not where the header alone is wanted"


def test_where_the_blocks_of_a_gif_end() -> None:
    screen = b"GIF89a" + bytes(4)
    for colours, flags in ((0, 0x07), (2, 0x80), (8, 0x82), (256, 0xF7)):
        table = bytes(3 * colours)
        first = screen + bytes([flags]) + b"\0\0" + table + b"\x21\xf9\4abcd\0"
        for frame in (b"\0\2\2xy\1z\0;", bytes([flags]) + table + b"\2\1z\0;"):
            data = first + b"\x2c" + bytes(8) + frame
            assert forgiving._gif_end(data + b";more") == len(data)
            assert [forgiving._gif_end(data[:cut]) for cut in range(len(data))] == [0] * len(data)
        assert forgiving._gif_end(first + b"?\0;") == 0


def test_a_gif_without_its_end_or_with_half_a_second_frame(picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "GIF")
    assert forgiven(tmp_path / "a.gif", data[:-1], data) == "its end is missing"
    two = packed(picture, "GIF", save_all=True, append_images=[picture.rotate(180)])
    half = two[: len(data) + (len(two) - len(data)) // 2]
    assert forgiven(tmp_path / "b.gif", half, data) == "its end is missing"


def test_pictures_inside_other_files_are_not_the_file(picture: Image.Image, tmp_path: Path) -> None:
    data = packed(picture, "JPEG")
    for before, what in ((b"%PDF-1.4\n", "a PDF"), (b"\0\0\1\0\1\0", "an icon"), (b"ID3\4", "a sound"),
                         (b"\0\0\0\x18ftypheic", "a HEIC"), (bytes(2000), "not PNG")):
        assert f"its content is {what}" in refused(tmp_path / "a.jpg", before + data)
    assert "is not PNG" in refused(tmp_path / "a.jpg", b"?" + data + bytes(3 * len(data))), "a part of something"
