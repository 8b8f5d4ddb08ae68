"""cnncli/data/tiff.py: what a page's tags mean, which pages are read, and how tags lie in a file. test_tiff.py has the
values."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from cnncli.data import tiff

from .tiffs import write

PACKED = {"COMPRESSION": 8}


def page(order: str = "<", pages: int = 1, raw: bool = False, **tags: object) -> tiff.Page:
    """A page of these tags, by the names that tiff.py has for them."""
    numbers = {getattr(tiff, name): (value,) if isinstance(value, int) else value for name, value in tags.items()}
    return tiff.Page(numbers, order, pages, raw)  # type: ignore[arg-type]


def test_what_is_not_said_is_usual() -> None:
    plain = page()
    assert (plain.size, plain.bits, plain.format, plain.channels) == ((0, 0), 1, 1, 1)
    assert (plain.colours, plain.grey, plain.alpha, plain.deep) == (1, True, None, False)
    assert page(WIDTH=3, HEIGHT=5, BITS=(12, 12)).size == (3, 5)
    assert [page(FORMAT=kind).format for kind in (1, 2, 3, 4, 5)] == [1, 2, 3, 1, 5]


@pytest.mark.parametrize(("photometric", "bits", "kind", "deep"), [
    (1, 8, 1, False), (1, 9, 1, True), (0, 16, 1, True), (2, 16, 1, True), (3, 16, 1, False), (5, 16, 1, False),
    (2, 8, 2, True), (1, 8, 3, True), (1, 8, 4, False)])
def test_which_pages_are_deep(photometric: int, bits: int, kind: int, deep: bool) -> None:
    assert page(PHOTOMETRIC=photometric, BITS=bits, FORMAT=kind).deep == deep


@pytest.mark.parametrize(("photometric", "channels", "extra", "alpha"), [
    (2, 3, (), None), (2, 4, (), 3), (1, 2, (), None), (2, 4, (2,), 3), (2, 4, (1,), 3), (2, 4, (0,), None),
    (2, 5, (), None), (2, 5, (0, 2), 4), (2, 5, (1, 2), 3), (2, 4, (0, 2), None), (1, 2, (2,), 1), (1, 3, (0, 1), 2),
    (1, 1, (2,), None)])
def test_which_channel_is_the_transparency(photometric: int, channels: int, extra: tuple[int, ...],
                                           alpha: int | None) -> None:
    assert page(PHOTOMETRIC=photometric, SAMPLES=channels, EXTRA=extra).alpha == alpha


@pytest.mark.parametrize(("kind", "words"), [
    (1, "unsigned numbers"), (2, "signed numbers"), (3, "floats"), (4, "unsigned numbers"), (5, "complex numbers"),
    (6, "complex numbers"), (7, "values of an unknown kind")])
def test_what_values_are_called(kind: int, words: str) -> None:
    assert page(FORMAT=kind, BITS=24).kind == f"{words} of 24 bits"


@pytest.mark.parametrize(("tags", "reason"), [
    ({}, None), ({"COMPRESSION": 5}, None), ({"COMPRESSION": 6}, "packed by JPEG; save it with deflate"),
    ({"COMPRESSION": 9}, "unsigned numbers of 16 bits, packed by method 9;"), ({"COMPRESSION": 50000}, None),
    ({"BITS": 64}, None), ({"BITS": 65}, "of unsigned numbers of 65 bits"), ({"BITS": (16, 16)}, None),
    ({"BITS": (16, 8)}, "channels have 16, 8 bits; save them with the same"),
    *(({"FORMAT": 3, "BITS": bits}, None) for bits in (16, 32, 64)), ({"FORMAT": 3, "BITS": 24}, "floats of 24 bits"),
    ({"FORMAT": 5}, "a TIFF of complex numbers of 16 bits"), ({"FILL_ORDER": 2}, None),
    ({"FILL_ORDER": 2, "COMPRESSION": 5}, "stored in reverse"), ({"PREDICTOR": 2, **PACKED}, None),
    ({"PREDICTOR": 4}, None),
    ({"PREDICTOR": 2, "BITS": 12, **PACKED}, "with predictor 2"), ({"PREDICTOR": 1, "BITS": 12}, None),
    ({"PREDICTOR": 3, **PACKED}, "16 bits with predictor 3; save it without one"),
    ({"PREDICTOR": 3, "FORMAT": 3, **PACKED}, None),
    ({"PREDICTOR": 4, "FORMAT": 3, **PACKED}, "with predictor 4"),
    ({"PREDICTOR": 0, **PACKED}, "with predictor 0"), ({"PREDICTOR": 0, "COMPRESSION": 32773}, None),
    ({"PHOTOMETRIC": 5, "BITS": 17}, "whose unsigned numbers of 17 bits are inks"), ({"PHOTOMETRIC": 5}, "1 channels"),
    ({"PHOTOMETRIC": 5, "SAMPLES": 4}, None), ({"PHOTOMETRIC": 5, "FORMAT": 3}, r"whose floats of 16 bits are inks"),
    ({"PHOTOMETRIC": 8, "SAMPLES": 3, "FORMAT": 2}, None), ({"PHOTOMETRIC": 4}, "16 bits are a mask; save it as grey"),
    ({"PHOTOMETRIC": 34892}, "camera's raw file"), ({"PHOTOMETRIC": 32803}, "camera's raw file"),
    ({"PHOTOMETRIC": 99}, r"something unknown \(99\)"), ({"PHOTOMETRIC": 2}, "of 1 channels, and an image has one"),
    ({"PHOTOMETRIC": 2, "SAMPLES": 3}, None), ({"PHOTOMETRIC": 2, "SAMPLES": 7}, None), ({"SAMPLES": 2}, "2 channels"),
    ({"SAMPLES": 2, "EXTRA": 2}, None), ({"SAMPLES": 3, "EXTRA": (2, 0)}, "of 3 channels"),
])
def test_which_pages_are_read(tags: dict[str, object], reason: str | None) -> None:
    found = page(**{"BITS": 16, "PHOTOMETRIC": 1, **tags}).refusal()
    assert (found is None) if reason is None else re.search(reason, str(found))
    assert page(raw=True, **tags).refusal() == "it is a camera's raw file; develop it to JPEG or PNG, with the " \
                                               "camera's software or darktable"


@pytest.mark.parametrize(("text", "kind", "shown"), [
    (b"-9999\0", "f4", [0, 0, 5, 7]), (b" 5 \0", "f4", [-9999, 0, 0, 7]), (b"5", "u2", [55537, 0, 0, 7]),
    (b"none", "f4", [-9999, 0, 5, 7]), (b"1e99", "i2", [-9999, 0, 5, 7]), (b"3", "i2", [-9999, 0, 5, 7])])
def test_the_darkest_is_put_where_there_is_nothing(text: bytes, kind: str, shown: list[int]) -> None:
    values = np.array([[-9999, 0, 5, 7]]).astype(kind)
    if text == b" 5 \0":
        shown[2] = -9999
    with np.errstate(all="ignore"):
        page(NO_DATA=text)._fill(values)
    assert values.tolist() == [shown]
    alike = np.full((1, 3), 5, np.float32)
    page(NO_DATA=b"5")._fill(alike)
    assert (alike == 5).all()


# ---- tags in a file ----


def big(order: str, tags: dict[int, int], pages: int = 1) -> bytes:
    """Return a BigTIFF, whose places have eight bytes."""
    data = (b"II+\0" if order == "<" else b"MM\0+") + struct.pack(f"{order}HHQ", 8, 0, 16)
    for number in range(pages):
        entries = b"".join(struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, value in tags.items())
        end = len(data) + 8 + len(entries) + 8
        data += struct.pack(f"{order}Q", len(tags)) + entries + struct.pack(f"{order}Q", end * (number < pages - 1))
    return data


@pytest.mark.parametrize("order", "<>")
def test_files_of_more_than_four_gigabytes_have_longer_places(order: str) -> None:
    found = tiff.first_page(io.BytesIO(big(order, {256: 3, 257: 1 << 40}, pages=4)))
    assert found is not None
    assert (found.size, found.pages, found.order) == ((3, 1 << 40), 4, order)


def test_which_tags_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of several, of the types that are needed, as long as there are not too many."""
    kinds = {1: b"\7\x09", 2: b"ab", 3: struct.pack("<2H", 7, 300), 4: struct.pack("<2I", 7, 1 << 20), 5: bytes(16),
             6: b"\xff\x01", 8: struct.pack("<2h", -7, 300), 9: struct.pack("<2i", -7, 1), 11: bytes(8),
             16: struct.pack("<2Q", 7, 1 << 40), 17: struct.pack("<2q", -7, 1)}
    entries, behind, at = b"", b"", 8 + 2 + 12 * (len(kinds) + 1) + 4
    for kind, data in kinds.items():
        place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", at + len(behind))
        behind += data if len(data) > 4 else b""
        entries += struct.pack("<HHI", 300 + kind, kind, 2) + place
    entries += struct.pack("<HHII", 301, 4, 1, 5)  # again
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(kinds) + 1) + entries + bytes(4) + behind
    want = {301: (7, 9), 302: b"ab", 303: (7, 300), 304: (7, 1 << 20), 306: (-1, 1), 308: (-7, 300), 309: (-7, 1),
            316: (7, 1 << 40), 317: (-7, 1)}

    def tags() -> object:
        found = tiff.first_page(io.BytesIO(data))
        return None if found is None else found.tags

    assert tags() == want
    monkeypatch.setattr(tiff, "_MOST_NUMBERS", 1)
    assert tags() == {301: (5,)}
    monkeypatch.setattr(tiff, "_MOST_TAGS", len(kinds) + 1)
    assert tags() is not None
    monkeypatch.setattr(tiff, "_MOST_TAGS", len(kinds))
    assert tags() is None


