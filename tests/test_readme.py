"""README.md and the guides: each command that they print works, typed as it stands there, in the order of the page."""

import shutil
from pathlib import Path

import pytest

from cnncli.cli import main

from .guides import PAGES, commands, here, networks
from .shell import words

__all__ = ["here"]
WITH_COMMANDS = [page for page in PAGES if commands(page)]
# What the commands of a page leave behind.
LEFT = {"README.md": {"out.onnx", "out.c", "features.npz"}, "docs/checking.md": {"bad.png"},
        "docs/exporting.md": {"out.onnx", "out.c", "features.npz"}, "docs/explaining.md": {"why"},
        "docs/page.md": {"model.html"},
        "docs/tutorial.md": {"clothes", "bad.png", "answers.csv", "classifier.c", "wrong.png", "page.html"},
        "docs/watching.md": {"tb"}}
# Shorter: what the page promises of hours is the same in seconds.
SHORTER = {"30m": "1s", "40": "3", "arch=resnet8,resnet20": "arch=lenet5,classic", "12": "2", "20": "3",
           "lr=0.01,0.03,0.1": "lr=0.01,0.1", "NAME": "sweep-2", "relu2": "relu2:0-1", "LAYER": "relu1"}


def typed(line: str) -> list[str]:
    """Return what a line calls the program with, short and small."""
    arguments = [SHORTER.get(word, word) for word in words(line)]
    if arguments[0] == "sweep" and "--resume" not in arguments:
        arguments += ["--epochs", "1"]
        arguments += [] if any(word.startswith("arch=") for word in arguments) else ["--arch", "lenet5"]
    if arguments[0] == "train":
        if not {"--epochs", "--time", "--find-lr", "--resume", "--probe"} & set(arguments):
            arguments += ["--epochs", "1"]
        if not {"--init", "--resume"} & set(arguments):
            arguments += ["--arch", "lenet5"]
        if {"efficientnet_lite0", "resnet18.pth"} & set(arguments):
            arguments += ["--size", "32"]
    return arguments


def make(page: str) -> None:
    """Make the folders and the network that a page's other blocks make; tests/test_docs.py runs these."""
    if page == "docs/tutorial.md":
        for name in ("few", "wrong"):
            shutil.copytree("photos", name)
        Path("net.toml").write_text(networks(page)[0], encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_every_command_of_a_page_works(page: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(page)
    for line in commands(page):
        code = main(typed(line))
        out, err = capsys.readouterr()
        assert code == (1 if "--fail-on warning" in line else 0), f"{line}: exit code {code}: {out}{err}"
    assert {path.name for path in here.iterdir()} >= LEFT.get(page, set())


def test_commands_are_found() -> None:
    assert set(WITH_COMMANDS) >= {*LEFT, "docs/judging.md", "docs/sweep.md", "docs/training.md"}
    assert sum(len(commands(page)) for page in WITH_COMMANDS) > 80
