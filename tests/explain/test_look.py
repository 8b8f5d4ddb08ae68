"""explain/look.py: gradients of logits by layers and images, against differences and the network's own parts; alone and
in a batch, on any number of threads; and the ways back that let only what is positive through."""

import numpy as np
import pytest

from cnncli import kernels
from cnncli.explain.look import Look, _positive, _redirected, one_hot
from cnncli.layers import (
    LAYERS,
    Add,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    PythonLayer,
    ReLU,
)
from cnncli.network import Network

NAMES = ["lenet5", "resnet8", "squeezenet1_1", "vgg-small", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)]


def images_for(network: Network, n: int = 3) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *network.input_shape)).astype(np.float32)


def weights_for(network: Network, n: int = 3) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, *network.output_shape)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_by_images_is_the_slope_of_the_logits(name, network):
    net = network(name)
    images, weights = images_for(net), weights_for(net)
    found = Look(net, net.nodes[0].name).by_image(images, weights).astype(np.float64)
    # Along the gradient itself, where a step is felt most, and short: activations have corners.
    length = np.sqrt((found**2).sum(axis=(1, 2, 3)))
    step = (found / length[:, None, None, None] * 2e-3).astype(np.float32)
    ends = [(net.forward(images + sign * step).astype(np.float64) * weights).sum(axis=1) for sign in (1, -1)]
    np.testing.assert_allclose((ends[0] - ends[1]) / 4e-3, length, rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_in_the_middle_has_its_own(name, network):
    """Found in the whole network, where it is one of several values asked for, and by the part behind it."""
    net = network(name)
    spatial = [node.name for node in net.nodes if len(node.shape) == 3 and net.is_cut(node.name)]
    layer = spatial[len(spatial) // 2]
    images, weights = images_for(net), weights_for(net)
    plan, behind = net.tracing(3, ["input", layer, net.nodes[0].name]), net.split(layer)[1].tracing(3, ["input"])
    plan.input[...] = images
    for part in (plan, behind):  # of the very same values, so that no corner is passed on its other side
        part.forward()
        part.output_gradient[...] = weights
        part.backward()
        behind.input[...] = plan.kept(layer)
    values, gradients = Look(net, layer).by_layer(images, weights)
    whole = Look(net, layer).by_image(images, weights)
    for a, b in ((plan.gradient(layer), behind.gradient("input")), (values, plan.kept(layer)),
                 (whole, plan.gradient("input"))):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * np.abs(b).max())
    assert np.mean(np.abs(gradients - plan.gradient(layer)) < 2e-5 * np.abs(gradients).max()) > 0.9


def test_what_is_skipped_past_has_the_gradient_of_both_ways(network):
    """Of a layer that is read twice, and not all that lies behind it follows from it."""
    net = network("resnet8")
    inner = next(node.name for node in net.nodes if len(node.shape) == 3 and not net.is_cut(node.name))
    images, weights = images_for(net), weights_for(net)
    values, gradients = Look(net, inner).by_layer(images, weights)
    np.testing.assert_allclose(values, net.activations(images, [inner])[inner], rtol=1e-4, atol=1e-5)
    assert np.abs(gradients).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_alone_in_a_batch_and_on_any_threads(name, network, monkeypatch):
    net = network(name)
    layer = [node.name for node in net.nodes if len(node.shape) == 3 and node.shape[0] > 1][-1]
    images, weights = images_for(net, 5), weights_for(net, 5)
    together = Look(net, layer)
    first = [*together.by_layer(images, weights), together.by_image(images, weights, "guided")]
    before = kernels.threads()
    try:
        kernels.set_threads(3)
        alone = Look(net, layer)
        alone.at_once = 2
        again = [*alone.by_layer(images, weights), alone.by_image(images, weights, "guided")]
        one = [*alone.by_layer(images[3:4], weights[3:4]), alone.by_image(images[3:4], weights[3:4], "guided")]
    finally:
        kernels.set_threads(before)
    for a, b, c in zip(first, again, one, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a[3:4], c)


def test_it_is_evaluation_that_is_explained(network):
    """Dropout drops nothing, batch norm has its running statistics, and nothing of the network moves."""
    net = Network([Conv2d(None, 4, 3), BatchNorm2d(), ReLU(), Dropout(0.5), Flatten(), Linear(None, 3)], (8, 8, 2))
    net.node("batchnorm1").layer.state["running_mean"][...] = 0.3
    images, weights = images_for(net), weights_for(net)
    kept = {key: array.copy() for key, array in {**net.parameters(), **net.buffers()}.items()}
    plan = net.tracing(3, ["input"])
    plan.input[...] = images
    plan.forward()
    np.testing.assert_allclose(plan.output, net.forward(images), rtol=1e-5, atol=1e-6)
    Look(net, "conv1").by_image(images, weights)
    for key, array in {**net.parameters(), **net.buffers()}.items():
        assert np.array_equal(array, kept[key]), key
    assert all(not gradient.any() for gradient in net.gradients().values())


class Halved(PythonLayer):
    """Drops nothing unless it is in training, and says what it was."""

    def compute(self, *x, **_):
        assert not self.training
        return x[0] / 2

    def gradient(self, dy, *x, **_):
        assert not self.training
        return dy / 2


def test_layers_in_numpy_are_not_in_training(network):
    net = Network([Halved(), Flatten(), Linear(None, 3)], (4, 4, 1))
    images, weights = images_for(net), weights_for(net)
    found = Look(net, "halved1").by_image(images, weights)
    np.testing.assert_allclose(found.reshape(3, -1), weights @ net.parameters()["linear1.weight"] / 2, rtol=1e-5)


def rectifying() -> Network:
    return Network([Conv2d(None, 6, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(None, 6, 3), ReLU(), GlobalAvgPool2d(),
                    Linear(None, 3)], (12, 12, 2), seed=3)


@pytest.mark.parametrize("backward", ["guided", "deconvnet"])
def test_what_goes_back_through_a_relu(backward):
    """By the definition, layer by layer."""
    net = rectifying()
    images, weights = images_for(net), weights_for(net)
    layers = [node.layer for node in net.nodes]
    x, inputs = images, []
    for layer in layers:
        inputs.append(x)
        x = layer.forward(x, training=True)
    dy = weights
    for layer, given in zip(layers[::-1], inputs[::-1], strict=True):
        if layer.function:
            dy = np.maximum(dy, 0) * (given > 0 if backward == "guided" else 1)
        else:
            dy = layer.backward(np.ascontiguousarray(dy, np.float32))
    np.testing.assert_allclose(Look(net, "conv1").by_image(images, weights, backward), dy, rtol=1e-4, atol=1e-6)


def test_back_from_one_unit(network):
    """The gradient of a sum of a layer's values by the image, rectified or not; through a skip as well."""
    net = Network([{"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1, "name": "a"},
                   {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1, "name": "b"},
                   {"type": "Add", "inputs": ["a", "b"], "name": "sum"},
                   {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 2}], (6, 6, 1), seed=1)
    images = images_for(net)

    def unit(values):
        gradients = np.zeros_like(values)
        gradients[:, 2, 3, 1] = 1
        return gradients

    for layer in ("a", "b", "sum"):
        plain = Look(net, layer).back_from(images, unit)
        np.testing.assert_allclose(Look(net, layer).back_from(images, unit, "deconvnet"), plain, rtol=1e-5, atol=1e-7)
        moved = net.activations(images + plain, [layer])[layer][:, 2, 3, 1]
        at = net.activations(images, [layer])[layer][:, 2, 3, 1]
        np.testing.assert_allclose(moved - at, (plain**2).sum(axis=(1, 2, 3)), rtol=1e-3)


def test_one_hot():
    assert one_hot([2, 0], 3).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert Add().still().grads == {}


def test_every_layer_but_the_last_is_taken_apart_whatever_it_is_called():
    net = Network([{"type": "Conv2d", "out_channels": 2, "kernel_size": 1, "name": "z"}, {"type": "ReLU", "name": "a"},
                   {"type": "GlobalAvgPool2d", "name": "q"}, {"type": "Linear", "out_features": 2, "name": "m"}],
                  (4, 4, 1), seed=0)  # fmt: skip
    assert [Look(net, name).is_cut for name in ("z", "a", "q", "m")] == [True, True, True, False]


def test_a_batch_is_bounded_by_memory_and_never_empty(monkeypatch):
    net = Network([Flatten(), Linear(None, 3)], (8, 8, 2))
    monkeypatch.setattr("cnncli.explain.look._FLOATS_AT_ONCE", 1)
    assert Look(net, "flatten1").at_once == 1
    monkeypatch.setattr("cnncli.explain.look._FLOATS_AT_ONCE", 2**40)
    assert Look(net, "flatten1").at_once == 64


def test_what_goes_back_otherwise_is_no_layer_of_model_files():
    assert "Rectified" not in LAYERS


@pytest.mark.parametrize("layer", ["relu2", "linear1"])
def test_what_is_yielded_for_other_images_is_theirs(layer, monkeypatch):
    """Of the very same array it is kept; of an equal one it is found anew."""
    net = rectifying()
    look, one, other = Look(net, layer), images_for(net), images_for(net) + 1
    for images in (one, other, one.copy(), one):
        np.testing.assert_allclose(look.values(images), net.activations(images, [layer])[layer], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(look.logits(images), net.forward(images), rtol=1e-5, atol=1e-6)
    counts = []
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, x, *rest: (counts.append(self.nodes[-1].name),
                                                                    forward(self, x, *rest))[1])
    look.values(one)
    look.logits(one)
    assert counts == ["linear1"], "the part behind relu2, or all of it: what lies before is known"


@pytest.mark.parametrize("by_value", [False, True])
def test_one_value_for_each_image(by_value):
    """By differences, in float64: the value's slope along the gradient is its square, times what goes back."""
    net = rectifying()
    images = images_for(net, 5)
    look = Look(net, "conv2")
    units = np.array([(2 * 4 + 1) * 6 + 5, 0, 4 * 4 * 6 - 1, 7, 50])
    yielded = net.activations(images, ["conv2"])["conv2"].reshape(5, -1)[np.arange(5), units]
    found, values = look.from_units(images, units, by_value=by_value)
    np.testing.assert_allclose(values, yielded, rtol=1e-5, atol=1e-6)
    step = np.float32(1e-3)
    moved = net.activations(images + step * found, ["conv2"])["conv2"].reshape(5, -1)[np.arange(5), units]
    times = yielded if by_value else np.ones(5)
    np.testing.assert_allclose((moved - yielded) * times / step, (found**2).sum(axis=(1, 2, 3)), rtol=0.03, atol=0.02)
    look = Look(net, "conv2")
    look.at_once = 2
    again, same = look.from_units(images, units, by_value=by_value)
    assert np.array_equal(again, found)
    assert np.array_equal(same, values)


def test_gradients_by_a_layer_that_is_passed_by_and_by_one_that_is_not():
    """By the weights behind them: of a sum that an average and a linear layer read."""
    net = Network([{"type": "Conv2d", "out_channels": 3, "kernel_size": 1, "name": "a"},
                   {"type": "Conv2d", "out_channels": 3, "kernel_size": 1, "name": "b"},
                   {"type": "Add", "inputs": ["a", "b"], "name": "sum"},
                   {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 4}], (2, 5, 2), seed=1)
    images, weights = images_for(net), weights_for(net)
    mean = (weights @ net.parameters()["linear1.weight"] / 10)[:, None, None, :]
    second = net.parameters()["b.weight"][:, :, 0, 0]
    for layer, wanted, cut in (("sum", mean, True), ("b", mean, False), ("a", mean + mean @ second, True)):
        look = Look(net, layer)
        look.at_once = 2
        values, gradients = look.by_layer(images, weights)
        assert look.is_cut is cut
        assert look.shape == (2, 5, 3)
        np.testing.assert_allclose(values, net.activations(images, [layer])[layer], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradients, np.broadcast_to(wanted, (3, 2, 5, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("backward", "wanted"), [("", 0), ("guided", 1), ("deconvnet", 1)])
def test_an_activation_that_is_looked_at_itself_asks_nothing_of_its_input(backward, wanted):
    """A ReLU6 that yields 6 for 9 lets nothing back; where it is only passed, guided says the same."""
    net = Network([{"type": "Conv2d", "out_channels": 1, "kernel_size": 1, "name": "a"},
                   {"type": "ReLU6", "name": "top"},
                   {"type": "Conv2d", "out_channels": 1, "kernel_size": 1, "name": "b"},
                   {"type": "Flatten"}, {"type": "Linear", "out_features": 2}], (1, 1, 1), seed=0)
    for name in ("a", "b"):
        net.parameters()[f"{name}.weight"][...] = 1
        net.parameters()[f"{name}.bias"][...] = 0
    image = np.full((1, 1, 1, 1), 9, np.float32)
    found, values = Look(net, "top").from_units(image, np.array([0]), backward)
    assert (found.item(), values.item()) == (wanted, 6)
    assert Look(net, "b").from_units(image, np.array([0]), backward)[0].item() == (backward == "deconvnet")


def test_what_is_positive_goes_back_and_what_is_stuck_is_led_round():
    dy = np.array([[-2.0, 3], [-4, 5], [6, -7]], np.float32)
    dx = np.zeros_like(dy)
    assert _positive(dy, dx) == 0
    assert dx.tolist() == [[0, 3], [0, 5], [6, 0]]
    dx = np.array([[0.0, 0], [0, 8], [0, 0]], np.float32)
    assert _redirected(dy, dx) == 0
    assert dx.tolist() == [[0, 3], [0, 8], [6, 0]], "where something gets back, it is as it is"


def test_so_many_images_at_once_as_memory_holds_three_times(monkeypatch):
    net = Network([Flatten(), Linear(None, 3)], (8, 8, 2))  # 128 and 3 numbers of each
    for floats, count in ((5 * 3 * 131, 5), (5 * 3 * 131 - 1, 4), (63 * 3 * 131, 63), (99 * 3 * 131, 64)):
        monkeypatch.setattr("cnncli.explain.look._FLOATS_AT_ONCE", floats)
        assert Look(net, "flatten1").at_once == count


def test_few_plans_are_kept_the_last_ones():
    net = rectifying()
    look = Look(net, "relu2")
    for count in (1, 2, 3, 4, 5, 3):
        look.by_image(images_for(net, count), weights_for(net, count))
    assert [key[0] for key in look._plans] == [2, 3, 4, 5]
