"""``cnn explain --shortcuts``: sentences, a sheet, JSON, and one sentence for what cannot be."""

from pathlib import Path

import pytest
from PIL import Image

from cnncli.explain.shortcut_sheet import SHORTCUTS
from cnncli.visualize.canvas import Canvas

from ..explain.shortcutting import CLASSES, network, write
from .looking import Place

SAID = ("top: what lies at the lower right corner (rows 11 to 15, columns 12 to 16 of 16 x 16) decides: pasted into 24 "
        "images of other classes it turns 24 into top; a random patch turns 0. The same lies there in 100% of the "
        "images of top and in 0% of the others.")


def folders(place: Place, looks_at_the_mark: bool = True, marked: bool = True) -> tuple[str, ...]:
    """Write images and a model; return what is typed."""
    write(place.path / "set", marked)
    network(looks_at_the_mark).save(place.path / "m.safetensors")
    return "explain", "--shortcuts", "set", "-m", "m.safetensors"


@pytest.mark.slow
def test_what_is_found_and_where_it_is_drawn(place: Place) -> None:
    typed = folders(place)
    out, err = place.cnn(*typed, "--out", "why")
    assert out.splitlines() == [SAID, "why/shortcuts.png"]
    assert "Looking for shortcuts of 3 classes in 36 images: 1,440 forward passes, and up to 250 for each place" in err
    with Image.open(place.path / "why" / "shortcuts.png") as sheet:
        assert sheet.info["Software"] == "cnn shortcuts"
    said = place.json(*typed, "--out", "why", "--class", "top")
    assert [each["class"] for each in said["shortcuts"]] == ["top"]
    assert said["shortcuts"][0]["place"]["rows"] == [11, 15]
    assert (said["shortcuts"][0]["turned"], said["shortcuts"][0]["turned_by_a_random_patch"]) == (24, 0)
    assert said["file"] == "why/shortcuts.png"
    assert len(said["greyed"]["top"]["probability_lost"]) == 8
    assert said["skipped"] == []


@pytest.mark.slow
def test_nothing_is_found(place: Place) -> None:
    typed = folders(place, looks_at_the_mark=False, marked=False)
    out, err = place.cnn(*typed, "--out", "why")
    assert out.startswith("No shortcut was found in the images of 3 classes. Every place was greyed, and marks that ")
    assert "shortcuts.png" not in out
    assert "There is nothing to show, so why/shortcuts.png is not written." in err
    assert not (place.path / "why").exists()
    canvas = Canvas(20, 20)
    (place.path / "why").mkdir()
    canvas.save(place.path / "why" / "shortcuts.png", SHORTCUTS)
    assert place.json(*typed, "--out", "why")["file"] is None
    assert not (place.path / "why" / "shortcuts.png").exists(), "no sheet of an earlier search stays"
    (place.path / "why").mkdir(exist_ok=True)
    (place.path / "why" / "shortcuts.png").write_bytes(b"mine")
    place.cnn(*typed, "--out", "why", "--force")
    assert (place.path / "why" / "shortcuts.png").read_bytes() == b"mine"


@pytest.mark.slow
def test_the_runs_own_images(place: Place) -> None:
    said = place.json("explain", "--shortcuts", "--out", "why")
    assert said["images"] > place.json("test", "--out", "report")["images"], "those of the training as well"
    assert place.json("explain", "--shortcuts", "photos", "--out", "why")["images"] == said["images"]
    assert said["classes"] == ["check", "new\nline", "stripe", "帽子 $x$"]


def test_what_cannot_be(place: Place) -> None:
    typed = folders(place)
    said = place.fails(2, *typed, "--class", "topp")
    assert "there is no class 'topp'; give one of left, right, top. Did you mean 'top'?" in said
    assert "leave --method and --layer out." in place.fails(2, *typed, "--method", "gradcam", "--layer", "light")
    assert "leave --shortcuts out" in place.fails(2, *typed, "--units", "light")
    assert "images with labels" in place.fails(1, *typed[:2], "set/top/24.png", "set/top/25.png", *typed[3:])
    (place.path / "why").mkdir()
    (place.path / "why" / "shortcuts.png").write_bytes(b"mine")
    assert "shortcuts.png" in place.fails(2, *typed, "--out", "why")
    assert (place.path / "why" / "shortcuts.png").read_bytes() == b"mine"


@pytest.mark.slow
def test_images_that_say_too_little(place: Place) -> None:
    typed = folders(place)
    (place.path / "set" / "top" / "broken.png").write_bytes(b"no image")
    out, err = place.cnn(*typed, "--out", "why", code=3)
    assert out.splitlines()[0] == SAID
    assert "broken.png" in err
    loose = place.path / "loose"
    loose.mkdir()
    Image.new("L", (16, 16)).save(loose / "a.png")
    assert place.fails(1, *typed[:2], "loose", *typed[3:]) == (
        "cnn: loose has no folders called like the model's classes (left, right, top); give a folder that has them, "
        "because shortcuts are looked for in images with labels.")
    for name in CLASSES[1:]:
        for path in Path(place.path / "set" / name).iterdir():
            path.unlink()
        (place.path / "set" / name).rmdir()
    assert "give images of two classes or more" in place.fails(1, *typed)
