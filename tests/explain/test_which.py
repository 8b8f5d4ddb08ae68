"""explain/which.py: which images of the run are explained, and what is in images as far as their folders tell."""

import os
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.data.finding import Picture, find_images
from cnncli.data.splits import Sample
from cnncli.errors import DataError, UsageError
from cnncli.explain.which import evenly, held_out, images_named, labels_by_folder

CLASSES = ["boot", "sandal", "a b", "train"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("boot/1.png", "boot/left/2.png", "boot/sandal/3.png", "loose.png", "misc/4.png", "test/a b/5.png",
                 "Boot/6.png", "misc/sandal/7.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def known(*names: str) -> dict[str, str]:
    return labels_by_folder([*names], find_images(names), CLASSES)


def test_under_a_folder_that_was_named_the_outermost_class_folder_counts(photos: Path) -> None:
    assert known("photos") == {
        "photos/boot/1.png": "boot", "photos/boot/left/2.png": "boot", "photos/boot/sandal/3.png": "boot",
        "photos/test/a b/5.png": "a b", "photos/misc/sandal/7.png": "sandal"}
    assert labels_by_folder("photos/", ["photos/boot/1.png"], CLASSES) == {"photos/boot/1.png": "boot"}
    assert known("photos/boot") == dict.fromkeys(["photos/boot/1.png", "photos/boot/left/2.png"], "boot") | {
        "photos/boot/sandal/3.png": "sandal"}, "what lies in a class folder in the folder that was named"
    assert known("photos/boot/left") == {}, "nobody named a folder called like a class"


def test_of_a_file_its_own_folder_counts(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known("photos/boot/1.png", "photos/boot/left/2.png", "photos/boot/sandal/3.png", "photos/loose.png") == {
        "photos/boot/1.png": "boot", "photos/boot/sandal/3.png": "sandal"}
    assert known("photos/b*/*.png") == {"photos/boot/1.png": "boot"}
    monkeypatch.chdir("photos/boot")
    assert known("1.png", "left/2.png") == {"1.png": "boot"}
    assert known(".")["./1.png"] == "boot"
    assert labels_by_folder("1.png", ["1.png", Picture("boot/1.png", np.zeros((2, 2)))], CLASSES) == {"1.png": "boot"}


def samples(*labels: int) -> list[Sample]:
    return [Sample(f"/data/{i}.png", f"{i}.png", label) for i, label in enumerate(labels)]


def test_of_each_class_as_many_as_can_be() -> None:
    every = samples(*[0] * 50, *[1] * 3, *[2] * 20)
    chosen = evenly(every, 13, 0)
    assert [[sample.label for sample in chosen].count(label) for label in range(3)] == [5, 3, 5]
    assert chosen == sorted(chosen, key=every.index), "in their order"
    assert evenly(every[::-1], 13, 0) == chosen[::-1], "which does not decide"
    assert evenly(every, 13, 1) != chosen
    assert evenly(every, 100, 0) == every
    assert {sample.label for sample in evenly(every, 2, 0)} < {0, 1, 2}


def test_some_of_those_held_out_of_the_training(home: Path) -> None:
    notes: list[str] = []
    paths, truths = held_out("runs/small", 4, note=notes.append)
    assert [os.path.basename(os.path.dirname(path)) for path in paths] == sorted(truths.values())
    assert len(set(truths.values())) == 4
    [note] = notes
    assert note.startswith("4 of the ")
    everything, _ = held_out("runs/small", note=notes.append)
    assert len(notes) == 1, "of all of them nothing is to be said"
    assert {*paths} < {*everything}
    assert held_out("runs/small", 4)[0] == paths
    assert images_named("runs/small", (), count=4) == (paths, truths)


def test_names_on_a_command_line(home: Path) -> None:
    found, truths = images_named("runs/small", ("photos/stripe", "-"), b"photos/check/c 0.png\nno.png")
    assert len(found) == 26
    assert truths["photos/check/c 0.png"] == "check"
    assert set(truths.values()) == {"check", "stripe"}
    with pytest.raises(UsageError, match="top and images cannot be given together"):
        images_named("runs/small", ("photos",), count=3)
    with pytest.raises(DataError, match="the list on standard input is empty"):
        images_named("runs/small", ("-",), b"")
    os.rename("runs/small/model.safetensors", "alone.safetensors")
    with pytest.raises(UsageError, match=r"alone\.safetensors lies in no run's folder.*: cnn explain IMAGE$"):
        held_out("alone.safetensors")


def test_of_arrays_among_names_no_folder_tells(photos: Path) -> None:
    pixels = np.zeros((2, 2), np.uint8)
    for named in ([pixels, "photos"], (Picture("x", pixels), Path("photos"))):
        assert labels_by_folder(named, ["photos/boot/1.png", Picture("x", pixels), "photos/loose.png"], CLASSES) == {
            "photos/boot/1.png": "boot"}
    assert labels_by_folder(pixels, ["photos/boot/1.png"], CLASSES) == {"photos/boot/1.png": "boot"}


def test_two_dozen_where_nobody_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []
    every = samples(*[0, 1] * 1000)
    monkeypatch.setattr("cnncli.explain.which.open_model", lambda model: SimpleNamespace(
        name="small", model=SimpleNamespace(classes=CLASSES)))
    monkeypatch.setattr("cnncli.explain.which.choose", lambda *given, **how: asked.append(how) or (every, every[:1]))
    notes: list[str] = []
    paths, truths = held_out("model", seed=3, note=notes.append)
    assert paths == [sample.path for sample in evenly(every, 24, 3)]
    assert truths == {path: CLASSES[int(path.split("/")[2][:-4]) % 2] for path in paths}
    assert notes == ["24 of the 2,000 images held out of the training of small, of each class the same number, or "
                     "all if it has fewer; top says how many, seed which."]
    assert asked == [{"remedy": "cnn explain IMAGE"}]
    assert len(held_out("model", 5)[0]) == 5


def test_which_of_a_class_says_the_seed_by_their_names() -> None:
    every = samples(*[0] * 9)
    drawn = sorted(every, key=lambda s: sha256(b"7\0" + s.relative.encode()).digest())[:4]
    assert evenly(every, 4, 7) == sorted(drawn, key=every.index)
