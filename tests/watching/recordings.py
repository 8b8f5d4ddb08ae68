"""Recordings made by hand, for tests of the page that shows them: a run's folder with the lines that a test wants."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.report.pictures import data_uri

Line = dict[str, Any]
EVIL = ["<i>italic</i>", "\"quoted' & co", "cat"]  # classes whose names look like HTML
STEPS = 10  # of an epoch


def begin(**other: Any) -> Line:
    """The first line of a run, now; two examples."""
    picture = data_uri(np.full((8, 8, 3), 90, np.uint8))
    return {"what": "begin", "time": time.time(), "run": "one", "architecture": "lenet5", "classes": EVIL,
            "images": {"train": 400, "val": 40, "test": 40}, "recipe": {"lr": 0.1, "augment": {"flip": True}},
            "epochs": 4, "steps": STEPS, "done": 0,
            "examples": [{"name": f"<i>{i}</i>.png", "label": i, "picture": picture} for i in range(2)],
            "layers": [{"name": "conv1", "kind": "Conv2d", "parameters": 456},
                       {"name": "relu1", "kind": "ReLU", "parameters": 0},
                       {"name": "fc1", "kind": "Linear", "parameters": 1000}], **other}


def step(number: int, loss: float | None = None, **other: Any) -> Line:
    """A line of a step."""
    loss = 1 / number if loss is None else loss
    return {"what": "step", "time": time.time(), "step": number, "epoch": (number - 1) // STEPS + 1, "loss": loss,
            "accuracy": 0.5, "images_per_second": 1234.5, "left": 260.0, **other}


def look(number: int, *, update: float | None = 1e-3, dead: float = 0.0, right: float = 0.8, rate: float = 0.1,
         **other: Any) -> Line:
    """A look: the first example right, the second one wrong."""
    layers = {"conv1": {"weights": 2.0, "gradients": 0.1, "update": update, "dead": None},
              "relu1": {"weights": None, "gradients": None, "update": None, "dead": dead},
              "fc1": {"weights": 3.0, "gradients": 0.2, "update": 1e-3, "dead": None}}
    return {"what": "look", "time": time.time(), "step": number, "rate": rate, "layers": layers,
            "probabilities": [[right, 1 - right, 0.0], [0.7, 0.2, 0.1]],
            "filters": {"layer": "conv1", "picture": data_uri(np.zeros((12, 20, 3), np.uint8))}, **other}


def epoch(number: int, accuracy: float, **other: Any) -> Line:
    """A line of an epoch."""
    return {"what": "epoch", "epoch": number, "train_loss": 0.5, "train_accuracy": 0.9, "val_loss": 0.6,
            "val_accuracy": accuracy, "learning_rate": 0.1, "images_per_second": 1000.0, "seconds": 3.0, "best": True,
            **other}


def write(folder: Path, lines: Iterable[Line]) -> Path:
    """Append lines to the recording of a run's folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    if not config.exists():
        config.write_text(json.dumps({"format": 1, "cnn": "0.1.0", "classes": EVIL, "recipe": {}}), encoding="utf-8")
    with open(folder / "watched.jsonl", "a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    return folder
