"""--precision and CNN_PRECISION of the commands that use models, and of cnn train."""

import json
from pathlib import Path

import pytest

import cnncli
from cnncli.cli import main
from cnncli.errors import quoted
from cnncli.model import precision
from cnncli.network import Network

from ..model.test_precision import having


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNN_PRECISION", raising=False)
    having(monkeypatch)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precisions that networks are set to."""
    found: list[str] = []
    setter = Network.precision.fset

    def keep(network: Network, name: str) -> None:
        found.append(name)
        setter(network, name)

    monkeypatch.setattr(Network, "precision", Network.precision.setter(keep))
    return found


def commands() -> list[list[str]]:
    image = str(next(Path("photos").rglob("*.png")))
    return [["test", "--no-why"], ["predict", image], ["features", image], ["explain", image]]


@pytest.mark.slow
def test_a_model_computes_in_the_precision_that_is_asked_for(
        home: Path, used: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in commands():
        assert main([*words, "--precision", "bfloat16"]) == 0
        assert used == ["bfloat16"]
        assert main(words) == 0
        assert used == ["bfloat16"], "without the option it is as it was opened"
        monkeypatch.setenv("CNN_PRECISION", "bfloat16")
        assert main(words) == 0
        assert used == ["bfloat16"] * 2
        assert main([*words, "--precision", "float32"]) == 0
        assert used == ["bfloat16"] * 2 + ["float32"]
        monkeypatch.delenv("CNN_PRECISION")
        used.clear()


def test_auto_is_measured_and_told_once(home: Path, used: list[str], monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--precision", "auto"]) == 0
    said = capsys.readouterr().err
    assert said.count("Precision: float32, because there are no instructions for bfloat16 here.\n") == 1
    having(monkeypatch, "bf16")
    monkeypatch.setattr(precision, "in_turns", lambda work, images, clock: {"float32": 50, "bfloat16": 75})
    used.clear()
    assert main(["test", "--precision", "auto"]) == 0
    assert used[-1] == "bfloat16"
    said = capsys.readouterr().err
    assert said.count("bfloat16 is clearly faster here: 75 images a second, 50 in float32.\n") == 1


def test_the_report_says_what_a_model_computed_in(home: Path) -> None:
    page, said = Path("runs/small/report.html"), "<dt>precision</dt>"
    assert main(["test", "--precision", "bfloat16"]) == 0
    assert "bfloat16" in page.read_text()
    assert json.loads(page.with_name("test.json").read_text())["computed_in"] == "bfloat16"
    assert main(["test"]) == 0
    assert "bfloat16" not in page.read_text()
    assert said not in page.read_text()


def test_what_shows_why_is_advised_in_the_same_precision(home: Path, capsys: pytest.CaptureFixture[str],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    image = str(next(Path("photos").rglob("*.png")))
    for how, ending in (([], ""), (["--precision", "bfloat16"], " --precision bfloat16"),
                        (["--precision", "float32"], ""), (["--precision", "auto"], "")):
        assert main(["predict", image, "-m", "small", *how]) == 0
        assert capsys.readouterr().err.endswith(f"To see why: cnn explain {quoted(image)}{ending} -m small\n")
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")  # which the advised command follows, too
    assert main(["predict", image]) == 0
    assert capsys.readouterr().err.endswith(f"cnn explain {quoted(image)}\n")


def test_what_computes_elsewhere_is_written_and_checked_in_float32(
        home: Path, used: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["export", "plain.c"]) == main(["page", "--no-units", "--out", "plain.html"]) == 0
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    assert main(["export", "small.c"]) == main(["page", "--no-units", "--out", "small.html"]) == 0
    assert used == []
    model = cnncli.load("runs/latest")
    model.network.precision, model.flips = "bfloat16", True  # nor is an image judged with its mirror image
    cnncli.export_model(model, "set.c")
    cnncli.write_page(model, None, "set.html", with_units=False)
    for name in ("small", "set"):
        for kind in ("c", "html"):
            assert Path(f"{name}.{kind}").read_bytes() == Path(f"plain.{kind}").read_bytes()
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert main(["export", "small.onnx"]) == 0
    cnncli.export_model(model, "set.onnx")
    assert Path("set.onnx").read_bytes() == Path("small.onnx").read_bytes()
    assert (model.network.precision, model.flips) == ("bfloat16", True)


def test_a_quantised_model_computes_in_int8_only(home: Path, capsys: pytest.CaptureFixture[str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["quantize", "-o", "q.safetensors"]) == 0
    image = str(next(Path("photos").rglob("*.png")))
    for name in ("bfloat16", "float32"):
        capsys.readouterr()
        assert main(["predict", image, "-m", "q.safetensors", "--precision", name]) == 2
        assert capsys.readouterr().err == ("cnn: q.safetensors is quantised and computes in int8; leave --precision "
                                           "out, or name the model that it was made of.\n")
    assert main(["predict", image, "-m", "q.safetensors", "--precision", "auto"]) == 0
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    assert main(["predict", image, "-m", "q.safetensors"]) == 0


def test_what_is_no_precision(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in commands():
        assert main([*words, "--precision", "half"]) == 2
        assert "'half' is not one of" in capsys.readouterr().err
    assert main(["train", "photos", "--precision", "half"]) == 2
    assert capsys.readouterr().err == "cnn: there is no precision 'half'; give one of auto, float32, bfloat16.\n"
    monkeypatch.setenv("CNN_PRECISION", "half")
    for words in [*commands(), ["train", "photos"], ["train", "photos", "--find-lr"], ["sweep", "photos", "lr=1,2"],
                  ["train", "photos", "--folds", "2"]]:
        assert main(words) == 2
        assert capsys.readouterr().err.endswith(
            "cnn: CNN_PRECISION=half cannot be used; give auto, float32 or bfloat16.\n")


@pytest.mark.slow
def test_a_training_says_its_precision(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "photos", "--epochs", "1", "--arch", "lenet5", "--size", "16", "--name", "half",
                 "--precision", "bfloat16"]) == 0
    said = capsys.readouterr().err
    assert "Precision: bfloat16, as asked." in said
    assert ", seed 0, bfloat16.\n" in said
    assert json.loads(Path("runs/half/config.json").read_text())["recipe"]["precision"] == "bfloat16"
    assert cnncli.load("runs/half").network.precision == "float32"
