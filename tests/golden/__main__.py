"""Writes the golden model of this version: a network with a layer of every kind, trained for a few steps on noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnncli import Trainer
from cnncli._version import __version__
from cnncli.data import Preprocessing
from cnncli.model import Model
from cnncli.model.calibration import Calibration
from cnncli.model.checkpoint import save_model
from cnncli.network import Network
from cnncli.optim import SGD
from tests.layers.cases import OURS, first

CLASSES = ["ant", "bee", "cat"]
LAYERS = [
    {"type": "Whitening", "name": "whiten"},
    {"type": "ReLU"},
    {"type": "Conv2d", "name": "stem", "out_channels": 8, "kernel_size": 3, "padding": "same"},
    {"type": "BatchNorm2d"},
    {"type": "ReLU6", "name": "start"},
    {"type": "Conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1, "groups": 8, "dilation": 1},
    {"type": "LeakyReLU", "name": "way"},
    {"type": "Add", "inputs": ["way", "start"], "name": "sum"},
    {"type": "MaxPool2d", "kernel_size": 2, "name": "pooled"},
    {"type": "SiLU", "name": "left"},
    {"type": "Sigmoid", "inputs": ["pooled"], "name": "right"},
    {"type": "Concat", "inputs": ["left", "right"]},
    {"type": "LPPool2d", "norm_type": 2, "kernel_size": 2},
    {"type": "Tanh"},
    {"type": "AvgPool2d", "kernel_size": 2, "stride": 1, "name": "averaged"},
    {"type": "Dropout", "p": 0.2},
    {"type": "AdaptiveAvgPool2d", "output_size": 2, "name": "four"},
    {"type": "Flatten"},
    {"type": "Linear", "out_features": 6, "name": "hidden"},
    {"type": "GlobalAvgPool2d", "inputs": ["averaged"], "name": "mean"},
    {"type": "Concat", "inputs": ["hidden", "mean"], "name": "joined"},
    {"type": "Linear", "out_features": 3, "name": "head"},
    {"type": "Softmax"},
    {"type": "Scale", "factor": 4.0},
]
HEAD = 3  # layers at the end of which the first is the head


def layers_of_all_kinds() -> list[dict[str, Any]]:
    """Return LAYERS and, for each kind that is not among them, its first case of tests/layers/cases.py on the stem's
    output, joined to the others before the head."""
    layers, joined = [dict(layer) for layer in LAYERS], []
    for kind in sorted(OURS.keys() - {layer["type"] for layer in layers}):
        options, shapes = first(kind)
        layers[-HEAD:-HEAD] = [{"type": kind, **options, "inputs": ["start"] * len(shapes), "name": kind},
                               {"type": "Flatten", "name": f"flat.{kind}"}]
        joined.append(f"flat.{kind}")
    if joined:
        layers[-HEAD:-HEAD] = [{"type": "Concat", "inputs": [layers[len(LAYERS) - HEAD - 1]["name"], *joined]}]
    return layers


def golden_model() -> Model:
    """Return a model that has learnt a little, so that no number in it is a first one."""
    network, rng = Network(layers_of_all_kinds(), (16, 12, 3), seed=1), np.random.default_rng(1)
    images = rng.standard_normal((32, 16, 12, 3)).astype(np.float32)
    for node in network.nodes:
        if node.layer.fits_images:
            node.layer.fit(images)
    network.changed()
    trainer = Trainer(network, SGD(lr=0.05))
    for _ in range(5):
        trainer.step(images, np.arange(32) % 3)
    preprocessing = Preprocessing((16, 12), False, "crop", (0.5, 0.45, 0.4), (0.25, 0.24, 0.23))
    training = {"architecture": "golden.toml", "epoch": 5, "cnn": __version__}
    return Model(network, CLASSES, preprocessing, training,
                 Calibration(1.25, 40, (1.1, 1.0), (0.2, 0.1), ((0.5, 0.4, 0.9),)))


def main() -> None:
    folder = Path(__file__).parent / __version__
    model = golden_model()
    folder.mkdir()
    save_model(folder / "model.safetensors", model)
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    logits = model.logits(model.preprocessing.prepare(folder / "image.png")[None])[0]
    [said] = model.predict([folder / "image.png"])
    expected = {"classes": [*model.classes], "logits": [float(value) for value in logits], "label": said.label,
                "probability": said.probability, "architecture": "golden.toml"}
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
