"""README.md and the guides: each command that they print works, typed as it stands there, in the order of the page."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from cnncli.architectures import architecture
from cnncli.cli import main
from cnncli.training import train as training

from .shell import words
from .trained import write_images
from .weights.test_fitting import arrays
from .weights.torchfiles import saved

ROOT = Path(__file__).parents[1]
# Each page with files that its commands leave.
PAGES = {"README.md": {"out.onnx", "out.c", "features.npz"}, "docs/checking.md": {"bad.png"}, "docs/training.md": set(),
         "docs/judging.md": set(), "docs/exporting.md": {"out.onnx", "out.c", "features.npz"},
         "docs/tutorial.md": {"clothes", "bad.png", "answers.csv", "classifier.c"}}
# Shorter: what the page promises of hours is the same in seconds.
SHORTER = {"30m": "1s", "40": "3", "arch=resnet8,resnet20": "arch=lenet5,classic"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what the page calls by name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    write_images(tmp_path / "photos", ["cat", "dog"], 20, seed=1)
    write_images(tmp_path / "others", ["owl", "hen"], 20, seed=2)
    write_images(tmp_path / "new", ["some"], 2, seed=3)
    write_images(tmp_path / "more", ["cat", "dog"], 4, seed=5)
    write_images(tmp_path / "slides", ["sick", "well"], 20, seed=4)
    for number, path in enumerate(sorted((tmp_path / "slides").rglob("*.png"))):
        path.rename(path.with_name(f"patient{number % 7}-{number}.png"))
    shutil.copytree(tmp_path / "others", tmp_path / "scans")
    for path in (tmp_path / "scans").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    for name in ("new.jpg", "photo.jpg"):
        Image.open(tmp_path / "photos" / "cat" / "c 0.png").save(name)
    (tmp_path / "images").mkdir()
    with open("labels.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label"])
        for number, path in enumerate(sorted((tmp_path / "photos").rglob("*.png"))):
            shutil.copy(path, tmp_path / "images" / f"{number}.png")
            table.writerow([f"{number}.png", path.parent.name])
    (tmp_path / "resnet18.pth").write_bytes(saved(arrays(architecture("resnet18", (32, 32, 3), 10))))
    assert main(["train", "photos", "--arch", "lenet5", "--epochs", "1", "--name", "birds"]) == 0
    return tmp_path


def typed(line: str) -> list[str]:
    """Return what a line calls the program with, short and small."""
    arguments = [SHORTER.get(word, word) for word in words(line)]
    if arguments[0] == "sweep":
        arguments += ["--epochs", "1"]
    if arguments[0] == "train":
        if not {"--epochs", "--time", "--find-lr", "--resume", "--probe"} & set(arguments):
            arguments += ["--epochs", "1"]
        if not {"--init", "--resume"} & set(arguments):
            arguments += ["--arch", "lenet5"]
        if {"efficientnet_lite0", "resnet18.pth"} & set(arguments):
            arguments += ["--size", "32"]
    return arguments


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_works(page: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for line in (ROOT / page).read_text("utf-8").splitlines() if line.startswith("    cnn ")]
    assert len(commands) > 4
    for line in commands:
        code = main(typed(line))
        out, err = capsys.readouterr()
        assert code == (1 if "--fail-on warning" in line else 0), f"{line}: exit code {code}: {out}{err}"
    assert {path.name for path in here.iterdir()} >= PAGES[page]
