"""Data sets in the usual files of small ones become arrays: IDX files (MNIST's, also .gz) and NumPy's .npz (Keras',
MedMNIST's and plain names). writing.py makes a folder of images from them. Headers are not trusted: nothing is
allocated before the file's own size has shown that it can be there, and nothing is ever unpickled.
"""

import gzip
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import DataError, UsageError, printable
from ..kernels import Array
from ..values import as_hinted
from . import depth
from .decoding import Progress
from .images import free_memory
from .writing import Arrays, claim_target, write_images

FASHION = ("tshirt-top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
Readable = BinaryIO | gzip.GzipFile

_IDX_NAME = re.compile(r"(?:.*[-_.])?(train|t10k|test|val|valid)[-_]?(images|labels)[-.]idx[13][-.]ubyte(\.gz)?", re.I)
_SPLIT = {"train": "train", "val": "val", "valid": "val", "t10k": "test", "test": "test"}
_LONGEST = 300  # characters of a reason
_AT_ONCE = 1 << 22  # values scaled at a time
_INFLATION = 1040  # times smaller than its content deflate can make a file, rounded up
# Names in an .npz: (images, labels) -> split, compared in lower case.
_NPZ_NAMES = (
    *((f"x_{name}", f"y_{name}", split) for name, split in _SPLIT.items()),
    *((f"{name}_images", f"{name}_labels", split) for name, split in _SPLIT.items()),
    *((f"{name}_x", f"{name}_y", split) for name, split in _SPLIT.items()),
    ("images", "labels", ""), ("x", "y", ""), ("data", "labels", ""), ("data", "targets", ""),
)


@dataclass(frozen=True)
class Imported:
    """A folder of images that was written.

    Attributes:
        directory: The folder.
        classes: The names of the classes.
        image_counts: How many images each part of the split has, by "train", "val", "test"; by "" if there are no
            parts.
    """

    directory: Path
    classes: list[str]
    image_counts: dict[str, int]


@as_hinted
def import_images(sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], directory: str | os.PathLike[str],
                  classes: str | Sequence[str] | None = None, *, range: str | Sequence[float] | None = None,
                  threads: int | None = None, force: bool = False,
                  note: Callable[[str], None] | None = None, progress: Progress | None = None) -> Imported:
    """Turn data set files into a folder of images that ``train`` takes.

    Either the whole folder is there in the end, or nothing of it.

    Args:
        sources: An .npz file, a folder of IDX files (MNIST's), an IDX file of images with the labels beside it, or one
            of images and one of labels.
        directory: The folder, which must be empty or not there yet.
        classes: The names of the classes in the order of the labels: a list, a text with commas, or a file with one per
            line. None: those in the file, else the labels.
        range: The values that become black and white in images of more than 8 bits: "0:4095" or two numbers. None:
            found from all parts together.
        threads: How many threads to use. None: one for each CPU.
        force: True allows a folder among images that models learn from.
        note: Is called with a sentence on what is read, and on such values. None: nobody is told.
        progress: Is called with (done, total), in images. None: nobody is told.

    Returns:
        The folder, its classes, and how many images it has.

    Raises:
        DataError: A file cannot be used, or the folder is not empty.
        UsageError: An option makes no sense, or the folder lies among images that models learn from.
        SaveError: A file could not be written.
    """
    paths = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    with claim_target(directory, force) as target:
        if note:
            note(f"reading {', '.join(map(printable, paths))}")
        splits, names = load_arrays(paths, parse_names(classes) if isinstance(classes, str) else classes,
                                    None if range is None else depth.parse(range), note)
        return Imported(target, names, write_images(target, splits, names, threads, progress))


