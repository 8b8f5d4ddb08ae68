"""architectures/: every layer as it has been since its release, sizes that the papers (or torchvision) give, shapes on
images of any size, and one step of training each, so that no architecture ships that cannot learn."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture, automatic_architecture
from cnncli.errors import NetworkError, UsageError
from cnncli.optim import SGD
from cnncli.training.trainer import Trainer

SMALLER = 0.003  # by how much a step is to make the loss smaller: far above its rounding, far below its curvature

# Of every layer of each architecture, with its options, for images of 28x28, 32x31 and 40x57 pixels and seven classes.
# peers/test_torch_names.py compares those that others have published, with their weights, to the originals.
LAYERS = {
    "lenet5": "db73ec683a9d", "classic": "733875cd249b", "nin": "9533e378e885", "vgg-small": "f6a8cfbd11f7",
    "resnet8": "66352ac03301", "resnet9": "6d492b8316fa", "resnet20": "b332066f3de8", "resnet18": "ef879e425a45",
    "resnet34": "093b48a7dfc9", "resnet50": "fef1532d6af7", "vgg11": "c3d12e67d791", "vgg16": "d44b6fd0abbd",
    "squeezenet1_1": "b2aa57c9bfb8", "mobilenet_v2": "0fb3fb498573", "efficientnet_lite0": "726ae574c549",
    "efficientnet_lite1": "93b6458f1a38", "efficientnet_lite2": "392c21c04167",
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_its_layers_are_those_that_models_were_trained_with(name: str) -> None:
    """Papers, the tables of docs/accuracy.md and everybody's runs are about these layers: a change of one is another
    architecture, which needs another name."""
    layers = [layer for shape in [(28, 28, 1), (32, 31, 3), (40, 57, 3)] for layer in ARCHITECTURES[name](shape, 7)]
    told = "\n".join(f"{layer}" for layer in layers)
    assert hashlib.sha256(told.encode()).hexdigest()[:12] == LAYERS[name], told


def test_the_layers_written_down_once() -> None:
    """What a digest hides, of those that nobody else has published."""
    def told(name: str, kind: str, option: str, shape: tuple[int, int, int] = (32, 32, 3)) -> list[object]:
        return [layer.get(option) for layer in ARCHITECTURES[name](shape, 7) if layer["type"] == kind]

    assert told("lenet5", "Conv2d", "padding", (28, 40, 1)) == [2, None]
    assert told("lenet5", "Conv2d", "padding", (32, 32, 1)) == [0, None]
    assert told("vgg-small", "Conv2d", "out_channels") == [64, 64, 128, 128, 256, 256]
    assert told("vgg-small", "Dropout", "p") == [0.2]
    assert told("nin", "Conv2d", "kernel_size") == [5, 1, 1, 5, 1, 1, 3, 1, 1]
    assert told("nin", "Conv2d", "out_channels") == [192, 160, 96, 192, 192, 192, 192, 192, 7]
    assert told("nin", "BatchNorm2d", "name")[-1] == "bn3_2"  # nothing between the maps of the classes and their means
    assert told("resnet8", "Conv2d", "stride") == [None, 1, None, 2, None, 2, 2, None, 2]
    assert len(told("resnet20", "Add", "name")) == 9
    assert told("resnet9", "Conv2d", "out_channels") == [64, 64, 256, 256, 256, 256]
    assert told("resnet9", "MaxPool2d", "kernel_size", (40, 57, 3)) == [2, 2, 2, [5, 7]]
    assert told("resnet9", "MaxPool2d", "kernel_size", (12, 7, 3)) == [2, 2, 2, [1, 1]]
    assert told("resnet9", "Scale", "factor") == [1 / 9]


def parameters(name: str, shape: tuple[int, int, int], classes: int) -> int:
    return sum(a.size for a in architecture(name, shape, classes, seed=None).parameters().values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("lenet5", (28, 28, 1), 10, 61_706),
        ("lenet5", (32, 32, 1), 10, 61_706),
        ("classic", (32, 32, 3), 10, 192_490),
        # The paper's 0.27 M with parameter-free shortcuts, plus two projections with their batch norms.
        ("resnet20", (32, 32, 3), 10, 269_722 + (16 * 32 + 64) + (32 * 64 + 128)),
        ("resnet18", (224, 224, 3), 1000, 11_689_512),  # torchvision's, as down to mobilenet_v2
        ("resnet34", (224, 224, 3), 1000, 21_797_672),
        ("resnet50", (224, 224, 3), 1000, 25_557_032),
        ("vgg11", (224, 224, 3), 1000, 132_863_336),
        ("vgg16", (224, 224, 3), 1000, 138_357_544),
        ("squeezenet1_1", (224, 224, 3), 1000, 1_235_496),
        ("mobilenet_v2", (224, 224, 3), 1000, 3_504_872),
        ("efficientnet_lite0", (224, 224, 3), 1000, 4_652_008),  # TensorFlow's
        ("efficientnet_lite1", (240, 240, 3), 1000, 5_416_680),
        ("efficientnet_lite2", (260, 260, 3), 1000, 6_092_072),
    ],
)
def test_number_of_parameters(name: str, shape: tuple[int, int, int], classes: int, expected: int) -> None:
    assert parameters(name, shape, classes) == expected


def sizes(name: str) -> list[tuple[int, int, int]]:
    """Return the sizes of images to try an architecture on."""
    if name.startswith(("efficientnet", "mobilenet", "squeezenet", "resnet34", "resnet50")):
        return [(64, 64, 1), (64, 64, 3)]  # of smaller ones the last maps would be single pixels
    if name in ("vgg11", "vgg16"):
        return [(40, 57, 3)]  # their weights take 500 MB, and images 32 pixels
    return [(28, 28, 1), (32, 32, 3), (40, 57, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name in ARCHITECTURES for shape in sizes(name)])
def test_a_small_step_makes_the_loss_smaller_by_as_much_as_the_gradients_say(
    name: str, shape: tuple[int, int, int]) -> None:
    """A step of lr down the gradient g takes lr g'g off the loss, as long as it is small."""
    rng = np.random.default_rng(0)
    batch = 16 if shape[0] == 64 else 4  # batch norms over four values make roundings as large as steps
    network = architecture(name, shape, 4, seed=0)
    assert network.output_shape == (4,)
    for node in network.nodes:
        if hasattr(node.layer, "p"):
            node.layer.p = 0.0  # dropout draws anew each step: losses could not be compared
    images = rng.standard_normal((batch, *shape)).astype(np.float32)
    labels = np.arange(batch) % 4
    optimiser = SGD(lr=0.0)
    trainer = Trainer(network, optimiser)
    first = trainer.step(images, labels)
    optimiser.lr = SMALLER / sum(float(np.vdot(g.astype(np.float64), g)) for g in network.gradients().values())
    trainer.step(images, labels)
    last = trainer.step(images, labels)
    assert 0.85 < (first - last) / SMALLER < 1.1


