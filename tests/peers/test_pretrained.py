"""efficientnet_lite0 as published: its 20 labelled ImageNet images, which come with foolbox, and its outputs for them
beside those of the package that the weights were made for (efficientnet_lite_pytorch)."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import cnncli
from cnncli.weights.pretrained import installed, pretrained_weights

NAME = "efficientnet_lite0"


@pytest.fixture(scope="module")
def judged():
    """The images as the network gets them, their classes, and our logits."""
    if not installed(NAME):
        pytest.skip("the extra [pretrained] is not installed")
    spec = find_spec("foolbox")
    if spec is None:
        pytest.skip("foolbox is not installed")
    paths = sorted(Path(spec.submodule_search_locations[0], "data").glob("imagenet_*.jpg"))
    assert len(paths) == 20
    model = cnncli.load(NAME)
    images = np.stack([model.preprocessing.prepare(path) for path in paths])
    return images, [int(re.search(r"_(\d+)\.jpg", path.name)[1]) for path in paths], model.logits(images)


def test_eighteen_of_twenty_are_right(judged):
    _, labels, logits = judged
    assert sum(logits.argmax(1) == labels) >= 18


def test_the_outputs_are_the_publishers(judged):
    publisher = pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet_lite_pytorch is not installed")
    images, _, logits = judged
    theirs = publisher.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=pretrained_weights(NAME).path)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(np.moveaxis((images.astype(np.float32) - 127) / 128, 3, 1).copy()))
    assert np.abs(logits - expected.numpy()).max() < 1e-3
