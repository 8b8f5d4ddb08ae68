"""data/dealing.py: parts of a list of images, as --shard deals them."""

from collections.abc import Iterator

import pytest

from cnncli.data.dealing import check_shard, count, dealt, digest_of, shard_of
from cnncli.data.finding import Missing
from cnncli.errors import UsageError


@pytest.mark.parametrize("images", [0, 1, 5, 8, 17])
@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_each_image_is_in_one_part(images: int, of: int) -> None:
    whole = list(range(images))
    parts = [list(dealt(whole, (part, of))) for part in range(1, of + 1)]
    assert [parts[i % of][i // of] for i in whole] == whole
    assert [len(each) for each in parts] == [count(images, (part, of)) for part in range(1, of + 1)]
    assert sum(map(len, parts)) == images
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert parts == [list(dealt(iter(whole), (part, of))) for part in range(1, of + 1)]


def test_a_source_that_never_ends_is_dealt() -> None:
    def numbers() -> Iterator[int]:
        number = 0
        while True:
            number += 1
            yield number

    found = iter(dealt(numbers(), (3, 8)))
    assert [next(found) for _ in range(3)] == [3, 11, 19]


@pytest.mark.parametrize(("text", "shard"), [("3/8", (3, 8)), ("1/1", (1, 1)), ("8/8", (8, 8)), ("007/010", (7, 10))])
def test_what_is_typed(text: str, shard: tuple[int, int]) -> None:
    assert shard_of(text) == shard


@pytest.mark.parametrize(("text", "said"), [
    ("0/8", "shard: there is no part 0 of 8; parts are counted from 1 to 8."),
    ("9/8", "shard: there is no part 9 of 8; parts are counted from 1 to 8."),
    ("1/0", "shard: images cannot be divided into 0 parts; give 1 or more."),
    *((text, f"shard must be the number of a part and how many there are, like 3/8, not '{text}'.")
      for text in ("a/b", "3", "3/", "/8", "-1/8", "3/8/9", "1.5/8", " 3/8", "3/8\n".replace("\n", " "), "٣/٨",
                   "1/9999999999"))])
def test_what_makes_no_sense(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        shard_of(text)
    assert str(refused.value) == said


@pytest.mark.parametrize("shard", [(3,), (1, 2, 3), (1.0, 2), (True, 2), ("3", "8")])
def test_what_is_no_shard_in_python(shard: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="shard must be two whole numbers, the part and how many there are, like"):
        check_shard(shard)


def test_the_digest_is_of_names_in_order() -> None:
    lists = [["a", "b"], ["b", "a"], ["ab"], ["a"], ["a", "b\udcff"], []]
    assert len({digest_of(each) for each in lists}) == len(lists)
    assert digest_of(["a", Missing("b", "not there")]) == digest_of(["a", "b"])
