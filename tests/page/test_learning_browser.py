"""Learning in the page: classes of one's own are learnt from a few pictures, judged, and saved as a page and as a model
file, which say the same."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.model.calibration import Calibration
from cnncli.page import write_page

from .test_page_browser import model_of, opened, waited

pytestmark = pytest.mark.slow
JUDGE = """return ask('judge', Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), 40, 36)
    .then((found) => [...found.probabilities])"""
# Of the small pictures of each class, the strongest colour.
TINTS = """return [...document.querySelectorAll('#school .strip')].map((strip) => [...strip.children].map((canvas) => {
    const sums = [0, 0, 0], data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    data.forEach((value, i) => { if (i % 4 < 3) sums[i % 4] += value; });
    return sums.indexOf(Math.max(...sums)); }))"""
BASE64 = "savedModel().then(asBase64)"


def tinted(seed: int, colour: int) -> np.ndarray:
    """A picture of noise in one colour, (40, 36, 3)."""
    pixels = np.random.default_rng(seed).integers(0, 90, (40, 36, 3)).astype(np.uint8)
    pixels[..., colour] += 120
    return pixels


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder, made = tmp_path_factory.mktemp("pictures"), dict[str, list[str]]()
    for colour, name in enumerate(("red", "green", "blue")):
        made[name] = [str(folder / f"{name}{i}.png") for i in range(6)]
        for i, path in enumerate(made[name]):
            Image.fromarray(tinted(10 * colour + i, colour)).save(path)
    return made


def taught(browser: Any, path: Path, pictures: dict[str, list[str]]) -> None:
    """Open a page and have it learn the pictures' classes."""
    opened(browser, path)
    fields = browser.driver.find_elements("css selector", "#school fieldset")
    for field, (name, files) in zip(fields, pictures.items(), strict=False):
        title = field.find_element("css selector", "input:not([type=file])")
        title.clear()
        title.send_keys(name)
        field.find_element("css selector", "input[type=file]").send_keys("\n".join(files))
    waited(browser, "", 1500)
    browser.find("#school .learn").click()
    waited(browser, "", 1500)


@pytest.mark.parametrize("name", ["resnet8", "lenet5", "mobilenet_v2"])
def test_what_is_learnt_is_judged_and_saved(name: str, pictures: dict[str, list[str]], browser: Any,
                                            tmp_path: Path) -> None:
    """mobilenet_v2's page has weights of 16 bits, and so has its model file then."""
    write_page(model_of(name), (), tmp_path / "page.html", title="Which is it?" if name == "lenet5" else None)
    taught(browser, tmp_path / "page.html", pictures)
    if name != "lenet5":  # which sees no colours
        assert "the page recognises 18 of these 18 images." in browser.find("#learnt").text
        assert browser.run(TINTS) == [[0] * 6, [1] * 6, [2] * 6]
    assert " for 3 classes, learnt in a page. It takes " in browser.find("#about").text
    assert browser.run("return [...document.querySelectorAll('#answers th')].map((it) => it.textContent).sort()") == [
        "blue", "green", "red"]  # the picture that was there is judged anew
    image = tinted(99, 1)
    four = np.concatenate([image, image[..., :1]], axis=2)
    probabilities = browser.run(JUDGE, base64.b64encode(four.tobytes()).decode())
    assert len(probabilities) == 3
    assert name == "lenet5" or np.argmax(probabilities) == 1
    (tmp_path / "model.safetensors").write_bytes(base64.b64decode(browser.run(f"return {BASE64}")))
    (tmp_path / "saved.html").write_text(browser.run("return savedPage()"), encoding="utf-8")
    assert browser.errors() == []

    model = cnncli.load(tmp_path / "model.safetensors")
    assert model.classes == ("red", "green", "blue")
    prepared = model.preprocessing.prepare_array(image)[None]
    np.testing.assert_allclose(model.probabilities(prepared)[0], probabilities, atol=1e-5)

    assert opened(browser, tmp_path / "saved.html").startswith("This page was saved after it had learnt classes.")
    assert browser.run("return [document.title, document.querySelector('h1').textContent]") == [
        "Which is it?" if name == "lenet5" else "Tells red, green and blue apart"] * 2
    assert browser.run(JUDGE, base64.b64encode(four.tobytes()).decode()) == probabilities
    assert browser.run("return [program.classes, program.learnt]") == [["red", "green", "blue"], True]
    assert " for 3 classes, learnt in a page. It takes " in browser.find("#about").text
    assert browser.errors() == []


