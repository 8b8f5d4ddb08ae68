"""The page on a telephone, 360 pixels wide: no word is cut off without a sign and none lies on another; and a picture
that is clicked becomes large, without anything being asked for."""

import pytest

from cnncli.report import page

from .browser import PHONE
from .looks import evaluation, names, pixels

CLASSES = ["ankle boot", "Supercalifragilisticexpialidocious_of_a_name", "zwei\nZeilen mit einem langen Namen", "été"]
OPEN = "return document.getElementById('picture').open"
# Texts of the table of classes that reach beyond the window, or that another text of the table covers.
BEYOND = """
const width = document.documentElement.clientWidth, found = [];
const boxes = [...document.querySelectorAll('.classes tbody th span, .classes tbody td > *, .classes thead button')]
  .filter((each) => each.textContent.trim()).map((each) => [each.textContent.trim(), each.getBoundingClientRect()]);
for (const [words, box] of boxes) {
  if (box.left < 0 || box.right > width + 0.5) found.push(words + ' is cut off');
  for (const [others, other] of boxes)
    if (words !== others && box.left < other.right - 1 && other.left < box.right - 1
        && box.top < other.bottom - 1 && other.top < box.bottom - 1) found.push(words + ' lies on ' + others);
}
return found"""


@pytest.fixture
def report(tmp_path):
    found = evaluation(CLASSES, 120)
    return page.write(found, tmp_path / "report.html", title="Test of a", pixels=pixels(found), names=names(found))


@pytest.mark.slow
def test_nothing_is_cut_off_on_a_telephone(browser, report):
    browser.open(report, PHONE)
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    assert browser.run(BEYOND) == []
    assert browser.run("return [...document.querySelectorAll('.classes')].every((t) => t.scrollWidth <= t.clientWidth)")
    # Words that style puts before a number have no box that could be asked for.
    gap = "return getComputedStyle(document.querySelector('.classes tbody td:nth-child(4)')).columnGap"
    assert browser.run(gap) == "12px"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["click", "key"])
def test_a_picture_becomes_large(browser, report, how):
    browser.open(report, PHONE)
    small = browser.run("return document.querySelector('#worst .gallery img').getBoundingClientRect().width")
    if how == "click":
        browser.run("document.querySelector('#worst .gallery img').click()")
    else:
        browser.run("document.querySelector('#worst .gallery img').focus()")
        browser.press("\ue007")
    assert browser.run(OPEN)
    left, right, words = browser.run("""
        const box = document.querySelector('#picture img').getBoundingClientRect();
        return [box.left, box.right, document.getElementById('picture-words').textContent]""")
    assert 0 <= left < right <= PHONE[0]
    assert right - left > 2.5 * small
    assert "is " in words
    assert ".png" in words
    browser.run("document.querySelector('#picture .close').click()")
    assert not browser.run(OPEN)
    assert [url for url in browser.requests() if not url.startswith("file:")] == []
    assert browser.errors() == []


@pytest.mark.slow
def test_so_does_one_of_a_cell(browser, report):
    browser.open(report, PHONE)
    browser.run("document.querySelector('.matrix tbody td').click()")
    browser.run("document.querySelector('#images-gallery img').click()")
    assert browser.run(OPEN)
    assert browser.run("return document.querySelector('#picture img').src.startsWith('data:image/')")
    browser.run("document.querySelector('#picture img').click()")
    assert not browser.run(OPEN)
    assert browser.run("return document.getElementById('images').open")
