"""The fixture ``home``: a small trained run and its images, in a folder of their own."""

from ..trained import home, trained

__all__ = ["home", "trained"]