def load_arrays(sources: Sequence[str | os.PathLike[str]], names: Sequence[str] | None = None,
                range_: depth.Range | None = None, note: Callable[[str], None] | None = None
                ) -> tuple[Arrays, list[str]]:
    """Read a data set: (split name -> (uint8 images, int64 labels), class names).

    sources is a folder of IDX files, one .npz file, an IDX file of images (with the labels beside it), or the two.
    names are those of the classes in the order of the labels. None: those in the file, Fashion-MNIST's if the source
    says "fashion", else the labels as numbers, padded with zeros so that they sort. range_ is what is black and white
    in values of more than 8 bits. None: one that suits all parts, of which note is told. Raises DataError or
    UsageError.
    """
    paths = [os.fspath(source) for source in sources]
    try:
        raw = _read(paths)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        # zipfile quotes what it found in the place of a name, which may be most of the file.
        reason = getattr(error, "strerror", None) or printable(str(error)[:_LONGEST]) or type(error).__name__
        path = printable(getattr(error, "filename", None) or paths[0])
        raise DataError(f"{path} cannot be read ({reason.rstrip('.')}); get the file again.") from None
    except MemoryError:
        raise DataError(f"{printable(paths[0])} needs more memory than there is; end other programs, or use a machine "
                        "with more memory.") from None
    pictures = {split: _pictures(paths[0], x) for split, (x, _) in raw.items()}
    images = _bytes(pictures, range_, note or (lambda _: None))
    labels, classes = _labels(paths[0], {split: y for split, (_, y) in raw.items()}, names)
    for split, x in images.items():
        if len(x) != len(labels[split]):
            raise DataError(f"{printable(paths[0])} holds {len(x)} images but {len(labels[split])} "
                            f"labels{f' of {split}' if split else ''}; give one label for each image.")
    return {split: (images[split], labels[split]) for split in images}, classes


def parse_names(text: str) -> list[str]:
    """Return class names given as a comma list, or as a file with one on each line."""
    if os.path.isfile(text):
        try:
            with open(text, encoding="utf-8-sig") as file:
                names = file.read().splitlines()
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{printable(text)} cannot be read as text; write one class name on each line.") from None
        return [name.strip() for name in names if name.strip()]
    return [name.strip() for name in text.split(",")]


def _read(paths: list[str]) -> Arrays:
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return _read_idx_folder(paths[0])
    if not 1 <= len(paths) <= 2:
        raise UsageError("SOURCE must be a folder, an .npz file, or a file of images and one of labels, not "
                         f"{len(paths)} files.")
    for path in paths:
        if not os.path.isfile(path):
            raise DataError(f"there is no file or folder {printable(path)}; check the path.")
    if len(paths) == 1:
        if zipfile.is_zipfile(paths[0]):
            return read_npz(paths[0])
        paths = [paths[0], _labels_beside(paths[0])]
    arrays = [read_idx(path) for path in paths]
    if arrays[0].ndim == 1:
        arrays.reverse()
        paths = paths[::-1]
    if arrays[0].ndim < 3 or arrays[1].ndim != 1:
        raise DataError(f"{printable(paths[0])} and {printable(paths[1])} are not a file of images and one of labels; "
                        "give one of each.")
    name = _IDX_NAME.fullmatch(os.path.basename(paths[0]))
    return {_SPLIT[name[1].lower()] if name else "": (arrays[0], arrays[1])}


# ---- IDX ----


def read_idx(path: str) -> Array:
    """Return an IDX file of bytes, plain or compressed with gzip, as a uint8 array of its shape. Raises DataError."""
    with open(path, "rb") as plain:
        size = os.fstat(plain.fileno()).st_size
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not packed:
            return _idx_content(path, plain, size)
        with gzip.GzipFile(fileobj=plain) as unpacked:
            return _idx_content(path, unpacked, size * _INFLATION)


