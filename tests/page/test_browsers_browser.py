"""The page in browsers that cannot run it: they say so in a sentence, and nothing else is there to be tried in vain."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cnncli.page import write_page

from ..report.browser import Browser, started
from .test_page_browser import model_of, opened

pytestmark = pytest.mark.slow
SENTENCE = "This browser cannot run this page. The page needs JavaScript, WebAssembly"
SAID = """return new Promise((done) => { const look = () => document.documentElement.className || !unable.innerText
    ? setTimeout(look, 20) : done([unable.innerText, document.querySelector('main').checkVisibility()]); look(); })"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(model_of("lenet5"), (), path)
    return path


@pytest.mark.parametrize("flag", ["--js-flags=--jitless", "--js-flags=--no-enable-sse4-1 --no-enable-avx"],
                         ids=["no WebAssembly", "no SIMD"])
def test_without_what_it_takes_a_page_says_so(flag: str, page: Path) -> None:
    with started(flag) as browser:
        browser.open(page)
        words, shows = browser.run(SAID)
        assert words.startswith(SENTENCE)
        assert "WebAssembly" in words.split(" The browser says: ")[1]
        assert not shows
        assert browser.errors() == []


@contextmanager
def without_scripts(browser: Browser) -> Iterator[None]:
    switch = "Emulation.setScriptExecutionDisabled"
    browser.driver.execute_cdp_cmd(switch, {"value": True})
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd(switch, {"value": False})


def test_without_scripts_a_page_says_so(browser: Any, page: Path) -> None:
    with without_scripts(browser):
        browser.open(page)
        time.sleep(1.2)  # where scripts run, nobody sees it
        assert browser.find("#unable").text.startswith(SENTENCE)
        assert not browser.find("main").is_displayed()
        assert not browser.find("#begin").is_displayed()


def test_a_browser_that_runs_it_shows_no_such_sentence(browser: Any, page: Path) -> None:
    opened(browser, page)
    assert not browser.find("#unable").is_displayed()


def test_a_damaged_page_says_so(browser: Any, page: Path, tmp_path: Path) -> None:
    """As a mail program leaves it that cuts what is long."""
    text, begin = page.read_text(encoding="utf-8"), '<script type="text/plain" id="engine">'
    at = text.index(begin) + len(begin) + 4000
    (tmp_path / "page.html").write_text(text[:at] + "AAAA" * 200 + text[at + 800:], encoding="utf-8")
    browser.open(tmp_path / "page.html")
    words, shows = browser.run(SAID)
    assert words.startswith(SENTENCE)
    assert not shows
