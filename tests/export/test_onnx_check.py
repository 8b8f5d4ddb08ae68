"""export/onnx_check.py: a file that answers differently is not written, and what is said of one that answers alike."""

from typing import Any

import numpy as np
import pytest

from cnncli.errors import SaveError
from cnncli.export import onnx as exporting
from cnncli.export import onnx_check
from cnncli.export.golden import golden
from cnncli.export.onnx import to_onnx
from cnncli.export.onnx_check import checked
from cnncli.network import Network

from .quantised import quantised

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
LAYERS = [{"type": "Conv2d", "out_channels": 5, "padding": 1}, {"type": "ReLU"}, {"type": "Flatten"},
          {"type": "Linear", "out_features": 4}]


@pytest.fixture
def model(rng: np.random.Generator) -> Any:
    return quantised(Network(LAYERS, (8, 7, 3), seed=1), rng)


@pytest.mark.parametrize("raw", [False, True])
def test_a_quantised_model_is_run_on_several_pictures(model: Any, raw: bool) -> None:
    _, said = to_onnx(model, raw)
    assert " answers as cnn does: to " in said
    assert " of a probability for half of 16 pictures, to " in said


def test_a_quantised_model_that_answers_differently(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = exporting.add_network
    monkeypatch.setattr(exporting, "add_network", lambda graph, *rest: graph.add(
        "Mul", [write(graph, *rest), graph.constant("wrong", 1.2)], "more"))
    with pytest.raises(SaveError, match=r"answers differently than cnn, by .* more than 0\.01; please report it"):
        to_onnx(model)


def test_a_processor_whose_products_overflow(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the file is good all the same, and the option that it needs is named."""
    data, _ = to_onnx(model)
    run = onnx_check._answers
    monkeypatch.setattr(onnx_check, "_answers", lambda *given: run(*given) * (1 if given[-1] else 0.5))
    assert 'only with the session option session.x64quantprecision = "1"' in checked(data, model, golden(model), False)
    monkeypatch.setattr(onnx_check, "_answers", lambda *given: run(*given) * 0.5)
    with pytest.raises(SaveError, match="answers differently"):
        checked(data, model, golden(model), False)
