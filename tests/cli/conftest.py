"""The fixture ``place``: a small trained run in a folder of its own, and `cnn` in it."""

from .looking import home, place, trained

__all__ = ["home", "place", "trained"]
