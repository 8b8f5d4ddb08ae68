"""The page of a model in a real browser, from a file: every architecture opens and its check passes, it asks for
nothing, every number comes from the terms that it shows, it fits a phone, and what is no picture is said."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.page import write_page
from cnncli.visualize.canvas import signed

from ..report.browser import DESKTOP, PHONE
from ..trained import write_images

LARGE = {"vgg11", "vgg16", "resnet34", "resnet50"}  # whose pages no browser would take, or only slowly
CHECKED = """return new Promise((done) => { const look = () => {
    const words = document.getElementById('check').textContent;
    if (words.startsWith('Checking')) setTimeout(look, 20); else done(words); }; look(); })"""
# Numbers drawn by chance, and the largest difference between what is shown for one and the number itself.
CLICKS = """let state = 1;
    const chance = (below) => { state = state * 48271 % 2147483647; return state % below; };
    const worth = {
      sum: (found) => found.bias + found.terms.reduce((sum, term) => sum + term.value, 0),
      largest: (found) => Math.max(...found.terms.map((term) => term.value)),
      same: (found) => found.terms[0].value,
      norm: (found) => Math.max(0, found.terms.reduce((sum, term) => sum + term.value, 0)) ** (1 / found.power) };
    const one = async () => {
      const layer = program.layers[chance(program.layers.length)];
      const found = await ask('made', layer.name, chance(layer.shape.reduce((a, b) => a * b, 1)));
      if (!(found.rule in worth)) return [0, 0];
      return [1, Math.abs(worth[found.rule](found) - found.value) / Math.max(1, Math.abs(found.value))]; };
    return (async () => { let sums = 0, worst = 0;
      for (let i = 0; i < 1000; i++) {
        const [counts, differs] = await one();
        sums += counts;
        worst = Math.max(worst, differs);
      }
      return [sums, worst]; })()"""
INPUT = "return ask('values', 'input').then((values) => [...values])"
WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def model_of(name: str) -> Model:
    shape = (28, 28, 1) if name == "lenet5" else (32, 32, 3)
    network = architecture(name, shape, 4, seed=2)
    return Model(network, ["one", "two", "three", "<b>four</b>"], Preprocessing(shape[:2], shape[2] == 1))


def opened(browser: Any, path: Path, **how: Any) -> str:
    browser.open(path, **how)
    words: str = browser.run(CHECKED)
    return words


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder, ["one", "two", "three", "<b>four<"], 3, seed=1)
    return folder


@pytest.fixture(scope="module")
def page(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small residual network."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(model_of("resnet8"), sorted(map(str, photos.glob("*/*"))), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - LARGE))
def test_every_architecture_opens_and_says_what_predict_says(name: str, browser: Any, tmp_path: Path) -> None:
    write_page(model_of(name), (), tmp_path / "page.html")
    assert opened(browser, tmp_path / "page.html").startswith("This page gives the same answers as cnn predict:")
    assert browser.errors() == []
    assert [url for url in browser.requests() if not url.startswith("blob:")] == [(tmp_path / "page.html").as_uri()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet8", "squeezenet1_1", "efficientnet_lite0"])
def test_every_number_is_made_of_the_terms_that_are_shown(name: str, browser: Any, tmp_path: Path) -> None:
    write_page(model_of(name), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    sums, worst = browser.run(CLICKS)
    assert sums > 400
    assert worst < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"size": DESKTOP}, {"size": PHONE, "dark": True}], ids=["desktop", "phone"])
def test_pictures_are_judged_and_layers_opened(how: Any, browser: Any, page: Path, photos: Path) -> None:
    assert opened(browser, page, **how).startswith("This page gives the same answers as cnn predict:")
    buttons = browser.driver.find_elements("css selector", "#samples button")
    assert len(buttons) == 12
    model = model_of("resnet8")
    for button in buttons[:3]:
        name = button.get_attribute("data-name")
        button.click()
        browser.run("return new Promise((done) => setTimeout(done, 200))")
        [wanted] = cnncli.predict(model, [str(path) for path in photos.glob(f"*/{name}")][:1])
        assert name in browser.find("#said").text
        assert browser.find("#answer").text == wanted.label
        assert browser.find("#label").is_displayed() == bool(button.get_attribute("data-label"))
    browser.run("reveal('layer2.0.add'); return new Promise((done) => setTimeout(done, 300))")
    assert len(browser.driver.find_elements("css selector", "#layers canvas")) == 16
    browser.find("#layers canvas").click()
    browser.run("return new Promise((done) => setTimeout(done, 200))")
    assert "layer2.0.add" in browser.find("#number h2").text
    assert browser.run(WIDE) <= 0
    assert browser.errors() == []


@pytest.mark.slow
def test_maps_have_the_colours_of_the_pictures_of_python(browser: Any, page: Path) -> None:
    opened(browser, page)
    shares = [-9, -1, -0.6, -0.1, 0, 0.1, 0.6, 1, 9]
    drawn = browser.run(f"return {shares}.map((share) => colourOf(2.5 * share, 2.5))")
    assert np.abs(np.array(drawn) - signed(np.array(shares), 1.0)).max() <= 3, "of 256 colours that are drawn there"
    assert browser.run("return [colourOf(NaN, 1), colourOf(0, 0)]") == [[0xF7] * 3] * 2


@pytest.mark.slow
def test_a_file_of_any_size_is_judged_as_predict_does(browser: Any, page: Path, tmp_path: Path) -> None:
    waves = np.add.outer(np.sin(np.arange(90) / 5), np.cos(np.arange(64) / 3))[..., None]
    image = (128 + 50 * waves + np.random.default_rng(0).normal(0, 12, (90, 64, 3))).clip(0, 255).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "waves.png")
    opened(browser, page)
    browser.find("#chooser").send_keys(str(tmp_path / "waves.png"))
    browser.run("return new Promise((done) => setTimeout(done, 400))")
    [wanted] = cnncli.predict(model_of("resnet8"), [str(tmp_path / "waves.png")])
    assert browser.find("#said").text == "waves.png, 64 x 90 pixels."
    assert browser.find("#answers tr").text == f"{wanted.label}\n{100 * wanted.probability:.1f} %"


def waited(browser: Any, script: str, milliseconds: int = 300) -> Any:
    """What a script returns a moment after another has run."""
    return browser.run(f"return new Promise((done) => setTimeout(done, {milliseconds})).then(() => {{ {script} }})")


@pytest.mark.slow
def test_a_number_says_where_it_comes_from_and_moves_on(browser: Any, page: Path) -> None:
    opened(browser, page)
    browser.run("return new Promise((done) => setTimeout(done, 300))")
    browser.run("return showNumber(layerOf.get('layer1.0.conv1'), (4 * 32 + 31) * 16 + 2)")
    assert browser.find("#number h2").text.endswith("at row 4, column 31, channel 2")
    rows = [row.text.replace("\u2212", "-") for row in browser.driver.find_elements("css selector", "#number tbody tr")]
    assert len(rows) == 23  # twenty terms, the others, what lies outside, the number
    assert rows[-2] == "48 outside the image 0 0"  # three of nine positions, 16 channels
    rule = browser.find("#number .rule").text.replace("\u2212", "-")
    assert rule == f"The sum of these 144 products is {rows[-1].split()[-1]}."
    grids = browser.run("""return [...document.querySelectorAll('#number .window')].map((grid) =>
        [...grid.querySelectorAll('td')].map((cell) =>
            [Number(cell.textContent.replace('\u2212', '-')), cell.className]))""")
    assert [len(grid) for grid in grids] == [9, 9, 9]
    for (x, place), (weight, _), (product, _) in zip(*grids, strict=True):
        assert product == pytest.approx(x * weight, abs=0.05)
        assert x == 0 or not place
    assert [place for _, place in grids[0]] == ["", "", "outside"] * 3
    assert sum(float(row.split()[-1]) for row in rows[:-1]) == pytest.approx(float(rows[-1].split()[-1]), abs=0.02)
    assert browser.run("return windowIn(pointed.layer, pointed.index, null)") == [2, 29, 5, 5]
    assert browser.run("return windowIn(pointed.layer, pointed.index, layerOf.get('relu'))") == [3, 30, 3, 3]
    browser.press("\ue014")  # the arrow key to the right stops at the border
    assert waited(browser, "return pointed.index") == (4 * 32 + 31) * 16 + 2
    browser.press("\ue015")  # down
    assert waited(browser, "return document.querySelector('#number h2').textContent").endswith(
        "at row 5, column 31, channel 2")
    browser.press(*["\ue012"] * 32)  # the arrow key to the left
    assert waited(browser, "return pointed.index", 900) == 5 * 32 * 16 + 2
    browser.find("#number .play").click()
    browser.run("return new Promise((done) => setTimeout(done, 900))")
    assert browser.run("return pointed.index") >= (5 * 32 + 2) * 16 + 2
    browser.find("#number .close").click()
    assert waited(browser, "return sliding") is None  # a dialog says afterwards that it was closed
    assert browser.errors() == []


@pytest.mark.slow
def test_covering_a_part_changes_the_answer_as_greying_it_does(browser: Any, page: Path) -> None:
    opened(browser, page)
    browser.run("return new Promise((done) => setTimeout(done, 300))")
    before = browser.run(INPUT)
    browser.run("cover(16, 16)")
    assert re.fullmatch(r"Row 16, column 16: red \d+, green \d+, blue \d+\. The network gets for red "
                        r"\(\d+ / 255 \u2212 .*\) / .* = [\u2212\d.]+\.", browser.find("#pixel").text)
    after = np.array(waited(browser, INPUT))
    changed = (np.abs(after - before) > 1e-6).reshape(32, 32, 3).any(axis=2)
    assert changed[16, 16]
    assert np.argwhere(changed).min() >= 13
    assert np.argwhere(changed).max() <= 19
    browser.find("#whole").click()
    np.testing.assert_array_equal(waited(browser, INPUT), before)
    assert browser.errors() == []


@pytest.mark.slow
def test_what_speaks_for_a_class_adds_up_to_its_logit(browser: Any, page: Path) -> None:
    """HiResCAM's map, of which the sum is the logit but for the bias."""
    opened(browser, page)
    found = waited(browser, """return Promise.all([ask('evidence', 2), ask('values', 'fc'),
        ask('made', 'fc', 2)]).then(([evidence, logits, { bias }]) => [
            evidence.map.reduce((a, b) => a + b, 0), logits[2] - bias, document.getElementById('evidence').hidden])""")
    assert found[0] == pytest.approx(found[1], abs=1e-4)
    assert found[2] is False


