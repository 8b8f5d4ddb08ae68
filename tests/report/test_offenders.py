"""The sheet of what `cnn check` found: every picture stands with where it lies, and no word covers another."""

from pathlib import Path

import pytest
from PIL import Image

from cnncli.data.check import KINDS, File, Finding, Report, check
from cnncli.report import offenders

from ..data.check.pictures import classes, scene, write


def report_of(folder: Path, findings: list[Finding]) -> Report:
    return Report(str(folder), 0, {"ant": {"train": 3, "val": 0, "test": 0}}, [], findings)


@pytest.mark.slow
def test_copies_stand_side_by_side_with_their_paths(tmp_path, words):
    folder = write(tmp_path / "data", {f"train/{n}": s for n, s in classes(12).items()})
    write(folder, {"test/ant/copy of it.png": 3, "test/bee/other.png": 900})
    path = offenders.draw(check(folder), tmp_path / "sheet.png")
    with Image.open(path) as image:
        words.check(image.size)
        shown = image.convert("RGB").crop((24, 24, 24 + 2 * 136, image.height))
    texts = words.texts
    assert {"test / ant", "copy of it.png", "train / ant", "03.png"} <= set(texts)
    assert texts.index("copy of it.png") < texts.index("03.png"), "the one that may stay comes first"
    assert any(text.startswith("duplicate-across-splits (error): 1") for text in texts)
    # Both tiles hold the picture: what is on the left is on the right, too.
    top = next(box[1] for text, box in words.drawn if text == "test / ant") - 24 - offenders.SIDE
    left, right = (shown.crop((x, int(top) + 15, x + offenders.SIDE, int(top) + 100)) for x in (0, 136))
    assert left.tobytes() == right.tobytes()
    assert len(set(left.tobytes())) > 50


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 40])
def test_many_findings_of_any_length_keep_their_places(count, tmp_path, words):
    folder = write(tmp_path / "data", {"train/ant/a.png": 1, "train/ant/wide.png": scene(2, 900, 20),
                                       "train/ant/high.png": scene(3, 9, 700)})
    names = ("a.png", "wide.png", "high.png")
    files = [File(str(folder / "train" / "ant" / n), f"train/ant/{'long ' * 9}{n}", "train", "a class of many words")
             for n in names]
    findings = [Finding(kind, tuple(files * size)[: 1 + i % 9], "a sentence of more words than fit on a card " * 3)
                for kind in ("duplicate", "blurred", "label-error", "near-duplicate") for i in range(count)
                for size in (4,)]
    path = offenders.draw(report_of(folder, findings), tmp_path / "sheet.png")
    with Image.open(path) as image:
        words.check(image.size)
    drawn = sum(text.endswith((".png", "….png")) for text in words.texts)
    assert drawn >= 4 * min(count, offenders.MOST)


def test_images_that_have_gone_and_names_that_cannot_be_printed(tmp_path, words):
    odd = File(str(tmp_path / "gone.png"), "train/ant/new\nline \udcff.png", "train", "a\nnt")
    path = offenders.draw(report_of(tmp_path, [Finding("blank", (odd,), "x")]), tmp_path / "sheet.png")
    assert "no image" in words.texts
    assert "train / a\\nnt" in words.texts
    with Image.open(path) as image:
        words.check(image.size)


def test_nothing_to_show(tmp_path, words):
    empty = Finding("empty-file", (File("a", "a.png", "train", "ant"),), "it is empty.")
    offenders.draw(report_of(tmp_path, [empty]), tmp_path / "sheet.png")
    assert any("nothing was found that could be shown" in text for text in words.texts)


def test_the_kinds_that_are_shown_are_kinds():
    assert set(KINDS) >= offenders._SHOWN
