"""How well `cnn check` finds near duplicates: copies of somebody's images are made in memory in ways in which copies
come about, thrown among all of them, and looked for. Prints what share of each kind is found (recall), and which other
pairs are reported: those are either false or copies that were there already, so look at them.

    python -m benchmarks.copies photos/ --each 300
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from cnncli.data import scan_flat
from cnncli.data.check.facts import THUMB
from cnncli.data.check.near import near_duplicates
from cnncli.data.decode import open_image
from cnncli.errors import ImageError

Picture = Image.Image
Change = Callable[[Picture, np.random.Generator], Picture]
SIDE = 256  # pixels that decoded images have at least on the longer side, where the file has them


def _jpeg(quality: int) -> Change:
    def change(image: Picture, _: np.random.Generator) -> Picture:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality)
        return Image.open(data).convert("RGB")

    return change


def _resized(factor: float) -> Change:
    return lambda image, _: image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))),
                                         Image.Resampling.BICUBIC)


def _toned(tone: Callable[[float], float]) -> Change:
    table = [round(min(255.0, max(0.0, tone(v)))) for v in range(256)] * 3
    return lambda image, _: image.point(table)


def _cropped(most: float) -> Change:
    def change(image: Picture, rng: np.random.Generator) -> Picture:
        left, top, right, bottom = rng.uniform(0, most, 4)
        w, h = image.size
        return image.crop((round(w * left), round(h * top), round(w * (1 - right)), round(h * (1 - bottom))))

    return change


def _all_of_it(image: Picture, rng: np.random.Generator) -> Picture:
    for change in (_resized(0.8), _cropped(0.03), _toned(lambda v: 1.1 * v + 8), _jpeg(75)):
        image = change(image, rng)
    return image


CHANGES: dict[str, Change] = {
    "JPEG, quality 90": _jpeg(90),
    "JPEG, quality 50": _jpeg(50),
    "JPEG, quality 25": _jpeg(25),
    "half the size": _resized(0.5),
    "one and a half times the size": _resized(1.5),
    "brighter, clipped: 1.25 v + 10": _toned(lambda v: 1.25 * v + 10),
    "darker: 0.7 v": _toned(lambda v: 0.7 * v),
    "gamma 0.7": _toned(lambda v: 255 * (v / 255) ** 0.7),
    "cropped by up to 3 % a side": _cropped(0.03),
    "cropped by up to 5 % a side": _cropped(0.05),
    "cropped by up to 10 % a side": _cropped(0.1),
    "resized, cropped 3 %, brighter, JPEG 75": _all_of_it,
}


def thumb(image: Picture) -> np.ndarray[Any, Any]:
    """What `cnn check` compares, uint8 (32, 32)."""
    return np.asarray(image.convert("L").resize((THUMB, THUMB), Image.Resampling.BILINEAR))


def measure(paths: list[str], each: int, seed: int = 0) -> dict[str, Any]:
    """Return recall for each change, the other pairs that were reported (paths, difference), and how long it took."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(paths))
    names = list(CHANGES)
    chosen = {int(order[k]): names[k % len(names)] for k in range(min(len(paths), each * len(names)))}
    seeds = rng.integers(0, 2**63, len(paths))

    def look(i: int) -> list[np.ndarray[Any, Any]] | None:
        try:
            image = open_image(paths[i], False, (SIDE // 2, SIDE // 2))
        except ImageError:
            return None
        copy = [CHANGES[chosen[i]](image, np.random.default_rng(seeds[i]))] if i in chosen else []
        return [thumb(picture) for picture in (image, *copy)]

    with ThreadPoolExecutor() as executor:
        looked = list(executor.map(look, range(len(paths))))
    thumbs, origin, change = [], [], {}
    for i, made in enumerate(looked):
        if made:
            thumbs.append(made[0])
            origin.append(i)
    places = {i: k for k, i in enumerate(origin)}
    for i, made in enumerate(looked):
        if made and len(made) > 1:
            change[len(thumbs)] = (places[i], chosen[i])
            thumbs.append(made[1])
    start = time.monotonic()
    pairs = near_duplicates(np.stack(thumbs))
    seconds = time.monotonic() - start
    found = {(i, j) for i, j, _ in pairs}
    recall = {name: [(i, j) in found for j, (i, of) in change.items() if of == name] for name in names}
    others = [(paths[origin[i]], paths[origin[j]], value) for i, j, value in pairs if j < len(origin)]
    mixed = sum(j >= len(origin) and change[j][0] != i for i, j, _ in pairs)  # a copy with another one's original
    return {"images": len(origin), "copies": len(change), "seconds": seconds, "others": others, "mixed": mixed,
            "recall": {name: (sum(hits), len(hits)) for name, hits in recall.items()}}


def show(result: dict[str, Any]) -> str:
    """Return a table in Markdown."""
    lines = ["| what was done to the copy | found |", "|---|---|"]
    lines += [f"| {name} | {hits:,} of {count:,} ({hits / max(count, 1):.1%}) |"
              for name, (hits, count) in result["recall"].items()]
    right = sum(hits for hits, _ in result["recall"].values())
    strange = len(result["others"]) + result["mixed"]
    lines += ["", f"{result['images']:,} images and {result['copies']:,} copies in {result['seconds']:.1f} s; "
                  f"{right:,} copies found, {len(result['others']):,} pairs of images that were there before, "
                  f"{result['mixed']:,} pairs of a copy and another image: at least "
                  f"{right / max(right + strange, 1):.1%} of the pairs are right."]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copies", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="images, in whatever folders")
    parser.add_argument("--each", type=int, default=300, help="copies of each kind, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    result = measure(scan_flat(options.folder), options.each, options.seed)
    print(show(result))
    for one, other, value in result["others"]:
        print(f"{value:.3f}  {one!r}  {other!r}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
