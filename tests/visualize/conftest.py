from tests.pictures import words

__all__ = ["words"]
