"""How well coarse boxes fit: clothes of `cnn sample`, 28 x 28 and grey, lie somewhere on 64 x 64 pixels of noise, and
a small network learns to name them from labels alone. Prints, for each method and layer, what boxes of its maps
reach on images for choosing; then, for the best of them by CorLoc there, what they reach on other images. `cnn explain
--boxes --truth` does the same with anybody's images; docs/explaining.md has what came out.

    python -m benchmarks.boxes                        resnet8, some minutes on one core
    python -m benchmarks.boxes --epochs 8 --keep DIR  keeps images, boxes.csv and the run in a folder
"""

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import cnncli
from cnncli.data.boxes import read_boxes
from cnncli.explain.boxes import Located, locate
from cnncli.kernels import Array
from cnncli.model import Model

SIDE, VISIBLE = 64, 24  # pixels of an image; the brightness from which a pixel belongs to the clothes
CHOOSING, JUDGING = 400, 400  # images, none of which is trained on
METHODS = ("hirescam", "layercam")


def paste(item: Array, rng: np.random.Generator) -> tuple[Array, tuple[int, int, int, int]]:
    """Return clothes, uint8 (28, 28), on noise: uint8 (64, 64), and the box of what is seen of them."""
    image = rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    top, left = rng.integers(0, SIDE - item.shape[0] + 1), rng.integers(0, SIDE - item.shape[1] + 1)
    there = item >= VISIBLE
    image[top : top + item.shape[0], left : left + item.shape[1]][there] = item[there]
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return image, (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)


def write(folder: Path, seed: int) -> None:
    """Write train/ and choose/ and judge/, each with a folder for each class, and boxes.csv."""
    cnncli.write_sample(folder / "sample")
    rng, lines = np.random.default_rng(seed), list[tuple[object, ...]]()
    held = sorted((folder / "sample/test").glob("*/*.png"))
    held = [held[i] for i in rng.permutation(len(held))]
    parts = {"train": sorted((folder / "sample/train").glob("*/*.png")),
             "choose": held[:CHOOSING], "judge": held[-JUDGING:]}
    for part, paths in parts.items():
        for path in paths:
            image, box = paste(np.asarray(Image.open(path).convert("L")), rng)
            name = Path("images", part, path.parent.name, f"{part}-{path.name}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / name)
            lines.append((name.as_posix(), *box, path.parent.name))
    with open(folder / "boxes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "xmin", "ymin", "xmax", "ymax", "label"), *lines])


def trained(folder: Path, options: argparse.Namespace) -> Model:
    """Return the model that is in the folder, or train it."""
    if not (folder / "runs/boxes/model.safetensors").exists():
        write(folder, options.seed)
        cnncli.train(folder / "images/train", arch=options.arch, epochs=options.epochs, seed=options.seed,
                     name="boxes", runs=str(folder / "runs"))
    return cnncli.load(folder / "runs/boxes")


def measure(folder: Path, model: Model) -> tuple[str, str, Located]:
    """Choose method and layer, and return these with what they reach on other images."""
    truth, tried = read_boxes(folder / "boxes.csv"), dict[tuple[str, str], Located]()
    print(f"accuracy {cnncli.evaluate(model, folder / 'images/judge').accuracy:.3f}")
    for layer in [node.name for node in model.network.nodes if node.name.endswith(".relu")][::-1]:
        for method in METHODS:
            found = tried[method, layer] = locate(model, folder / "images/choose", truth, method, None, layer)
            print(f"{method:9} {layer:16} CorLoc {found.maps.cor_loc:.3f}  MaxBoxAccV2 {found.maps.max_box_acc:.3f}  "
                  f"at {found.maps.share:.0%}", flush=True)
    best = max(tried, key=lambda key: tried[key].maps.cor_loc)
    return *best, locate(model, folder / "images/judge", truth, best[0], None, best[1])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet8")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", metavar="DIR", help="a folder to leave everything in, and to begin from")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(options.keep or work)
        os.makedirs(folder, exist_ok=True)
        method, layer, found = measure(folder, trained(folder, options))
        print(f"{method} at {layer}:")
        print("\n".join(found.sentences))
    return 0


if __name__ == "__main__":
    sys.exit(main())
