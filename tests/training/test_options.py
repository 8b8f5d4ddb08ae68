"""training/options.py: each number just within its bounds is taken, and just beyond them refused by its name."""

from typing import Any

import pytest

from cnncli.errors import UsageError
from cnncli.training.options import LARGEST_SIZE, Options


@pytest.mark.parametrize(("option", "good", "bad", "words"), [
    ("size", [1, LARGEST_SIZE, (1, LARGEST_SIZE), [9, 7]], [0, LARGEST_SIZE + 1, (0, 9), (9, 0), 2.5, (9, 2.5), "9"],
     "size"),
    ("epochs", [1, 1000], [0, -1, 1.5, True], "epochs"), ("batch_size", [1, 4096], [0, 1.5], "batch size"),
    ("patience", [1, 50], [0, 0.5], "patience"), ("seed", [0, 1], [-1, 0.5], "seed"),
    ("split_seed", [0, 1], [-1, 0.5], "split seed"), ("lr", [1e-9, 10], [0, -1, float("nan"), float("inf")], "rate"),
    ("warmup", [0, 0.5, 3], [-0.1, float("nan")], "warm-up"), ("ema", [0, 0.5, 1], [-0.1, 1.1], "averaged part"),
])
def test_bounds(option: str, good: list[Any], bad: list[Any], words: str) -> None:
    for value in good:
        assert getattr(Options(**{option: value}), option) == value
    for value in bad:
        with pytest.raises(UsageError, match=words):
            Options(**{option: value})
