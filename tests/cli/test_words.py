"""What a help says: every name that a flag takes, as in the guide where that lists them, and no other; the same words
for the same thing in every command."""

import re
from pathlib import Path

import click
import pytest

from cnncli.architectures import ARCHITECTURES
from cnncli.cli import COMMANDS, cnn, main
from cnncli.cli.command import Command
from cnncli.cli.explaining import command as explain
from cnncli.cli.train import command
from cnncli.data.naming import _WORDS, NAMES
from cnncli.data.order import SAMPLINGS
from cnncli.data.preprocessing import RESIZES
from cnncli.explain.methods import METHODS
from cnncli.loss import LOSSES
from cnncli.model.precision import WANTED
from cnncli.optim import OPTIMISERS
from cnncli.optim.schedule import SCHEDULES
from cnncli.weights.pretrained import PRETRAINED

DOCS = Path(__file__).parents[2] / "docs"
NETWORKS, TRAINING = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("networks", "training"))
COVERED = {"brightness", "contrast", "saturation"}  # by colour, in the help
FLAGS = {"arch": ["auto", *ARCHITECTURES], "schedule": SCHEDULES, "optimizer": OPTIMISERS, "loss": LOSSES,
         "sampling": SAMPLINGS, "fit": RESIZES, "precision": WANTED, "init": PRETRAINED,
         "augment": [*NAMES, *(set(_WORDS) - COVERED)]}
# Options that mean something else in another command: a file or a folder, the split's seed or that of all numbers.
OF_THEIR_OWN = {"--force", "--model", "--name", "--out", "--port", "--range", "--resume", "--runs", "--seed", "--size",
                "--top", "--layer", "--classes", "--units", "--grey", "--precision"}
WORD = r"(?<![\w-]){}(?![\w-])"


def help_of(flag: str) -> str:
    [option] = [each for each in command.params if each.name == flag]
    return option.help or ""


@pytest.mark.parametrize("flag", FLAGS)
def test_help_names_what_a_flag_takes(flag: str) -> None:
    missing = [name for name in FLAGS[flag] if not re.search(WORD.format(re.escape(name)), help_of(flag))]
    assert not missing, f"--{flag}'s help lacks {', '.join(missing)}"


def commands() -> dict[str, Command]:
    context = click.Context(cnn)
    found = {name: cnn.get_command(context, name) for name in COMMANDS}
    return {name: each for name, each in found.items() if isinstance(each, Command)}


def test_a_help_begins_with_the_line_of_the_list_of_commands() -> None:
    assert {name: " ".join((each.help or "").split("\n\n")[0].split()) for name, each in commands().items()
            } == {name: line for name, (_, line) in COMMANDS.items()}


def test_an_option_of_several_commands_has_the_same_help_in_all() -> None:
    said: dict[str, set[str | None]] = {}
    for each in commands().values():
        for option in each.params:
            if isinstance(option, click.Option) and not option.hidden:
                said.setdefault(option.opts[-1], set()).add(option.help)
    assert {name for name, helps in said.items() if len(helps) > 1} == OF_THEIR_OWN


def test_many_options_stand_in_groups() -> None:
    many = {name for name, each in commands().items() if sum(isinstance(o, click.Option) for o in each.params) > 12}
    assert many == {"train", "sweep", "check", "explain"} == {n for n, each in commands().items() if each.grouped}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_no_name_is_broken_at_its_hyphen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*[name] * bool(name), "--help"]) == 0
    said = capsys.readouterr().out
    assert not [line for line in said.splitlines() if re.search(r"\w-$", line)]
    assert said.isascii() or set(filter(lambda c: ord(c) > 127, said)) == {"…"}


def test_the_site_has_every_command_in_the_same_order() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r":commands: (.*)", page) == [", ".join(COMMANDS)]


def test_help_names_the_methods_of_explain() -> None:
    [option] = [each for each in explain.params if isinstance(each, click.Option) and each.name == "method"]
    listed = (option.help or "").removeprefix("How maps are made: ").split(". ")[0]
    assert set(re.split(r", | or ", listed)) == METHODS.keys()


def test_help_names_no_network_and_no_schedule_that_there_is_not() -> None:
    listed = help_of("arch").removeprefix("The network: ").split(", or a TOML")[0]
    assert set(re.split(r", (?:or )?", listed)) == {"auto", *ARCHITECTURES}
    assert set(help_of("schedule").split(": ")[1].split(".")[0].split(", ")) == SCHEDULES.keys()


def test_the_guide_has_every_network_and_no_other() -> None:
    rows = re.search(r"\| name \| what it is \| made for \|\n\|[-|]*\n((?:\|.*\n)*)", NETWORKS)
    assert rows
    assert {name for row in rows[1].splitlines() for name in re.findall(r"`([^`]*)`", row.split("|")[1])
            } == ARCHITECTURES.keys()


def test_the_guide_has_every_word_of_augment() -> None:
    rows = re.search(r"\| word \| what happens .*\n\|[-|]*\n((?:\|.*\n)*)", TRAINING)
    assert rows
    listed = {name for row in rows[1].splitlines() for name in re.findall(r"`([^`]*)`", row.split("|")[1])}
    assert listed == set(_WORDS) - COVERED
    assert all(word in rows[1] for word in COVERED)
    assert all(f"`{name}`" in TRAINING or f"--augment {name}" in TRAINING for name in NAMES
               if name not in ("auto", "none"))
