"""cnn quantize: the file, what is printed, what is refused; and --precision int8 of the commands that use models."""

import json
from pathlib import Path

import pytest

import cnncli
from cnncli.cli import main
from cnncli.errors import quoted


def test_the_file_the_table_and_the_advice(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize"]) == 0
    said = capsys.readouterr()
    assert "8 test images were tested" in said.out
    assert "5 with int8 weights" in said.out
    for word in ("accuracy", "loss", "calibration error", "before", "int8"):
        assert word in said.out
    assert "runs/small/model-int8.safetensors: " in said.err
    assert "cnn test -m runs/small/model-int8.safetensors" in said.err
    assert cnncli.load("runs/small/model-int8.safetensors").network.quantisation is not None
    assert cnncli.load("runs/latest").network.quantisation is None
    assert main(["quantize"]) == 0  # a model file may be replaced by another


def test_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "small", "--json", "-o", "small.safetensors"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == "small.safetensors"
    assert found["bytes"] == Path("small.safetensors").stat().st_size
    assert found["part"] == "test"
    assert {*found["before"]} == {"accuracy", "loss", "calibration_error"}


def test_precision_takes_the_quantised_model_beside_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(next(Path("photos").rglob("*.png")))
    for words in (["test"], ["predict", image], ["features", image], ["explain", image]):
        assert main([*words, "--precision", "int8"]) == 2
        assert "has no quantised model beside it; make one with: cnn quantize -m runs/small" in capsys.readouterr().err
    assert main(["quantize"]) == 0
    for words in (["test"], ["predict", image], ["features", image], ["explain", image]):
        capsys.readouterr()
        assert main([*words, "--precision", "int8"]) == 0
        assert "model-int8.safetensors" in "".join(capsys.readouterr())
        assert main([*words, "--precision", "float32"]) == 0
    assert Path("runs/small/test-model-int8/report.html").exists()


def test_what_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str) -> str:
        assert main(["quantize", *words]) != 0
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    assert "ends in .safetensors" in refused("-o", "small.bin")
    assert "--max-drop must be a number of points of at least 0" in refused("--max-drop", "-1")
    Path("other.safetensors").write_text("mine")
    assert "--force" in refused("-o", "other.safetensors")
    assert Path("other.safetensors").read_text() == "mine"
    cnncli.load("runs/latest").save("trained.safetensors")  # a model in float32 is not replaced
    before = Path("trained.safetensors").read_bytes()
    assert "--force" in refused("-o", "trained.safetensors")
    assert Path("trained.safetensors").read_bytes() == before
    assert main(["quantize", "-o", "q.safetensors"]) == 0
    assert main(["quantize", "-o", "q.safetensors"]) == 0
    capsys.readouterr()
    assert "is quantised already" in refused("q.safetensors")
    assert "no model" in refused("photos")


def test_training_from_it_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "-o", "q.safetensors"]) == 0
    for words in (["--init", "q.safetensors", "--epochs", "1"], ["--init", "q.safetensors", "--probe"]):
        capsys.readouterr()
        assert main(["train", "photos", *words]) != 0
        assert "quantised" in capsys.readouterr().err


def test_a_quantised_model_of_another_state_of_the_training_is_not_used(
        home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize"]) == 0
    model = cnncli.load("runs/latest")
    model.training["epoch"] = 99  # as if it had been trained further
    model.save("runs/small/model.safetensors")
    image = str(next(Path("photos").rglob("*.png")))
    int8 = ["--precision", "int8"]
    for words in (["test", *int8], ["predict", image, *int8], ["features", image, *int8],
                  ["export", "small.c", "--int8"]):
        capsys.readouterr()
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "model-int8.safetensors was not made of runs/small/model.safetensors as it is now" in said
        assert said.endswith("make it again with: cnn quantize -m runs/small\n")
    assert main(["quantize", "-m", "runs/small"]) == 0
    assert main(["test", "--precision", "int8"]) == 0


def test_a_quantised_model_of_another_model_of_that_name_is_not_used(
        home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nothing is known of how either was trained."""
    model = cnncli.load("runs/latest")
    model.training = {}
    model.save("alone.safetensors")
    assert main(["quantize", "-m", "alone.safetensors", "photos"]) == 0
    image = ["predict", str(next(Path("photos").rglob("*.png"))), "-m", "alone.safetensors", "--precision", "int8"]
    assert main(image) == 0
    next(iter(model.network.parameters().values()))[...] *= 1.01
    model.save("alone.safetensors")
    capsys.readouterr()
    assert main(image) == 2
    assert "alone-int8.safetensors was not made of alone.safetensors as it is now" in capsys.readouterr().err


def test_its_weights_are_as_large_as_inspect_says(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize"]) == 0
    sizes = {}
    for name in ("model", "model-int8"):
        capsys.readouterr()
        assert main(["inspect", f"runs/small/{name}.safetensors", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        sizes[name] = found["weight_bytes"]
        assert found["parameters"] * (4 if name == "model" else 1) <= found["weight_bytes"]
    assert sizes["model-int8"] < 0.3 * sizes["model"]
    assert main(["inspect", "runs/small/model-int8.safetensors"]) == 0
    assert f"the weights take {sizes['model-int8'] / 1e3:.3g} kB" in capsys.readouterr().out


def test_its_pictures_and_its_page_lie_beside_those_of_the_run(home: Path) -> None:
    image, int8 = str(next(Path("photos").rglob("*.png"))), ["-m", "runs/small/model-int8.safetensors"]
    assert main(["quantize"]) == 0
    assert main(["visualize-filters", image]) == main(["page", "--no-units"]) == 0
    files = {path: path.read_bytes() for path in Path("runs/small").rglob("*") if path.suffix in (".png", ".html")}
    assert main(["visualize-filters", image, *int8]) == main(["page", "--no-units", *int8]) == 0
    assert Path("runs/small/pictures-model-int8").is_dir()
    assert Path("runs/small/page-model-int8.html").exists()
    for path, content in files.items():
        assert path.read_bytes() == content


def test_the_commands_that_are_advised_are_about_this_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = str(next(Path("photos").rglob("*.png")))
    cnncli.load("runs/latest").save("alone.safetensors")
    for words in (["predict", image, "-m", "alone.safetensors", "--precision", "int8"],
                  ["quantize", "alone.safetensors"], ["quantize", "-m", "alone.safetensors"]):
        assert main(words) == 2
        assert capsys.readouterr().err.endswith(": cnn quantize DATA -m alone.safetensors\n")
    assert main(["quantize", "photos", "-m", "alone.safetensors"]) == 0
    capsys.readouterr()
    assert main(["predict", image, "-m", "alone.safetensors", "--precision", "int8"]) == 0
    assert capsys.readouterr().err.endswith(f"cnn explain {quoted(image)} -m alone-int8.safetensors\n")
    assert main(["quantize", "small", "photos", "-m", "runs/latest"]) == 2
    assert "two models are given" in capsys.readouterr().err
    assert main(["quantize", "-m", "runs/small/last.safetensors"]) == 0
    assert Path("runs/small/last-int8.safetensors").exists()
