"""visualize/sheets.py: which sheets there are of a model and of images, with which layers, under which names."""

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import Preprocessing, outputs
from cnncli.data.finding import Missing
from cnncli.errors import ModelError, NetworkError, UsageError, printable
from cnncli.network import Network
from cnncli.runs.opened import open_model
from cnncli.visualize import sheets
from cnncli.visualize.sheets import Sheet, draw_activations, draw_filters, write_filters

from ..small_model import small_model
from ..trained import CLASSES
from ..words import Words

PICTURE = "photos/stripe/s 0.png"


def test_filters_of_the_first_layer_or_of_those_named(home: Path) -> None:
    [sheet] = cnncli.draw_filters()
    assert (sheet.kind, sheet.image, sheet.layers, sheet.file) == ("filters", None, ["conv1"], "filters-conv1.png")
    sheets = draw_filters("runs/small", ["conv2", "relu1", "conv2"])
    assert [sheet.layers for sheet in sheets] == [["conv2"]]
    with pytest.raises(NetworkError, match="Did you mean 'conv1'"):
        draw_filters(layers=["convv1"])
    with pytest.raises(NetworkError, match="Did you mean 'conv1'"):
        draw_activations(None, PICTURE, layers=["convv1"])


def test_a_sheet_is_a_picture_that_can_be_saved(home: Path, tmp_path: Path) -> None:
    [sheet] = draw_filters(small_model())
    assert sheet.canvas.image.mode == "RGB"
    path = sheet.save(tmp_path)
    assert path == tmp_path / sheet.file
    with Image.open(path) as image:
        assert image.size == sheet.canvas.image.size
    assert sheet.as_json(path) == {"path": str(path), "kind": "filters", "image": None, "layers": sheet.layers}


@pytest.mark.slow
def test_a_sheet_for_each_image_and_a_word_for_what_is_none(home: Path) -> None:
    Path("empty.png").touch()
    found = list(draw_activations(None, [PICTURE, "empty.png", Missing("gone", "is not there."), PICTURE]))
    assert [type(item) for item in found] == [Sheet, Missing, Missing, Sheet]
    assert [item.image for item in found if isinstance(item, Sheet)] == [PICTURE] * 2
    assert [(item.path, item.error) for item in found if isinstance(item, Missing)] == [
        ("empty.png", "empty.png cannot be used: it is empty."), ("gone", "is not there.")]
    assert [item.layers for item in found if isinstance(item, Sheet)] == [["relu1", "pool1", "relu2", "pool2"]] * 2
    [sheet] = draw_activations(None, np.asarray(Image.open(PICTURE)))
    assert isinstance(sheet, Sheet)
    assert (sheet.image, sheet.file) == ("images[0]", "activations-images_0_.png")
    [sheet] = draw_activations(None, PICTURE, layers=["relu1", "fc1"])
    assert isinstance(sheet, Sheet)
    assert sheet.layers == ["relu1", "fc1"]


