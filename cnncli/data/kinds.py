"""What a file is that has none of the formats that are read, by its first bytes, and how to convert it: photographs of
phones and cameras, drawings, documents, scans, videos, arrays, and pages in place of an image that was not downloaded.
decode.py says so if Pillow only knows that it cannot open the file.
"""

import re

LOOKED_AT = 1024  # bytes from the beginning

_JPEG_OR_PNG = "save it as JPEG or PNG, for example with ImageMagick"
_DEVELOP = "develop it to JPEG, PNG or TIFF, with the camera's software or darktable"
_FRAMES = "take its pictures out as JPEG or PNG, for example with ffmpeg"
_UNPACK = "unpack it, and give the folder"
_ARRAY = "save its pictures as PNG or TIFF, one a file; an .npz with images and labels is what cnn import takes"
_HEIC = ("a HEIC photograph, as phones take them", "save it as JPEG or PNG, for example with heif-convert")
_AVIF = ("an AVIF image", "save it as JPEG or PNG, for example with avifdec")
_JXL = ("a JPEG XL image", "save it as JPEG or PNG, for example with djxl")
_JP2 = ("a JPEG 2000 image", "save it as PNG or TIFF, for example with opj_decompress")
_RAW = ("a camera's raw file", _DEVELOP)
_VIDEO = ("a video", _FRAMES)
_ARCHIVE = ("an archive", _UNPACK)
_MICROSCOPE = "save its pictures as PNG or TIFF, one a file, for example with Fiji"

# (where, bytes, what it is, what to do): the first that fits
_KINDS = (
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", *_JXL), (0, b"\xff\x0a", *_JXL),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", *_JP2), (0, b"\xff\x4f\xff\x51", *_JP2),
    (128, b"DICM", "a DICOM file, as scanners in hospitals write them",
     "save its pictures as PNG or TIFF of 16 bits, for example with dcm2img of DCMTK; --range says what is black and "
     "white"),
    (344, b"n+1\0", "a NIfTI volume", _ARRAY), (344, b"ni1\0", "the header of a NIfTI volume", _ARRAY),
    (4, b"n+2\0", "a NIfTI volume", _ARRAY), (208, b"MAP ", "an MRC volume", _ARRAY),
    (0, b"ObjectType =", "a MetaImage volume", _ARRAY), (0, b"NDims =", "a MetaImage volume", _ARRAY),
    (0, b"ZISRAWFILE", "a microscope's file (CZI)", _MICROSCOPE),
    (0, b"\xda\xce\xbe\n", "a microscope's file (ND2)", _MICROSCOPE),
    (0, b"SIMPLE  =", "a FITS file, as telescopes write them", _ARRAY),
    (0, b"NRRD0", "an NRRD volume", _ARRAY), (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _ARRAY),
    (0, b"\x93NUMPY", "a NumPy array", _ARRAY), (0, b"MATLAB 5.0", "a MATLAB file", _ARRAY),
    (0, b"\x80\4\x95", "a pickle of Python", _ARRAY), (0, b"PAR1", "a table (Parquet)", _ARRAY),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Microsoft Office, or what microscopes put into one (OLE)",
     _MICROSCOPE),
    (0, b"%PDF-", "a PDF document", "draw its pages as PNG, for example with pdftoppm"),
    (0, b"%!PS", "a PostScript document", "draw it as PNG, for example with Ghostscript"),
    (0, b"FUJIFILMCCD-RAW", *_RAW), (0, b"IIU\0", *_RAW), (0, b"IIRO", *_RAW), (0, b"IIRS", *_RAW),
    (0, b"MMOR", *_RAW), (0, b"FOVb", *_RAW), (0, b"\0MRM", *_RAW),
    (8, b"AVI ", *_VIDEO), (0, b"\x1aE\xdf\xa3", *_VIDEO), (0, b"\0\0\1\xba", *_VIDEO), (0, b"\0\0\1\xb3", *_VIDEO),
    (0, b"FLV\1", *_VIDEO), (0, b"0&\xb2u\x8ef\xcf\x11", *_VIDEO), (0, b"OggS", *_VIDEO), (4, b"moov", *_VIDEO),
    (4, b"mdat", *_VIDEO), (4, b"wide", *_VIDEO), (0, b"fLaC", "a sound", "give images"),
    (8, b"WAVE", "a sound", "give images"), (0, b"ID3", "a sound", "give images"),
    (0, b"8BPS", "a Photoshop document", _JPEG_OR_PNG), (0, b"gimp xcf", "a GIMP document", _JPEG_OR_PNG),
    (0, b"icns", "an icon (ICNS)", _JPEG_OR_PNG), (0, b"v/1\x01", "an OpenEXR image", "save it as TIFF with floats"),
    (0, b"#?RADIANCE", "a Radiance HDR image", "save it as TIFF with floats"),
    (0, b"#?RGBE", "a Radiance HDR image", "save it as TIFF with floats"),
    (0, b"qoif", "a QOI image", _JPEG_OR_PNG), (0, b"DDS ", "a texture (DDS)", _JPEG_OR_PNG),
    (0, b"BPG\xfb", "a BPG image", _JPEG_OR_PNG), (0, b"FLIF", "a FLIF image", _JPEG_OR_PNG),
    (0, b"AT&TFORM", "a DjVu document", "draw its pages as PNG, for example with ddjvu"),
    (0, b"\xd7\xcd\xc6\x9a", "a drawing (WMF)", _JPEG_OR_PNG), (40, b" EMF", "a drawing (EMF)", _JPEG_OR_PNG),
    (0, b"\x01\xda", "an SGI image", _JPEG_OR_PNG), (0, b"II\xbc\1", "a JPEG XR image", _JPEG_OR_PNG),
    (0, b"\x8aMNG", "an MNG animation", _FRAMES), (0, b"\x8bJNG", "a JNG image", _JPEG_OR_PNG),
    (0, b"/* XPM */", "an XPM drawing", _JPEG_OR_PNG), (8, b"ILBM", "an ILBM image", _JPEG_OR_PNG),
    (0, b"SDPX", "a DPX image", _JPEG_OR_PNG), (0, b"XPDS", "a DPX image", _JPEG_OR_PNG),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document", "draw it as PNG, for example with Ghostscript"),
    (0, b"(\xb5/\xfd", *_ARCHIVE),
    (0, b"PK\x03\x04", *_ARCHIVE), (0, b"\x1f\x8b", *_ARCHIVE), (0, b"7z\xbc\xaf'\x1c", *_ARCHIVE),
    (0, b"Rar!\x1a\x07", *_ARCHIVE), (0, b"\xfd7zXZ\0", *_ARCHIVE), (0, b"BZh", *_ARCHIVE), (257, b"ustar", *_ARCHIVE),
    (0, b"version https://git-lfs", "what Git LFS keeps in the place of a file",
     "'git lfs pull' brings the file itself"),
    (0, b"\0\x05\x16\x07", "what macOS keeps beside a file (AppleDouble)", "leave it out"),
)
_PATTERNS = (  # where a few bytes would fit too much
    (rb"\x00\x00\x01\x00(?!\x00\x00)", "an icon (ICO)", _JPEG_OR_PNG),
    (rb"\x00\x00\x02\x00(?!\x00\x00)", "a cursor (CUR)", _JPEG_OR_PNG),
    # type of colours, where the picture lies, width, height, bits, which way it lies
    (rb".(?:\x00[\x02\x03\x0a\x0b]\x00{5}|\x01[\x01\x09].{4}[\x0f\x10\x18\x20]).{4}(?!\x00\x00)..(?!\x00\x00).."
     rb"[\x08\x0f\x10\x18\x20][\x00-\x3f]", "a Targa image (TGA)", _JPEG_OR_PNG),
    (rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]", "a PCX image", _JPEG_OR_PNG),
    (rb"P[1-7]\s", "a PNM image (PBM, PGM, PPM or PAM)", _JPEG_OR_PNG),
    (rb"p\x00\x00\x00.{4}\x2a", "a microscope's file (LIF)", _MICROSCOPE), (rb"G.{187}G.{187}G", *_VIDEO),
)
_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_READ = rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP|BM.{4}\x00{4}|II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]"
_PRECISION = re.compile(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7])..(.)", re.DOTALL)


