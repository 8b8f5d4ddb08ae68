"""The fixtures ``words``, what was written on a picture, ``strokes``, all that was drawn, ``browser``, where pages
open, and ``home``, a small trained run in a folder of its own."""

from ..trained import home, trained
from ..words import words
from .browser import browser
from .strokes import strokes

__all__ = ["browser", "home", "strokes", "trained", "words"]
