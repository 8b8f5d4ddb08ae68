"""explain/explanation.py: which class, layer and method are explained, what is said of each image, and what is refused;
with images of any size, grey ones, arrays, and what is no image."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import Preprocessing
from cnncli.data.finding import Missing
from cnncli.errors import DataError, ImageError, ModelError, NetworkError, UsageError
from cnncli.explain.explanation import (
    Beside,
    Explainer,
    Explanation,
    chosen_layer,
    class_number,
    explanations,
    last_positions,
)
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


def test_what_is_passed_over_in_an_image_is_said(tmp_path: Path) -> None:
    Image.fromarray(lit(27, 15)).save(tmp_path / "long.jpg")
    with open(tmp_path / "long.jpg", "ab") as file:
        file.write(b"behind")
    notes: list[str] = []
    [found] = explanations(sides(), [str(tmp_path / "long.jpg")], note=notes.append)
    assert isinstance(found, Explanation)
    assert found.note is not None
    assert "6 bytes behind its end were passed over" in found.note
    assert len(notes) == 1
    assert "long.jpg (6 bytes behind its end were passed over)" in notes[0]


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
@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_images_of_any_size_get_a_map_of_their_own(size: tuple[int, int], resize: str) -> None:
    height, width = size
    pixels = lit(width // 2 - 2, height // 2 - 2, size, 4)
    if resize == "pad":
        pixels = np.maximum(pixels, 127)  # as light as the padding, which would be lit itself
    found = cnncli.explain(sides(resize=resize), pixels)
    assert found.map.shape == size
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    box = found.preprocessing.box((width, height))
    assert abs(row + 0.5 - height / 2) <= max(2.5, (box[3] - box[1]) / 8)
    assert abs(column + 0.5 - width / 2) <= max(2.5, (box[2] - box[0]) / 12)
    outside = np.ones(size, bool)
    outside[max(0, int(box[1])) : int(np.ceil(box[3])), max(0, int(box[0])) : int(np.ceil(box[2]))] = False
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
    upload = cnncli.explain(model, (tmp_path / "a.png").read_bytes())
    assert (upload.path, upload.size) == ("images[0]", one.size)
    assert np.array_equal(upload.values, one.values)
    assert cnncli.trust(model, upload).probability == cnncli.trust(model, one).probability
    with pytest.raises(ImageError, match=r"b\.png cannot be used") as caught:
        cnncli.explain(model, tmp_path / "b.png")
    assert caught.value.path == str(tmp_path / "b.png")
    assert caught.value.reason == "its content is not PNG, JPEG, BMP, GIF, TIFF or WebP"
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        cnncli.explain(model, tmp_path / "none")
    with pytest.raises(UsageError, match=r"cnncli.explain takes one image, not 2"):
        cnncli.explain(model, [pixels, pixels])
    said = one.as_json()
    assert (said["label"], said["strongest_at"], said["size"]) == ("left", [4, 4], [24, 36])
    assert one.runner_up is not None
    assert said["runner_up"] == {"label": one.runner_up[0], "probability": one.runner_up[1]}
    assert replace(one, runner_up=None).as_json()["runner_up"] is None
    figures = replace(one, besides=(Beside([], {"trust": 1}), Beside([], {"box": None}))).as_json()
    assert (figures["trust"], figures["box"], figures["sentence"]) == (1, None, None)


def beside(images: list[np.ndarray], truths: dict[str, str], target: str | None = None, method: str = "hirescam"
           ) -> list[list[Explanation]]:
    found = Explainer(sides(), method, None, 0).beside(images, target, truths=truths)
    return [each for each in found if not isinstance(each, Missing)]


def test_beside_a_right_answer_is_the_next_likeliest_and_beside_a_wrong_one_the_true_class_and_the_difference() -> None:
    truths = {"images[0]": "right", "images[1]": "neither", "images[2]": "left"}
    right, wrong, other, unknown = beside([lit(27, 15)] * 2 + [lit(3, 3)] + [lit(27, 15)], truths)
    assert [(each.target, each.against) for each in right] == [("right", None), (right[0].runner_up[0], None)]
    assert [each.target for each in other] == ["left", other[0].runner_up[0]]
    assert [each.target for each in unknown] == [each.target for each in right]
    assert [(each.target, each.against) for each in wrong] == [
        ("right", None), ("neither", None), ("right", "neither")]
    assert [each.truth for each in (right[0], *wrong, unknown[0])] == ["right", *["neither"] * 3, None]
    assert [each.wrong for each in (right[0], *wrong, other[0], unknown[0])] == [False, True, True, True, False, False]
    assert wrong[0].verdict == "said right, is neither"
    assert right[0].verdict is unknown[0].verdict is None
    said = replace(wrong[0], besides=(Beside(["one", "two"], {}), Beside([], {}), Beside(["three"], {})))
    assert said.printed == ["said right, is neither", "one", "two", "three"]
    assert (said.lines, right[0].printed) == (["one", "two", "three"], [])
    assert np.array_equal(wrong[2].values, wrong[0].values - wrong[1].values)
    assert wrong[1].target_probability < wrong[0].target_probability == wrong[2].target_probability
    assert (wrong[0].as_json()["truth"], unknown[0].as_json()["truth"]) == ("neither", None)


def test_where_a_class_was_asked_for_it_is_seen_beside_the_answer() -> None:
    [[asked, said]] = beside([lit(27, 15)], {"images[0]": "left"}, "neither")
    assert (asked.target, said.target, said.against) == ("neither", "right", None)
    assert asked.verdict == "said right, is left"


@pytest.mark.slow
def test_maps_beside_others_are_those_that_are_found_alone() -> None:
    images = [lit(27, 15), lit(3, 3), lit(15, 10), lit(30, 20)]
    for method in ("hirescam", "gradient", "occlusion"):
        for i, every in enumerate(beside(images, {"images[1]": "right", "images[3]": "left"}, method=method)):
            for each in every[:2]:
                alone = cnncli.explain(sides(), images[i], method, each.target)
                assert np.array_equal(each.values, alone.values)
            assert len(every) == (3 if i in (1, 3) else 2)
            if method == "hirescam" and len(every) == 3:
                assert np.array_equal(every[2].values, every[0].values - every[1].values)


def test_where_nothing_speaks_for_the_wrong_answer_rather_than_for_the_right_one() -> None:
    [[*_, difference]] = beside([lit(27, 15)], {"images[0]": "left"})
    assert difference.sentence is None
    none = replace(difference, values=-difference.values)
    assert none.sentence == "nothing at relu1 speaks for right rather than left"


def test_a_model_of_one_class_has_nothing_beside() -> None:
    network = Network([{"type": "Conv2d", "out_channels": 1, "kernel_size": 1}, {"type": "Flatten"},
                       {"type": "Linear", "out_features": 1}], (8, 12, 3), seed=0)
    model = Model(network, ["all"], Preprocessing((8, 12)))
    [[one]] = list(Explainer(model, "hirescam", None, 0).beside([lit(3, 3)], truths={"images[0]": "all"}))
    assert (one.runner_up, one.wrong) == (None, False)


def test_what_is_in_a_file_says_its_folder(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    Image.fromarray(lit(27, 15)).save(tmp_path / "left" / "a.png")
    found = cnncli.explain(sides(), tmp_path / "left" / "a.png")
    assert (found.truth, found.label, found.verdict) == ("left", "right", "said right, is left")
    for truths, truth in ((None, "left"), ({}, None)):
        [found] = [each for each in explanations(sides(), tmp_path, truths=truths) if not isinstance(each, Missing)]
        assert found.truth == truth
    with pytest.raises(UsageError, match="there is no class 'boot'; give one of "):
        list(explanations(sides(), tmp_path, truths={"a.png": "boot"}))


def test_an_image_that_goes_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(lit(3, 3)).save(tmp_path / "a.png")

    def gone(path: str) -> tuple[int, int, bool]:
        raise ImageError(path, "it is not there")

    monkeypatch.setattr("cnncli.explain.explanation.read_header", gone)
    [found] = explanations(sides(), [tmp_path / "a.png"])
    assert isinstance(found, Missing)


def test_what_is_not_there_is_refused_with_what_is() -> None:
    model = sides()
    with pytest.raises(UsageError, match=r"no class 'lefft'; give one of .*\. Did you mean 'left'\?"):
        class_number(model, "lefft")
    with pytest.raises(UsageError, match=r"no method 'hirescan'; give one of .*gradcam.*\. Did you mean 'hirescam'\?"):
        cnncli.explain(model, lit(1, 1), method="hirescan")
    with pytest.raises(NetworkError, match=r"no layer 'relu'.*relu1"):
        cnncli.explain(model, lit(1, 1), layer="relu")
    with pytest.raises(UsageError, match=r"looks at no layer; leave the layer out\. To see what each filter of a layer "
                                         r"reacts to: cnn explain --units light$"):
        chosen_layer(model.network, "light", METHODS["deconvnet"])
    for name, method in (("light", "gradient"), ("lite", "deconvnet")):
        with pytest.raises(UsageError, match=r"leave the layer out\.$"):
            chosen_layer(model.network, name, METHODS[method])
    with pytest.raises(UsageError, match=r"layer linear1 has no positions \(its output is 3\); .* like relu1\."):
        chosen_layer(model.network, "linear1", METHODS["gradcam"])
    assert chosen_layer(model.network, "light", METHODS["gradcam"]) == "light"
    assert chosen_layer(model.network, None, METHODS["gradient"]) == "light", "all of the network is gone through"
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


@pytest.mark.slow
def test_a_generator_that_never_ends(rng: np.random.Generator) -> None:
    model, image = sides(), rng.integers(0, 256, (6, 5, 3), np.uint8)
    for found in (explanations(model, (image for _ in itertools.count())),
                  cnncli.draw_activations(model, (image for _ in itertools.count()))):
        first, second = itertools.islice(found, 2)
        assert not isinstance(first, Missing)
        assert type(first) is type(second)
