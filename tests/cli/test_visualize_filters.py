"""`cnn visualize-filters`: which sheets it makes of what, and where they go."""

import io
import os
import shutil

import pytest
from PIL import Image

from .looking import snapshot


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_without_images_the_first_layers_filters(place):
    out, _ = place.cnn("visualize-filters")
    assert out.splitlines() == ["runs/small/pictures/filters-conv1.png"]
    with Image.open(place.run / "pictures" / "filters-conv1.png") as image:
        image.verify()


@pytest.mark.slow
def test_a_sheet_for_each_image(place):
    before = snapshot(place.path / "photos")
    out, _ = place.cnn("visualize-filters", "photos/stripe/s 0.png", "photos/check/c 1.png", "--out", "out")
    assert out.splitlines() == ["out/filters-conv1.png", "out/activations-s_0.png", "out/activations-c_1.png"]
    assert names(place.path / "out") == sorted(os.path.basename(line) for line in out.splitlines())
    for name in names(place.path / "out"):
        with Image.open(place.path / "out" / name) as image:
            image.verify()
    assert snapshot(place.path / "photos") == before


@pytest.mark.slow
def test_json_tells_what_is_on_each_sheet(place):
    report = place.json("visualize-filters", "photos/stripe/s 0.png", "--out", "out")
    assert list(report) == ["model", "written", "skipped"]
    assert report["model"] == "runs/small/model.safetensors"
    filters, activations = report["written"]
    assert filters == {"path": "out/filters-conv1.png", "kind": "filters", "image": None, "layers": ["conv1"]}
    assert activations == {"path": "out/activations-s_0.png", "kind": "activations", "image": "photos/stripe/s 0.png",
                           "layers": ["relu1", "pool1", "relu2", "pool2"]}
    assert report["skipped"] == []


@pytest.mark.slow
def test_layers_by_name(place):
    report = place.json("visualize-filters", "photos/stripe/s 0.png", "--layer", "conv2", "--layer", "relu1",
                        "--layer", "fc1", "--layer", "conv2")
    assert [item["layers"] for item in report["written"]] == [["conv2"], ["conv2", "relu1", "fc1"]]
    sentence = place.fails(2, "visualize-filters", "--layer", "convv1")
    assert "no layer 'convv1'" in sentence
    assert "Did you mean 'conv1'?" in sentence
    assert "no layer 'input'" in place.fails(2, "visualize-filters", "--layer", "input")


@pytest.mark.slow
def test_what_is_no_image_is_skipped_and_listed(place):
    (place.path / "empty.png").touch()
    out, err = place.cnn("visualize-filters", "empty.png", "nowhere.png", "photos/stripe/s 0.png", "--out", "out",
                         code=3)
    assert "activations-s_0.png" in out
    assert "2 images could not be used and were skipped:" in err
    assert "empty.png" in err
    assert "nowhere.png" in err
    report = place.json("visualize-filters", "empty.png", "photos/stripe/s 0.png", code=3)
    assert [item["path"] for item in report["skipped"]] == ["empty.png"]
    place.cnn("visualize-filters", "empty.png", code=1)


@pytest.mark.slow
def test_a_list_on_standard_input(place, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"photos/stripe/s 0.png\nphotos/stripe/s 1.png\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert len(place.json("visualize-filters", "-", "--out", "out")["written"]) == 3


@pytest.mark.parametrize(("model", "folder"), [
    ("loose.safetensors", "loose-pictures"),
    ("runs/latest", "runs/small/pictures"),
    ("runs/small/last.safetensors", "runs/small/pictures-last"),  # not over those of the run's own model
])
def test_where_the_pictures_go(place, model, folder):
    shutil.copy(place.run / "model.safetensors", "loose.safetensors")
    (path,) = place.cnn("visualize-filters", "-m", model)[0].splitlines()
    assert path == f"{folder}/filters-conv1.png"
    assert (place.path / path).exists()


def test_places_that_cannot_be(place):
    assert "is a file" in place.fails(2, "visualize-filters", "--out", "runs/small/config.json")
    assert "is a file" in place.fails(2, "visualize-filters", "--out", "runs/small/config.json/pictures")
