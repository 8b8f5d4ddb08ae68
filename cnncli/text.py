"""Names of files and classes as they may be shown to a person: on one line, without control characters, encodable
and not too long. Used by everything that prints or draws; what goes into JSON and CSV stays as it is.
"""

from .errors import printable as one_line


def shorten(text: str, limit: int) -> str:
    """Return text in at most limit characters, the middle replaced by "…" where it is longer."""
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return text[: limit - 1 - tail] + "…" + text[len(text) - tail :]


__all__ = ["one_line", "shorten"]
