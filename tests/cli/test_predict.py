"""`cnn predict`: what stands for images, the forms of the answer, the exit codes, and what a pipe, a full disk or a
careless name may not do. What must hold for a process as a whole runs in one of its own."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli import cli
from cnncli.cli import progress
from cnncli.model.calibration import Calibration
from cnncli.model.checkpoint import load_model, save_model

from ..small_model import CLASSES, small_model

ROOT = Path(__file__).parents[2]
SECONDS = 0.5  # from nothing to one image's answer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: runs/latest, photos/ with two images, one below and one that is none, notes.txt."""
    monkeypatch.chdir(tmp_path)
    os.makedirs("runs/small-1")
    save_model("runs/small-1/model.safetensors", small_model())
    os.symlink("small-1", "runs/latest")
    os.makedirs("photos/below")
    rng = np.random.default_rng(0)
    for name in ("photos/b.png", "photos/a.png", "photos/below/c.png", "d.jpg"):
        Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8)).save(name)
    Path("photos/bad.png").write_bytes(b"no image")
    Path("photos/notes.txt").write_bytes(b"notes")
    return tmp_path


def run(*arguments: str, stdin: bytes = b"", code: str | None = None, **options) -> subprocess.CompletedProcess[bytes]:
    """Run `cnn predict` in a process of its own."""
    command = [sys.executable, "-m", "cnncli", "predict", *arguments] if code is None else [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, "input": stdin, **options}
    return subprocess.run(command, env=environment, check=False, **options)


def answers(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict]:
    assert cli.main(["predict", "--json", *arguments]) == code
    return json.loads(capsys.readouterr().out)


# ---- what stands for images ----


def test_damage_that_takes_no_pixel_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = answers(capsys, "d.jpg")
    with open("d.jpg", "ab") as file:
        file.write(b"\0")
    [item] = answers(capsys, "d.jpg")
    assert item == {**before[0], "note": "1 byte behind its end was passed over"}
    assert cli.main(["predict", "d.jpg", "photos/a.png"]) == 0
    said = capsys.readouterr().err
    assert "1 image is damaged, but no pixel of it, and used all the same: d.jpg (1 byte behind its end" in said


@pytest.mark.slow
def test_standard_input_is_read(home: Path) -> None:
    done = run("-", "d.jpg", "--json", stdin=b"photos/a.png\nphotos/below\n")
    assert [item["path"] for item in json.loads(done.stdout)] == ["photos/a.png", "photos/below/c.png", "d.jpg"]
    done = run("-", stdin=b"")
    assert done.returncode == 1
    assert b"list on standard input is empty" in done.stderr
    assert run("-", code="import os, sys; os.close(0); sys.stdin = None; sys.argv = ['cnn', 'predict', '-'];"
                         "from cnncli.cli import main; sys.exit(main())").returncode == 1


# ---- the forms of the answer ----


def test_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model("runs/latest")
    found = answers(capsys, "photos", code=3)
    assert [item["path"] for item in found] == [
        "photos/a.png", "photos/b.png", "photos/bad.png", "photos/below/c.png"]
    for item, expected in zip(found, model.predict([item["path"] for item in found]), strict=True):
        assert list(item) == ["path", "label", "probability", "top", "error", *["cause"] * (item["error"] is not None),
                              "model"]
        assert item["model"] == os.path.join("runs", "small-1", "model.safetensors")
        assert (item["label"], item["probability"], item["error"]) == (
            expected.label, expected.probability, expected.error)
        assert item["top"] == [{"label": name, "probability": p} for name, p in expected.top]
    assert found[2]["label"] is None
    assert found[2]["top"] == []
    assert "photos/bad.png" in found[2]["error"]
    assert found[2]["cause"] in ("kind", "damaged")
    assert len(answers(capsys, "d.jpg", "--top", "2")[0]["top"]) == 2
    for every in ("99", "all"):
        assert len(answers(capsys, "d.jpg", "--top", every)[0]["top"]) == len(CLASSES)


def test_table(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "photos", "--top", "2"]) == 3
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 5
    assert lines[0].split() == ["image", *["label", "probability"] * 2]
    best = load_model("runs/latest").predict(["photos/a.png"])[0]
    assert f"{best.probability:.4f}" in lines[1]
    assert lines[3].split() == ["photos/bad.png", "-", "-"]
    assert "1 of 4 images could not be used" in err
    assert "zwei\\nZeilen" in out


@pytest.mark.slow
def test_csv(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "photos", "--csv", "out.csv", "--top", "2"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "out.csv: 4 rows." in err
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(encoding="utf-8", errors="surrogateescape"))))
    expected = load_model("runs/latest").predict([row["path"] for row in rows])
    for row, answer in zip(rows, expected, strict=True):
        assert row["label"] == (answer.label or "")
        assert row["error"] == (answer.error or "")
        if answer.top:
            assert row["probability"] == f"{answer.probability:.6f}"
            assert (row["label_2"], row["probability_2"]) == (answer.top[1][0], f"{answer.top[1][1]:.6f}")
    before = Path("out.csv").read_bytes()
    assert answers(capsys, "photos", "--csv", "out.csv", "--top", "2", code=3)
    assert Path("out.csv").read_bytes() == before
    done = run("photos", "--csv", "-", "--top", "2")
    assert done.stdout == before


