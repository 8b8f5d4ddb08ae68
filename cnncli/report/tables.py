"""Tables for people: with lines and colours on a terminal, as plain aligned columns in a pipe or a file, where lines
would be in the way of grep and awk.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import printable

Column = tuple[str, str]  # heading; "left" or "right"
_BETWEEN, _NAME = 3, 12  # cells between two columns; what a column of names or words takes at least


def show(console: Any, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table on a rich console. Cells are shown as they are, on one line: no markup, no control characters.
    Where a terminal is too narrow for lines, it gets plain columns, which it wraps: rich would cut numbers off."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if console.is_terminal and _least_width(columns, cells) <= console.width:
        console.print(_ruled(columns, cells))
    else:
        console.file.writelines(line + "\n" for line in plain(columns, cells))


def _least_width(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> int:
    """Return the width that a table with lines needs, so that numbers are whole and names can be read."""
    from rich.cells import cell_len

    widths = [max(cell_len(line[i]) for line in [[heading for heading, _ in columns], *cells])
              for i in range(len(columns))]
    return sum(_BETWEEN + (width if justify == "right" else min(width, _NAME))
               for width, (_, justify) in zip(widths, columns, strict=True))


def _ruled(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in columns:
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold",
                         no_wrap=justify == "right")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def plain(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table without ruling, columns two blanks apart; wide characters count as two."""
    from rich.cells import cell_len

    lines = [[heading for heading, _ in columns], *cells]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    text = []
    for line in lines:
        padded = [
            " " * (width - cell_len(cell)) + cell if justify == "right" else cell + " " * (width - cell_len(cell))
            for cell, width, (_, justify) in zip(line, widths, columns, strict=True)
        ]
        text.append("  ".join(padded).rstrip())
    return text
