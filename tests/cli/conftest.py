"""The fixture ``words``: what was written on a picture."""

from .looking import place, trained

__all__ = ["place", "trained"]
