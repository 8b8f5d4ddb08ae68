"""What of the image a number depends on, where dilation leaves gaps and the border cuts: the page marks the very pixels
whose change changes the number, and its grids and its lesson show the gaps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import from_toml
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.page import write_page

from .test_page_browser import opened, waited

pytestmark = pytest.mark.slow
# Two ways with windows of their own, whose sum depends on neither rectangle, and steps that pass over pixels.
NETWORK = """
    [[layers]]
    type = "Conv2d"
    name = "wide"
    out_channels = 3
    kernel_size = 3
    dilation = [2, 3]
    padding = "same"
    [[layers]]
    type = "Conv2d"
    name = "far"
    out_channels = 3
    kernel_size = 3
    dilation = 4
    padding = "same"
    [[layers]]
    type = "Conv2d"
    name = "near"
    inputs = ["wide"]
    out_channels = 3
    kernel_size = 2
    padding = "same"
    [[layers]]
    type = "Add"
    name = "sum"
    inputs = ["far", "near"]
    [[layers]]
    type = "AvgPool2d"
    name = "pool"
    kernel_size = 2
    stride = 3
    [[layers]]
    type = "AdaptiveAvgPool2d"
    name = "parts"
    output_size = 2
    [[layers]]
    type = "GlobalAvgPool2d"
    [[layers]]
    type = "Linear"
    name = "fc"
    out_features = "classes"
"""
PIXELS = """return Promise.all([ask('values', 'input'), showNumber(layerOf.get(arguments[0]), arguments[1])])
    .then(([values]) => [[...values], [...usedBy(pointed.layer, pointed.index).get('input')]])"""
# Whether a line is drawn between each pixel of the image and that at its left.
LINES = """const canvas = dialog.querySelector('.fields canvas'), [height, width] = program.input.shape;
    const times = canvas.width / width, context = canvas.getContext('2d');
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return Array.from({ length: height * width }, (_, i) => {
        const at = Math.floor((Math.floor(i / width) + 0.5) * times) * canvas.width + i % width * times;
        return data.slice(4 * at, 4 * at + 3).join() === '232,89,12'; })"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("network") / "dilated.toml"
    path.write_text(NETWORK, encoding="utf-8")
    return Model(from_toml(path, (20, 18, 1), 3), list("abc"), Preprocessing((20, 18), grey=True))


@pytest.fixture(scope="module")
def page(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(model, (), path)
    return path


@pytest.mark.parametrize(("layer", "row", "column"), [("wide", 9, 8), ("wide", 0, 17), ("far", 10, 9), ("sum", 10, 9),
                                                      ("sum", 19, 0), ("pool", 2, 3), ("parts", 0, 1), ("fc", 0, 0)])
def test_the_marked_pixels_are_those_whose_change_changes_the_number(layer: str, row: int, column: int, model: Model,
                                                                     browser: Any, page: Path) -> None:
    opened(browser, page)
    shape = model.network.node(layer).shape
    index = 1 if len(shape) == 1 else (row * shape[1] + column) * shape[2] + 1
    values, marks = waited(browser, PIXELS.replace("arguments[0]", repr(layer)).replace("arguments[1]", str(index)))
    image = np.array(values, np.float32).reshape(20, 18, 1)
    changed = np.concatenate([image[None], image + 9 * np.eye(360, dtype=np.float32).reshape(360, 20, 18, 1)])
    numbers = model.network.activations(changed, [layer])[layer].reshape(361, -1)[:, index]
    matters = np.abs(numbers[1:] - numbers[0]) > 1e-6
    np.testing.assert_array_equal(np.array(marks).astype(bool), matters)
    lines = np.array(browser.run(LINES)).reshape(20, 18)
    padded = np.pad(matters.reshape(20, 18), ((0, 0), (1, 0)))
    np.testing.assert_array_equal(lines, padded[:, 1:] != padded[:, :-1])
    assert browser.errors() == []


def test_grids_and_words_show_gaps_and_what_the_border_cuts(browser: Any, page: Path) -> None:
    opened(browser, page)
    words = "return [dialog.querySelector('.fields figcaption').textContent, dialog.querySelector('.grids').innerText]"
    show = "return showNumber(layerOf.get('{}'), {}).then(() => {{ " + words + " }})"
    middle, corner = (9 * 18 + 8) * 3, (19 * 18 + 17) * 3
    caption, grids = browser.run(show.format("wide", middle))
    assert caption == "in the image: 9 of 5 x 7 pixels"
    assert "The gaps are dilation: the numbers under the weights lie 2 and 3 pixels apart." in grids
    spaces = "return [...dialog.querySelectorAll('.window')].map((each) => getComputedStyle(each).borderSpacing)"
    assert browser.run(spaces) == ["24px 12px"] * 3
    caption, _ = browser.run(show.format("wide", corner))
    assert caption == "in the image: 4 of 3 x 4 pixels, cut at the border: beyond it is padding"
    _, grids = browser.run(show.format("near", middle))
    assert "dilation" not in grids
    assert browser.run("return dialog.querySelector('.window').style.borderSpacing") == ""
    browser.run("return showNumber(layerOf.get('fc'), 0).then(() => 1)")
    assert browser.find("#number .fields figcaption").text == "in the image"


def test_the_lesson_shows_dilation_where_a_layer_has_it(browser: Any, page: Path) -> None:
    opened(browser, page)
    browser.run("return go(lesson().findIndex(({ title }) => title === 'Dilation')).then(() => 1)")
    assert "The weights of wide lie 2 and 3 pixels apart." in browser.find("#tour .words").text
    assert browser.find("#number h2").text.startswith("wide: ")
    assert browser.errors() == []
