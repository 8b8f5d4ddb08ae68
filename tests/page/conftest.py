"""The fixture ``browser``, where pages open, and ``asking``, a page whose engine runs whatever program it is given."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.page import write_page
from cnncli.page.program import program

from ..report.browser import browser

__all__ = ["browser"]

READY = "return ready.then(() => true)"
LOAD = """const [program, weights] = arguments;
    return ask('load', bytesOf('engine'), program, Uint8Array.from(atob(weights), (c) => c.charCodeAt(0)).buffer)
        .then(() => true)"""
JUDGE = """const [bytes, height, width] = arguments;
    return ask('judge', Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)), height, width)
        .then((found) => [[...found.logits], [...found.probabilities]])"""


@pytest.fixture(scope="session")
def asking(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model], Callable[..., Any]]:
    """``asking(model)`` gives the engine a model; what comes back judges an image, uint8 (h, w, 3): (logits,
    probabilities)."""
    path = tmp_path_factory.mktemp("engine") / "page.html"
    small = Model(architecture("lenet5", (28, 28, 1), 3, seed=0), list("abc"), Preprocessing((28, 28), grey=True))
    write_page(small, out=path)

    def give(model: Model) -> Callable[..., Any]:
        if browser.driver.current_url != path.as_uri():
            browser.open(path)
            browser.run(READY)
        made = program(model)
        browser.run(LOAD, made.described, base64.b64encode(made.weights).decode())

        def judge(image: Any) -> Any:
            rows, columns, _ = image.shape
            four = bytearray(4 * rows * columns)
            for k in range(3):
                four[k::4] = image[..., k].tobytes()
            return browser.run(JUDGE, base64.b64encode(four).decode(), rows, columns)
        return judge
    return give
