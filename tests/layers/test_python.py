"""layers/python.py: the example of docs/layers.md runs, and layers written in NumPy are layers like others: in plans,
with threads, in trainings and model files; what their authors do wrong is told, what they raise comes through."""


import numpy as np
import pytest

import cnncli
from cnncli import kernels
from cnncli.data import Preprocessing
from cnncli.errors import ModelError, NetworkError, UsageError
from cnncli.export import to_c, to_onnx
from cnncli.layers import LAYERS, PythonLayer, check_gradients
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.fusion import fuse
from cnncli.optim import SGD

from ..guides import code
from .conformance import check_layer

[EXAMPLE] = code("docs/layers.md")
CONV = {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}
END = [{"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 3}]


class NumpyReLU(PythonLayer):
    def compute(self, x):
        return np.maximum(x, 0)

    def gradient(self, dy, x):
        return np.where(x > 0, dy, 0)


class Product(PythonLayer):
    """Of two inputs, the second one's mean for each channel."""

    arity = 2

    def output_shape(self, *shapes):
        return shapes[0]

    def compute(self, a, b):
        return a * b.mean(axis=(1, 2), keepdims=True, dtype=np.float64)

    def gradient(self, dy, a, b):
        share = (dy * a).sum(axis=(1, 2), keepdims=True) / (b.shape[1] * b.shape[2])
        return dy * b.mean(axis=(1, 2), keepdims=True), np.broadcast_to(share, b.shape)


class Noise(PythonLayer):
    def compute(self, x):
        return x * self.drawn(x) if self.training else x

    def gradient(self, dy, x):
        return dy * self.drawn(x)

    def drawn(self, x):
        return self.random().uniform(0.5, 1.5, x.shape).astype(np.float32)


@pytest.fixture
def swish():
    """What the example of the documentation leaves behind."""
    scope = {"__name__": "example"}
    exec(compile(EXAMPLE, "docs/layers.md", "exec"), scope)
    yield scope
    LAYERS.pop("Swish", None)


@pytest.fixture
def classes():
    """A place for classes that are forgotten again."""
    before = dict(LAYERS)
    yield
    LAYERS.clear()
    LAYERS.update(before)


def network_with(layer, shape=(6, 5, 2)):
    return Network([CONV, layer, *END], shape, seed=1)


def test_the_example_learns_and_its_gradients_are_right(swish):
    assert swish["losses"][-1] < swish["losses"][0] - 0.02
    learnt = next(array for name, array in swish["network"].parameters().items() if name.endswith(".b"))
    assert learnt.shape == (8,)
    assert not (learnt == 0.5).any()
    check_layer(swish["Swish"](1.5), (5, 6, 3))
    check_layer(swish["Swish"](), (7,))


@pytest.mark.parametrize(("layer", "shapes"), [(NumpyReLU(), [(5, 6, 3)]), (Product(), [(5, 4, 3), (2, 7, 3)]),
                                               (Noise(), [(9,)])], ids=["relu", "product", "noise"])
def test_conformance(layer, shapes):
    check_layer(layer, *shapes, gradients=not isinstance(layer, NumpyReLU))


def test_a_wrong_gradient_is_found(classes):
    class Half(PythonLayer):
        def compute(self, x):
            return x / 2

        def gradient(self, dy, x):
            return dy

    with pytest.raises(NetworkError, match=r"Half\(\): along a direction the gradient of input 1 says"):
        check_gradients(Half(), (4, 4, 2))


def test_it_trains_to_the_numbers_of_the_kernels(threads, rng):
    """Two evaluations of other batches lie between forward and backward of every second step."""
    ours, theirs = (network_with({"type": kind}) for kind in ("ReLU", "NumpyReLU"))
    images = rng.standard_normal((12, 6, 5, 2)).astype(np.float32)
    for network in (ours, theirs):
        trainer = cnncli.Trainer(network, SGD(lr=0.05, momentum=0.9), threads=kernels.threads())
        for _ in range(5):
            trainer.step(images, np.arange(12) % 3)
            network.forward(images[:5])
    for name, array in ours.parameters().items():
        np.testing.assert_allclose(array, theirs.parameters()[name.replace("relu", "numpyrelu")], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.forward(images), theirs.forward(images), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(theirs.forward(images)[:1], theirs.forward(images[:1]))


@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_fused_through_it(training):
    layers = [{**CONV, "name": "conv"}, {"type": "NumpyReLU", "name": "python"}, {"type": "BatchNorm2d",
              "name": "norm"}, {"type": "NumpyReLU", "name": "again"}, {"type": "Add", "name": "sum",
              "inputs": ["again", "conv"]}, {"type": "ReLU", "name": "relu"}, *END]
    units = fuse(Network(layers, (6, 5, 2)).nodes, training)
    assert [unit.output for unit in units[:5]] == ["conv", "python", "norm", "again", "sum"]
    assert not any(unit.norm or unit.add or unit.activation for unit in units[:4])


def test_random_numbers_differ_by_step_and_layer_and_come_again(rng):
    images = rng.standard_normal((4, 6, 5, 2)).astype(np.float32)
    first, again = (network_with({"type": "Noise"}) for _ in range(2))
    steps = [first.forward(images, training=True).copy() for _ in range(2)]
    assert not np.array_equal(*steps)
    assert np.array_equal(again.forward(images, training=True), steps[0])
    assert np.array_equal(first.forward(images), first.forward(images))
    two = Network([{"type": "Noise", "name": "a"}, {"type": "Noise", "name": "b"}, *END], (6, 5, 2))
    ones = np.ones((1, 6, 5, 2), np.float32)
    two.forward(ones, training=True)
    assert not np.array_equal(two.node("a").layer.drawn(ones), two.node("b").layer.drawn(ones))


def test_a_model_file_keeps_it_and_says_what_is_missing(swish, tmp_path):
    network = Network([CONV, swish["Swish"](0.5), *END], (6, 5, 3), seed=2)
    model = Model(network, ["a", "b", "c"], Preprocessing((6, 5), False))
    model.save(tmp_path / "model.safetensors")
    pixels = np.arange(90, dtype=np.uint8).reshape(1, 6, 5, 3)
    loaded = cnncli.load(tmp_path / "model.safetensors")
    assert type(loaded.network.nodes[1].layer) is swish["Swish"]
    assert loaded.network.config() == network.config()
    assert np.array_equal(loaded.logits(pixels), model.logits(pixels))
    del LAYERS["Swish"]
    with pytest.raises(NetworkError, match=r"no layer type 'Swish'; import the module that defines it first"):
        Network(network.config()["layers"], (6, 5, 3))
    with pytest.raises(ModelError, match=r"a layer of type Swish, which .* import the module that defines it first"):
        cnncli.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("export", [to_c, to_onnx])
def test_exports_refuse_it_by_name(export):
    network = Network([CONV, {"type": "NumpyReLU", "name": "mine"}, *END], (6, 5, 3))
    with pytest.raises(UsageError, match=r"the layer 'mine' is a NumpyReLU, which .* cannot hold"):
        export(Model(network, ["a", "b", "c"], Preprocessing((6, 5), False)))


def test_what_it_raises_comes_through_and_the_network_goes_on(classes, rng):
    class Fussy(NumpyReLU):
        def compute(self, x):
            if (x > 1e6).any():
                raise ZeroDivisionError("mine")
            return super().compute(x)

    network, images = network_with({"type": "Fussy"}), rng.standard_normal((3, 6, 5, 2)).astype(np.float32)
    before = network.forward(images)
    with pytest.raises(ZeroDivisionError, match="mine"):
        network.forward(1e9 * np.abs(images))
    assert np.array_equal(network.forward(images), before)


def test_inputs_cannot_be_written_to(classes):
    class Rude(NumpyReLU):
        def compute(self, x):
            x[...] = 0
            return x

    with pytest.raises(ValueError, match="read-only"):
        Rude().forward(np.ones((1, 4), np.float32))


def test_grads_may_be_replaced(classes):
    class Gain(PythonLayer):
        def bind(self, *shapes):
            self.add_parameter("gain", ())

        def compute(self, x):
            return x * (1 + self.params["gain"])

        def gradient(self, dy, x):
            self.grads["gain"] = (dy * x).sum()
            return dy * (1 + self.params["gain"])

    layer = Gain()
    check_layer(layer, (3, 4, 2))
    known = layer.grads["gain"]
    layer.forward(np.ones((2, 3), np.float32), training=True)
    layer.backward(np.ones((2, 3), np.float32))
    assert layer.grads["gain"] is known
    assert known == 6


@pytest.mark.parametrize(("made", "words"), [
    (lambda self, x: x[:, :2], r"Wrong.compute gave an array of shape \(2, 2\) .*, not numbers of shape \(2, 4\)"),
    (lambda self, x: None, "Wrong.compute gave a NoneType"),
    (lambda self, x: x.astype(str), "Wrong.compute gave an array"),
])  # fmt: skip
def test_wrong_results_are_told(made, words, classes):
    wrong = type("Wrong", (PythonLayer,), {"compute": made, "gradient": lambda self, dy, x: (dy, dy)})()
    with pytest.raises(NetworkError, match=words):
        wrong.forward(np.ones((2, 4), np.float32))
    type(wrong).compute = lambda self, x: x
    wrong.forward(np.ones((2, 4), np.float32), training=True)
    with pytest.raises(NetworkError, match=r"Wrong\.gradient gave 2 of 1 gradients"):
        wrong.backward(np.ones((2, 4), np.float32))


def test_what_is_missing_or_misnamed_is_told(classes):
    empty = type("Empty", (PythonLayer,), {})()
    with pytest.raises(NetworkError, match=r"Empty has no compute\(\*x\)"):
        empty.forward(np.ones((2, 4), np.float32))
    with pytest.raises(NetworkError, match="Torchlike defines forward or backward"):
        type("Torchlike", (PythonLayer,), {"forward": lambda self, x: x})
    with pytest.raises(NetworkError, match=r"output_shape must return \(h, w, c\)"):
        network_with(type("Odd", (NumpyReLU,), {"output_shape": lambda self, *shapes: 7})())


def test_names_of_our_layers_are_taken_and_own_ones_may_be_defined_anew(classes):
    with pytest.raises(NetworkError, match="ReLU is the name of one of cnncli's own layers"):
        type("ReLU", (PythonLayer,), {})
    one, other = (type("Mine", (NumpyReLU,), {}) for _ in range(2))
    assert LAYERS["Mine"] is other is not one
