"""Every name that a flag of cnn train takes is in its help, and in the guide where that lists them; and the networks
that either lists are there."""

import re
from pathlib import Path

import pytest

from cnncli.architectures import ARCHITECTURES
from cnncli.cli.train import command
from cnncli.data.naming import _WORDS, NAMES
from cnncli.data.order import SAMPLINGS
from cnncli.loss import LOSSES
from cnncli.optim import OPTIMISERS
from cnncli.optim.schedule import SCHEDULES
from cnncli.weights.pretrained import PRETRAINED

DOCS = Path(__file__).parents[2] / "docs"
NETWORKS, TRAINING = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("networks", "training"))
COVERED = {"brightness", "contrast", "saturation"}  # by colour, in the help
FLAGS = {"arch": ["auto", *ARCHITECTURES], "schedule": SCHEDULES, "optimizer": OPTIMISERS, "loss": LOSSES,
         "sampling": SAMPLINGS, "init": PRETRAINED, "augment": [*NAMES, *(set(_WORDS) - COVERED)]}
WORD = r"(?<![\w-]){}(?![\w-])"


def help_of(flag: str) -> str:
    [option] = [each for each in command.params if each.name == flag]
    return option.help or ""


@pytest.mark.parametrize("flag", FLAGS)
def test_help_names_what_a_flag_takes(flag: str) -> None:
    missing = [name for name in FLAGS[flag] if not re.search(WORD.format(re.escape(name)), help_of(flag))]
    assert not missing, f"--{flag}'s help lacks {', '.join(missing)}"


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
