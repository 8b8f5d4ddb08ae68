"""export/torch_names.py: torchvision's and timm's own networks take the file with strict=True and then say what ours
says."""

import importlib

import numpy as np
import pytest
import torch

from cnncli.architectures import architecture
from cnncli.data import Preprocessing
from cnncli.export.torch_names import NETWORKS, to_torch_names
from cnncli.model import Model

safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
# torchvision registers these beside its compiled operators; without the latter (a build for another PyTorch) its
# networks, which need none of them, could not be imported.
_OPERATORS = ("nms", "qnms")


@pytest.fixture(scope="module")
def libraries():
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        try:
            getattr(torch.ops.torchvision, name)
        except AttributeError:
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return {name: pytest.importorskip(name, reason=f"{name} is not installed") for name in ("torchvision", "timm")}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_of_others_take_it_and_say_the_same(name, libraries, rng):
    size, classes = 64, 7
    network = architecture(name, (size, size, 3), classes, seed=3)
    for array in network.buffers().values():
        array[...] = rng.uniform(0.5, 1.5, array.shape)
    data, said = to_torch_names(Model(network, [str(i) for i in range(classes)], Preprocessing((size, size)),
                                      {"architecture": name}))
    assert NETWORKS[name] in said
    if "torchvision" in NETWORKS[name]:
        theirs = getattr(importlib.import_module("torchvision.models"), name)(num_classes=classes)
    else:
        theirs = libraries["timm"].create_model(f"tf_{name}", num_classes=classes)
    theirs.load_state_dict(safetensors.load(data), strict=True)
    images = rng.standard_normal((2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(np.moveaxis(images, 3, 1).copy())).numpy()
    np.testing.assert_allclose(network.forward(images), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
