"""architectures/: sizes that the papers (or torchvision) give, shapes on images of any size, and one step of training
each, so that no architecture ships that cannot learn."""

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture, automatic_architecture
from cnncli.errors import NetworkError, UsageError
from cnncli.optim import SGD
from cnncli.trainer import Trainer


def parameters(name: str, shape: tuple[int, int, int], classes: int) -> int:
    return sum(a.size for a in architecture(name, shape, classes, seed=None).parameters().values())


@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("lenet5", (28, 28, 1), 10, 61_706),
        ("lenet5", (32, 32, 1), 10, 61_706),
        ("classic", (32, 32, 3), 10, 192_490),
        # The paper's 0.27 M with parameter-free shortcuts, plus two projections with their batch norms.
        ("resnet20", (32, 32, 3), 10, 269_722 + (16 * 32 + 64) + (32 * 64 + 128)),
        ("resnet18", (224, 224, 3), 1000, 11_689_512),  # torchvision's
    ],
)
def test_number_of_parameters(name: str, shape: tuple[int, int, int], classes: int, expected: int) -> None:
    assert parameters(name, shape, classes) == expected


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (40, 57, 3)])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_step_makes_the_loss_of_the_batch_smaller(name: str, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    network = architecture(name, shape, 4, seed=0)
    assert network.output_shape == (4,)
    for node in network.nodes:
        if hasattr(node.layer, "p"):
            node.layer.p = 0.0  # dropout draws anew each step: losses could not be compared
    images = rng.standard_normal((4, *shape)).astype(np.float32)
    labels = np.array([0, 1, 2, 3])
    trainer = Trainer(network, SGD(lr=0.01))
    first = trainer.step(images, labels)
    for _ in range(3):
        last = trainer.step(images, labels)
    assert last < first


def test_unknown_and_impossible() -> None:
    with pytest.raises(UsageError, match="Did you mean 'resnet20'"):
        architecture("resnet21", (32, 32, 3), 10)
    with pytest.raises(NetworkError, match=r"layer 4 \(Conv2d 'conv2'\)"):
        architecture("lenet5", (6, 6, 1), 10)


@pytest.mark.parametrize(
    ("shape", "name"), [((8, 8, 1), "classic"), ((28, 28, 1), "resnet20"), ((224, 224, 3), "resnet18")]
)
def test_automatic_choice_says_why(shape: tuple[int, int, int], name: str) -> None:
    chosen, reason = automatic_architecture(shape)
    assert chosen == name
    assert reason.startswith(f"{name}, because")
    architecture(chosen, shape, 2)
