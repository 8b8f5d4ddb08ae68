"""``cnn watch``: serve a page that shows runs, until Ctrl-C. What is on it is cnncli/watching/'s business."""

import sys
from pathlib import Path

import click

from .command import Command, port_option, runs_option
from .completing import run_names
from .output import emit, note

EXAMPLES = (
    ("cnn watch", "show the latest run, while it is trained or later"),
    ("cnn watch resnet8-1 resnet8-2", "show two runs together"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[RUN…]", shell_complete=run_names)
@port_option(default=0, help="The port of the page, 0 to 65535.  [default: 0, any free one]")
@runs_option
def command(names: tuple[str, ...], port: int, runs: Path) -> None:
    """Show one or several trainings on a web page of this machine.

    RUN is the name or the path of a run. Without RUN, the latest run is shown. The page follows a training while it
    runs. A run that was trained with cnn train --live has everything that was recorded; other runs have only their
    epochs and what their model holds.

    The address of the page is printed; open it in a browser. Only this machine can reach it. Ctrl-C ends the command.
    """
    from ..watching.watch import watch

    with watch(names or None, runs=runs, port=port) as server:
        emit(server.address)
        sys.stdout.flush()  # whoever reads it through a pipe waits for it
        note("Open that address in a browser; Ctrl-C ends it.")
        server.wait()
