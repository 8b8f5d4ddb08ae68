"""cnncli/data/png.py: chunks as they lie in a file, and which of them say how a picture looks."""

import io

import pytest

from cnncli.data import png
from cnncli.data.png import SIGNATURE, Chunk, bare, body, chunks, is_right, late_exif, raw, with_chunks

from .test_forgiving import chunk

PARTS = [chunk(b"IHDR", bytes(9) + b"\2" + bytes(3)), chunk(b"tEXt", b"k\0v"), chunk(b"IDAT", bytes(20)),
         chunk(b"eXIf", b"MM"), chunk(b"IEND", b"")]
DATA = SIGNATURE + b"".join(PARTS)


def read(data: bytes) -> list[Chunk]:
    return list(chunks(io.BytesIO(data), 8, len(data)))


def test_chunks_and_what_is_in_them() -> None:
    found, file = read(DATA + b"behind"), io.BytesIO(DATA)
    assert [(one.name, one.start, one.end, one.whole) for one in found] == [
        (b"IHDR", 8, 33, True), (b"tEXt", 33, 48, True), (b"IDAT", 48, 80, True), (b"eXIf", 80, 94, True),
        (b"IEND", 94, 106, True)]
    assert [one.shown for one in found] == ["IHDR", "tEXt", "IDAT", "eXIf", "IEND"]
    assert [raw(file, one) for one in found] == PARTS
    assert [body(file, one) for one in found] == [part[8:-4] for part in PARTS]
    assert with_chunks(file, found) == DATA
    assert with_chunks(file, found[::4]) == SIGNATURE + PARTS[0] + PARTS[4]


def test_where_chunks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.whole for one in read(DATA[:-1])] == [True] * 4 + [False]
    assert [one.whole for one in read(DATA[:60])] == [True, True, False]  # nothing is looked for behind what is cut off
    assert len(read(DATA[:55])) == 2  # half of a name
    assert len(read(SIGNATURE + PARTS[0] + b"\0\0\0\1a1cd" + PARTS[4])) == 1
    monkeypatch.setattr(png, "_MOST_CHUNKS", 4)
    assert len(read(DATA)) == 4


def test_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (1 << 20, 1, 7):
        monkeypatch.setattr(png, "_BLOCK", block)
        assert all(is_right(io.BytesIO(DATA), one) for one in read(DATA))
        wrong = DATA[:56] + b"\1" + DATA[57:]
        assert [is_right(io.BytesIO(wrong), one) for one in read(wrong)] == [True, True, False, True, True]
        assert not is_right(io.BytesIO(DATA[:60]), read(DATA)[2])


@pytest.mark.parametrize(("name", "holds"), [(b"IHDR", True), (b"PLTE", True), (b"IDAT", True), (b"IEND", False),
                                             (b"tRNS", False), (b"eXIf", False), (b"acTL", False)])
def test_which_hold_pixels(name: bytes, holds: bool) -> None:
    assert Chunk(name, 0, 12).holds_pixels == holds


@pytest.mark.parametrize(("colour", "fitting"), [(0, [2]), (2, [6]), (3, [1, 2, 6, 256]), (4, []), (6, [])])
def test_the_transparency_that_fits_the_colours(colour: int, fitting: list[int]) -> None:
    header = chunk(b"IHDR", bytes(9) + bytes([colour]) + bytes(3))
    for length in (0, 1, 2, 6, 256, 257):
        data = SIGNATURE + header + chunk(b"tRNS", bytes(length)) + chunk(b"IDAT", b"") + PARTS[4]
        names = [one.name for one in bare(io.BytesIO(data), read(data))]
        assert (b"tRNS" in names) == (length in fitting), length


def test_what_is_kept_of_a_file() -> None:
    assert [one.name for one in bare(io.BytesIO(DATA), read(DATA))] == [b"IHDR", b"IDAT", b"eXIf", b"IEND"]
    for parts in (chunk(b"tRNS", bytes(2)) + PARTS[0], chunk(b"IHDR", b"") + chunk(b"tRNS", bytes(2))):
        data = SIGNATURE + parts
        assert [one.name for one in bare(io.BytesIO(data), read(data))] == [b"IHDR"]  # whose colours nobody knows
    assert bare(io.BytesIO(SIGNATURE), []) == []


def test_exif_behind_the_pixels() -> None:
    assert late_exif(io.BytesIO(DATA), read(DATA)) == b"Exif\0\0MM"
    for order in ([0, 3, 2, 4], [0, 2, 4], [0, 3, 4]):
        data = SIGNATURE + b"".join(PARTS[place] for place in order)
        assert late_exif(io.BytesIO(data), read(data)) is None
