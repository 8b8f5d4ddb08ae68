"""report/page.py: what is in the file and that nothing else is needed. How it behaves is test_page_browser.py's."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cnncli.errors import printable
from cnncli.evaluation.scores import score
from cnncli.report import charts, page, pictures

from .looks import HOSTILE, evaluation, names, pixels


class Read(HTMLParser):
    """The page's elements with their attributes, its words, and what stands in its scripts and styles."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.words, self._open = "", ""
        self.feed(data.decode("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in self.inside:
            self._open = tag
            self.inside[tag].append("")

    def handle_endtag(self, tag):
        if tag == self._open:
            self._open = ""

    def handle_data(self, data):
        if self._open:
            self.inside[self._open][-1] += data
        else:
            self.words += data

    @property
    def data(self):
        return json.loads(self.inside["script"][0])


def rendered(found, **options):
    return page.render(found, **{"title": "Test of a", "pixels": pixels(found), "names": names(found), **options})


@pytest.mark.slow
def test_the_file_asks_for_nothing_and_allows_nothing_but_its_own():
    found = evaluation(["a", "b", "c"], 60)
    data = rendered(found)
    read = Read(data)
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp", "".join(read.inside["script"] + read.inside["style"]))
    for tag, attributes in read.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form")
    [policy] = [a["content"] for _, a in read.elements if a.get("http-equiv") == "Content-Security-Policy"]
    for kind, text in (("script", read.inside["script"][1]), ("style", read.inside["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert rendered(found) == data, "the same evaluation gives the same bytes"


@pytest.mark.slow
def test_all_figures_are_there():
    found = evaluation(["a", "b", "c"], 500)
    words = Read(rendered(found, facts=[("network", "resnet8")], notes=["No neighbour."])).words
    low, high = found.interval
    for text in (page.percent(found.accuracy), page.percent(low), page.percent(high), "majority class", "resnet8",
                 "No neighbour.", f"--reject {page.REJECTIONS[0]}", f"{found.calibration.temperature:.3g}"):
        assert text in words
    for one in found.classes:
        assert page.percent(one.recall) in words
        assert f"{one.f1:.3f}" in words
    assert page.percent(found.as_json()["calibration"]["error_before"]) in words
    assert page.percent(found.as_json()["calibration"]["error_after"]) in words


def test_bars_show_the_interval_of_their_own_share():
    """Of 20 images of b all are recognised, and 5 of a called so as well."""
    found = score(np.eye(2)[[1] * 25] * 3, np.repeat([0, 1], [5, 20]), ["a", "b"])
    read = Read(rendered(found))
    bars = [(float(a["x"]), float(a["width"])) for _, a in read.elements if a.get("class") == "whisker"]
    lengths = [float(a["width"]) for tag, a in read.elements if tag == "rect" and a.get("class") == "right"]
    drawn = dict(zip(("accuracy", "recall of a", "recall of b", "precision of b"), zip(lengths, bars, strict=False),
                     strict=False))  # of what is drawn below them there are more
    assert drawn == {"accuracy": (80, (60.87, 30.27)), "recall of a": (0, (0, 43.45)),
                     "recall of b": (100, (83.89, 16.11)), "precision of b": (80, (60.87, 30.27))}
    words = "".join(read.words.split())
    assert "0.0%0%–43%" in words
    assert "100.0%84%–100%80.0%61%–91%" in words, "recall, then precision"


@pytest.mark.slow
def test_every_cell_holds_its_own_images_the_surest_mistakes_first():
    found = evaluation(["a", "b", "c"], 300)
    data = Read(rendered(found)).data
    seen = set()
    for key, places in data["cells"].items():
        label, guess = map(int, key.split())
        numbers = []
        for place in places:
            uri, name, its_label, its_guess, chance = data["images"][place]
            with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
                pixel = np.asarray(image)
            numbers.append(int(pixel[0, 0, 0]) * 256 + int(pixel[0, 1, 0]))
            assert (label, guess) == (its_label, its_guess) == (found.labels[numbers[-1]], found.guesses[numbers[-1]])
            assert name == names(found)[numbers[-1]]
            assert chance == pytest.approx(found.probabilities[numbers[-1], guess], abs=1e-4)
        chances = found.confidences[numbers]
        assert (np.diff(chances) >= 0).all() if label == guess else (np.diff(chances) <= 0).all()
        assert len(places) == min(found.confusion_matrix[label, guess], pictures.A_CELL)
        seen.update(numbers)
    assert set(np.flatnonzero(~found.right).tolist()) <= seen


@pytest.mark.slow
def test_names_may_hold_anything():
    found = evaluation(HOSTILE, 200)
    data = rendered(found, title="Test of <b>x</b>\n", notes=["<i>"], facts=[("<u>", "\udcff")])
    read = Read(data)
    assert len(read.inside["script"]) == 2, "no script but our own"
    assert not re.search("[<>&]", read.inside["script"][0])
    assert not [a for tag, a in read.elements if tag in ("b", "i", "u") and a]
    assert "onerror" not in {name for _, a in read.elements for name in a}
    assert read.data["classes"] == [printable(name) for name in HOSTILE]
    assert all(printable(name) in read.words for name in HOSTILE)
    assert "{{ 7 * 7 }}" in read.words
    assert "Test of <b>x</b>\\n" in read.words
    assert r"\xff" in read.words


@pytest.mark.slow
def test_a_bound_on_the_size_is_kept_and_said(monkeypatch):
    found = evaluation([f"class {i}" for i in range(5)], 3000, sure=1.2)
    whole = Read(rendered(found)).data
    assert max(map(len, whole["cells"].values())) == pictures.A_CELL
    monkeypatch.setattr(pictures, "MOST_CHARACTERS", 40_000)
    read = Read(rendered(found))
    shown = len(read.data["images"])
    assert 25 < shown < len(whole["images"])
    assert sum(len(uri) for uri, *_ in read.data["images"]) <= 40_000
    assert len(read.data["cells"]) == 25, "every cell has its turn before any has a second one"
    lengths = [len(places) for places in read.data["cells"].values()]
    assert max(lengths) - min(lengths) <= 1
    wrong = sum(label != guess for _, _, label, guess, _ in read.data["images"])
    assert f"this page holds {shown} images of 3,000," in " ".join(read.words.split())
    assert f"{wrong} of the {(~found.right).sum():,} mistakes" in " ".join(read.words.split())


def test_as_many_images_are_shown_as_there_is_room_for(monkeypatch):
    found = evaluation(["a", "b"], 12)
    album = pictures.Album(found, pixels(found), names(found))
    uris = [image.uri for image in album.cells().images]
    assert len(uris) == 12
    for room, shown in ((sum(map(len, uris)), 12), (sum(map(len, uris)) - 1, 11), (len(uris[0]), 1), (0, 0)):
        monkeypatch.setattr(pictures, "MOST_CHARACTERS", room)
        assert [image.uri for image in album.cells().images] == uris[:shown]


@pytest.mark.slow
def test_galleries_show_the_surest_and_the_least_sure():
    found = evaluation(["a", "b", "c"], 400)
    album = pictures.Album(found, pixels(found), names(found))
    chances = np.sort(found.probabilities, axis=1)
    assert [image.name for image in album.worst()] == [names(found)[i] for i in found.mistakes()[:48]]
    margins = chances[:, -1] - chances[:, -2]
    ambiguous = album.ambiguous()
    assert [image.name for image in ambiguous] == [names(found)[i] for i in np.argsort(margins, kind="stable")[:24]]
    for image in ambiguous:
        index = names(found).index(image.name)
        assert (image.chance, image.other) == (pytest.approx(chances[index, -1]), pytest.approx(chances[index, -2]))
        assert found.probabilities[index, image.second] == image.other
    for label, images in album.best():
        own = np.flatnonzero(found.right & (found.labels == label))
        surest = own[np.argsort(-found.confidences[own], kind="stable")][:4]
        assert [image.name for image in images] == [names(found)[i] for i in surest]
    unsure = evaluation(["a", "b", "c"], 200, sure=0.5)
    assert len(pictures.Album(unsure, pixels(unsure), names(unsure)).worst()) == 48
    for count, each, classes in ((100, 2, 100), (241, 1, 240)):
        every = score(np.eye(count)[np.arange(3 * count) % count], np.arange(3 * count) % count, [""] * count)
        best = pictures.Album(every, pixels(every), names(every)).best()
        assert [(label, len(images)) for label, images in best] == [(label, each) for label in range(classes)]


def test_a_cell_shows_sixty_images_by_turns():
    """Of 70 right ones of a and 65 of b, and 62 mistakes, the surest of which come first."""
    sure = np.linspace(1, 3, 197)
    labels = np.repeat([0, 1, 1], [70, 65, 62])
    logits = np.zeros((197, 2))
    logits[np.arange(197), np.repeat([0, 1, 0], [70, 65, 62])] = sure
    order = pictures.Album(found := score(logits, labels, ["a", "b"]), pixels(found), names(found))._by_turns()
    assert order.reshape(60, 3).tolist() == [[196 - turn, turn, 70 + turn] for turn in range(60)]


def test_how_many_are_looked_at_together_changes_nothing(monkeypatch):
    found = evaluation(["a", "b", "c"], 50)

    def everything():
        album = pictures.Album(found, pixels(found), names(found))
        return album.worst(), album.ambiguous(), album.best(), album.cells()

    whole = everything()
    monkeypatch.setattr(pictures, "_ROWS", 7)
    monkeypatch.setattr(pictures, "_AT_ONCE", 5)
    assert everything() == whole
    only = score(np.zeros((1, 1)), np.zeros(1), ["a"])
    album = pictures.Album(only, pixels(only), names(only))
    [image] = album._shown(np.arange(1))
    assert (image.chance, image.second, image.other) == (1, 0, 0), "a single class"
    assert album.ambiguous() == []


def test_only_what_lies_near_another_class_is_ambiguous():
    """Of two classes: 0.88 against 0.12 is not, 0.73 against 0.27 is."""
    found = score(np.array([[2.0, 0], [1, 0], [0, 0.1]]), np.zeros(3), ["a", "b"])
    assert [image.guess for image in pictures.Album(found, pixels(found), names(found)).ambiguous()] == [1, 0]


def test_the_commonest_confusions_and_shades_of_the_matrix():
    labels = np.repeat([0, 1, 2], [10, 4, 20])
    found = score(np.eye(3)[[0] * 8 + [1] * 2 + [2] * 4 + [2] * 13 + [1] * 7], labels, ["a", "b", "c"])
    assert page._pairs(found) == [(2, 1, 7, 7 / 20), (1, 2, 4, 1.0), (0, 1, 2, 0.2)]
    matrix = page._matrix(found)
    assert matrix["rows"] == [(0, [(8, "r8"), (2, "w4"), (0, "")]), (1, [(0, ""), (0, ""), (4, "w9")]),
                              (2, [(0, ""), (7, "w7"), (13, "r6")])]
    assert (matrix["shown"], matrix["total"], matrix["dense"]) == ([0, 1, 2], 3, False)
    single = page._matrix(score(np.eye(3)[[0, 0]], np.array([0, 1]), ["a", "b", "c"]))
    assert [[shade for _, shade in cells] for _, cells in single["rows"]] == [["r9", "", ""], ["w9", "", ""], [""] * 3]
    assert [page._matrix(score(np.eye(count), np.arange(count), [""] * count))["dense"] for count in (32, 33)] == [
        False, True]
    five = score(np.eye(5)[np.arange(20) % 5], np.arange(20) // 4, list("abcde"))
    assert page._pairs(five) == [(i, j, 1, 0.25) for i in range(5) for j in range(5)
                                 if i != j and five.confusion_matrix[i, j]][:10]


def test_of_121_classes_the_one_with_the_fewest_mistakes_is_left_out():
    """Each is taken for the next one, but 6 and 7, which are right, 7 the most often."""
    labels = np.append(np.arange(121), [7] * 4)
    guesses = np.append((np.arange(121) + 1) % 121, [7] * 4)
    guesses[[6, 7]] = [6, 7]
    matrix = page._matrix(score(np.eye(121)[guesses], labels, [""] * 121))
    assert matrix["shown"] == [i for i in range(121) if i != 7]
    assert (matrix["total"], matrix["dense"]) == (121, True)
    assert [i for i, _ in matrix["rows"]] == matrix["shown"]
    assert matrix["rows"][7][1][8:9] == [(1, "w9")], "8 is taken for 9"


@pytest.mark.slow
@pytest.mark.parametrize(("skipped", "listed", "words"), [(50, 50, "could not be used:"),
                                                          (51, 50, "could not be used; the first of them:")])
def test_of_many_skipped_images_the_first_are_named(skipped, listed, words):
    found = score(np.eye(2), np.arange(2), ["a", "b"], skipped=[(f"{i}.png", "is broken") for i in range(skipped)])
    read = Read(rendered(found))
    assert f"{skipped} images {words}" in read.words
    assert read.words.count("is broken") == listed


def test_marks_show_what_comes_of_rejecting():
    found = evaluation(["a", "b", "c"], 400)
    answers = page._answers(found)
    assert [(row.accuracy, row) for row in answers["rows"]] == [(r, found.withheld(r)) for r in page.REJECTIONS]
    circles = re.findall(r'class="mark" cx="([\d.]+)"', answers["chart"])
    assert [float(x) for x in circles] == pytest.approx(
        [44 + 274 * row.answered / 400 for row in answers["rows"] if row.answered], abs=0.06)
    assert re.findall(r'">(0\.\d+)<', answers["chart"]) == ["0.9", "0.95", "0.99"][: len(circles)]
    assert not answers["strange"]
    without = page._answers(replace(found, calibration=None, strangeness=np.zeros(400)))
    assert without["strange"]
    assert "mark" not in without["chart"], "nothing was chosen"


def test_a_line_of_pixels_stays_one():
    for shape, size in (((300, 1), (1, 96)), ((2, 500), (96, 1))):
        uri = pictures.data_uri(np.zeros((*shape, 3), np.uint8))
        with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as again:
            assert again.size == size


@pytest.mark.parametrize(("size", "channels", "kind"), [(12, 1, "png"), (40, 3, "png"), (41, 3, "jpeg"),
                                                        (300, 1, "jpeg")])
def test_thumbnails(size, channels, kind, rng):
    image = rng.integers(0, 256, (size, size // 2, channels), np.uint8)
    uri = pictures.data_uri(image)
    assert uri.startswith(f"data:image/{kind};base64,")
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as again:
        assert max(again.size) == min(size, 96)
        if kind == "png":
            assert (np.asarray(again).reshape(image.shape) == image).all()


@pytest.mark.slow
def test_hundreds_of_classes_show_those_with_the_most_mistakes():
    found = evaluation([f"class {i}" for i in range(150)], 2000)
    read = Read(rendered(found))
    shown = [int(a["data-class"]) for tag, a in read.elements if tag == "th" and "data-class" in a]
    assert len(shown) == 2 * page.MOST_CLASSES
    assert shown[: page.MOST_CLASSES] == sorted(shown[page.MOST_CLASSES :])
    wrong = found.confusion_matrix.sum(0) + found.confusion_matrix.sum(1) - 2 * found.confusion_matrix.diagonal()
    assert wrong[sorted(set(shown))].min() >= wrong[sorted(set(range(150)) - set(shown))].max()
    assert "Of 150 classes these are the 120" in " ".join(read.words.split())


@pytest.mark.slow
def test_what_may_be_missing():
    right = score(np.eye(2)[[0, 1, 1]] * 9, np.array([0, 1, 1]), ["a", "b"])
    words = Read(rendered(right)).words
    assert "there is no mistake" in words
    assert "not calibrated" in words
    wrong = score(np.eye(3)[[0, 0]] * 9, np.array([1, 1]), ["a", "b", "c"])
    words = Read(rendered(wrong)).words
    assert "No image was recognised." in words
    assert "no images" in words, "a class without any"
    one = score(np.array([[0.0, 0.0]]), np.array([1]), ["a", "b"])
    assert b"nan" not in rendered(one).lower().split(b"<script")[0].replace(b"ordinance", b"")


def test_percent_does_not_round_up_to_all():
    assert [page.percent(v) for v in (0, 0.5, 0.99994, 1)] == [
        "0.0\u202f%", "50.0\u202f%", "99.9\u202f%", "100.0\u202f%"]
    assert page.percent(0.997, 0) == "99\u202f%"
    assert [page.count(n, "image") for n in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]
    assert page.count(1200) == "1,200"


def test_charts_stay_on_their_sheets(rng):
    from cnncli.model.calibration import coverage, reliability

    for images in (1, 2, 40, 5000):
        confidence, right = rng.random(images), rng.random(images) < 0.5
        curve = coverage(confidence, right)
        drawn = charts.coverage(curve, [(1.0, float(curve.accuracy[-1]), "0.9")], "x") + charts.reliability(
            reliability(confidence, right), "y")
        places = [float(v) for v in re.findall(r'(?:x|y|cx|cy)="([-\d.]+)"', drawn)]
        places += [float(v) for pair in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", drawn) for v in pair]
        assert min(places) >= 0
        assert max(places) <= max(charts.WIDTH, charts.HEIGHT)


@pytest.mark.slow
def test_what_mistakes_come_from_is_shown_beside_them():
    found = evaluation(["a", "b", "c"], 60)
    strip = np.full((20, 68, 3), 200, np.uint8)
    asked = []

    def why(indices):
        asked.extend(indices.tolist())
        return iter([strip] * len(indices))

    read = Read(rendered(found, why=why))
    assert asked == found.mistakes()[: pictures.WORST].tolist()
    shown = [a for tag, a in read.elements if tag == "img" and " taken for " in (a["alt"] or "")]
    assert len(shown) == len(asked)
    first = asked[0]
    assert shown[0]["alt"] == f"{'abc'[found.labels[first]]} taken for {'abc'[found.guesses[first]]}"
    with Image.open(io.BytesIO(base64.b64decode(shown[0]["src"].split(",")[1]))) as image:
        assert image.size == (68, 20)
    assert "speaks for" in read.words
    assert "speaks for" not in Read(rendered(found)).words
