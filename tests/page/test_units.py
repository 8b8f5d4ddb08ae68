"""What excites each filter, on a page: what `cnn explain --units` finds, among images that fit into its room."""

import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from cnncli.data import Preprocessing
from cnncli.data.finding import Missing, Picture
from cnncli.explain.units import Pass, Top, top_patches, weights_to_classes
from cnncli.model import Model
from cnncli.network import Network
from cnncli.page import units as module
from cnncli.page.units import FEWEST, SHOWN, units
from cnncli.report.page import in_script

LABELS = [i % 3 for i in range(30)]
PLENTY = 1_000_000


def model_of(side: int = 12) -> Model:
    network = Network([
        {"type": "Conv2d", "out_channels": 5, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"},
        {"type": "ReLU"}, {"type": "Conv2d", "out_channels": 6, "kernel_size": 3, "stride": 2}, {"type": "ReLU"},
        {"type": "GlobalAvgPool2d"}, {"type": "Linear", "out_features": 3}], (side, side + 2, 1), seed=4)
    return Model(network, ["a", "b", "c"], Preprocessing((side, side + 2), grey=True, mean=(0.5,), std=(0.2,)))


def items_of(count: int = 30, side: int = 12) -> list[Picture]:
    rng = np.random.default_rng(0)
    return [Picture(f"{i}", rng.integers(0, 256, (side, side + 2, 1)).astype(np.uint8)) for i in range(count)]


def pictures_of(found: Any) -> list[np.ndarray]:
    """The images of a sheet, one by one."""
    sheet = np.asarray(Image.open(io.BytesIO(found.sheet)))
    (tall, wide), (height, width), columns = (found.described[name] for name in ("tile", "size", "columns"))
    return [sheet[i // columns * tall :, i % columns * wide :][:height, :width]
            for i in range(found.described["count"])]


def test_the_strongest_are_those_of_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all images fit, and each filter's very strongest are among those that are looked for."""
    monkeypatch.setattr(module, "_QUALITY", 95)
    model, items = model_of(), items_of()
    found = units(model, items, LABELS, PLENTY)
    assert found is not None
    said, tops = found.described, top_patches(model, items, ["relu1", "relu2", "linear1"], SHOWN, LABELS).tops
    assert said["layers"].keys() == tops.keys()
    assert said["by"] == {"conv1": "relu1", "batchnorm1": "relu1", "conv2": "relu2", "globalavgpool1": "relu2"}
    assert (said["looked_at"], said["answered"], said["size"], said["tile"]) == (30, False, [12, 14], [16, 16])
    assert (found.images, found.filters) == (30, 5 + 6 + 3)
    shown = pictures_of(found)
    columns = {"relu1": 14, "relu2": 6, "linear1": 1}
    for name, top in tops.items():
        layer = said["layers"][name]
        assert layer["channels"] is None
        np.testing.assert_allclose(layer["most"], top.values[:, 0], rtol=0.006)
        for channel, told in enumerate(layer["top"]):
            assert len(told) == 2 * SHOWN
            for slot in range(SHOWN):
                pixels = items[top.images[channel, slot]].pixels[..., 0].astype(int)
                assert abs(shown[told[2 * slot]] - pixels).mean() < 4
                row, column = top.places[channel, slot]
                assert told[2 * slot + 1] == row * columns[name] + column


def test_the_classes_that_filters_speak_for() -> None:
    model, items = model_of(), items_of()
    found = units(model, items, LABELS, PLENTY)
    assert found is not None
    layers, top = found.described["layers"], top_patches(model, items, ["relu1"], 1, LABELS).tops["relu1"]
    weights = weights_to_classes(model.network, "relu2")
    assert weights is not None
    for name, spoken, by_weights in (("relu1", top.by_class(), False), ("relu2", weights, True)):
        assert layers[name]["weights"] is by_weights
        for channel, told in enumerate(layers[name]["classes"]):
            order = [i for i in np.argsort(-spoken[:, channel], kind="stable") if spoken[i, channel] > 0]
            assert told[::2] == order
            np.testing.assert_allclose(told[1::2], spoken[order, channel], rtol=0.06)
    assert layers["linear1"]["classes"] == [[], [], []]  # which stand for the classes themselves


def test_layers_whose_filters_are_those_of_others() -> None:
    """Of several inputs, and of other channels, they are nobody else's."""
    conv = {"type": "Conv2d", "kernel_size": 3, "padding": 1}
    network = Network([
        {**conv, "out_channels": 2}, {"type": "MaxPool2d", "kernel_size": 2}, {"type": "ReLU"}, {"type": "Dropout"},
        {"type": "AvgPool2d", "kernel_size": 2, "name": "pool"}, {**conv, "out_channels": 2, "name": "plain"},
        {"type": "Concat", "inputs": ["plain", "pool"]}, {"type": "Flatten"}, {"type": "Linear", "out_features": 2}],
        (8, 8, 1), 0)
    assert module._told_by(network, ["relu1", "linear1"]) == {
        "conv1": "relu1", "maxpool1": "relu1", "dropout1": "relu1", "pool": "relu1"}


def test_three_classes_of_many_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (module.CLASSES, SHOWN, module.MOST) == (3, 4, 100)  # as docs/page.md and the page have room for
    monkeypatch.setattr(module, "CLASSES", 1)
    found = units(model_of(), items_of(), LABELS, PLENTY)
    assert found is not None
    assert max(len(told) for told in found.described["layers"]["relu1"]["classes"]) == 2


def test_without_labels_the_answers_stand_for_them() -> None:
    model, items = model_of(), items_of()
    answers = model.logits(np.stack([item.pixels for item in items])).argmax(axis=1).tolist()
    found, known = units(model, items, None, PLENTY), units(model, items, answers, PLENTY)
    assert found is not None
    assert known is not None
    assert found.described == {**known.described, "answered": True}


def test_of_few_images_nothing_is_said() -> None:
    assert units(model_of(), items_of(FEWEST - 1), LABELS[: FEWEST - 1], PLENTY) is None
    assert units(model_of(), items_of(FEWEST), LABELS[:FEWEST], PLENTY) is not None


@pytest.mark.parametrize("room", [40_000, 9_000, 6_000])
def test_it_fits_into_its_room(room: int) -> None:
    """Fewer images, then fewer filters, the most telling."""
    found = units(model_of(), items_of(), LABELS, room)
    assert found is not None
    assert len(in_script(found.described)) + len(found.sheet) * 4 // 3 <= room
    assert len(pictures_of(found)) == found.described["count"]
    held = found.described["count"]
    tops = [told for layer in found.described["layers"].values() for told in layer["top"]]
    assert {len(told) for told in tops} == {2 * min(SHOWN, held)}
    assert all(0 <= number < held for told in tops for number in told[::2])
    assert (held == 30) == (room == 40_000)


def test_the_most_telling_filters_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, items = model_of(), items_of()
    whole = units(model, items, LABELS, PLENTY)
    assert whole is not None
    all_of_it = len(in_script(whole.described)) + len(whole.sheet) * 4 // 3
    monkeypatch.setattr(module, "_sheet", lambda images, most: (whole.sheet, 30, [12, 14]))
    assert units(model, items, LABELS, all_of_it + 10) == whole
    found = units(model, items, LABELS, all_of_it - 250)
    assert found is not None
    top = top_patches(model, items, ["relu1"], 1, LABELS).tops["relu1"]
    layer = found.described["layers"]["relu1"]
    most = len(layer["channels"])
    assert 1 <= most < 5
    assert layer["channels"] == sorted(np.argsort(-top.by_class().max(axis=0))[:most].tolist())
    assert [len(layer[name]) for name in ("top", "classes", "most")] == [most] * 3
    assert [layer["top"][i] for i in range(most)] == [whole.described["layers"]["relu1"]["top"][i]
                                                      for i in layer["channels"]]
    assert found.filters == sum(min(most, channels) for channels in (5, 6, 3))
    room = len(in_script(found.described)) + len(found.sheet) * 4 // 3
    assert room <= all_of_it - 250 < room + 200  # and no more would fit


def test_large_images_become_smaller_where_few_would_fit() -> None:
    """Half the side, but never less than 32 pixels."""
    images = [np.random.default_rng(i).integers(0, 256, (64, 72, 3)).astype(np.uint8) for i in range(25)]
    whole, count, size = module._sheet(images, PLENTY)
    assert (count, size) == (25, [64, 72])
    data, count, size = module._sheet(images, len(whole) // 2)
    assert (count, size) == (25, [32, 36])
    assert len(data) <= len(whole) // 2
    data, count, size = module._sheet(images, len(whole) // 20)
    assert (size, 1 < count < FEWEST) == ([32, 36], True)
    assert len(data) <= len(whole) // 20
    assert module._sheet(images[:2], 1)[1] == 1  # one is there whatever it takes
    np.testing.assert_allclose(module._half(images[0])[3, 5], images[0][6:8, 10:12].mean(axis=(0, 1)), atol=1)


def test_grey_images_become_smaller_too_and_colours_stay_sharp() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 1)).astype(np.uint8)
    half = module._half(image)
    assert half.shape == (3, 4, 1)
    np.testing.assert_allclose(half[1, 2, 0], image[2:4, 4:6].mean(), atol=1)
    sheet: Any = Image.open(io.BytesIO(module._encoded([np.repeat(image, 3, axis=2)])))
    assert JpegImagePlugin.get_sampling(sheet) == 0  # as many numbers of colour as of light


def test_images_that_excite_many_filters_most_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    top = Top.empty("relu1", 3, 2, 1)
    top.images[...] = [[5, 1], [5, 2], [7, -1]]
    assert module._most_often([top]) == [5, 7, 1, 2]  # the first twice; of those that count half, the lower number
    monkeypatch.setattr(module, "MOST", 2)
    assert module._most_often([top]) == [5, 7]
    monkeypatch.setattr(module, "_DECIDE", 1)
    assert module._most_often([top, top]) == [5, 7]
    top.images[...] = [[5, 1], [7, 1], [7, 1]]
    assert module._most_often([top]) == [7, 5]  # those in the second place decide nothing then


def test_a_search_that_somebody_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*given: Any) -> Pass:
        found = top_patches(*given)
        found.stopped = True
        return found

    monkeypatch.setattr(module, "top_patches", ended)
    with pytest.raises(KeyboardInterrupt):
        units(model_of(), items_of(), LABELS, PLENTY)


def test_what_cannot_be_read_is_left_out() -> None:
    items: Sequence[Any] = [*items_of(29), Missing("gone.png", "gone.png cannot be read.")]
    found = units(model_of(), items, LABELS, PLENTY)
    assert found is not None
    assert (found.images, found.described["count"]) == (29, 29)
    assert module._pixels(model_of(), items, [29, 3]).keys() == {3}


def test_an_image_counts_by_how_many_filters_it_excites_and_how_much() -> None:
    """First for a filter counts 1, second a half; image 4 is first once, 7 second three times; -1 is no image."""
    images = np.array([[4, 7], [9, 7], [2, 7], [9, 2], [9, -1]])
    assert module._most_often([SimpleNamespace(images=images)]) == [9, 2, 7, 4]
    assert module._most_often([SimpleNamespace(images=images[:2]), SimpleNamespace(images=images[2:])]) == [9, 2, 7, 4]
