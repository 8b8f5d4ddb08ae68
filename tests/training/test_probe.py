"""training/probe.py: the head ends where the gradient of all images vanishes, under the weight decay that validation
images like best; features are computed once; and what --probe leaves is a run like any other."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnncli import architecture, kernels
from cnncli.data import Preprocessing
from cnncli.errors import Interrupted, UsageError
from cnncli.evaluation.scores import evaluate
from cnncli.loss import CrossEntropy, SquaredError
from cnncli.model import Model
from cnncli.model.calibration import cross_entropy, softmax
from cnncli.network.blocks import dense_head
from cnncli.training import probe
from cnncli.training.choose import check_head
from cnncli.training.observer import Observer
from cnncli.training.probe import STRENGTHS, USUAL_STRENGTH, fit_head
from cnncli.training.start import first_network

from .conftest import Train

CLASSES = ["ant", "bee", "cat"]


class Pictures:
    """Images in memory, as data.Images offers them: noise, brighter where the label says."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, count)
        self.pixels = rng.integers(0, 200, (count, 16, 16, 3)).astype(np.uint8)
        for image, label in zip(self.pixels, self.labels, strict=True):
            image[label * 5 : label * 5 + 5] += 25
        self.skipped, self.looks = [], 0

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self, at_once: int):
        self.looks += 1
        for start in range(0, len(self), at_once):
            yield self.pixels[start : start + at_once]


def fresh() -> Model:
    preprocessing = Preprocessing((16, 16), False, "squash", (0.5,) * 3, (0.25,) * 3)
    return Model(architecture("resnet8", (16, 16, 3), 3, seed=4), CLASSES, preprocessing)


def fit(model: Model, train: Pictures, val: Pictures | None = None, loss=None):
    return fit_head(model, loss or CrossEntropy(), train, val, lambda done, total: None)


@pytest.mark.slow
def test_the_gradient_vanishes(isa: str) -> None:
    model, train = fresh(), Pictures(150, 1)
    body = {name: array.copy() for name, array in {**model.network.parameters(), **model.network.buffers()}.items()}
    found = fit(model, train)
    assert found.strength == USUAL_STRENGTH
    logits = model.logits(train.pixels)
    np.testing.assert_allclose(found.loss, cross_entropy(logits, train.labels), rtol=1e-4)
    assert found.right == (logits.argmax(1) == train.labels).sum() > 120

    before, _ = model.network.split(dense_head(model.network).inputs[0])
    x = before.forward(model.preprocessing.normalise(train.pixels)).astype(np.float64)
    x = (x - x.mean(0)) / np.where(x.std(0) < 1e-3, 1, x.std(0))
    deviation = before.forward(model.preprocessing.normalise(train.pixels)).astype(np.float64).std(0)
    weight = model.network.parameters()["fc.weight"] * np.where(deviation < 1e-3, 1, deviation)
    error = softmax(logits) - np.eye(3)[train.labels]
    gradient = error.T @ x / len(train) + USUAL_STRENGTH * weight
    assert np.abs(gradient).max() < 2e-3
    assert np.abs(error.mean(0)).max() < 2e-3, "the bias's"
    for name, array in {**model.network.parameters(), **model.network.buffers()}.items():
        assert np.array_equal(array, body[name]) != name.startswith("fc."), name


def test_the_network_is_told_that_its_head_is_another() -> None:
    """Else it would go on with what it has laid out of the weights before."""
    model, told = fresh(), []
    weight = dense_head(model.network).layer.params["weight"]
    model.network.changed = lambda: told.append(weight.copy())
    fit(model, Pictures(60, 1))
    np.testing.assert_array_equal(told[-1], weight)


@pytest.mark.slow
def test_validation_images_choose_the_weight_decay() -> None:
    train, val, losses = Pictures(60, 1), Pictures(300, 2), {}
    chosen = fit(model := fresh(), train, val)
    chosen_loss = cross_entropy(model.logits(val.pixels), val.labels)
    assert (train.looks, val.looks) == (1, 1)
    for strength in STRENGTHS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probe, "USUAL_STRENGTH", strength)
            fit(model := fresh(), train)
        losses[strength] = cross_entropy(model.logits(val.pixels), val.labels)
    assert chosen.strength == min(losses, key=losses.__getitem__)
    np.testing.assert_allclose(chosen_loss, losses[chosen.strength], rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "strength"), [
    ([3.0, 2.0, 2.5], 0.3), ([3.0, 2.0, 1.0, 1.0], 0.1), ([1.0, 2.0], 1.0), ([7.0, 6, 5, 4, 3, 2, 1], 0.001)])
