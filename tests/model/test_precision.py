"""model/precision.py: what is asked for, what is taken, what is said of it, and how speeds are measured."""

from collections.abc import Callable

import numpy as np
import pytest

from cnncli import kernels
from cnncli.errors import UsageError
from cnncli.model import precision
from cnncli.model.precision import Chosen, decide, forward_speeds, in_precision, in_turns, wanted
from cnncli.network import storage

from ..small_model import small_model, weights


def having(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Let kernels seem to have such instructions."""
    monkeypatch.setattr(kernels, "words", lambda: frozenset(words))


def never() -> dict[precision.Precision, float]:
    raise AssertionError("nothing is to be measured")


def test_what_is_asked_for_is_given_or_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNN_PRECISION", raising=False)
    assert wanted() is None
    assert wanted("auto") == "auto"
    monkeypatch.setenv("CNN_PRECISION", "bfloat16")
    assert wanted() == "bfloat16"
    assert wanted("float32") == "float32", "the variable is for those who say nothing"
    monkeypatch.setenv("CNN_PRECISION", "")
    assert wanted() is None
    monkeypatch.setenv("CNN_PRECISION", "int8")
    with pytest.raises(UsageError, match=r"^CNN_PRECISION=int8 cannot be used; give auto, float32 or bfloat16\.$"):
        wanted()
    assert wanted("auto") == "auto"
    with pytest.raises(UsageError, match=r"^there is no precision 'half'; give one of auto, float32, bfloat16\.$"):
        wanted("half")


@pytest.mark.parametrize(("speeds", "taken"), [((100, 106), "bfloat16"), ((100, 105), "bfloat16"),
                                               ((100, 104), "float32"), ((100, 60), "float32")])
def test_bfloat16_is_taken_if_it_is_clearly_faster(speeds: tuple[float, float], taken: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, "bf16", "vnni")
    measured = decide("auto", lambda: {"float32": speeds[0], "bfloat16": speeds[1]})
    assert (measured.asked, measured.precision) == ("auto", taken)
    how = "is" if taken == "bfloat16" else "is not"
    assert measured.sentence == (f"Precision: {taken}, because bfloat16 {how} clearly faster here: {speeds[1]} images "
                                 f"a second, {speeds[0]} in float32.")
    assert measured.config() == {"asked": "auto", "chosen": taken, "rounding": "pairs",
                                 "images_per_second": {"float32": speeds[0], "bfloat16": speeds[1]}}


def test_nothing_is_measured_where_it_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    having(monkeypatch, "vnni")
    found = decide("auto", never)
    assert found == Chosen("auto", "float32")
    assert found.sentence == "Precision: float32, because there are no instructions for bfloat16 here."
    assert found.config() == {"asked": "auto", "chosen": "float32", "rounding": "floats", "images_per_second": None}
    assert decide("float32", never).sentence == "Precision: float32, as asked."
    asked = decide("bfloat16", never)
    assert asked == Chosen("bfloat16", "bfloat16")
    assert asked.sentence == ("Precision: bfloat16, as asked. There are no instructions for it here, so it saves "
                              "memory, but no time.")
    having(monkeypatch, "bf16")
    assert decide("bfloat16", never).sentence == "Precision: bfloat16, as asked."
    having(monkeypatch, "bf16_plain")  # the same bits, slower
    assert decide("auto", never).config() == {**found.config(), "rounding": "pairs"}


def test_the_names_are_those_of_networks() -> None:
    assert precision.PRECISIONS == storage.PRECISIONS


def test_small_speeds_keep_their_digits() -> None:
    said = Chosen("auto", "bfloat16", {"float32": 0.1234, "bfloat16": 12345.6}).sentence
    assert said.endswith(" here: 12,346 images a second, 0.123 in float32.")


class Hours:
    """A clock that work moves on: each kind of it takes its seconds, but for turns in which the machine is busy."""

    def __init__(self, busy: tuple[int, ...] = ()) -> None:
        self.now, self.made, self._busy = 0.0, list[str](), busy

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.made.append(name)
            self.now += seconds * (10 if len(self.made) in self._busy else 1)

        return run


def test_the_precisions_are_timed_in_turns() -> None:
    clock = Hours()
    found = in_turns({"float32": clock.work("a", 0.5), "bfloat16": clock.work("b", 0.25)}, 16, clock)
    assert found == {"float32": 32, "bfloat16": 64}
    assert "".join(clock.made) == "ab" * 5, "once to begin with, and then until three seconds have passed"
    clock = Hours()
    in_turns({"float32": clock.work("a", 50), "bfloat16": clock.work("b", 50)}, 16, clock)
    assert len(clock.made) == 2 * (1 + precision.FEWEST)
    clock = Hours()
    in_turns({"float32": clock.work("a", 0), "bfloat16": clock.work("b", 0)}, 16, clock)
    assert len(clock.made) == 2 * (1 + precision.MOST)


def test_a_busy_moment_does_not_decide() -> None:
    """Of the first time, which touches the arrays, and of one turn of five."""
    clock = Hours(busy=(1, 2, 5))
    found = in_turns({"float32": clock.work("a", 0.25), "bfloat16": clock.work("b", 0.25)}, 1, clock)
    assert found == {"float32": 4, "bfloat16": 4}


def test_forward_passes_are_measured_with_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def timed(work: dict[str, Callable[[], object]], images: int, clock: object) -> dict[str, float]:
        for name, each in work.items():
            network = each.func.__self__  # type: ignore[attr-defined]
            computed.append((name, network.precision, each().shape))  # type: ignore[attr-defined]
        return {"float32": images, "bfloat16": images}

    monkeypatch.setattr(precision, "in_turns", timed)
    model = small_model()
    before = {name: array.copy() for name, array in weights(model).items()}
    assert forward_speeds(model.network) == {"float32": 64, "bfloat16": 64}
    assert computed == [("float32", "float32", (64, 3)), ("bfloat16", "bfloat16", (64, 3))]
    assert model.network.precision == "float32"
    assert all(np.array_equal(array, before[name]) for name, array in weights(model).items())


def test_a_copy_has_the_precision_and_the_network_keeps_its_own() -> None:
    network = small_model().network
    assert in_precision(network, "bfloat16").precision == "bfloat16"
    assert network.precision == "float32"
