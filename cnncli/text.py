"""Names of files and classes as they may be shown to a person: on one line, without control characters, encodable
and not too long. Used by everything that prints or draws; what goes into JSON and CSV stays as it is.
"""

import unicodedata

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def one_line(text: str) -> str:
    """Return text with whatever would break the line, or the terminal, written as an escape: "a\\nb", "\\x1b"."""
    return text if text.isprintable() else "".join(_shown(char) for char in text)


def shorten(text: str, limit: int) -> str:
    """Return text in at most limit characters, the middle replaced by "…" where it is longer."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return text[: limit - 1 - tail] + "…" + text[len(text) - tail :]


def _shown(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, as os.fsdecode hands it out
        return f"\\x{code - 0xDC00:02x}"
    return _ESCAPES.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else
                                  f"\\U{code:08x}")
