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

import os
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import DataError, UsageError, brief, printable, reason_of
from ..ranks.launcher import here
from .completing import model_names
from .program import TOGETHER

if TYPE_CHECKING:
    from ..runs.opened import Opened

Function = TypeVar("Function", bound=Callable[..., Any])
OTHERS = "Others"  # the heading of options that have none
_WHOLE = "\u2011"  # a hyphen at which no line is broken
LONGEST_LIST = 2**28  # bytes of names on standard input


class Formatter(click.HelpFormatter):
    """Writes a help whose names with hyphens stand on one line, so that they can be copied."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _WHOLE))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().write_dl([(name, text.replace("-", _WHOLE)) for name, text in rows], *args, **kwargs)

    def getvalue(self) -> str:
        return super().getvalue().replace(_WHOLE, "-")


class Context(click.Context):
    """A context whose help is written so."""

    formatter_class = Formatter


class Command(click.Command):
    """A command of ``cnn``: applies CNN_THREADS, CNN_ISA and --threads before it runs, shows examples in its help.

    kernels=False is for a command that needs no C code; examples are (command line, what it does) pairs. grouped
    has the help show each option below its heading (Option), in the order of their definitions.
    """

    context_class = Context

    def __init__(
        self, *args: Any, kernels: bool = True, examples: Sequence[tuple[str, str]] = (),
        grouped: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.grouped = grouped
        self.kernels = kernels
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command line. Raises UsageError for an empty one, as a variable has that was never set:
        it names nothing, and a path of that kind would be the current folder.
        """
        if "" in args or any(word.endswith("=") for word in args):
            typed = self.make_parser(ctx).parse_args(list(args))[0]
            for each in self.get_params(ctx):
                value = typed.get(each.name or "")
                if each.default != "" and (value == "" or (isinstance(value, tuple | list) and "" in value)):
                    raise UsageError(f"{each.make_metavar(ctx).strip('[]…')} is empty; give a value."
                                     if isinstance(each, click.Argument)
                                     else f"{each.opts[-1]} is empty; give a value, or leave it out.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. Raises UsageError where CNN_THREADS or CNN_ISA make no sense."""
        ctx.meta["cnncli.model"] = ctx.params.get("model")  # for the commands that messages advise
        if self.kernels:
            from .. import kernels

            kernels.configure()
            if here().size > 1:
                self._begin_together(ctx)
            if ctx.meta.get("cnncli.threads"):
                kernels.set_threads(ctx.meta["cnncli.threads"])
        return super().invoke(ctx)

    def _begin_together(self, ctx: click.Context) -> None:
        """Begin to speak with the other processes; or let this one, the first, work alone."""
        from ..ranks.current import apart, world
        from ..ranks.lifeline import before_end

        if self.name in TOGETHER:
            world()
            if sys.stdout is not None:
                before_end.append(sys.stdout.flush)
            return
        from .output import note

        ctx.with_resource(apart())
        note(f"cnn {self.name} does not share its work: one of the {here().size} processes does all of it.")

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
                formatter.write_dl(self.examples, col_max=44)
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
            self.fail(f"the size must be pixels, like 64 or 64x48 (width x height), not {brief(value)}.", param, ctx)
        return size


class Whole(click.types.IntParamType):  # not IntRange, whose range is a formula in the help
    """A whole number from least to most; the help says which in words."""

    name = "integer"

    def __init__(self, least: int, most: int | None = None) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number < self.least or (self.most is not None and number > self.most):
            self.fail(f"{number} is not in the range from {self.least} " + (
                "up." if self.most is None else f"to {self.most}."), param, ctx)
        return number


def _keep_threads(ctx: click.Context, parameter: click.Parameter, value: int | None) -> None:
    ctx.meta["cnncli.threads"] = value


_images, _learning, _running = (partial(click.option, cls=Option, heading=heading)
                                for heading in ("Images", "Learning", "Running"))

# An option that several commands have is defined here once, so that its help is the same in all of them.
json_option = _running("--json", "as_json", is_flag=True, help="Print the result as JSON, for other programs.")
model_option = click.option("-m", "--model", cls=Option, heading="Model", type=click.Path(path_type=Path),
                            metavar="MODEL", shell_complete=model_names,
                            help="The model: a model file, a run (its folder, or its name in runs/), or a pretrained "
                                 "network (efficientnet_lite0, efficientnet_lite1, efficientnet_lite2).  [default: "
                                 "runs/latest, the latest run]")
precision_option = click.option("--precision", cls=Option, heading="Model",
                                type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
                                help="What the network computes in. bfloat16: what layers hand on is stored in half "
                                     "the memory, and rounded. auto: measure both, and take bfloat16 if it is clearly "
                                     "faster, else float32. int8: use the quantised model that 'cnn quantize' made of "
                                     "it.  [default: CNN_PRECISION, or the model as it is]")
strict_option = _images("--strict", is_flag=True,
                        help="Stop with an error at the first image that cannot be read, instead of skipping it.")
exact_option = _learning("--exact", is_flag=True, default=None,
                         help="Compute convolutions without Winograd's algorithm. This is slower, and rounds a little "
                              "less.")
tta_option = click.option("--tta", is_flag=True,
                          help="Test-time augmentation: judge each image and its mirror image, and average the two. "
                               "Takes twice as long.")
group_by_option = _images(
    "--group-by", metavar="PATTERN|FILE.csv",
    help="Keep images that belong together in one part of the split, or in one fold. PATTERN is a regular expression: "
         "images belong together if its parentheses find the same text in their paths, like '(patient\\d+)'. FILE.csv "
         "is a table with the columns file and group.")
labels_option = _images(
    "--labels", type=click.Path(), metavar="FILE.csv",
    help="Take the labels from a table instead of from folders. Its columns are file (a path inside the folder), "
         "label, and optionally split.")
range_option = _images(
    "--range", metavar="LOW:HIGH",
    help="For images with more than 8 bits: the values that become black and white, like 0:4095.  [default: found from "
         "the training images]")
exclude_option = _images(
    "--exclude", type=click.Path(), metavar="FILE",
    help="Leave out the images that this file lists. cnn check --exclude-list writes such a file.")
force_option = _running("--force", is_flag=True,
                        help="Overwrite files that cnn did not write, and write into folders of training images. "
                             "Without --force, both are refused.")
force_inside_option = _running("--force", is_flag=True,
                               help="Write DIR into a folder of training images. Without --force, this is refused.")
port_option = partial(_running, "--port", type=Whole(0, 65535), metavar="N")
runs_option = click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
                           metavar="DIR", help="The folder that the runs are in.")
