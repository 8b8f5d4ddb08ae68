"""The words beside a number are those of its layer: dropout, means, the last layer's classes; and what docs/page.md
says which networks show."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.architectures import architecture, from_toml
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.model.calibration import Calibration
from cnncli.network import Network
from cnncli.page import write_page

from ..guides import networks, text
from .test_page_browser import opened, waited

pytestmark = pytest.mark.slow
NETWORK = """
    [[layers]]
    type = "AvgPool2d"
    name = "pool"
    kernel_size = 3
    stride = 2
    padding = 1
    [[layers]]
    type = "Dropout"
    name = "drop"
    [[layers]]
    type = "GlobalAvgPool2d"
    name = "mean"
    [[layers]]
    type = "Linear"
    name = "fc"
    out_features = "classes"
"""
RULE = """return showNumber(layerOf.get(arguments[0]), arguments[1])
    .then(() => dialog.querySelector('.rule').textContent)"""


def test_dropout_means_and_classes_are_called_so(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(NETWORK, encoding="utf-8")
    model = Model(from_toml(tmp_path / "my.toml", (12, 14, 1), 3), ["bag", "boot", "coat"],
                  Preprocessing((12, 14), grey=True))
    model.calibration = Calibration(1.5, 50, (1.0, 0.9), (0.2, 0.1), ())
    images = np.random.default_rng(0).integers(0, 256, (24, 12, 14, 3)).astype(np.uint8)
    write_page(model, list(images), tmp_path / "page.html")
    opened(browser, tmp_path / "page.html")
    waited(browser, "")
    assert browser.run(RULE, "drop", 3) == (
        "In training, dropout turns numbers into 0 at random, so that the network does not rely on single ones. "
        "Here it does nothing: the number is copied from this one.")
    assert browser.run(RULE, "mean", 0) == "The number is the mean of 42 numbers: each counts 1 / 42 = 0.024."
    assert browser.run(RULE, "pool", 8) == "The number is the mean of 9 numbers: each counts 1 / 9 = 0.111."
    assert browser.run(RULE, "pool", 0) == ("The number is the mean of 9 numbers: each counts 1 / 9 = 0.111. "
                                            "5 of them lie outside the image and are 0.")
    assert browser.run(RULE, "fc", 1).startswith("The product is ")
    words = browser.find("#number .unit h3").text
    assert words == "Parts of images for which the logit of \u2068boot\u2069 is largest"
    browser.run("dialog.close(); byId('softmax').open = true; return go(lesson().findIndex(({ title }) =>"
                " title === 'Probabilities')).then(() => 1)")
    for where in ("#softmax .faint", "#tour .words"):
        said = browser.find(where).text
        assert re.search("is divided by the temperature.* no part of softmax: .*calibration.*divide first", said, re.S)


SHOWN = """return ask('evidence', 0).then((found) => {
    const titles = lesson().map(({ title }) => title);
    return [...['Pooling', 'Skip connection', 'Dilation'].map((title) => titles.includes(title)), Boolean(found)]; })"""


def said() -> dict[str, list[bool]]:
    """What the guide says that networks show, by the first cell of its table."""
    lines = text("docs/page.md").split("map of the evidence |\n")[1].split("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: [{"yes": True, "no": False}[cell] for cell in cells] for name, *cells in rows}


def test_networks_show_what_the_guide_says(browser: Any, tmp_path: Path) -> None:
    """Of those that are known by a name, and of those that the guides write out."""
    own, dilated = networks("docs/page.md")[0], networks("docs/networks.md")[1]
    table, seen = said(), set()
    for name in ("lenet5", "classic", "resnet8", "resnet18", "mobilenet_v2", "strides"):
        [first] = [cell for cell in table if name in cell]
        seen.add(first)
        network = _written(dilated, tmp_path) if name == "strides" else architecture(name, (32, 32, 3), 3)
        assert _shows(browser, network, tmp_path / f"{name}.html") == table[first], name
    assert seen == set(table)
    assert _shows(browser, _written(own, tmp_path), tmp_path / "own.html") == [True, False, False, True]


def _written(network: str, folder: Path) -> Network:
    (folder / "my.toml").write_text(network, encoding="utf-8")
    return from_toml(folder / "my.toml", (32, 32, 3), 3)


def _shows(browser: Any, network: Network, path: Path) -> Any:
    write_page(Model(network, list("abc"), Preprocessing((32, 32))), (), path)
    opened(browser, path)
    return waited(browser, SHOWN)
