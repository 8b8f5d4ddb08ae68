"""What is spoken of can be seen: each step of the lesson leaves its maps, its image and its table uncovered, on a small
laptop and on a phone; the board and the camera take turns; of classes that were learnt no old label is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.model.calibration import Calibration
from cnncli.page import write_page

from .test_learning_browser import pictures as pictures
from .test_learning_browser import taught
from .test_page_browser import model_of, opened, waited

pytestmark = pytest.mark.slow
LAPTOP, NARROW = (1200, 860), (380, 740)
# Whether the middle of the first element that a selector finds is on top of all others there.
ON_TOP = """const it = [...document.querySelectorAll(arguments[0])].at(arguments[1] ?? 0);
    const { left, top, right, bottom } = it.getBoundingClientRect();
    return document.elementFromPoint((left + right) / 2, (top + bottom) / 2) === it && right <= innerWidth"""
STEPS = "return lesson().map(({ title }) => title)"
GO = """return go(lesson().findIndex(({ title }) => title === arguments[0]))
    .then(() => dialog.open && pointed.layer.name)"""
SAID = "return document.getElementById('said').textContent"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A grey network, on whose page pictures are drawn, and a residual one, both with a temperature."""
    folder, found, images = tmp_path_factory.mktemp("pages"), {}, np.zeros((25, 32, 32), np.uint8)
    for i, pixels in enumerate(images):
        pixels[6 + i % 5 : 20, 10 : 18 + i % 7] = 180 + i
    for name in ("lenet5", "resnet8"):
        model = model_of(name)
        model.calibration = Calibration(1.5, 50, (1.0, 0.9), (0.2, 0.1), ())
        labels = [model.classes[i % 4] for i in range(25)]
        found[name] = folder / f"{name}.html"
        write_page(model, (np.repeat(images[..., None], 3, 3), labels), found[name])
    return found


@pytest.mark.parametrize("size", [LAPTOP, NARROW], ids=["laptop", "narrow"])
@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_a_step_leaves_what_it_speaks_of_uncovered(name: str, size: Any, browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages[name], size=size)
    waited(browser, "")
    for title in browser.run(STEPS):
        layer = browser.run(GO, title)
        waited(browser, "", 400)
        if layer:
            assert browser.run(ON_TOP, "#number .fields canvas"), title
            assert size == NARROW or browser.run(ON_TOP, f"[id='layer-{layer}'] canvas"), title
        elif title == "Probabilities":
            assert browser.run(ON_TOP, "#softmax tbody td", -1)
            assert browser.run(ON_TOP, "#softmax thead th", -1)
        elif title != "Where the weights come from":
            assert browser.run(ON_TOP, "#seen"), title
        assert browser.run(ON_TOP, "#tour .next")
    browser.run("end()")
    assert browser.run("return document.body.getBoundingClientRect().width") == min(980, size[0])
    assert browser.errors() == []


def test_the_board_the_camera_and_images_take_turns(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["lenet5"])
    board, camera = browser.find("#draw"), browser.find("#camera")
    browser.find("#drawer").click()
    camera.click()
    assert waited(browser, SAID, 1500).startswith("the camera")
    assert not board.is_displayed()
    assert browser.run("return document.activeElement.id") == "camera"
    browser.find("#drawer").click()
    assert (board.is_displayed(), camera.text) == (True, "Use the camera")
    board.find_element("css selector", ".close").click()
    assert waited(browser, "return document.activeElement.id") == "drawer"
    camera.click()
    assert waited(browser, SAID, 1500).startswith("the camera")
    browser.find("#samples button").click()
    assert camera.text == "Use the camera" or waited(browser, "return camera.textContent") == "Use the camera"
    assert not waited(browser, SAID).startswith("the camera")
    assert browser.errors() == []


def test_no_label_of_the_old_classes_is_said_of_learnt_ones(pictures: dict[str, list[str]], browser: Any,
                                                            pages: dict[str, Path]) -> None:
    taught(browser, pages["resnet8"], pictures)
    browser.find("#samples button").click()
    waited(browser, "")
    assert browser.find("#answer").text in pictures
    assert browser.find("#judge").text.count("Its label is") == browser.find("#samples").text.count("t") == 0
    browser.run("byId('unlearn').click()")
    waited(browser, "")
    assert browser.find("#label").text in {f"Its label is {name}." for name in model_of("resnet8").classes}
    assert "two" in browser.find("#samples").text
    assert browser.errors() == []
