"""export/csource_int8.py: C without floats yields the very logits of our own int8 inference, from every layer, in the
memory that is named."""

import ctypes
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.errors import UsageError
from cnncli.export.calls_int8 import UNIT, WRITERS, Calls, _factor
from cnncli.export.csource import parts_of
from cnncli.export.csource_int8 import _CALLED, to_integer_c
from cnncli.model import Model
from cnncli.model.calibration import Calibration

from .cases import CASES, model_of, name_of, network_of
from .quantised import noise, quantised

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
pytestmark = pytest.mark.skipif(not COMPILERS, reason="there is neither gcc nor clang")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wno-sign-conversion", "-fPIC"]

MIXED: list[dict[str, Any]] = [
    {"type": "Conv2d", "out_channels": 6, "kernel_size": [3, 2], "padding": [1, 0, 2, 1], "dilation": [2, 1],
     "name": "a"},
    {"type": "LeakyReLU", "negative_slope": 0.2, "name": "b"},
    {"type": "Conv2d", "out_channels": 12, "groups": 6, "kernel_size": 3, "padding": "same_tf", "name": "c"},
    {"type": "SiLU", "name": "d"},
    {"type": "MaxPool2d", "kernel_size": 3, "stride": [2, 1], "padding": [1, 0], "inputs": ["b"], "name": "e"},
    {"type": "AvgPool2d", "kernel_size": 3, "stride": [2, 1], "padding": [1, 0], "inputs": ["d"], "name": "f"},
    {"type": "Concat", "inputs": ["e", "f", "e"], "name": "g"},
    {"type": "Conv2d", "out_channels": 12, "groups": 3, "kernel_size": 1, "name": "h"},
    {"type": "ReLU6", "name": "i"}, {"type": "Tanh", "inputs": ["f"], "name": "j"},
    {"type": "Add", "inputs": ["i", "j"], "name": "k"}, {"type": "ReLU", "name": "l"},
    {"type": "Add", "inputs": ["l", "j"], "name": "m"}, {"type": "Scale", "factor": -0.7}, {"type": "Sigmoid"},
    {"type": "AvgPool2d", "kernel_size": [2, 3], "stride": [1, 2], "padding": [0, 1], "count_include_pad": False},
    {"type": "AdaptiveAvgPool2d", "output_size": [2, 3]}, {"type": "Dropout"}, {"type": "Flatten"}]
