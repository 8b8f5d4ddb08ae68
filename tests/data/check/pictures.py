"""Pictures for the tests of checks: smooth random scenes, all different, and the ways in which copies come about."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """A colour picture with structure at every scale, as photographs have it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        how = Image.Resampling.BICUBIC if cells < 24 else Image.Resampling.NEAREST  # sharp edges
        total += np.asarray(coarse.resize((width, height), how), float) / cells
    total = (total - total.min()) / (total.max() - total.min())
    return Image.fromarray((20 + 200 * total).astype(np.uint8))


def write(folder: Path, images: dict[str, int | Image.Image]) -> Path:
    """Write folder/<name> for each; a number stands for that scene."""
    for name, image in images.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (scene(image) if isinstance(image, int) else image).save(path)
    return folder


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without that share of its width on the left and half as much of its height below."""
    w, h = image.size
    return image.crop((round(w * share), 0, w, round(h * (1 - share / 2))))


def brighter(image: Image.Image, gain: float = 1.15, offset: int = 10) -> Image.Image:
    return image.point([min(255, int(v * gain + offset)) for v in range(256)] * 3)


def classes(each: int = 12, names: tuple[str, ...] = ("ant", "bee"), first: int = 0) -> dict[str, int]:
    """<class>/<number>.png, all different scenes."""
    return {f"{name}/{i:02}.png": first + 1000 * k + i for k, name in enumerate(names) for i in range(each)}
