"""`cnn check`: what it prints, what it writes, its exit codes, and that it survives folders made to harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.check import KINDS
from cnncli.data.exclude import read_list

from ..data.check.pictures import classes, jpeg, scene, write
from ..data.check.test_check import write_bomb
from .looking import snapshot

KEYS = ["folder", "seed", "images", "unusable", "drawn", "range", "classes", "model", "errors", "warnings", "notes",
        "kinds", "findings", "exclude"]


@pytest.fixture
def bad(place) -> Path:
    """A split folder with a file of nothing, a copy in the test, a near copy, and a blank image."""
    folder = write(place.path / "bad", {f"train/{n}": s for n, s in classes(14).items()})
    write(folder, {"test/ant/copy.bmp": 3, "test/bee/other.png": 900, "val/ant/near.png": jpeg(scene(4), 60),
                   "val/bee/other.png": 901, "train/ant/blank.png": Image.new("RGB", (96, 80))})
    (folder / "train" / "bee" / "new\nline.png").touch()
    return folder


@pytest.mark.slow
def test_a_sound_folder(place):
    folder = write(place.path / "sound", classes())
    out, _ = place.cnn("check", folder)
    assert out == "24 images in 2 classes: 20 train, 2 val (held out), 2 test (held out)\nNothing was found.\n"


def test_what_is_found_is_said(place, bad):
    before = snapshot(bad)
    out, _ = place.cnn("check", bad, code=1)
    assert "34 images in 2 classes: 30 train, 2 val, 2 test" in out
    lines = out.splitlines()
    assert [line.split()[:4] for line in lines if line.startswith(("error", "warning"))] == [
        ["error", "empty-file", "1", "1"], ["error", "duplicate-across-splits", "1", "2"],
        ["warning", "near-duplicate-across-splits", "1", "2"], ["warning", "blank", "1", "1"]]
    assert "  train/bee/new\\nline.png: it is empty." in lines
    assert "  test/ant/copy.bmp = train/ant/03.png: 2 files with the same pixels in 2 splits." in lines
    assert snapshot(bad) == before


def test_json_is_exactly_what_programs_rely_on(place, bad):
    report = place.json("check", bad, code=1)
    assert list(report) == KEYS
    assert report["images"] == {"train": 30, "val": 2, "test": 2}
    assert report["classes"] == [{"name": "ant", "train": 15, "val": 1, "test": 1},
                                 {"name": "bee", "train": 15, "val": 1, "test": 1}]
    assert (report["errors"], report["warnings"], report["drawn"], report["model"]) == (2, 2, [], None)
    assert [list(kind) for kind in report["kinds"]] == [["kind", "level", "findings", "files", "about"]] * len(
        report["kinds"])
    copy = next(f for f in report["findings"] if f["kind"] == "duplicate-across-splits")
    assert copy == {
        "kind": "duplicate-across-splits", "level": "error", "value": 0.0,
        "text": "2 files with the same pixels in 2 splits.",
        "files": [{"path": "test/ant/copy.bmp", "split": "test", "class": "ant"},
                  {"path": "train/ant/03.png", "split": "train", "class": "ant"}],
        "exclude": ["train/ant/03.png"],
    }
    assert report["exclude"] == ["train/bee/new\nline.png", "train/ant/03.png", "train/ant/04.png",
                                 "train/ant/blank.png"]


@pytest.mark.slow
@pytest.mark.parametrize(("fail_on", "ignore", "code"), [
    ("error", "", 1), ("never", "", 0), ("blank", "", 1), ("dark", "", 0), ("blank,dark", "blank", 0),
    ("error", "empty-file,duplicate-across-splits", 0), ("warning", "empty-file,duplicate-across-splits", 1),
    ("note", "empty-file,duplicate-across-splits,near-duplicate-across-splits,blank,mixed-colour", 0),
])
def test_exit_codes(fail_on, ignore, code, place, bad):
    place.cnn("check", bad, "--fail-on", fail_on, "--ignore", ignore, code=code)


@pytest.mark.slow
def test_what_it_excludes_training_leaves_out(place, bad):
    _, err = place.cnn("check", bad, "--exclude-list", "out.txt", code=1)
    assert "out.txt: 4 images" in err
    assert read_list("out.txt") == {"train/bee/new\nline.png", "train/ant/03.png", "train/ant/04.png",
                                    "train/ant/blank.png"}
    report = place.json("check", bad, "--exclude", "out.txt")
    assert report["findings"] == []
    trained = ("train", bad, "--arch", "lenet5", "--epochs", 1, "--name", "out", "--exclude", "out.txt")
    _, err = place.cnn(*trained)
    assert "4 images left out, because the list to exclude names them." in err
    assert json.loads(Path("runs/out/config.json").read_text())["images"] == {"train": 26, "val": 2}
    os.remove("out.txt")
    assert place.json("test", "-m", "runs/out", "--split", "train", "--out", "t")["images"] == 26
    place.cnn("train", "--resume", "out", "--epochs", 2)


@pytest.mark.slow
def test_the_sheet(place, bad):
    _, err = place.cnn("check", bad, "--sheet", "bad.png", code=1)
    assert "bad.png: pictures of what was found" in err
    with Image.open("bad.png") as image:
        assert min(image.size) > 200
    assert ".png" in place.fails(2, "check", bad, "--sheet", "bad.jpg")


@pytest.mark.slow
def test_a_model_that_was_trained_on_the_folder(place):
    """Labels swapped after the training: the model knows better."""
    names = sorted(os.listdir("photos"))
    for name in names:
        assert (place.path / "photos" / name).is_dir()
    report = place.json("check", "photos", "--model", "runs/small", "--fail-on", "never")
    assert report["model"]["paths"] == ["runs/small/model.safetensors"]
    assert report["model"]["images"] == 96
    assert report["model"]["seen"] == 80
    assert report["model"]["elsewhere"] == []
    assert 0 <= report["model"]["accuracy_unseen"] <= 1
    _, err = place.cnn("check", "photos", "--model", "runs/small", "--fail-on", "never")
    assert "trained on 80 of the 96 images" in err
    other = write(place.path / "other", classes(12, ("check", "stripe")))
    assert place.json("check", other, "--model", "runs/small", "--fail-on", "never")["model"]["elsewhere"] == [
        "runs/small/model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "words"), [
    (("missing",), "there is no folder missing"),
    (("photos/check",), ""),
    (("photos", "--ignore", "blnk"), "Did you mean 'blank'?"),
    (("photos", "--fail-on", "errors"), "Did you mean 'error'?"),
    (("photos", "--exclude", "missing"), "there is no file missing"),
    (("photos", "--model", "missing"), "missing"),
    (("photos", "--exclude-list", "runs/small/config.json"), "is not an unedited list of images"),
])
def test_what_it_refuses(arguments, words, place):
    before = snapshot(place.path)
    if words:
        _, err = place.cnn("check", *arguments, code=4 if "--model" in arguments else 1 if len(arguments) == 1 else 2)
        assert words in err
    else:
        place.cnn("check", *arguments, code=1)
    assert snapshot(place.path) == before


def test_every_kind_is_listed(place):
    out, _ = place.cnn("check", "--kinds")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(KINDS)


@pytest.mark.linux
@pytest.mark.slow
def test_hostile_folders_neither_hang_nor_crash(tmp_path):
    """Bombs, FIFOs, devices, loops and deep folders, in a process with little memory and little time."""
    folder = write(tmp_path / "hostile", classes(12))
    write_bomb(folder / "ant" / "bomb.png")
    os.mkfifo(folder / "ant" / "pipe.jpg")
    os.mkfifo(folder / "bee" / "pipe.txt")
    os.symlink("/dev/zero", folder / "ant" / "zero.png")
    os.symlink("/dev/zero", folder / "ant" / "zero.bin")
    os.symlink(".", folder / "bee" / "round")
    os.symlink("b.png", folder / "bee" / "a.png")
    os.symlink("a.png", folder / "bee" / "b.png")
    os.symlink(folder, folder / ".hidden")
    deep = folder / "bee"
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    scene(5000).save(deep / "deep.png")
    rng = np.random.default_rng(0)
    whole = (folder / "ant" / "00.png").read_bytes()
    for i in range(40):
        damaged = bytearray(whole)
        for at in rng.integers(8, len(whole), 5):
            damaged[at] = rng.integers(0, 256)
        (folder / "ant" / f"damaged {i}.png").write_bytes(bytes(damaged))
    (folder / "ant" / os.fsdecode(b"caf\xe9\n.png")).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)); "
            "from cnncli.cli import main; sys.exit(main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "check", str(folder), "--sheet", str(tmp_path / "s.png"),
                           "--exclude-list", str(tmp_path / "out.txt"), "--json", "--threads", "2"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    paths = {file["path"] for finding in report["findings"] for file in finding["files"]}
    assert {"ant/bomb.png", "ant/pipe.jpg", "ant/zero.png", "bee/a.png", "bee/b.png",
            os.fsdecode(b"ant/caf\xe9\n.png")} <= paths
    assert sum(report["images"].values()) == 24 + 1 + 1 + 40 + 1
    assert read_list(tmp_path / "out.txt") == set(report["exclude"])
