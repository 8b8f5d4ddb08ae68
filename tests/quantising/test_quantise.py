"""cnncli.quantise: what it makes answers as before, takes a quarter of the room and says what was lost; what makes no
sense is refused in a sentence, and nothing of the model that it was made of changes."""

import csv
from pathlib import Path

import numpy as np
import pytest

import cnncli
from cnncli import kernels
from cnncli.errors import DataError, ModelError, UsageError
from cnncli.evaluation.held_out import NoImages, labelled_images
from cnncli.model.calibration import cross_entropy
from cnncli.quantising import choosing
from cnncli.quantising import quantise as module
from cnncli.quantising.observing import observe
from cnncli.runs.opened import open_model

from ..small_model import small_model
from ..trained import CLASSES, write_images


def test_it_answers_as_before_and_says_what_was_lost(home: Path) -> None:
    model = cnncli.load("runs/latest")
    weights = {name: array.copy() for name, array in model.network.parameters().items()}
    found = cnncli.quantise("runs/latest")
    tested = cnncli.evaluate(model, split="test")
    assert found.part == "test"
    assert found.before.accuracy == tested.accuracy
    found.model.save("runs/small/model-int8.safetensors")
    again = cnncli.evaluate("runs/small/model-int8.safetensors", split="test")
    assert found.after.accuracy == again.accuracy
    figures = found.as_json()
    assert [figures[when]["loss"] for when in ("before", "after")] == [tested.loss, again.loss]
    assert [each.as_json()["computed_in"] for each in (tested, again)] == ["float32", "int8"]
    assert ("precision", "int8") in again.facts
    assert ("precision", "int8") not in tested.facts
    assert abs(found.drop) <= 100 / tested.image_count
    assert found.layers == 5
    assert found.model.classes == model.classes
    assert found.model.calibration is not None
    assert found.model.training["quantised"]["ranges"] == found.way
    assert np.abs(found.after.logits - found.before.logits).max() < 0.1 * np.abs(found.before.logits).max()
    assert model.network.quantisation is None
    for name, array in model.network.parameters().items():
        np.testing.assert_array_equal(array, weights[name])


def test_it_tells_how_far_it_has_got(home: Path) -> None:
    told: list[tuple[str, int, int]] = []
    cnncli.quantise("runs/latest", progress=lambda *each: told.append(each))
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        "reading images", "watching activations", "trying ranges", "testing", "calibrating"]
    for what in ("watching activations", "trying ranges", "calibrating"):
        counts = [(done, total) for each, done, total in told if each == what]
        assert counts == sorted(counts) or what == "calibrating"
        assert counts[-1][0] == counts[-1][1]


