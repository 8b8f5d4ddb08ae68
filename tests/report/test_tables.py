"""Tables: lines and colours only on a terminal, names as they are."""

import io

import pytest
from rich.console import Console

from cnncli.report import tables

COLUMNS = (("class", "left"), ("images", "right"))
ROWS = (("cat", 5), ("帽子", 1000), ("[bold]x[/bold]", 7), ("new\nline", 0))


def shown(terminal):
    out = io.StringIO()
    tables.show(Console(file=out, force_terminal=terminal, width=60, markup=False, color_system=None), COLUMNS, ROWS)
    return out.getvalue()


def test_plain_columns_are_aligned_and_easy_to_cut():
    assert shown(False).splitlines() == [
        "class           images",
        "cat                  5",
        "帽子              1000",
        "[bold]x[/bold]       7",
        "new\\nline            0",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_cells_are_shown_as_they_are(terminal):
    text = shown(terminal)
    assert "[bold]x[/bold]" in text
    assert "new\\nline" in text
    assert "帽子" in text
    assert ("─" in text) == terminal


@pytest.mark.parametrize("width", [20, 12, 27, 28, 60])
def test_a_narrow_terminal_cuts_no_number_off(width):
    out = io.StringIO()
    columns = (("class", "left"), ("recall", "right"), ("images", "right"))
    tables.show(Console(file=out, force_terminal=True, width=width, markup=False, color_system=None), columns,
                [("cat", "100.0%", "1,000"), ("大きい", "33.3%", "12")])
    text = out.getvalue()
    for cell in ("100.0%", "1,000", "33.3%", "12", "大きい", "recall"):
        assert cell in text
