"""The page of `cnn test` in a real browser: it opens without an error and asks for nothing, its cells show their images
by mouse and by keyboard, it fits a phone and follows the system into the dark."""

import pytest

from cnncli.report import page

from .looks import HOSTILE, evaluation, names, pixels

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ROW = "return document.activeElement.parentElement.rowIndex"
FOCUS = "const a = document.activeElement; return [a.parentElement.rowIndex, a.cellIndex]"
OPEN = "return document.getElementById('images').open"
SHOWN = """return [document.getElementById('images-title').textContent,
    ...[...document.querySelectorAll('#images-gallery .file')].map((name) => name.textContent)]"""


@pytest.fixture(scope="module")
def found():
    return evaluation(TEN, 800, sure=1.5)


@pytest.fixture(scope="module")
def ten(found, tmp_path_factory):
    """A page of ten classes, alone in its folder."""
    return page.write(found, tmp_path_factory.mktemp("page") / "report.html", title="Test of a", pixels=pixels(found),
                      names=names(found))


def cell(browser, row, column):
    return browser.find(f".matrix tbody tr:nth-child({row + 1}) td:nth-child({column + 2})")


def files(found, row, column):
    """The names in a cell, in order."""
    own = [i for i in range(found.image_count) if (found.labels[i], found.guesses[i]) == (row, column)]
    own.sort(key=lambda i: found.confidences[i] if row == column else -found.confidences[i])
    return [names(found)[i] for i in own[: page.A_CELL]]


@pytest.mark.slow
def test_it_opens_without_error_or_request_and_shows_every_image(browser, ten):
    browser.open(ten)
    assert browser.requests() == [ten.as_uri()]
    assert browser.errors() == []
    assert browser.find("h1").text == "Test of a"
    broken = browser.run("""return Promise.all([...document.images].map((i) => i.decode().then(() => i.naturalWidth)))
        .then((widths) => widths.length && widths.filter((width) => !width).length)""")
    assert broken == 0
    browser.run("for (const button of document.querySelectorAll('.pairs button')) "
                "{ button.click(); document.getElementById('close').click(); }")
    assert browser.requests() == []
    assert browser.errors() == []


@pytest.mark.slow
def test_a_click_on_a_cell_shows_its_images(browser, ten, found):
    browser.open(ten)
    for row, column in ((2, 3), (4, 4), (9, 0)):
        assert cell(browser, row, column).text == str(found.confusion_matrix[row, column])
        cell(browser, row, column).click()
        title, *shown = browser.run(SHOWN)
        assert title == (f"{TEN[row]} taken for {TEN[column]}" if row != column else f"{TEN[row]}, recognised")
        assert shown == files(found, row, column)
        assert browser.run("return [...document.querySelectorAll('#images-gallery img')].every((i) => i.src)")
        browser.find("#close").click()
        assert not browser.run(OPEN)
        assert browser.run(FOCUS) == [row + 1, column + 1], "the focus is where it was"
    pair = browser.find(".pairs button")
    row, column = int(pair.get_attribute("data-row")), int(pair.get_attribute("data-column"))
    pair.click()
    assert browser.run(SHOWN)[1:] == files(found, row, column)
    assert browser.errors() == []


@pytest.mark.slow
def test_the_keyboard_does_all_of_it(browser, ten, found):
    from selenium.webdriver import Keys

    browser.open(ten)
    for _ in range(page.PAIRS + 3):
        browser.press(Keys.TAB)
        if browser.run("return document.activeElement.matches('.matrix td')"):
            break
    assert browser.run(FOCUS) == [1, 1], "the matrix is one stop of the Tab key"
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert browser.run(FOCUS) == [3, 2]
    browser.press(Keys.ENTER)
    assert browser.run(SHOWN) == ["bird taken for automobile", *files(found, 2, 1)]
    browser.press(Keys.ESCAPE)
    assert not browser.run(OPEN)
    assert browser.run(FOCUS) == [3, 2]
    browser.press(Keys.ARROW_UP, " ")
    assert browser.run(SHOWN) == ["automobile, recognised", *files(found, 1, 1)]
    browser.press(Keys.ENTER)  # on the button that closes
    assert not browser.run(OPEN)
    browser.press(Keys.END)
    assert browser.run(FOCUS) == [2, 10]
    browser.press(Keys.ARROW_RIGHT, Keys.HOME, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP)
    assert browser.run(FOCUS) == [1, 1], "the border is no way out"
    assert browser.run("return document.activeElement.getAttribute('aria-label')").startswith("airplane, recognised: ")
    browser.press(Keys.TAB)
    assert not browser.run("return document.activeElement.matches('.matrix td')")


