"""Every file that went wrong once, every good file, and some hundred damaged ones of each kind, the same each time;
`make fuzz` tries others."""

import random
from pathlib import Path

import pytest

from .mutate import mutated
from .targets import TARGETS, attempt, kept

DAMAGED = {"image": 1500, "model": 400, "archive": 400}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_taken(name: str, tmp_path: Path) -> None:
    for data in TARGETS[name].seeds():
        assert attempt(name, data, tmp_path) == ""


@pytest.mark.parametrize("name", TARGETS)
def test_what_went_wrong_once(name: str, tmp_path: Path) -> None:
    for data in kept(name):
        attempt(name, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_give_something_or_a_sentence(name: str, tmp_path: Path,
                                                    capfd: pytest.CaptureFixture[str]) -> None:
    rng, seeds = random.Random(name), [*TARGETS[name].seeds(), *kept(name)]
    refused = 0
    for i in range(DAMAGED.get(name, 200)):
        data = mutated(rng.choice(seeds), seeds, rng)
        try:
            refused += bool(attempt(name, data, tmp_path))
        except BaseException as error:
            raise AssertionError(f"{name}, the {i}th: {error!r}; {data[:200]!r}") from error
    assert refused, "nothing was damaged"
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == "" or name == "image", "libtiff speaks of damage in packed TIFFs, which nobody can forbid it"
