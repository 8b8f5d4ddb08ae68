"""visualize/sheets.py: which sheets there are of a model and of images, with which layers, under which names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data.finding import Missing
from cnncli.errors import ModelError, NetworkError, UsageError
from cnncli.visualize.sheets import Sheet, draw_activations, draw_filters, write_filters

from ..small_model import small_model

PICTURE = "photos/stripe/s 0.png"


def test_filters_of_the_first_layer_or_of_those_named(home: Path) -> None:
    [sheet] = cnncli.draw_filters()
    assert (sheet.kind, sheet.image, sheet.layers, sheet.file) == ("filters", None, ["conv1"], "filters-conv1.png")
    sheets = draw_filters("runs/small", ["conv2", "relu1", "conv2"])
    assert [sheet.layers for sheet in sheets] == [["conv2"]]
    with pytest.raises(NetworkError, match="Did you mean 'conv1'"):
        draw_filters(layers=["convv1"])
    with pytest.raises(NetworkError, match="Did you mean 'conv1'"):
        draw_activations(PICTURE, layers=["convv1"])


def test_a_sheet_is_a_picture_that_can_be_saved(home: Path, tmp_path: Path) -> None:
    [sheet] = draw_filters(small_model())
    assert sheet.canvas.image.mode == "RGB"
    path = sheet.save(tmp_path)
    assert path == tmp_path / sheet.file
    with Image.open(path) as image:
        assert image.size == sheet.canvas.image.size
    assert sheet.as_json(path) == {"path": str(path), "kind": "filters", "image": None, "layers": sheet.layers}


def test_a_sheet_for_each_image_and_a_word_for_what_is_none(home: Path) -> None:
    Path("empty.png").touch()
    found = list(draw_activations([PICTURE, "empty.png", Missing("gone", "is not there."), PICTURE]))
    assert [type(item) for item in found] == [Sheet, Missing, Missing, Sheet]
    assert [item.image for item in found if isinstance(item, Sheet)] == [PICTURE] * 2
    assert [item.path for item in found if isinstance(item, Missing)] == ["empty.png", "gone"]
    assert [item.layers for item in found if isinstance(item, Sheet)] == [["relu1", "pool1", "relu2", "pool2"]] * 2
    [sheet] = draw_activations(np.asarray(Image.open(PICTURE)))
    assert isinstance(sheet, Sheet)
    assert (sheet.image, sheet.file) == ("images[0]", "activations-images_0_.png")
    [sheet] = draw_activations(PICTURE, layers=["relu1", "fc1"])
    assert isinstance(sheet, Sheet)
    assert sheet.layers == ["relu1", "fc1"]


def test_names_do_not_collide(home: Path) -> None:
    for folder in ("a", "b", "c"):
        Path("same", folder).mkdir(parents=True)
        shutil.copy(PICTURE, f"same/{folder}/1.png")
    shutil.copy(PICTURE, "same/a/two\nlines $x$ 帽.png")
    names = [item.file for item in draw_activations("same") if isinstance(item, Sheet)]
    assert names == ["activations-1.png", "activations-two_nlines_x_帽.png", "activations-1-2.png",
                     "activations-1-3.png"]


def test_every_convolution_as_picture_and_numbers(home: Path) -> None:
    assert write_filters("dump") == [Path("dump", name) for name in ("conv1.png", "conv1.npy", "conv2.png",
                                                                    "conv2.npy")]
    weights = cnncli.load("runs/small").network.parameters()
    for name in ("conv1", "conv2"):
        assert np.array_equal(np.load(f"dump/{name}.npy", allow_pickle=False), weights[f"{name}.weight"])
    with pytest.raises(UsageError, match="is a file"):
        write_filters("runs/small/config.json")


def test_a_model_whose_answers_are_no_numbers(home: Path) -> None:
    model = cnncli.load("runs/small")
    next(iter(model.network.parameters().values()))[...] = np.nan
    with pytest.raises(ModelError, match=r"runs/small/model\.safetensors are not finite"):
        list(draw_activations(PICTURE, model))
