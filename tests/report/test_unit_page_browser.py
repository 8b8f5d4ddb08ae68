"""The page of a layer's filters in a real browser: it opens without an error, asks for nothing and fits; its pictures
are had by the keyboard, and the filters of one class alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from ..explain.test_unit_sheet import explained, unit_of
from .test_unit_page import page

FOCUS = "return document.activeElement.alt || document.activeElement.id || document.activeElement.tagName"
OPEN = "return document.getElementById('picture').open"
SEEN = "return [...document.querySelectorAll('.filter:not([hidden]) h3')].map((each) => each.textContent)"


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    units = [replace(unit_of(i, 9), classes=[(f"class {i % 3}", 1.0), ("<b>", 0.5)]) for i in range(9)]
    units.append(replace(unit_of(9, 9), values=[0.0] * 9, classes=[]))
    path = tmp_path / "units-conv2.html"
    path.write_bytes(page(explained(*units)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 360, 800, 1200])
def test_it_opens_and_fits(browser, ten: Path, width: int) -> None:
    for dark in (False, True):
        browser.open(ten, (width, 740), dark=dark)
        assert browser.run("return document.documentElement.scrollWidth") <= width
        paper = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper.strip("rgb()").split(","))) < 150) == dark
    assert browser.requests() == [ten.as_uri()]
    assert browser.errors() == []
    broken = browser.run("""return Promise.all([...document.images].map((i) => i.decode().then(() => i.naturalWidth)))
        .then((widths) => widths.filter((width) => !width).length)""")
    assert broken == 0
    across = browser.run("""document.getElementById('filter-0').scrollIntoView();
        return [...document.querySelectorAll('#filter-0 .patches img')]
        .filter((each, i, all) => each.getBoundingClientRect().top === all[0].getBoundingClientRect().top).length""")
    assert (across == 9) if width > 860 else (3 <= across <= 9), across


@pytest.mark.slow
def test_the_keyboard_does_all_of_it(browser, ten: Path) -> None:
    from selenium.webdriver import Keys

    browser.open(ten)
    for _ in range(4):
        browser.press(Keys.TAB)
        if browser.run(FOCUS).startswith("filter 0"):
            break
    assert browser.run(FOCUS) == "filter 0, number 1: 3.5 in 0.png"
    assert browser.run("return document.activeElement.getAttribute('role')") == "button"
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert browser.run(FOCUS) == "filter 0, number 2: 2.5 in 1.png"
    browser.press(Keys.ENTER)
    assert browser.run(OPEN)
    words = browser.run("return document.getElementById('picture-words').textContent")
    assert words == ("2.51.pngcolumns 1 to 8 and rows 1 to 8 of 30 x 28below: what the filter reacts to; its full "
                     "colours stand for 0.5")
    assert browser.run("return document.querySelector('#picture img').getBoundingClientRect().height") > 300
    browser.press(Keys.ESCAPE)
    assert not browser.run(OPEN)
    browser.press(Keys.END)
    assert browser.run(FOCUS) == "image made to excite filter 0: 9.25"
    browser.press(Keys.ARROW_RIGHT, Keys.TAB)
    assert browser.run(FOCUS) == "filter 1, number 1: 3.5 in 0.png", "a filter is one stop"
    browser.press(Keys.HOME, Keys.ARROW_LEFT)
    assert browser.run(FOCUS) == "filter 1, number 1: 3.5 in 0.png"
    assert browser.errors() == []


@pytest.mark.slow
def test_filters_of_one_class_alone(browser, ten: Path) -> None:
    browser.open(ten)
    choose = """const chosen = document.getElementById('class');
        chosen.value = [...chosen.options].find((each) => each.textContent === arguments[0]).value;
        chosen.dispatchEvent(new Event('change')); return document.getElementById('shown').textContent"""
    assert len(browser.run(SEEN)) == 10
    assert browser.run("return [...document.getElementById('class').options].map((each) => each.textContent)") == [
        "any class", "<b>", "class 0", "class 1", "class 2"]
    assert browser.run(choose, "class 1") == "3 of 10 filters"
    assert browser.run(SEEN) == ["Filter 1", "Filter 4", "Filter 7"]
    assert browser.run(choose, "<b>") == "9 of 10 filters"
    assert browser.run(choose, "any class") == "10 of 10 filters"
    assert browser.run("return document.querySelector('label[for=class]').textContent") == "Only filters that speak for"


@pytest.mark.slow
def test_everything_has_a_name_for_who_cannot_see_it(browser, ten: Path) -> None:
    browser.open(ten)
    names = browser.run("return [...document.querySelectorAll('.filter')].map((each) => each.getAttribute("
                        "'aria-labelledby')).map((id) => document.getElementById(id).textContent)")
    assert names == [f"Filter {i}" for i in range(10)]
    assert browser.run("return [...document.querySelectorAll('img, button')].every((each) => each.alt || "
                       "each.getAttribute('aria-label') || each.textContent.trim())")
    assert browser.run("return document.getElementById('shown').getAttribute('role')") == "status"
    assert browser.run("return document.querySelectorAll('[tabindex=\"0\"]').length") == 10
