"""Image files for pipeline.py: many small PNGs that look like the sample's, and JPEGs of photographs' size and
smoothness. Drawn from a seed, so that every machine decodes the same bytes."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from cnncli.data.importing import load_arrays
from cnncli.data.splits import Sample
from cnncli.data.writing import write_images

_SAMPLE = Path(__file__).resolve().parents[1] / "cnncli/data/sample/fashion-mnist.npz"
_DIFFERENT = 50  # photographs; the others are links to them


def write_garments(folder: Path, count: int) -> None:
    """Write folder/train/<class>/*.png, 28x28 grey: the sample's images, each time round shifted some other way."""
    splits, classes = load_arrays([_SAMPLE])
    images = np.concatenate([images for images, _ in splits.values()])
    labels = np.concatenate([labels for _, labels in splits.values()])
    which = np.arange(count) % len(images)
    rounds = np.arange(count) // len(images)
    shifted = np.stack([np.roll(images[i], (r % 5 - 2, r // 5 - 2), axis=(0, 1))
                        for i, r in zip(which, rounds, strict=True)])
    write_images(folder, {"train": (shifted, labels[which])}, classes)


def write_photographs(folder: Path, count: int, height: int, width: int) -> list[Sample]:
    """Write folder/*.jpg, of which fifty differ, and return them as samples: soft shapes with a little grain, of about
    as many bytes as a photograph."""
    folder.mkdir(parents=True)
    rng, samples = np.random.default_rng(0), []
    for i in range(count):
        path = folder / f"{i:05}.jpg"
        if i < _DIFFERENT:
            shapes = rng.integers(0, 256, (height // 24 + 1, width // 24 + 1, 3), dtype=np.uint8)
            soft = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC), np.float32)
            grain = rng.normal(0, 6, (height, width, 1)).astype(np.float32)
            Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(path, quality=87)
        else:
            os.link(folder / f"{i % _DIFFERENT:05}.jpg", path)
        samples.append(Sample(str(path), path.name, 0))
    return samples