def test_weights_are_held_less_as_long_as_validation_images_win_by_it(losses: list[float], strength: float,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fit begins where the one before ended; what comes out is the best one."""
    left, begun = [*losses], []

    def minimise(function, start):
        begun.append(float(start[0]))
        function(start)
        return start + 1, 0.0

    monkeypatch.setattr(probe, "minimise", minimise)
    monkeypatch.setattr(probe, "cross_entropy", lambda logits, labels: left.pop(0) if left else 0.25)
    told: list[tuple[int, int]] = []
    model, train, val = fresh(), Pictures(70, 1), Pictures(5, 2)
    found = fit_head(model, CrossEntropy(), train, val, lambda *how_far: told.append(how_far))
    assert (found.strength, found.loss, found.images) == (strength, 0.25, 70)
    assert begun == list(range(len(losses)))
    assert told[:3] == [(64, 75), (70, 75), (75, 75)]
    assert set(told[3:]) == {(75, 75)}
    assert len(told) == 3 + len(losses) + 1, "a look for each, and one at what was chosen"
    assert found.right == int((model.logits(train.pixels).argmax(1) == train.labels).sum())
    before, _ = model.network.split(dense_head(model.network).inputs[0])
    deviation = before.forward(model.preprocessing.normalise(train.pixels)).astype(np.float64).std(0)
    np.testing.assert_allclose(model.network.parameters()["fc.weight"] * np.where(deviation < 1e-3, 1, deviation),
                               1 + STRENGTHS.index(strength), rtol=1e-4)


@pytest.mark.slow
def test_any_loss_is_made_small() -> None:
    model, train = fresh(), Pictures(150, 1)
    before = SquaredError()(model.logits(train.pixels), train.labels)
    fit(model, train, loss=SquaredError())
    assert SquaredError()(model.logits(train.pixels), train.labels) < 0.5 * before
    weighted = fresh()
    fit(weighted, train, loss=CrossEntropy(class_weights=[0, 1, 1]))
    assert (weighted.logits(train.pixels).argmax(1) == 0).sum() < 10


@pytest.mark.slow
def test_the_same_bits_on_any_number_of_threads() -> None:
    before, found = kernels.threads(), []
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            fit(model := fresh(), Pictures(70, 1), Pictures(40, 2))
            found.append(model.network.parameters()["fc.weight"].tobytes())
    finally:
        kernels.set_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_head_that_is_no_dense_layer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"squeezenet1_1 is no dense one .* freeze='all'"):
        check_head(architecture("squeezenet1_1", (64, 64, 3), 3, seed=None), "squeezenet1_1")
    check_head(architecture("vgg-small", (32, 32, 3), 3, seed=None), "vgg-small")


@pytest.mark.slow
def test_a_probe_is_a_run_like_any_other(train: Train) -> None:
    first = train(name="first")
    looked = SimpleNamespace(calls=[])

    class Watcher(Observer):
        def computing_features(self, done: int, total: int) -> None:
            looked.calls.append((done, total))

    run = train(arch=None, epochs=None, batch_size=None, init=first.path, probe=True, name="probe", observer=Watcher())
    total = run.config["images"]["train"] + run.config["images"]["val"]
    assert looked.calls[-1] == (total, total)
    assert [row["epoch"] for row in run.history] == [1]
    assert run.history[0]["train_accuracy"] > 0.5
    assert run.model.training["recipe"]["probe"] is True
    ours, theirs = run.model.network.parameters(), first.model.network.parameters()
    same = {name for name in ours if np.array_equal(ours[name], theirs[name])}
    assert same == {name for name in ours if not name.startswith("linear")}
    notes = []

    class Listener(Observer):
        def note(self, sentence: str) -> None:
            notes.append(sentence)

    train(resume="probe", observer=Listener())
    assert "finished already" in notes[-1]
    from cnncli.data import load_images, scan

    model = run.model
    result = evaluate(model, load_images(scan(run.config["data"]).val, model.preprocessing))
    assert (result.loss, result.accuracy) == (model.training["val_loss"], model.training["val_accuracy"])


@pytest.mark.slow
def test_a_probe_that_was_stopped_begins_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(name="first")
    given = dict(arch=None, epochs=None, batch_size=None, init=first.path, probe=True)
    whole = train(name="whole", **given)
    from cnncli.training import fit as fit_module

    calls = []

    def stop_once(self) -> None:
        calls.append(self)
        if len(calls) == 3:
            raise self._interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(fit_module.Fit, "_stop_if_asked", stop_once)
        patch.setattr(fit_module.StopFlag, "signal", 2, raising=False)
        with pytest.raises(Interrupted):
            train(name="stopped", **given)
    resumed = train(resume="stopped")
    assert (resumed.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    assert first_network(resumed.config).config() == resumed.config["network"]
