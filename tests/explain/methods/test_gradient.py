"""The gradient's largest absolute value in each pixel."""

import numpy as np
import pytest

from cnncli.explain.methods import METHODS

from .conftest import Plain, close, picks

RULES = {
    "gradient": lambda gradient, x: gradient * (x > 0),
    "guided": lambda gradient, x: np.maximum(gradient, 0) * (x > 0),
    "deconvnet": lambda gradient, x: np.maximum(gradient, 0),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", RULES)
def test_back_to_the_image(name, channels, asked):
    of = asked(channels=channels)
    plain = Plain(of.model.network)
    plain.logits(of.images)
    wanted = np.abs(plain.by_image(picks(of), RULES[name])).max(axis=3)
    assert wanted.max() > 0
    close(METHODS[name].compute(of).maps, wanted)


def test_what_is_no_evidence_says_so():
    assert {name for name, way in METHODS.items() if not way.evidence} == {"guided", "deconvnet"}
    assert all("not evidence" in METHODS[name].says for name in ("guided", "deconvnet"))


@pytest.mark.parametrize("name", RULES)
def test_maps_are_no_less_than_nothing(name):
    assert (METHODS[name].on, METHODS[name].signed) == ("image", False)