def _idx_content(path: str, file: Readable, room: int) -> Array:
    """Return what an open IDX file holds; room is the number of bytes that it cannot exceed."""
    shape = _idx_header(path, file)
    count, shown = math.prod(shape), printable(path)
    if count > room:
        raise DataError(f"{shown} says that it holds {_product(shape)} bytes but is too short for that; get the file "
                        "again.")
    _check_free(path, count)
    data = file.read(count)
    if len(data) < count:
        raise DataError(f"{shown} ends after {len(data)} of {count} bytes; get the file again.")
    if file.read(1):
        raise DataError(f"{shown} goes on after the {_product(shape)} bytes that it says it holds; get the file again.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _idx_header(path: str, file: Readable) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= 4:
        raise DataError(f"{printable(path)} is neither an IDX nor an .npz file; give one that is.")
    if magic[2] != 0x08:
        raise DataError(f"{printable(path)} holds IDX values of type 0x{magic[2]:02x}; give a file of bytes (0x08).")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{printable(path)} ends within its header; get the file again.")
    return struct.unpack(f">{magic[3]}I", sizes)


def _read_idx_folder(folder: str) -> Arrays:
    found: dict[tuple[str, str], str] = {}
    for name in sorted(os.listdir(folder)):
        match = _IDX_NAME.fullmatch(name)
        if not match:
            continue
        key, path = (_SPLIT[match[1].lower()], match[2].lower()), os.path.join(folder, name)
        if key in found and found[key] + (match[3] or "") != path:
            raise DataError(f"{printable(found[key])} and {printable(path)} hold the same split; give only one of them "
                            "as SOURCE.")
        found.setdefault(key, path)
    splits = [split for split in ("train", "val", "test") if (split, "images") in found]
    if not splits:
        raise DataError(f"{printable(folder)} holds no IDX files called like train-images-idx3-ubyte; give the files "
                        "themselves, or an .npz file.")
    for split in splits:
        if (split, "labels") not in found:
            raise DataError(f"{printable(found[split, 'images'])} has no file of labels beside it; put it there.")
    return {split: (read_idx(found[split, "images"]), read_idx(found[split, "labels"])) for split in splits}


def _labels_beside(path: str) -> str:
    """Return the file of labels that belongs to a file of images, by its name."""
    folder, name = os.path.split(path)
    other = re.sub("idx3", "idx1", re.sub("images", "labels", name, flags=re.I), flags=re.I)
    stem = other.removesuffix(".gz")
    for candidate in (other, stem, stem + ".gz"):
        if candidate != name and os.path.isfile(os.path.join(folder, candidate)):
            return os.path.join(folder, candidate)
    if stem != name.removesuffix(".gz"):
        raise DataError(f"{printable(path)} has no file of labels ({printable(stem)}) beside it; give it as well.")
    raise DataError(f"{printable(path)} is not an .npz file; if it holds images as IDX, give its file of labels too.")


# ---- npz ----


def read_npz(path: str) -> Arrays:
    """Return the images and labels of an .npz file as they are. Raises DataError; never unpickles."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}
        splits: Arrays = {}
        for images, labels, split in _NPZ_NAMES:
            if images in members and labels in members and split not in splits and (split or not splits):
                splits[split] = (_member(path, archive, members[images]), _member(path, archive, members[labels]))
    if not splits:
        there = ", ".join(printable(name) for name in sorted(members)[:8]) or "nothing"
        raise DataError(f"{printable(path)} holds {there}; call images and labels x_train and y_train, train_images "
                        "and train_labels, or images and labels.")
    return splits


def _member(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    name = f"{printable(info.filename)} in {printable(path)}"
    if info.file_size > info.compress_size * _INFLATION + 1024:
        raise DataError(f"{name} is packed more densely than its format can; get the file again.")
    _check_free(path, info.file_size)
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        except (ValueError, EOFError):
            raise DataError(f"{name} is not an array; get the file again.") from None
        if dtype.hasobject:
            raise DataError(f"{name} holds Python objects, which are never loaded; save plain numbers.")
        if math.prod(shape) * dtype.itemsize > info.file_size:
            raise DataError(f"{name} is cut short; get the file again.")
    with archive.open(info) as file:
        try:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except (ValueError, EOFError):
            raise DataError(f"{name} is cut short; get the file again.") from None


def _check_free(path: str, count: int) -> None:
    free = free_memory()
    if free is not None and count > free:
        raise DataError(f"{printable(path)} needs {count / 2**30:.1f} GiB of memory and only {free / 2**30:.1f} GiB "
                        "are free; end other programs, or use a machine with more memory.")


def _product(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


# ---- to 8-bit images and class numbers ----


def _pictures(path: str, x: Array) -> Array:
    """Return images of any sensible shape as (n, h, w), (n, h, w, 3) or (n, h, w, 4) of their own type."""
    if x.ndim == 2 and math.isqrt(x.shape[1]) ** 2 == x.shape[1]:
        x = x.reshape(len(x), math.isqrt(x.shape[1]), -1)
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3, 4):
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    if x.ndim == 4 and x.shape[3] == 1:
        x = x[..., 0]
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (3, 4)) or 0 in x.shape:
        raise DataError(f"{printable(path)} holds images of the shape {_product(x.shape)}; save them as n x h x w, or "
                        "n x h x w x 3.")
    if x.dtype.kind not in "biuf":
        raise DataError(f"{printable(path)} holds images of the type {x.dtype}; save them as real numbers.")
    if x.dtype.kind == "f" and not np.isfinite(x).any():
        raise DataError(f"{printable(path)} holds images without a single finite number; save finite numbers.")
    return x


def _bytes(parts: dict[str, Array], range_: depth.Range | None, note: Callable[[str], None]) -> dict[str, Array]:
    """Return the images of all splits as uint8, on one scale."""
    integers = any(x.dtype.kind in "iu" and x.dtype != np.uint8 for x in parts.values())
    seen = depth.Seen()
    for x in parts.values():
        if x.dtype != np.bool_ and (x.dtype != np.uint8 or integers):
            for values in _pieces(x):
                seen.look(values)
    scales = seen.scales(range_)
    for sentence in depth.sentences_on_arrays(seen, scales, range_ is not None):
        note(sentence)
    return {split: _part(x, scales, integers) for split, x in parts.items()}


def _part(x: Array, scales: depth.Scales, integers: bool) -> Array:
    if x.dtype == np.bool_:
        white: Array = x.astype(np.uint8) * np.uint8(255)
        return white
    if x.dtype == np.uint8 and (not integers or scales.whole == (0.0, 255.0)):
        return x
    return np.concatenate([depth.narrow(values, scales) for values in _pieces(x)])


def _pieces(x: Array) -> Iterator[depth.Values]:
    """Yield images as values, some at a time."""
    step = max(1, _AT_ONCE // max(1, x[0].size))
    for start in range(0, len(x), step):
        yield depth.Values(x[start : start + step], x.dtype.itemsize * 8)


def _labels(path: str, raw: dict[str, Array], names: Sequence[str] | None) -> tuple[dict[str, Array], list[str]]:
    """Return (int64 labels per split, class names)."""
    columns = {split: _column(path, y) for split, y in raw.items()}
    if any(y.dtype.kind in "US" for y in columns.values()):
        words = {split: [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in y.tolist()]
                 for split, y in columns.items()}
        known = sorted(set().union(*words.values()))
        number = {word: i for i, word in enumerate(known)}
        return {split: np.array([number[w] for w in y], np.int64) for split, y in words.items()}, known
    for y in columns.values():
        whole = y.dtype.kind in "iub" or (y.dtype.kind == "f" and np.array_equal(y, np.floor(y)))
        if not whole or (len(y) and not 0 <= y.min() <= y.max() < 2**31):
            raise DataError(f"{printable(path)} has labels that are not whole numbers from 0 on; save them so.")
    labels = {split: y.astype(np.int64) for split, y in columns.items()}
    present = np.unique(np.concatenate(list(labels.values())))
    count = int(present[-1]) + 1 if len(present) else 0
    if names is None and count <= len(FASHION) and "fashion" in path.lower():
        names = FASHION
    if names is not None:
        if len(names) < count:
            raise UsageError(f"--classes gives {len(names)} names, but the labels go up to {count - 1}; "
                             f"give {count} names.")
        return labels, list(names)
    # Only the labels that occur get a name, so that a single wild one asks for no memory.
    digits = len(str(count - 1))
    return ({split: np.searchsorted(present, y) for split, y in labels.items()},
            [f"{label:0{digits}}" for label in present.tolist()])


def _column(path: str, y: Array) -> Array:
    """Return labels as one number (or word) for each image: (n,), (n, 1), or one-hot (n, classes)."""
    if y.ndim == 2 and y.shape[1] == 1:
        return y[:, 0]
    one_hot = y.ndim == 2 and y.dtype.kind in "iufb" and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
    if one_hot:
        return np.asarray(y.argmax(axis=1))
    if y.ndim != 1:
        raise DataError(f"{printable(path)} has labels of the shape {_product(y.shape)}; save one label for each "
                        "image.")
    return y
