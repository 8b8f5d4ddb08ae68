"""cnn train as its users meet it: the table and the notes, JSON, exit codes, Ctrl-C in every phase, terminals."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnncli.cli import main
from cnncli.cli.train_view import clock, epoch_line
from cnncli.model import checkpoint
from cnncli.runs import Run
from cnncli.training import train as training

from ..pictures import make_folder, make_network
from ..weights.torchfiles import saved

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds that a test waits for a process on a busy machine


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with data/ and net.toml; no pictures are drawn, nor is the disk waited for."""
    make_folder(tmp_path / "data")
    make_network(tmp_path / "net.toml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "_draw", lambda run, observer: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return tmp_path


SHORT = ["train", "data", "--arch", "net.toml", "--epochs", "2", "--batch-size", "8"]
LONG = ["train", "data", "--arch", "net.toml", "--epochs", "100000", "--batch-size", "8", "--schedule", "constant"]


def start(work: Path, *arguments: str, before: str = "", **options: object) -> "subprocess.Popen[str]":
    """Run cnn in a process of its own, after a piece of Python; no pictures."""
    code = ("import sys\n"
            "import cnncli.training.train; cnncli.training.train._draw = lambda *_: None\n"
            f"{before}\nfrom cnncli.cli import main\nsys.exit(main({list(arguments)!r}))")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CNN_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-c", code], cwd=work, env=environment, text=True, **pipes)  # type: ignore


def until(happens: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def said(captured: str) -> None:
    assert "Traceback" not in captured
    assert "an error of the program itself" not in captured


# ---- what it prints ----


def test_a_line_for_each_epoch_and_where_the_model_is(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SHORT) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["epoch", "train", "loss", "accuracy", "val", "loss", "accuracy", "rate", "images/s",
                                "time", "kept"]
    assert [line.split()[0] for line in lines[1:]] == ["1/2", "2/2"]
    assert {len(line.removesuffix(" *")) for line in lines} == {75, 80}  # fits into a terminal, with the star
    assert "Model: runs/net-1/model.safetensors" in err
    assert err.splitlines()[-1] == "Next: cnn test"
    said(err)


def test_json_is_one_object_on_stdout_and_the_table_goes_to_stderr(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHORT, "--json", "--runs", "elsewhere"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["path"] == "elsewhere/net-1"
    assert result["classes"] == ["ant", "bee", "cat"]
    assert [row["epoch"] for row in result["history"]] == [1, 2]
    assert result["best_epoch"] in (1, 2)
    assert result["recipe"]["batch_size"] == 8
    assert result["skipped"] == []
    assert "  1/2" in err
    assert "Next: cnn test -m elsewhere/net-1" in err


@pytest.mark.slow
def test_what_was_chosen_is_said(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "data", "--epochs", "1"]) == 0
    err = capsys.readouterr().err
    assert "Architecture: " in err
    assert "because images of 10x10" in err
    assert "Batches of 8, because there are only 36 training images." in err


def test_skipped_images_are_listed_and_the_exit_code_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "data" / "ant" / "new\nline.png").write_bytes(b"none")
    assert main(SHORT) == 3
    err = capsys.readouterr().err
    assert "1 image could not be used and was skipped:" in err
    assert "new\\nline.png" in err
    assert main([*SHORT, "--strict"]) == 1
    assert "cannot be used" in capsys.readouterr().err


@pytest.mark.slow
def test_how_images_are_varied_is_asked_for_said_and_kept(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--augment", "shift=1,rotate=5,cutmix", "--preview"]) == 0
    err = capsys.readouterr().err
    assert "shifted by up to 1 pixel, turned by up to 5° and mixed in pairs (cutmix 1) in training." in err
    assert "augmented.png shows what training images look like." in err
    run = Run(work / "runs" / "net-1")
    assert (run.path / "augmented.png").exists()
    assert run.config["recipe"]["augment"] | {"shift": 1, "rotate": 5.0, "cutmix": 1.0, "mixup": 0.0} == (
        run.config["recipe"]["augment"])
    assert main([*SHORT, "--no-augment"]) == 0
    assert "Images are not changed in training." in capsys.readouterr().err
    assert Run(work / "runs" / "net-2").config["recipe"]["augment"] is None


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [(["--augment", "digts"], "Did you mean 'digits'?"), (["--augment", "rotate=1e3"], "degrees from 0 to 180"),
     (["--augment", "photo", "--no-augment"], "--no-augment cannot be given together; leave one of them out")],
)
def test_augmentation_that_makes_no_sense(work: Path, capsys: pytest.CaptureFixture[str], flags: list[str],
                                          sentence: str) -> None:
    assert main([*SHORT, *flags]) == 2
    assert sentence in capsys.readouterr().err
    assert not (work / "runs").exists()


def test_resuming_from_the_command_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SHORT) == 0
    expected = (work / "runs" / "net-1" / "model.safetensors").read_bytes()
    assert main(["train", "--resume"]) == 0
    assert "nothing to resume" in capsys.readouterr().err
    assert (work / "runs" / "net-1" / "model.safetensors").read_bytes() == expected
    assert main(["train", "data", "--resume", "net-1", "--epochs", "3"]) == 0
    assert len(Run(work / "runs" / "net-1").history) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "epochs"), (["--epochs", "many"], "many"), (["--batch-size", "0"], "batch size"),
        (["--lr", "0"], "learning rate"), (["--lr", "-1"], "learning rate"), (["--lr", "nan"], "learning rate"),
        (["--size", "0"], "size"), (["--size", "-5"], "size"), (["--size", "3x"], "64x48"),
        (["--threads", "0"], "threads"), (["--seed", "-1"], "seed"), (["--arch", "resnt8"], "Did you mean 'resnet8'?"),
        (["--arch", "lost.toml"], "lost.toml"), (["--optimizer", "adamm"], "Did you mean 'adam"),
        (["--schedule", "cosin"], "Did you mean 'cosine'?"), (["--loss", "entropy"], "cross-entropy"),
        (["--cache", "tape"], "auto, ram, disk, none"), (["--name", "a/b"], "name"), (["--epoch", "3"], "--epochs"),
        (["--resume", "--name", "x"], "--name"), (["--resume", "nothing"], "no run"), (["--class-weights", "x"], "bal"),
        (["--time", "10"], "10m, 90s or 1h30m"), (["--time", "5m", "--epochs", "3"], "cannot be given together"),
        (["--folds", "1"], "from 2 to 100"), (["--folds", "3", "--time", "5m"], "--epochs"),
        (["--folds", "3", "--resume", "x"], "no cross-validation x"), (["--sampling", "balancd"], "Did you mean 'bal"),
        (["--sampling", "balanced", "--class-weights", "balanced"], "twice"), (["--find-lr", "--resume"], "--resume"),
        (["--find-lr", "--lr", "1"], "--lr"),
        (["--find-lr", "--preview"], "--preview"),
    ],
)
def test_wrong_usage_is_one_sentence(
    work: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["train", "data", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("cnn: ")
    said(err)
    assert not (work / "runs").exists()


def test_folders_that_cannot_be_used_are_one_sentence(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "empty").mkdir()
    (work / "one" / "class").mkdir(parents=True)
    for data in ("empty", "one", "missing", "net.toml"):
        assert main(["train", data]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert data in err
    assert main(["train"]) == 2
    assert not (work / "runs").exists()


def test_a_loss_that_is_no_number_is_one_sentence(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--lr", "1e30", "--schedule", "constant"]) == 1
    err = capsys.readouterr().err
    assert "epoch 1, step" in err.splitlines()[-1]
    said(err)


def test_size_is_width_by_height(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--size", "12x9"]) == 0
    assert Run(work / "runs" / "net-1").config["recipe"]["size"] == [9, 12]


def test_times_and_missing_numbers() -> None:
    assert [clock(s) for s in (0.4, 7, 750, 3723, 3599.7)] == ["0:00", "0:07", "12:30", "1:02:03", "1:00:00"]
    row = {"epoch": 3, "train_loss": 1.5, "train_accuracy": 0.5, "val_loss": None, "val_accuracy": None,
           "learning_rate": 0.1, "images_per_second": 12345.6, "seconds": 61.0}
    assert epoch_line(row, 15, False).split() == ["3/15", "1.5000", "50.00%", "-", "-", "0.1", "12,346", "1:01"]


# ---- signals ----


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(work: Path, number: int, code: int) -> None:
    process = start(work, *LONG)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert time.monotonic() - began < 2
    assert "continue with: cnn train --resume net-1" in err.splitlines()[-1]
    said(err)
    state = checkpoint.load_state(work / "runs" / "latest")
    assert len(state.progress["history"]) >= 1
    assert [row["epoch"] for row in Run(work / "runs" / "net-1").history] == [
        row["epoch"] for row in state.progress["history"]]


SLOW_STEPS = """
import time
from cnncli.training.trainer import Trainer
step = Trainer.step
def slow(*arguments):
    loss = step(*arguments)
    print("step", flush=True)
    time.sleep(20)
    return loss
Trainer.step = slow
"""
SLOW_IMAGES = """
import time
from cnncli.data import Preprocessing
prepare = Preprocessing.prepare
def slow(*arguments):
    time.sleep(0.1)
    return prepare(*arguments)
Preprocessing.prepare = slow
import cnncli.training.observer as observer
observer.Observer.loading = lambda self, *arguments: None
"""


@pytest.mark.slow
@pytest.mark.alone
def test_a_second_signal_ends_it_at_once(work: Path) -> None:
    process = start(work, *LONG, before=SLOW_STEPS)
    assert process.stdout is not None
    while process.stdout.readline() != "step\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # it finishes the step first
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 1
    assert process.returncode == -signal.SIGINT
    assert main(["train", "--resume", "--epochs", "2"]) == 0


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("number", "codes"), [(signal.SIGINT, (130,)), (signal.SIGTERM, (143, -signal.SIGTERM))])
def test_a_signal_while_images_are_decoded(work: Path, number: int, codes: tuple[int, ...]) -> None:
    process = start(work, *LONG, before=SLOW_IMAGES + "\nprint('ready', flush=True)")
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1)
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in codes
    assert time.monotonic() - began < 2
    said(err)
    assert not (work / "runs").exists()


# ---- terminals and pipes ----


@pytest.mark.slow
def test_a_reader_that_goes_away_stops_no_training(work: Path) -> None:
    process = start(work, *SHORT)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    process.wait(PATIENCE)
    said(err)
    assert len(Run(work / "runs" / "net-1").history) == 2


@pytest.mark.slow
def test_a_full_output_stops_no_training(work: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start(work, *SHORT, stdout=full)
        _, err = process.communicate(timeout=PATIENCE)
    said(err)
    assert "training goes on" in err
    assert len(Run(work / "runs" / "net-1").history) == 2


@pytest.mark.slow
def test_a_bar_on_a_terminal_that_leaves_the_cursor_alone(work: Path) -> None:
    ours, theirs = pty.openpty()
    process = start(work, *LONG[:-2], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""

    def read() -> bool:
        nonlocal shown
        if select.select([ours], [], [], 0.05)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other side is closed
                return True
        return b"2/100000" in shown and b" left" in shown

    until(read)
    process.send_signal(signal.SIGINT)
    until(lambda: read() and process.poll() is not None)
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 130
    assert "\x1b[?25l" not in text
    assert "loss" in text
    assert text.rstrip().endswith("cnn train --resume net-1")
    said(text)


@pytest.mark.slow
def test_a_training_begins_with_a_run_and_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--name", "first"]) == 0
    capsys.readouterr()
    assert main(["train", "data", "--init", "runs/first", "--epochs", "1", "--freeze", "1"]) == 0
    said = capsys.readouterr().err
    assert "Start: net.toml with the weights of runs/first, for 10 x 10 pixels; its last layer is kept." in said
    assert "Blocks 2 to 2 of 2 learn. Batch norms keep their statistics, because batches are small." in said
    assert main(["train", "data", "--init", "runs/first", "--probe", "--json"]) == 0
    out, said = capsys.readouterr()
    assert json.loads(out)["recipe"]["probe"] is True
    assert "Only the last layer learns. It is fitted to features that are computed once." in said


def overlapping() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
                         "b": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data", "arch", "words"), [
    ("photo.pth", b"\xff\xd8\xff\xe0 a photograph", "resnet8", "holds no weights"),
    ("empty.pth", b"", "resnet8", "holds no weights"),
    ("huge.safetensors", (2**63).to_bytes(8, "little") + b"{}", "resnet8", "huge.safetensors"),
    ("overlapping.safetensors", overlapping(), "resnet8", "overlapping.safetensors"),
    ("command.pth", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00touch\x85R.", "resnet8", "posix"),
    ("bomb.pth", b"\x80\x02" + b"]" + b"q\x00(h\x00h\x00e" * 200000 + b".", "resnet8", "bomb.pth"),
    ("other.pth", saved({"fc.weight": np.zeros((5, 7), np.float32)}), "resnet8", "does not fit resnet8: missing"),
    ("deep.pth", saved({"fc.weight": np.zeros((5, 7), np.float32)}), "vgg16", "does not fit vgg16: missing"),
], ids=lambda value: value if isinstance(value, str) and "." in value else "")
def test_weights_that_cannot_be_used_are_refused_at_once(
    work: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, arch: str, words: str
) -> None:
    (work / name).write_bytes(data)
    assert main(["train", "data", "--init", name, "--arch", arch]) == 4
    out, said = capsys.readouterr()
    assert not out
    assert said.startswith(f"cnn: {name} ")
    assert said.count("\n") == 1
    assert words in said
    assert not (work / "runs").exists()
