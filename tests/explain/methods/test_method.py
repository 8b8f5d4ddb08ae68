"""What is said of each method, what picks a class out of the logits, and sums over channels."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli.explain.methods import METHODS, Found
from cnncli.explain.methods.method import method, summed

WHERE = {  # where the maps lie, whether they can be below 0, and whether they are evidence
    "hirescam": ("layer", True, True), "gradcam": ("layer", True, True), "finercam": ("layer", True, True),
    "gradcamplusplus": ("layer", False, True), "layercam": ("layer", False, True), "scorecam": ("layer", False, True),
    "gradient": ("image", False, True), "smoothgrad": ("image", False, True), "integrated": ("image", True, True),
    "occlusion": ("image", True, True), "rise": ("image", True, True), "guided": ("image", False, False),
    "deconvnet": ("image", False, False)}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_said_of_a_method(name):
    way = METHODS[name]
    assert (way.on, way.signed, way.evidence) == WHERE[name]
    assert way.name == name


def test_a_method_is_entered_under_its_name(monkeypatch):
    monkeypatch.setattr("cnncli.explain.methods.method.METHODS", entered := {})

    @method("new", "New", on="image", says="It says.", paper="Somebody 1999", passes="1")
    def compute(asked):
        return Found(asked)

    way = entered["new"]
    assert (way.name, way.title, way.on, way.says, way.paper, way.passes) == (
        "new", "New", "image", "It says.", "Somebody 1999", "1")
    assert (way.evidence, way.signed, way.compute(3).maps) == (True, True, 3)


def test_what_is_asked_for_less_what_it_is_held_against(asked):
    of = asked((1, 4, 2))
    assert of.weights.tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0]]
    assert replace(of, against=np.array([0, 3, 3])).weights.tolist() == [
        [-1, 1, 0, 0, 0], [0, 0, 0, -1, 1], [0, 0, 1, -1, 0]]
    logits = of.look.logits(of.images).astype(np.float64)
    np.testing.assert_allclose(of.scores(of.images), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
                               rtol=1e-5)


def test_sums_over_channels_in_float64():
    values = np.array([1e8, 1, -1e8, 2], np.float32).reshape(1, 1, 1, 4)
    assert summed(values).tolist() == [[[3]]]
    assert summed(values).dtype == np.float32
