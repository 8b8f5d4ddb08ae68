"""Manners of a page: every control is reached by keyboard, seen there and has a name; text stands out, in light and in
dark; it fits a phone; who wants no motion gets none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.page import write_page

from ..report.browser import DESKTOP, PHONE
from .test_page_browser import INPUT, WIDE, model_of, opened, waited

pytestmark = pytest.mark.slow
TAB, ENTER, ESCAPE, RIGHT, DOWN, SHIFT = "\ue004", "\ue007", "\ue00c", "\ue014", "\ue015", "\ue008"
# What has the focus: its number, whether it can be seen, and how it is outlined; null at the page's end.
FOCUSED = """const it = document.activeElement;
    if (it === document.body || it === document.documentElement) return null;
    window.walked ??= [];
    if (!walked.includes(it)) walked.push(it);
    const shape = (it.closest('.choose') ?? it), box = shape.getBoundingClientRect(), style = getComputedStyle(shape);
    return { number: walked.indexOf(it), tag: it.tagName, id: it.id, outlined: style.outlineStyle !== 'none' &&
        parseFloat(style.outlineWidth) >= 2, visible: box.width > 0 && box.bottom > 0 && box.top < innerHeight }"""
CONTROLS = """return [...document.querySelectorAll('button, input, summary, [tabindex], a[href]')]
    .filter((it) => it.checkVisibility() && !it.disabled && !it.closest('dialog:not([open])')).length"""
# Of all text that is shown: the smallest contrast of its colour with what is behind it (WCAG 2), and which text it is.
CONTRAST = """const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const behind = (it) => { for (; it; it = it.parentElement) {
        const c = numbers(getComputedStyle(it).backgroundColor);
        if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
    let worst = [99, ''], count = 0;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const it = texts.currentNode.parentElement;
      if (!texts.currentNode.data.trim() || !it.checkVisibility() || it.matches('script, style, :disabled')) continue;
      const [a, b] = [light(numbers(getComputedStyle(it).color)), light(behind(it))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      count += 1;
      if (contrast < worst[0]) worst = [contrast, texts.currentNode.data.trim()];
    }
    return [...worst, count]"""
SHOW = "return showNumber(program.layers.find((layer) => layer.kind.startsWith('ReLU')), 2).then(() => 1)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages with pictures of several kinds of networks: grey ones that can be drawn, a residual one, a large one."""
    folder, found, images = tmp_path_factory.mktemp("pages"), {}, np.zeros((25, 32, 32), np.uint8)
    for i, pixels in enumerate(images):
        pixels[6 + i % 5 : 20, 10 : 18 + i % 7] = 180 + i
    for name in ("lenet5", "resnet20", "mobilenet_v2"):
        found[name] = folder / f"{name}.html"
        write_page(model_of(name), [*images], found[name])
    return found


def everything(browser: Any) -> None:
    """Open what can be opened, but for dialogs."""
    waited(browser, "for (const each of document.querySelectorAll('details')) each.open = true")
    waited(browser, "", 600)


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_every_control_is_reached_by_tab_is_seen_and_has_a_name(name: str, browser: Any, pages: dict[str, Path]
                                                                ) -> None:
    opened(browser, pages[name])
    waited(browser, "byId('softmax').open = true; reveal(program.layers[0].name)")
    if name == "lenet5":
        browser.run("byId('drawer').click()")
    browser.run("const h = document.querySelector('h1'); h.tabIndex = -1; h.focus(); h.removeAttribute('tabindex')")
    controls, walked = waited(browser, CONTROLS), []
    for _ in range(2 * controls):
        browser.press(TAB)
        at = browser.run(FOCUSED)
        if at is None:  # the page's end
            break
        walked.append(at)
        assert at["visible"], at
        assert at["outlined"], at
        element = browser.driver.switch_to.active_element
        assert element.accessible_name.strip(), at
        assert element.aria_role not in {"generic", "none", "image", "Canvas"}, (at, element.aria_role)
    assert len({at["number"] for at in walked}) == len(walked)  # nowhere is one held
    assert len(walked) >= controls
    assert browser.errors() == []


def test_the_dialog_of_a_number_opens_moves_and_closes_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["resnet20"])
    waited(browser, "reveal('relu')")
    browser.run("document.querySelectorAll('.maps canvas')[3].focus()")
    browser.press(ENTER)
    before = waited(browser, "return pointed.index")
    assert browser.find("#number").aria_role == "dialog"
    assert browser.find("#number").accessible_name.startswith("relu: ")
    browser.press(RIGHT, DOWN)
    assert waited(browser, "return pointed.index") != before
    for _ in range(6):  # the focus stays in it, whatever is behind
        browser.press(TAB)
        assert browser.run("return dialog.contains(document.activeElement) || document.activeElement === document.body")
    browser.press(ESCAPE)
    assert not browser.find("#number").is_displayed()
    assert browser.run("return document.activeElement.matches('.maps canvas')")


def test_the_focus_is_never_lost(browser: Any, pages: dict[str, Path]) -> None:
    """Where what had it is gone, it goes on to what came of it."""
    opened(browser, pages["resnet20"])
    waited(browser, "reveal('layer2.0.relu'); document.querySelector('#layers .maps').scrollIntoView()")
    browser.run("[...document.querySelectorAll('.maps button')].at(-1).focus()")
    browser.press(ENTER)
    name = waited(browser, "return document.activeElement.getAttribute('aria-label')")
    assert name.startswith("layer2.0.relu, channel ")
    assert browser.run("return [...document.querySelectorAll('.maps canvas')].indexOf(document.activeElement)") == 16
    browser.run("byId('begin').focus()")
    browser.press(ENTER)
    assert waited(browser, "return document.activeElement.textContent") == "Next"
    browser.press(ENTER)
    assert waited(browser, "return document.activeElement.textContent") == "Next"
    browser.press(ESCAPE)
    assert waited(browser, "return document.activeElement.id") == "begin"
    assert not browser.find("#tour").is_displayed()


def test_the_picture_is_covered_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["resnet20"])
    before = waited(browser, INPUT)
    browser.run("seen.focus()")
    browser.press(RIGHT, DOWN, ENTER)
    assert waited(browser, INPUT) != before
    browser.run("whole.focus()")
    browser.press(ENTER)
    assert waited(browser, INPUT) == before
    assert browser.run("return document.activeElement.id") == "seen"


