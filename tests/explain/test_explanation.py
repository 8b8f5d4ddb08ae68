"""explain/explanation.py: which class, layer and method are explained, what is said of each image, and what is refused;
with images of any size, grey ones, arrays, and what is no image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import Preprocessing
from cnncli.data.finding import Missing
from cnncli.errors import DataError, ImageError, ModelError, NetworkError, UsageError
from cnncli.explain.explanation import chosen_layer, class_number, explanations, last_positions
from cnncli.explain.methods import METHODS
from cnncli.model import Model
from cnncli.network import Network
from cnncli.network.analysis import has_positions

CLASSES = ["left", "right", "neither"]


def sides(grey: bool = False, resize: str = "squash") -> Model:
    """A model that sees light: its logits are the mean brightness of the left half, of the right half, and 0."""
    channels = 1 if grey else 3
    network = Network([{"type": "Conv2d", "out_channels": 1, "kernel_size": 1, "bias": False, "name": "light"},
                       {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 3}],
                      (8, 12, channels), seed=0)
    parameters = network.parameters()
    parameters["light.weight"][...] = 1 / channels
    parameters["linear1.bias"][...] = 0
    weight = parameters["linear1.weight"].reshape(3, 8, 12)
    weight[...] = 0
    weight[0, :, :6] = weight[1, :, 6:] = 1 / 48
    return Model(network, CLASSES, Preprocessing((8, 12), grey, resize, (0.0,) * channels, (1.0,) * channels))


def lit(x: int, y: int, size: tuple[int, int] = (24, 36), side: int = 3) -> np.ndarray:
    """A dark image (height, width) with one light square."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[y : y + side, x : x + side] = 255
    return pixels


def test_the_map_is_where_the_evidence_is() -> None:
    model = sides()
    found = cnncli.explain(model, lit(27, 15))
    assert (found.label, found.target, found.method, found.layer) == ("right", "right", "hirescam", "relu1")
    assert found.size == (24, 36)
    assert found.map.shape == (24, 36)
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    assert (abs(row - 16), abs(column - 28)) <= (1, 1)
    assert found.map[:, :18].max() < 0.01 * found.map.max()
    assert found.runner_up is not None
    assert found.runner_up[0] in ("left", "neither")
    logit = model.logits(lit(27, 15)[None])[0]
    assert found.values.sum() == pytest.approx(logit[1], rel=1e-5), "the map adds up to the logit: there is no bias"
    assert found.probability == pytest.approx(model.probabilities(lit(27, 15)[None])[0, 1])


def test_another_class() -> None:
    found = cnncli.explain(sides(), lit(27, 15), target="left")
    assert (found.label, found.target) == ("right", "left")
    assert found.target_probability < found.probability
    assert np.abs(found.values).max() < 0.01
    assert cnncli.explain(sides(), lit(27, 15), target="neither").sentence == "nothing at relu1 speaks for neither"


def test_what_speaks_against_is_said() -> None:
    model = sides()
    model.network.parameters()["linear1.weight"][2] = -0.1
    found = cnncli.explain(model, lit(3, 3), target="neither")
    assert found.values.min() < 0
    assert found.sentence == "nothing at relu1 speaks for neither; all of it speaks against"


def test_what_only_speaks_against_is_no_evidence() -> None:
    found = replace(cnncli.explain(sides(), lit(3, 3)), values=np.full((2, 2), -0.5, np.float32))
    assert found.sentence == "nothing at relu1 speaks for left; all of it speaks against"
    assert replace(found, values=np.array([[-1.0, 0.1]], np.float32)).sentence is None


@pytest.mark.parametrize(("shape", "positions"), [((5, 1), True), ((1, 5), True), ((1, 1), False)])
def test_one_row_of_positions_is_enough(shape: tuple[int, int], positions: bool) -> None:
    network = Network([{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}, {"type": "Flatten"},
                       {"type": "Linear", "out_features": 2}], (*shape, 3))
    assert any(map(has_positions, network.nodes)) == positions


