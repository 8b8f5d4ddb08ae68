"""The engine is what its source makes, and computes what the exported C file computes, to the bit."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.export.csource import to_c
from cnncli.model import Model
from cnncli.page import program as module
from cnncli.page.rendering import SCRIPTS

from ..compilers import cached
from ..export.cases import CASES, model_of, name_of, network_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "cnncli/page"
# The instruction set's own rounding: no product and sum in one.
FLAGS = ["-std=c99", "-O1", "-ffp-contract=off", "-fPIC"]


def version(program: str) -> str:
    if shutil.which(program) is None:
        return ""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
def test_the_engine_is_what_its_source_makes(tmp_path: Path) -> None:
    for program in ("clang", "wasm-ld"):
        if not re.search(r"(clang version|LLD) 14\.", version(program)):
            pytest.skip(f"there is no {program} 14, whose bytes the engine has")
    subprocess.run(["sh", ROOT / "scripts/build_engine.sh", tmp_path / "engine.wasm"], check=True)
    assert (tmp_path / "engine.wasm").read_bytes() == (PAGE / "engine.wasm").read_bytes(), "sh scripts/build_engine.sh"


def test_every_file_of_the_script_is_checked_and_joined() -> None:
    checked = re.findall(r"page/(\w+\.js)", (ROOT / ".ci/tsconfig.json").read_text(encoding="utf-8"))
    assert checked == list(SCRIPTS)
    assert set(checked) == {path.name for path in PAGE.glob("*.js")}


def test_functions_have_the_numbers_of_runtime_c() -> None:
    [words] = re.findall(r"enum \{ (RELU.*) \};", (ROOT / "cnncli/export/runtime.c").read_text(encoding="utf-8"))
    assert tuple(words.split(", ")) == module.FUNCTIONS


def logits_in_c(model: Model, folder: Path, image: Any) -> Any:
    """What the exported C file computes before its softmax."""
    source = re.sub(r"softmax\((at \+ \d+), 1, CLASSES, \S+, probabilities\);",
                    r"memcpy(probabilities, \1, CLASSES * sizeof(float));", to_c(model))
    assert source != to_c(model)
    (folder / "classifier.c").write_text(source, encoding="ascii")
    subprocess.run([*cached("cc"), *FLAGS, "-c", "classifier.c", "-o", "classifier.o"], cwd=folder, check=True)
    subprocess.run(["cc", "-shared", "classifier.o", "-o", "classifier.so", "-lm"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "classifier.so"))
    logits, image = np.zeros(len(model.classes), np.float32), np.ascontiguousarray(image)
    assert library.classify(image.ctypes.data_as(ctypes.c_void_p), *image.shape[:2],
                            logits.ctypes.data_as(ctypes.c_void_p)) >= 0
    return logits


@pytest.mark.slow
@pytest.mark.parametrize("layers", CASES, ids=name_of)
def test_every_layer_has_the_bits_of_the_c_file(layers: list[dict[str, Any]], asking: Any, tmp_path: Path,
                                                rng: np.random.Generator) -> None:
    model = model_of(network_of(layers, (10, 9, 3)), rng)
    image = rng.integers(0, 256, (13, 11, 3), dtype=np.uint8)
    logits, probabilities = asking(model)(image)
    assert np.float32(logits).tolist() == logits_in_c(model, tmp_path, image).tolist()
    prepared = model.preprocessing.prepare_array(image)[None]
    np.testing.assert_allclose(probabilities, model.probabilities(prepared)[0], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape", "resize"), [
    ("lenet5", (28, 28, 1), "squash"), ("resnet20", (32, 32, 3), "crop"), ("mobilenet_v2", (32, 32, 3), "squash"),
    ("squeezenet1_1", (48, 40, 3), "crop"), ("resnet8", (32, 24, 3), "pad"), ("lenet5", (28, 28, 1), "pad")])
def test_networks_have_the_bits_of_the_c_file(name: str, shape: tuple[int, int, int], resize: str, asking: Any,
                                              tmp_path: Path, rng: np.random.Generator) -> None:
    """For images of any size, whose preparation is part of it. Weights of float16 are a file's with those weights."""
    model = Model(architecture(name, shape, 5, seed=1), list("abcde"), Preprocessing(shape[:2], shape[2] == 1, resize))
    judge, made = asking(model), module.program(model)
    assert made.halved == (name == "mobilenet_v2" or name == "squeezenet1_1")
    with made.as_stored(model):
        for size in [shape[:2], (90, 31), (31, 90), (5, 200)]:
            image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            assert np.float32(judge(image)[0]).tolist() == logits_in_c(model, tmp_path, image).tolist(), size
