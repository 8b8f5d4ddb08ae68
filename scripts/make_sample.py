"""Makes the sample that the package carries, cnncli/data/sample/fashion-mnist.npz, out of Fashion-MNIST's four IDX
files: the first 300 training and 100 test images of each class. The same input gives the same bytes.

    python scripts/make_sample.py /usr/share/datasets/fashion-mnist

The files are those of https://github.com/zalandoresearch/fashion-mnist; Debian's package dataset-fashion-mnist
installs them there.
"""

import sys
from pathlib import Path

import numpy as np

from cnncli.data.importing import load_arrays

COUNTS = {"train": 300, "test": 100}
TARGET = Path(__file__).parent.parent / "cnncli" / "data" / "sample" / "fashion-mnist.npz"


def main(source: str) -> None:
    """Write TARGET from the folder of IDX files."""
    splits, _ = load_arrays([source])
    arrays = {}
    for split, count in COUNTS.items():
        images, labels = splits[split]
        rows = np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)])
        arrays[f"{split}_images"] = images[rows]
        arrays[f"{split}_labels"] = labels[rows].astype(np.uint8)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
