"""Maps beside those of captum 0.9 and grad-cam 1.5, to 1e-4 of a map's largest value, for every method that they have.
What is not installed beside PyTorch is skipped. By hand:

    .venv-peers/bin/python -m pip install captum==0.9.0 grad-cam==1.5.7
    .venv-peers/bin/python -m pytest tests/peers/test_explain.py

Neither has RISE. Where rounding decides which of two values a pooling takes, gradients differ by more: integrated
gradients of a network with many poolings (vgg-small) by 7e-4, after fifty of them."""

from types import ModuleType

import numpy as np
import pytest
import torch

from cnncli.explain.explanation import last_positions
from cnncli.explain.look import one_hot
from cnncli.explain.methods import METHODS, Asked, finercam, integrated, occlusion, smoothgrad
from cnncli.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from cnncli.network import Network
from tests.explain.conftest import drawn
from tests.explain.methods.conftest import asked_of, drawn_images

from .mirror import Mirror, to_torch

pytestmark = pytest.mark.filterwarnings("ignore")
OF_LARGEST = 1e-4
NETWORKS = ["lenet5", "vgg-small", "resnet8", "squeezenet1_1", "efficientnet_lite0"]


@pytest.fixture(scope="module")
def captum() -> ModuleType:
    return pytest.importorskip("captum.attr", reason="captum is not installed")


@pytest.fixture(scope="module")
def grad_cam() -> ModuleType:
    return pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed")


def whole(name: str) -> tuple[Asked, Mirror]:
    """Images of an architecture, asked for what the network says of them, at its last positions."""
    network = drawn(name)
    images = drawn_images(network)
    asked = asked_of(network, last_positions(network), images, network.forward(images).argmax(axis=1).tolist())
    return asked, Mirror(network).eval()


def fine(classes: int = 5, scale: float = 30) -> tuple[Asked, Mirror]:
    """A network whose layer "relu2" has the image's positions, so that nobody's stretching matters, and gradients so
    large that the 1e-6 which grad-cam adds to Grad-CAM++'s denominators is nothing."""
    network = Network([Conv2d(None, 6, 3, padding=1), ReLU(), Conv2d(None, 8, 3, padding=1), ReLU(), MaxPool2d(2),
                       Flatten(), Linear(None, classes)], (12, 10, 3), seed=5)
    network.parameters()["linear1.weight"][...] *= scale
    network.changed()
    return asked_of(network, "relu2", drawn_images(network), [1, 0, 1]), Mirror(network).eval()


def layer_of(asked: Asked, model: Mirror) -> torch.nn.Module:
    return model.parts[asked.look.layer.replace(".", "/")]


def ours(name: str, asked: Asked) -> np.ndarray:
    return METHODS[name].compute(asked).maps


def agree(found: np.ndarray, theirs: np.ndarray) -> None:
    assert found.shape == theirs.shape
    largest = np.abs(theirs).max()
    assert largest > 0
    np.testing.assert_allclose(found, theirs, rtol=0, atol=OF_LARGEST * largest)


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


# ---- captum ----


@pytest.mark.parametrize("name", NETWORKS)
def test_gradcam_and_hirescam_by_captum(name, captum):
    asked, model = whole(name)
    images, targets = to_torch(asked.images), torch.from_numpy(asked.targets)
    layer = layer_of(asked, model)
    agree(ours("gradcam", asked), channels_last(captum.LayerGradCam(model, layer).attribute(images, targets))[..., 0])
    each = captum.LayerGradientXActivation(model, layer).attribute(images, targets)
    agree(ours("hirescam", asked), channels_last(each).sum(axis=3))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_by_captum(name, captum):
    asked, model = whole(name)
    images, targets = to_torch(asked.images), torch.from_numpy(asked.targets)
    agree(ours("gradient", asked), channels_last(captum.Saliency(model).attribute(images, targets)).max(axis=3))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "efficientnet_lite0"])  # captum knows no ReLU6
def test_rectified_gradients_by_captum(name, captum):
    asked, model = whole(name)
    images, targets = to_torch(asked.images), torch.from_numpy(asked.targets)
    for method, way in (("guided", captum.GuidedBackprop), ("deconvnet", captum.Deconvolution)):
        agree(ours(method, asked), np.abs(channels_last(way(model).attribute(images, targets))).max(axis=3))


