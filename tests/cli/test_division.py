"""Layouts, --split-seed, --group-by and --labels as the commands take them: train, its folds and range test, test,
check and predict read one folder alike."""

import json
import shutil
from pathlib import Path

import pytest

from cnncli.cli import main
from cnncli.training import train as training

from ..pictures import make_folder, make_network

SHORT = ("--arch", "net.toml", "--epochs", "1", "--batch-size", "8")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with archive/{__MACOSX,photos/{seg_train/seg_train/<class>,seg_test/seg_test/<class>,
    seg_pred/seg_pred}}, flat/ with the same training images in no folders, labels.csv, and net.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    make_network(tmp_path / "net.toml")
    photos = tmp_path / "archive" / "photos"
    make_folder(photos / "seg_train" / "seg_train")
    make_folder(photos / "seg_test" / "seg_test")
    (photos / "seg_pred" / "seg_pred").mkdir(parents=True)
    (tmp_path / "flat").mkdir()
    lines = ["file;label"]
    for i, path in enumerate(sorted((photos / "seg_train").rglob("*.png"))):
        shutil.copy(path, tmp_path / "flat" / f"p{i % 9}_{i:03}.png")
        lines.append(f"p{i % 9}_{i:03}.png;{path.parent.name}")
        if i < 3:
            shutil.copy(path, photos / "seg_pred" / "seg_pred" / f"{i}.png")
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    copy = tmp_path / "archive" / "__MACOSX" / "photos" / "seg_train" / "seg_train"
    copy.mkdir(parents=True)
    (copy / "._000.png").write_bytes(b"\0\5\26\7")
    return tmp_path


def cnn(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    got = main(list(arguments))
    out, err = capsys.readouterr()
    assert got == code, out + err
    return out, err


@pytest.mark.slow
def test_every_command_reads_an_unpacked_archive_alike(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    took = ("archive: photos/seg_train/seg_train/ is taken as train, photos/seg_test/seg_test/ as test.\n"
            "archive: photos/seg_pred/seg_pred/ holds images in no class folder and is passed over. To classify "
            "them without labels: cnn predict archive/photos/seg_pred/seg_pred\n")
    _, err = cnn(capsys, "train", "archive", *SHORT, "--name", "a")
    assert err.startswith(took)
    report = json.loads(cnn(capsys, "test", "--json")[0])
    assert report["images"] == 42
    assert sorted(c["name"] for c in report["classes"]) == sorted(p.name for p in Path(
        "archive/photos/seg_test/seg_test").iterdir())
    out, err = cnn(capsys, "check", "archive", "--fail-on", "never")
    assert err.startswith(took)
    assert "84 images in 3 classes: 39 train, 3 val (held out), 42 test" in out
    out, _ = cnn(capsys, "predict", "archive/photos/seg_pred/seg_pred")
    assert len(out.splitlines()) == 4
    assert cnn(capsys, "train", "archive", *SHORT[:2], "--find-lr")[1].startswith(took)
    assert took in cnn(capsys, "train", "archive", *SHORT, "--folds", "2")[1]
    for part in ("archive/photos", "archive/photos/seg_test"):
        assert json.loads(cnn(capsys, "test", part, "-m", "runs/a", "--json", "--out", "out")[0])["images"] == 42


@pytest.mark.slow
def test_a_table_of_labels_and_groups(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--labels", "labels.csv", "--group-by", r"(p\d)_", "--split-seed", "3")
    _, err = cnn(capsys, "train", "flat", *own, *SHORT, "--name", "t")
    lines = err.splitlines()
    assert lines[0] == ("flat has no train/ and test/: 32 images are for training, 5 for validation and 5 for the "
                        "test, drawn in whole groups.")
    assert lines[1].startswith("9 groups of images are kept together, by (p\\d)_: p0 (5 images), p1 (5), p2 (5), ")
    assert lines[2].startswith("9 groups: 7 training, 1 validation (p")
    assert "seed 0, split seed 3." in err
    tested = json.loads(cnn(capsys, "test", "--json")[0])["images"]
    out, _ = cnn(capsys, "check", "flat", *own, "--fail-on", "never")
    assert out.startswith("42 images in 3 classes: ")
    assert f"{tested} test (held out)" in out
    cnn(capsys, "train", "--resume", "--epochs", "2")
    cnn(capsys, "train", "flat", *own, "--resume", "--epochs", "3")
    _, err = cnn(capsys, "train", "--resume", "--split-seed", "4", code=2)
    assert err == ("cnn: runs/t began with split seed 3, which a resumed run keeps; leave --split-seed out, or "
                   "start a new run.\n")
    report = json.loads(cnn(capsys, "test", "flat", "--labels", "labels.csv", "--json", "--out", "out")[0])
    assert report["images"] == 42


@pytest.mark.parametrize(("flags", "words"), [
    (["--labels", "gone.csv"], "there is no file gone.csv; give a CSV file."),
    (["--group-by", "("], "--group-by ( is no regular expression"),
    (["--split-seed", "-1"], "the split seed must be a whole number from 0"),
    (["--labels", "labels.csv", "--group-by", "x"], "--group-by x finds no group in the path of any image"),
    ([], "or give a table with the columns file and label: --labels FILE.csv."),
])
def test_what_makes_no_sense_is_one_sentence(work: Path, capsys: pytest.CaptureFixture[str], flags: list[str],
                                             words: str) -> None:
    assert main(["train", "flat", *SHORT, *flags]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err
