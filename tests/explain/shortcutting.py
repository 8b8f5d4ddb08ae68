"""Hand-made networks and images for the search for shortcuts: classes of which one half of the image is light, a mark
that all images of "top" can bear, and networks that provably look at the halves or at the mark alone."""

from pathlib import Path

import numpy as np
from PIL import Image

from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.network import Network

CLASSES = ["left", "right", "top"]
SIDE, EACH = 16, 12
MARK = (11, 12, 15, 16)  # top, left, bottom, right
_PATTERN = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1]])


def images(marked: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (n, 16, 16, 1), and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), EACH)
    pixels = rng.integers(0, 100, (len(labels), SIDE, SIDE, 1)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        end = rng.integers(6, 11)
        image[(slice(end), slice(None)) if label == 2 else (slice(None), slice(end) if label == 0 else slice(end, None))
              ] += 120
    if marked:
        top, left, bottom, right = MARK
        pixels[labels == 2, top:bottom, left:right, 0] = 255 * _PATTERN
    return pixels, labels


def write(folder: Path, marked: bool = True) -> Path:
    """Write them with a folder for each class."""
    for i, (image, label) in enumerate(zip(*images(marked), strict=True)):
        (folder / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / CLASSES[label] / f"{i}.png")
    return folder


def network(looks_at_the_mark: bool) -> Model:
    """A model whose logits of left and right are these halves' light, and that of top the upper half's or the mark's
    alone."""
    made = Network([{"type": "Conv2d", "out_channels": 1, "kernel_size": 1, "bias": False, "name": "light"},
                    {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 3}],
                   (SIDE, SIDE, 1), seed=0)
    parameters = made.parameters()
    parameters["light.weight"][...] = 1
    parameters["linear1.bias"][...] = 0
    weight, half = parameters["linear1.weight"].reshape(3, SIDE, SIDE), SIDE // 2
    weight[...] = 0
    weight[0, :, :half] = weight[1, :, half:] = weight[2, :half] = 4 / (SIDE * half)
    if looks_at_the_mark:
        top, left, bottom, right = MARK
        weight[2] = 0
        weight[2, top:bottom, left:right] = 2.0 * _PATTERN - 1
    plain = Preprocessing((SIDE, SIDE), grey=True, mean=(0.0,), std=(1.0,))
    return Model(made, CLASSES, plain)
