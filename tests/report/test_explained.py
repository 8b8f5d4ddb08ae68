"""report/explained.py: explain.html of several images, what is on it, and that it needs nothing; in a browser too."""

import base64
import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.finding import Missing
from cnncli.errors import UsageError
from cnncli.explain.picture import strip
from cnncli.report import explained

from ..explain.test_clusters import blob
from ..explain.test_collection import explained as found_of
from ..explain.test_explanation import beside, lit, sides
from .browser import DESKTOP, PHONE
from .test_page import Read

PIXELS = lit(3, 3, (8, 12))
HOSTILE = '<img src=x onerror="document.title=1">&amp;\n'


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (x, y) in enumerate([(3, 3), (30, 10), (28, 4), (9, 18)]):
        Image.fromarray(lit(x, y)).save(folder / f"{i}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.mark.slow
def test_pictures_and_a_page_are_written(photos: Path, tmp_path: Path) -> None:
    found = list(explained.write(sides(), photos, tmp_path / "why", force=True))
    files = [each[0].name for each in found if not isinstance(each, Missing)]
    assert files == ["explained-0.png", "explained-1.png", "explained-2.png", "explained-3.png", "explain.html"]
    assert found[-1] == (tmp_path / "why" / "explain.html", None)
    assert [Path(each.path).name for each in found if isinstance(each, Missing)] == ["broken.png"]
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == sorted(files)
    read = Read((tmp_path / "why" / "explain.html").read_bytes())
    assert "4 images, explained by HiResCAM at relu1" in read.words
    rows = re.findall(r"(left|right)\s*2\s*([\d.]+)\u202f%\s*([\d.]+)\u202f%", read.words)
    assert sorted(label for label, *_ in rows) == ["left", "right"]
    assert "broken.png cannot be used" in read.words
    images = [attributes for tag, attributes in read.elements if tag == "img"]
    assert len(images) == 2 * (1 + 2) + 4, "of each class the mean map and the surest, and all of them"


def test_one_image_gets_no_page(photos: Path, tmp_path: Path) -> None:
    [(path, _)] = [each for each in explained.write(sides(), photos / "0.png", tmp_path / "why", force=True)
                   if isinstance(each, tuple)]
    assert path.name == "explained-0.png"
    assert [path.name for path in (tmp_path / "why").iterdir()] == ["explained-0.png"]


def test_what_is_there_is_not_replaced(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "why").mkdir()
    (tmp_path / "why" / "explain.html").write_text("mine")
    with pytest.raises(UsageError, match=r"explain\.html is there already"):
        list(explained.write(sides(), photos, tmp_path / "why"))
    assert (tmp_path / "why" / "explain.html").read_text() == "mine"


def page(names: list[str], most: int | None = None) -> bytes:
    from dataclasses import replace

    import cnncli

    made = explained.Explained()
    for i, name in enumerate(names):
        found = cnncli.explain(sides(), lit(3 + 5 * i, 3))
        made.add([replace(found, path=name, label=name or found.label, target=name or found.label)], lit(3 + 5 * i, 3))
    return made.render(HOSTILE, [(HOSTILE, "broken")])


def test_any_name_is_text_and_nothing_else_is_asked_for() -> None:
    data = page([HOSTILE, "b"])
    assert page([HOSTILE, "b"]) == data, "the same explanations give the same bytes"
    read = Read(data)
    assert not [a for tag, a in read.elements if tag == "img" and a.get("src") == "x"]
    for tag, attributes in read.elements:
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    [policy] = [a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    for kind, text in (("script", read.inside["script"][0]), ("style", read.inside["style"][0])):
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp", read.inside["script"][0] + read.inside["style"][0])


def test_of_very_many_the_first_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained, "MOST", 2)
    read = Read(page(["a", "a", "a"]))
    assert "The first 2 images" in read.words
    assert "3 images, explained by" in read.words


def test_a_strip_is_the_image_and_the_map_on_it() -> None:
    import cnncli

    made = strip([cnncli.explain(sides(), lit(27, 15))], lit(27, 15), 72)
    assert made.shape == (48, 2 * 72 + 4, 3)
    assert (made[33, 56] == 255).all()
    red = made[:, 76:, 0].astype(int) - made[:, 76:, 2]
    row, column = np.unravel_index(red.argmax(), red.shape)
    assert (abs(row - 33), abs(column - 57)) <= (4, 4)


def grouped() -> bytes:
    """A page of two classes, of which one has maps in two places."""
    made = explained.Explained()
    for i, values in enumerate(np.concatenate([blob(15, 8, 8), blob(7, 1, 14, 0.5, 1)])):
        made.add([found_of(values, HOSTILE, 0.5 + i / 100, f"{HOSTILE}/{i}.png")], PIXELS)
    for i, values in enumerate(blob(14, 8, 8)):
        made.add([found_of(values, "one group", 0.5, f"photos/{i}.png")], PIXELS)
    for every in beside([lit(27, 15)], {"images[0]": "left"}):
        made.add(every, lit(27, 15))
    return made.render(HOSTILE)


@pytest.mark.slow
def test_the_groups_that_a_class_s_maps_fall_into() -> None:
    read = Read(grouped())
    assert read.words.count("fall into 2") == 1, "a class with one group has none"
    assert "68.2\u202f%, 15 images: strongest in the middle" in read.words
    assert "31.8\u202f%, 7 images: strongest at the top right" in read.words
    assert len(re.findall(r"from 0 to 1: 0\.[5-9]\d\b", read.words)) == 2
    means = [a for tag, a in read.elements if a.get("class") == "mean"]
    assert [a["alt"].rpartition(" of ")[0] for a in means] == [
        "mean map", "mean map of group 1", "mean map of group 2", "mean map"], "none of a single image"
    assert len(re.findall(r"darkest red: \d+\.\d\u202f%", read.words)) == len(means)
    words = read.words[read.words.index("fall into 2") :]
    assert re.findall(r"/(\d+)\.png", words)[:4] == ["14", "13", "21", "20"], "the surest of each"
    assert not [a for tag, a in read.elements if tag == "img" and a.get("src") == "x"]


def test_mean_maps_are_in_the_colours_of_the_maps_and_which_images_these_are_is_said() -> None:
    made = explained.Explained()
    for i, values in enumerate(blob(2, 8, 8)):
        made.add([found_of(values, "a", 0.5, f"photos/{i}.png")], PIXELS)
    words = Read(made.render("Why", chosen=["2 of the 30 images held out."])).words
    assert "2 of the 30 images held out." in words
    assert "speaks for the class, from white (nothing) to\ndark red (the place with the most), and no blue." in words
    assert not re.search(r"[a-z)][.:][A-Z][a-z]", words), "no two sentences run together"
    with Image.open(io.BytesIO(base64.b64decode(explained._mean(np.eye(16)).partition(",")[2]))) as picture:
        none, most = picture.getpixel((140, 4)), picture.getpixel((4, 4))
    assert max(none) - min(none) < 12
    assert most[0] > 2 * max(most[1:])


@pytest.mark.parametrize(("row", "column", "words"), [
    (0.1, 0.5, "at the top"), (0.5, 0.5, "in the middle"), (0.9, 0.05, "at the bottom left"),
    (0.5, 1.0, "at the right")])
def test_a_place_in_words(row: float, column: float, words: str) -> None:
    assert explained._place(row, column) == words


def wrong(count: int, target: str | None = None, known: bool = True) -> bytes:
    """A page of so many images of which the last is no "left"; the others, if known, are right."""
    truths = {f"images[{i}]": "right" if known else "left" for i in range(count - 1)}
    made, images = explained.Explained(), [lit(24, 3, side=4 + 3 * i) for i in range(count)]
    found = beside(images, {**truths, f"images[{count - 1}]": "left"}, target)
    for every, pixels in zip(found, images, strict=True):
        made.add(every, pixels)
    return made.render("t")


@pytest.mark.slow
def test_wrong_answers_come_first_and_are_marked() -> None:
    read = Read(wrong(3))
    assert "Of these 3 images the label is known: 1 answer is wrong." in read.words
    assert read.words.index("Wrong answers, the surest first") < read.words.index("class by class")
    said = re.findall(r"said right [\d.]+\u202f%, is left", read.words)
    assert len(said) == 1 + 1 + 1, "among the wrong ones, the surest of the class and all"
    assert re.search(r"right\s*3\s*1\s*[\d.]+", read.words), "in the table, too"
    read = Read(wrong(3, known=False))
    assert "Of these 3 images the label is known: 3 answers are wrong." in read.words
    chances = re.findall(r"said right ([\d.]+)", read.words[: read.words.index("class by class")])
    assert len(chances) == 3
    assert [float(chance) for chance in chances] == sorted(map(float, {*chances}), reverse=True)


@pytest.mark.slow
def test_where_no_answer_is_known_to_be_wrong_there_is_no_place_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Read(page(["a", "b"])).words
    assert "Wrong answers" not in words
    assert "wrong" not in words
    assert "Red speaks for the model's answer" in words
    words = Read(wrong(1, "neither")).words
    assert "Red speaks for neither" in words
    assert "Wrong answers" not in words, "another class was asked for"
    assert "Of 1 image the label is known: 1 answer is wrong." in words
    monkeypatch.setattr(explained, "MOST_WRONG", 2)
    words = Read(wrong(3, known=False)).words
    assert words[: words.index("class by class")].count(", is left") == 2
    assert "3 answers are wrong" in words


def test_a_strip_of_three_maps_has_two_rows_and_one_scale() -> None:
    [every] = beside([lit(27, 15)], {"images[0]": "left"})
    made = strip(every, lit(27, 15), 72)
    assert made.shape == (2 * 48 + 4, 2 * 72 + 4, 3)
    assert (made[48:52] == 255).all()
    said, true, difference = (part[..., 0].astype(int) - part[..., 2]
                              for part in (made[:48, 76:], made[52:, :72], made[52:, 76:]))
    assert min(said.max(), difference.max()) > 50 > 10 > true.max()


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(browser, tmp_path: Path, size: tuple[int, int], dark: bool) -> None:
    (tmp_path / "explain.html").write_bytes(grouped())
    browser.open(tmp_path / "explain.html", size, dark)
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    widths = browser.run("return [...document.querySelectorAll('.strips figure:not(:has(.mean)) img')]"
                         ".map((each) => each.clientWidth)")
    assert min(widths) > 200, "an image and its map can be told apart"
    means = set(browser.run("return [...document.querySelectorAll('.mean')].map((each) => each.offsetWidth)"))
    assert len(means) == 1
    assert abs(means.pop() - max(widths) / 2) < 4, "as wide, and so as high, as one of the two beside each other"
    browser.run("document.querySelector('.gallery img').click()")
    assert browser.run("return document.getElementById('picture').open")
    browser.run("document.querySelector('#picture .close').click()")
    assert not browser.run("return document.getElementById('picture').open")
    assert browser.errors() == browser.requests()[1:] == []
