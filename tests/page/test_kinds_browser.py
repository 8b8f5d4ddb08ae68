"""Pages of models of unusual kinds: grey, wide and tall ones, two classes and a thousand, and names with quotes, HTML
and text from right to left; what is learnt in a page that was saved."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.page import write_page
from cnncli.page.writing import _title_of

from ..report.browser import DESKTOP, PHONE
from .test_learning_browser import BASE64, JUDGE, taught
from .test_learning_browser import pictures as pictures
from .test_page_browser import WIDE, opened, waited

pytestmark = pytest.mark.slow
ODD = ['"quoted" & <b>bold</b>', "שלום עולם", "</script><script>document.title = 'x'</script>", "line\nline"]
THOUSAND = [f"class {i}" for i in range(1000)]
MODELS: dict[str, tuple[str, tuple[int, int, int], list[str]]] = {
    "grey": ("lenet5", (28, 28, 1), ODD), "wide": ("resnet8", (20, 70, 3), ODD), "tall": ("resnet8", (90, 18, 3), ODD),
    "wide and grey": ("resnet8", (16, 64, 1), ["yes", "no"]), "many": ("resnet8", (32, 32, 3), THOUSAND),
    "many, large": ("mobilenet_v2", (48, 40, 3), THOUSAND)}


@pytest.mark.parametrize("how", [{"size": DESKTOP}, {"size": PHONE, "dark": True}], ids=["desktop", "phone"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_any_kind_is_shown(kind: str, how: Any, browser: Any, tmp_path: Path) -> None:
    name, shape, classes = MODELS[kind]
    model = Model(architecture(name, shape, len(classes), seed=3), classes, Preprocessing(shape[:2], shape[2] == 1))
    images = np.random.default_rng(0).integers(0, 256, (26, *shape[:2], 3)).astype(np.uint8)
    labels = [classes[i % len(classes)] for i in range(26)]
    made = write_page(model, (images, labels), tmp_path / "page.html")
    assert made.looked_at == 26
    assert opened(browser, tmp_path / "page.html", **how).startswith("This page gives the same answers as cnn predict:")
    browser.find("#samples button").click()
    waited(browser, "")
    answers = browser.run("return [...document.querySelectorAll('#answers th')].map((it) => it.textContent)")
    assert len(answers) == min(10, len(classes))
    assert set(answers) <= set(classes)
    assert browser.run("return byId('answer').textContent") == answers[0]
    assert browser.run("return [document.title, document.querySelector('h1').textContent]") == [_title_of(classes)] * 2
    assert classes is ODD or browser.run("return titleOf(program.classes)") == _title_of(classes)
    box = browser.run("const { width, height } = seen.getBoundingClientRect(); return [width - 2, height - 2]")
    assert max(box) == pytest.approx(240)
    assert box[0] / box[1] == pytest.approx(shape[1] / shape[0], rel=0.02)
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert waited(browser, WIDE, 900) <= 0
    middle = "layer2.0.relu" if name == "resnet8" else browser.run("return program.layers[4].name")
    browser.run("const layer = layerOf.get(arguments[0]); return showNumber(layer, 5).then(() => 1)", middle)
    assert browser.find("#number .unit canvas").is_displayed()
    assert browser.run("const box = dialog.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth")
    assert browser.run(WIDE) <= 0
    last = browser.run("const layer = program.layers.at(-1); return showNumber(layer, layer.shape[0] - 1)"
                       ".then(() => dialog.querySelector('h2').textContent)")
    assert f"the logit of \u2068{classes[-1]}\u2069 is " in last
    assert browser.errors() == []


def test_names_from_right_to_left_turn_nothing_else_round(browser: Any, tmp_path: Path) -> None:
    """What stands beside such a name stays where it is."""
    model = Model(architecture("resnet8", (32, 32, 3), 2, seed=3), ["שלום (1)", "עולם"], Preprocessing((32, 32)))
    write_page(model, (), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    assert browser.run("return titleOf(program.classes)") == browser.run("return document.title")
    sides = waited(browser, """const row = byId('answers').querySelector('tr');
        return [...row.children].map((cell) => cell.getBoundingClientRect().left)""")
    assert sides == sorted(sides)
    for selector in ("#answer", "#answers th", "#evidence figcaption b", "#softmax tbody th"):
        assert browser.run("return getComputedStyle(document.querySelector(arguments[0])).unicodeBidi", selector) in {
            "isolate", "plaintext"}, selector


def test_a_page_that_was_saved_learns_and_is_saved_again(pictures: dict[str, list[str]], browser: Any, tmp_path: Path
                                                         ) -> None:
    """With other classes, and another number of them, in the page and in the model file."""
    network = architecture("resnet8", (32, 32, 3), 1000, seed=2)
    write_page(Model(network, THOUSAND, Preprocessing((32, 32))), (), tmp_path / "0.html")
    taught(browser, tmp_path / "0.html", pictures)
    for turn, names in enumerate((["red", "blue"], ["blue", "green", "red"], ["green", "red"]), 1):
        (tmp_path / f"{turn}.html").write_text(browser.run("return savedPage()"), encoding="utf-8")
        taught(browser, tmp_path / f"{turn}.html", {name: pictures[name] for name in names})
        assert browser.run("return program.classes") == names
    four = np.random.default_rng(5).integers(0, 256, (40, 36, 4)).astype(np.uint8)
    probabilities = browser.run(JUDGE, base64.b64encode(four.tobytes()).decode())
    (tmp_path / "model.safetensors").write_bytes(base64.b64decode(browser.run(f"return {BASE64}")))
    model = cnncli.load(tmp_path / "model.safetensors")
    assert model.classes == ("green", "red")
    prepared = model.preprocessing.prepare_array(four[..., :3])[None]
    np.testing.assert_allclose(model.probabilities(prepared)[0], probabilities, atol=1e-5)
    sizes = [(tmp_path / f"{turn}.html").stat().st_size for turn in range(4)]
    assert sizes[0] - sizes[1] > 300_000  # 64 x 1,000 weights that nobody needs any more
    assert max(sizes[1:]) - min(sizes[1:]) < 3_000  # what was learnt before does not pile up
    assert browser.errors() == []
