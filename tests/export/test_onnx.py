"""export/onnx.py: every layer with every way of its windows, every architecture, run by ONNX Runtime against our own
outputs. Skipped where onnx and onnxruntime (the extra [onnx]) are not installed."""

import json
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.errors import SaveError, UsageError
from cnncli.export import onnx as exporting
from cnncli.export.onnx import to_onnx
from cnncli.model.calibration import Calibration

from .cases import CASES, model_of, name_of, network_of

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

def run(data: bytes, given: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: given})[0]


@pytest.mark.slow
@pytest.mark.parametrize("layers", CASES, ids=name_of)
def test_every_layer(layers: list[dict[str, Any]], rng: np.random.Generator) -> None:
    shape = (10, 9, 3)
    network = network_of(layers, shape)
    model = model_of(network, rng)
    images = rng.standard_normal((3, *shape)).astype(np.float32)
    data, said = to_onnx(model, raw=True)
    assert "answers as cnn does" in said
    answer = run(data, np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(answer, network.forward(images), rtol=1e-4, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(name: str, rng: np.random.Generator) -> None:
    shape = (28, 28, 1) if name == "lenet5" else (64, 64, 3)
    model = model_of(architecture(name, shape, 5, seed=1), rng)
    model.calibration = Calibration(1.7, 100, 0.1, 0.1, ())
    data, said = to_onnx(model)
    assert "answers as cnn does" in said
    images = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    np.testing.assert_allclose(run(data, images), model.probabilities(images), atol=1e-5)


def test_what_the_file_says_of_itself(rng: np.random.Generator) -> None:
    model = model_of(architecture("lenet5", (28, 28, 1), 3, seed=1), rng)
    made = onnx.load_from_string(to_onnx(model)[0])
    said = {entry.key: entry.value for entry in made.metadata_props}
    assert json.loads(said["classes"]) == [*model.classes]
    assert json.loads(said["preprocessing"]) == model.preprocessing.config()
    assert len(json.loads(said["golden_probabilities"])) == 3
    [given], [answer] = made.graph.input, made.graph.output
    assert (given.name, answer.name) == ("image", "probabilities")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["n", 28, 28, 1]


def test_an_answer_that_differs_is_no_export(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(architecture("lenet5", (28, 28, 1), 3, seed=1), rng)
    write = exporting.add_network
    monkeypatch.setattr(exporting, "add_network", lambda graph, *rest: graph.add(
        "Mul", [write(graph, *rest), graph.constant("wrong", 1.01)], "more"))
    with pytest.raises(SaveError, match="answers differently"):
        to_onnx(model)


def test_without_the_package_it_says_how_to_get_it(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'onnx>="):
        to_onnx(model_of(architecture("lenet5", (28, 28, 1), 3), rng))
