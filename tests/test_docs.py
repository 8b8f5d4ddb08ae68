"""docs/python.md: what it tells people to write runs as it stands there, in a folder with a trained run."""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.training import train as training

from .trained import CLASSES, home, trained, write_images

__all__ = ["home", "trained"]

GUIDE = Path(__file__).parents[1] / "docs" / "python.md"
TRAINING, OTHERS = "## Training from Python", "## Evaluating, predicting, explaining, exporting"
NOT_HERE = "torch_names"  # PyTorch's names are of networks that take long to train


def blocks(heading: str) -> list[str]:
    """Return the pieces of code of a chapter, in order."""
    chapter = GUIDE.read_text(encoding="utf-8").split(heading)[1]
    chapter = re.split(r"^## ", chapter, flags=re.MULTILINE)[0]
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", chapter, flags=re.MULTILINE)
    return ["\n".join(line for line in textwrap.dedent(block).splitlines() if NOT_HERE not in line) for block in found]


@pytest.mark.slow
def test_the_code_about_training_runs(home: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    caplog.set_level("INFO")
    labels = np.arange(100) % 4
    images = rng.integers(0, 100, (100, 14, 14), np.uint8) + 40 * labels[:, None, None].astype(np.uint8)
    np.savez("digits.npz", images=images, labels=labels)
    names: dict[str, Any] = {"__name__": "guide"}
    for block in blocks(TRAINING):
        exec(compile(block, GUIDE.name, "exec"), names)
    assert len(blocks(TRAINING)) >= 5
    for saved in ("birds", "mine"):
        assert cnncli.load(f"{saved}.safetensors").classes
    run = names["watch"].run
    assert run.history[-1]["val_accuracy"] >= 0.5, "the example would not end early"
    assert len(run.history) < 10
    assert f"epoch {len(run.history)}: " in caplog.text
    assert "Images are" in caplog.text
    assert len(cnncli.train(resume=run.name, epochs=len(run.history) + 1).history) == len(run.history)
    assert names["run"].config["recipe"]["schedule"] == {"kind": "cosine", "min_lr": 1e-4}
    assert names["rates"][0] == 0.05


@pytest.mark.slow
def test_the_code_runs(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(home / "others", CLASSES, 2, seed=3)
    (home / "new").mkdir()
    for path in ("a.png", "new/b.png"):
        (home / path).write_bytes((home / "photos" / "stripe" / "s 0.png").read_bytes())
    np.savez("pathmnist.npz", train_images=np.zeros((3, 8, 8), np.uint8), train_labels=np.arange(3))
    trained_with: list[dict] = []
    monkeypatch.setattr(cnncli, "train", lambda data, **options: trained_with.append(options))
    names: dict = {}
    for block in blocks(OTHERS):
        exec(compile(block, GUIDE.name, "exec"), names)
    assert len(blocks(OTHERS)) >= 6
    assert {path.name for path in Path("report").iterdir()} >= {"report.html", "test.json"}
    assert sorted(path.name for path in Path("pictures").iterdir()) == ["activations-a.png", "filters-conv1.png"]
    assert Path("features.npz").is_file()
    assert Path("birds.onnx").is_file()
    assert Path("out.txt").is_file()
    assert Path("bad.png").is_file()
    assert Path("path-png", "train").is_dir()
    assert Path("demo", "train").is_dir()
    assert trained_with == [{"exclude": cnncli.check("photos").as_json()["exclude"]}]
    said = capsys.readouterr().out
    assert "reading images" in said
    assert "new/b.png" in said
