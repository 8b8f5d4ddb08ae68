"""What excites a filter, as the page shows it: the very parts of the images, for numbers of its layer and of those
before its activation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.explain.explained_units import Unit, explain_units
from cnncli.model import Model
from cnncli.page import units, write_page

from .test_page_browser import model_of, opened, waited

pytestmark = pytest.mark.slow
# The canvases of what excites a filter, as pixels: [width, height, bytes].
PATCHES = """return [...document.querySelectorAll('#number .unit canvas')].map((canvas) => [canvas.width, canvas.height,
    [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]])"""
SHOW = "return showNumber(layerOf.get(arguments[0]), arguments[1]).then(() => 1)"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Smooth pictures, which JPEG keeps nearly as they are."""
    folder, made = tmp_path_factory.mktemp("photos"), []
    rows, columns = np.mgrid[0:32, 0:32] / 6
    for i in range(26):
        waves = [np.sin(rows * (1 + i % 3) / 2 + k + i) + np.cos(columns * (1 + i % 5) / 3 + i * k) for k in range(3)]
        made.append(str(folder / f"{i}.png"))
        Image.fromarray((127 + 60 * np.stack(waves, 2)).clip(0, 255).astype(np.uint8)).save(made[-1])
    return made


@pytest.fixture(scope="module")
def page(photos: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(units, "_QUALITY", 95)
        write_page(model_of("resnet8"), photos, path)
    return path


def wanted(model: Model, layer: str, channel: int, photos: list[str]) -> Unit:
    [unit] = explain_units(model, layer, photos, [channel], units.SHOWN).units
    return unit


@pytest.mark.parametrize(("asked", "told"), [("relu", "relu"), ("conv1", "relu"), ("layer2.0.add", "layer2.0.relu"),
                                             ("layer3.0.relu", "layer3.0.relu"), ("avgpool", "layer3.0.relu"),
                                             ("fc", "fc")])
def test_the_parts_that_excite_a_filter_are_those_of_explain(asked: str, told: str, browser: Any, page: Path,
                                                             photos: list[str]) -> None:
    model = model_of("resnet8")
    layer, shape, of = model.network.node(asked), model.network.node(asked).shape, 2
    opened(browser, page)
    browser.run(SHOW, layer.name, of if len(shape) == 1 else (3 * shape[1] + 1) * shape[2] + of)
    unit = wanted(model, told, of, photos)
    shown = browser.run(PATCHES)
    assert len(shown) == units.SHOWN
    for (width, height, data), patch in zip(shown, unit.patches, strict=True):
        pixels = np.array(data, np.uint8).reshape(height, width, 4)[..., :3]
        times = height / patch.shape[0]
        middles = [((np.arange(side) + 0.5) * times).astype(int) for side in patch.shape[:2]]
        assert abs(pixels[middles[0]][:, middles[1]].astype(int) - patch).mean() < 6
    words = browser.find("#number .unit").text
    side = "" if asked == told else f" of {told} ({'before' if asked == 'avgpool' else 'behind'} this layer)"
    name = "the logit of \u2068three\u2069 is" if asked == "fc" else f"filter {of}{side} gives its"
    assert f"Parts of images for which {name} largest" in words
    most = browser.run("return shown(arguments[0])", float(f"{unit.values[0]:.3g}"))
    assert f"Its largest number in all 26 images is {most}." in words
    assert ("speaks for" in words) == (told != "fc" and bool(unit.classes))
    assert all(name in words for name, _ in unit.classes) or told == "fc"
    assert browser.errors() == []


def test_a_page_without_images_says_nothing_of_filters(browser: Any, tmp_path: Path) -> None:
    """It shows the picture that it was checked with, so that all can be tried, the lesson by its address, too."""
    write_page(model_of("resnet8"), (), tmp_path / "page.html")
    browser.driver.get((tmp_path / "page.html").as_uri() + "?tour")
    assert waited(browser, "return byId('tour').querySelector('h2').textContent", 1500).startswith("1 of ")
    browser.press("\ue00c")  # Escape
    assert browser.find("#answer").text in model_of("resnet8").classes
    assert browser.find("#said").text.startswith("This image was made up to check the page.")
    browser.run(SHOW, "relu", 5)
    assert browser.find("#number .unit").text == ""
    assert browser.errors() == []


def test_after_learning_and_saving_nothing_is_said_by_the_old_last_layer(browser: Any, page: Path,
                                                                                       tmp_path: Path) -> None:
    opened(browser, page)
    browser.run(SHOW, "layer3.0.relu", 2)
    before = browser.find("#number .unit").text
    browser.run("dialog.close(); takeClasses(['x', 'y', 'z', 'v']); return ask('values', 'fc').then(() => 1)")
    (tmp_path / "saved.html").write_text(browser.run("return savedPage()"), encoding="utf-8")
    opened(browser, tmp_path / "saved.html")
    browser.run(SHOW, "layer3.0.relu", 2)
    assert "speaks for" in before
    assert browser.find("#number .unit").text == before.split("It speaks for")[0].strip()
    browser.run(SHOW, "fc", 1)
    assert browser.find("#number .unit").text == ""
    assert browser.errors() == []
