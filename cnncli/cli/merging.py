"""``cnn merge``: parse, call cnncli/report/merging.py, and write the file or standard output."""

import errno
import sys

import click

from ..errors import UsageError, printable
from .command import Command, force_option
from .output import SKIPPED, is_stdout, note, report_skipped

EXAMPLES = (
    ("cnn merge part-*.json > all.json", "join what eight processes of cnn predict --shard wrote"),
    ("cnn merge part-*.csv --out all.csv", "join tables; write a file"),
)


@click.command(cls=Command, examples=EXAMPLES, kernels=False)
@click.argument("parts", nargs=-1, required=True, type=click.Path(), metavar="PART…")
@click.option("--out", type=click.Path(), metavar="FILE", help="Write FILE instead of standard output.")
@force_option
def command(parts: tuple[str, ...], out: str | None, force: bool) -> int:
    """Join the parts that cnn predict --shard wrote.

    PART is a file that cnn predict wrote with --shard and --json or --csv. All parts of one list of images are needed,
    in any order. The result is what one process would have written, byte for byte, and so is the exit code.

    Parts that are missing, given twice, cut off, or of other images, models or options are refused; the message names
    the part, and the command that makes it.
    """
    from ..report.merging import merge_predictions

    for part in parts:
        if out is None and is_stdout(part):
            raise UsageError(f"{printable(part)} is one of the parts and standard output as well; write to another "
                             "file.")
    merged = merge_predictions(parts)
    if out is not None:
        merged.write(out, force)
        note(f"{printable(out)}: {merged.image_count:,} image{'s' * (merged.image_count != 1)}, from {merged.parts:,} "
             f"part{'s' * (merged.parts != 1)}.")
    else:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        sys.stdout.buffer.write(merged.shown() if sys.stdout.isatty() else merged.data)
    for sentence in merged.notes:
        note(sentence)
    used = merged.image_count - len(merged.skipped)
    code = report_skipped(merged.skipped, used)
    return 1 if code == SKIPPED and not used else code
