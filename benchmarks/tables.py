"""Markdown tables: what a measurement prints, ready to stand in docs/performance.md."""

from collections.abc import Sequence
from typing import Any


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with its columns aligned; the first one is text, the others stand to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        parts = [cell.rjust(width) if i else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(row, widths, strict=True))]
        return "| " + " | ".join(parts) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(list(columns)), rule, *map(line, cells)])


def number(value: float) -> str:
    """Three digits that mean something: 0.0493, 4.21, 38.9, 12,346."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def spread(figure: dict[str, Any]) -> str:
    """A figure with its quartiles: 430 (425 to 433)."""
    return f"{number(figure['median'])} ({number(figure['low'])} to {number(figure['high'])})"


def ratio(comparison: dict[str, Any] | None) -> tuple[str, str]:
    """The cells "ratio" and "goal"; a goal that is missed has a mark."""
    if comparison is None:
        return "-", "-"
    ratio = f"{comparison['ratio']:.2f} ({comparison['low']:.2f} to {comparison['high']:.2f})"
    if comparison["goal"] is None:
        return ratio, "-"
    return ratio, f"{comparison['goal']:g}" + ("" if comparison["reached"] else " missed")
