"""What comes in, and what stands around: standard streams that are closed, full, endless or marked, pipes in the place
of files, a home that cannot be written, a terminal that obeys escape sequences."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import cnncli
from cnncli.architectures import from_toml
from cnncli.cli import main
from cnncli.data.exclude import read_list
from cnncli.data.finding import find_images
from cnncli.errors import NetworkError
from cnncli.model import checkpoint

from ..pictures import NETWORK
from .processes import COMMANDS, PATIENCE, run, said, start
from .test_starved import REFUSED, made

IMAGE = "photos/stripe/s 0.png"
LOOKING = {**{name: COMMANDS[name] for name in ("test", "check", "inspect", "export")},
           "predict": ("predict", IMAGE), "predict --csv -": ("predict", IMAGE, "--csv", "-"),
           "predict -": ("predict", "-"), "visualize-filters": ("visualize-filters", IMAGE),
           "visualize-filters -": ("visualize-filters", "-"),
           "features -": ("features", "runs/small", "-", "-o", "f.npz")}


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-", "0>/dev/null"])
@pytest.mark.parametrize("command", LOOKING)
def test_standard_streams_that_are_closed_are_survived(home: Path, command: str, closed: str) -> None:
    """0>/dev/null is a standard input that cannot be read; without any of these it is empty."""
    process = start(*LOOKING[command], wrapper=("sh", "-c", f'exec "$0" "$@" {closed}'))
    _, err = process.communicate(timeout=PATIENCE)
    said(err)
    if command.endswith(" -") and "csv" not in command:
        assert process.returncode == 1
        assert "2>&-" in closed or "standard input" in err.splitlines()[-1]
    else:
        assert process.returncode in ((0, 1) if closed.replace("2>&-", "").count(">&-") else (0,)), err


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    *(COMMANDS[name] for name in ("test", "predict", "features", "visualize-filters")), ("explain", "photos/stripe"),
    ("explain", "--trust", "photos/stripe/s 1.jpg"), ("explain", "--sanity", "photos/stripe/s 1.jpg"),
    ("explain", "--units", "conv1:0", "photos")], ids=" ".join)
def test_what_is_passed_over_in_images_is_said_once(home: Path, command: tuple[str, ...],
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    data = io.BytesIO()
    Image.open(IMAGE).convert("RGB").save(data, "JPEG")
    (home / "photos" / "stripe" / "s 1.jpg").write_bytes(data.getvalue() + b"behind")
    Image.open(IMAGE).save(home / "photos" / "stripe" / "moving.gif", save_all=True,
                           append_images=[Image.open("photos/stripe/s 2.png")])
    (home / "photos" / "stripe" / "phone.heic").touch()
    words = (*command, "--split", "train") if command[0] == "test" else command
    assert main([*words]) == 0
    err = capsys.readouterr().err
    assert err.count("s 1.jpg (6 bytes behind its end were passed over).") == 1
    left_out = r"1 file is not called like an image and is not used \((stripe/)?phone\.heic\)\."
    assert len(re.findall(left_out, err)) == (0 if "s 1.jpg" in command[-1] or command == ("test",) else 1)
    assert err.count("moving.gif (the first of its 2 frames is taken).") == (0 if "s 1.jpg" in command[-1] else 1)


def listed(names: "list[str]", how: str) -> bytes:
    text = "\n".join(names) + "\n"
    return {"plain": text.encode(), "mark": b"\xef\xbb\xbf" + text.encode(), "utf-16": text.encode("utf-16"),
            "mark, crlf": b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
            "mark, nul": b"\xef\xbb\xbf" + text.replace("\n", "\0").encode()}[how]


@pytest.mark.parametrize("how", ["plain", "mark", "mark, crlf", "mark, nul", "utf-16"])
def test_a_mark_at_the_head_of_a_list_is_no_part_of_its_first_name(tmp_path: Path, how: str) -> None:
    names = ["a.png", "été/帽.png"]
    assert find_images("-", listed(names, how)) == names
    if "nul" not in how:
        (tmp_path / "list").write_bytes(listed(names, how))
        assert read_list(tmp_path / "list") == frozenset(names)


def test_a_network_with_a_mark_at_its_head(tmp_path: Path) -> None:
    path = tmp_path / "net.toml"
    path.write_bytes(b"\xef\xbb\xbf" + NETWORK.encode())
    assert from_toml(path, (10, 10, 3), 3).output_shape == (3,)


def test_a_list_that_never_ends_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("cnncli.cli.command.LONGEST_LIST", 1000)
    with open("/dev/zero", encoding="ascii") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        for command in ("predict -", "visualize-filters -", "features -"):
            assert main(LOOKING[command]) == 1
            assert "give a list of the paths of images" in capsys.readouterr().err


@pytest.mark.parametrize("strange", ["fifo", "folder", "device"])
def test_a_network_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, strange: str) -> None:
    path = tmp_path / "net.toml"
    if strange == "fifo":
        os.mkfifo(path)
    elif strange == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(NetworkError, match="not a regular file"):
        from_toml(path, (10, 10, 3), 3)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["arch", "init", "model", "exclude", "labels", "split", "import"])
def test_a_pipe_is_never_waited_for(home: Path, option: str) -> None:
    os.mkfifo("pipe.toml")
    os.mkfifo("pipe.csv")
    command = {"arch": ["train", "photos", "--arch", "pipe.toml"], "init": ["train", "photos", "--init", "pipe.toml"],
               "model": ["predict", "-m", "pipe.toml", IMAGE], "exclude": ["train", "photos", "--exclude", "pipe.csv"],
               "labels": ["train", "photos", "--labels", "pipe.csv"],
               "split": ["train", "photos", "--group-by", "pipe.csv"], "import": ["import", "pipe.csv", "out"]}[option]
    process = start(*command)
    try:
        _, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    said(err)
    assert process.returncode in (1, 2, 4), err
    assert "pipe." in err


def on_a_terminal(*arguments: str) -> bytes:
    """Run `cnn` with a terminal behind its output; return what came there."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(PATIENCE) == 0, shown
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict --csv -", "predict", "test", "check", "inspect", "visualize-filters"])
def test_no_name_is_obeyed_by_a_terminal(home: Path, command: str) -> None:
    """A class and a file whose names set a window's title and clear the screen."""
    evil = "\x1b]0;owned\x07\x1b[2J"
    model = checkpoint.load_model("runs/small")
    model.classes = tuple(f"stripe{evil}" if name == "stripe" else name for name in model.classes)
    checkpoint.save_model("runs/small/model.safetensors", model)
    os.rename("photos/stripe", f"photos/stripe{evil}")
    image = f"photos/stripe{evil}/s{evil}.png"
    os.rename(f"photos/stripe{evil}/s 0.png", image)
    arguments = {"test": ("test", "photos"), "visualize-filters": ("visualize-filters", image),
                 "predict": ("predict", image), "predict --csv -": ("predict", image, "--csv", "-")}
    shown = on_a_terminal(*arguments.get(command, LOOKING.get(command, ())))
    assert b"\x1b]0" not in shown
    assert b"\x1b[2J" not in shown
    assert b"\x07" not in shown
    if command not in ("inspect", "visualize-filters"):  # which print none
        assert b"x1b]0;owned" in shown, "its name is there, as characters"


@pytest.mark.slow
def test_a_table_in_a_pipe_keeps_the_bytes_of_names(home: Path) -> None:
    os.rename(IMAGE, "photos/stripe/s\x1b[2J.png")
    out, _ = run("predict", "photos/stripe/s\x1b[2J.png", "--csv", "-")
    assert "photos/stripe/s\x1b[2J.png,stripe," in out


@pytest.mark.slow
def test_matplotlib_keeps_its_troubles_with_a_home_to_itself(home: Path) -> None:
    _, err = run(*COMMANDS["train"], env={"HOME": "/dev/null/nowhere", "MPLCONFIGDIR": "", "XDG_CACHE_HOME": ""})
    assert "matplotlib" not in err.lower()
    assert (home / "runs" / "another" / "curves.png").exists()


@pytest.mark.slow
def test_a_training_outlives_fonts_that_cannot_be_looked_for(home: Path) -> None:
    """matplotlib starts a thread when it looks at the system's fonts for the first time."""
    _, err = run(*COMMANDS["train"], before=REFUSED, env={"MPLCONFIGDIR": str(made(home) / "fresh")})
    assert (home / "runs" / "another" / "curves.png").exists() or "could not be drawn" in err
    assert cnncli.load("runs/another").classes
