"""What a command of ``cnn`` is made of: its class, the options that several of them have, and the names of images that
stand on standard input. output.py and progress.py have the ways to speak.

A command is a file with one function:

    @click.command(cls=Command, examples=(("cnn predict a.png", "label and probability"),))
    @click.argument("images", nargs=-1, required=True)
    @model_option
    @json_option
    def command(images, model, as_json):
        …
        return report_skipped(skipped)      # the exit code; None is 0
"""

import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, UsageError, printable
from .completing import model_names

if TYPE_CHECKING:
    from ..runs.opened import Opened

OTHERS = "Others"  # the heading of options that have none
LONGEST_LIST = 2**28  # bytes of names on standard input


class Command(click.Command):
    """A command of ``cnn``: applies CNN_THREADS, CNN_ISA and --threads before it runs, shows examples in its help.

    kernels=False is for a command that needs no C code; examples are (command line, what it does) pairs. grouped
    has the help show each option below its heading (Option), in the order of their definitions.
    """

    def __init__(
        self, *args: Any, kernels: bool = True, examples: Sequence[tuple[str, str]] = (),
        grouped: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.grouped = grouped
        self.kernels = kernels
        self.examples = examples

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises UsageError where CNN_THREADS or CNN_ISA make no sense."""
        ctx.meta["cnncli.model"] = ctx.params.get("model")  # for the commands that messages advise
        if self.kernels:
            from .. import kernels

            kernels.configure()
            if ctx.meta.get("cnncli.threads"):
                kernels.set_threads(ctx.meta["cnncli.threads"])
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        below: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (line := each.get_help_record(ctx)):
                below.setdefault(getattr(each, "heading", OTHERS) if self.grouped else "Options", []).append(line)
        for heading, lines in below.items():
            with formatter.section(heading):
                formatter.write_dl(lines)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(self.examples, col_max=48)
        super().format_epilog(ctx, formatter)


class Option(click.Option):
    """An option that stands below a heading of its own in a help that is grouped."""

    def __init__(self, *args: Any, heading: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Size(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A size in pixels: "64", or "64x48", width by height. Becomes (h, w)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        from ..data.sizes import parse

        size = parse(value)
        if size is None:
            self.fail(f"{value!r} is no size; give pixels, as 64 or 64x48 (width x height).", param, ctx)
        return size


def _keep_threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    ctx.meta["cnncli.threads"] = value


json_option = click.option("--json", "as_json", cls=Option, heading="Running", is_flag=True,
                           help="Print the result as JSON, for other programs.")
model_option = click.option("-m", "--model", type=click.Path(path_type=Path), metavar="MODEL",
                            shell_complete=model_names,
                            help="A model file, the folder of a run, or a pretrained network: efficientnet_lite0, "
                                 "efficientnet_lite1 or efficientnet_lite2.  [default: runs/latest]")
strict_option = click.option("--strict", cls=Option, heading="Images", is_flag=True,
                             help="Stop with an error at the first image that cannot be read, instead of skipping it.")
exact_option = click.option("--exact", cls=Option, heading="Learning", is_flag=True, default=None,
                            help="Compute convolutions without Winograd's algorithm. This is slower, and rounds a "
                                 "little less.")
tta_option = click.option("--tta", is_flag=True,
                          help="Judge each image and its mirror image, and average the two. Takes twice as long.")
group_by_option = click.option(
    "--group-by", cls=Option, heading="Images", metavar="PATTERN|FILE.csv",
    help="Keep images that belong together in one part of the split, or in one fold. They belong together if the "
         "parentheses of this regular expression find the same text in their paths, as '(patient\\d+)' does, or if a "
         "table with the columns file and group says so.")
labels_option = click.option(
    "--labels", cls=Option, heading="Images", type=click.Path(), metavar="FILE.csv",
    help="Take the labels from a table instead of from folders. Its columns are file (a path inside the folder), "
         "label, and optionally split.")
force_option = click.option("--force", is_flag=True,
                            help="Also overwrite files that cnn did not write, and also write into a folder of "
                                 "training images.")
# The command does not see it: Command.invoke sets it, kernels.threads() tells it.
threads_option = click.option("--threads", cls=Option, heading="Running", type=click.IntRange(1, 256),
                              expose_value=False, callback=_keep_threads,
                              help="How many threads to use. The result does not depend on it.  [default: one for each "
                                   "CPU]")


def open_and_say(model: Path | None) -> "Opened":
    """Open a model, the latest where none is named, and say which it is and when it was trained."""
    from ..runs.opened import open_model
    from .output import note

    opened = open_model(model)
    for sentence in [*opened.notes, opened.description]:
        if sentence:
            note(sentence)
    return opened


def model_and_rest(words: Sequence[str], model: Path | None, what: str) -> tuple[Path | None, Sequence[str]]:
    """Return the model, None for the latest, and the other words, where MODEL may stand first of them or behind -m.
    what is the other words' name, as "FILE". Raises UsageError where two models are named, or nothing else is."""
    from ..runs.opened import is_model

    if model is not None:
        if len(words) > 1 and is_model(words[0]):
            raise UsageError(f"two models are named, {printable(words[0])} and, with -m, {printable(model)}; name one.")
        return model, words
    if len(words) > 1:
        return Path(words[0]), words[1:]
    if is_model(words[0]):
        raise UsageError(f"{printable(words[0])} is a model, and nothing follows it; add {what}.")
    return None, words


def listed_on_stdin(names: Sequence[str]) -> bytes:
    """Return what stands on standard input where "-" is among the names of images, for find_images. Raises DataError
    where it cannot be read, or never ends."""
    if "-" not in names or sys.stdin is None:  # None where it was closed before the start
        return b""
    try:
        listing = sys.stdin.buffer.read(LONGEST_LIST + 1)
    except OSError as error:
        raise DataError(f"the list on standard input cannot be read ({error.strerror}); give the images' names as "
                        "arguments.") from None
    if len(listing) > LONGEST_LIST:
        raise DataError("what comes on standard input is longer than 256 MB; that is no list of images.")
    return listing


def typed_besides(together: Container[str | None]) -> list[str]:
    """Return the options that were typed and are not among the parameters that go together."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    return [parameter.opts[0] for parameter in context.command.params if parameter.name not in together
            and context.get_parameter_source(str(parameter.name)) is typed]
