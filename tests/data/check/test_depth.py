"""Checks of images deeper than 8 bits: on the one range that a training would find, none of them is dark or blank, and
a copy of 8 bits is a copy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import Report, check
from cnncli.evaluation.check import check as check_folder
from cnncli.report.offenders import draw

from ..tiffs import write
from .pictures import scene


def twelve(seed: int) -> np.ndarray:
    """A picture's values in 12 bits."""
    return np.rint(np.asarray(scene(seed).convert("L")) * (4095 / 255)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, first in (("ant", 0), ("bee", 12)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for seed in range(first, first + 12):
            write(tmp_path / "data" / name / f"{seed:02}.tif", twelve(seed))
    return tmp_path / "data"


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_twelve_bits_are_neither_dark_nor_blank(folder: Path) -> None:
    report = check(folder)
    assert kinds(report) == {"wide"}
    assert report.as_json()["range"] == [0, 4095]
    said, _ = report.notes  # and that there are few test images
    assert said.startswith("Values: 20 of the training images are deeper than 8 bits, integers from ")
    assert "0 becomes black, 4,095 white" in said


@pytest.mark.slow
def test_a_copy_of_eight_bits_is_a_copy(folder: Path) -> None:
    scene(3).convert("L").save(folder / "ant" / "copy.png")
    (copies,) = [finding for finding in check(folder).findings if "duplicate" in finding.kind]
    assert copies.kind.startswith("duplicate")
    assert {file.relative for file in copies.files} == {"ant/03.tif", "ant/copy.png"}


@pytest.mark.slow
def test_the_range_is_that_of_the_training_images(folder: Path) -> None:
    (folder / "train").mkdir()
    (folder / "test" / "ant").mkdir(parents=True)
    for name in ("ant", "bee"):
        (folder / name).rename(folder / "train" / name)
    write(folder / "test" / "ant" / "00.tif", np.rint(twelve(40) * 16).astype(np.uint16))
    assert check(folder).as_json()["range"] == [0, 4095]


@pytest.mark.slow
def test_a_range_that_is_given(folder: Path, tmp_path: Path) -> None:
    for seed in range(100, 130):  # of 8 bits, beside which 12 bits of 16 are dark
        scene(seed).convert("L").save(folder / ("ant" if seed % 2 else "bee") / f"{seed}.png")
    assert kinds(check_folder(folder)) == {"wide"}
    report = check_folder(folder, range="0:65535")
    assert "dark" in kinds(report)
    assert report.as_json()["range"] == [0, 65535]
    assert "range='0:65535' was given" in report.notes[0]
    shades = []
    for given in ("0:65535", "0:4095"):
        draw(check_folder(folder, range=given), tmp_path / "sheet.png")
        tile = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
        shades.append(float(tile.mean()))
    assert shades[0] < shades[1] - 1, "the sheet's pictures are on the range of the check"


@pytest.mark.slow
def test_pages_and_frames_are_counted(folder: Path) -> None:
    write(folder / "ant" / "stack.tif", twelve(50), pages=4)
    frames = [scene(seed) for seed in (51, 52, 53)]
    frames[0].save(folder / "bee" / "film.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "bee" / "pages.tif", save_all=True, append_images=frames[1:])
    said = {finding.files[0].relative: finding.text for finding in check(folder).findings if finding.kind == "animated"}
    assert said == {"ant/stack.tif": "a TIFF of 4 pages; the first is taken.",
                    "bee/film.gif": "a GIF of 3 frames; the first is taken.",
                    "bee/pages.tif": "a TIFF of 3 pages; the first is taken."}
