"""weights/fitting.py and names.py: others' names find their places, a head of other classes stays fresh, and whatever
else does not fit is listed and changes nothing. The published files themselves are read in test_pretrained.py."""

import numpy as np
import pytest

from cnncli.architectures import ARCHITECTURES, architecture
from cnncli.errors import ModelError
from cnncli.network import Network
from cnncli.weights import Weights
from cnncli.weights.fitting import fit
from cnncli.weights.names import tables


def network(name: str, classes: int = 5, seed: int = 1) -> Network:
    return architecture(name, (32, 32, 3), classes, seed)


def arrays(net: Network) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in {**net.parameters(), **net.buffers()}.items()}


def fitted(name: str, found: dict[str, np.ndarray], classes: int = 5, **options: bool):
    net = network(name, classes, seed=2)
    return net, fit(net, name, Weights("w.pth", found), **options)


def test_our_own_names_are_theirs() -> None:
    found = arrays(network("resnet8"))
    net, result = fitted("resnet8", {**found, "bn1.num_batches_tracked": np.array(7)})
    assert result.head == ""
    assert sorted(result.taken) == sorted(found)
    assert all(np.array_equal(array, found[name]) for name, array in arrays(net).items())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "theirs"), [
    ("efficientnet_lite0", {
        "_conv_stem.weight": "conv_stem.weight", "_bn0.running_var": "bn1.running_var",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight", "_blocks.0._bn1.bias": "blocks.0.0.bn1.bias",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight", "_blocks.0._bn2.weight": "blocks.0.0.bn2.weight",
        "_blocks.1._expand_conv.weight": "blocks.1.0.conv_pw.weight", "_blocks.1._bn0.weight": "blocks.1.0.bn1.weight",
        "_blocks.2._depthwise_conv.weight": "blocks.1.1.conv_dw.weight", "_blocks.2._bn1.bias": "blocks.1.1.bn2.bias",
        "_blocks.15._project_conv.weight": "blocks.6.0.conv_pwl.weight", "_blocks.15._bn2.bias": "blocks.6.0.bn3.bias",
        "_conv_head.weight": "conv_head.weight", "_bn1.running_mean": "bn2.running_mean", "_fc.bias": "classifier.bias",
    }),
    ("mobilenet_v2", {
        "conv_stem.weight": "features.0.0.weight", "bn1.bias": "features.0.1.bias",
        "blocks.0.0.conv_dw.weight": "features.1.conv.0.0.weight", "blocks.0.0.bn2.bias": "features.1.conv.2.bias",
        "blocks.1.0.conv_pw.weight": "features.2.conv.0.0.weight",
        "blocks.1.1.bn2.weight": "features.3.conv.1.1.weight",
        "blocks.6.0.conv_pwl.weight": "features.17.conv.2.weight", "blocks.6.0.bn3.bias": "features.17.conv.3.bias",
        "conv_head.weight": "features.18.0.weight", "classifier.weight": "classifier.1.weight",
    }),
])
def test_other_names_find_their_places(name: str, theirs: dict[str, str]) -> None:
    """The names asked here are written down by hand; the whole network then goes through all of the table."""
    own = arrays(network(name))
    layers = list(dict.fromkeys(array.rpartition(".")[0] for array in own))
    [table] = tables(name, layers)
    assert sorted(table.values()) == sorted(layers)
    back = {ours: their for their, ours in table.items()}
    renamed = {f"{back[array.rpartition('.')[0]]}.{array.rpartition('.')[2]}": value for array, value in own.items()}
    for their, ours in theirs.items():
        assert renamed[their] is own[ours]
    net, result = fitted(name, renamed)
    assert result.complaint() == ""
    assert len(result.taken) == len(own)
    assert all(np.array_equal(array, own[place]) for place, array in arrays(net).items())


def vgg(seed: int) -> Network:
    """vgg11's layers and names, with a few filters each."""
    layers = ARCHITECTURES["vgg11"]((32, 32, 3), 5)
    for layer in layers[:-1]:
        layer |= {option: 6 for option in ("out_channels", "out_features") if option in layer}
    return Network(layers, (32, 32, 3), seed)


def test_dense_layers_may_be_convolutions_elsewhere() -> None:
    own = arrays(vgg(1))
    dense = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}
    found = {name: array for name, array in own.items() if name.startswith("features.")}
    for theirs, ours in dense.items():
        weight = own[f"{ours}.weight"]
        found[f"{theirs}.weight"] = weight.reshape(len(weight), -1, *((7, 7) if ours == "classifier.0" else (1, 1)))
        found[f"{theirs}.bias"] = own[f"{ours}.bias"]
    for name in ("vgg11", "vgg16"):
        net = vgg(2)
        fit(net, name, Weights("w.pth", found))
        assert all(np.array_equal(array, own[name]) for name, array in arrays(net).items())


@pytest.mark.parametrize(("name", "parts"), [("efficientnet_lite1", "classifier"), ("efficientnet_lite2", "classifier"),
                                             ("mobilenet_v2", "classifier.1"), ("vgg16", "classifier.6")])
