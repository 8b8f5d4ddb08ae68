"""cnncli.evaluate: the figures are those of the model's answers to the images that are meant; the model is afterwards
what it was; and what people should know is told."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli.data import scan
from cnncli.errors import ImageError, ModelError, UsageError
from cnncli.evaluation import baselines
from cnncli.evaluation.evaluate import evaluate
from cnncli.runs.opened import open_model

from ..small_model import small_model
from ..trained import CLASSES, EACH, write_images

FEW = ("Warning: There are fewer than 5 tested images of check (2), new\\nline (2), stripe (2), 帽子 $x$ (2). The "
       "recall of these classes is hardly known: see the intervals.")


def test_the_figures_are_counted_from_the_models_answers(home: Path) -> None:
    model = cnncli.load("runs/latest")
    found = cnncli.evaluate(model, "photos/", split="test")
    held_out = scan("photos").test
    assert [sample.relative for sample in found.samples] == [sample.relative for sample in held_out]
    answers = model.predict([sample.path for sample in held_out])
    right = [answer.label == model.classes[sample.label] for answer, sample in zip(answers, held_out, strict=True)]
    assert found.accuracy == sum(right) / len(right)
    assert found.image_count == len(right)
    assert found.right.tolist() == right
    assert found.confusion_matrix.sum() == len(right)
    assert [score.name for score in found.classes] == sorted(CLASSES)
    assert found.confidences.tolist() == [answer.probability for answer in answers]
    first = found.mistakes()[:1]
    assert found.pixels(first).shape == (len(first), *model.network.input_shape)
    np.testing.assert_array_equal(found.pixels(np.array([0]))[0], model.preprocessing.prepare(held_out[0].path))


def test_nothing_named_means_the_latest_run_and_what_was_held_out(home: Path) -> None:
    found = evaluate()
    assert found.model == "runs/small/model.safetensors"
    assert found.as_json() == evaluate("runs/small", "photos", split="test").as_json()
    assert found.notes == [FEW]
    model, when = found.opened.model, found.opened.trained
    assert when is not None
    assert found.facts == [
        ("network", "lenet5"), ("parameters", f"{sum(v.size for v in model.network.parameters().values()):,}"),
        ("images as", "colour images, scaled to 20 x 20 pixels"),
        ("epoch", str(model.training["epoch"])),
        ("trained on", f"{len(scan('photos').train)} images"), ("trained", f"{when.astimezone():%Y-%m-%d %H:%M}")]


def test_which_run_was_taken_is_told_before_all_else(home: Path) -> None:
    opened, told = open_model("runs/small"), list[str]()
    found = evaluate(replace(opened, notes=["It is the newest.", "Another has no model."]), note=told.append)
    assert found.notes == told == ["It is the newest.", "Another has no model.", FEW]


def test_steps_are_shown_in_their_order(home: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    evaluate(progress=lambda *step: steps.append(step))
    names = list(dict.fromkeys(what for what, _, _ in steps))
    assert names == ["reading images", "testing", "comparing"]
    for name in names:
        done, total = [step[1:] for step in steps if step[0] == name][-1]
        assert done == total


@pytest.mark.slow
def test_comparisons_and_why_there_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluate()
    assert list(found.baselines) == ["nearest neighbour", "majority class"]
    assert found.comparison == []
    assert found.baselines["majority class"].accuracy == 1 / len(CLASSES)
    on_training = evaluate(split="train")
    assert list(on_training.baselines) == ["majority class"]
    assert on_training.comparison == ["There is no comparison with the nearest neighbour: these images are what it was "
                                      "trained on."]
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    loose = evaluate("loose.safetensors", "photos")
    assert "training images are not at hand" in loose.comparison[0]
    with monkeypatch.context() as patched:
        patched.setattr(baselines, "nearest_neighbour", lambda *_: None)
        unread = evaluate()
    assert list(unread.baselines) == ["majority class"]
    assert unread.comparison == ["There is no comparison with the nearest neighbour: the training images cannot be "
                                 "read."]
    short = evaluate(compare=False)
    assert (short.baselines, short.comparison) == ({}, [])
    assert short.accuracy == found.accuracy


@pytest.mark.slow
def test_what_it_reaches_on_images_that_it_was_not_trained_on(home: Path) -> None:
    splits = scan("photos")
    held_out = evaluate()
    assert (held_out.trained_on, held_out.accuracy_unseen) == (0, held_out.accuracy)
    shutil.copytree("photos", "mixed")
    for path in Path("mixed").rglob("*.png"):
        path.rename(path.with_name(f"copy of {path.name}"))
    found = evaluate(data="mixed")
    assert (found.image_count, found.trained_on) == (len(CLASSES) * EACH, len(splits.train))
    assert found.seen is not None
    assert found.accuracy_unseen == found.right[~found.seen].mean()
    said = found.as_json()
    assert (said["trained_on"], said["accuracy_unseen"]) == (found.trained_on, found.accuracy_unseen)
    assert any("says more about new images" in note for note in found.notes)
    assert list(found.baselines) == ["majority class"], "no image is compared with itself"
    on_training = evaluate(split="train")
    assert (on_training.trained_on, on_training.accuracy_unseen) == (len(splits.train), None)
    model = cnncli.load("runs/small")
    model.seen = model.path = None
    strange = evaluate(model, "mixed")
    assert (strange.trained_on, strange.accuracy_unseen) == (None, None)


@pytest.mark.slow
def test_mirror_images_and_exact_convolutions_for_this_test_only(home: Path) -> None:
    model, told = cnncli.load("runs/small"), list[str]()
    model.training["recipe"] = {**model.training["recipe"], "augment": {"flip": False}}
    plain = evaluate(model)
    both = evaluate(model, tta=True, exact=True, note=told.append)
    assert (plain.flips, both.flips) == (False, True)
    assert both.loss != plain.loss
    assert (model.flips, model.network.exact) == (False, False)
    assert told == both.notes
    assert "trained without mirror images" in told[0]
    assert ("judged by", "each image and its mirror image") in both.facts
    model.flips = True
    assert evaluate(model).loss == evaluate(model, tta=True).loss, "None leaves it as the model has it"
    assert evaluate(model, tta=False).loss == plain.loss
    assert model.flips


def test_a_model_that_was_made_in_memory(home: Path) -> None:
    from cnncli.model import Model

    kept = cnncli.load("runs/small")
    model = Model(kept.network, kept.classes, kept.preprocessing)
    with pytest.raises(UsageError, match="not known where its images are"):
        evaluate(model)
    found = evaluate(model, "photos")
    assert found.image_count == sum(map(len, (scan("photos").train, scan("photos").val, scan("photos").test)))
    assert found.model == "model"
    assert [what for what, _ in found.facts] == ["parameters", "images as"], "what is not known is not said"


def test_what_cannot_be_read_is_counted_or_raised(home: Path) -> None:
    folder = write_images(home / "bad", CLASSES, 3, seed=6)
    (folder / "stripe" / "empty.png").touch()
    found = evaluate(data=folder)
    assert found.image_count == 12
    assert [Path(path).name for path, _ in found.skipped] == ["empty.png"]
    with pytest.raises(ImageError):
        evaluate(data=folder, strict=True)


def test_a_model_whose_answers_are_no_numbers(home: Path) -> None:
    model = cnncli.load("runs/small")
    next(iter(model.network.parameters().values()))[...] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        evaluate(model, tta=True)
    assert not model.flips, "put back also where it fails"


def test_classes_that_the_model_does_not_have(home: Path) -> None:
    with pytest.raises(cnncli.errors.DataError, match=r"of .*, which the model does not know; .*") as caught:
        evaluate(small_model(), "photos")
    assert str(caught.value).endswith(": cnn predict photos"), "a command ends without a full stop"


@pytest.mark.slow
def test_a_class_that_has_gone_shifts_no_label(home: Path) -> None:
    whole = evaluate(split="train", compare=False)
    shutil.rmtree("photos/check")
    found = evaluate(split="train", compare=False)
    assert [score.support for score in found.classes] == [0, *[score.support for score in whole.classes][1:]]
    assert found.confusion_matrix[1:].tolist() == whole.confusion_matrix[1:].tolist()


@pytest.mark.slow
def test_threads_change_nothing(home: Path) -> None:
    from cnncli import kernels

    before = kernels.threads()
    try:
        assert evaluate(threads=1).as_json() == evaluate(threads=3).as_json()
        assert kernels.threads() == 3
    finally:
        kernels.set_threads(before)
