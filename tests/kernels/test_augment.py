"""csrc/augment.c: geometry, colours, erasing and mixing on every instruction set against float64 NumPy and Pillow, with
sentinels behind the output, and what it must refuse."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnncli.kernels import OPERATIONS, augment_batch, erase_batch, image_batch, mix_batch

from .guard import Guarded

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
# Places are worked out in float32: at 40 pixels an error of some 1e-5 of a pixel, times a step of at most 255 between
# neighbours. Colours: a few roundings of values up to 255.
GEOMETRY, COLOUR = 0.02, 1e-3
LUMA = np.array([0.299, 0.587, 0.114])
SHAPES = [(1, 1, 1, 1), (3, 1, 5, 3), (2, 5, 1, 3), (5, 7, 9, 1), (4, 16, 16, 3), (3, 28, 28, 1), (2, 9, 67, 3)]

Steps = list[tuple[str, float]]


def augmented(x: np.ndarray, steps: list[Steps], moves: np.ndarray | None = None,
              rows: np.ndarray | None = None) -> np.ndarray:
    """Run the kernel with mean 0 and deviation 1/255, so that results are on the scale of bytes."""
    n, c = len(steps), x.shape[3]
    operations = np.array([[OPERATIONS[name] for name, _ in one] for one in steps], np.int64).reshape(n, -1)
    strengths = np.array([[strength for _, strength in one] for one in steps], np.float64).reshape(n, -1)
    y = Guarded((n, *x.shape[1:]))
    augment_batch(x, y.a, [0.0] * c, [1 / 255] * c, rows, moves, operations, strengths)()
    return y.check()


def one(x: np.ndarray, *steps: tuple[str, float]) -> np.ndarray:
    """A single image, uint8 (h, w, c), through a list."""
    return augmented(x[None], [list(steps)])[0]


# ---- geometry ----


def inverse(name: str, v: float) -> np.ndarray:
    """The map from result to source, homogeneous, of (x, y, 1)."""
    r = math.radians(v)
    return np.array({
        "rotate": [[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]],
        "scale": [[math.exp(-v), 0, 0], [0, math.exp(-v), 0], [0, 0, 1]],
        "shear-x": [[1, math.tan(r) if abs(v) < 80 else 0, 0], [0, 1, 0], [0, 0, 1]],
        "shear-y": [[1, 0, 0], [math.tan(r) if abs(v) < 80 else 0, 1, 0], [0, 0, 1]],
        "translate-x": [[1, 0, v], [0, 1, 0], [0, 0, 1]],
        "translate-y": [[1, 0, 0], [0, 1, v], [0, 0, 1]],
    }.get(name, np.eye(3)))


def mirrored(at: float, n: int) -> float:
    """A coordinate folded into 0 … n - 1."""
    if n == 1:
        return 0.0
    at = abs(at) % (2 * (n - 1))
    return min(at, 2 * (n - 1) - at)


def expected_geometry(image: np.ndarray, move: np.ndarray, steps: Steps) -> np.ndarray:
    h, w, c = image.shape
    matrix = np.array([[1, 0, move[1]], [0, 1, move[0]], [0, 0, 1]], float)
    for name, strength in steps:
        matrix = matrix @ inverse(name, strength)
    if move[2]:
        matrix = matrix @ np.diag([-1, 1, 1])
    padded = np.pad(image.astype(float), ((0, 1), (0, 1), (0, 0)), "edge")
    out = np.empty((h, w, c))
    for row in range(h):
        for column in range(w):
            place = matrix @ [column - (w - 1) / 2, row - (h - 1) / 2, 1]
            x, y = mirrored(place[0] + (w - 1) / 2, w), mirrored(place[1] + (h - 1) / 2, h)
            left, top = int(x), int(y)
            fx, fy = x - left, y - top
            four = padded[top : top + 2, left : left + 2]
            out[row, column] = (1 - fy) * ((1 - fx) * four[0, 0] + fx * four[0, 1]) + fy * (
                (1 - fx) * four[1, 0] + fx * four[1, 1])
    return out


@pytest.mark.parametrize("shape", SHAPES)
def test_a_list_of_geometry_is_sampled_once(shape: tuple[int, ...], isa: str, threads: int,
                                            rng: np.random.Generator) -> None:
    n, h, w, _ = shape
    x = rng.integers(0, 256, shape, np.uint8)
    x.ravel()[0], x.ravel()[-1] = 0, 255
    names = ["rotate", "scale", "shear-x", "shear-y", "translate-x", "translate-y", "none"]
    ranges = {"rotate": 180, "scale": 0.7, "shear-x": 40, "shear-y": 40, "translate-x": 9, "translate-y": 9, "none": 1}
    steps = [[(name, rng.uniform(-1, 1) * ranges[name]) for name in rng.permutation(names)[:4]] for _ in range(n + 2)]
    rows = rng.integers(0, n, n + 2)
    moves = np.stack([rng.integers(-h, h + 1, n + 2), rng.integers(-w, w + 1, n + 2), rng.integers(0, 2, n + 2)], 1)
    got = augmented(x, steps, moves, rows)
    for image, row, move, done in zip(got, rows, moves, steps, strict=True):
        np.testing.assert_allclose(image, expected_geometry(x[row], move, done), atol=GEOMETRY)


@pytest.mark.parametrize("shape", [(5, 7, 9, 1), (40, 32, 33, 3), (2, 5, 6, 3), (2, 9, 130, 3)])
def test_without_operations_it_is_the_plain_batch_to_the_bit(shape: tuple[int, ...], isa: str,
                                                             rng: np.random.Generator) -> None:
    n, h, w, c = shape
    x = rng.integers(0, 256, shape, np.uint8)
    moves = np.stack([rng.integers(-h, h + 1, n), rng.integers(-w, w + 1, n), rng.integers(0, 2, n)], 1)
    for steps in (0, 3):
        operations, strengths = np.zeros((n, steps), np.int64), rng.random((n, steps))
        plain, ours = np.empty(shape, np.float32), np.empty(shape, np.float32)
        image_batch(x, plain, MEAN[:c], STD[:c], None, moves)()
        augment_batch(x, ours, MEAN[:c], STD[:c], None, moves, operations, strengths)()
        np.testing.assert_allclose(ours, plain, rtol=2e-7, atol=1e-6)


BETWEEN_PAGES = """
import ctypes, mmap, sys
import numpy as np
from cnncli import kernels
page, libc = mmap.PAGESIZE, ctypes.CDLL(None, use_errno=True)
memory = mmap.mmap(-1, 3 * page)
middle = np.frombuffer(memory, np.uint8)[page : 2 * page]
for start in (0, 2 * page):
    address = ctypes.c_void_p(middle.ctypes.data - page + start)
    assert libc.mprotect(address, ctypes.c_size_t(page), 0) == 0, ctypes.get_errno()
