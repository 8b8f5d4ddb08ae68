"""What is read from files that others made, each with good files to begin with and the reading itself, which gives
something or raises a CnnError whose message is one printable line."""

import gzip
import io
import json
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

from cnncli.architectures import from_toml
from cnncli.data.decode import decode, examine, read_header
from cnncli.data.exclude import read_list
from cnncli.data.importing import load_arrays
from cnncli.data.labels import read_labels
from cnncli.errors import CnnError
from cnncli.model.checkpoint import save_model
from cnncli.runs.run import COLUMNS, Run
from cnncli.weights.reading import read_weights

from ..data import bmps, tiffs
from ..small_model import small_model
from ..weights import torchfiles

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 5.0  # of processor time for one small file
LONGEST = 10_000  # characters of a message, which may quote a name or two


@dataclass(frozen=True)
class Target:
    """suffix is the file's; seeds makes good files; read reads one."""

    suffix: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]


def attempt(name: str, data: bytes, folder: Path) -> str:
    """Read a file of these bytes; return what it is refused for, "" where it is taken. AssertionError, or what else is
    raised, is a fault."""
    target = TARGETS[name]
    path = folder / f"input{target.suffix}"
    path.write_bytes(data)
    began, said = time.process_time(), ""
    try:
        target.read(path)
    except CnnError as error:
        said = str(error)
        assert said.isprintable(), said
        assert 0 < len(said) < LONGEST, said
    assert time.process_time() - began < SECONDS, "it took too long"
    assert path.read_bytes() == data, "the file was changed"
    return said


def kept(name: str) -> list[bytes]:
    """Return the files of the corpus that went wrong once."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


# ---- images ----


def _image(path: Path) -> None:
    try:
        height, width, _ = read_header(path)
    except CnnError:
        height = 0
    pixels = decode(path, grey=False)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    if height:
        assert pixels.shape[:2] == (height, width), "the header says another size"
    image, header = examine(path)
    assert (header.height, header.width) == image.size[::-1] == pixels.shape[:2]
    assert np.array_equal(decode(path, grey=False), pixels), "another time, other pixels"
    decode(path, grey=True)


@cache
def _images() -> list[bytes]:
    rng = np.random.default_rng(0)
    colour = Image.fromarray(np.kron(rng.integers(0, 256, (4, 5, 3), np.uint8), np.ones((4, 4, 1), np.uint8)))
    grey, exif = colour.convert("L"), Image.Exif()
    exif[0x0112] = 6
    made = [(colour, "JPEG", {"exif": exif}), (colour, "JPEG", {"progressive": True}), (grey, "JPEG", {}),
            (colour.convert("CMYK"), "JPEG", {"restart_marker_blocks": 1}), (colour, "PNG", {"exif": exif}),
            (colour.convert("RGBA"), "PNG", {}), (grey.convert("LA"), "PNG", {}), (grey.convert("1"), "PNG", {}),
            (colour.quantize(8), "PNG", {"transparency": b"\0\x80"}), (grey, "PNG", {"transparency": 9}),
            (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG", {"transparency": 257}),
            (colour, "PNG", {"save_all": True, "append_images": [colour.rotate(180)]}),
            (colour, "BMP", {}), (colour.convert("RGBA"), "BMP", {}), (colour.quantize(8), "BMP", {}),
            (colour, "GIF", {"save_all": True, "append_images": [colour.rotate(180)]}),
            (colour.quantize(8), "GIF", {"transparency": 2}), (colour, "WEBP", {"lossless": True, "exif": exif}),
            (colour.convert("RGBA"), "WEBP", {}), (colour, "TIFF", {"compression": "tiff_lzw"}),
            (grey.convert("LA"), "TIFF", {}), (grey.convert("1"), "TIFF", {"compression": "group4"}),
            (colour, "TIFF", {"compression": "jpeg", "exif": exif}), (colour.convert("CMYK"), "TIFF", {})]
    found = []
    for image, form, options in made:
        file = io.BytesIO()
        image.save(file, form, **options)
        found.append(file.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        for values, options in ((rng.integers(0, 4096, (9, 7), np.uint16), {"order": ">"}),
                                (rng.integers(0, 65536, (9, 7, 4), np.uint16), {"deflate": True, "tags": {338: (1,)}}),
                                (rng.random((9, 7)), {"strip": 2}),
                                (rng.random((9, 7, 3)).astype("f4"), {"planes": True}),
                                (rng.integers(-99, 99, (9, 7), np.int32), {"pages": 3, "photometric": 0}),
                                (rng.integers(0, 65536, (9, 7, 5), np.uint16), {"planes": True, "photometric": 5,
                                                                                "tags": {338: (2,)}}),
                                (rng.integers(0, 65536, (9, 7, 3), np.uint16), {"photometric": 8, "strip": 4}),
                                (rng.integers(0, 256, (9, 7), np.uint8), {"photometric": 3,
                                                                          "tags": {320: tuple(range(256)) * 3}}),
                                (rng.integers(0, 256, (5, 24), np.uint8), {"photometric": 6, "tags": {
                                    256: (8,), 257: (10,), 258: (8, 8, 8), 277: (3,), 278: (10,)}})):
            found.append(tiffs.write(Path(folder, "a.tif"), values, **options).read_bytes())
        few = rng.integers(0, 16, (9, 7), np.uint8)
        for data, bits, options in ((bmps.runs(few, 8), 8, {"packing": 1, "palette": np.eye(16, 3, dtype=np.uint8)}),
                                    (bmps.rows(few, 4), 4, {"palette": np.eye(16, 3, dtype=np.uint8)}),
                                    (bmps.rows(rng.integers(0, 2**16, (9, 7), np.uint16)), 16, {
                                        "packing": 3, "header": 108, "masks": (0xF00, 0xF0, 0xF, 0xF000)})):
            found.append(bmps.write(Path(folder, "a.bmp"), few.shape, data, bits, **options).read_bytes())
    return found


# ---- models, networks, data sets, tables ----


@cache
def _models() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(path, small_model((2, 2), True))
        ours = path.read_bytes()
    arrays = {"conv.weight": np.ones((2, 1, 3, 3), np.float32), "conv.bias": np.zeros(2, np.float32)}
    return [ours, save(arrays), torchfiles.saved(arrays), torchfiles.saved(arrays, legacy=True)]


def _networks() -> list[bytes]:
    return [b"""# a network
