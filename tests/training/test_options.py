"""training/options.py: each number just within its bounds is taken, and just beyond them refused by its name."""

import json
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.training.options import LARGEST_SIZE, Options, seconds_of


@pytest.mark.parametrize(("option", "good", "bad", "words"), [
    ("size", [1, LARGEST_SIZE, (1, LARGEST_SIZE), (9, 7)], [0, LARGEST_SIZE + 1, (0, 9), (9, 0), 2.5, (9, 2.5), "9"],
     "size"),
    ("epochs", [1, 1000], [0, -1, 1.5, True], "epochs"), ("batch_size", [1, 4096], [0, 1.5], "batch.size"),
    ("patience", [1, 50], [0, 0.5], "patience"), ("seed", [0, 2**63 - 1], [-1, 0.5, 2**63], "seed"),
    ("split_seed", [0, 2**63 - 1], [-1, 0.5, 2**63], "split.seed"),
    ("lr", [1e-9, 10], [0, -1, float("nan"), float("inf")], "rate"),
    ("warmup", [0, 0.5, 3], [-0.1, float("nan")], "warm-up"), ("ema", [0, 0.5, 1], [-0.1, 1.1], "averaged part"),
])
def test_bounds(option: str, good: list[Any], bad: list[Any], words: str) -> None:
    for value in good:
        assert getattr(Options(**{option: value}), option) == value
    for value in bad:
        with pytest.raises(UsageError, match=words):
            Options(**{option: value})


def test_bounds_are_said() -> None:
    for option, value, words in (("epochs", 0, "the epochs must be a whole number of at least 1, not 0."),
                                 ("size", 4097, "the size must be a whole number from 1 to 4096, not 4097."),
                                 ("lr", 0, "the learning rate must be a finite number above 0, not 0."),
                                 ("ema", 2, "the averaged part must be a finite number of at least 0 and of at most 1, "
                                            "not 2."),
                                 ("warmup", -1, "the warm-up must be a finite number of at least 0, not -1.")):
        with pytest.raises(UsageError) as caught:
            Options(**{option: value})
        assert str(caught.value) == words


def test_a_thousand_days_are_the_longest_time() -> None:
    assert seconds_of("24000h") == seconds_of(24000 * 3600) == 86_400_000
    with pytest.raises(UsageError):
        seconds_of(24000 * 3600 + 1)


def test_what_is_given_is_told_from_what_is_left_to_us() -> None:
    assert Options().given() == Options(arch="auto", augment="auto", probe=False).given() == {}
    options = Options(seed=0, freeze="none", class_weights=[1, 2], range="0:9")
    assert options.given() == options.config() == {
        "seed": 0, "freeze": 0, "class_weights": [1, 2], "range": (0.0, 9.0)}
    named = Options(class_weights=MappingProxyType({"cat": np.float32(2), 7: 1}))
    assert json.loads(json.dumps(named.config())) == {"class_weights": {"cat": 2.0, "7": 1}}
    assert Options(**named.config()) == named
    seeds: list[dict[str, Any]] = [{}, {"seed": 4}, {"split_seed": 0, "seed": 4}, {"split_seed": 3}]
    assert [Options(**given).drawn_by for given in seeds] == [0, 4, 0, 3]