def test_efficientnet_lite_is_as_published() -> None:
    network = architecture("efficientnet_lite0", (224, 224, 3), 1000, seed=None)
    shapes = {node.name: node.shape for node in network.nodes}
    assert shapes["act1"] == (112, 112, 32)
    ends = [("0.0.bn2", (112, 112, 16)), ("1.1.add", (56, 56, 24)), ("2.1.add", (28, 28, 40)),
            ("3.2.add", (14, 14, 80)), ("4.2.add", (14, 14, 112)), ("5.3.add", (7, 7, 192)), ("6.0.bn3", (7, 7, 320))]
    assert [(name, shapes[f"blocks.{name}"]) for name, _ in ends] == ends
    assert sum(node.name.endswith(".add") for node in network.nodes) == 9  # blocks of the same shape at both ends
    norm = network.node("bn2").layer.config()
    assert (norm["eps"], norm["momentum"]) == (1e-3, 0.01)
    # TensorFlow's zeros: 224 pixels at stride 2 take one, behind the last.
    assert network.node("conv_stem").layer.config()["padding"] == "same_tf"
    # timm's state dict, here of a block that widens nothing and one that does:
    arrays = {**network.parameters(), **network.buffers()}
    blocks = {"blocks.0.0": ("conv_dw", "conv_pw"), "blocks.6.0": ("conv_pw", "conv_dw", "conv_pwl")}
    for block, convolutions in blocks.items():
        expected = {f"{block}.{conv}.weight" for conv in convolutions}
        for number in range(1, len(convolutions) + 1):
            expected |= {f"{block}.bn{number}.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
        assert {name for name in arrays if name.startswith(block)} == expected
    outside = {name.split(".")[0] for name in arrays} - {"blocks"}
    assert outside == {"conv_stem", "bn1", "conv_head", "bn2", "classifier"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 33, 45])
def test_efficientnet_lite_takes_images_of_any_size(size: int) -> None:
    network = architecture("efficientnet_lite0", (size, size, 1), 3)
    image = np.ones((1, size, size, 1), np.float32)
    assert np.isfinite(network.forward(image)).all()
    if size <= 32:  # a pixel is left in the end: batch norm cannot train on one of one image
        with pytest.raises(NetworkError, match="use a batch of two images or more"):
            network.forward(image, training=True)


@pytest.mark.parametrize("place", ["docs/networks.md", "CHANGELOG.md", "cnncli/cli/train_options.py"])
def test_every_architecture_is_told_of(place: str) -> None:
    text = (Path(__file__).parents[2] / place).read_text(encoding="utf-8")
    assert [name for name in ARCHITECTURES if not re.search(rf"\b{name}\b", text)] == []


def test_unknown_and_impossible() -> None:
    with pytest.raises(UsageError, match="Did you mean 'resnet20'"):
        architecture("resnet21", (32, 32, 3), 10)
    with pytest.raises(UsageError, match=r"^name must be a text, not 3\.$"):
        architecture(3, (32, 32, 3), 10)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=r"layer 4 \(Conv2d 'conv2'\)"):
        architecture("lenet5", (6, 6, 1), 10)


def test_without_a_seed_of_ones_own_it_is_0() -> None:
    first, default, other = (architecture("lenet5", (28, 28, 1), 3, **seed).parameters()["conv1.weight"]
                             for seed in ({"seed": 0}, {}, {"seed": 1}))
    assert np.array_equal(first, default)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("shape", "name"), [((8, 8, 1), "classic"), ((11, 30, 1), "classic"), ((30, 11, 1), "classic"),
                        ((12, 15, 3), "resnet9"), ((28, 28, 1), "resnet9"), ((64, 12, 3), "resnet9"),
                        ((64, 65, 3), "resnet20"), ((65, 64, 3), "resnet20"), ((96, 96, 3), "resnet20"),
                        ((96, 97, 3), "resnet18"), ((97, 96, 3), "resnet18"), ((224, 224, 3), "resnet18")]
)
def test_automatic_choice_says_why(shape: tuple[int, int, int], name: str) -> None:
    chosen, reason = automatic_architecture(shape)
    assert chosen == name
    assert reason.startswith(f"{name}, because images of {shape[1]}x{shape[0]} pixels ")
    if max(shape) <= 64:
        architecture(chosen, shape, 2)
