"""report/files.py: everything about a test is written by one call, into the run's folder or where it is asked for, and
says what the evaluation says."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.errors import UsageError
from cnncli.report.files import WRITTEN, write

from ..trained import CLASSES, write_images


@pytest.mark.slow
def test_all_files_are_there_and_say_the_same(home: Path) -> None:
    found = cnncli.evaluate()
    folder = cnncli.write_report(found, "a/b c")
    assert folder == Path("a/b c")
    assert {path.name for path in folder.iterdir()} == set(WRITTEN)
    assert json.loads((folder / "test.json").read_text()) == json.loads(json.dumps(found.as_json()))
    with open(folder / "confusion.csv", newline="", encoding="utf-8") as file:
        assert [[int(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]] == (
            found.confusion_matrix.tolist())
    for name in ("confusion.png", "mistakes.png"):
        with Image.open(folder / name) as image:
            image.verify()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Test of small" in page
    assert all(value in page for _, value in found.facts)
    assert found.baselines["nearest neighbour"].how in page


@pytest.mark.slow
def test_what_could_not_be_compared_is_on_the_page(home: Path) -> None:
    found = cnncli.evaluate(split="train")
    page = (write(found, "out") / "report.html").read_text(encoding="utf-8")
    assert found.comparison[0] in page


@pytest.mark.slow
def test_by_itself_it_goes_where_the_run_is(home: Path) -> None:
    assert write(cnncli.evaluate(compare=False)) == Path("runs/small")
    assert {path.name for path in Path("runs/small").iterdir()} >= set(WRITTEN)
    with pytest.raises(UsageError, match="is a file"):
        write(cnncli.evaluate(compare=False), "runs/small/config.json")


@pytest.mark.slow
def test_each_test_has_a_place_of_its_own(home: Path) -> None:
    """The run's own names stay those of its held-out images; the same images have the same place again."""
    for folder in ("more", "a/more"):
        write_images(home / folder, CLASSES, 2, seed=len(folder))
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    shutil.copy("runs/small/model.safetensors", "runs/small/last.safetensors")
    Path("table.csv").write_text("file,label\nstripe/s 0.png,stripe\n")
    arrays = (np.zeros((4, 20, 20, 3), np.uint8), np.array(sorted(CLASSES)))
    tests: list[tuple[dict[str, Any], str, str]] = [
        ({}, "runs/small", "Test of small"), ({"data": "photos"}, "runs/small", "Test of small"),
        ({"split": "val"}, "runs/small/test-val", "Test of small on its validation images"),
        ({"data": "photos", "split": "train"}, "runs/small/test-train", "Test of small on its training images"),
        ({"data": "more"}, "runs/small/test-more", "Test of small on the images of more/"),
        ({"data": "a/more"}, "runs/small/test-more-2", "Test of small on the images of more/"),
        ({"data": "more", "labels": "more/../table.csv"}, "runs/small/test-more-3",
         "Test of small on the images of more/"),
        ({"model": "runs/small/last.safetensors"}, "runs/small/test-last", "Test of small"),
        ({"model": "runs/small/last.safetensors", "split": "val"}, "runs/small/test-last-val",
         "Test of small on its validation images"),
        ({"model": "loose.safetensors", "data": "more"}, "loose-test",
         "Test of loose.safetensors on the images of more/"),
        ({"model": "loose.safetensors", "data": "a/more"}, "loose-test-more",
         "Test of loose.safetensors on the images of more/")]
    for _ in range(2):
        for given, place, title in tests:
            found = cnncli.evaluate(given.get("model", "runs/small"), given.get("data"), split=given.get("split"),
                                    labels=given.get("labels"), compare=False)
            own = home / place / "test.json"
            before = {path: path.read_bytes() for path in home.rglob("test.json") if path != own}
            assert cnncli.write_report(found, why=False) == Path(place)
            assert {path: path.read_bytes() for path in before} == before
            assert f"<h1>{title}</h1>" in Path(place, "report.html").read_text(encoding="utf-8")
            assert found.subject.describe(found.image_count) in Path(place, "report.html").read_text(encoding="utf-8")
    in_memory = cnncli.evaluate("runs/small", arrays, compare=False)
    assert cnncli.write_report(in_memory, why=False).name.startswith("test-arrays-")
    assert json.loads(Path("runs/small/test.json").read_text())["images"] == 2 * len(CLASSES)
    Path("runs/small/test-val/test.json").write_text("[]")
    assert cnncli.write_report(cnncli.evaluate(split="val", compare=False)).name == "test-val-2", "not known whose"


@pytest.mark.slow
def test_each_mistake_on_the_page_shows_where_it_comes_from_and_the_cost_is_told(home: Path) -> None:
    right = cnncli.evaluate(compare=False)
    found = replace(right, guesses=(right.labels + 1) % len(right.class_names))
    shown, told = min(48, found.image_count), list[str]()
    assert shown > 4
    page = (write(found, "out", note=told.append) / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'alt="[^"]+ taken for ', page)) == shown
    [sentence] = told
    said = rf"The report shows what {shown} mistakes come from, which takes \d+\.\d s; why=False leaves that out\."
    assert re.fullmatch(said, sentence)
    page = (write(found, "out", force=True, why=False, note=told.append) / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'alt="[^"]+ taken for ', page)
    assert told == [sentence]
