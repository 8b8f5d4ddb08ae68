"""``cnn watch``: serve a page that shows runs, until Ctrl-C. What is on it is cnncli/watching/'s business."""

import sys
from pathlib import Path

import click

from .command import Command
from .completing import run_names
from .output import emit, note

EXAMPLES = (
    ("cnn watch", "the newest run in runs/, as it is trained, or afterwards"),
    ("cnn watch resnet8-1 resnet8-2", "two of them beside each other"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[RUN…]", shell_complete=run_names)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The page's port.  [default: any free one]")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, metavar="DIR",
              help="The folder that runs are in.")
def command(names: tuple[str, ...], port: int, runs: Path) -> None:
    """Show a training, or several beside each other, on a web page of this machine.

    RUN is a run's name or path; without any it is the newest. Of one that was trained with 'cnn train --live' all is
    shown that was recorded, of another its epochs and what its model holds. What is being trained is shown as it comes.
    The page is for this machine alone; its address is printed, and Ctrl-C ends it.
    """
    from ..watching.watch import watch

    with watch(names or None, runs=runs, port=port) as server:
        emit(server.address)
        sys.stdout.flush()  # whoever reads it through a pipe waits for it
        note("Open that address in a browser; Ctrl-C ends it.")
        server.wait()
