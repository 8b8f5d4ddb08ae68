"""``cnn explain``: parse, call cnncli/explain/, and write the pictures of why images get their answers."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import DataError, printable
from .command import (
    Command,
    Option,
    Whole,
    force_option,
    json_option,
    left_out,
    listed_on_stdin,
    model_option,
    open_and_say,
    out_option,
    precise,
    precision_option,
    threads_option,
)
from .completing import class_names, method_names
from .explaining_units import explain_units, units_options
from .output import emit, emit_json, note, report_skipped
from .progress import progress
from .shortcutting import explain_shortcuts, shortcuts_option
from .trusting import besides, check_options, compared, sanity_test, trust_options

EXAMPLES = (
    ("cnn explain boot.png", "draw what speaks for its label, and for the next likeliest"),
    ("cnn explain", "explain some images that the model was not trained on"),
    ("cnn explain boot.png --class sandal", "draw what speaks for another class"),
    ("cnn explain photos/ --out why/", "draw a picture for each image, and write explain.html"),
    ("cnn explain boot.png --method occlusion", "make the map by covering parts of the image"),
    ("cnn explain boot.png --trust", "measure how far to trust the map"),
    ("cnn explain --sanity --method gradcam", "test whether a method shows what was learnt"),
    ("cnn explain photos/ --boxes --json", "draw coarse boxes; print them as JSON"),
    ("cnn explain --units relu2", "show what each filter of a layer looks for"),
    ("cnn explain --shortcuts", "find out whether the model goes by a logo, a date, a frame"),
)
_maps, _running = (partial(click.option, cls=Option, heading=heading) for heading in ("Maps", "Running"))


@click.command(cls=Command, examples=EXAMPLES, grouped=True)
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@model_option
@precision_option
@_maps("--class", "target", metavar="NAME", shell_complete=class_names,
       help="The class to explain.  [default: the label that the model gives, and the next likeliest]")
@_maps("--method", default="hirescam", show_default=True, metavar="NAME", shell_complete=method_names,
       help="How maps are made: deconvnet, finercam, gradcam, gradcamplusplus, gradient, guided, hirescam, integrated, "
            "layercam, occlusion, rise, scorecam or smoothgrad. The guide \"Why did it say that?\" compares them.")
@_maps("--layer", metavar="NAME",
       help="The layer whose positions the map shows. cnn inspect lists the layers.  [default: the last one with "
            "positions]")
@trust_options
@units_options
@shortcuts_option
@out_option("explained/ in the run folder, or for a folder or several images that you name a folder beside it, such as "
            "explained-photos/; NAME-explained/ for a model in no run")
@_running("--seed", type=Whole(0, 2**63), metavar="N", default=0, show_default=True,
          help="The seed of all random numbers. Another seed takes other held-out images.")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, precision: str | None, target: str | None, method: str,
            layer: str | None, trust: bool, sanity: bool, boxes: bool, truth: Path | None, units: tuple[str, ...],
            top: int | None, shortcuts: bool, out: Path | None, seed: int, force: bool, as_json: bool) -> int:
    """Show which parts of an image speak for its label.

    IMAGE is a file, a folder with images, a pattern like 'photos/*.png', or - for a list of paths on standard input.
    Without IMAGE, 24 of the images that were held out of the model's training are explained.

    Writes a picture for each image, and prints its name. The picture shows the image, what speaks for the label that
    the model gives, and what speaks for the next likeliest. Red speaks for a class, blue against it. For several images
    explain.html is written, too: a page with all of them, and where the evidence for each class lies.

    If an answer is known to be wrong, the picture shows what speaks for the label given, for the true class, and for
    the first rather than the second. The true class is known for images of the run, and for images in a folder that is
    named like a class.
    """
    from ..data.finding import Missing
    from ..explain.where import subject_named
    from ..explain.which import images_named
    from ..report.explained import write

    if left_out(units, shortcuts, sanity, truth):
        return 0
    if units:
        return explain_units(images, precise(model, precision), units, top, out, seed, force, as_json)
    if shortcuts:
        return explain_shortcuts(images, precise(model, precision), target, out, seed, force, as_json)
    check_options(sanity, {"--class": target, "--trust": trust, "--boxes": boxes, "--truth": truth, "--top": top,
                           "--out": out})
    opened = open_and_say(precise(model, precision))
    if sanity:
        return sanity_test(opened, images, method, layer, seed, as_json)
    chosen = list[str]()  # sentences that say which images these are
    found, truths = images_named(opened, images, listed_on_stdin(images), top, seed, chosen.append)
    for sentence in chosen:
        note(sentence)
    skipped, written, page = list[tuple[str, str]](), list[dict[str, Any]](), None
    how: dict[str, Any] = {"method": method, "target": target, "layer": layer, "seed": seed}
    subject = subject_named(images, found)
    located = compared(opened, found, subject, truth, boxes, out, force, how)
    with progress("explaining", len(found)) as shown:
        for each in write(opened, found, out, **how, force=force, note=note, truths=truths, chosen=chosen,
                          subject=subject, besides=besides(opened, len(found), seed, trust, boxes, located)):
            if isinstance(each, Missing):
                skipped.append((each.path, each.error))
            elif each[1] is None:
                page = each[0]
                continue
            else:
                written.append({**(each[1].as_json() if as_json else {}), "file": each[0]})
                _emit_lines(() if as_json else (each[0], *each[1].printed))
            shown.advance()
    if as_json:
        emit_json({"model": opened.path, "explained": written, "page": page,
                   **({"boxes": located.as_json()} if located else {}),
                   "skipped": [{"path": path, "error": error} for path, error in skipped]})
    else:
        _emit_lines([*([page] if page else []), *(located.sentences if located else [])])
    code = report_skipped(skipped, len(found) - len(skipped))
    return DataError.exit_code if skipped and not written else code


def _emit_lines(lines: Iterable[object]) -> None:
    for line in lines:
        emit(printable(line))
