"""export/csource.py: the source is compiled without a warning and says what predict says, for images of all sizes, from
every layer and every architecture."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.export.calls import WRITERS, Calls, Value, _Memory
from cnncli.export.csource import to_c
from cnncli.layers import Flatten, Whitening
from cnncli.model import Model
from cnncli.model.calibration import Calibration

from ..compilers import cached
from .cases import CASES, model_of, name_of, network_of

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-fPIC"]
NAMES = ["plain", 'quote " and \\ and ??/', "été \udcff\n"]


def compiled(source: str, folder: Path) -> Any:
    (folder / "classifier.c").write_text(source, encoding="ascii")
    subprocess.run([*cached("cc"), *FLAGS, "-c", "classifier.c", "-o", "classifier.o"], cwd=folder, check=True)
    subprocess.run(["cc", "-shared", "classifier.o", "-o", "classifier.so", "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "classifier.so"))


def classifier(model: Model, folder: Path) -> Callable[[Any], tuple[int, Any]]:
    """Return the model, written, compiled and loaded: an image -> (class, probabilities)."""
    library = compiled(to_c(model), folder)

    def classify(image: Any) -> tuple[int, Any]:
        image, probabilities = np.ascontiguousarray(image), np.zeros(len(model.classes), np.float32)
        found = library.classify(image.ctypes.data_as(ctypes.c_void_p), *image.shape[:2],
                                 probabilities.ctypes.data_as(ctypes.c_void_p))
        return found, probabilities
    return classify


def expected(model: Model, image: Any) -> Any:
    if model.preprocessing.grey:
        from PIL import Image
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return model.probabilities(model.preprocessing.prepare_array(image)[None])[0]


@pytest.mark.slow
@pytest.mark.parametrize("layers", CASES, ids=name_of)
def test_every_layer(layers: list[dict[str, Any]], tmp_path: Path, rng: np.random.Generator) -> None:
    model = model_of(network_of(layers, (10, 9, 3)), rng)
    classify = classifier(model, tmp_path)
    for image in rng.integers(0, 256, (3, 10, 9, 3), dtype=np.uint8):
        found, probabilities = classify(image)
        np.testing.assert_allclose(probabilities, expected(model, image), atol=2e-5)
        assert found == probabilities.argmax()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "nin", "resnet8", "resnet9", "squeezenet1_1", "mobilenet_v2",
                                  "efficientnet_lite0"])
def test_architectures(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    shape = (28, 28, 1) if name == "lenet5" else (32, 32, 3)
    model = model_of(architecture(name, shape, 5, seed=1), rng)
    model.calibration = Calibration(1.7, 100, (1.0, 0.9), (0.1, 0.05), ())
    source = to_c(model)
    if name == "lenet5":
        assert len(source) < 1_000_000
    classify = classifier(model, tmp_path)
    image = rng.integers(0, 256, (*shape[:2], 3), dtype=np.uint8)
    np.testing.assert_allclose(classify(image)[1], expected(model, image), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("grey", [False, True])
def test_images_of_any_size_become_what_predict_makes_of_them(resize: str, grey: bool, tmp_path: Path,
                                                              rng: np.random.Generator) -> None:
    """The network sums pixels up for each class: a byte of difference would show. Of tall and narrow images Pillow does
    the columns first."""
    network = network_of([{"type": "Dropout"}], (4, 3, 1 if grey else 3))
    parameters = network.parameters()
    [weight] = [array for name, array in parameters.items() if name.endswith("weight")]
    for row in range(4):
        weight[row] = np.arange(weight.shape[1]) % 4 == row
    model = Model(network, [str(i) for i in range(4)], Preprocessing((4, 3), grey, resize))
    classify = classifier(model, tmp_path)
    sizes = [(4, 3), (3, 4), (40, 31), (31, 90), (1, 1), (2, 700), (700, 2), (9, 3), (200, 30), (5, 1), (300, 3),
             (4, 50), (50, 3), (60, 31), (61, 31), (62, 31), *map(tuple, rng.integers(1, 90, (40, 2)).tolist())]
    for size in sizes:
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        np.testing.assert_allclose(classify(image)[1], expected(model, image), atol=1e-6, err_msg=str(size))


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize(("name", "shape"), [("lenet5", (28, 28, 1)), ("resnet8", (32, 24, 3))])
def test_tall_and_narrow_photographs(name: str, shape: tuple[int, int, int], resize: str, tmp_path: Path,
                                     rng: np.random.Generator) -> None:
    """A whole network's answers, to 1e-5, for images of every shape."""
    network = architecture(name, shape, 5, seed=1)
    model = Model(network, list("abcde"), Preprocessing(shape[:2], shape[2] == 1, resize))
    classify = classifier(model, tmp_path)
    for size in [(400, 20), (20, 400), (97, 31), (31, 97), (300, 100), (64, 24), (33, 28), (28, 33), (120, 28)]:
        waves = np.add.outer(np.sin(np.arange(size[0]) / 5), np.cos(np.arange(size[1]) / 3))[..., None]
        image = (128 + 50 * waves + rng.normal(0, 12, (*size, 3))).clip(0, 255).astype(np.uint8)
        np.testing.assert_allclose(classify(image)[1], expected(model, image), atol=1e-5, err_msg=str(size))


