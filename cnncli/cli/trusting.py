"""What ``cnn explain`` says beside maps: how far to trust them (--trust, --sanity), and boxes (--boxes, --truth)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError, printable
from .command import Option, listed_on_stdin
from .output import console, emit_json, note, report_skipped
from .progress import progress

if TYPE_CHECKING:
    from ..data.finding import Found
    from ..evaluation.subject import Subject
    from ..explain.boxes import Located
    from ..explain.explanation import Beside, Explanation
    from ..runs.opened import Opened

_Command = TypeVar("_Command", bound=Callable[..., Any])
_maps = partial(click.option, cls=Option, heading="Maps")


def trust_options(command: _Command) -> _Command:
    """Add --trust, --sanity, --boxes and --truth."""
    for option in (
        click.option("--sanity", cls=Option, heading="Instead of maps", is_flag=True,
                     help="Test the method on up to 24 images: replace the weights of more and more layers by random "
                          "ones, and compare the maps. The maps of a method that shows what was learnt change."),
        _maps("--truth", type=click.Path(path_type=Path), metavar="BOXES",
               help="With --boxes: compare with boxes that somebody drew. BOXES is a folder of PASCAL VOC files (.xml) "
                    "or a CSV file with the columns file,xmin,ymin,xmax,ymax[,label]. The threshold is fitted on half "
                    "of the images; the other half is judged."),
        _maps("--boxes", is_flag=True,
               help="Also draw a coarse box around what the map shows: the largest part above 20 % of its maximum. A "
                    "detector that was trained on boxes draws better ones."),
        _maps("--trust", is_flag=True,
               help="Also measure how far to trust each map: how the answer changes without the pixels that the map "
                    "points at. Takes up to 254 forward passes for each image."),
    ):
        command = option(command)
    return command


def besides(opened: "Opened", images: int, seed: int, trust: bool, boxes: bool, located: "Located | None"
            ) -> list[Callable[["Explanation"], "Beside"]]:
    """Return what is told beside each map."""
    from ..explain.boxes import SHARE, boxed
    from ..explain.trust import PASSES, trusted

    if trust:
        note(f"--trust: up to {PASSES} forward passes for each of {images:,} image{'s' * (images != 1)}.")
    return ([trusted(opened, seed)] if trust else []) + (
        [boxed(located.maps.share if located else SHARE)] if boxes else [])


def compared(opened: "Opened", images: Sequence["Found"], subject: "Subject", truth: Path | None, boxes: bool,
             out: Path | None, force: bool, how: dict[str, Any]) -> "Located | None":
    """Compare boxes with those that somebody drew, if there are any. Raises UsageError for boxes to compare with where
    none are asked for, and where the pictures could not be written afterwards."""
    from ..data.boxes import read_boxes
    from ..explain.boxes import locate
    from ..report.explained import claimed

    if truth is None:
        return None
    if not boxes:
        raise UsageError("--truth needs --boxes; give both.")
    drawn = read_boxes(truth)
    report_skipped([(each.path, each.error) for each in drawn.unusable])
    with claimed(opened, images, out, force, subject), progress("comparing boxes", len(images)) as shown:
        found = locate(opened, images, drawn, progress=shown.set, **how)
    report_skipped(found.skipped)
    return found


def sanity_test(opened: "Opened", images: Sequence[str], method: Any, layer: str | None, seed: int, as_json: bool
                ) -> int:
    """Run the test, and print what it found."""
    from ..data.finding import find_images
    from ..evaluation.held_out import choose
    from ..explain.sanity import sanity

    given = find_images(images, listed_on_stdin(images), note) if images else [
        sample.path for sample in choose(opened, None, None, note, remedy="cnn explain --sanity DATA")[0]]
    found = sanity(opened, given, method, layer, seed, note)
    if as_json:
        emit_json({"model": opened.path, **found.as_json(),
                   "skipped": [{"path": path, "error": error} for path, error in found.skipped]})
        return report_skipped(found.skipped)
    from rich.table import Table

    count = found.image_count
    table = Table(title=f"{found.title} on {count:,} image{'s' * (count != 1)}", title_justify="left")
    table.add_column("random weights from the end back to")
    table.add_column("correlation with the maps before (1: the same)", justify="right")
    for stage in found.stages:
        table.add_row(printable(stage.layer), f"{stage.correlation:.2f}")
    console().print(table)
    console().print(f"{found.verdict} (mean {found.alike:.2f}).")
    return report_skipped(found.skipped)


def check_options(sanity: bool, drawing: dict[str, Any]) -> None:
    """Raise UsageError for options that do not go together: drawing are those that need pictures, as given."""
    if sanity and (given := [name for name, value in drawing.items() if value]):
        raise UsageError(f"--sanity tests the method and draws nothing; leave {' and '.join(given)} out.")