def test_two_classes_of_three_and_what_is_missing(pictures: dict[str, list[str]], browser: Any, tmp_path: Path) -> None:
    write_page(model_of("resnet8"), (), tmp_path / "page.html")
    taught(browser, tmp_path / "page.html", {"red": pictures["red"]})
    assert browser.find("#learnt").text == "Give images to at least two classes, and give each class a name of its own."
    taught(browser, tmp_path / "page.html", {"red": pictures["red"], "blue": pictures["blue"]})
    assert browser.run("return program.classes") == ["red", "blue"]
    assert browser.find("#layer-fc summary").text == "fc Linear 2, 130 parameters, 128 multiply-adds"
    assert browser.find("#check").text.startswith("The last layer was learnt in this page.")
    browser.run("return showNumber(program.layers[program.layers.length - 1], 1)")
    rows = [row.text.replace("\u2212", "-") for row in browser.driver.find_elements("css selector", "#number tbody tr")]
    assert sum(float(row.split()[-1]) for row in rows[:-1]) == pytest.approx(float(rows[-1].split()[-1]), abs=0.05)


SHOWN = """return [program, document.title, ...['about', 'answers', 'answer', 'check', 'softmax', 'layer-fc', 'samples',
    'evidence'].map((id) => byId(id).innerText)].map((it) => JSON.stringify(it))"""


def test_the_models_own_classes_come_back(pictures: dict[str, list[str]], browser: Any, tmp_path: Path) -> None:
    """And nothing is left of what was learnt: not in the answers, the layers or the open step of the lesson."""
    model = model_of("resnet8")
    model.calibration = Calibration(1.5, 50, (1.0, 0.9), (0.2, 0.1), ())
    write_page(model, pictures["red"] + pictures["blue"], tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    browser.run("byId('softmax').open = byId('layer-fc').open = true")
    shown = waited(browser, SHOWN)
    assert not browser.find("#unlearn").is_displayed()
    for _ in range(2):  # what was learnt, gone and learnt again goes again
        for field, files in zip(browser.driver.find_elements("css selector", "#school fieldset"), pictures.values(),
                                strict=False):
            field.find_element("css selector", "input[type=file]").send_keys("\n".join(files[:2]))
        waited(browser, "", 1000)
        browser.find("#school .learn").click()
        waited(browser, "go(lesson().length - 3)", 600)  # the step of the softmax
        assert browser.run("return document.title") == "Tells one, two and three apart"
        fitted = "return lesson()[lesson().length - 2].words[0].includes('fitted to images in a page')"
        assert browser.run(fitted)
        assert "turns 3 logits" in waited(browser, "return byId('tour').innerText")
        browser.run("byId('unlearn').click()")
        waited(browser, "")
        assert not browser.run(fitted)
        assert "turns 4 logits" in browser.find("#tour").text
        browser.run("end()")
        assert waited(browser, SHOWN) == shown
        assert not any(browser.find(f"#{button}").is_displayed() for button in ("unlearn", "save-page", "save-model"))
        assert browser.find("#learnt").text == "The page answers with the model's own 4 classes again."
    image = tinted(99, 1)
    four = np.concatenate([image, image[..., :1]], axis=2)
    probabilities = browser.run(JUDGE, base64.b64encode(four.tobytes()).decode())
    prepared = model.preprocessing.prepare_array(image)[None]
    np.testing.assert_allclose(model.probabilities(prepared)[0], probabilities, atol=1e-5)
    assert browser.errors() == []


def test_a_network_without_a_dense_layer_learns_nothing(browser: Any, tmp_path: Path) -> None:
    write_page(model_of("squeezenet1_1"), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    assert not browser.find("#school").is_displayed()


DROP = """const transfer = new DataTransfer(), [field, ...contents] = arguments;
    contents.forEach((text, i) => transfer.items.add(new File(
        [Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], `dropped${i}.png`, { type: 'image/png' })));
    const event = new DragEvent('drop', { dataTransfer: transfer, cancelable: true, bubbles: true });
    document.querySelectorAll('#school fieldset')[field].dispatchEvent(event);
    return event.defaultPrevented"""


def test_files_dropped_onto_a_class_are_its_pictures(pictures: dict[str, list[str]], browser: Any, tmp_path: Path
                                                     ) -> None:
    """And are not judged; what is no picture among them is said and left out."""
    write_page(model_of("resnet8"), (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    before = waited(browser, "return byId('answer').textContent")
    for field, name in enumerate(["red", "green"]):
        files = [base64.b64encode(Path(path).read_bytes()).decode() for path in pictures[name]]
        assert browser.run(DROP, field, *files, "bm8=") is True
    counts = waited(
        browser, "return [...document.querySelectorAll('#school .faint')].map((it) => it.textContent)", 1500)
    assert counts == ["6 images", "6 images", "no images"]
    assert browser.find("#said").text.startswith("dropped6.png is no image")
    assert browser.run("return byId('answer').textContent") == before
    browser.find("#school .learn").click()
    waited(browser, "", 1000)
    assert "the page recognises 12 of these 12 images." in browser.find("#learnt").text
    assert browser.errors() == []
