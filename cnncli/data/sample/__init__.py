"""The sample that the package carries: 3,000 training and 1,000 test images of Fashion-MNIST, so that everything can be
tried at once. SOURCE.md says where they are from; scripts/make_sample.py made the file.
"""

import os
from importlib.resources import as_file, files

from ..images import Progress
from ..importing import FASHION, load_arrays
from ..writing import claim_target, write_images


def write_sample(directory: str | os.PathLike[str], threads: int | None = None,
                 progress: Progress | None = None, force: bool = False) -> dict[str, int]:
    """Write directory/train/<class>/*.png and directory/test/<class>/*.png; return {"train": 3000, "test": 1000}.

    Raises DataError unless the directory is empty or not there yet, UsageError where it lies among images that models
    learn from, unless force.
    """
    with claim_target(directory, force) as target:
        with as_file(files(__name__).joinpath("fashion-mnist.npz")) as path:
            splits, classes = load_arrays([path], FASHION)
        return write_images(target, splits, classes, threads, progress)
