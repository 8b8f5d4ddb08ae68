"""The fixture ``words``: what was written on a picture."""

from tests.words import words

__all__ = ["words"]
