"""The sample that the package carries: 3,000 training and 1,000 test images of Fashion-MNIST, so that everything can be
tried at once. SOURCE.md says where they are from; scripts/make_sample.py made the file.
"""

import os
from importlib.resources import as_file, files

from ...values import as_hinted
from ..decoding import Progress
from ..importing import FASHION, load_arrays
from ..writing import claim_target, write_images


@as_hinted
def write_sample(directory: str | os.PathLike[str], threads: int | None = None,
                 progress: Progress | None = None, force: bool = False) -> dict[str, int]:
    """Write the images that come with cnn into a folder: 3,000 for training and 1,000 for the test, of Fashion-MNIST.

    They are directory/train/<class>/*.png and directory/test/<class>/*.png, 28 x 28 pixels in grey.

    Args:
        directory: The folder, which must be empty or not there yet.
        threads: How many threads to use. None: one for each CPU.
        progress: Is called with (done, total), in images. None: nobody is told.
        force: True allows a folder among images that models learn from.

    Returns:
        {"train": 3000, "test": 1000}.

    Raises:
        DataError: The folder is not empty.
        UsageError: The folder lies among images that models learn from.
        SaveError: A file could not be written.
    """
    with claim_target(directory, force) as target:
        with as_file(files(__name__).joinpath("fashion-mnist.npz")) as path:
            splits, classes = load_arrays([path], FASHION)
        return write_images(target, splits, classes, threads, progress)