@pytest.mark.slow
def test_all_kinds_of_layers_in_one_network(tmp_path: Path, rng: np.random.Generator) -> None:
    """Windows with every way of padding, so that each side shows in what follows, branches, and all that is pointwise;
    what each does alone is tested above."""
    layers: list[dict[str, Any]] = [
        {"type": "Conv2d", "out_channels": 4, "kernel_size": [3, 2], "padding": [1, 0, 2, 1], "dilation": [2, 1]},
        {"type": "BatchNorm2d", "affine": False, "name": "bn"},
        {"type": "LeakyReLU", "negative_slope": 0.2, "name": "a"},
        *({"type": name, "inputs": ["bn"]} for name in ("ReLU6", "SiLU", "Tanh", "Sigmoid", "Softmax", "ReLU")),
        {"type": "Add", "inputs": ["a", "silu1", "tanh1", "sigmoid1", "softmax1", "relu1"]},
        {"type": "MaxPool2d", "kernel_size": 3, "stride": [2, 1], "padding": [1, 0], "name": "c"},
        {"type": "AvgPool2d", "kernel_size": 3, "stride": [2, 1], "padding": [1, 0], "inputs": ["relu61"], "name": "d"},
        {"type": "Concat", "inputs": ["c", "d", "c"]}, {"type": "Scale", "factor": -0.1}, {"type": "Dropout"},
        {"type": "AvgPool2d", "kernel_size": [2, 3], "stride": [1, 2], "padding": [0, 1], "count_include_pad": False},
        {"type": "LPPool2d", "norm_type": 2, "kernel_size": 2, "stride": 1, "ceil_mode": True},
        {"type": "AdaptiveAvgPool2d", "output_size": [2, 7]}, {"type": "GlobalAvgPool2d"}]
    model = model_of(network_of(layers, (14, 13, 3)), rng)
    here = {type(node.layer) for node in model.network.nodes}
    assert set(WRITERS) - here == {Flatten, Whitening}, "tested above, and written as Conv2d is"
    image = rng.integers(0, 256, (14, 13, 3), dtype=np.uint8)
    answer = expected(model, image)
    assert answer.max() < 0.9
    np.testing.assert_allclose(classifier(model, tmp_path)(image)[1], answer, atol=2e-6)


def test_working_memory_is_taken_where_nothing_lies() -> None:
    memory = _Memory()
    first, second, third = memory.take(10), memory.take(20), memory.take(5)
    assert (first, second, third) == ((0, 10), (10, 30), (30, 35))
    memory.give(second)
    assert memory.take(15) == (10, 25)
    assert memory.take(6) == (35, 41), "no room for so many between"
    assert memory.take(5) == (25, 30)
    assert memory.most == 41


def test_a_chain_needs_room_for_two_neighbours() -> None:
    network = network_of([{"type": "ReLU"}, {"type": "MaxPool2d", "kernel_size": 2}, {"type": "ReLU"}], (8, 8, 3))
    calls = Calls(network)
    assert calls.memory.most == 192 + 192
    assert calls.value("input") == Value(0)
    assert Calls(network, kept=True).memory.most == 532
    assert {name: place[1] - place[0] for name, place in calls.places.items()} == {
        "input": 192, "relu1": 192, "maxpool1": 48, "relu2": 48, "flatten1": 48, "linear1": 4}


def test_names_and_refusals(tmp_path: Path, rng: np.random.Generator) -> None:
    model = model_of(network_of([{"type": "ReLU"}], (4, 3, 3)), rng)
    model.classes = (*NAMES, "last")
    library = compiled(to_c(model), tmp_path)
    names = (ctypes.c_char_p * 4).in_dll(library, "class_names")
    assert [name.decode("utf-8", "surrogateescape") for name in names] == [*model.classes]
    assert ctypes.c_int.in_dll(library, "class_count").value == 4
    one = np.zeros((4, 3, 3), np.uint8)
    room = np.zeros(4, np.float32)
    for data, h, w in ((None, 4, 3), (one.ctypes.data, 0, 3), (one.ctypes.data, 4, -1)):
        assert library.classify(ctypes.c_void_p(data), h, w, ctypes.c_void_p(room.ctypes.data)) == -1
    assert not room.any()
