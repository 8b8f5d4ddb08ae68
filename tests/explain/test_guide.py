"""docs/explaining.md: its tables are those of the methods, each with its own words."""

from pathlib import Path

from cnncli.explain.methods import METHODS, Method

GUIDE = Path(__file__).parents[2] / "docs" / "explaining.md"


def row(method: Method) -> str:
    return f"| `{method.name}` | {method.says} | {method.passes} | {method.paper} |"


def test_every_method_has_its_line() -> None:
    """Those that are evidence in the first table, by name, the others in the second."""
    lines = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| `") and "---" not in line]
    order = sorted(METHODS.values(), key=lambda method: (not method.evidence, method.name))
    assert lines == [line for line in map(row, order)] + [], "\n".join(map(row, order))
