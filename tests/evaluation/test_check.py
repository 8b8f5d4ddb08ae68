"""evaluation/check.py: models that are named become judges that know which of the folder's images they have seen."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import cnncli
from cnncli.data import preprocessing, scan
from cnncli.data.check import Judge
from cnncli.data.exclude import write_list
from cnncli.errors import ModelError, UsageError
from cnncli.evaluation.check import check, judge
from cnncli.runs import samples

from ..trained import CLASSES, EACH


@pytest.mark.slow
def test_a_judge_knows_what_it_was_trained_on(home: Path) -> None:
    seen = {sample.relative for sample in scan("photos").train}
    for model in ("runs/latest", cnncli.load("runs/small"), cnncli.evaluate().opened.run):
        found = judge(model, "photos")
        assert (found.name, found.seen) == ("runs/small/model.safetensors", seen)
    shutil.copytree("photos", "copy")
    os.rename("copy/check", "copy/renamed")
    assert judge("runs/small", "copy").seen == {name.replace("check", "renamed") for name in seen}, "by its content"
    shutil.copy("runs/small/model.safetensors", "loose.safetensors")
    assert judge("loose.safetensors", "photos").seen == seen, "a model file knows it alone"
    model = cnncli.load("loose.safetensors")
    model.seen = model.path = None
    assert judge(model, "photos").seen is None


@pytest.mark.slow
def test_images_of_a_table_are_checked_and_judged_alike(home: Path) -> None:
    os.mkdir("flat")
    lines = ["file,label,group"]
    for i, path in enumerate(sorted(Path("photos").rglob("*.png"))):
        shutil.copy(path, f"flat/{i}.png")
        lines.append(f'{i}.png,"{path.parent.name}",{i % 7}')
    Path("labels.csv").write_text("\n".join(lines))
    folders = check("photos", models=["runs/small"])
    table = check("flat", models=["runs/small"], labels="labels.csv", group_by="labels.csv")
    assert folders.judged is not None
    assert table.judged is not None
    assert table.judged["seen"] == folders.judged["seen"]
    assert sum(table.image_counts().values()) == sum(folders.image_counts().values())
    assert table.notes[0].startswith("7 groups of images are kept together, by labels.csv: 0 (14 images), ")


def test_a_judge_knows_what_was_saved_again(home: Path) -> None:
    """Pixels that it was trained on, in other files; of a model of arrays all of them are."""
    for path in Path("photos/check").iterdir():
        with Image.open(path) as image:
            image.save(path.with_suffix(".bmp"))
        path.unlink()
    told: list[str] = []
    seen = judge("runs/small", "photos", None, lambda what, done, total: told.append(f"{what} {done}/{total}")).seen
    assert seen is not None
    assert len(seen) == len(scan("photos").train)
    assert any(name.endswith(".bmp") for name in seen)
    assert told[-1] == f"finding images it was trained on {(count := EACH + 3 * 4)}/{count}"


@pytest.mark.slow
def test_named_models_and_judges_of_ones_own_are_asked_alike(home: Path) -> None:
    report = check("photos", models=["runs/small"])
    assert report.judged is not None
    assert report.judged["seen"] == len(scan("photos").train)
    assert report.judged["images"] == EACH * len(CLASSES)
    assert report.notes
    assert "trained on" in report.notes[0]
    same = check(Path("photos"), judges=[judge("runs/small", "photos")])
    assert same.as_json() == report.as_json()
    stranger = Judge(cnncli.load("runs/small"), "stranger", None)
    both = check("photos", models=["runs/small"], judges=[stranger])
    assert both.judged is not None
    assert both.judged["paths"] == ["stranger", "runs/small/model.safetensors"]
    assert check("photos").judged is None
    [note] = check("photos").notes
    assert note.startswith("There are fewer than 5 test images of check (2), ")
    assert note.endswith(" The recall of these classes will hardly be known.")


@pytest.mark.slow
def test_a_list_to_exclude_is_a_file_or_names(home: Path) -> None:
    names = ["stripe/s 0.png", "stripe/s 1.png"]
    write_list("out.txt", [("useless", names)])
    whole = sum(check("photos").image_counts().values())
    for exclude in ("out.txt", Path("out.txt"), names, set(names)):
        assert sum(check("photos", exclude=exclude).image_counts().values()) == whole - 2
    with pytest.raises(UsageError, match="there is no file"):
        check("photos", exclude="nowhere.txt")


def test_a_model_that_is_not_there(home: Path) -> None:
    with pytest.raises(ModelError, match="there is no model nowhere"):
        check("photos", models=["nowhere"])


@pytest.mark.slow
def test_steps_are_shown_by_name(home: Path) -> None:
    steps: list[str] = []
    check("photos", models=["runs/small"], progress=lambda what, done, total: steps.append(what))
    assert list(dict.fromkeys(steps)) == ["finding images it was trained on", "looking at images", "comparing images",
                                          "asking the model"]


@pytest.mark.slow
def test_a_model_gets_each_image_decoded_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those not known by their bytes are decoded to see whether it knows them, and that is what it judges."""
    Path("photos/check/none.png").write_bytes(b"no image")
    opened, plain = [], preprocessing.open_image
    monkeypatch.setattr(preprocessing, "open_image",
                        lambda path, *more: opened.append(os.path.basename(path)) or plain(path, *more))
    once = check("photos", models=["runs/small"]).as_json()
    assert sorted(opened) == sorted(path.name for path in Path("photos").rglob("*.png"))
    opened.clear()
    monkeypatch.setattr(samples, "_HELD", 0)
    assert check("photos", models=["runs/small"]).as_json() == once, "where they are too many to be held"
    assert len(opened) > len(set(opened))