def test_smoothgrad_by_captum(captum):
    """Each copy by captum, with the noise that ours draws: captum's own comes from PyTorch's generator."""
    asked, model = fine()
    targets, total = torch.from_numpy(asked.targets), 0
    spans = np.ptp(asked.images, axis=(1, 2, 3)).reshape(-1, 1, 1, 1)
    for copy in range(smoothgrad.COPIES):
        noise = np.random.default_rng([0, copy]).standard_normal(asked.images.shape[1:], np.float32)
        noisy = to_torch(asked.images + smoothgrad.NOISE * spans * noise)
        total = total + channels_last(captum.Saliency(model).attribute(noisy, targets, abs=False))
    agree(ours("smoothgrad", asked), np.abs(total / smoothgrad.COPIES).max(axis=3))


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "squeezenet1_1"])
def test_integrated_gradients_by_captum(name, captum, monkeypatch):
    monkeypatch.setattr(integrated, "ENOUGH", np.inf)
    asked, model = whole(name)
    found = METHODS["integrated"].compute(asked)
    each, delta = captum.IntegratedGradients(model).attribute(
        to_torch(asked.images), 0.0, torch.from_numpy(asked.targets), n_steps=50, method="gausslegendre",
        return_convergence_delta=True)
    agree(found.maps, channels_last(each).sum(axis=3))
    differences = channels_last(each).sum(axis=(1, 2, 3)) - delta.numpy()
    np.testing.assert_allclose(found.residual, np.abs(delta.numpy() / differences), atol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "resnet8"])
def test_occlusion_by_captum(name, captum):
    asked, model = whole(name)
    side = asked.images.shape[1]
    total = 0
    for part in occlusion.SIDES:
        step = round(side * part / 2)
        each = captum.Occlusion(lambda x: model(x).softmax(dim=1)).attribute(
            to_torch(asked.images), (asked.images.shape[3], 2 * step, 2 * step), (1, step, step),
            target=torch.from_numpy(asked.targets))
        total = total + channels_last(each)[..., 0] / 2
    agree(ours("occlusion", asked), total)


# ---- grad-cam: maps without what speaks against the class, brought to 0..1 ----


def scaled(maps: np.ndarray) -> np.ndarray:
    maps = np.maximum(maps, 0)
    maps = maps - maps.min(axis=(1, 2), keepdims=True)
    return maps / maps.max(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(("name", "theirs"), [("gradcam", "GradCAM"), ("hirescam", "HiResCAM"),
                                              ("gradcamplusplus", "GradCAMPlusPlus"), ("layercam", "LayerCAM"),
                                              ("scorecam", "ScoreCAM")])
def test_maps_by_grad_cam(name, theirs, grad_cam):
    asked, model = fine()
    targets = [grad_cam.utils.model_targets.ClassifierOutputTarget(int(each)) for each in asked.targets]
    found = getattr(grad_cam, theirs)(model, [layer_of(asked, model)])(to_torch(asked.images), targets)
    agree(scaled(ours(name, asked)), found)


@pytest.mark.parametrize(("classes", "compared"), [(2, 3), (5, 1)])
def test_finercam_by_grad_cam(classes, compared, grad_cam, monkeypatch):
    """Beside one class: several are weighted by their probabilities in grad-cam, whose own gradients go in, too."""
    monkeypatch.setattr(finercam, "COMPARED", compared)
    asked, model = fine(classes, 0.3)  # its weights must not vanish beside the 1e-9 that it adds to their sum
    theirs = grad_cam.FinerCAM(model, [layer_of(asked, model)], base_method=grad_cam.HiResCAM)
    for i, target in enumerate(asked.targets):
        one = Asked(asked.model, asked.look, asked.images[i : i + 1], asked.targets[i : i + 1])
        found = theirs(to_torch(one.images), target_idx=int(target), comparison_categories=[1])
        agree(scaled(ours("finercam", one)), found)


def test_guided_backpropagation_by_grad_cam(grad_cam):
    asked, model = fine()
    found = ours("guided", asked)
    theirs = grad_cam.GuidedBackpropReLUModel(model)
    for i, target in enumerate(asked.targets):
        agree(found[i], np.abs(theirs(to_torch(asked.images[i : i + 1]), int(target))).max(axis=2))


def test_what_is_asked_for_is_the_target(captum):
    """Not what the network says."""
    asked, model = fine()
    said = model(to_torch(asked.images)).argmax(dim=1).numpy()
    assert (said != asked.targets).any()
    weights = one_hot(asked.targets, 5)
    theirs = captum.InputXGradient(model).attribute(to_torch(asked.images), torch.from_numpy(asked.targets))
    agree(asked.images * asked.look.by_image(asked.images, weights), channels_last(theirs))