@pytest.mark.parametrize(("text", "pages"), [
    (b"ImageJ=1\nimages=7\n", 7), (b"ImageJ=1\nimages=7 \nslices=9\n", 7), (b"images=7\n", 1), (b"ImageJ=1\n", 1),
    (b"ImageJ=1\nimages=1234567890\n", 1), (b"ImageJ=1\nmy images=7\n", 1)])
def test_stacks_without_pages_of_their_own(text: bytes, pages: int) -> None:
    assert tiff._stacked({tiff.DESCRIPTION: text}) == pages


@pytest.mark.parametrize(("tags", "raw"), [({50706: (1, 4, 0, 0)}, True), ({254: (1,), 271: b"x\0", 330: (8,)}, True),
                                           ({254: (0,), 271: b"x\0", 330: (8,)}, False), ({271: b"x\0"}, False),
                                           ({254: (1,), 330: (8,)}, False), ({254: (1,), 271: b"x\0"}, False)])
def test_which_files_are_raw(tags: dict[int, tuple[int, ...] | bytes], raw: bool, tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.zeros((4, 4), np.uint16), tags=tags)
    with (tmp_path / "a.tif").open("rb") as file:
        found = tiff.first_page(file)
        assert found is not None
        assert found.raw == raw
        assert file.tell() == 0
    data = (tmp_path / "a.tif").read_bytes()
    at = len(data)  # Canon's files say so behind the place of the first page
    canon = data[:4] + struct.pack("<I", at) + b"CR" + data[10:] + data[struct.unpack("<I", data[4:8])[0] :]
    page_of_it = tiff.first_page(io.BytesIO(canon))
    assert page_of_it is not None
    assert page_of_it.raw
