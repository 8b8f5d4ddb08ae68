"""report/files.py: everything about a test is written by one call, into the run's folder or where it is asked for, and
says what the evaluation says."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import cnncli
from cnncli.errors import UsageError
from cnncli.report.files import WRITTEN, write


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