def test_csv_with_all_classes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "d.jpg", "--csv", "all.csv", "--top", "all"]) == 0
    with open("all.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        [row] = csv.DictReader(file)
    ranks = ["", *(f"_{rank}" for rank in range(2, len(CLASSES) + 1))]
    assert sorted(row[f"label{rank}"] for rank in ranks) == sorted(CLASSES)
    assert sum(float(row[f"probability{rank}"]) for rank in ranks) == pytest.approx(1, abs=1e-4)
    capsys.readouterr()
    assert cli.main(["predict", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(name in told for name in row if not name.endswith(tuple(f"_{rank}" for rank in range(3, 99))))


def test_odd_names_survive_and_print_on_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = b"odd \x1b[31m\n\xff.png"
    os.rename(b"d.jpg", os.path.join(b"photos/below", name))
    path = f"photos/below/{os.fsdecode(name)}"
    items = answers(capsys, "photos/below")
    assert [os.fsencode(item["path"]) for item in items] == [b"photos/below/c.png", os.fsencode(path)]
    assert cli.main(["predict", "photos/below", "--csv", "o.csv"]) == 0
    assert b'"photos/below/' + name + b'",' in Path("o.csv").read_bytes()
    capsys.readouterr()
    assert cli.main(["predict", "photos/below"]) == 0
    out = capsys.readouterr().out
    assert r"photos/below/odd \x1b[31m\n\xff.png" in out
    assert len(out.splitlines()) == 3


# ---- answers that are withheld ----


@pytest.fixture
def many(home: Path) -> list[str]:
    """Twenty images, in a folder of their own."""
    rng = np.random.default_rng(3)
    os.mkdir("many")
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), np.uint8)).save(f"many/{number:02}.png")
    return sorted(map(str, Path("many").iterdir()))


