from tests.words import words

__all__ = ["words"]