# The command does not see it: Command.invoke sets it, kernels.threads() tells it.
threads_option = _running("--threads", type=Whole(1, 256), metavar="N", expose_value=False, callback=_keep_threads,
                          help="How many threads to use, 1 to 256. The result does not depend on it.  [default: "
                               "CNN_THREADS, or one for each CPU]")


def out_option(default: str) -> Callable[[Function], Function]:
    """Return the option --out for a folder, whose default the help describes so."""
    return _running("--out", type=click.Path(path_type=Path), metavar="DIR",
                    help="The folder that the files are written to. It is made if it does not exist.  [default: "
                         f"{default}]")


def precise(model: Path | None, precision: str | None) -> "Path | Opened | None":
    """Return the model to use, for open_and_say: the one that was named, in this precision, or with int8 the one that
    was quantised of it."""
    from ..model.precision import wanted
    from ..runs.opened import in_precision, quantised
    from .output import note

    meta = click.get_current_context().meta  # for the commands that messages advise
    if precision != "int8":
        if not (precision or wanted()):
            return model
        opened = in_precision(model, precision, note)
        if precision and opened.model.network.precision != "float32":
            meta["cnncli.precision"] = opened.model.network.precision
        return opened
    opened = quantised(model)
    meta["cnncli.model"] = os.fspath(opened.path)
    return opened


def open_and_say(model: "Path | Opened | None") -> "Opened":
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
            raise UsageError(f"two models are given, {printable(words[0])} and, with -m, {printable(model)}; give only "
                             "one.")
        return model, words
    if len(words) > 1:
        return Path(words[0]), words[1:]
    if is_model(words[0]):
        raise UsageError(f"{printable(words[0])} is a model, and nothing comes after it; add {what}.")
    return None, words


def listed_on_stdin(names: Sequence[str]) -> bytes:
    """Return what stands on standard input where "-" is among the names of images, for find_images. Raises DataError
    where it cannot be read, or never ends."""
    if "-" not in names or sys.stdin is None:  # None where it was closed before the start
        return b""
    try:
        listing = sys.stdin.buffer.read(LONGEST_LIST + 1)
    except OSError as error:
        raise DataError(f"the list on standard input cannot be read ({reason_of(error)}); give the images' names as "
                        "arguments.") from None
    if len(listing) > LONGEST_LIST:
        raise DataError("the list on standard input is longer than 256 MB; give a list of the paths of images.")
    return listing


def follows(work: Callable[[], object]) -> bool:
    """In a process that follows a leading one, which alone prints and writes: do the work, and return True."""
    from ..ranks.current import world

    if world().leads:
        return False
    found = work()
    for _ in found if isinstance(found, Iterator) else ():
        pass
    return True


def left_out(*alone: object) -> bool:
    """Where any of these is asked for, the leading process works alone: return whether this is another one."""
    from ..ranks.current import apart, world

    if not any(alone):
        return False
    leads = world().leads
    click.get_current_context().with_resource(apart())
    return not leads


def typed_besides(together: Container[str | None]) -> list[str]:
    """Return the options that were typed and are not among the parameters that go together."""
    context = click.get_current_context()
    typed = click.core.ParameterSource.COMMANDLINE
    return [parameter.opts[0] for parameter in context.command.params if parameter.name not in together
            and context.get_parameter_source(str(parameter.name)) is typed]