@pytest.mark.slow
def test_classes_can_be_sorted(browser, ten, found):
    browser.open(ten)
    recall = browser.find(".classes thead th:nth-child(3) button")
    order = "return [...document.querySelectorAll('.classes tbody th')].map((name) => name.textContent)"
    assert browser.run(order) == TEN
    recall.click()
    expected = [c.name for c in sorted(found.classes, key=lambda c: c.recall)]
    assert browser.run(order) == expected, "the worst first"
    recall.click()
    assert browser.run(order)[0] == max(found.classes, key=lambda c: c.recall).name
    assert browser.find(".classes thead th:nth-child(3)").get_attribute("aria-sort") == "descending"
    browser.find(".classes thead th button").click()
    assert browser.run(order) == TEN


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_scrolling_to_the_side(browser, tmp_path, classes, width):
    many = evaluation([f"a long name of a class, number {i}" * (1 + 3 * (i == 1)) for i in range(classes)], 300)
    path = page.write(many, tmp_path / "r.html", title="A title-without-any-blank-to-break-it-at" * 3,
                      pixels=pixels(many), names=names(many), facts=[("model", "x" * 200)])
    browser.open(path, (width, 700))
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("document.querySelector('.matrix tbody td').click()")
    assert browser.run(OPEN)
    assert browser.run("const d = document.getElementById('images'); return d.getBoundingClientRect().right") <= width
    assert browser.run("const d = document.getElementById('images'); return d.scrollWidth - d.clientWidth") <= 0
    assert browser.errors() == []


@pytest.mark.slow
def test_light_and_dark(browser, ten):
    look = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"

    def brightness(colour):
        return sum(map(int, colour.strip("rgb()").split(",")))

    for dark in (False, True):
        browser.open(ten, dark=dark)
        paper, ink = map(brightness, browser.run(look))
        assert (paper < 150 and ink > 600) if dark else (paper == 765 and ink < 150)
        assert browser.errors() == []


@pytest.mark.slow
def test_hostile_names_stay_words(browser, tmp_path):
    bad = evaluation(HOSTILE, 150)
    path = page.write(bad, tmp_path / "r.html", title=HOSTILE[0], pixels=pixels(bad), names=names(bad))
    browser.open(path)
    assert browser.errors() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.find("h1").text == HOSTILE[0]
    browser.run("document.querySelectorAll('.matrix tbody tr')[0].cells[1].click()")
    title, *shown = browser.run(SHOWN)
    assert title == f"{HOSTILE[0]}, recognised"
    assert all(name.startswith(HOSTILE[0]) for name in shown)
    assert shown
    assert browser.run("return document.scripts.length") == 2
    assert browser.errors() == []


def test_the_policy_holds(browser, ten, tmp_path):
    """A script that somebody smuggles in does not run, and nothing can be sent anywhere."""
    smuggled = tmp_path / "r.html"
    smuggled.write_bytes(ten.read_bytes().replace(b"<main>", b"<main><script>document.title = 'taken'</script>"
                                                  b"<img src='https://example.invalid/x.png'>", 1))
    browser.open(smuggled)
    assert browser.run("return document.title") == "Test of a"
    assert len([e for e in browser.errors() if "Content Security Policy" in e]) >= 2
