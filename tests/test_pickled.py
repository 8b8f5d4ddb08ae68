"""What a pool of processes sends to and fro: functions, errors, models and networks. Results are in test_results.py."""

import copy
import inspect
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli import errors
from cnncli.network import LayerError
from cnncli.runs.run import Run

from .small_model import small_model

MADE: dict[type, Any] = {
    errors.ImageError: lambda: errors.ImageError("a.png", "it is empty"),
    errors.Interrupted: lambda: errors.Interrupted("stopped.", 15, Run("runs/one")),
    LayerError: lambda: LayerError(3, "layer 4: too small."),
}


def every(kind: type) -> list[type]:
    return [kind, *(each for below in kind.__subclasses__() for each in every(below))]


@pytest.mark.parametrize("kind", [each for each in every(errors.CnnError) if each.__module__.startswith("cnncli")])
def test_errors_keep_their_attributes(kind: type) -> None:
    error = MADE.get(kind, lambda: kind("it is broken."))()
    error.more = [1, 2]
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(again) is kind
        assert (str(again), again.args, repr(vars(again))) == (str(error), error.args, repr(vars(error)))
        assert again.exit_code == error.exit_code


@pytest.mark.parametrize("name", [name for name in cnncli.__all__ if inspect.isroutine(getattr(cnncli, name))])
def test_functions_are_pickled(name: str) -> None:
    function = getattr(cnncli, name)
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize("again", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_models_answer_with_the_same_bits(again: Any) -> None:
    model = small_model()
    model.network.exact = True
    model.flips = True
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 5, 3), np.uint8)
    before = model.logits(images)
    model.network.nodes[0].layer.forward(np.zeros((1, 6, 5, 3), np.float32), training=True)
    with model.network._turn:  # held by somebody else
        other = again(model)
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(other.logits(images)), daemon=True)
        thread.start()
        thread.join(20)
    assert np.array_equal(found[0], before)
    assert (other.network.exact, other.flips, other.classes) == (True, True, model.classes)
    other.network.parameters()["linear1.bias"][:] += 1
    assert not np.array_equal(other.logits(images), before)
    assert np.array_equal(model.logits(images), before), "they share nothing"


def test_a_part_of_a_network_is_pickled_with_the_whole() -> None:
    network = small_model().network
    before, behind = network.split("relu1")
    images = np.ones((2, *network.input_shape), np.float32)
    front, back = pickle.loads(pickle.dumps((before, behind)))
    assert np.array_equal(back.forward(front.forward(images)), network.forward(images))


def test_a_copy_can_be_trained(tmp_path: Path) -> None:
    network = pickle.loads(pickle.dumps(small_model().network))
    images, labels = np.ones((4, *network.input_shape), np.float32), np.arange(4) % 3
    losses = [cnncli.Trainer(each, cnncli.optim.SGD(lr=0.1)).step(images, labels)
              for each in (network, small_model().network)]
    assert losses[0] == losses[1]
