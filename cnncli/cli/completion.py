"""``cnn completion``: print what a shell reads so that its Tab key completes commands, options and names
(completing.py)."""

import click
from click.shell_completion import get_completion_class

from .command import Command
from .output import emit

EXAMPLES = (
    ("cnn completion bash >> ~/.bashrc", "for bash, from the next shell on"),
    ("cnn completion zsh >> ~/.zshrc", "for zsh"),
    ("cnn completion fish > ~/.config/fish/completions/cnn.fish", "for fish"),
)


@click.command(cls=Command, examples=EXAMPLES, kernels=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options, architectures, runs and classes.

    Append it once to the file that the shell reads when it starts.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    emit(kind(click.get_current_context().find_root().command, {}, "cnn", "_CNN_COMPLETE").source())
