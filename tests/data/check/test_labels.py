"""cnncli/data/check/labels.py: confident learning against its definition, and models that are asked about a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import File, Judge, check
from cnncli.data.check.labels import of_labels, sentences, suspected
from cnncli.errors import DataError
from cnncli.model import Prediction

from .pictures import classes, scene, write


def noisy(rng: np.random.Generator, count: int = 600, wrong: int = 30) -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Probabilities of a good model for three classes, and labels of which some have been changed."""
    truth = rng.integers(0, 3, count)
    logits = rng.normal(0, 1, (count, 3))
    logits[np.arange(count), truth] += 5
    labels = truth.copy()
    changed = rng.choice(count, wrong, replace=False)
    labels[changed] = (labels[changed] + rng.integers(1, 3, wrong)) % 3
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels, set(changed.tolist())


def test_changed_labels_are_suspected(rng: np.random.Generator) -> None:
    probabilities, labels, changed = noisy(rng)
    guesses = suspected(probabilities, labels)
    found = set(np.flatnonzero(guesses >= 0).tolist())
    assert len(found & changed) >= 0.8 * len(changed)
    assert len(found & changed) >= 0.9 * len(found)


def test_the_definition(rng: np.random.Generator) -> None:
    """Northcutt et al.: thresholds are mean self-confidences; the likeliest class that reaches its own counts."""
    probabilities, labels, _ = noisy(rng, 200, 40)
    thresholds = [probabilities[labels == k, k].mean() for k in range(3)]
    for row, label, guess in zip(probabilities, labels, suspected(probabilities, labels), strict=True):
        reaching = [k for k in range(3) if row[k] >= thresholds[k] - 1e-9]
        best = max(reaching, key=lambda k: row[k], default=label)
        assert guess == (best if best != label and row[best] > row[label] else -1)


def test_thresholds_are_each_class_s_own() -> None:
    """A class that the model is never sure of is not drowned by the others."""
    probabilities = np.array([[0.45, 0.55]] * 10 + [[0.1, 0.9]] * 10)
    labels = np.array([0] * 10 + [1] * 10)
    assert (suspected(probabilities, labels) == -1).all()


def test_small_classes_and_no_images() -> None:
    labels = np.array([0] * 10 + [1])
    probabilities = np.array([[0.3, 0.7]] * 10 + [[0.3, 0.7]])
    assert (suspected(probabilities, labels) == -1).all(), "one image gives no threshold"
    assert len(suspected(np.empty((0, 2)), np.empty(0, np.int64))) == 0


class Oracle:
    """A model that sees the class in the colour: ant red, bee blue; and counts whom it was asked about."""

    def __init__(self, names: tuple[str, ...] = ("ant", "bee"), sure: float = 0.95) -> None:
        self.classes, self.sure, self.asked = list(names), sure, []

    def predictions(self, paths):
        def answers():
            for path in paths:
                self.asked.append(path)
                red, _, blue = np.asarray(Image.open(path).convert("RGB"), float).mean(axis=(0, 1))
                first, second = sorted(self.classes, reverse=bool(blue > red))
                yield Prediction(path, first, self.sure, [(first, self.sure), (second, 1 - self.sure)])

        return answers()


def coloured(seed: int, channel: int) -> Image.Image:
    pixels = np.asarray(scene(seed)) // 3
    pixels[..., channel] += 120
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = {name: coloured(seed, 0 if name.startswith("ant") else 2) for name, seed in classes(20).items()}
    images["ant/wrong.png"], images["bee/wrong.png"] = coloured(500, 2), coloured(501, 0)
    return write(tmp_path, images)


def test_wrong_labels_in_a_folder(folder: Path) -> None:
    report = check(folder, judges=[Judge(Oracle(), "oracle", None)])
    found = [f for f in report.findings if f.kind == "label-error"]
    assert {f.files[0].relative for f in found} == {"ant/wrong.png", "bee/wrong.png"}
    assert "labelled ant (5.0%), but the model says bee (95.0%)" in next(f.text for f in found if "ant (5" in f.text)
    assert [f.value for f in found] == [0.9, 0.9]
    assert report.judged is not None
    assert report.judged["accuracy_unseen"] == pytest.approx(40 / 42)
    assert report.judged["accuracy_seen"] is None
    assert list(sentences(report.judged)) == [
        "As far as is known, oracle was not trained on these images (copies saved with loss are not known)."]
    assert report.as_json()["exclude"] == [], "a guess leaves no image out"
    assert "label-error" not in {f.kind for f in check(folder, ignore=("label-error",),
                                                       judges=[Judge(Oracle(), "oracle", None)]).findings}


def files(folder: Path) -> list[File]:
    return [File(str(p), p.relative_to(folder).as_posix(), "train", p.parent.name)
            for p in sorted(folder.rglob("*.png"))]


def test_each_image_is_judged_by_those_who_did_not_see_it(folder: Path) -> None:
    every = files(folder)
    halves = [{f.relative for f in every[k::2]} for k in range(2)]
    models = [Oracle(), Oracle(("bee", "ant"))]
    judges = [Judge(model, f"fold{k}", half) for k, (model, half) in enumerate(zip(models, halves, strict=True))]
    findings, judged = of_labels(every, judges)
    assert {f.files[0].relative for f in findings} == {"ant/wrong.png", "bee/wrong.png"}
    assert judged["seen"] == 0
    for model, half in zip(models, halves, strict=True):
        assert {Path(path).relative_to(folder).as_posix() for path in model.asked} == {f.relative for f in every} - half


def test_images_seen_in_training_are_judged_apart_and_it_says_so(folder: Path) -> None:
    every = files(folder)
    seen = {"ant/wrong.png", *(f.relative for f in every[:12])}
    findings, judged = of_labels(every, [Judge(Oracle(), "oracle", seen)])
    texts = {f.files[0].relative: f.text for f in findings}
    assert "although it was trained on this image" not in texts["bee/wrong.png"]
    assert judged["seen"] == 13
    assert "trained on 13 of the 42 images" in next(sentences(judged))


def test_classes_that_the_model_does_not_know(folder: Path) -> None:
    (folder / "cow").mkdir()
    scene(900).save(folder / "cow" / "1.png")
    _, judged = of_labels(files(folder), [Judge(Oracle(), "oracle", None)])
    assert judged["unknown_classes"] == ["cow"]
    assert judged["images"] == 42
    with pytest.raises(DataError, match="none of the folder's classes"):
        of_labels(files(folder), [Judge(Oracle(("x", "y")), "oracle", None)])
    with pytest.raises(DataError, match="different classes"):
        of_labels(files(folder), [Judge(Oracle(), "one", None), Judge(Oracle(("ant", "cow")), "two", None)])


def test_images_that_vanish_are_not_judged(folder: Path) -> None:
    class Blind(Oracle):
        def predictions(self, paths):
            return (Prediction(path, error="it is not there.") for path in paths)

    findings, judged = of_labels(files(folder), [Judge(Blind(), "blind", None)])
    assert findings == []
    assert judged["images"] == 0
