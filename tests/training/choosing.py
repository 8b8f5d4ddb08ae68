"""What is chosen for a data folder, as prepare.py has it chosen: (recipe, start, what the user is told)."""

from cnncli.data import Splits
from cnncli.training import start
from cnncli.training.choose import Facts, choose
from cnncli.training.options import Options
from cnncli.training.recipe import Recipe


def chosen(options: Options, splits: Splits) -> tuple[Recipe, start.Start, list[str]]:
    """Return the recipe, what it begins with, and all notes."""
    beginning = start.begin(options, splits)
    choice = choose(options, Facts.of(splits), beginning)
    return choice.recipe, beginning, beginning.notes + choice.notes
