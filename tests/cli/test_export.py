"""cnn export: what is written, what is said, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cnncli.architectures import architecture
from cnncli.cli import main
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.model.checkpoint import save_model

from ..export.quantised import quantised
from ..small_model import small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.safetensors", small_model())
    return tmp_path


@pytest.mark.parametrize("raw", [False, True])
def test_an_onnx_file(here: Path, capsys: pytest.CaptureFixture[str], raw: bool) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert main(["export", "m.safetensors", "m.onnx", "--json", *["--raw"] * raw]) == 0
    said = capsys.readouterr()
    made = onnx.load("m.onnx")
    assert made.graph.input[0].name == ("input" if raw else "image")
    assert json.loads(said.out) == {"path": "m.onnx", "bytes": Path("m.onnx").stat().st_size, "classes": 3, "raw": raw}


def test_a_c_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "m.safetensors", "classifier.c"]) == 0
    assert "Compile it" in capsys.readouterr().err
    source = Path("classifier.c").read_text(encoding="ascii")
    assert "int classify(const uint8_t *rgb, int h, int w, float *probabilities) {" in source
    assert "adaptive_pool" not in source  # nothing that the network does not need


def test_c_without_floats(here: Path, capsys: pytest.CaptureFixture[str], rng: np.random.Generator) -> None:
    model = quantised(small_model().network, rng)
    model.training = small_model().training
    save_model(here / "m-int8.safetensors", model)
    assert main(["export", "m.safetensors", "small.c", "--int8", "--json"]) == 0
    said = capsys.readouterr()
    assert "int classify(const uint8_t *pixels) {" in Path("small.c").read_text(encoding="ascii")
    found = json.loads(said.out)
    sizes = f"RAM {found['ram']:,} bytes beside the stack, flash {found['flash']:,} bytes beside the code.\n"
    assert said.err.index(sizes) < said.err.index("small.c: "), "before it is written"


@pytest.mark.slow
def test_weights_for_pytorch(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(architecture("resnet18", (32, 32, 3), 2, seed=1), ["a", "b"], Preprocessing((32, 32)),
                  {"architecture": "resnet18"})
    save_model(here / "r.safetensors", model)
    assert main(["export", "r.safetensors", "torch.safetensors", "--torch-names"]) == 0
    assert "torchvision.models.resnet18 with 2 classes" in capsys.readouterr().err
    arrays = load_file("torch.safetensors")
    assert len(arrays) == 122  # torchvision's
    assert arrays["layer1.0.bn1.num_batches_tracked"].dtype == np.int64
    assert np.array_equal(arrays["fc.weight"], model.network.parameters()["fc.weight"])


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["m.safetensors", "m.tflite"], 2, "ends in .onnx or .c"),
    (["m.safetensors", "other.safetensors"], 2, "with --torch-names"),
    (["m.safetensors", "m.c", "--raw"], 2, "--raw is only for .onnx files; leave it out"),
    (["m.safetensors", "m.onnx", "--torch-names"], 2, "in .safetensors with --torch-names"),
    (["m.safetensors", "o.safetensors", "--torch-names", "--raw"], 2, "--raw is only for .onnx files; leave it out"),
    (["m.safetensors", "o.safetensors", "--torch-names"], 2, "torchvision or timm"),
    (["m.safetensors", "m.onnx", "--int8"], 2, "--int8 is only for .c files; leave it out"),
    (["m.safetensors", "m.c", "--int8"], 2, "has no quantised model beside it; make one with: cnn quantize"),
    (["m.safetensors", "no/m.onnx"], 2, "there is no folder no"),
    (["nothing", "m.onnx"], 4, "there is no model nothing"),
    (["m.safetensors"], 2, "FILE"),
])
def test_refusals(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    assert main(["export", *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err
    assert sorted(path.name for path in here.iterdir()) == ["m.safetensors"]