[[layers]]
type = "Conv2d"
out_channels = 4
kernel_size = [3, 3]
padding = 1
name = "first"

[[layers]]
type = "MaxPool2d"
kernel_size = 2

[[layers]]
type = "Flatten"

[[layers]]
type = "Linear"
out_features = "classes"
""", b'layers = [{type = "ReLU"}, {type = "Flatten"}, {type = "Linear", out_features = 3}]\n']


@cache
def _archives() -> list[bytes]:
    images, labels = np.arange(72, dtype=np.uint8).reshape(2, 6, 6), np.array([0, 1], np.uint8)
    found = []
    for pack, options in ((np.savez, {}), (np.savez_compressed, {"class_names": np.array(["ant", "bee"])})):
        file = io.BytesIO()
        pack(file, x_train=images, y_train=labels, x_test=images / 255, y_test=labels[:, None], **options)
        found.append(file.getvalue())
    return found


def _idx_files() -> list[bytes]:
    plain = struct.pack(">IIII", 0x803, 2, 3, 3) + bytes(range(18))
    return [plain, gzip.compress(plain, mtime=0)]


def _idx(path: Path) -> None:
    beside = path.with_name("labels-idx1-ubyte")
    beside.write_bytes(struct.pack(">II", 0x801, 2) + b"\0\1")
    load_arrays([path, beside])


HISTORY = f"{','.join(COLUMNS)}\n1,2.3,0.1,2.2,0.2,0.1,900,1\n2,2.1,0.2,,,0.1,900,1\n".encode()


def _history(path: Path) -> None:
    run = Run(path.parent)
    (path.parent / "history.csv").write_bytes(path.read_bytes())
    assert isinstance(run.history, list)


def _config(path: Path) -> None:
    (path.parent / "config.json").write_bytes(path.read_bytes())
    assert isinstance(Run(path.parent).config, dict)


LABELS = [b"file,label,split\na.png,ant,train\nb.png,bee,test\n", b'\xef\xbb\xbffile,label\r\n"a,b",x\r\n']
EXCLUDED = [b'# blank\nants/a.png\n"bees/\\303\\251\\n.png"\n', b"a\r\nb\r\n"]

TARGETS = {
    "image": Target(".png", _images, _image),
    "model": Target(".safetensors", _models, read_weights),
    "network": Target(".toml", _networks, lambda path: from_toml(path, (8, 8, 1), 3)),
    "archive": Target(".npz", _archives, lambda path: load_arrays([path])),
    "idx": Target("", _idx_files, _idx),
    "list": Target(".txt", lambda: EXCLUDED, read_list),
    "labels": Target(".csv", lambda: LABELS, read_labels),
    "history": Target(".txt", lambda: [HISTORY], _history),
    "config": Target(".txt", lambda: [json.dumps({"data": "a", "recipe": {"lr": 0.1}}).encode()], _config),
}
