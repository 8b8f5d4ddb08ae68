"""Names are shown on one line, whatever is in them."""

import os

import pytest

from cnncli.text import one_line, shorten


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name", "plain name"),
        ("帽子 ürün", "帽子 ürün"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred\x00", "\\x1b[31mred\\x00"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("a\u200eb\u2028", "a\\u200eb\\u2028"),
        ("\U000e0001", "\\U000e0001"),
        ("thin\u2009blank", "thin\u2009blank"),
    ],
)
def test_one_line(name, shown):
    assert one_line(name) == shown
    one_line(name).encode()


def test_shorten_keeps_both_ends():
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcde…hijk"
    assert len(shorten("x" * 99, 10)) == 10
