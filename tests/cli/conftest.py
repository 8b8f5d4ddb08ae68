"""The fixture ``place``: a small trained run in a folder of its own, and `cnn` in it. And whatever a command's message
advises in any test can be typed."""

from collections.abc import Iterator

import pytest

from .advised import watched, wrong
from .looking import home, place, trained

__all__ = ["advice_can_be_typed", "home", "place", "trained"]


@pytest.fixture(autouse=True)
def advice_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found: list[str] = []
    watched(monkeypatch, lambda text, running: found.extend(filter(None, [wrong(text, running)])))
    yield
    assert found == []
