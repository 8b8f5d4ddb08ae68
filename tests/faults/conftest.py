"""The fixtures of tests/trained.py for faults, too: a small run, and a fresh copy of it as the working folder."""

from ..trained import home, trained

__all__ = ["home", "trained"]