def test_a_picture_is_drawn_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver import ActionChains

    opened(browser, pages["lenet5"])
    browser.run("byId('drawer').focus()")
    browser.press(ENTER)
    browser.run("board.focus()")
    browser.press(RIGHT)
    assert browser.find("#pen").is_displayed()
    assert waited(browser, "return document.getElementById('said').textContent") != "your drawing, 280 x 280 pixels."
    ActionChains(browser.driver).key_down(SHIFT).send_keys(*[DOWN] * 6, *[RIGHT] * 4).key_up(SHIFT).perform()
    assert waited(browser, "return document.getElementById('said').textContent") == "your drawing, 280 x 280 pixels."
    values = np.array(browser.run(INPUT)).reshape(28, 28)
    strong = values > values.min() + 0.5 * np.ptp(values)
    assert strong.any(axis=1).sum() > 10  # a stroke down, and one to the right
    assert strong.any(axis=0).sum() > 6
    browser.press(ESCAPE)
    assert not browser.find("#draw").is_displayed()
    assert browser.run("return document.activeElement.id") == "drawer"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_text_stands_out_from_what_is_behind_it(name: str, dark: bool, browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages[name], dark=dark)
    everything(browser)
    waited(browser, "document.getElementById('begin').click()")
    browser.run(SHOW)
    worst, text, count = waited(browser, CONTRAST)
    assert count > 100
    assert worst >= 4.5, text


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "mobilenet_v2"])
def test_it_fits_a_phone(name: str, browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages[name], size=PHONE)
    everything(browser)
    assert browser.run(WIDE) <= 0
    for open_it in (SHOW, "document.getElementById('drawer').click()"):
        browser.run(open_it)
        assert waited(browser, WIDE) <= 0
        assert browser.run("return [...document.querySelectorAll('dialog[open]')].map((each) => each"
                           ".getBoundingClientRect()).every((box) => box.left >= 0 && box.right <= innerWidth)")
        browser.run("dialog.close()")
    assert browser.errors() == []


def test_who_wants_no_motion_gets_none(browser: Any, pages: dict[str, Path]) -> None:
    try:
        opened(browser, pages["resnet20"], size=DESKTOP)
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-reduced-motion", "value": "reduce"}]})
        browser.run(SHOW)
        button = browser.find("#number .play")
        assert button.text == "Move the window"
        before = browser.run("return pointed.index")
        button.click()
        after = waited(browser, "return pointed.index", 900)
        assert after == before + 16  # one position, and no more
        assert browser.run("return sliding") is None
        assert browser.run("return document.getAnimations().filter((it) => it.playState === 'running').length") == 0
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_nothing_moves_that_nobody_asked_to(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["resnet20"])
    everything(browser)
    assert browser.run("return document.getAnimations().filter((it) => it.playState === 'running').length") == 0
    browser.run("window.changes = 0; new MutationObserver((all) => { changes += all.length; })"
                ".observe(document, { subtree: true, childList: true, attributes: true, characterData: true })")
    assert waited(browser, "return changes", 1200) == 0