@pytest.mark.slow
def test_arcs_pass_over_layers_that_can_be_seen(browser: Any, tmp_path: Path) -> None:
    write_page(model_of("resnet20"), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    count = "return document.querySelectorAll('.arcs path').length"
    folded = browser.run(count)
    browser.run("for (const block of document.querySelectorAll('.block')) block.open = true")
    nodes = model_of("resnet20").network.nodes
    place = {node.name: i for i, node in enumerate(nodes)}
    passing = sum(i - place[name] > 1 for i, node in enumerate(nodes) for name in node.inputs if name in place)
    assert waited(browser, count) == passing == 9 + 2  # the additions, and two ways round that begin with a layer more
    assert folded == 0


@pytest.mark.slow
def test_a_drawing_is_placed_as_the_pictures_are(browser: Any, tmp_path: Path) -> None:
    """Pictures of a small white square near the lower right corner: so comes whatever is drawn."""
    images = np.zeros((4, 28, 28), np.uint8)
    for i, pixels in enumerate(images):
        pixels[18:24, 16:22] = 200 + i
    write_page(model_of("lenet5"), [*images], tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    browser.find("#drawer").click()
    browser.run("""const box = board.getBoundingClientRect();
        const send = (kind, x, y, buttons) => board.dispatchEvent(new PointerEvent(kind,
            { clientX: box.left + x, clientY: box.top + y, buttons, pointerId: 1, bubbles: true }));
        board.setPointerCapture = () => {};
        send('pointerdown', 40, 40, 1); send('pointermove', 120, 40, 1); send('pointermove', 120, 120, 1);
        send('pointermove', 40, 120, 1); send('pointermove', 40, 40, 1); send('pointerup', 40, 40, 0);""")
    values = np.array(waited(browser, INPUT)).reshape(28, 28)
    rows, columns = np.nonzero(values > values.min() + 0.3 * np.ptp(values))
    assert (abs(rows.min() - 18) <= 1, abs(rows.max() - 23) <= 1) == (True, True)
    assert (abs(columns.min() - 16) <= 1, abs(columns.max() - 21) <= 1) == (True, True)
    assert browser.find("#said").text.startswith("your drawing")
    assert not browser.driver.find_elements("css selector", "#samples [aria-pressed=true]")
    assert browser.errors() == []


@pytest.mark.slow
def test_the_camera_is_judged_until_it_is_stopped(browser: Any, page: Path) -> None:
    opened(browser, page)
    browser.find("#camera").click()
    assert waited(browser, "return document.getElementById('said').textContent", 1500).startswith("the camera")
    browser.find("#camera").click()
    assert browser.find("#camera").text == "Use the camera"
    assert browser.errors() == []


COLUMNS = "return [...document.querySelectorAll('#softmax thead th')].map((head) => head.textContent)"
LESSON = ["An image is numbers", "Convolution", "Stride", "Padding", "Batch norm", "Activation", "Pooling",
          "Several channels", "Skip connection", "What a number can see", "From maps to one row of numbers",
          "The dense layer", "Probabilities", "Where the weights come from", "Your turn"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "missing", "how"), [
    ("lenet5", {"Batch norm", "Skip connection"}, {"size": PHONE}), ("resnet8", {"Pooling", LESSON[10]}, {}),
    ("squeezenet1_1", {"Batch norm", "Skip connection", LESSON[10], "The dense layer"}, {})])
def test_the_lesson_shows_each_step_on_this_network(name: str, missing: set[str], how: Any, browser: Any, photos: Path,
                                                    tmp_path: Path) -> None:
    write_page(model_of(name), sorted(map(str, photos.glob("*/*"))), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html", **how)
    waited(browser, "document.getElementById('begin').click()")
    titles, words, rules = [], {}, {}
    for _ in range(20):
        waited(browser, "")
        titles.append(browser.find("#tour h2").text.split(": ")[1])
        words[titles[-1]], rules[titles[-1]] = browser.find("#tour .words").text, browser.find("#number .rule").text
        if titles[-1] == "Padding" and name != "squeezenet1_1":  # which has none
            assert browser.run("return pointed.index < pointed.layer.shape[2]")  # row 0, column 0
            assert browser.find("#number .grids .outside").text == "0"
        if titles[-1] == "Probabilities":
            assert browser.run(COLUMNS) == ["class", "logit", "minus the largest", "e raised to it",
                                            "divided by the sum"]
        if titles[-1] in {"Convolution", "Activation", "Pooling", "The dense layer", "Several channels"}:
            assert browser.find("#number").is_displayed()
        assert browser.run(WIDE) <= 0
        assert browser.run("""const box = (it) => it.getBoundingClientRect();
            return ['h2', '.next', '.close'].map((each) => box(panel.querySelector(each)))
                .every(({ top, bottom }) => top >= box(panel).top && bottom <= innerHeight)""")
        if browser.find("#tour .next").text == "End":
            break
        browser.find("#tour .next").click()
    assert titles == [title for title in LESSON if title not in missing]
    assert ("one fixed number, the bias" in words["Convolution"]) == (name != "resnet8")  # whose convolutions have none
    assert "plus the class's bias" in words.get("The dense layer", "plus the class's bias")
    assert "divided by the temperature" not in words["Probabilities"]  # it is 1
    assert ("So 32 x 32 positions become" in words["Stride"]) == (name == "squeezenet1_1")
    assert re.fullmatch(r"max\(0, \u2212\d.*\) = 0", rules["Activation"])
    assert ("colours" in words["What a number can see"]) == (name != "lenet5")
    browser.find("#tour .next").click()
    assert not browser.find("#tour").is_displayed()
    assert browser.errors() == []


@pytest.mark.slow
def test_the_lesson_begins_by_the_address(browser: Any, page: Path, tmp_path: Path) -> None:
    opened(browser, page)
    browser.driver.get(page.as_uri() + "?tour")
    browser.run(CHECKED)
    assert waited(browser, "return document.querySelector('#tour h2').textContent", 800).startswith("1 of ")
    browser.press("\ue00c")  # Escape
    assert not browser.find("#tour").is_displayed()


@pytest.mark.slow
def test_what_is_no_picture_is_said(browser: Any, page: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("Dear all", encoding="utf-8")
    opened(browser, page)
    browser.find("#chooser").send_keys(str(tmp_path / "letter.png"))
    browser.run("return new Promise((done) => setTimeout(done, 300))")
    assert browser.find("#said").text.startswith("letter.png is no image that this browser can read;")
    assert browser.errors() == []


@pytest.mark.slow
def test_a_page_that_says_something_else_says_so(browser: Any, page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    start = text.index('"probabilities":[') + len('"probabilities":[')
    (tmp_path / "page.html").write_text(text[:start] + "1.5" + text[text.index(",", start):], encoding="utf-8")
    assert opened(browser, tmp_path / "page.html").startswith("This page does NOT give the same answers as cnn predict")


@pytest.mark.slow
def test_an_answer_asks_for_the_input_once_and_a_page_keeps_no_second_text_of_itself(browser: Any, page: Path) -> None:
    opened(browser, page)
    waited(browser, """window.asked_for = []; const real = ask;
        ask = (...what) => { asked_for.push(what.join(' ').slice(0, 12)); return real(...what); }""")
    browser.find("#samples button").click()
    asked = waited(browser, "return asked_for")
    assert [what.split(",")[0].split(" ")[0] for what in asked] == ["judge", "evidence"]  # the answer brings its input
    assert browser.run("return blank.documentElement.outerHTML.length") < 150_000 < page.stat().st_size
    assert browser.run("return Object.keys(window).filter((name) => typeof window[name] === 'string'"
                       " && window[name].length > 10000)") == []


@pytest.mark.slow
def test_maps_have_one_scale_a_layer_or_overall(browser: Any, page: Path) -> None:
    opened(browser, page)
    waited(browser, "reveal('relu'); reveal('layer3.0.relu')")
    largest = """return Promise.all(program.layers.map(({ name }) => ask('values', name)))
        .then((all) => [...all.map(reachOf), reachOf([...all.map(reachOf)])].map(shown))"""
    scales = """return [...document.querySelectorAll('.maps p')]
        .map((it) => it.textContent.match(/stands for (\\S+)/)[1])"""
    each = browser.run(largest)
    names = browser.run("return program.layers.map(({ name }) => name)")
    own = [each[names.index(name)] for name in ("relu", "layer3.0.relu")]
    assert waited(browser, scales) == own
    browser.find("#overall").click()
    assert waited(browser, scales) == [each[-1]] * 2
    assert browser.find(".maps p").text.endswith("on all maps of all layers.")
    browser.find("#overall").click()
    assert waited(browser, scales) == own
