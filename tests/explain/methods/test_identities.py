"""What holds exactly between methods and networks, and what holds for every method, of the ones to come as well."""

from dataclasses import replace

import numpy as np
import pytest

from cnncli import kernels
from cnncli.explain.explanation import explanations, last_positions
from cnncli.explain.methods import METHODS, Asked, rise
from cnncli.layers import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool2d, Linear, ReLU
from cnncli.network import Network

from .conftest import asked_of, close, drawn_images, model_of

each_method = pytest.mark.parametrize("name", METHODS)


def found_by(name: str, asked: Asked) -> np.ndarray:
    return METHODS[name].compute(asked).maps


# ---- identities ----


def test_behind_an_average_hirescam_is_gradcam_is_cam():
    network = Network([Conv2d(None, 6, 3, padding=1), ReLU(), GlobalAvgPool2d(), Linear(None, 4)], (9, 7, 3), seed=1)
    of = asked_of(network, "relu1", drawn_images(network, 4), [0, 1, 2, 3])
    weights = network.parameters()["linear1.weight"].astype(np.float64)
    cam = np.stack([of.look.values(of.images)[i].astype(np.float64) @ weights[i] for i in range(4)])
    for name in ("hirescam", "gradcam"):
        close(found_by(name, of), cam / (9 * 7))


@pytest.mark.parametrize("behind", [[Flatten()], [GlobalAvgPool2d()]], ids=["flattened", "averaged"])
def test_hirescam_adds_up_to_the_logit_but_for_the_bias(behind):
    network = Network([Conv2d(None, 6, 3, stride=2), ReLU(), *behind, Linear(None, 4)], (9, 14, 3), seed=1)
    network.parameters()["linear1.bias"][...] = [1, -2, 3, -4]
    of = asked_of(network, "relu1", drawn_images(network, 4), [3, 1, 2, 0])
    logits = network.forward(of.images)[np.arange(4), of.targets]
    sums = found_by("hirescam", of).sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(sums, logits - np.array([-4, -2, 3, 1]), rtol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", pytest.param("vgg-small", marks=pytest.mark.slow),
                                  pytest.param("resnet8", marks=pytest.mark.slow),
                                  pytest.param("squeezenet1_1", marks=pytest.mark.slow),
                                  pytest.param("efficientnet_lite0", marks=pytest.mark.slow)])
def test_integrated_gradients_add_up_to_the_difference_of_logits(name, network):
    net = network(name)
    images = drawn_images(net, 2)
    targets = net.forward(images).argmax(axis=1)
    of = asked_of(net, net.nodes[0].name, images, targets.tolist())
    found = METHODS["integrated"].compute(of)
    every = np.arange(2)
    wanted = (net.forward(images) - net.forward(np.zeros_like(images)))[every, targets]
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2), dtype=np.float64), wanted, rtol=0.01)
    assert found.residual.max() < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hirescam", "gradcam", "occlusion", "rise"])
def test_what_speaks_for_one_class_rather_than_another_is_the_difference_of_both(name, asked, monkeypatch):
    monkeypatch.setattr(rise, "MASKS", 50)
    one, other, of = asked((1, 4, 2)), asked((0, 0, 3)), asked((1, 4, 2))
    held = replace(of, against=other.targets)
    np.testing.assert_allclose(found_by(name, held), found_by(name, one) - found_by(name, other), atol=2e-5)


@pytest.mark.slow
@each_method
def test_what_a_class_is_held_against_changes_every_map(name, asked, monkeypatch):
    monkeypatch.setattr(rise, "MASKS", 50)
    of = asked((1, 4, 2))
    held = found_by(name, replace(of, against=np.array([0, 0, 3])))
    assert (np.abs(held - found_by(name, of)).max(axis=(1, 2)) > 1e-5).all()
    if name == "finercam":
        close(held, found_by("hirescam", replace(of, against=np.array([0, 0, 3]))))


@pytest.mark.parametrize("name", ["deconvnet", "guided", "smoothgrad"])
def test_without_relu_and_pooling_all_is_the_gradient(name):
    network = Network([Conv2d(None, 5, 3, padding=1), BatchNorm2d(), Conv2d(None, 4, 3, stride=2), GlobalAvgPool2d(),
                       Linear(None, 3)], (10, 8, 3), seed=2)
    of = asked_of(network, "conv2", drawn_images(network), [0, 1, 2])
    close(found_by(name, of), found_by("gradient", of))


# ---- every method ----


@pytest.fixture(autouse=True)
def _fewer_masks(monkeypatch):
    monkeypatch.setattr(rise, "MASKS", 60)


