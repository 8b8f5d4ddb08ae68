"""`cnn inspect`: the table, the JSON that programs rely on, and the filters that it writes."""

import shutil

import numpy as np
from PIL import Image

import cnncli

from .looking import CLASSES


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
    assert list(report) == ["architecture", "input_shape", "classes", "parameters", "flops", "layers", "preprocessing",
                            "training"]
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
    assert "give it once" in place.fails(2, "inspect", "runs/small", "-m", "runs/small")