def test_a_file_of_it_has_the_same_answers_and_is_a_quarter_as_large(home: Path) -> None:
    found = cnncli.quantise("runs/latest")
    found.model.save("small.safetensors")
    again = cnncli.load("small.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (9, *again.preprocessing.shape), np.uint8)
    np.testing.assert_array_equal(again.logits(images), found.model.logits(images))
    again.save("again.safetensors")
    assert Path("again.safetensors").read_bytes() == Path("small.safetensors").read_bytes()
    count = sum(array.size for array in again.network.parameters().values())
    plain = cnncli.load("runs/latest").path
    assert plain is not None
    assert Path(plain).stat().st_size - Path("small.safetensors").stat().st_size > 2.9 * count


def test_every_command_that_asks_a_model_takes_it(home: Path) -> None:
    found = cnncli.quantise("runs/latest")
    found.model.save("runs/small/model-int8.safetensors")
    image = next(Path("photos").rglob("*.png"))
    opened = open_model("runs/small/model-int8.safetensors")
    assert opened.run is not None
    assert cnncli.predict(opened.model, image)
    assert cnncli.explain(opened.model, image).label in found.model.classes
    assert len(cnncli.features(opened.model, image).values)
    assert cnncli.summarise(opened.model)


def test_a_folder_that_is_given_is_halved(home: Path) -> None:
    images = 4 * 6
    found = cnncli.quantise("runs/latest", write_images(home / "new", CLASSES, 6, seed=9))
    assert (found.part, found.chosen_by, found.before.image_count) == ("half", images // 2, images // 2)


def test_a_folder_that_it_was_trained_on_is_divided_as_the_training_divided_it(home: Path) -> None:
    found, own = cnncli.quantise("runs/latest", home / "photos"), cnncli.quantise("runs/latest")
    assert (found.part, found.chosen_by) == (own.part, own.chosen_by) == ("test", 8)
    np.testing.assert_array_equal(found.after.logits, own.after.logits)


def test_labels_may_stand_in_a_table(home: Path) -> None:
    images = write_images(home / "new", CLASSES, 2, seed=9)
    names = [path.relative_to(images) for path in images.rglob("*.png")]
    flat, kinds = home / "flat", [CLASSES.index(name.parts[0]) for name in names]
    flat.mkdir()
    for i, name in enumerate(names):
        (images / name).rename(flat / f"{i}.png")
    rows = [("file", "label"), *((f"{i}.png", CLASSES[kind]) for i, kind in enumerate(kinds))]
    with (home / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(DataError, match="or give a table with the columns file and label: labels"):
        cnncli.quantise("runs/latest", flat)
    found = cnncli.quantise("runs/latest", flat, labels=home / "labels.csv", max_drop=100)
    assert (found.part, found.before.image_count) == ("half", 4)
    with pytest.raises(UsageError, match=r"paths are in: cnn quantize DATA --labels FILE\.csv"):
        cnncli.quantise("runs/latest", labels=home / "labels.csv")


def test_without_validation_and_test_images_others_are_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("val", None):
        _without(part, monkeypatch)
    with pytest.raises(DataError, match="small has neither validation nor test images; name a folder with images of "
                                        "the classes: cnn quantize DATA"):
        cnncli.quantise("runs/latest")


def test_too_much_lost_is_refused_with_the_worst_layers_or_they_are_left_out(
        home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(layer, steps):  # the first convolution's weights are all 0 or 1
        scales = made(layer, steps)
        return scales * 1e5 if layer.params["weight"].shape[1] == 3 else scales

    made = choosing.weight_scales
    monkeypatch.setattr(choosing, "weight_scales", coarse)
    monkeypatch.setattr(choosing, "GAIN", 1e9)  # the first layer is not left out before it is asked
    with pytest.raises(UsageError, match=r"points less; it loses most in conv1, .*fall_back leaves such layers"):
        cnncli.quantise("runs/latest", max_drop=0)
    notes: list[str] = []
    found = cnncli.quantise("runs/latest", max_drop=0, fall_back=True, note=notes.append)
    assert found.floats[0] == "conv1"
    assert found.layers == 5 - len(found.floats)
    assert found.model.training["quantised"]["float_layers"] == found.floats
    assert found.drop <= 100 / found.before.image_count


def test_the_first_layer_is_left_out_where_that_is_better(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = choosing.weight_scales
    monkeypatch.setattr(choosing, "weight_scales",
                        lambda layer, steps: made(layer, steps) * (1e5 if layer.params["weight"].shape[1] == 3 else 1))
    assert cnncli.quantise("runs/latest").floats == ["conv1"]


def test_what_makes_no_sense_is_refused(home: Path) -> None:
    found = cnncli.quantise("runs/latest")
    with pytest.raises(UsageError, match="is quantised already; quantise the model that it was made of"):
        cnncli.quantise(found.model)
    with pytest.raises(UsageError, match="max_drop must be a number of points of at least 0, not -1"):
        cnncli.quantise("runs/latest", max_drop=-1)
    with pytest.raises(UsageError, match="max_drop must be"):
        cnncli.quantise("runs/latest", max_drop=float("nan"))
    with pytest.raises((UsageError, DataError), match=r"photos|folder|images"):
        cnncli.quantise(small_model())
    shape = cnncli.load("runs/latest").preprocessing.shape
    one = (np.zeros((1, *shape), np.uint8), ["check"])
    with pytest.raises(DataError, match="one image only"):
        cnncli.quantise("runs/latest", one)


def test_the_same_images_give_the_same_model_on_any_instruction_set(home: Path) -> None:
    kinds = []
    for isa in kernels.isas()[-2:]:
        with kernels.use_isa(isa):
            kinds.append(cnncli.quantise("runs/latest"))
    assert kinds[0].way == kinds[1].way
    assert kinds[0].floats == kinds[1].floats
    images = np.random.default_rng(0).integers(0, 256, (40, *kinds[0].model.preprocessing.shape), np.uint8)
    logits = []
    for isa in kernels.isas():
        with kernels.use_isa(isa):
            logits.append(kinds[0].model.logits(images))
    for each in logits[1:]:
        np.testing.assert_array_equal(each, logits[0])


def _without(part: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run's folder have no images of that part."""
    real = module.labelled_images

    def none(opened, data, split, *rest, **how):
        if split == part:
            raise NoImages(f"there are no {part} images")
        return real(opened, data, split, *rest, **how)

    monkeypatch.setattr(module, "labelled_images", none)


def test_without_validation_images_the_test_images_are_halved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without("val", monkeypatch)
    notes: list[str] = []
    found = cnncli.quantise("runs/latest", note=notes.append)
    assert (found.part, found.chosen_by, found.before.image_count) == ("half", 4, 4)
    assert any("every second test image chooses" in sentence for sentence in notes)


def test_the_images_that_choose_are_of_all_classes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIED", 8)  # of 24, which lie class by class
    monkeypatch.setattr(module, "WATCHED", 4)
    tried: list[int] = []
    monkeypatch.setattr(module, "cross_entropy",
                        lambda logits, labels, *rest: tried.extend(labels) or cross_entropy(logits, labels, *rest))
    watched: list[int] = []
    monkeypatch.setattr(module, "observe", lambda network, batches: watched.append(
        sum(map(len, batches()))) or observe(network, batches))
    images = write_images(home / "new", CLASSES, 12, seed=9)
    found = cnncli.quantise("runs/latest", images, max_drop=100)
    assert found.chosen_by == 8
    assert set(tried[:8]) == set(range(len(CLASSES)))
    assert watched == [4]


def test_a_model_that_computes_no_numbers_is_refused(home: Path) -> None:
    images = write_images(home / "new", CLASSES, 2, seed=9)
    for value in (np.nan, np.inf, 1e38):
        for name in ("conv1.weight", "fc3.bias"):
            model = cnncli.load("runs/latest")
            model.network.parameters()[name][...] = value
            with pytest.raises(ModelError, match=r"layer \w+ computes numbers that are too large, or no numbers"):
                cnncli.quantise(model, images)


def test_what_is_lost_is_lost_from_float32(home: Path) -> None:
    model = cnncli.load("runs/latest")
    plain = cnncli.quantise(model)
    model.network.precision = "bfloat16"
    found = cnncli.quantise(model)
    np.testing.assert_array_equal(found.before.logits, plain.before.logits)
    assert model.network.precision == "bfloat16"


def test_validation_images_of_which_none_can_be_used_are_not_called_missing(home: Path) -> None:
    for sample in labelled_images(open_model(), None, "val").images.samples:
        Path(sample.path).write_bytes(b"nothing")
    notes: list[str] = []
    with pytest.raises(DataError, match="none of the 8 images can be used"):
        cnncli.quantise("runs/latest", note=notes.append)
    assert not any("no validation images" in sentence for sentence in notes)


def test_what_is_told_of_the_images_tested_is_told_of_these_alone(home: Path) -> None:
    """Not of the validation images, too, which only choose."""
    opened = open_model()
    for part in ("val", "test"):
        opened.model.seen = labelled_images(opened, None, part).images.marks[:3]
        notes: list[str] = []
        cnncli.quantise(opened, note=notes.append)
        assert [sentence for sentence in notes if "images tested" in sentence] == [] if part == "val" else [
            "3 of the 8 images tested are among those that small was trained on. The accuracy on the others says more "
            "about new images."]


def test_images_that_cannot_be_used_are_told_of_wherever_they_are(home: Path) -> None:
    for part in ("val", "test"):
        broken = Path(labelled_images(open_model(), None, part).images.samples[0].path)
        broken.write_bytes(broken.read_bytes()[:40])
    assert len(cnncli.quantise("runs/latest", max_drop=100).skipped) == 2


def test_without_test_images_the_validation_images_judge(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(None, monkeypatch)
    notes: list[str] = []
    assert cnncli.quantise("runs/latest", note=notes.append).part == "val"
    assert any("are also those that judge" in sentence for sentence in notes)
