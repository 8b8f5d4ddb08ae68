"""The fixtures ``words``, what was written on a picture, and ``home``, a small trained run in a folder of its own."""

from ..trained import home, trained
from ..words import words

__all__ = ["home", "trained", "words"]
