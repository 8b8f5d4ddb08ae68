"""README.md and the guides: what they tell people to write in Python runs as it stands there, block after block of a
page, in a folder with a trained run; networks in TOML are networks."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli import errors
from cnncli.cli import main
from cnncli.data.preprocessing import Preprocessing
from cnncli.runs.run import COLUMNS

from .guides import PAGES, ROOT, code, here, mistyped, networks, text

__all__ = ["here"]
WITH_CODE = [page for page in PAGES if code(page)]
# What a page says at length, so that it takes seconds here.
SHORTER = {
    "docs/checking.md": {"wrong[:45])": 'wrong[:45], arch="lenet5", epochs=1)'},
    "docs/python.md": {'["exclude"])': '["exclude"], arch="lenet5", epochs=1)'},
    "docs/sweep.md": {"resnet8,resnet20": "lenet5,classic", "epochs=10": "epochs=1",
                      "random=12": 'random=2, arch="lenet5", epochs=1'},
    "docs/watching.md": {"observer=": 'arch="lenet5", epochs=1, observer='},
}
# What a page's code needs that its commands write, and the library that it uses.
BEFORE = {"docs/tutorial.md": ("numpy", ["sample", "lesson"]),
          "docs/exporting.md": ("onnxruntime", ["export", "runs/latest", "out.onnx"])}
# Lines that are left out, by a word of theirs, and why.
LEFT_OUT = {"docs/python.md": {"torch_names": "PyTorch's names are of networks that take long to train"}}


def python(names: dict[str, Any], said: str, logged: str) -> None:
    """What docs/python.md promises of its own code."""
    for saved in ("birds", "mine"):
        assert cnncli.load(f"{saved}.safetensors").classes
    run = names["watch"].run
    assert run.history[-1]["val_accuracy"] >= 0.5, "the example would not end early"
    assert len(run.history) < 10
    assert f"epoch {len(run.history)}: " in logged
    assert "Images are" in logged
    assert len(cnncli.train(resume=run.name, epochs=len(run.history) + 1).history) == len(run.history)
    assert names["run"].config["recipe"]["schedule"] == {"kind": "cosine", "min_lr": 1e-4}
    assert names["rates"][0] == 0.05
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["activations-a.png", "filters-conv1.png"]
    assert "reading images" in said
    assert "new/b.png" in said
    assert set(names["answer"](b"no image")) == {"error"}


def sweep(names: dict[str, Any], said: str, logged: str) -> None:
    """What docs/sweep.md promises of its own code."""
    assert len(names["found"].runs) == 4


def exporting(names: dict[str, Any], said: str, logged: str) -> None:
    """What docs/exporting.md promises of its own code."""
    model, prepare = names["model"], names["prepare"]
    assert np.array_equal(names["batch"], [prepare("a.png"), prepare("b.jpg")])
    np.testing.assert_allclose(names["probabilities"], model.probabilities(names["batch"]), atol=1e-5)
    rng = np.random.default_rng(1)
    for resize, grey, size in (("crop", False, (9, 13)), ("squash", True, (20, 30)), ("crop", True, (24, 24)),
                               ("pad", False, (9, 13)), ("pad", True, (30, 7))):
        image = Image.fromarray(rng.integers(0, 256, (300, 200, 3), np.uint8))
        exif = image.getexif()
        exif[274] = 6  # to be turned
        image.save("large.jpg", exif=exif)
        names["preprocessing"] = {"resize": resize, "grey": grey, "size": size}
        assert np.array_equal(prepare("large.jpg"), Preprocessing(size, grey, resize).prepare("large.jpg"))


CHECKS: dict[str, Callable[[dict[str, Any], str, str], None]] = {
    "docs/exporting.md": exporting, "docs/python.md": python, "docs/sweep.md": sweep}
# What the code of a page leaves behind.
LEFT = {"docs/tutorial.md": {"few/val/bag", "wrong/train/bag"},
        "README.md": {"report/report.html", "out.onnx", "birds.safetensors"}, "docs/page.md": {"model.html"},
        "docs/python.md": {"report/report.html", "report/test.json", "features.npz", "birds.onnx", "out.txt", "bad.png",
                           "path-png/train", "demo/train", "page.html"},
        "docs/watching.md": {"tb"}}


def written(page: str, block: str) -> str:
    """Return a block as it is run: shorter, and without what is left out."""
    for word in LEFT_OUT.get(page, {}):
        block = "\n".join(line for line in block.splitlines() if word not in line)
    for long, short in SHORTER.get(page, {}).items():
        block = block.replace(long, short)
    return block


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_runs(page: str, here: Path, caplog: pytest.LogCaptureFixture,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level("INFO")
    names: dict[str, Any] = {"__name__": "guide"}
    if page in BEFORE:
        library, arguments = BEFORE[page]
        pytest.importorskip(library, reason=f"{library} is not installed")
        assert main(arguments) == 0
    for block in code(page):
        exec(compile(written(page, block), page, "exec"), names)
    assert [path for path in LEFT.get(page, ()) if not Path(path).exists()] == []
    if page in CHECKS:
        CHECKS[page](names, capsys.readouterr().out, caplog.text)


@pytest.mark.parametrize("page", [page for page in PAGES if networks(page)])
def test_each_network_of_a_page_is_one(page: str, tmp_path: Path) -> None:
    for number, network in enumerate(networks(page)):
        path = tmp_path / f"{number}.toml"
        path.write_text(network, encoding="utf-8")
        assert main(["inspect", str(path), "--size", "32"]) == 0


@pytest.mark.parametrize("page", PAGES)
def test_what_looks_like_code_is_code(page: str) -> None:
    assert mistyped(page) == []


def test_code_is_found_and_what_is_changed_in_it_too() -> None:
    assert set(WITH_CODE) >= {"README.md", *(f"docs/{page}.md" for page in (
        "explaining", "exporting", "layers", "page", "python", "sweep", "watching"))}
    for page, changes in [*SHORTER.items(), *LEFT_OUT.items()]:
        assert [word for word in changes if not any(word in block for block in code(page))] == [], page


def test_tables_of_the_page_about_python_are_those_of_the_code() -> None:
    page = text("docs/python.md")
    methods = {f"{name}({', '.join([*inspect.signature(method).parameters][1:])})"
               for name, method in vars(cnncli.Observer).items() if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+\(.*?\))` \|", page, re.MULTILINE)) == methods
    kinds = {kind.__name__: str(kind.exit_code) for kind in vars(errors).values()
             if isinstance(kind, type) and issubclass(kind, errors.CnnError)} | {"Interrupted": "130, 143"}
    assert dict(re.findall(r"^\| `(\w+)`.*? \| ([\d, ]+) \|", page, re.MULTILINE)) == kinds
    assert ", ".join(f"`{name}`" for name in COLUMNS[:4]) in " ".join(page.split())
    assert all(f"`{name}`" in page for name in COLUMNS)
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[1]
    ours = set(re.findall(r"^(\w+) = \[", extras.split("\ntest = ")[0], re.MULTILINE))
    assert {name for name in ours if f"`{name}`" not in page.split("## Training from Python")[0]} == set()
