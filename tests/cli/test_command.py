"""cli/command.py: a model may stand first, or behind -m, and means the same; options of `cnn train` stand in groups."""

import shutil
import subprocess
from pathlib import Path

import click
import pytest

from cnncli import errors
from cnncli.cli import COMMANDS, cnn, main
from cnncli.cli.command import Command, Option, model_and_rest
from cnncli.errors import UsageError
from cnncli.model.checkpoint import save_model
from cnncli.optim.schedule import SCHEDULES

from ..pictures import make_folder
from ..small_model import small_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/latest", "runs/other"):
        (tmp_path / folder).mkdir(parents=True)
        save_model(tmp_path / folder / "model.safetensors", small_model())
    return tmp_path


@pytest.mark.parametrize(("words", "model", "found"), [
    (["a.onnx"], None, (None, ["a.onnx"])),
    (["runs/other", "a.onnx"], None, (Path("runs/other"), ["a.onnx"])),
    (["a.onnx"], Path("m"), (Path("m"), ["a.onnx"])),
    (["a.png", "b.png"], Path("m"), (Path("m"), ["a.png", "b.png"])),
    (["efficientnet_lite0", "b.png"], None, (Path("efficientnet_lite0"), ["b.png"])),
])
def test_where_a_model_may_stand(words: list[str], model: Path | None, found: object, here: Path) -> None:
    assert model_and_rest(words, model, "FILE") == found


@pytest.mark.parametrize("word", ["runs/other", "runs/other/model.safetensors", "efficientnet_lite0"])
def test_two_models_or_nothing_else_are_refused(word: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "on_command_line", True)  # as main has it
    with pytest.raises(UsageError, match=f"two models are given, {word} and, with -m, m; give only one"):
        model_and_rest([word, "a.png"], Path("m"), "FILE")
    with pytest.raises(UsageError, match=f"{word} is a model, and nothing comes after it; add FILE"):
        model_and_rest([word], None, "FILE")


@pytest.mark.parametrize("command", ["export", "features"])
def test_the_latest_one_named_first_and_behind_m_give_the_same(command: str, here: Path) -> None:
    make_folder(here / "data", each=1)
    last, option = ("out.c", []) if command == "export" else ("data", ["-o", "out.npz"])
    file, made = Path("out.c" if command == "export" else "out.npz"), []
    for model, named in (([], []), (["runs/other"], []), ([], ["-m", "runs/other"])):
        assert main([command, *model, last, *named, *option]) == 0
        made.append(file.read_bytes())
        file.unlink()
    assert made[1] == made[2]
    assert len(made[0]) == len(made[1])
    assert main([command, "runs/other", last, "-m", "runs/other", *option]) == 2
    assert main([command, "runs/other"]) == 2
    assert main(["export", "runs/other", "a.c", "b.c"]) == 2


def test_inspect_takes_either_and_not_both(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "runs/other"]) == main(["inspect", "-m", "runs/other"]) == 0
    assert main(["inspect", "runs/other", "-m", "runs/latest"]) == 2
    assert "two models are given" in capsys.readouterr().err


def test_every_command_that_takes_a_model_takes_m() -> None:
    context = click.Context(cnn)
    taking = {name for name in COMMANDS for parameter in cnn.get_command(context, name).params
              if "-m" in parameter.opts}  # type: ignore[union-attr]
    assert taking == {"test", "predict", "inspect", "visualize-filters", "explain", "export",
                      "quantize", "page", "features"}


def test_the_options_of_train_stand_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    """Each in one, and none by itself but --help."""
    command = cnn.get_command(click.Context(cnn), "train")
    assert isinstance(command, Command)
    assert all(isinstance(each, Option) for each in command.params if isinstance(each, click.Option))
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    headings = ["Images:", "Network:", "Learning:", "Augmentation:", "Running:", "Others:", "Examples:"]
    assert [line for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")] == headings
    # Whether -h stands there, too, depends on who asked click for the command's parser first in this process.
    [other] = said.split("Others:\n")[1].split("\n\n")[0].splitlines()
    assert other.endswith("--help  Show this message and exit.")


@pytest.mark.parametrize(("typed", "found"), [
    ("train --arch resnet1", {"resnet18"}), ("train --schedule c", {"constant", "cosine"}),
    ("train --optimizer a", {"adam", "adamw"}), ("train --loss c", {"cross-entropy"}),
    ("train --augment d", {"digits"}),
    ("train --sampling b", {"balanced"}), ("train --init runs/o", {"runs/other"}), ("train --resume o", {"other"}),
    ("predict -m runs/", {"runs/latest", "runs/other"}),
    ("explain a.png -m runs/other --class ", {name for name in small_model().classes if name.isprintable()}),
    ("watch o", {"other"}), ("runs compare o", {"other"}), ("completion f", {"fish"}), ("swe", {"sweep"}),
    ("sweep data arch = resnet1", {"resnet18"}), ("sweep data lr = 0.1 schedule =", set(SCHEDULES)),  # as bash has it
    ("sweep data arch = lenet5,resnet1", {"lenet5,resnet18"}), ("sweep data augment = none;d", {"none;digits"}),
    ("sweep data arch=resnet1", {"arch=resnet18"}), ("sweep data arch=lenet5,resnet1", {"arch=lenet5,resnet18"}),
    ("sweep data lr = 0", {""}), ("sweep data nothing = r", {""}), ("sweep --resume s", {"sweep-1"}),
    ("sweep data init=runs/o", {"init=runs/other"}), ("check data --model runs/o", {"runs/other"}),
    ("inspect resnet1", {"resnet18"}), ("explain --method gradcamp", {"gradcamplusplus"}),
    ("predict --thr", {"--threads"}), ("predict -m nowhere/", {"nowhere/"})])
def test_the_tab_key_completes(typed: str, found: set[str], here: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    (here / "runs" / "other" / "config.json").write_text("{}")
    (here / "runs" / "sweep-1").mkdir()
    (here / "runs" / "sweep-1" / "sweep.json").write_text("{}")
    monkeypatch.setenv("COMP_WORDS", f"cnn {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) + typed.endswith(" ")))
    monkeypatch.setenv("_CNN_COMPLETE", "bash_complete")
    assert main([]) == 0
    assert {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()} == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_has_to_be_told(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert f"_CNN_COMPLETE={shell}_complete" in said
    program = shutil.which(shell)
    assert program is None or subprocess.run([program, "-n"], input=said, text=True, check=False).returncode == 0


@pytest.mark.parametrize(("words", "sentence"), [
    (["train", ""], "DATA is empty; give a value."),
    (["train", "x", "--name", ""], "--name is empty; give a value, or leave it out."),
    (["train", "--resume="], "--resume is empty; give a value, or leave it out."),
    (["test", "-m", ""], "--model is empty; give a value, or leave it out."),
    (["predict", "a.png", ""], "IMAGE is empty; give a value.")])
def test_an_empty_word_is_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what a variable has that was never set, and would be the current folder or the latest run."""
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
