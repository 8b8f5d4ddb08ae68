"""cnncli/data/check/labels.py: confident learning against its definition, and models that are asked about a folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import File, Judge, check
from cnncli.data.check.labels import of_labels, sentences, suspected
from cnncli.data.marks import of_file
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


class Table:
    """A model that says of each file what a table has: probabilities of ant and bee, None where it cannot be judged."""

    def __init__(self, answers: dict[str, float | None]) -> None:
        self.classes, self.answers = ["ant", "bee"], answers

    def predictions(self, paths):
        def answers():
            for path in paths:
                ant = self.answers[path]
                known = [] if ant is None else [("ant", ant), ("bee", 1 - ant)]
                yield Prediction(path, "", 0.0, known, error="gone" if ant is None else None)

        return answers()


def test_what_several_models_say_of_images() -> None:
    """Each image is judged by those that did not learn it, by all where all did; the surest mistake comes first."""
    files = [File(name, name, "train", name[:3]) for name in (
        *(f"ant{i}" for i in range(8)), *(f"bee{i}" for i in range(8)), "cat0", "cow0")]
    sound = {file.path: 0.9 if file.label == "ant" else 0.1 for file in files}
    one = Judge(Table({**sound, "ant0": 0.05, "bee1": 0.8, "ant7": None}), "one", {"bee1", "bee2"})
    two = Judge(Table({**sound, "ant0": 0.15, "bee1": 0.95}), "two", {"bee2", "ant1"})
    told: list[tuple[int, int]] = []
    findings, judged = of_labels(files, [one, two], lambda *progress: told.append(progress))
    assert [(f.files[0].path, f.text, f.value, f.kind) for f in findings] == [
        ("bee1", "labelled bee (5.0%), but the model says ant (95.0%).", 0.9, "label-error"),
        ("ant0", "labelled ant (10.0%), but the model says bee (90.0%).", 0.8, "label-error")]
    assert judged == {"paths": ["one", "two"], "images": 15, "seen": 1, "elsewhere": [], "accuracy_seen": 1.0,
                      "unknown_classes": ["cat", "cow"], "accuracy_unseen": 12 / 14}
    assert told == [(done, 30) for done in range(1, 31)]
    assert [*sentences(judged)] == [
        "one, two: trained on 1 of the 15 images. It gives 100% of them their labels: wrong labels, too, may be known "
        "by heart, so that fewer of their errors show than of the others'. The models of a cross-validation (cnn train "
        "--folds), each given with model, judge every image without having seen its label.",
        "one, two: right for 86% of the images that were not trained on. So expect many of the labels found here to be "
        "right.",
        "one, two: does not know cat, cow; their images were not judged."]


def test_images_that_all_models_have_learnt_are_judged_apart() -> None:
    files = [File(f"{label}{i}", f"{label}{i}", "train", label) for label in ("ant", "bee") for i in range(6)]
    answers = {file.path: 0.9 if file.label == "ant" else 0.1 for file in files} | {"ant0": 0.02}
    findings, judged = of_labels(files, [Judge(Table(answers), "one", frozenset(answers))])
    assert [f.text for f in findings] == [
        "labelled ant (2.0%), but the model says bee (98.0%), although it was trained on this image."]
    assert (judged["seen"], judged["accuracy_unseen"]) == (12, None)
    assert judged["accuracy_seen"] == pytest.approx(11 / 12)
    findings, judged = of_labels(files, [Judge(Table(answers), "one", None)])
    assert (judged["seen"], judged["accuracy_seen"], judged["elsewhere"]) == (0, None, ["one"])
    assert [f.text for f in findings] == ["labelled ant (2.0%), but the model says bee (98.0%)."]


def test_models_that_cannot_be_asked_together() -> None:
    other = Table({})
    other.classes = ["ant", "cat"]
    with pytest.raises(DataError, match=r"^two and one have different classes; give models of the same ones, such as"):
        of_labels([], [Judge(Table({}), "one", None), Judge(other, "two", None)])
    with pytest.raises(DataError, match=r"^one knows none of the folder's classes; give a model that was trained on"):
        of_labels([File("x", "x", "train", "dog")], [Judge(Table({}), "one", None)])


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


@pytest.mark.slow
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
    assert "may be known by heart" in next(sentences(judged))
    said = next(sentences({**judged, "accuracy_seen": 0.75}))
    assert "It gives only 75% of them their labels, so that few are known by heart. Expect" in said


def test_an_image_that_was_moved_to_another_class_after_the_training(folder: Path) -> None:
    every = files(folder)
    wrong = next(f for f in every if f.relative == "ant/wrong.png")
    for then, said in (({"bee"}, ". It was trained on this image as bee."),
                       ({"ant"}, ", although it was trained on this image."),
                       ({"ant", "bee"}, ", although it was trained on this image."),
                       (set(), ", although it was trained on this image.")):
        judge = Judge(Oracle(), "oracle", {f.relative for f in every}, taught={of_file(wrong.path): frozenset(then)})
        findings, _ = of_labels(every, [judge])
        [text] = [f.text for f in findings if f.files[0] == wrong]
        assert text.endswith(said)


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
