"""cnncli/data/kinds.py: what is no image that is read is called by its name, with a way to make it one."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import kinds
from cnncli.data.check import check
from cnncli.data.decode import decode, read_header
from cnncli.errors import ImageError

from .check.pictures import classes, write
from .tiffs import write as write_tiff


def boxes(brand: bytes, *others: bytes) -> bytes:
    """Return the beginning of a file of MPEG-4's boxes."""
    body = brand + bytes(4) + b"".join(others)
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body + bytes(200)


def packed(kind: str) -> bytes:
    data = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("a.png", b"x")
    else:
        with tarfile.open(fileobj=data, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("a.png"))
    return data.getvalue()


def saved(form: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, form)
    return data.getvalue()


def array() -> bytes:
    data = io.BytesIO()
    np.save(data, np.zeros((4, 4)))
    return data.getvalue()


def arrays() -> bytes:
    data = io.BytesIO()
    np.savez(data, images=np.zeros((4, 4)))
    return data.getvalue()


KINDS = [
    (boxes(b"heic", b"mif1"), "a HEIC photograph"), (boxes(b"mif1", b"heic"), "a HEIC photograph"),
    (boxes(b"avif"), "an AVIF image"), (boxes(b"mif1", b"avif"), "an AVIF image"),
    (boxes(b"crx "), "a camera's raw file"), (boxes(b"isom"), "a video"), (boxes(b"qt  "), "a video"),
    (b"\xff\x0a" + bytes(90), "a JPEG XL image"), (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"), (b"\xff\x4f\xff\x51" + bytes(9), "a JPEG 2000 image"),
    (bytes(128) + b"DICM", "a DICOM file"), (b"%PDF-1.7\n", "a PDF document"),
    (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing"),
    (b"\xef\xbb\xbf <SVG width='3'>", "an SVG drawing"), (b"<!DOCTYPE html><html>", "a web page"),
    (b"FUJIFILMCCD-RAW 0201", "a camera's raw file"), (b"IIU\0" + bytes(20), "a camera's raw file"),
    (b"\x1aE\xdf\xa3" + bytes(20), "a video"), (b"RIFF1234AVI LIST", "a video"), (b"RIFF1234WAVEfmt", "a sound"),
    (b"8BPS\0\1", "a Photoshop document"), (b"SIMPLE  =", "a FITS file"), (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (array(), "a NumPy array"), (packed("zip"), "an archive"), (packed("tar"), "an archive"),
    (saved("PPM"), "a PNM image"), (saved("ICO"), "an icon"), (saved("SGI"), "an SGI image"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "what Git LFS keeps"), (b"\0\5\x16\7\0\2", "what macOS keeps"),
    (b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x10\0\x10\1\1\x11\0", "a JPEG of 12 bits"),
    (b"\xff\xd8\xff\xc3\0\x0b\x08\0\x10\0\x10\1\1\x11\0", "a lossless JPEG"),
    (b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0", "a JPEG-LS image"),
    (saved("TGA"), "a Targa image"), (saved("PCX"), "a PCX image"), (saved("JPEG2000"), "a JPEG 2000 image"),
    (saved("AVIF"), "an AVIF image"), (saved("PDF"), "a PDF document"), (saved("ICNS"), "an icon"),
    (saved("EPS"), "a PostScript document"), (saved("DDS"), "a texture"), (arrays(), "an archive of arrays (.npz)"),
    (b"p\0\0\0\xaa\0\0\0*", "a microscope's file (LIF)"), (b"G@\0\x10".ljust(188, b"\xff") * 3, "a video"),
]


@pytest.mark.parametrize(("data", "name"), KINDS, ids=[f"{i}-{name}" for i, (_, name) in enumerate(KINDS)])
def test_each_kind_is_named(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    for look in (lambda path: decode(path, grey=True), read_header):
        if look is read_header and name == "a lossless JPEG":  # its header is as that of any
            continue
        with pytest.raises(ImageError) as caught:
            look(tmp_path / "a.jpg")
        assert caught.value.reason.startswith(f"its content is {name}")
        assert "which is not read; " in caught.value.reason


@pytest.mark.parametrize(("where", "magic", "name"), [
    (344, b"n+1\0", "a NIfTI volume"), (0, b"NRRD0", "an NRRD volume"), (0, b"MATLAB 5.0", "a MATLAB file"),
    (0, b"%!PS", "a PostScript document"), (0, b"IIRO", "a camera's raw file"), (0, b"IIRS", "a camera's raw file"),
    (0, b"MMOR", "a camera's raw file"), (0, b"FOVb", "a camera's raw file"), (0, b"\0MRM", "a camera's raw file"),
    (0, b"\0\0\1\xba", "a video"), (0, b"\0\0\1\xb3", "a video"), (0, b"FLV\1", "a video"), (4, b"moov", "a video"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a video"), (0, b"OggS", "a video"), (8, b"AVI ", "a video"), (8, b"WAVE", "a sound"),
    (0, b"ID3", "a sound"), (0, b"gimp xcf", "a GIMP document"), (0, b"\0\0\2\0", "a cursor"), (0, b"icns", "an icon"),
    (0, b"v/1\1", "an OpenEXR image"), (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"#?RGBE", "a Radiance HDR image"), (0, b"qoif", "a QOI image"), (0, b"DDS ", "a texture"),
    (0, b"BPG\xfb", "a BPG image"), (0, b"FLIF", "a FLIF image"), (0, b"AT&TFORM", "a DjVu document"),
    (0, b"\xd7\xcd\xc6\x9a", "a drawing (WMF)"), (40, b" EMF", "a drawing (EMF)"), (0, b"\x1f\x8b", "an archive"),
    (0, b"7z\xbc\xaf'\x1c", "an archive"), (0, b"Rar!\x1a\x07", "an archive"), (0, b"\xfd7zXZ\0", "an archive"),
    (344, b"ni1\0", "the header of a NIfTI volume"), (4, b"n+2\0", "a NIfTI volume"), (208, b"MAP ", "an MRC volume"),
    (0, b"ObjectType =", "a MetaImage volume"), (0, b"NDims =", "a MetaImage volume"),
    (0, b"ZISRAWFILE", "a microscope's file (CZI)"), (0, b"\xda\xce\xbe\n", "a microscope's file (ND2)"),
    (0, b"\x80\4\x95", "a pickle"), (0, b"PAR1", "a table"), (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document"),
    (4, b"mdat", "a video"), (4, b"wide", "a video"), (0, b"fLaC", "a sound"), (0, b"II\xbc\1", "a JPEG XR image"),
    (0, b"\x8aMNG", "an MNG animation"), (0, b"\x8bJNG", "a JNG image"), (0, b"/* XPM */", "an XPM drawing"),
    (8, b"ILBM", "an ILBM image"), (0, b"SDPX", "a DPX image"), (0, b"XPDS", "a DPX image"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document"), (0, b"(\xb5/\xfd", "an archive"),
    (0, b"BZh", "an archive"), (257, b"ustar", "an archive"), (128, b"DICM", "a DICOM file")])
def test_where_each_kind_is_told(where: int, magic: bytes, name: str) -> None:
    start = b"?" * where + magic + b"?" * 20
    assert str(kinds.reason(start)).startswith(f"its content is {name}")
    assert kinds.reason(b"?" + start) is None
    assert kinds.reason(start[: where + len(magic) - 1]) is None


@pytest.mark.parametrize(("marker", "bits", "said"), [
    (0xC0, 12, "a JPEG of 12 bits a value"), (0xC2, 16, "a JPEG of 16 bits a value"), (0xC0, 8, ""), (0xC9, 8, ""),
    *((marker, 8, "a lossless JPEG") for marker in (0xC3, 0xC7, 0xCB, 0xCF)), (0xC4, 12, ""), (0xC8, 12, "")])
def test_jpegs_that_are_not_read(marker: int, bits: int, said: str) -> None:
    found = kinds.reason(b"\xff\xd8\xff" + bytes([marker, 0, 11, bits, 0, 16, 0, 16]))
    assert str(found).startswith(f"its content is {said}, which is not read; save it as") if said else found is None


@pytest.mark.parametrize(("brand", "others", "name"), [
    (b"avis", (), "an AVIF image"), (b"heif", (), "a HEIC"), (b"M4A ", (), "a sound"),
    *((brand, (), "a HEIC") for brand in (b"heix", b"heim", b"heis", b"hevc", b"hevx")),
    (b"msf1", (b"avif",), "an AVIF image"), (b"msf1", (), "a HEIC"), (b"mp42", (b"avif",), "a video"),
    (b"heic", (b"mif1", b"avif"), "an AVIF image")])
def test_what_shares_boxes(brand: bytes, others: tuple[bytes, ...], name: str) -> None:
    data = boxes(brand, *others)
    assert str(kinds.reason(data)).startswith(f"its content is {name}")
    behind = boxes(brand) + b"avif"  # no brand of its own
    assert str(kinds.reason(behind)) == str(kinds.reason(boxes(brand)))


def test_what_is_read_is_no_kind(tmp_path: Path) -> None:
    for form in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"):
        assert kinds.reason(saved(form)[: kinds.LOOKED_AT]) is None
    for data in (b"", b"I am no image.", bytes(1000), b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10JFIF"):
        assert kinds.reason(data) is None


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "TIFF, packed", "WEBP"])
def test_the_beginning_of_an_image_is_a_damaged_image_and_nothing_else(form: str, tmp_path: Path) -> None:
    """However short it is, from its first dozen bytes on."""
    picture, whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)), io.BytesIO()
    picture.save(whole, form.partition(",")[0], **({"compression": "tiff_lzw"} if "packed" in form else {}))
    data = whole.getvalue()
    for length in {*range(12, 60, 3), *range(60, len(data) - 40, 40), *([len(data) - 1] if "packed" in form else [])}:
        (tmp_path / "a.png").write_bytes(data[:length])
        with pytest.raises(ImageError) as caught:
            decode(tmp_path / "a.png", grey=False)
        assert caught.value.reason.startswith("it is damaged or cut short"), length


def test_raw_files_are_tiff_and_no_thumbnails(tmp_path: Path) -> None:
    """Their first page is a small picture, which is not what somebody means."""
    small = np.zeros((12, 16, 3), np.uint8)
    for tags in ({50706: (1, 4, 0, 0)}, {254: (1,), 271: b"NIKON\0", 330: (8,)}):
        write_tiff(tmp_path / "a.dng", small, tags=tags)
        with pytest.raises(ImageError, match="raw file; develop it"):
            decode(tmp_path / "a.dng", grey=False)


@pytest.mark.slow
def test_checks_name_them(tmp_path: Path) -> None:
    folder = write(tmp_path, classes())
    (folder / "ant" / "phone.jpg").write_bytes(boxes(b"heic", b"mif1"))
    (folder / "ant" / "phone.heic").write_bytes(boxes(b"heic", b"mif1"))
    (folder / "ant" / "odd.heic").write_bytes(b"nobody knows")
    said = {finding.files[0].relative: (finding.kind, finding.text) for finding in check(folder).findings}
    named = "its content is a HEIC photograph, as phones take them, which is not read; save it as JPEG or PNG"
    assert said["ant/phone.jpg"][0] == "not-an-image"
    assert said["ant/phone.heic"][0] == "missed-image"
    assert said["ant/phone.jpg"][1].startswith(named)
    assert said["ant/phone.heic"][1].startswith(named)
    assert said["ant/odd.heic"] == ("missed-image", ".heic is not read; convert it to PNG or JPEG.")
