"""docs/explaining.md: its tables are those of the methods, each with its own words."""

from pathlib import Path

from cnncli.explain.methods import METHODS, Method

GUIDE = Path(__file__).parents[2] / "docs" / "explaining.md"


def row(method: Method) -> str:
    return f"| `{method.name}` | {method.says} | {method.passes} | {method.paper} |"


def test_every_method_has_its_line() -> None:
    """Those that are evidence in the first table, by name, the others in the second."""
    lines = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    order = sorted(METHODS.values(), key=lambda method: (not method.evidence, method.name))
    wanted = [row(method) for method in order]
    assert [line for line in lines if not line.startswith("| `--method`")] == wanted, "\n".join(wanted)
