"""What README and the guides tell people to type: commands, blocks of Python and networks in TOML, as they stand on
each page, and a folder that has what the pages call by name. tests/test_readme.py runs the commands, tests/test_docs.py
the rest. Every page of docs/ is read, so that nothing has to be added here for a new one."""

import ast
import builtins
import csv
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.architectures import architecture
from cnncli.cli import main
from cnncli.layers import LAYERS
from cnncli.training import train as training
from cnncli.watching import server

from .trained import CLASSES, write_images
from .watching.test_trackers import STAND_INS
from .weights.test_fitting import arrays
from .weights.torchfiles import saved

LOOKS = {"cat": CLASSES[0], "dog": CLASSES[2], "sandal": CLASSES[3]}
ROOT = Path(__file__).parents[1]
OTHERS = {"docs/contributing.md"}  # what stands there are pieces of files: tests/test_contributing.py applies them
PAGES = ["README.md", *sorted({path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} - OTHERS)]


def text(page: str) -> str:
    """Return a page as it stands."""
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> list[str]:
    """Return the lines of a page that call the program."""
    return [line for line in text(page).splitlines() if line.startswith("    cnn ")]


def blocks(page: str) -> list[str]:
    """Return what a page sets apart as something to type or to read in one piece: what is indented, what is fenced."""
    found = re.findall(r"^```(?:python|toml)\n((?s:.*?))^```|((?:^ {4}.*\n|^\n(?= {4}))+)", text(page), re.MULTILINE)
    return [textwrap.dedent(fenced or indented) for fenced, indented in found]


def networks(page: str) -> list[str]:
    """Return a page's networks in TOML."""
    return [block for block in blocks(page) if "[[layers]]" in block]


def code(page: str) -> list[str]:
    """Return a page's blocks of Python: whatever imports, defines or calls something."""
    return [block for block in blocks(page) if _is_python(block) and "[[layers]]" not in block]


def mistyped(page: str) -> list[str]:
    """Return a page's blocks that look like Python and are none. With … or -> a block is an outline."""
    looks = re.compile(r"^import \w|^from [\w.]+ import|cnncli\.\w+\(", re.MULTILINE)
    return [block for block in blocks(page) if looks.search(block) and not re.search("…| -> ", block)
            and not _is_python(block)]


def _is_python(block: str) -> bool:
    try:
        tree = ast.parse(block)
    except SyntaxError:
        return False
    doing = ast.Call | ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef
    return any(isinstance(node, doing) for node in ast.walk(tree))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder, as the working folder, with what the pages call by name: images, runs, tables, a weights file. A
    server of pages and a question end at once; libraries that keep track of experiments are stand-ins; a layer that a
    page defines is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    monkeypatch.setattr(server.Server, "wait", lambda self: None)
    monkeypatch.setattr(builtins, "input", lambda prompt: "")
    for library, make in STAND_INS.items():
        monkeypatch.setitem(sys.modules, library, make([]))
    _write_images(tmp_path)
    _write_tables(tmp_path)
    (tmp_path / "resnet18.pth").write_bytes(saved(arrays(architecture("resnet18", (32, 32, 3), 10))))
    assert main(["train", "photos", "--arch", "lenet5", "--epochs", "1", "--name", "birds"]) == 0
    for name in ("clothes", "resnet8-1", "resnet8-2"):
        shutil.copytree("runs/birds", f"runs/{name}")
    known = dict(LAYERS)
    yield tmp_path
    LAYERS.clear()
    LAYERS.update(known)


def _write_images(folder: Path) -> None:
    write_images(folder / "photos", list(LOOKS.values()), 20, seed=1)
    for name, looks in LOOKS.items():  # so that they can be told apart
        (folder / "photos" / looks).rename(folder / "photos" / name)
    for number, (name, classes, each) in enumerate([("others", ["owl", "hen"], 20), ("new", ["some"], 2),
                                                    ("slides", ["sick", "well"], 20), ("more", ["cat", "dog"], 4)], 2):
        write_images(folder / name, classes, each, seed=number)
    for number, path in enumerate(sorted((folder / "slides").rglob("*.png"))):
        path.rename(path.with_name(f"patient{number % 7}-{number}.png"))
    shutil.copytree(folder / "others", folder / "scans")
    for path in (folder / "scans").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    for name in ("new.jpg", "photo.jpg", "a.png", "b.jpg", "bag.png", "boot.png", "new/b.png"):
        Image.open(folder / "photos" / "cat" / "c 0.png").save(name)


def _write_tables(folder: Path) -> None:
    (folder / "images").mkdir()
    with open("labels.csv", "w", encoding="utf-8", newline="") as labels, open("boxes.csv", "w", newline="") as boxes:
        label, box = csv.writer(labels).writerow, csv.writer(boxes).writerow
        label(["file", "label"])
        box(["file", "xmin", "ymin", "xmax", "ymax"])
        for number, path in enumerate(sorted((folder / "photos").rglob("*.png"))):
            shutil.copy(path, folder / "images" / f"{number}.png")
            label([f"{number}.png", path.parent.name])
            box([path.relative_to(folder / "photos").as_posix(), 2, 2, 12, 14])
    numbers = np.arange(100) % 4
    images = np.random.default_rng(1).integers(0, 100, (100, 14, 14), np.uint8)
    np.savez("digits.npz", images=images + 40 * numbers[:, None, None].astype(np.uint8), labels=numbers)
    np.savez("pathmnist.npz", train_images=np.zeros((3, 8, 8), np.uint8), train_labels=np.arange(3))
