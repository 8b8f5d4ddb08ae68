"""Whether `cnn explain --shortcuts` finds what was planted, and nothing where nothing was. For each seed and kind of
images (colour and grey, 32 and 224 pixels) a small network learns ten classes twice: as they are, and with a logo of 5
% of the area, of random look and at a random place, on every image of one class. Prints in how many of the sets with a
logo its class is named with its place, in how many pasting proves it, and how many clean sets raise an alarm.
docs/explaining.md has what came out.

    python -m benchmarks.shortcuts --images photos/train      photographs in class folders
    python -m benchmarks.shortcuts --seeds 0 3 --kinds grey-32   the clothes of `cnn sample`, three seeds, one kind
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import cnncli
from benchmarks.pictures import _SAMPLE
from cnncli.data.importing import load_arrays
from cnncli.data.preprocessing import Preprocessing
from cnncli.explain.places import Place
from cnncli.explain.shortcuts import Shortcuts, shortcuts
from cnncli.kernels import Array
from cnncli.model import Model
from cnncli.network import Network

KINDS = {"colour-32": (32, 3), "grey-32": (32, 1), "colour-224": (224, 3), "grey-224": (224, 1)}
EACH, AREA = 50, 0.05  # images of a class; of the image's area
HIT = 0.3  # intersection over union of the place named and the logo
BATCH, RATE, EPOCHS = 25, 0.02, 6


def photographs(folder: Path, side: int, channels: int, rng: np.random.Generator) -> tuple[Array, Array, list[str]]:
    """Return some images of each class folder, uint8 (n, side, side, channels), their labels, and the classes."""
    every, classes = _read(folder, side, channels)
    chosen = [of_class[rng.permutation(len(of_class))[:EACH]] for of_class in every]
    return np.concatenate(chosen), np.repeat(np.arange(len(classes)), [len(of_class) for of_class in chosen]), classes


@cache
def _read(folder: Path, side: int, channels: int) -> tuple[list[Array], list[str]]:
    classes = sorted(each.name for each in folder.iterdir() if each.is_dir())
    prepare = Preprocessing((side, side), grey=channels == 1).prepare
    return [np.stack([prepare(path) for path in sorted((folder / name).iterdir())[: 2 * EACH]])
            for name in classes], classes


def garments(side: int, channels: int, rng: np.random.Generator) -> tuple[Array, Array, list[str]]:
    """Return clothes of `cnn sample` alike; in colour each of another one, on soft shapes."""
    splits, classes = load_arrays([_SAMPLE])
    images, labels = splits["train"]
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == i))[:EACH] for i in range(len(classes))])
    grey = np.pad(images[chosen].reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
    made = []
    for each in grey:
        shade: Array = np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC))[..., None]
        if channels == 3:
            soft = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            behind = np.asarray(soft.resize((side, side), Image.Resampling.BICUBIC), np.float32)
            there = np.minimum(shade / 64, 1)
            shade = there * shade * rng.uniform(0.3, 1, 3) + (1 - there) * behind
        made.append(shade.round().clip(0, 255).astype(np.uint8))
    return np.stack(made), labels[chosen], list(classes)


def logo(side: int, channels: int, rng: np.random.Generator) -> Array:
    """Return a logo, uint8 (h, w, channels): blocks, a disc, stripes or a cross, in colours that differ."""
    height = round((AREA * rng.uniform(0.65, 1.5)) ** 0.5 * side)
    width = round(AREA * side**2 / height)
    large, colours = (8 * width, 8 * height), rng.integers(0, 256, (2, 3))
    while np.abs(colours[0] - colours[1]).mean() < 60:
        colours = rng.integers(0, 256, (2, 3))
    ground, ink = (tuple(int(v) for v in colour) for colour in colours)
    image = Image.new("RGB", large, ground)
    draw, kind = ImageDraw.Draw(image), rng.integers(4)
    if kind == 0:
        blocks = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
        image = Image.fromarray(blocks).resize(large, Image.Resampling.NEAREST)
    elif kind == 1:
        draw.ellipse((large[0] // 8, large[1] // 8, large[0] * 7 // 8, large[1] * 7 // 8), fill=ink)
    elif kind == 2:
        for i in (0, 2):
            draw.rectangle((0, large[1] * i // 4, large[0], large[1] * (i + 1) // 4), fill=ink)
    else:
        for ends in ((0, 0, *large), (0, large[1], large[0], 0)):
            draw.line(ends, fill=ink, width=large[0] // 4)
    small = image.resize((width, height), Image.Resampling.BOX).convert("RGB" if channels == 3 else "L")
    return np.asarray(small).reshape(height, width, channels)


def planted(pixels: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, int, Place]:
    """Return images of which one class bears a logo, the class, and where."""
    side = pixels.shape[1]
    mark = logo(side, pixels.shape[3], rng)
    top, left = rng.integers(0, side - mark.shape[0] + 1), rng.integers(0, side - mark.shape[1] + 1)
    place = Place(int(top), int(left), int(top) + mark.shape[0], int(left) + mark.shape[1], (side, side))
    label = int(rng.integers(labels.max() + 1))
    marked = pixels.copy()
    place.cut(marked)[labels == label] = mark
    return marked, label, place


def network(side: int, channels: int, classes: int, seed: int) -> Network:
    """Return a network that learns in seconds: LeNet-5, or for large images three convolutions with large strides."""
    if side < 100:
        return cnncli.architecture("lenet5", input_shape=(side, side, channels), classes=classes, seed=seed)
    layers: list[Any] = []
    for width, size, stride in ((16, 8, 4), (24, 5, 2), (32, 3, 2)):
        layers += [{"type": "Conv2d", "out_channels": width, "kernel_size": size, "stride": stride}, {"type": "ReLU"}]
    return Network([*layers, {"type": "MaxPool2d", "kernel_size": 2}, {"type": "Flatten"},
                    {"type": "Linear", "out_features": classes}], (side, side, channels), seed)


def trained(pixels: Array, labels: Array, classes: Sequence[str], seed: int) -> Model:
    """Return a model that has learnt four images in five."""
    side, channels = pixels.shape[1], pixels.shape[3]
    plain = Preprocessing((side, side), channels == 1, mean=(0.5,) * channels, std=(0.25,) * channels)
    made, rng = network(side, channels, len(classes), seed), np.random.default_rng(seed)
    learnt = rng.permutation(len(pixels))[: len(pixels) * 4 // 5]
    trainer = cnncli.Trainer(made, cnncli.optim.SGD(lr=RATE, momentum=0.9, weight_decay=5e-4))
    for _ in range(EPOCHS):
        order = rng.permutation(learnt)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            some = order[start : start + BATCH]
            trainer.step(plain.normalise(pixels[some]), labels[some].astype(np.int64))
    return Model(made, list(classes), plain)


def measure(kind: str, seed: int, folder: Path | None) -> dict[str, Any]:
    """Return what the search says of a clean set and of one with a logo."""
    (side, channels), rng, start = KINDS[kind], np.random.default_rng([seed, len(kind)]), time.monotonic()
    pixels, labels, classes = (photographs(folder, side, channels, rng) if folder
                               else garments(side, channels, rng))
    marked, label, place = planted(pixels, labels, rng)
    clean, found = (_search(each, labels, classes, seed) for each in (pixels, marked))
    there = [each for each in found.named if each.label == classes[label] and each.place.overlap(place) >= HIT]
    return {"kind": kind, "seed": seed, "class": classes[label], "place": place.as_json(), "named": bool(there),
            "proven": any(each.proven for each in there), "besides": len(found.named) - len(there),
            "alarms": len(clean.named) + len(clean.moved), "says": found.sentences, "clean": clean.sentences,
            "seconds": round(time.monotonic() - start, 1)}


def _search(pixels: Array, labels: Array, classes: Sequence[str], seed: int) -> Shortcuts:
    model = trained(pixels, labels, classes, seed)
    return shortcuts(model, (pixels, [classes[label] for label in labels]), seed=seed)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="class folders; else the clothes of cnn sample")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="a line for each set, as they come")
    options = parser.parse_args(arguments)
    done: dict[str, list[dict[str, Any]]] = {}
    for seed in range(*options.seeds):
        for kind in options.kinds:
            one = measure(kind, seed, options.images)
            done.setdefault(kind, []).append(one)
            print(f"{kind} {seed}: {'named' if one['named'] else 'MISSED'}{' and proven' * one['proven']}, "
                  f"{one['besides']} besides; clean: {one['alarms']} alarms ({one['seconds']} s)", flush=True)
            if options.json:
                with open(options.json, "a", encoding="utf-8") as file:
                    file.write(json.dumps(one) + "\n")
    for kind, sets in done.items():
        print(f"{kind}: of {len(sets)} sets with a logo {sum(one['named'] for one in sets)} named with its place, "
              f"{sum(one['proven'] for one in sets)} of them proven by pasting; of {len(sets)} clean sets "
              f"{sum(one['alarms'] > 0 for one in sets)} with an alarm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
