"""evaluation/held_out.py: which images a model is judged on, which it has seen, and what is said of a folder that is no
longer what it was."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data import Sample, scan
from cnncli.data.labels import Labels
from cnncli.errors import DataError, ImageError, UsageError
from cnncli.evaluation.held_out import Labelled, choose, labelled_images
from cnncli.runs import samples
from cnncli.runs.opened import open_model

from ..trained import CLASSES, EACH, write_images

ALL = EACH * len(CLASSES)


def chosen(data=None, split=None, model=None) -> tuple[list[Sample], list[Sample], list[str]]:
    """Return the images to judge, those that the model was trained on, and what was said."""
    told: list[str] = []
    return *choose(open_model(model), data, split, told.append), told


def relative(samples: list[Sample]) -> set[str]:
    return {sample.relative for sample in samples}


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_what_was_held_out_of_the_training(home: Path, split: str) -> None:
    splits = scan("photos")
    for data in (None, "photos", f"{home}/photos"):
        found, training, told = chosen(data, split)
        assert relative(found) == relative(getattr(splits, split))
        assert relative(training) == relative(splits.train)
        assert told == []
    assert relative(chosen()[0]) == relative(splits.test), "test is the default"


def test_another_folder_is_used_whole_or_its_part(home: Path) -> None:
    write_images(home / "bare", CLASSES, 3, seed=1)
    found, training, told = chosen("bare")
    assert len(found) == 12
    assert relative(training) == relative(scan("photos").train), "what it was trained on, to compare with"
    assert told == []
    write_images(home / "split" / "train", CLASSES, 2, seed=2)
    write_images(home / "split" / "Test", CLASSES, 1, seed=3)
    found, _, told = chosen("split")
    assert len(found) == 4
    assert told == ["The images of split/Test are used."]
    assert len(chosen("split", "train")[0]) == 8
    assert len(chosen("split", "test")[0]) == 4
    for folder in ("split", "bare"):
        with pytest.raises(UsageError, match="has no val/, and is not the folder"):
            chosen(folder, "val")
    with pytest.raises(DataError, match="there is no folder nowhere"):
        chosen("nowhere", "val")


def test_labels_are_the_models_whatever_the_folder_lacks(home: Path) -> None:
    write_images(home / "some", ["stripe", "new\nline"], 3, seed=4)
    classes = open_model().model.classes
    found, _, _ = chosen("some")
    assert {sample.relative.split("/")[0] for sample in found} == {"stripe", "new\nline"}
    assert all(classes[sample.label] == sample.relative.split("/")[0] for sample in found)
    write_images(home / "some", ["zebra"], 1, seed=5)
    with pytest.raises(DataError, match="zebra"):
        chosen("some")


def test_the_folder_of_the_training_has_changed(home: Path) -> None:
    shutil.rmtree("photos/check")
    found, training, told = chosen(split="train")
    classes = open_model().model.classes
    assert told == [f"{home}/photos has changed since small was trained."]
    assert all(classes[sample.label] == sample.relative.split("/")[0] for sample in [*found, *training])
    write_images(home / "photos", ["zebra"], 3, seed=5)
    with pytest.raises(DataError, match="now has class folders that small does not know \\(zebra\\)"):
        chosen()


def test_the_folder_of_the_training_has_moved(home: Path) -> None:
    splits = scan("photos")
    os.rename("photos", "elsewhere")
    with pytest.raises(UsageError, match="are no longer in"):
        chosen()
    for split in ("train", "test"):
        found, training, told = chosen("elsewhere", split)
        assert (relative(found), relative(training), told) == (
            relative(getattr(splits, split)), relative(splits.train), [])
    write_images(home / "photos", CLASSES, 3, seed=9)
    with pytest.raises(UsageError, match="photos holds other images by now than small was trained on"):
        chosen()


def labelled(data=None, split=None, model=None) -> tuple[Labelled, list[str]]:
    told: list[str] = []
    return labelled_images(open_model(model), data, split, note=told.append), told


@pytest.mark.slow
@pytest.mark.parametrize("model", ["runs/small", "loose.safetensors"])
def test_images_that_it_was_trained_on_are_counted(model: str, home: Path) -> None:
    """Copies under other names, in another folder, and some that are new: known by their content."""
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    names = {sample.relative for sample in scan("photos").train}
    write_images(home / "mixed", CLASSES, 2, seed=9)
    for i, name in enumerate(sorted(names)[::5]):
        shutil.copy(Path("photos", name), Path("mixed", name).with_name(f"copy{i}.png"))
    copies = len(range(0, len(names), 5))
    found, told = labelled("mixed", model=model)
    assert found.seen is not None
    assert [s.relative.split("/")[1].startswith("copy") for s in found.images.samples] == found.seen.tolist()
    assert told == [f"{copies} of the {copies + 8} images tested are among those that {Path(model).name} was trained "
                    "on. The accuracy on the others says more about new images."]
    for path in Path("mixed").rglob("*.png"):
        if not path.name.startswith("copy"):
            path.unlink()
    _, told = labelled("mixed", model=model)
    assert told == [f"All {copies} images tested are among those that {Path(model).name} was trained on: this says "
                    "little about others."]
    for path in sorted(Path("mixed").rglob("*.png"))[1:]:
        path.unlink()
    _, told = labelled("mixed", model=model)
    assert told[-1].startswith("The image tested is among those that")


def test_a_copy_among_the_images_held_out_is_counted(home: Path) -> None:
    """A duplicate across splits: the test image is one that it was trained on."""
    splits = scan("photos")
    shutil.copy(splits.train[0].path, splits.test[0].path)
    found, told = labelled()
    assert found.seen is not None
    assert found.seen.tolist() == [True] + [False] * (len(splits.test) - 1)
    assert f"1 of the {len(splits.test)} images tested is among those that small was trained on" in told[-1]
    assert labelled(split="train")[0].seen is not None


def test_pictures_saved_again_and_arrays_are_known_by_their_pixels(home: Path) -> None:
    sample = scan("photos").train[0]
    os.makedirs("again/check")
    with Image.open(sample.path) as image:
        image.save("again/check/a.bmp")
        pixels = np.asarray(image)
    assert sample.relative.startswith("check/")
    assert labelled("again")[0].seen.tolist() == [True]
    strange = np.random.default_rng(5).integers(0, 256, pixels.shape, np.uint8)
    arrays = np.stack([strange, pixels]), np.array(["check", "check"])
    assert labelled(arrays)[0].seen.tolist() == [False, True]


@pytest.mark.slow
def test_of_a_run_of_an_earlier_version(home: Path) -> None:
    """Where the images that it was trained on are at hand, copies are told all the same; else it is not known."""
    os.remove("runs/small/images.csv")
    model = open_model().model
    model.seen = None
    model.save("runs/small/model.safetensors")
    splits = scan("photos")
    assert labelled(split="train")[0].seen.all()
    assert not labelled()[0].seen.any()
    os.makedirs("copy/check")
    shutil.copy(splits.train[0].path, "copy/check/new.png")
    assert labelled("copy")[0].seen.tolist() == [True]
    os.rename("photos", "elsewhere")
    assert labelled("copy")[0].seen is None
    assert labelled("elsewhere")[0].images.samples == scan("elsewhere").test
    for path in Path("elsewhere/check").iterdir():
        path.unlink()
        break
    os.rename("elsewhere", "photos")
    assert choose(open_model(), None, None, (told := []).append)
    assert "may be among those that it was trained on" in told[0]


def test_other_images_in_the_place_of_those_that_it_was_trained_on(home: Path) -> None:
    """They are none that it was trained on: nothing is compared with them."""
    os.rename("photos", "elsewhere")
    write_images(home / "photos", CLASSES, 3, seed=9)
    write_images(home / "new", CLASSES, 3, seed=10)
    found, training, told = chosen("new")
    assert (len(found), training, told) == (12, [], [])
    assert len(chosen("photos")[0]) == 12, "all of them, not those that would be held out"


def test_a_model_file_that_lies_in_no_run(home: Path) -> None:
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    with pytest.raises(UsageError, match="lies in no run's folder"):
        chosen(model="loose.safetensors")
    found, training, _ = chosen("photos", model="loose.safetensors")
    assert (len(found), training) == (ALL, [])
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    for data in ("photos", (pixels, ["dots"])):
        with pytest.raises(UsageError, match=r"no test.*, and loose\.safetensors lies in no run's folder, so its split "
                                             "is not known; leave"):
            labelled(data, "test", "loose.safetensors")


def test_a_split_without_images(tmp_path: Path, home: Path) -> None:
    for name in CLASSES:
        for image in sorted((home / "photos" / name).iterdir())[2:]:
            image.unlink()
    with pytest.raises(DataError, match="has no val images"):
        chosen(split="val")


def test_images_that_cannot_be_used(home: Path) -> None:
    folder = write_images(home / "bad", CLASSES, 3, seed=6)
    (folder / "stripe" / "empty.png").touch()
    (folder / "check" / "text.jpg").write_text("no image")
    steps: list[tuple[str, int, int]] = []
    opened = open_model()
    found = labelled_images(opened, folder, None, progress=lambda *step: steps.append(step))
    assert len(found.images) == 12
    assert sorted(os.path.basename(path) for path, _ in found.images.skipped) == ["empty.png", "text.jpg"]
    assert steps[-1] == ("reading images", 14, 14)
    with pytest.raises(ImageError, match=r"text\.jpg"):
        labelled_images(opened, folder, None, strict=True)
    for image in [*folder.rglob("*.png"), *folder.rglob("*.jpg")]:
        image.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 14 images can be used"):
        labelled_images(opened, folder, None)


def test_images_of_another_depth_than_those_that_it_was_trained_on(home: Path) -> None:
    """Of 12 bits in 16, which are nearly black where 65,535 is white."""
    os.makedirs("deep/check")
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 10).save("deep/check/a.png")
    _, told = labelled("deep")
    assert [sentence.split("so that it is ")[1] for sentence in told] == [
        "nearly black to it; bring it to the scale of its training images."]


def test_images_that_do_not_fit_into_memory_are_read_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnncli.data import images

    whole = labelled_images(open_model(), None, None).images
    monkeypatch.setattr(images, "free_memory", lambda: 1000)
    found = labelled_images(open_model(), None, None).images
    assert whole.stored is not None
    assert found.stored is None
    assert (found.pixels(range(len(found))) == whole.stored).all()


@pytest.mark.slow
def test_arrays_that_it_was_trained_on_are_divided_as_the_training_divided_them(home: Path) -> None:
    """Others are judged whole, and neither are compared with a folder."""
    every = [sample for part in ("train", "val", "test") for sample in getattr(scan("photos"), part)]
    arrays = (np.stack([np.asarray(Image.open(sample.path)) for sample in every]),
              [sample.relative.split("/")[0] for sample in every])
    run = open_model().run
    splits = samples.of_run(run, arrays)
    config = {**run.config, "data": None, "samples": samples.fingerprint(splits)}
    (run.path / "config.json").write_text(json.dumps(config))
    for split, part in ((None, splits.test), ("val", splits.val), ("train", splits.train)):
        found = labelled(arrays, split)[0]
        assert relative(found.images.samples) == relative(part)
        assert relative(found.training) == relative(splits.train)
    others = (arrays[0][1:], arrays[1][1:])
    found = labelled(others)[0]
    assert (len(found.images), found.training) == (ALL - 1, [])
    assert len(labelled({"val": arrays, "test": others}, "test")[0].images) == ALL - 1
    for data, split in ((others, "test"), ({"train": others}, "val")):
        with pytest.raises(UsageError, match=f"the arrays have no {split} images, and are not those that the model"):
            labelled(data, split)
    with pytest.raises(UsageError, match="a table of labels cannot be given together with arrays"):
        labelled_images(open_model(), arrays, None, labels=Labels("none.csv", ()))
    with pytest.raises(UsageError, match="was trained on arrays in memory; give them again"):
        chosen()