def small(channels: int, classes: int = 3) -> Network:
    """Of images that are no squares, with a way past a layer, and a class that nothing speaks for or against."""
    network = Network([
        {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": "same_tf", "name": "a"},
        {"type": "BatchNorm2d"}, {"type": "ReLU", "name": "on"},
        {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1, "name": "b"},
        {"type": "Add", "inputs": ["on", "b"], "name": "sum"}, {"type": "ReLU6", "name": "last"},
        {"type": "MaxPool2d", "kernel_size": 2}, {"type": "Flatten"}, {"type": "Linear", "out_features": classes},
    ], (24, 40, channels), seed=6)
    network.parameters()["linear1.weight"][0] = 0
    return network


def asked_small(channels: int, which: slice = slice(None), seed: int = 0, layer: str | None = None) -> Asked:
    network = small(channels)
    return asked_of(network, layer or last_positions(network), drawn_images(network)[which], [1, 2, 0][which], seed)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@each_method
def test_maps_lie_on_the_positions_or_on_the_pixels(name, channels):
    of = asked_small(channels)
    found = METHODS[name].compute(of)
    assert of.look.layer == "last"
    assert found.maps.shape == {"layer": (3, 12, 20), "image": (3, 24, 40)}[METHODS[name].on]
    assert found.maps.dtype == np.float32
    assert found.residual is None or found.residual.shape == (3,)
    assert np.isfinite(found.maps).all()
    assert (np.ptp(found.maps[:2], axis=(1, 2)) > 0).all()
    assert METHODS[name].signed or found.maps.min() >= 0


@each_method
def test_a_class_that_nothing_speaks_for(name):
    """Its logit is always the bias: no map by its gradient has anything, and no map is NaN."""
    found = METHODS[name].compute(asked_small(3, slice(2, None)))
    assert np.isfinite(found.maps).all()
    assert found.residual is None or found.residual.tolist() == [0]
    if name not in ("finercam", "scorecam", "occlusion", "rise"):  # these see what the other classes do, or all alike
        assert not found.maps.any()


@pytest.mark.slow
@each_method
def test_the_same_bits_alone_in_a_batch_and_on_any_threads(name):
    before = kernels.threads()
    try:
        kernels.set_threads(1)
        together = METHODS[name].compute(asked_small(3))
        kernels.set_threads(3)
        again = METHODS[name].compute(asked_small(3))
        alone = METHODS[name].compute(asked_small(3, slice(1, 2)))
    finally:
        kernels.set_threads(before)
    assert np.array_equal(together.maps, again.maps)
    assert np.array_equal(together.maps[1:2], alone.maps)
    if together.residual is not None:
        assert np.array_equal(together.residual, again.residual)
        assert np.array_equal(together.residual[1:2], alone.residual)


@pytest.mark.slow
@each_method
def test_what_is_drawn_comes_from_the_seed(name):
    first, other = (found_by(name, asked_small(1, slice(1), seed)) for seed in (1, 2))
    assert np.array_equal(first, found_by(name, asked_small(1, slice(1), 1)))
    assert np.array_equal(first, other) == (name not in ("smoothgrad", "rise"))


@pytest.mark.parametrize("layer", ["on", "b"])
@pytest.mark.parametrize("name", [name for name, way in METHODS.items() if way.on == "layer"])
def test_layers_that_something_passes_by(name, layer):
    of = asked_small(3, layer=layer)
    assert layer == "on" or not of.look.is_cut
    found = found_by(name, of)
    assert found.shape == (3, 12, 20)
    assert np.isfinite(found).all()
    assert found[:2].any()


@pytest.mark.slow
@each_method
def test_images_keep_what_they_are(name):
    """No method writes into what it was given."""
    of = asked_small(3, slice(1))
    kept = of.images.copy()
    METHODS[name].compute(of)
    assert np.array_equal(of.images, kept)


@pytest.mark.slow
@each_method
def test_a_model_of_one_class_or_two(name):
    for classes in (1, 2):
        network = small(1, classes)
        found = found_by(name, asked_of(network, "last", drawn_images(network, 1), [classes - 1]))
        assert np.isfinite(found).all()


@pytest.mark.slow
@each_method
def test_laid_on_the_image(name):
    """By the name, through the model, from images of other sizes than the model's."""
    network = small(1)
    images = [np.random.default_rng(i).integers(0, 256, size, np.uint8) for i, size in enumerate([(30, 50), (24, 40)])]
    for image, found in zip(images, explanations(model_of(network), images, method=name), strict=True):
        assert found.map.shape == image.shape
        assert np.isfinite(found.map).all()
        assert found.method == name


def test_what_is_said_of_each():
    for name, way in METHODS.items():
        assert way.name == name
        assert name.isalnum()
        assert way.says.count(". ") <= 2, name
        assert way.says.endswith(".")
        assert way.paper[-4:].isdigit()
        assert "forward" in way.passes