BLOCK: list[dict[str, Any]] = [  # as MobileNetV2 has it
    {"type": "Conv2d", "out_channels": 8, "kernel_size": 3, "stride": 2, "padding": 1}, {"type": "BatchNorm2d"},
    {"type": "ReLU6", "name": "x"},
    {"type": "Conv2d", "out_channels": 24, "kernel_size": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU6"},
    {"type": "Conv2d", "out_channels": 24, "groups": 24, "kernel_size": 5, "padding": 2}, {"type": "BatchNorm2d"},
    {"type": "ReLU6"}, {"type": "Conv2d", "out_channels": 8, "kernel_size": 1}, {"type": "BatchNorm2d", "name": "y"},
    {"type": "Add", "inputs": ["x", "y"]}, {"type": "GlobalAvgPool2d"}]


def library(source: str, folder: Path, compiler: str = COMPILERS[0] if COMPILERS else "", flags: Any = ("-O1",)) -> Any:
    (folder / "classifier.c").write_text(source, encoding="ascii")
    subprocess.run([compiler, *FLAGS, *flags, "-shared", "classifier.c", "-o", "classifier.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "classifier.so"))


def classifier(source: str, classes: int, folder: Path) -> Callable[[Any], tuple[int, Any]]:
    """Return a source, compiled and loaded: an image -> (class, logits)."""
    loaded = library(source, folder)
    logits = np.ctypeslib.as_array((ctypes.c_int32 * classes).in_dll(loaded, "class_logits"))

    def classify(image: Any) -> tuple[int, Any]:
        image = np.ascontiguousarray(image)
        return loaded.classify(ctypes.c_void_p(image.ctypes.data)), logits.copy()
    return classify


def agree(model: Model, images: Any, folder: Path) -> None:
    """The same class, and the same logits to the last bit that C keeps of them."""
    classify = classifier(to_integer_c(model).source, len(model.classes), folder)
    wanted = model.logits(images)
    assert wanted.std(axis=0).min() > 0, "images differ"
    for image, logits in zip(images, wanted, strict=True):
        found, whole = classify(image)
        np.testing.assert_array_equal(whole, np.rint(logits.astype(np.float64) * 2**UNIT))
        assert found == whole.argmax()
        assert logits[found] > logits.max() - 2**-UNIT


@pytest.mark.slow
@pytest.mark.parametrize("layers", CASES, ids=name_of)
def test_every_layer(layers: list[dict[str, Any]], tmp_path: Path, rng: np.random.Generator) -> None:
    network = network_of(layers, (10, 9, 3))
    model = quantised(network, rng)
    if any(type(node.layer) not in WRITERS or (node.layer.sums and len(node.inputs) > 2) for node in
           model.network.nodes):
        with pytest.raises(UsageError, match=r"this model computes .* in float32, which int8 cannot write; leave int8"):
            to_integer_c(model)
    else:
        agree(model, noise(model, 20, rng), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [MIXED, BLOCK], ids=["mixed", "depthwise"])
def test_networks(layers: list[dict[str, Any]], tmp_path: Path, rng: np.random.Generator) -> None:
    model = quantised(network_of(layers, (14, 13, 3)), rng)
    agree(model, noise(model, 200, rng), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), [("resnet8", (32, 32, 3)), ("lenet5", (28, 28, 1)),
                                             ("squeezenet1_1", (48, 40, 3))])
def test_architectures(name: str, shape: tuple[int, int, int], tmp_path: Path, rng: np.random.Generator) -> None:
    model = quantised(architecture(name, shape, 5, seed=1), rng)
    if isinstance(model.network.nodes[-1].layer.params.get("weight"), np.ndarray):
        agree(model, noise(model, 200 if name == "resnet8" else 20, rng), tmp_path)
        return
    images = noise(model, 20, rng)
    classify = classifier(to_integer_c(model).source, 5, tmp_path)
    for image, logits in zip(images, model.logits(images), strict=True):  # the last means are float32's in cnn
        np.testing.assert_allclose(classify(image)[1] / 2**UNIT, logits, atol=1e-5, rtol=1e-5)


def test_every_layer_of_bytes_is_tried() -> None:
    tried = {layer["type"] for layers in (*CASES, MIXED) for layer in layers} | {"Linear"}
    assert {kind.__name__ for kind in WRITERS} <= tried


def test_resnet8_on_images_of_32_pixels_fits_into_64_kib(rng: np.random.Generator) -> None:
    """A block needs its input and the result of its first convolution: the sum lies where the input lay."""
    made = to_integer_c(quantised(architecture("resnet8", (32, 32, 3), 10, seed=1), rng))
    assert made.ram == 2 * 32 * 32 * 16 + 4 * 10
    assert 70_000 < made.flash < 100_000
    assert str(made) == f"RAM 32,808 bytes beside the stack, flash {made.flash:,} bytes beside the code."


@pytest.mark.slow
def test_ram_and_flash_are_those_of_the_object(tmp_path: Path, rng: np.random.Generator) -> None:
    if sys.platform != "linux" or shutil.which("size") is None:
        pytest.skip("there is no size of GNU binutils, which reads ELF files")
    made = to_integer_c(quantised(network_of(MIXED, (14, 13, 3)), rng))
    (tmp_path / "a.c").write_text(made.source, encoding="ascii")
    subprocess.run([COMPILERS[0], "-std=c99", "-Os", "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    said = subprocess.run(["size", "-A", "a.o"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    sizes = {name: int(size) for name, size in re.findall(r"^(\.\S+)\s+(\d+)", said, re.MULTILINE)}
    assert made.ram <= sizes[".bss"] + sizes[".data"] <= made.ram + 64
    constants = sum(size for name, size in sizes.items() if "rodata" in name or name.startswith(".data.rel"))
    assert made.flash < constants < made.flash + 2000, "pointers have 8 bytes here, and arrays are aligned"


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("layers", [MIXED, BLOCK], ids=["mixed", "depthwise"])
def test_no_warning_no_float_and_nothing_undefined(layers: list[dict[str, Any]], compiler: str, tmp_path: Path,
                                                   rng: np.random.Generator) -> None:
    model = quantised(network_of(layers, (14, 13, 3)), rng)
    source = to_integer_c(model).source
    code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    assert not re.search(r"\b(float|double|malloc|math\.h|\d+\.\d*)\b", code)
    images = noise(model, 5, rng)
    pixels = ",".join(map(str, images.ravel()))
    main = f"""#include <stdio.h>
    static const uint8_t images[] = {{{pixels}}};
    int main(void) {{
        for (int i = 0; i < 5; i++) printf("%d ", classify(images + i * {images[0].size}));
        return classify(NULL) != -1;
    }}\n"""
    (tmp_path / "main.c").write_text(source + main, encoding="ascii")
    watched = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
    if compiler == "clang":  # often without the libraries of sanitizers
        watched = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
    subprocess.run([compiler, *FLAGS, "-O1", *watched, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    said = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(k) for k in model.logits(images).argmax(axis=1)]


@pytest.mark.slow
def test_rounding_is_that_of_floats(tmp_path: Path, rng: np.random.Generator) -> None:
    """Millions of sums of all sizes, with factors of all sizes; with few bits, so that halves are met; and extremes."""
    parts = parts_of("runtime_int8.c")
    loaded = library(parts["start"] + parts["nearest"] + """
        void many(int32_t n, const int32_t *sums, const int32_t *factors, const int8_t *shifts, int32_t *y);
        void many(int32_t n, const int32_t *sums, const int32_t *factors, const int8_t *shifts, int32_t *y) {
            for (int32_t i = 0; i < n; i++) y[i] = nearest(sums[i], factors[i], shifts[i]);
        }\n""", tmp_path)
    halves = 0
    for sums, factors in _rounded(rng):
        for more in (0, 12, UNIT):
            with np.errstate(over="ignore"):
                product = (sums.astype(np.float32) * factors).astype(np.float64) * 2.0**more
            product = np.clip(product, -(2**31 - 1), 2**31 - 1)
            wanted = np.rint(product).astype(np.int32)
            halves += int((product % 1 == 0.5).sum())
            whole, shift = (np.ascontiguousarray(each, kind) for each, kind in
                            zip(_factor(factors, more), (np.int32, np.int8), strict=True))
            found = np.empty_like(sums)
            loaded.many(len(sums), *(ctypes.c_void_p(each.ctypes.data) for each in (sums, whole, shift, found)))
            np.testing.assert_array_equal(found, wanted)
    assert halves > 100_000


def _rounded(rng: np.random.Generator) -> Any:
    """Pairs of int32 sums and float32 factors."""
    count = 1_000_000
    sizes = 2.0 ** rng.uniform(0, 31, count)
    sums = np.clip(rng.choice([-1, 1], count) * sizes, -(2**31 - 1), 2**31 - 1).astype(np.int32)
    yield sums, (2.0 ** rng.uniform(-40, 8, count)).astype(np.float32)
    yield sums, (rng.integers(0, 16, count) * 2.0 ** rng.integers(-24, 4, count)).astype(np.float32)
    few = (rng.integers(-4096, 4096, count) * 2 ** rng.integers(0, 18, count)).astype(np.int32)  # their bits end early
    yield few, (rng.integers(1, 64, count) * 2.0 ** rng.integers(-24, -2, count)).astype(np.float32)
    ends = np.array([0, 1, -1, 2**24, 2**24 + 1, 2**24 + 3, 2**25 + 2, 2**30 - 1, 2**31 - 1, -(2**31 - 1)], np.int32)
    tiny = np.finfo(np.float32).tiny
    large = np.array([0, tiny / 8, tiny, 2**-26, 0.5, 1, 1 + 2**-23, 2 - 2**-23, 2**20, 1e30, 3e38], np.float32)
    yield np.repeat(ends, len(large)), np.tile(large, len(ends))


def test_refusals(rng: np.random.Generator) -> None:
    network = network_of([{"type": "Conv2d", "out_channels": 4, "kernel_size": 3}, {"type": "ReLU"}], (6, 5, 3))
    with pytest.raises(UsageError, match="int8 needs a quantised model; make one with cnn quantize"):
        to_integer_c(model_of(network, rng))
    for name in ("conv1", "linear1"):
        with pytest.raises(UsageError, match=f"this model computes {name} in float32"):
            to_integer_c(quantised(network, rng, [name]))


def test_every_part_is_known() -> None:
    parts = parts_of("runtime_int8.c")
    assert set(_CALLED).union(*_CALLED.values()) <= set(parts)
    calls = Calls(quantised(network_of(MIXED, (14, 13, 3)), np.random.default_rng(1)).network)
    assert calls.parts <= set(parts)


@pytest.mark.parametrize(("grey", "resize", "words"), [
    (False, "squash", "15 bytes: 3 bytes for each pixel, in the order red, green, blue"),
    (True, "crop", "largest box of 5 : 1 in the middle of the image, 0.875 of its width and height become 5 x 1"),
    (True, "pad", "the rest is grey, 127"),
    (True, "pad", "5 bytes: 1 byte a pixel, 0 for black"),
    (True, "squash", "the whole image becomes 5 x 1. It interpolates"),
    (False, "pad", "class_logits[k] / (65536 * 1.7)"),
])
def test_the_comment_says_what_comes_in_and_out(grey: bool, resize: Any, words: str, rng: np.random.Generator) -> None:
    model = quantised(network_of([{"type": "ReLU"}], (1, 5, 1 if grey else 3)), rng)
    model.preprocessing = replace(model.preprocessing, resize=resize)
    model.calibration = Calibration(1.7, 100, (1.0, 0.9), (0.1, 0.05), ())
    comment, _, _ = to_integer_c(model).source.partition("*/")
    assert words in re.sub(r"\s*\n \*\s*", " ", comment)
    assert max(map(len, comment.splitlines())) <= 120
