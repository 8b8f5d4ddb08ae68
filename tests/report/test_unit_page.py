"""report/unit_page.py: the page of a layer's filters, what is on it, how large it is, and that it needs nothing;
test_unit_page_browser.py opens it."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.outputs import claim
from cnncli.errors import UsageError
from cnncli.explain.explained_units import STOPPED, ExplainedUnits, Unit
from cnncli.explain.units import Window
from cnncli.report import unit_page
from cnncli.report.unit_page import PAGE, UnitPage
from cnncli.runs.opened import Opened

from ..explain.test_unit_sheet import explained, unit_of
from ..explain.test_units import model_of, pictures
from .looks import HOSTILE
from .test_page import Read


def page(found: ExplainedUnits) -> bytes:
    made = UnitPage(found.wanted)
    for unit in found.units:
        made.add(unit, found)
    return made.render(found)


def image(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def said(data: bytes) -> str:
    return " ".join(Read(data).words.split())


def images(read: Read) -> list[dict[str, str]]:
    return [attributes for tag, attributes in read.elements if tag == "img"]


def test_every_part_of_a_filter_is_on_it() -> None:
    unit = replace(unit_of(5), windows=[Window(-2, 5, 6, 13)] * 3, paths=["all/boot/1.png", "2.png", "3.png"])
    read = Read(page(explained(unit_of(0), unit)))
    for words in ("What the filters of conv2 look for, in small", "2 filters, and what excites each of them most among "
                  "1,000 images", "sees 8 x 8 pixels of the image's 30 x 28", "Grey lies outside of the image",
                  "by a deconvolutional network; bright is where", "do, in standard deviations: 0.2",
                  "Filter 0", "Filter 5", "3.5", "9.25", "boot+1.5", "boot/1.png", "+0.25",
                  "columns 6 to 13 and rows 1 to 6 of 30 x 28", "its full colours stand for 0.5"):
        assert words in " ".join(read.words.split()), words
    shown = images(read)
    assert len(shown) == 2 * (3 + 1)
    assert shown[4]["alt"] == "filter 5, number 1: 3.5 in all/boot/1.png"
    assert shown[7]["alt"] == "image made to excite filter 5: 9.25"
    pair = image(shown[4]["src"])
    assert pair.shape == (24 + 2 + 24, 24, 3), "each pixel a square of three"
    assert (pair[:24] == 10).all()
    assert (pair[24:26] == 255).all()
    assert (pair[26:] == 255).all(), "0.5 is the most that there is"
    assert (image(shown[5]["src"])[26:] == 0).all()
    assert (image(shown[7]["src"]) == 200).all()


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "words"), [
    ({"sees": None}, "sees all of the image, 30 x 28"),
    ({"sees": None}, "all of the image, 30 x 28 pixels below: what"),
    ({"channels": 99, "wanted": 2}, "2 filters of 99"),
    ({"channels": 1280, "wanted": 2}, "has 1,280 filters. To see all of them: cnn explain --units conv2:0-1279"),
    ({"channels": 99, "wanted": 2, "telling": True}, "99 filters; these are the 2 that tell the classes apart most."),
    ({"image_count": 640}, "before its end: 640 of 1,000 images were looked at, and 2 of 2 filters are here."),
    ({"wanted": 7}, "1,000 images were looked at, and 2 of 7 filters are here."),
    ({"answered": True}, "as the model answers"),
    ({"back": "guided"}, "reacts to, by guided backpropagation;"),
    ({"by_weights": True}, "by the weights of the last layer"),
    ({"kind": "BatchNorm2d"}, "Each place of conv2 (BatchNorm2d) sees"),
    ({"activation": "relu2", "rectified": True}, "before its activation. Only those above 0 pass relu2 and reach "
                                                 "the rest of the network. To see that: cnn explain --units relu2"),
    ({"names": ["<a>", "b & c"]}, "conv2 is the last layer: each of its filters stands for a class"),
    ({"names": ["<a>", "b & c"]}, "Filter 1: b & c"),
    ({"skipped": [("x.png", "x.png is no image")]}, "1 image could not be used: x.png is no image"),
    ({"skipped": [(f"{i}.png", "broken") for i in range(60)]}, "60 images could not be used; the first of them: 0.png"),
])
def test_what_it_says_of_itself(changed: dict[str, object], words: str) -> None:
    assert words in said(page(explained(unit_of(0), unit_of(1), **changed)))


def test_it_is_silent_on_what_is_not_so() -> None:
    shown = said(page(explained(unit_of(0))))
    for words in ("before its activation", "stopped", "Dead", "all of them", "Skipped", " of 1 filter",
                  "the last layer", "Filter 0:"):
        assert words not in shown


def test_dead_filters_are_named_and_show_no_images_but_what_was_made() -> None:
    dead = replace(unit_of(7), values=[-1.0, -2.0, -3.0], classes=[])
    data = page(explained(unit_of(0), dead, replace(dead, channel=9), rectified=True))
    read = Read(data)
    assert "Dead filters (none of the images excites them): 7, 9" in said(data)
    assert read.words.count("Dead: none of the images excites it.") == 2
    assert [a["href"] for tag, a in read.elements if tag == "a"] == ["#filter-7", "#filter-9"]
    assert len(images(read)) == 4 + 1 + 1
    assert "speaks for no class" in said(data)
    assert "Dead" not in Read(page(explained(dead))).words


def test_what_was_stopped_before_it_was_made() -> None:
    unmade = replace(unit_of(1), made=None, made_value=None)
    data = page(explained(unit_of(0), unmade))
    assert "2 of 2 filters are here, 1 of them without an image made to excite it." in said(data)
    assert "made to excite it not made" in said(data)
    assert len(images(Read(data))) == 4 + 3


def test_grey_images_are_answered_to_in_red_and_blue() -> None:
    read = Read(page(explained(unit_of(0, depth=1))))
    assert "red is where more light excites it" in read.words
    first, second = (image(each["src"])[-1, -1].astype(int) for each in images(read)[:2])
    assert first[0] - first[2] > 60 < second[2] - second[0]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "top", "side"), [
    (1, 9, 96), (64, 9, 96), (65, 9, 64), (256, 9, 64), (257, 9, 32), (32, 18, 96), (33, 18, 64), (576, 4, 64)])
def test_the_more_pictures_the_smaller_they_are(count: int, top: int, side: int) -> None:
    made, found = UnitPage(count, top), explained(unit_of(0, side=200))
    made.add(found.units[0], found)
    pair, *_, pleasing = images(Read(made.render(found)))
    assert image(pair["src"]).shape == (2 * side + 2, side, 3)
    assert image(pleasing["src"]).shape[:2] == (2 * side, 2 * side)
    assert pair["src"].startswith("data:image/jpeg;")


def noisy(channel: int) -> Unit:
    """A filter of photographs: as many bytes as there can be."""
    rng = np.random.default_rng(channel)
    unit = unit_of(channel, 9, 120)
    return replace(unit, patches=[rng.integers(0, 256, (120, 120, 3)).astype(np.uint8) for _ in range(9)],
                   answers=[rng.normal(size=(120, 120, 3)).astype(np.float32) for _ in range(9)],
                   made=rng.integers(0, 256, (120, 120, 3)).astype(np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("count", [64, 256, 1280])
def test_it_is_of_sensible_size_even_for_noise(count: int) -> None:
    made, found = UnitPage(count), explained(noisy(0))
    made.add(found.units[0], found)
    empty = len(UnitPage(count).render(explained()))
    assert count * (len(made.render(found)) - empty) < 40_000_000


def test_any_name_is_text_and_nothing_else_is_asked_for() -> None:
    hostile = replace(unit_of(0), paths=HOSTILE[:3], classes=[(HOSTILE[0], 1.0), (HOSTILE[1], 0.5)])
    found = explained(hostile, name=HOSTILE[1], skipped=[(HOSTILE[0], HOSTILE[1])])
    data = page(found)
    assert page(found) == data, "the same filters give the same bytes"
    read = Read(data)
    assert not [a for tag, a in read.elements if tag == "img" and a.get("src") == "x"]
    assert len(read.inside["script"]) == 1
    for tag, attributes in read.elements:
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    [policy] = [a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    for kind, text in (("script", read.inside["script"][0]), ("style", read.inside["style"][0])):
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    both = read.inside["script"][0] + read.inside["style"][0]
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp", both)
    assert not re.search(r"transition|animation|@keyframes|smooth", both), "nothing moves that must be kept still"


# ---- written ----


@pytest.mark.slow
def test_sheet_and_page_of_a_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unit_page.unit_sheet, "MOST", 2)
    opened = Opened(model_of(), Path("small.safetensors"), None)
    data = (np.stack(pictures(12)), ["a", "b"] * 6)
    [(found, (sheet, written))] = unit_page.write(opened, {"relu1": None}, data, top=2)
    assert (sheet, written) == (Path("small-explained/units-relu1.png"), Path("small-explained/units-relu1.html"))
    read = Read(written.read_bytes())
    assert [a["id"] for _, a in read.elements if a.get("class") == "filter"] == [f"filter-{i}" for i in range(5)]
    dead = sum(found.is_dead(unit) for unit in found.units)
    assert len(images(read)) == 5 + 2 * (5 - dead)
    assert [bool(unit.patches) for unit in found.units] == [True, True, False, False, False], "what the sheet shows"
    with claim({written: PAGE}):
        pass
    written.write_text("mine")
    with pytest.raises(UsageError, match="is not a page of filters that cnn wrote"):
        list(unit_page.write(opened, {"relu1": None}, data))
    assert written.read_text() == "mine"


@pytest.mark.slow
def test_a_stop_while_a_filter_is_drawn_keeps_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, notes = UnitPage.add, list[str]()

    def add(self: UnitPage, unit: Unit, found: ExplainedUnits) -> None:
        if unit.channel == last:
            raise KeyboardInterrupt
        real(self, unit, found)

    monkeypatch.setattr(UnitPage, "add", add)
    opened, last = Opened(model_of(), Path("small.safetensors"), None), 2
    layers, images = {"relu1": None, "relu2": None}, np.stack(pictures(6))
    [(found, (_, written))] = unit_page.write(opened, layers, images, folder=tmp_path, note=notes.append)
    assert [unit.channel for unit in found.units] == [0, 1]
    assert found.stopped == "after 2 of 5 filters"
    assert notes[-1] == STOPPED
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["units-relu1.html", "units-relu1.png"]
    assert "6 images were looked at, and 2 of 5 filters are here." in said(written.read_bytes())
    written.unlink()
    last = 0
    with pytest.raises(KeyboardInterrupt):
        list(unit_page.write(opened, layers, images, folder=tmp_path))
    assert not written.exists()


def test_an_image_that_is_looked_at_is_not_written_over(tmp_path: Path) -> None:
    opened, image = Opened(model_of(), Path("small.safetensors"), None), tmp_path / "why" / "units-conv2.png"
    image.parent.mkdir()
    Image.new("RGB", (12, 12)).save(image)
    for force in (False, True):
        with (pytest.raises(UsageError, match="would be read and written at once"),
              unit_page.claimed(opened, ["conv2"], [str(image)], image.parent, force)):
            pass


def test_where_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = Opened(model_of(), Path("small.safetensors"), None)
    with unit_page.claimed(opened, ["conv2"], None) as paths:
        assert paths == [(Path("small-explained/units-conv2.png"), Path("small-explained/units-conv2.html"))]
    assert not Path("small-explained").exists(), "nothing was written"
    with unit_page.claimed(opened, ["conv1", "conv2"], None, tmp_path / "why") as paths:
        assert paths == [(tmp_path / "why" / f"units-{layer}.png", tmp_path / "why" / f"units-{layer}.html")
                         for layer in ("conv1", "conv2")]