def reason(start: bytes) -> str | None:
    """Return what a file is that begins with these bytes, LOOKED_AT of them, and how it becomes an image that is read;
    None where nobody knows."""
    if start[:2] == b"\xff\xd8":
        return _of_jpeg(start)
    name, remedy = _found(start)
    return f"its content is {name}, which is not read; {remedy}" if name else None


def is_read(start: bytes) -> bool:
    """Whether a file that begins with these bytes is of a format that is read: damaged where it cannot be opened."""
    return re.match(_READ, start, re.DOTALL) is not None


def _found(start: bytes) -> tuple[str, str]:
    if start[4:8] == b"ftyp":
        return _of_brand(start)
    if start.startswith(b"PK\3\4") and b".npy" in start[30:90]:
        return "an archive of arrays (.npz)", "cnn import makes images of it"
    for where, magic, name, remedy in _KINDS:
        if start[where : where + len(magic)] == magic:
            return name, remedy
    for pattern, name, remedy in _PATTERNS:
        if re.match(pattern, start, re.DOTALL):
            return name, remedy
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<") and b"<svg" in text:
        return "an SVG drawing", "draw it as PNG, for example with rsvg-convert or Inkscape"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page", "perhaps the image could not be fetched; fetch it again"
    return "", ""


def _of_brand(start: bytes) -> tuple[str, str]:
    """Return which of the kinds that share MPEG-4's boxes it is."""
    brand, others = start[8:12], start[16 : min(int.from_bytes(start[:4], "big"), len(start))]
    if brand in (b"avif", b"avis") or (brand in _HEIF and b"avif" in others):
        return _AVIF
    if brand in _HEIF or brand == b"heif":
        return _HEIC
    if brand in (b"M4A ", b"M4B "):
        return "a sound", "give images"
    return _RAW if brand == b"crx " else _VIDEO


def _of_jpeg(start: bytes) -> str | None:
    """Return what kind of JPEG it is that is not read."""
    found = _PRECISION.search(start)
    if not found:
        return None
    kind, bits = found[1][0], found[2][0]
    if kind == 0xF7:
        return f"its content is a JPEG-LS image, which is not read; {_JPEG_OR_PNG}"
    if kind in (0xC3, 0xC7, 0xCB, 0xCF):
        return f"its content is a lossless JPEG, which is not read; {_JPEG_OR_PNG}"
    if bits != 8:
        return f"its content is a JPEG of {bits} bits a value, which is not read; save it as PNG or TIFF of 16 bits"
    return None