@pytest.mark.slow
def test_what_stands_on_a_sheet(home: Path, words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    [sheet] = draw_activations(None, PICTURE, layers=["relu1"])
    assert isinstance(sheet, Sheet)
    assert words.texts[0] == "s 0.png in small"
    answer = cnncli.load("runs/small").predict(PICTURE)[0]
    shown = [text for text in words.texts if text.endswith("%")]
    assert shown == [f"{chance:.1%}" for _, chance in answer.top]
    assert [printable(name) for name, _ in answer.top] == [text for text in words.texts if text in
                                                           [printable(name) for name in CLASSES]]
    words.drawn.clear()
    draw_filters(layers=["conv2"])
    assert words.texts[0] == "Filters of conv2 in small"
    assert "A row per filter" in " ".join(words.texts)
    monkeypatch.setattr(sheets, "BEST", 2)
    words.drawn.clear()
    list(draw_activations(None, PICTURE))
    assert len([text for text in words.texts if text.endswith("%")]) == 2


def test_colours_are_for_layers_that_read_the_image(words: Words) -> None:
    conv = {"type": "Conv2d", "out_channels": 3, "kernel_size": 1}
    network = Network([conv, conv, {"type": "GlobalAvgPool2d"}], (4, 4, 3))
    model = cnncli.Model(network, ["a", "b", "c"], Preprocessing((4, 4)))
    for name, colour in (("conv1", True), ("conv2", False)):
        words.drawn.clear()
        draw_filters(model, [name])
        assert ("Grey is 0; red, green and blue" in " ".join(words.texts)) == colour


@pytest.mark.slow
def test_only_its_own_sheets_are_replaced(home: Path, tmp_path: Path) -> None:
    [sheet] = draw_filters()
    [other] = draw_activations(None, PICTURE)
    assert isinstance(other, Sheet)
    assert (sheet.file_kind, other.file_kind) == (sheets.FILTERS, sheets.ACTIVATIONS)
    path = sheet.save(tmp_path / "new" / "folder")
    assert sheet.save(path.parent) == path
    renamed = dataclasses.replace(other, file=sheet.file)
    with pytest.raises(UsageError, match=r"filters-conv1\.png"):
        renamed.save(path.parent)
    assert renamed.save(path.parent, force=True) == path
    assert sheets.ACTIVATIONS.ours(str(path))
    write_filters(None, "dump")
    write_filters(None, "dump")
    os.remove("dump/conv1.png")
    with pytest.raises(UsageError, match=r"conv1\.npy"):
        write_filters(None, "dump")
    assert len(write_filters(None, "dump", force=True)) == 4


def test_files_are_held_before_anything_is_drawn(home: Path) -> None:
    opened = open_model()
    with sheets.claimed(opened, ["conv2"], [PICTURE, PICTURE]) as into:
        assert into == Path("runs/small/pictures")
        held = [os.path.basename(path) for path in outputs._HELD.get() or ()]
        assert held == ["filters-conv2.png", "activations-s_0.png", "activations-s_0-2.png"]
    Path("mine").mkdir()
    Path("mine/activations-s_0.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="mine"), sheets.claimed(opened, [], PICTURE, "mine"):
        pass
    with sheets.claimed(opened, [], PICTURE, "mine", force=True) as into:
        assert into == Path("mine")
    with pytest.raises(UsageError, match="photos"), sheets.claimed(opened, [], PICTURE, "photos/check"):
        pass


def test_names_of_files_fit_any_disk() -> None:
    taken: set[str] = set()
    assert sheets.file_name("activations", f"a/{'x' * 99}.jpeg", taken) == f"activations-{'x' * 60}.png"
    assert sheets.file_name("activations", f"b/{'X' * 99}.png", taken) == f"activations-{'X' * 60}-2.png", "of any case"
    assert sheets.file_name("activations", f"b/{'x' * 60}.png", taken) == f"activations-{'x' * 60}-3.png"


@pytest.mark.slow
def test_names_do_not_collide(home: Path) -> None:
    for folder in ("a", "b", "c"):
        Path("same", folder).mkdir(parents=True)
        shutil.copy(PICTURE, f"same/{folder}/1.png")
    shutil.copy(PICTURE, "same/a/two\nlines $x$ 帽.png")
    names = [item.file for item in draw_activations(None, "same") if isinstance(item, Sheet)]
    assert names == ["activations-1.png", "activations-two_nlines_x_帽.png", "activations-1-2.png",
                     "activations-1-3.png"]


def test_every_convolution_as_picture_and_numbers(home: Path) -> None:
    assert write_filters(None, "dump") == [Path("dump", name) for name in ("conv1.png", "conv1.npy", "conv2.png",
                                                                    "conv2.npy")]
    weights = cnncli.load("runs/small").network.parameters()
    for name in ("conv1", "conv2"):
        assert np.array_equal(np.load(f"dump/{name}.npy", allow_pickle=False), weights[f"{name}.weight"])
    with pytest.raises(UsageError, match="is a file"):
        write_filters(None, "runs/small/config.json")


def test_a_model_whose_answers_are_no_numbers(home: Path) -> None:
    model = cnncli.load("runs/small")
    next(iter(model.network.parameters().values()))[...] = np.nan
    with pytest.raises(ModelError, match=r"runs/small/model\.safetensors are not finite"):
        list(draw_activations(model, PICTURE))
