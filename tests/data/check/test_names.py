"""data/check/names.py: names that are nearly the same, found by looking them up."""

import sys
from itertools import product
from types import FrameType

import pytest

from cnncli.data.check import names


@pytest.mark.slow
def test_names_are_looked_up_and_not_compared_with_all_others() -> None:
    """Work counted in lines of Python: twice the classes, hardly more than twice the work."""
    alphabet = "abcdefghijklmnopqrst"
    every = ["".join(letters) + "ing" for letters in product(alphabet, repeat=5)]

    def lines(count: int) -> int:
        counted, own = 0, names.__file__

        def watch(frame: FrameType, event: str, _: object) -> object:
            nonlocal counted
            counted += event == "line"
            return watch if frame.f_code.co_filename == own else None

        chosen = every[:: len(every) // count][:count]
        before = sys.gettrace()
        sys.settrace(watch)
        try:
            list(names.similar(chosen))
        finally:
            sys.settrace(before)
        return counted

    assert lines(400) < 2.2 * lines(200)


def test_several_names_that_are_nearly_the_same() -> None:
    assert list(names.similar(["cat", "Cat", "CAT", "dog", "cats", "sneaker", "snaeker"])) == [
        (("CAT", "Cat", "cat"), "the same but for capitals or the way its letters are encoded."),
        (("CAT", "cats"), "the same but for an s."),
        (("snaeker", "sneaker"), "the same but for one letter more, or two swapped.")]


FOLDED, BARE, PLURAL, SLIP = ("the same but for capitals or the way its letters are encoded.",
                              "the same but for blanks, punctuation or accents.", "the same but for an s.",
                              "the same but for one letter more, or two swapped.")


@pytest.mark.parametrize(("one", "other", "why"), [
    ("Cat", "cat", FOLDED), ("\u00e9t\u00e9", "e\u0301te\u0301", FOLDED), ("\ufb01n", "fin", FOLDED),
    ("red_fox", "redfox", BARE), ("red fox", "red-fox", BARE), ("\u00e9te", "ete", BARE), ("cat", "cats", PLURAL),
    ("ab", "abs", PLURAL), ("a", "as", ""), ("s", "ss", ""), ("sss", "ssss", ""), ("?", "!", ""),
    ("planes", "plane", PLURAL), ("sneaker", "sneakers", PLURAL), ("sneaker", "snaeker", SLIP),
    ("sneaker", "sneeaker", SLIP), ("sneaker", "neaker", SLIP), ("sneaker", "sneake", SLIP), ("bottle", "ottle", ""),
    ("bottle", "bottel", SLIP), ("bottl", "botlt", ""), ("bottle", "ebottl", ""), ("bottle1", "bottle12", ""),
    ("bottle", "bottxe", ""), ("flower", "folwre", "")])
def test_which_names_are_nearly_the_same(one: str, other: str, why: str) -> None:
    found = [(tuple(sorted([one, other])), why)] if why else []
    assert list(names.similar([one, other])) == found
    assert list(names.similar([other, one, "something else"])) == found