@pytest.mark.parametrize("size", [(8, 12), (48, 20), (10, 90)])
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_images_of_any_size_get_a_map_of_their_own(size: tuple[int, int], resize: str) -> None:
    height, width = size
    found = cnncli.explain(sides(resize=resize), lit(width // 2 - 2, height // 2 - 2, size, 4))
    assert found.map.shape == size
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    box = found.preprocessing.box((width, height))
    assert abs(row + 0.5 - height / 2) <= max(2.5, (box[3] - box[1]) / 8)
    assert abs(column + 0.5 - width / 2) <= max(2.5, (box[2] - box[0]) / 12)
    outside = np.ones(size, bool)
    outside[int(box[1]) : int(np.ceil(box[3])), int(box[0]) : int(np.ceil(box[2]))] = False
    assert not found.map[outside].any(), "what was cut off was not seen"


def test_grey_images_arrays_and_files(tmp_path: Path) -> None:
    pixels = lit(3, 3)[:, :, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    model = sides(grey=True)
    one, other, last = explanations(model, [tmp_path / "a.png", pixels, tmp_path / "b.png"])
    assert np.array_equal(one.values, other.values)
    assert (one.path, other.path) == (str(tmp_path / "a.png"), "images[1]")
    assert isinstance(last, Missing)
    with pytest.raises(DataError, match=r"b\.png cannot be used"):
        cnncli.explain(model, tmp_path / "b.png")
    with pytest.raises(UsageError, match="one image is explained, not 2"):
        cnncli.explain(model, [pixels, pixels])
    said = one.as_json()
    assert (said["label"], said["strongest_at"], said["size"]) == ("left", [4, 4], [24, 36])


def test_an_image_that_goes_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(lit(3, 3)).save(tmp_path / "a.png")

    def gone(path: str) -> tuple[int, int, bool]:
        raise ImageError(path, "it is not there")

    monkeypatch.setattr("cnncli.explain.explanation.read_header", gone)
    [found] = explanations(sides(), [tmp_path / "a.png"])
    assert isinstance(found, Missing)


def test_what_is_not_there_is_refused_with_what_is() -> None:
    model = sides()
    with pytest.raises(UsageError, match=r"no class 'lefft'\. Did you mean 'left'\?"):
        class_number(model, "lefft")
    with pytest.raises(UsageError, match=r"no method 'hirescan'\. Did you mean 'hirescam'\? The methods are .*gradcam"):
        cnncli.explain(model, lit(1, 1), method="hirescan")
    with pytest.raises(NetworkError, match=r"no layer 'relu'.*relu1"):
        cnncli.explain(model, lit(1, 1), layer="relu")
    with pytest.raises(UsageError, match=r"layer linear1 has no positions \(its output is 3\): .* as relu1\."):
        chosen_layer(model.network, "linear1", METHODS["gradcam"])
    assert chosen_layer(model.network, "light", METHODS["gradcam"]) == "light"
    flat = Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 3}], (8, 12, 3))
    with pytest.raises(UsageError, match="no layer of the network has positions"):
        last_positions(flat)
    model.network.parameters()["linear1.bias"][0] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        cnncli.explain(model, lit(1, 1))


@pytest.mark.parametrize(("name", "layer"), [
    ("lenet5", "relu2"), ("resnet8", "layer3.0.relu"), ("resnet9", "stage3.relu2"), ("vgg-small", None),
    ("squeezenet1_1", None)])
def test_the_layer_is_the_last_with_positions(name: str, layer: str | None, network) -> None:
    net = network(name)
    found = net.node(last_positions(net))
    assert found.shape[0] * found.shape[1] > 1
    assert layer in (None, found.name)
    behind = net.nodes[net.nodes.index(found) + 1 :]
    assert not any(node.layer.begins_block and len(node.shape) == 3 and node.shape[0] > 1 for node in behind)
