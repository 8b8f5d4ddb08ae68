"""`cnn inspect`: the table, the JSON that programs rely on, and the filters that it writes."""

import shutil

import numpy as np
import pytest
from PIL import Image

import cnncli

from .looking import CLASSES


@pytest.mark.slow
def test_the_table(place):
    out, err = place.cnn("inspect")
    assert err.startswith("Model: runs/small, trained ")
    assert err.count("\n") == 1
    assert "lenet5" in out
    assert "20x20x3" in out
    assert "4: check, new\\nline, stripe, 帽子 $x$" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line}
    assert rows["conv1"] == ["conv1", "Conv2d", "20x20x6", "456", "180,000", "5x5"]
    parameters = sum(a.size for a in cnncli.load("runs/small").network.parameters().values())
    assert rows["total"][1] == f"{parameters:,}"
    assert "whole image" in out
    assert "val accuracy" in out


def test_json(place):
    report = place.json("inspect", "runs/small")
    assert list(report) == ["architecture", "input_shape", "classes", "parameters", "weight_bytes", "flops", "layers",
                            "preprocessing", "training"]
    assert report["architecture"] == "lenet5"
    assert report["input_shape"] == [20, 20, 3]
    assert report["classes"] == sorted(CLASSES)
    assert all(list(layer) == ["name", "type", "output_shape", "parameters", "flops"] for layer in report["layers"])
    assert report["layers"][0] == {"name": "conv1", "type": "Conv2d", "output_shape": [20, 20, 6], "parameters": 456,
                                   "flops": 2 * 180_000}
    assert report["flops"] == sum(layer["flops"] for layer in report["layers"])
    assert report["parameters"] == sum(layer["parameters"] for layer in report["layers"])
    assert report["preprocessing"]["size"] == [20, 20]
    assert report["training"]["architecture"] == "lenet5"


def test_out_writes_every_convolutions_filters(place):
    report = place.json("inspect", "--out", "dump")
    files = ["conv1.npy", "conv1.png", "conv2.npy", "conv2.png"]
    assert sorted(p.name for p in (place.path / "dump").iterdir()) == files
    assert sorted(report["written"]) == [f"dump/{name}" for name in files]
    weights = cnncli.load("runs/small").network.parameters()
    for name in ("conv1", "conv2"):
        assert np.array_equal(np.load(f"dump/{name}.npy", allow_pickle=False), weights[f"{name}.weight"])
        with Image.open(f"dump/{name}.png") as image:
            image.verify()
    assert "is a file" in place.fails(2, "inspect", "--out", "runs/small/config.json")


def test_models_by_file_by_folder_and_by_nothing(place):
    shutil.copy(place.run / "model.safetensors", "loose.safetensors")
    whole = place.json("inspect")
    for model in ("loose.safetensors", "runs/small", "runs/latest", "runs/small/last.safetensors"):
        assert place.json("inspect", model)["layers"] == whole["layers"]
    assert "nowhere" in place.fails(4, "inspect", "nowhere")


@pytest.mark.slow
def test_a_network_without_convolutions(place):
    from cnncli.model import Model
    from cnncli.model.checkpoint import load_model, save_model
    from cnncli.network import Network

    model = load_model(place.run)
    network = Network([{"type": "Flatten"}, {"type": "Linear", "out_features": 4}], (20, 20, 3))
    save_model("flat.safetensors", Model(network, model.classes, model.preprocessing))
    out, _ = place.cnn("inspect", "flat.safetensors")
    assert "unknown" in out
    assert place.json("inspect", "flat.safetensors", "--out", "dump")["written"] == []
    _, err = place.cnn("visualize-filters", "-m", "flat.safetensors", "photos/stripe/s 0.png")
    assert "no convolution" in err
    assert (place.path / "flat-pictures" / "activations-s_0.png").exists()


def test_the_model_may_be_named_with_m_too(place):
    assert place.json("inspect", "-m", "runs/small") == place.json("inspect", "runs/small")
    assert "give only one" in place.fails(2, "inspect", "runs/small", "-m", "runs/small")


def test_an_architecture_before_any_training(place):
    report = place.json("inspect", "resnet20", "--classes", "5", "--draw", "net.svg")
    assert report["architecture"] == "resnet20"
    assert report["input_shape"] == [32, 32, 3]
    assert len(report["classes"]) == 5
    network = cnncli.architecture("resnet20", (32, 32, 3), 5)
    assert report["parameters"] == sum(a.size for a in network.parameters().values())
    drawn = (place.path / "net.svg").read_text(encoding="utf-8")
    assert drawn.count("<rect") == len(network.nodes) + 1
    assert place.json("inspect", "lenet5")["input_shape"] == [28, 28, 1]
    assert place.json("inspect", "vgg-small", "--size", "48x40")["input_shape"] == [40, 48, 3]
    assert place.json("inspect", "vgg-small", "--grey", "--size", "48x40")["input_shape"] == [40, 48, 1]
    assert place.json("inspect", "lenet5", "--colour")["input_shape"] == [28, 28, 3]


def test_a_network_written_by_hand(place):
    (place.path / "net.toml").write_text('''
        [[layers]]
        type = "Flatten"
        [[layers]]
        type = "Linear"
        out_features = "classes"''', encoding="utf-8")
    report = place.json("inspect", "net.toml", "--size", "8", "--classes", "3")
    assert [layer["output_shape"] for layer in report["layers"]] == [[192], [3]]
    report = place.json("inspect", "net.toml", "--size", "8", "--classes", "3", "--grey")
    assert [layer["output_shape"] for layer in report["layers"]] == [[64], [3]]


def test_what_goes_with_no_architecture_or_no_model(place):
    assert "has no filters yet" in place.fails(2, "inspect", "resnet8", "--out", "filters")
    assert "a model has its own" in place.fails(2, "inspect", "runs/small", "--classes", "4")
    assert "a model has its own" in place.fails(2, "inspect", "runs/small", "--colour")
    assert "cannot be the name of a drawing of a network" in place.fails(2, "inspect", "resnet8", "--draw", "net.png")
