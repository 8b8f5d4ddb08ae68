"""docs/reliability.md: each promise names the tests that it rests on; they are there, and so called."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_a_promise_rests_on_is_there() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    file, named = "", 0
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(test_\w+)`", text):
        file = path or file
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"
        named += 1
    promises = [part for part in text.split("\n\n") if part.startswith("**")]
    assert named > 2 * len(promises)
    for promise in promises:
        assert "::test_" in promise or ".ci/run" in promise, promise
