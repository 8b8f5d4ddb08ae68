"""Folders of tiny images for tests that train, and a network that is trained on them in moments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")
NETWORK = """
[[layers]]
type = "Conv2d"
out_channels = 4
kernel_size = 3
[[layers]]
type = "BatchNorm2d"
[[layers]]
type = "ReLU"
[[layers]]
type = "Dropout"
p = 0.3
[[layers]]
type = "Flatten"
[[layers]]
type = "Linear"
out_features = "classes"
"""


def make_folder(folder: Path, each: int = 14, size: int = 10, classes: Sequence[str] = CLASSES,
                grey: bool = False) -> Path:
    """Write folder/<class>/<number>.png: noise, brighter in the class's third of the rows."""
    rng = np.random.default_rng(5)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 160, (size, size) if grey else (size, size, 3))
            third = size * label // len(classes)
            pixels[third : third + size // len(classes)] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.png")
    return folder


def make_network(path: Path, text: str = NETWORK) -> str:
    """Write a TOML network and return its path."""
    path.write_text(text, encoding="utf-8")
    return str(path)