kernels.set_isa(sys.argv[1])
for shape in ((1, 1, 1), (5, 7, 3), (16, 33, 1)):
    size = int(np.prod(shape))
    for x in (middle[:size], middle[page - size :]):
        for step in range(40):
            moves = np.array([[step % 3 - 1, 0, step % 2]])
            operations = np.array([[kernels.OPERATIONS["rotate"], kernels.OPERATIONS["scale"]]])
            y, strengths = np.empty((1, *shape), np.float32), np.array([[step * 9.0, (step % 5 - 2) / 3]])
            kernels.augment_batch(x.reshape(1, *shape), y, [0] * shape[2], [1] * shape[2], None, moves, operations,
                                  strengths)()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's mprotect")
def test_nothing_outside_the_source_is_read(isa: str) -> None:
    """Between two pages whose reading ends the process: also what would then be multiplied by 0."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", BETWEEN_PAGES, isa], cwd=root, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr or f"ended by signal {-done.returncode}"


def test_directions(isa: str) -> None:
    """What csrc/cnn.h promises: against the clock, larger, to the left, upward."""
    dot = np.zeros((9, 9, 1), np.uint8)
    dot[4, 7] = 255  # right of the middle
    assert one(dot, ("rotate", 90.0))[1, 4, 0] > 254, "above the middle"
    dot[4, 7], dot[4, 5] = 0, 255
    assert one(dot, ("scale", math.log(2)))[4, 6, 0] > 254
    dot = np.zeros((9, 9, 1), np.uint8)
    dot[4, 4] = 255
    assert one(dot, ("translate-x", 2.0))[4, 2, 0] == 255
    assert one(dot, ("translate-y", 3.0))[1, 4, 0] == 255


# ---- colours ----


def jittered(x: np.ndarray, name: str, v: float) -> np.ndarray:
    """One linear operation in float64, not clipped."""
    x = x.astype(float)
    c = x.shape[2]
    grey = x @ LUMA if c == 3 else x[:, :, 0]
    if name == "brightness":
        return x * v
    if name == "contrast":
        return v * x + (1 - v) * grey.mean()
    if name == "saturation":
        return v * x + (1 - v) * grey[:, :, None]
    if c == 1:
        return x
    k, a = np.full(3, 3**-0.5), 2 * math.pi * v  # Rodrigues' formula as it is written
    return x * math.cos(a) + np.cross(k, x) * math.sin(a) + np.outer(x @ k, k).reshape(x.shape) * (1 - math.cos(a))


@pytest.mark.parametrize("shape", SHAPES)
def test_jitter_is_one_matrix_clipped_at_the_end(shape: tuple[int, ...], isa: str, threads: int,
                                                 rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, shape, np.uint8)
    for names in (["brightness"], ["contrast"], ["saturation"], ["hue"],
                  ["saturation", "contrast", "hue", "brightness"], ["hue", "brightness", "contrast"]):
        steps = [[(name, rng.uniform(0.3, 1.7) if name != "hue" else rng.uniform(-0.5, 0.5)) for name in names]
                 for _ in x]
        for image, source, done in zip(augmented(x, steps), x, steps, strict=True):
            wanted = source.astype(float)
            for name, strength in done:
                wanted = jittered(wanted, name, strength)
            np.testing.assert_allclose(image, np.clip(wanted, 0, 255), atol=COLOUR)


def test_what_was_painted_over_is_seen_by_what_follows(isa: str, rng: np.random.Generator) -> None:
    """Brightness is clipped before an operation that is not linear, and contrast then finds the new mean."""
    x = rng.integers(0, 256, (8, 9, 3), np.uint8)
    bright = np.clip(x.astype(float) * 1.5, 0, 255)
    negative = np.where(bright >= 100, 255 - bright, bright)
    got = one(x, ("brightness", 1.5), ("solarise", 100.0), ("contrast", 0.5))
    np.testing.assert_allclose(got, np.clip(jittered(negative, "contrast", 0.5), 0, 255), atol=COLOUR)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["posterise", "solarise", "autocontrast", "equalise", "sharpness"])
def test_other_operations_are_pillows(shape: tuple[int, ...], name: str, isa: str, rng: np.random.Generator) -> None:
    x = (rng.integers(0, 256, shape) // 3 + rng.integers(0, 100, (shape[0], 1, 1, shape[3]))).astype(np.uint8)
    for source in x:
        picture = Image.fromarray(source[:, :, 0] if shape[3] == 1 else source)
        strength = {"posterise": 3.0, "solarise": 120.0, "sharpness": 1.8}.get(name, 0.0)
        wanted = {"posterise": lambda p: ImageOps.posterize(p, 3), "solarise": lambda p: ImageOps.solarize(p, 120),
                  "autocontrast": ImageOps.autocontrast, "equalise": ImageOps.equalize,
                  "sharpness": lambda p: ImageEnhance.Sharpness(p).enhance(1.8)}[name](picture)
        # Pillow rounds to whole values, and Sharpness does so twice: within the smoothing and when it blends.
        error = {"autocontrast": 1.01, "sharpness": 1.9}.get(name, 1e-3)
        np.testing.assert_allclose(one(source, (name, strength)), np.asarray(wanted).reshape(source.shape), atol=error)


def test_sharpness_in_float64(isa: str, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (11, 37, 3), np.uint8)
    wide = x.astype(float)
    smooth = sum(np.roll(wide, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) + 4 * wide
    wanted = np.clip(smooth / 13 + 0.3 * (wide - smooth / 13), 0, 255)
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        wanted[edge] = wide[edge]
    np.testing.assert_allclose(one(x, ("sharpness", 0.3)), wanted, atol=COLOUR)


@pytest.mark.parametrize("name", ["autocontrast", "equalise", "contrast"])
def test_an_image_of_one_value_stays(name: str, isa: str) -> None:
    x = np.full((6, 7, 3), 90, np.uint8)
    np.testing.assert_allclose(one(x, (name, 1.6)), x, atol=COLOUR)


def test_the_same_bits_with_any_number_of_threads(isa: str, rng: np.random.Generator) -> None:
    from cnncli import kernels

    x = rng.integers(0, 256, (40, 15, 17, 3), np.uint8)
    steps = [[("rotate", rng.uniform(-30, 30)), ("contrast", rng.random()), ("equalise", 0.0)] for _ in x]
    before, results = kernels.threads(), []
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            results.append(augmented(x, steps))
    finally:
        kernels.set_threads(before)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize(
    ("name", "strength"),
    [("scale", 5.1), ("scale", np.nan), ("rotate", np.inf), ("shear-x", 81), ("shear-y", -90), ("posterise", 0),
     ("posterise", 9), ("brightness", 1e6), ("translate-x", 1e9)],
)
def test_strengths_out_of_reason_are_refused(name: str, strength: float) -> None:
    with pytest.raises(ValueError, match="refused"):
        one(np.zeros((4, 4, 3), np.uint8), (name, strength))


def test_refuses_what_lies_outside() -> None:
    x, y = np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 4, 4, 1), np.float32)
    none, strengths = np.zeros((2, 1), np.int64), np.zeros((2, 1))

    def call(**changed: Any) -> None:
        given: dict[str, Any] = dict(x=x, y=y, mean=[0], std=[1], rows=None, moves=None, operations=none,
                                     strengths=strengths)
        augment_batch(**{**given, **changed})()

    call()
    for changed in ({"rows": np.array([0, 2])}, {"moves": np.array([[5, 0, 0]] * 2)},
                    {"operations": none + 16}, {"operations": none - 1},
                    {"operations": np.ones((2, 33), np.int64), "strengths": np.ones((2, 33))},
                    {"operations": np.full((2, 8), OPERATIONS["scale"]), "strengths": np.full((2, 8), -5.0)}):
        with pytest.raises(ValueError, match="refused"):
            call(**changed)
    with pytest.raises(ValueError, match="refused"):
        call(x=np.zeros((2, 4, 4, 2), np.uint8), y=np.zeros((2, 4, 4, 2), np.float32), mean=[0] * 2, std=[1] * 2)
    with pytest.raises(ValueError, match="one shape"):
        call(y=np.zeros((2, 4, 5, 1), np.float32))
    with pytest.raises(ValueError, match="list for each"):
        call(operations=none[0])
    with pytest.raises(ValueError, match="strengths must have shape"):
        call(strengths=np.zeros((2, 2)))


# ---- erasing and mixing ----


def boxes_within(rng: np.random.Generator, count: int, h: int, w: int) -> np.ndarray:
    top, left = rng.integers(0, h + 1, count), rng.integers(0, w + 1, count)
    return np.stack([top, left, rng.integers(0, h - top + 1), rng.integers(0, w - left + 1)], axis=1)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 7, 9, 1), (9, 16, 13, 3)])
def test_erases_boxes_and_nothing_else(shape: tuple[int, ...], threads: int, rng: np.random.Generator) -> None:
    n, h, w, c = shape
    before = rng.standard_normal(shape).astype(np.float32)
    boxes = boxes_within(rng, 2 * n, h, w).reshape(n, 2, 4)
    noise = np.stack([np.zeros(n, np.uint64), rng.integers(1, 2**63, n).astype(np.uint64)], axis=1)
    y = before.copy()
    erase_batch(y, MEAN[:c], STD[:c], boxes, noise)()
    for i in range(n):
        wanted, random = before[i].copy(), np.zeros((h, w), bool)
        top, left, height, width = boxes[i, 0]
        wanted[top : top + height, left : left + width] = 0
        top, left, height, width = boxes[i, 1]
        random[top : top + height, left : left + width] = True
        assert np.array_equal(y[i][~random], wanted[~random])
        values = (y[i][random] * STD[:c] + MEAN[:c]) * 255
        np.testing.assert_allclose(values, np.rint(values), atol=1e-3)
        assert ((values > -0.5) & (values < 255.5)).all()
    again = before.copy()
    erase_batch(again, MEAN[:c], STD[:c], boxes, noise)()
    assert np.array_equal(y, again)


def test_noise_is_even_and_each_images_own() -> None:
    y = np.zeros((2, 64, 64, 3), np.float32)
    boxes = np.tile([0, 0, 64, 64], (2, 1, 1))
    erase_batch(y, [0] * 3, [1 / 255] * 3, boxes, np.array([[1], [2]], np.uint64))()
    counts = np.bincount(np.rint(y).astype(int).ravel(), minlength=256)
    assert len(counts) == 256
    assert counts.min() > 50  # 96 on average, deviation 10
    assert counts.max() < 150
    assert abs(np.corrcoef(y[0].ravel(), y[1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(y[0].ravel()[:-1], y[0].ravel()[1:])[0, 1]) < 0.05


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 7, 9, 1), (9, 16, 13, 3)])
def test_mixes(shape: tuple[int, ...], isa: str, threads: int, rng: np.random.Generator) -> None:
    n, h, w, _ = shape
    x, guarded = rng.standard_normal(shape).astype(np.float32), Guarded(shape)
    partners, shares, boxes = rng.integers(0, n, n), rng.random(n).astype(np.float32), boxes_within(rng, n, h, w)
    boxes[::2] = 0
    mix_batch(x, guarded.a, partners, shares, boxes)()
    y = guarded.check()
    for i, (top, left, height, width) in enumerate(boxes):
        other = x[partners[i]].astype(float)
        if height == 0:
            np.testing.assert_allclose(y[i], shares[i] * x[i].astype(float) + (1 - float(shares[i])) * other, atol=1e-6)
        else:
            wanted = x[i].copy()
            wanted[top : top + height, left : left + width] = x[partners[i], top : top + height, left : left + width]
            assert np.array_equal(y[i], wanted)


def test_boxes_and_partners_outside_are_refused() -> None:
    y, out = np.zeros((2, 4, 5, 1), np.float32), np.zeros((2, 4, 5, 1), np.float32)
    shares, inside = np.ones(2, np.float32), np.zeros((2, 4), np.int64)
    for box in ([0, 0, 5, 1], [0, 0, 1, 6], [-1, 0, 1, 1], [0, -1, 1, 1], [3, 0, 2, 1], [0, 0, -1, 1],
                [2**62, 0, 2**62, 1]):
        boxes = inside.copy()
        boxes[1] = box
        with pytest.raises(ValueError, match="refused"):
            erase_batch(y, [0], [1], boxes[:, None].copy(), np.zeros((2, 1), np.uint64))()
        with pytest.raises(ValueError, match="refused"):
            mix_batch(y, out, np.zeros(2, np.int64), shares, boxes)()
    for partner in (-1, 2):
        with pytest.raises(ValueError, match="refused"):
            mix_batch(y, out, np.array([0, partner]), shares, inside)()
    with pytest.raises(ValueError, match="boxes must be"):
        erase_batch(y, [0], [1], inside, np.zeros((2, 1), np.uint64))
