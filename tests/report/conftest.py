"""The fixtures ``words``, what was written on a picture, and ``browser``, where pages open."""

from ..words import words
from .browser import browser

__all__ = ["browser", "words"]