def test_a_table_has_a_name_for_every_layer_with_weights(name: str, parts: str) -> None:
    described = ARCHITECTURES[name]((224, 224, 3), 5)
    layers = [layer["name"] for layer in described if layer["type"] in ("Conv2d", "BatchNorm2d", "Linear")]
    [table] = tables(name, layers)
    assert sorted(table.values()) == sorted(layers)
    assert parts in layers


def test_networks_without_other_names_have_no_table() -> None:
    assert tables("resnet18", ["conv1", "bn1", "fc"]) == []


def test_another_number_of_classes_leaves_the_head_fresh() -> None:
    found = arrays(network("resnet8", classes=1000))
    net, result = fitted("resnet8", found, classes=3)
    fresh = arrays(network("resnet8", 3, seed=2))
    assert result.head == "fc"
    assert not {"fc.weight", "fc.bias"} & set(result.taken)
    assert np.array_equal(arrays(net)["fc.weight"], fresh["fc.weight"])
    assert np.array_equal(arrays(net)["layer3.0.conv2.weight"], found["layer3.0.conv2.weight"])
    # as many classes, but others, or no head at all in the file:
    same = arrays(network("resnet8", classes=3))
    assert fitted("resnet8", same, classes=3, head=False)[1].head == "fc"
    body = {name: array for name, array in same.items() if not name.startswith("fc.")}
    assert fitted("resnet8", body, classes=3)[1].head == "fc"


def test_whatever_does_not_fit_is_listed_and_nothing_changes() -> None:
    found = arrays(network("resnet8"))
    del found["bn1.weight"]
    found["layer1.0.conv1.weight"] = found["layer1.0.conv1.weight"][:, :, :1]
    found["layer1.0.bn1.bias"] = np.float32(1).reshape(())
    found["layer1.0.bn2.bias"] = np.ones(16, bool)
    found["conv9.weight"] = np.ones(3, np.float32)
    net = network("resnet8", seed=2)
    before = arrays(net)
    with pytest.raises(ModelError) as caught:
        fit(net, "resnet8", Weights("w.pth", found))
    assert str(caught.value) == (
        "w.pth does not fit resnet8: missing: bn1.weight; of another shape: layer1.0.conv1.weight (16 x 16 x 1 x 3 "
        "there, 16 x 16 x 3 x 3 here), layer1.0.bn1.bias (one number there, 16 here); true and false in the place of "
        "numbers: layer1.0.bn2.bias; unexpected: conv9.weight; give weights of resnet8, or another arch.")
    assert caught.value.exit_code == 4
    assert all(np.array_equal(array, before[name]) for name, array in arrays(net).items())


@pytest.mark.parametrize(("count", "told"), [(5, "n0, n1, n2, n3, n4;"), (6, "n0, n1, n2, n3, n4 and 1 more;"),
                                             (12, "n0, n1, n2, n3, n4 and 7 more;")])
def test_long_lists_are_cut(count: int, told: str) -> None:
    found = arrays(network("resnet8")) | {f"n{number}": np.ones(1, np.float32) for number in range(count)}
    with pytest.raises(ModelError, match=f"resnet8: unexpected: {told} give"):
        fitted("resnet8", found)


def test_long_names_are_cut() -> None:
    with pytest.raises(ModelError, match=f"unexpected: {'x' * 80};"):
        fitted("resnet8", {"x" * 81: np.ones(1, np.float32)})


def test_whole_numbers_are_weights_too() -> None:
    found = arrays(network("resnet8"))
    for kind in ("<i8", "u1"):
        found["fc.bias"] = np.arange(5).astype(kind)
        assert arrays(fitted("resnet8", found)[0])["fc.bias"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(7, 32), (5, 65), (7, 65, 1, 1), (7,)])
def test_a_head_of_another_width_is_not_one_of_other_classes(shape: tuple[int, ...]) -> None:
    """resnet8 has 64 features: as many of them must be there, however many classes are."""
    found = arrays(network("resnet8"))
    found["fc.weight"], found["fc.bias"] = np.ones(shape, np.float32), np.ones(shape[0], np.float32)
    theirs = " x ".join(map(str, shape))
    with pytest.raises(ModelError, match=rf"of another shape: fc\.weight \({theirs} there, 5 x 64 here"):
        fitted("resnet8", found)


def test_a_head_of_other_classes_is_left_whole() -> None:
    found = arrays(network("resnet8"))
    found["fc.weight"], found["fc.bias"] = np.ones((7, 64), np.float32), np.ones(7, np.float32)
    net, result = fitted("resnet8", found)
    assert result.head == "fc"
    assert not {name for name in result.taken if name.startswith("fc")}
    fresh = arrays(network("resnet8", seed=2))
    assert all(np.array_equal(arrays(net)[f"fc.{part}"], fresh[f"fc.{part}"]) for part in ("weight", "bias"))
