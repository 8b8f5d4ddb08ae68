"""data/tar.py: what is read of an archive is what tarfile wrote into it; what is hostile is named and not followed."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from cnncli.data import tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def member(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info, bytes(i % 251 for i in range(size))


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as made:
        for info, data in members:
            made.addfile(info, io.BytesIO(data))
    return file.getvalue()


def read(data: bytes) -> tar.Contents:
    return tar.read(io.BytesIO(data))


def held(data: bytes) -> dict[str, bytes]:
    found = read(data)
    return {path: data[start : start + size]
            for path, start, size in zip(found.paths, found.starts, found.sizes, strict=True)}


@pytest.mark.parametrize("form", FORMATS)
def test_files_of_every_format(form: str) -> None:
    long = "/".join(["folder" * 5] * 4) + "/a.png"
    names = {"a.png": "a.png", "./b/c.png": "b/c.png", "d//e.png": "d/e.png", "f/./g.png": "f/g.png", long: long}
    if form != "ustar":
        names |= {"x" * 300 + "/ä.png": "x" * 300 + "/ä.png"}
    members = [member(name, size) for size, name in enumerate(names, 510)]
    data = archive(*members, member("empty/", 0, tarfile.DIRTYPE), form=FORMATS[form])
    assert held(data) == {inside: given[1] for inside, given in zip(names.values(), members, strict=True)}
    assert read(data).refused == []
    assert read(data).cut == ""


def test_names_that_are_no_utf8_are_as_on_the_disk() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    assert list(held(archive(member(name)))) == [name]
    assert list(held(archive(member("d" * 120 + name)))) == ["d" * 120 + name]


@pytest.mark.parametrize(("name", "kind", "reason"), [
    ("../a.png", tarfile.REGTYPE, "its path leaves the archive"),
    ("a/../../b.png", tarfile.REGTYPE, "its path leaves the archive"),
    ("a/..", tarfile.REGTYPE, "its path leaves the archive"),
    ("/etc/a.png", tarfile.REGTYPE, "its path begins at the root of the disk"),
    ("./.", tarfile.REGTYPE, "it has no name"),
    ("/".join("a" * 70) + ".png", tarfile.REGTYPE, "its path is too long"),
    ("x" * 5000, tarfile.REGTYPE, "its path is too long"),
    ("a.png", tarfile.SYMTYPE, "it is a symbolic link"),
    ("a.png", tarfile.LNKTYPE, "it is a hard link"),
    ("a.png", tarfile.CHRTYPE, "it is a device"),
    ("a.png", tarfile.BLKTYPE, "it is a device"),
    ("a.png", tarfile.FIFOTYPE, "it is a named pipe"),
    ("a.png", b"Z", "it is of no kind that is known"),
])
def test_what_is_passed_over(name: str, kind: bytes, reason: str) -> None:
    size = 0 if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE) else 3
    found = read(archive(member("before.png"), member(name, size, kind, "/etc/passwd"), member("behind.png")))
    assert found.refused == [(name, reason)]
    assert found.paths == ["before.png", "behind.png"]


def test_sparse_files_are_passed_over() -> None:
    info, data = member("a.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "a.png"}
    found = read(archive((info, data), member("b.png"), form=tarfile.PAX_FORMAT))
    assert found.refused == [("a.png", "it is a sparse file")]
    assert found.paths == ["b.png"]


def test_an_archive_that_is_cut() -> None:
    data = archive(member("a.png", 700), member("b.png", 700))
    assert read(data[:3072]).cut == "it has no end; perhaps it is cut off"
    assert read(data[:3072]).paths == ["a.png", "b.png"]
    found = read(data[:2200])  # in b
    assert found.refused == [("b.png", "the archive ends in the middle of it")]
    assert (found.paths, found.cut) == (["a.png"], "it has no end; perhaps it is cut off")
    assert read(data[:1600]).cut == "it ends in the middle of a header"
    damaged = bytearray(data)
    damaged[1540] ^= 1
    assert read(bytes(damaged)).cut == "the header at byte 1,536 is damaged, and what follows is not read"
    assert read(bytes(damaged)).paths == ["a.png"]


def header(**fields: bytes) -> bytes:
    """Return a header whose fields are as given, with the sum that belongs to it."""
    places = {"name": (0, 100), "size": (124, 136), "kind": (156, 157)}
    block = bytearray(tar.header_of("a.png", 0))
    for name, value in fields.items():
        first, end = places[name]
        block[first:end] = value.ljust(end - first, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_sizes_that_cannot_be() -> None:
    end = bytes(1024)
    assert read(header(size=b"99999999999") + end).cut.endswith("has no size, and what follows is not read")
    far = read(header(size=b"\x80" + bytes(3) + b"\xff" * 8) + end)
    assert far.refused == [("a.png", "the archive ends in the middle of it")]
    for kind in (b"x", b"L", b"g", b"K"):
        assert read(header(kind=kind, size=b"77777777777") + end).cut.startswith("the header at byte 0 is too long")
    path_for_all = b"23 path=../../etc/pass\n"
    assert "gives all files one path" in read(
        header(kind=b"g", size=b"%o" % len(path_for_all)) + tar.filled(path_for_all) + end).cut


@pytest.mark.parametrize("record", [b"no length", b"0 path=a\n", b"999999999999 path=a\n", b"99 path=a\n", b"1 \n",
                                    b""])
def test_extensions_that_make_no_sense_say_nothing(record: bytes) -> None:
    data = header(kind=b"x", size=b"%o" % len(record)) + tar.filled(record) + archive(member("b.png"))
    assert read(data).paths == ["b.png"]


@pytest.mark.parametrize(("start", "words"), [
    (b"\x1f\x8b" + bytes(600), r"compressed \(gzip\)"), (b"BZh9" + bytes(600), "bunzip2"), (b"", "empty"),
    (b"\xfd7zXZ" + bytes(600), "unxz"), (b"(\xb5/\xfd" + bytes(600), "unzstd"), (b"hello", "no tar archive"),
    (b"\x89PNG" + bytes(600), "no tar archive")])
def test_what_is_no_archive(start: bytes, words: str) -> None:
    with pytest.raises(tar.NotTar, match=words):
        read(start)


def test_what_is_written_is_what_tarfile_reads(tmp_path: Path) -> None:
    files = {"a/b.png": b"1" * 600, "x" * 200 + "/" + "ä" * 60 + ".cls": b"2", os.fsdecode(b"\xff.png"): b"3" * 512,
             "empty.png": b"", "y" * 100: b"4"}
    data = b"".join(tar.header_of(name, len(text)) + tar.filled(text) for name, text in files.items())
    data += tar.end_of(len(data))
    assert len(data) % 10240 == 0
    assert held(data) == files
    with tarfile.open(fileobj=io.BytesIO(data)) as archived:
        assert archived.getnames() == list(files)
        for name, text in files.items():
            file = archived.extractfile(name)
            assert file is not None
            assert file.read() == text
        info = archived.getmember("a/b.png")
        assert (info.mtime, info.uid, info.gid, info.mode) == (0, 0, 0, 0o644)


def test_which_header_fits() -> None:
    block = tar.header_of("a.png", 700)
    assert tar.fits(block, 700)
    assert not tar.fits(block, 701)
    assert not tar.fits(block[:-1], 700)
    assert not tar.fits(bytes(512), 0)
    assert not tar.fits(header(kind=b"2", size=b"1274"), 700)
    assert tar.fits(tar.header_of("a.png", 8**11 + 5), 8**11 + 5)
