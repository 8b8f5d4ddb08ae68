"""`cnn test`: which images it takes, what it prints and writes, and what it says when something is wrong."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.data import scan
from cnncli.evaluation import scores as evaluate

from .looking import CLASSES, EACH, snapshot, write_images

KEYS = ["model", "images", "accuracy", "top5", "loss", "classes", "confusion_matrix", "skipped", "tta",
        "accuracy_interval", "baselines", "calibration", "withheld", "accuracy_interval_missing", "headline", "verdict",
        "split", "data", "own", "labels", "computed_in", "trained_on", "accuracy_unseen", "interval_unseen",
        "trained", "groups", "group_interval"]
FILES = {"report.html", "confusion.png", "confusion.csv", "mistakes.png", "test.json"}
HELD_OUT = 2 * len(CLASSES)  # a tenth of 24 is 2


@pytest.mark.slow
def test_the_held_out_images_are_what_it_takes(place):
    before = snapshot(place.path / "photos")
    out, err = place.cnn("test")
    assert out.startswith(f"tested    {HELD_OUT} of the {EACH * len(CLASSES)} images of {place.path / 'photos'}: the "
                          "test images, held out of the training\n")
    assert f"of {HELD_OUT} images)" in out
    assert "top-5" not in out
    for name in ("check", "new\\nline", "帽子 $x$", "stripe"):
        assert name in out
    assert "runs/small: report.html, confusion.png" in err
    assert {p.name for p in place.run.iterdir()} >= FILES
    for name in ("confusion.png", "mistakes.png"):
        with Image.open(place.run / name) as image:
            image.verify()
    assert snapshot(place.path / "photos") == before


@pytest.mark.slow
def test_json_is_exactly_what_programs_rely_on_and_what_is_written(place):
    report = place.json("test")
    assert list(report) == KEYS
    assert report["model"] == "runs/small/model.safetensors"
    assert report["images"] == HELD_OUT
    assert report["top5"] is None
    assert [c["name"] for c in report["classes"]] == sorted(CLASSES)
    assert np.array(report["confusion_matrix"]).sum() == HELD_OUT
    assert report["skipped"] == []
    assert json.loads((place.run / "test.json").read_text()) == report
    with open(place.run / "confusion.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert [[int(v) for v in row[1:]] for row in rows[1:]] == report["confusion_matrix"]


@pytest.mark.slow
def test_what_test_says_is_what_predict_says(place):
    """The issue that haunts others: test and predict must judge the same image the same."""
    folder = write_images(place.path / "new", CLASSES, 5, seed=9)
    report = place.json("test", folder, "--out", "out")
    predictions = cnncli.load("runs/small").predict(sorted(str(p) for p in folder.rglob("*.png")))
    wrong, loss = 0, 0.0
    for prediction in predictions:
        truth = prediction.path.split("/")[-2]
        wrong += prediction.label != truth
        loss -= np.log(dict(prediction.top)[truth])
    assert report["accuracy"] == pytest.approx(1 - wrong / len(predictions))
    assert report["calibration"]["loss_after"] == pytest.approx(loss / len(predictions), rel=1e-6)


@pytest.mark.slow
def test_training_test_and_predict_agree_to_the_last_bit(place, monkeypatch):
    """On every validation image: the logits when the best epoch was evaluated, those of `cnn test --split val`, and
    what `cnn predict` answers, beside other images and alone."""
    from cnncli.training import fit

    seen, evaluated = [], fit.evaluate
    monkeypatch.setattr(fit, "evaluate", lambda *args, **options: seen.append(evaluated(*args, **options)) or seen[-1])
    run = cnncli.train("photos", arch="resnet8", epochs=3, name="agreeing", batch_size=16)
    best = max(seen, key=lambda found: (found.accuracy, -found.loss))
    paths = [sample.path for sample in scan("photos").val]
    tested, score = [], evaluate.score
    monkeypatch.setattr(evaluate, "score", lambda *args, **how: tested.append(score(*args, **how)) or tested[-1])
    report = place.json("test", "-m", "runs/agreeing", "--split", "val")
    answers = place.json("predict", "-m", "runs/agreeing", *paths, "--top", "99")
    alone = [place.json("predict", "-m", "runs/agreeing", path, "--top", "99")[0] for path in paths]
    assert answers == alone
    [found] = tested
    np.testing.assert_array_equal(found.logits, best.logits)
    np.testing.assert_array_equal(found.guesses, best.guesses)
    assert (report["accuracy"], report["loss"]) == (best.accuracy, best.loss)
    assert (report["calibration"]["loss_before"], report["calibration"]["loss_after"]) == run.model.calibration.loss
    assert (report["calibration"]["error_before"], report["calibration"]["error_after"]) == run.model.calibration.error
    classes = run.model.classes
    for index, answer in enumerate(answers):
        assert answer["label"] == classes[found.guesses[index]]
        chances = {item["label"]: item["probability"] for item in answer["top"]}
        assert [chances[name] for name in classes] == found.probabilities[index].tolist()


@pytest.mark.slow
def test_mirror_images_are_looked_at_where_that_is_asked_for(place):
    plain, flipped = place.json("test"), place.json("test", "--tta")
    assert (plain["tta"], flipped["tta"]) == (False, True)
    assert plain["loss"] != flipped["loss"]
    assert json.loads((place.run / "test.json").read_text()) == flipped
    assert "its mirror image" in (place.run / "report.html").read_text(encoding="utf-8")
    assert "mirror images" not in place.cnn("test")[1]


@pytest.mark.slow
def test_what_would_be_reached_without_learning(place):
    report = place.json("test")
    assert list(report["baselines"]) == ["nearest neighbour", "majority class"]
    nearest, majority = report["baselines"].values()
    assert majority["accuracy"] == 1 / len(CLASSES)
    assert nearest["images"] == majority["images"] == HELD_OUT
    assert f"{len(scan('photos').train)} training images, as grey thumbnails of 16 x 16" in nearest["how"]
    assert report["accuracy_interval_missing"] is None
    low, high = report["accuracy_interval"]
    assert low < report["accuracy"] < high or report["accuracy"] in (low, high)
    page = (place.run / "report.html").read_text()
    assert nearest["how"] in page
    for arguments, why in ((("--split", "train"), "these images are what it was trained on"),
                           (("-m", "runs/small/last.safetensors", "photos", "--out", "o"), "")):
        assert ("nearest neighbour" in place.json("test", *arguments)["baselines"]) == (not why)
    place.cnn("test", "--split", "train")
    assert "these images are what it was trained on" in (place.run / "test-train" / "report.html").read_text()
    shutil.copy(place.run / "model.safetensors", place.path / "loose.safetensors")
    place.cnn("test", "photos", "-m", "loose.safetensors")
    assert "training images are not at hand" in (place.path / "loose-test" / "report.html").read_text()


@pytest.mark.slow
def test_copies_under_other_names_are_known(place):
    """In words, in JSON and in the report; and no image is compared with itself."""
    splits = scan("photos")
    (place.path / "photos").rename(place.path / "all")
    report = place.json("test", "all")
    assert (report["images"], report["trained_on"]) == (len(splits.test), 0), "moved, and known again"
    for path in place.path.glob("all/*/*.png"):
        path.rename(path.with_name(f"x{path.name}"))
    count, known = EACH * len(CLASSES), len(splits.train)
    report = place.json("test", "all")
    assert (report["images"], report["trained_on"]) == (count, known)
    assert "nearest neighbour" not in report["baselines"]
    out, err = place.cnn("test", "all")
    assert (report["accuracy_interval"], report["accuracy_interval_missing"]) == (
        None, f"The model was trained on {known} of these {count} images, so the accuracy on all of them has no "
        "interval; headline has that on the others, with its interval.")
    low, high = report["headline"]["interval"]
    assert [low, high] == report["interval_unseen"]
    assert low < report["accuracy_unseen"] < high
    assert f"\naccuracy  {report['accuracy_unseen']:.2%}  (" in out
    assert f" of {count - known} images that the model was not trained on)\n          {low:.2%} to " in out
    assert f"          {report['accuracy']:.2%} of all {count} images, with {known} that it was trained on\n" in out
    own = place.run / "test-all"
    assert f"right, of {count - known} images that the model was not trained on" in (own / "report.html").read_text()
    sentence = f"{known} of the {count} images tested are among those that small was trained on. "
    assert sentence in err
    assert sentence in (own / "report.html").read_text()


@pytest.mark.slow
def test_absent_classes_keep_their_place_and_unknown_ones_are_named(place):
    some = write_images(place.path / "some", ["stripe", "new\nline"], 3, seed=4)
    report = place.json("test", some)
    assert [c["name"] for c in report["classes"]] == sorted(CLASSES)
    assert [c["support"] for c in report["classes"]] == [0, 3, 3, 0]
    assert [sum(row) for row in report["confusion_matrix"]] == [0, 3, 3, 0]
    write_images(some, ["zebra"], 1, seed=5)
    assert "zebra" in place.fails(1, "test", some)
    write_images(place.path / "photos", ["zebra"], 3, seed=5)
    assert "zebra" in place.fails(1, "test")


@pytest.mark.slow
def test_unusable_images_are_counted_listed_and_end_with_3(place):
    folder = write_images(place.path / "bad", CLASSES, 3, seed=6)
    whole = (folder / "stripe" / "s 0.png").read_bytes()
    (folder / "stripe" / "empty.png").touch()
    (folder / "check" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "check" / "text.jpg").write_text("no image")
    before = snapshot(folder)
    out, err = place.cnn("test", folder, code=3)
    assert "of 12 images)" in out
    assert "3 of 15 images could not be used and were skipped:" in err
    for name in ("empty.png", "cut.png", "text.jpg"):
        assert name in err
    report = place.json("test", folder, code=3)
    assert sorted(s["path"].rsplit("/")[-1] for s in report["skipped"]) == ["cut.png", "empty.png", "text.jpg"]
    assert all(s["error"] for s in report["skipped"])
    assert "cut.png" in place.fails(1, "test", folder, "--strict")
    assert snapshot(folder) == before


def test_folders_that_hold_nothing_to_test(place):
    (place.path / "empty").mkdir()
    assert "empty" in place.fails(1, "test", "empty")
    assert "there is no folder nowhere" in place.fails(1, "test", "nowhere")
    assert "is empty" in place.fails(1, "test", "empty", "--split", "val")
    assert "is a file" in place.fails(1, "test", "runs/small/config.json")
    (place.path / "texts" / "stripe").mkdir(parents=True)
    (place.path / "texts" / "stripe" / "a.txt").touch()
    assert "texts" in place.fails(1, "test", "texts")


@pytest.mark.slow
def test_the_folder_of_the_training_has_gone(place):
    (place.path / "photos").rename(place.path / "elsewhere")
    assert "are no longer in" in place.fails(2, "test")
    assert place.json("test", "elsewhere")["images"] == len(scan("elsewhere").test)


@pytest.mark.slow
def test_a_model_file_that_lies_in_no_run(place, monkeypatch):
    shutil.copy(place.run / "model.safetensors", place.path / "loose.safetensors")
    assert "cnn test DATA" in place.fails(2, "test", "-m", "loose.safetensors")
    report = place.json("test", "photos", "-m", "loose.safetensors")
    assert report["images"] == EACH * len(CLASSES)
    assert {p.name for p in (place.path / "loose-test").iterdir()} == FILES


@pytest.mark.slow
def test_out_and_where_it_cannot_be(place):
    before = snapshot(place.run)
    place.cnn("test", "--out", "a/b c")
    assert {p.name for p in (place.path / "a" / "b c").iterdir()} == FILES
    assert snapshot(place.run) == before
    assert "is a file" in place.fails(2, "test", "--out", "runs/small/config.json")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "foreign"])
def test_models_that_cannot_be_used_end_with_4(place, damage):
    path = place.run / "model.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 16
        path.write_bytes(data)
    else:
        path.write_bytes({"empty": b"", "cut": data[:1000], "foreign": b"PK\3\4" + bytes(500)}[damage])
    for command in ("test", "inspect", "visualize-filters"):
        assert "model" in place.fails(4, command)


def test_no_run_at_all_and_a_damaged_configuration(place, tmp_path, monkeypatch):
    (place.run / "config.json").write_text("{")
    assert "config.json" in place.fails(2, "test")
    monkeypatch.chdir(tmp_path)
    assert "train one with" in place.fails(4, "test")


def test_a_model_whose_outputs_are_no_numbers(place):
    from cnncli.model.checkpoint import load_model, save_model

    model = load_model(place.run)
    next(iter(model.network.parameters().values()))[...] = np.nan
    save_model(place.run / "model.safetensors", model)
    assert "not finite" in place.fails(4, "test")
