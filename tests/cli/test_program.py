"""cli/program.py: what messages advise is typed as this program was started, and scripts/demo.sh shows what works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnncli.cli import program
from cnncli.errors import quoted

from ..shell import ROOT, installed, words
from ..trained import write_images

MODULE = os.path.join(ROOT, "cnncli", "__main__.py")


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Make a folder with these programs all of the PATH."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_by_its_name_where_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "cnn")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "cnn"), "train"])
    assert program.typed("Next: cnn test") == "Next: cnn test"
    (tmp_path / "link").symlink_to("bin/cnn")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "link"), "train"])
    assert program.typed("Next: cnn test") == "Next: cnn test"


@pytest.mark.parametrize("others", [(), ("cnn",)], ids=["none there", "another one there"])
def test_by_its_path_elsewhere(others: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", *others)
    monkeypatch.setattr(sys, "argv", ["it's mine/cnn", "train"])
    text = "Next: cnn test. See 'cnn --help' and cnn visualize-filters; cnn takes images, cnn testing, x/cnn test"
    here = "'it'\"'\"'s mine/cnn'"
    assert program.typed(text) == (f"Next: {here} test. See '{here} --help' and {here} visualize-filters; cnn takes "
                                   "images, cnn testing, x/cnn test")


def test_as_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "python")
    monkeypatch.setattr(sys, "argv", [MODULE, "train"])
    monkeypatch.setattr(sys, "orig_argv", ["my python", "-m", "cnncli", "train"])
    assert program.typed("cnn test") == "'my python' -m cnncli test"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest"])  # called from Python: whatever its caller is
    assert program.typed("cnn test, pip install onnx") == "cnn test, pip install onnx"


def test_pip_is_that_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch, tmp_path / "bin", "pip", "python")
    monkeypatch.setattr(sys, "argv", [MODULE, "train"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert program.typed("try pip install onnx.") == "try pip install onnx."
    monkeypatch.setattr(sys, "executable", "/another/bin/python")
    assert program.typed("try pip install onnx.") == "try /another/bin/python -m pip install onnx."


@pytest.mark.parametrize("name", ["photos", "my photos", "it's", "a\nb\t'c'\\d", "caf\udce9", "-x", "$HOME", "帽子 *",
                                  "\x85\u202e", "a\u00a0b", "#1"])
def test_a_name_is_typed_so_that_the_shell_gives_it_back(name: str) -> None:
    assert quoted(name).isprintable() or "\u00a0" in name
    assert words(f"cnn {quoted(name)}") == [name if name != "-x" else "./-x"]
    assert words(f"cnn {quoted(name, '--exclude')}") == [f"--exclude={name}"]


STUB = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done >>{log}
echo --- >>{log}
mkdir -p "{demo}/images/train" "{demo}/images/test/bag"
: >"{demo}/images/test/bag/it's 1.png"
"""


@pytest.mark.slow
def test_what_the_demo_shows_can_be_typed(tmp_path: Path) -> None:
    """With a stand-in for the program; .ci/run runs the real one."""
    here = tmp_path / "it's here"
    (here / "my bin").mkdir(parents=True)
    (here / "my bin" / "cnn").write_text(STUB.format(log="log", demo="a demo"))
    (here / "my bin" / "cnn").chmod(0o755)
    (here / "my bin" / "activate").write_text("echo activated\n")

    def shell(*command: str) -> str:
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True, timeout=60).stdout

    shown = shell("sh", os.path.join(ROOT, "scripts", "demo.sh"), "my bin/cnn", "a demo")
    called = (here / "log").read_text()
    assert called.count("---") == 8
    (here / "log").unlink()
    steps = re.findall(r"^\$ (.*)", shown, flags=re.MULTILINE)
    for step in steps:
        shell("bash", "-c", step)
    assert (here / "log").read_text() == called
    train, activate = re.findall(r":\n  (.* FOLDER|\. .*)$", shown, flags=re.MULTILINE)
    (here / "log").unlink()
    shell("bash", "-c", train)
    assert (here / "log").read_text() == "train\nFOLDER\n---\n"
    assert shell("bash", "-c", activate) == "activated\n"


@pytest.mark.slow
def test_the_next_command_works_in_the_shell_that_ran_the_one_before(tmp_path: Path) -> None:
    write_images(tmp_path / "my photos", ["cat", "it's a dog"], 12, seed=1)
    (tmp_path / "my bin").mkdir()
    installed(tmp_path / "my bin")
    command = "'my bin/cnn' train 'my photos' --arch lenet5 --epochs 1 --runs \"it's there\""
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    [following] = re.findall(r"^Next: (.*)", done.stderr, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-c", following], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
