"""cnncli/data/jpeg.py: what markers say, however they lie in the file's blocks, and what follows from it."""

import io
import struct

import pytest

from cnncli.data import jpeg as module
from cnncli.data.jpeg import Jpeg, read_markers

START, END, REST = b"\xff\xd8", b"\xff\xd9", b"\1\2\xff\0\3"  # the last: data of a scan, with a value of 255
THREE = {1: (2, 2), 2: (1, 1), 3: (1, 1)}  # colours at half the resolution


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body


def frame(marker: int = 0xC0, size: tuple[int, int] = (17, 9), sampling: dict[int, tuple[int, int]] = THREE) -> bytes:
    parts = b"".join(bytes([number, x << 4 | y, 0]) for number, (x, y) in sampling.items())
    return segment(marker, struct.pack(">BHHB", 8, size[1], size[0], len(sampling)) + parts)


def scan(components: tuple[int, ...] = (1, 2, 3), first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    which = b"".join(bytes([number, 0]) for number in components)
    return segment(0xDA, bytes([len(components)]) + which + bytes([first, last, bits])) + REST


def read(data: bytes, most: int = 500) -> Jpeg:
    return read_markers(io.BytesIO(data), most)


def test_what_markers_say() -> None:
    data = (START + segment(0xE0, b"JFIF") + b"\xff\xff" + segment(0xFE, END + b"\xff\xda") + frame()
            + segment(0xDD, b"\1\2") + scan() + b"\xff\xd0" + REST + b"\xff\xd1" + REST + END)
    found = read(data + b"behind" + scan())
    assert (found.scans, found.end, found.size, found.progressive) == (1, len(data), (17, 9), False)
    assert (found.components, found.restart, found.restarts, found.last) == (THREE, 258, 2, (1, 2, 3))
    assert found.refined == dict.fromkeys((1, 2, 3), [0] * 64)


@pytest.mark.parametrize("marker", range(0xC0, 0xD0))
def test_which_frames_there_are(marker: int) -> None:
    found = read(START + frame(marker) + scan() + END)
    is_one = marker not in (0xC4, 0xC8, 0xCC)  # tables, a reserved one, and conditions of arithmetic coding
    assert found.size == ((17, 9) if is_one else (0, 0))
    assert found.progressive == (marker in (0xC2, 0xC6, 0xCA, 0xCE))


def test_blocks_of_any_length_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (START + frame(0xC2) + segment(0xDD, b"\0\1") + scan() + b"\xff\xd0" + 20 * REST + b"\xff\xff\xff\xd1\xff"
            + b"\0" + scan((1,), 1, 5, 1) + b"\xff\xd0" + bytes(30) + b"\xff\xd1\xff\xd2" + END)
    whole = read(data)
    assert (whole.scans, whole.restarts, whole.last, whole.end) == (2, 3, (1,), len(data))
    assert whole.refined[1] == [0, 1, 1, 1, 1, 1, *[0] * 58]
    for block in range(1, 12):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert read(data) == whole


def test_scans_are_counted_no_further_than_asked() -> None:
    data = START + frame() + 5 * scan((1,)) + END
    assert (read(data, 5).scans, read(data, 5).end) == (5, len(data))
    assert (read(data, 4).scans, read(data, 4).end) == (5, None)
    assert (read(data, 1).scans, read(data, 1).end) == (2, None)


def test_only_so_many_segments_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    data = START + 3 * segment(0xFE, b"") + END
    monkeypatch.setattr(module, "_MOST_SEGMENTS", 5)
    assert read(data).end == len(data)
    monkeypatch.setattr(module, "_MOST_SEGMENTS", 4)
    assert read(data).end is None


def test_it_begins_where_the_file_is() -> None:
    file = io.BytesIO(b"before" + START + frame() + END)
    file.seek(6)
    assert read_markers(file, 500).end == len(file.getvalue())


@pytest.mark.parametrize("data", [b"", START, START + b"\xff", START + b"\xff\xc0\0", START + frame()[:-1],
                                  START + segment(0xC0, b"\x08\0\x09\0\x11"), START + segment(0xC0, b""),
                                  START + segment(0xC0, b"\x08\0\x09\0\x11\2\1\x22\0\2\x11")])
def test_what_is_cut_off_or_too_short_says_nothing(data: bytes) -> None:
    assert read(data) == Jpeg()


def test_odd_segments() -> None:
    assert read(START + segment(0xDD, b"\1")).restart == 0
    assert read(START + frame(sampling={7: (0, 0)}) + segment(0xDA, b"")).components == {7: (1, 1)}
    cut = read(START + frame() + segment(0xDA, b"\2\1\0\2\0"))
    assert (cut.scans, cut.last) == (1, ())
    unknown = read(START + frame(sampling={1: (1, 1)}) + scan((9,)))
    assert (unknown.last, unknown.refined) == ((9,), {1: [None] * 64})
    assert read(START + frame() + scan((1,), 60, 200, 0x13)).refined[1] == [*[None] * 60, 3, 3, 3, 3]
    # A length below two is one of two: the marker behind it is found.
    assert read(START + b"\xff\xe0\0\0" + frame()).size == (17, 9)


@pytest.mark.parametrize(("jpeg", "kept"), [
    (Jpeg(1, size=(20, 10), components=THREE), 0), (Jpeg(2, size=(20, 10), components=THREE), 600),
    (Jpeg(1, size=(20, 10), components=THREE, progressive=True), 600), (Jpeg(2, size=(20, 10)), 0),
    (Jpeg(2, size=(20, 10), components={1: (2, 1), 2: (1, 2)}), 400), (Jpeg(9, size=(20, 10), components={1: (3, 3)}),
                                                                       400)])
def test_what_a_decoder_keeps_of_several_scans(jpeg: Jpeg, kept: int) -> None:
    """Two bytes for each coefficient of each component."""
    assert jpeg.kept() == kept


@pytest.mark.parametrize(("last", "units"), [((1, 2, 3), 2), ((1,), 6), ((2,), 2), ((9,), 2)])
def test_restarts_of_a_whole_scan(last: tuple[int, ...], units: int) -> None:
    """A scan of one component has only the blocks that hold something of the image: of 17 x 9 pixels, or half of it."""
    for restart in (1, 2, 4):
        for restarts in range(8):
            jpeg = Jpeg(1, 9, (17, 9), False, THREE, restart, restarts, last, {1: [0] * 64})
            assert jpeg.scans_are_whole() == (restarts == -(-units // restart) - 1)


def test_coefficients_of_a_whole_image() -> None:
    for lows, whole in ([0] * 64, True), ([0] * 63 + [1], False), ([None] + [0] * 63, False):
        assert Jpeg(1, last=(1,), refined={1: [0] * 64, 2: lows}).scans_are_whole() == whole
    assert not Jpeg(1, refined={1: [0] * 64}).scans_are_whole()  # no scan at all