def calibrated(temperature: float, threshold: float) -> None:
    model = small_model()
    model.calibration = Calibration(temperature, 50, (1.0, 0.9), (0.2, 0.1), ((0.8, threshold, 0.5),), 0.95)
    save_model("runs/small-1/model.safetensors", model)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_rejected_in_every_form(many: list[str], temperature: float, capsys: pytest.CaptureFixture[str]) -> None:
    calibrated(temperature, 0.0)
    plain = answers(capsys, "many")
    threshold = sorted(item["probability"] for item in plain)[10]
    calibrated(temperature, threshold)
    found = answers(capsys, "many", "--reject", "0.8")
    assert sum(item["rejected"] for item in found) == 10
    for item, before in zip(found, plain, strict=True):
        assert item["rejected"] == (item["probability"] < threshold)
        assert item["label"] == ("unknown" if item["rejected"] else before["label"])
        assert item["withheld"] == ["unsure"] * item["rejected"]
        more = {"rejected": item["rejected"], "withheld": item["withheld"], "strangeness": None}
        assert {**item, "label": before["label"]} == {**before, **more}, "the rest stays"
    assert cli.main(["predict", "many", "--reject", "0.75", "--csv", "o.csv", "--top", "2"]) == 0
    with open("o.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [item["label"] for item in found]
    assert [row["withheld"] for row in rows] == ["unsure" * item["rejected"] for item in found]
    assert [row["label_2"] for row in rows] == [item["top"][1]["label"] for item in found]
    capsys.readouterr()
    assert cli.main(["predict", "many", "--reject", "0.8"]) == 0
    out, err = capsys.readouterr()
    assert [" unknown " in line for line in out.splitlines()[1:]] == [item["rejected"] for item in found]
    which, doubt, why = err.splitlines()
    assert which.startswith("Model: ")
    assert doubt.endswith("has no measure of images that belong to no class, so the probability alone decides.")
    assert why.startswith("To see why: cnn explain many/")


def test_a_threshold_that_nothing_stands_behind_is_said_to_be_so(many: list[str], capsys) -> None:
    found = answers(capsys, "many")
    assert cli.main(["predict", "many", "--json", "--reject", "0.6"]) == 0
    out, err = capsys.readouterr()
    assert err.count("\n") == 2
    assert "without validation images" in err
    assert "not calibrated" in err
    assert [item["rejected"] for item in json.loads(out)] == [item["probability"] < 0.6 for item in found]
    calibrated(1.0, 0.1)
    assert cli.main(["predict", "many", "--json", "--reject", "0.9"]) == 0
    out, err = capsys.readouterr()
    assert "50 validation images do not show 90 %" in err
    assert [item["rejected"] for item in json.loads(out)] == [item["probability"] < 0.9 for item in found]


def test_what_cannot_be_judged_is_an_error_and_not_unknown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibrated(1.0, 1.0)
    found = answers(capsys, "photos", "--reject", "0.8", code=3)
    assert [item["label"] for item in found] == ["unknown", "unknown", None, "unknown"]
    assert [item["rejected"] for item in found] == [True, True, False, True]
    for wrong in ("0", "1", "95", "nan", "-1"):
        assert cli.main(["predict", "photos", f"--reject={wrong}"]) == 2
        assert "between 0 and 1" in capsys.readouterr().err


# ---- exit codes ----


def test_exit_codes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, words in [
        (["d.jpg"], 0, ""),
        (["d.jpg", "photos/bad.png"], 3, "1 of 2 images could not be used"),
        (["photos/bad.png", "gone.png"], 1, "2 of 2 images could not be used"),
        (["--strict", "photos/bad.png", "d.jpg"], 1, "cnn: photos/bad.png cannot be used"),
        (["d.jpg", "-m", "gone"], 4, "there is no model gone"),
        (["d.jpg", "-m", "photos"], 4, "photos holds no model.safetensors"),
        (["d.jpg", "-m", "photos/notes.txt"], 4, "looks like a text file"),
        ([], 2, "IMAGE"),
        (["d.jpg", "--top", "0"], 2, "--top': '0' is no number of labels; give 1 or more, or all."),
        (["d.jpg", "--top", "every"], 2, "--top': 'every' is no number of labels; give 1 or more, or all."),
        (["d.jpg", "--topp", "1"], 2, "Did you mean --top?"),
        (["d.jpg", "--json", "--csv", "-"], 2, "both write to standard output"),
    ]:
        assert cli.main(["predict", *arguments]) == code, arguments
        err = capsys.readouterr().err
        assert words in err, arguments
        assert "Traceback" not in err


def test_without_a_model_the_remedy_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", "x.png"]) == 4
    err = capsys.readouterr().err
    assert "runs/latest" in err
    assert "cnn train" in err
    assert "-m" in err
    assert os.listdir() == []


def test_strict_ends_at_the_first_failure_with_whole_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answers(capsys, "--strict", "photos", code=1)
    assert [item["path"] for item in found] == ["photos/a.png", "photos/b.png", "photos/bad.png"]
    assert cli.main(["predict", "--strict", "photos", "--csv", "o.csv"]) == 1
    assert not os.path.exists("o.csv")


# ---- what must not happen ----


@pytest.mark.parametrize("name", [
    "photos/a.png", "new.JPG", "runs/latest/model.safetensors", "photos/notes.md", "photos", os.devnull, "no/x.csv",
])
def test_a_table_replaces_nothing_but_a_table(home: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/notes.md").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert cli.main(["predict", "d.jpg", "--csv", name]) == 2
    said = capsys.readouterr().err
    assert re.search("cannot be the name|is not a table|no regular file|is a folder|no folder no; make it|model in "
                     "use", said)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_nothing_is_written_but_the_table(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert run("photos", "--csv", "o.csv").returncode == 3
    after = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {home / "o.csv"}
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
@pytest.mark.parametrize("form", [["--json"], ["--csv", "-"], []])
def test_a_reader_that_leaves_and_a_full_disk(home: Path, form: list[str]) -> None:
    many = b"\n".join([b"photos/a.png"] * 1000)
    with subprocess.Popen([sys.executable, "-m", "cnncli", "predict", "-", *form], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        process.stdin.write(many)
        process.stdin.close()
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().count(b"\n") == 1  # which model it is
        process.wait(60)
    with open("/dev/full", "wb") as full:
        done = run("photos/a.png", *form, stdout=full)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 2
    assert b"no space left" in done.stderr


@pytest.mark.slow
def test_only_what_is_needed_is_imported(home: Path) -> None:
    code = ("import sys; from cnncli.cli import main; assert main(['predict', 'd.jpg', '--json']) == 0;"
            "heavy = {'matplotlib', 'rich', 'jinja2', 'safetensors', 'concurrent', 'multiprocessing'};"
            "print(sorted(heavy & set(sys.modules)), file=sys.stderr)")
    assert run(code=code).stderr.decode().split("\n")[1] == "[]"


@pytest.mark.alone
@pytest.mark.slow
def test_one_image_from_a_cold_start_is_quick(home: Path) -> None:
    seconds = []
    for _ in range(5):
        start = os.times()
        began = time.perf_counter()
        assert run("d.jpg").returncode == 0
        wall, end = time.perf_counter() - began, os.times()
        # What other processes take of a busy machine is not ours: the shorter of wall and processor time counts.
        seconds.append(min(wall, end.children_user + end.children_system - start.children_user - start.children_system))
    assert min(seconds) < SECONDS


@pytest.mark.slow
def test_many_images_show_how_far_it_has_got(home: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0)
    assert cli.main(["predict", *["d.jpg"] * 300, "--csv", "o.csv"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "judging: 300 of 300" in err
    assert cli.main(["predict", "d.jpg", "--csv", "o.csv"]) == 0
    assert "judging" not in capsys.readouterr().err
