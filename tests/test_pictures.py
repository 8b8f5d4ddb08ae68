"""docs/images: each picture is drawn by scripts/draw_pictures.py, shown by a document, small, and not older than what
it shows."""

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LARGEST = 160_000  # bytes; most people see the pictures over a network
# Of a picture's pixels, those that may be others: of a word of some letters that changes, more do.
SHARE, DISTANCE = 5e-5, 32


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("draw_pictures", ROOT / "scripts" / "draw_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_picture_is_drawn_and_shown(script: Any) -> None:
    shown = {(document.parent / target).resolve() for document in DOCUMENTS
             for target in re.findall(r"\]\(([^)\s]+\.png)\)", document.read_text("utf-8"))}
    there = {path for path in IMAGES.iterdir() if path.suffix != ".txt"}
    assert {path.name for path in there} == script.DRAWINGS.keys() | script.SCREENS.keys()
    assert shown == there
    assert [path.name for path in there if path.stat().st_size > LARGEST] == []


@pytest.mark.slow
def test_no_picture_is_older_than_what_it_shows(script: Any, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium (apt-get install chromium chromium-driver)")
    if (now := script.drawn_with().split()) != (then := script.DRAWN_WITH.read_text("utf-8").split()):
        pytest.skip(f"pictures can be compared only where they were drawn with the same: {' '.join(then)}, "
                    f"here {' '.join(now)}")
    old = [name for name, picture in script.draw(tmp_path).items() if differ(picture, Image.open(IMAGES / name))]
    assert old == [], "'make pictures' draws them as they are today"


def differ(picture: Image.Image, other: Image.Image) -> bool:
    if picture.size != other.size:
        return True
    a, b = (np.asarray(each.convert("RGB")).astype(int) for each in (picture, other))
    return bool((np.abs(a - b).max(axis=-1) > DISTANCE).mean() > SHARE)
