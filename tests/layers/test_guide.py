"""docs/networks.md: its table has every layer with its options, defaults and meaning, as the code has them."""

import inspect
import re
from pathlib import Path

from cnncli.layers import Layer

from .cases import OURS

GUIDE = Path(__file__).parents[2] / "docs" / "networks.md"


def rows(name: str, kind: type[Layer]) -> list[str]:
    """A row for the layer, and one for each option."""
    about, _, options = inspect.cleandoc(kind.__doc__ or "").partition("\n\nArgs:\n")
    meanings = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", options, re.MULTILINE))
    summary = re.sub(r"\s+", " ", about.split("\n\n")[0]).replace("*", "\\*").replace("|", "\\|")
    table = [f"| `{name}` | | | {summary} |"]
    for option in inspect.signature(kind).parameters.values():
        meaning = re.sub(r"\s+", " ", meanings[option.name])
        required = option.default is inspect.Parameter.empty or (option.name.startswith("out_") and option.default == 0)
        table.append(f"| | `{option.name}` | {'must be given' if required else shown(option.default)} | {meaning} |")
    return table


def shown(default: object) -> str:
    return f"`{default}`".lower() if isinstance(default, bool) else "none" if default is None else (
        f'`"{default}"`' if isinstance(default, str) else f"`{default:g}`")


def test_every_layer_has_its_rows() -> None:
    wanted = [row for name, kind in sorted(OURS.items()) for row in rows(name, kind)]
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    start = lines.index("| layer | option | default | meaning |") + 2
    assert lines[start : start + len(wanted)] == wanted, "\n".join(wanted)
    assert not lines[start + len(wanted)].startswith("|")
