"""tests/mutants.toml: each accepted change is still about a line that is there, and says why."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
ENTRIES = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))["accepted"]


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.get('file', 'any')}: {entry['was']}")
def test_every_accepted_change_is_of_a_line_that_is_there(entry: dict[str, Any]) -> None:
    assert entry.keys() <= {"file", "was", "becomes", "kind", "why"}
    assert len(entry["why"]) > 20
    re.compile(entry.get("becomes", ""))
    path = ROOT / entry.get("file", "cnncli")
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert any(re.search(entry["was"], line.strip()) for file in files
               for line in file.read_text(encoding="utf-8").splitlines())
