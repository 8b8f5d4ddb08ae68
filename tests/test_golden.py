"""Models of every release load, and say what they said then (golden/)."""

import json
from pathlib import Path

import numpy as np
import pytest

import cnncli

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("golden/*/model.safetensors"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_model_of_a_release_says_what_it_said_then(folder: Path, isa: str) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    model = cnncli.load(folder / "model.safetensors")
    assert [*model.classes] == expected["classes"]
    assert model.training["architecture"] == expected["architecture"]
    logits = model.logits(model.preprocessing.prepare(folder / "image.png")[None])[0]
    np.testing.assert_allclose(logits, expected["logits"], rtol=1e-4, atol=1e-5)
    [said] = model.predict([folder / "image.png"])
    assert said.label == expected["label"]
    assert said.probability == pytest.approx(expected["probability"], abs=1e-5)


def test_there_is_one_for_each_release() -> None:
    text = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    released = {line.split("[", 1)[1].split("]", 1)[0] for line in text.splitlines() if line.startswith("## [")}
    have = {folder.name for folder in FOLDERS}
    assert released - {"Unreleased"} <= have
    assert cnncli.__version__ in have
