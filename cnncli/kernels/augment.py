"""Door to csrc/augment.c: geometry and colours. cnncli/data/augmentation.py draws what is done to which image,
cnncli/data/batches.py calls it.
"""

from collections.abc import Sequence

import numpy as np

from .._kernels import ffi, lib
from .door import Array, Call, pointer
from .image import images

# What an image's list may hold; csrc/cnn.h says what each does and what its strength means.
OPERATIONS = {
    "none": lib.CNN_NO_OPERATION, "rotate": lib.CNN_ROTATE, "scale": lib.CNN_SCALE, "shear-x": lib.CNN_SHEAR_X,
    "shear-y": lib.CNN_SHEAR_Y, "translate-x": lib.CNN_TRANSLATE_X, "translate-y": lib.CNN_TRANSLATE_Y,
    "brightness": lib.CNN_BRIGHTNESS, "contrast": lib.CNN_CONTRAST, "saturation": lib.CNN_SATURATION,
    "hue": lib.CNN_HUE, "posterise": lib.CNN_POSTERISE, "solarise": lib.CNN_SOLARISE,
    "autocontrast": lib.CNN_AUTOCONTRAST, "equalise": lib.CNN_EQUALISE, "sharpness": lib.CNN_SHARPNESS,
}


def augment_batch(x: Array, y: Array, mean: Sequence[float], std: Sequence[float], rows: Array | None,
                  moves: Array | None, operations: Array, strengths: Array) -> Call:
    """Prepare y as image_batch does, each image going through its own list of operations between shift and flip:
    int64 (n, steps) of OPERATIONS' values and float64 (n, steps); one or three channels. All but y is read when the
    call runs."""
    struct, keep = images(x, y, mean, std, rows, moves)
    if operations.ndim != 2 or len(operations) != len(y):
        raise ValueError(f"operations must be a list for each of {len(y)} images, not {operations.shape}")
    lists = ffi.new("cnn_lists *", {
        "steps": operations.shape[1], "operations": pointer("operations", operations, dtype=np.int64),
        "strengths": pointer("strengths", strengths, operations.shape, np.float64)})
    return Call("cnn_augment_batch", struct, lists, pointer("y", y),
                keep=(struct, lists, y, operations, strengths, *keep))
