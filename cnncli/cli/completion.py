"""``cnn completion``: print what a shell reads so that its Tab key completes commands, options and names
(completing.py)."""

import click
from click.shell_completion import get_completion_class

from .command import Command
from .output import emit

EXAMPLES = (
    ("cnn completion bash >> ~/.bashrc", "set it up for bash, for every new shell"),
    ("cnn completion zsh >> ~/.zshrc", "set it up for zsh"),
    ("cnn completion fish > ~/.config/fish/completions/cnn.fish", "set it up for fish"),
)


@click.command(cls=Command, examples=EXAMPLES, kernels=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that lets the Tab key complete commands, options and names.

    The names are those of architectures, schedules, runs, classes and the like. Append the script once to the file that
    your shell reads when it starts.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    emit(kind(click.get_current_context().find_root().command, {}, "cnn", "_CNN_COMPLETE").source())
