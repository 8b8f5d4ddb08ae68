"""The curves of a training: any number of epochs, any of the columns missing."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnncli.report import curves


def history(epochs, **changes):
    return [
        {"epoch": e + 1, "train_loss": 2 / (e + 1), "val_loss": 2.2 / (e + 1), "train_accuracy": 1 - 0.9 / (e + 1),
         "val_accuracy": 0.9 - 0.8 / (e + 1), "learning_rate": 0.1 / (e + 1), "images_per_second": 99.0, "seconds": 1.0}
        | changes
        for e in range(epochs)
    ]


def colours(path):
    """How much of each of the two lines' colours is in the picture: (training, validation), in pixels."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    wanted = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (curves.TRAIN, curves.VALIDATION)]
    return [int((np.abs(pixels - colour).sum(axis=2) < 20).sum()) for colour in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 15, 200])
def test_draws_training_and_validation(epochs, tmp_path):
    training, validation = colours(curves.draw(history(epochs), tmp_path / "curves.png", "runs/a: lenet5"))
    assert training > 60
    assert validation > 60


@pytest.mark.slow
def test_rows_of_a_csv_file_are_text_and_may_be_empty(tmp_path):
    rows = [{k: str(v) for k, v in row.items()} for row in history(5)]
    assert min(colours(curves.draw(rows, tmp_path / "text.png", "t"))) > 60
    rows = history(5, val_loss="", val_accuracy=None)
    training, validation = colours(curves.draw(rows, tmp_path / "a.png", "t"))
    assert training > 60
    assert validation == 0


@pytest.mark.slow
def test_numbers_that_are_none_are_left_out(tmp_path):
    rows = history(3)
    rows[1]["train_loss"] = float("nan")
    rows[2]["val_loss"] = "inf"
    curves.draw(rows, tmp_path / "a.png", "t")
    curves.draw([{"epoch": 1}], tmp_path / "empty.png", "t")
    curves.draw(history(3, learning_rate=0.0), tmp_path / "zero.png", "t")


@pytest.mark.slow
@pytest.mark.parametrize("title", ["runs/$x^2$ \\frac{", "runs/帽子 кошка", "two\nlines \x1b \udce9", ""])
def test_any_name_can_be_the_title(title, tmp_path):
    curves.draw(history(2), tmp_path / "a.png", title)


def test_no_epoch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no epochs"):
        curves.draw([], tmp_path / "a.png", "t")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_matplotlib_is_loaded_only_for_drawing_and_pyplot_never(tmp_path):
    code = f"""
import sys
from cnncli.report import confusion, curves, mistakes, tables
from cnncli.visualize import activations, filters
assert "matplotlib" not in sys.modules, "loaded without need"
curves.draw([{{"epoch": 1, "train_loss": 1.0}}], {str(tmp_path / "a.png")!r}, "t")
assert "matplotlib.pyplot" not in sys.modules, "pyplot keeps figures alive and picks a window system"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
