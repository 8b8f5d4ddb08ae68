"""``cnn explain``: parse, call cnncli/explain/, and write the pictures of why images get their answers."""

from pathlib import Path
from typing import Any

import click

from ..errors import DataError, printable
from .command import Command, force_option, json_option, listed_on_stdin, model_option, open_and_say, threads_option
from .completing import class_names
from .explaining_units import explain_units, units_options
from .output import emit, emit_json, note, report_skipped
from .progress import progress
from .shortcutting import explain_shortcuts, shortcuts_option
from .trusting import besides, check_options, compared, sanity_test, trust_options

EXAMPLES = (
    ("cnn explain boot.png", "where the evidence for its label lies"),
    ("cnn explain", "of some images that the model was not trained on"),
    ("cnn explain boot.png --class sandal", "and for another class"),
    ("cnn explain photos/ --out why/", "a picture for each image"),
    ("cnn explain boot.png --method occlusion", "by covering parts of it"),
    ("cnn explain boot.png --trust", "and how far to trust the map"),
    ("cnn explain --sanity --method gradcam", "does the method look at what was learnt?"),
    ("cnn explain photos/ --boxes --json", "coarse boxes round what was seen"),
    ("cnn explain --units relu2", "what each filter of a layer looks for"),
    ("cnn explain --shortcuts", "does it go by a logo, a date, a frame?"),
    ("cnn explain boot.png --json", "the map, for other programs"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("images", nargs=-1, metavar="[IMAGE…]")
@model_option
@click.option("--class", "target", metavar="NAME", shell_complete=class_names,
              help="The class to explain.  [default: the model's answer]")
@click.option("--method", default="hirescam", show_default=True, metavar="NAME",
              help="How: hirescam, gradcam and others, which docs/explaining.md compares.")
@click.option("--layer", metavar="NAME", help="Whose positions are asked.  [default: the last layer that has any]")
@trust_options
@units_options
@shortcuts_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for the pictures.  [default: explained/ in the run's folder]")
@click.option("--seed", type=click.IntRange(0, 2**63), default=0, show_default=True, help="Of what is drawn at random.")
@force_option
@json_option
@threads_option
def command(images: tuple[str, ...], model: Path | None, target: str | None, method: str, layer: str | None,
            trust: bool, sanity: bool, boxes: bool, truth: Path | None, units: tuple[str, ...], top: int | None,
            shortcuts: bool, out: Path | None, seed: int, force: bool, as_json: bool) -> int:
    """Show why images get their answers: where in them the evidence for a class lies.

    For each IMAGE, a picture: the image, and beside it where the class that the model says is seen, and where the next
    likeliest is. Red speaks for a class, blue against it. Of several images also explain.html, a page with all of them
    and, class by class, where the evidence lies. IMAGE is a file, a folder, a pattern such as 'photos/*.png', or - for
    a list of paths on standard input; without it, some of the images held out of the model's training. Prints the
    names of the files.

    Where an answer is known to be wrong, since the image lies in a folder called like another class or is one of the
    run's, the picture shows what speaks for the class that was said, for the true one, and for the one rather than for
    the other.
    """
    from ..data.finding import Missing
    from ..explain.which import images_named
    from ..report.explained import write

    if units:
        return explain_units(images, model, units, top, out, seed, force, as_json)
    if shortcuts:
        return explain_shortcuts(images, model, target, out, seed, force, as_json)
    check_options(sanity, {"--class": target, "--trust": trust, "--boxes": boxes, "--truth": truth, "--top": top,
                           "--out": out})
    opened = open_and_say(model)
    if sanity:
        return sanity_test(opened, images, method, layer, seed, as_json)
    found, truths = images_named(opened, images, listed_on_stdin(images), top, seed, note)
    skipped, written, page = list[tuple[str, str]](), list[dict[str, Any]](), None
    how: dict[str, Any] = {"method": method, "target": target, "layer": layer, "seed": seed}
    located = compared(opened, found, truth, boxes, out, force, how)
    told = besides(opened, len(found), seed, trust, boxes, located)
    with progress("explaining", len(found)) as shown:
        for each in write(opened, found, out, **how, force=force, note=note, besides=told, truths=truths):
            if isinstance(each, Missing):
                skipped.append((each.path, each.error))
            elif each[1] is None:
                page = each[0]
                continue
            else:
                written.append({**(each[1].as_json() if as_json else {}), "file": each[0]})
                for line in () if as_json else (each[0], *each[1].printed):
                    emit(printable(line))
            shown.advance()
    if as_json:
        emit_json({"model": opened.path, "explained": written, "page": page,
                   **({"boxes": located.as_json()} if located else {}),
                   "skipped": [{"path": path, "error": error} for path, error in skipped]})
    else:
        for line in [*([printable(page)] if page else []), *(located.sentences if located else [])]:
            emit(line)
    code = report_skipped(skipped)
    return DataError.exit_code if skipped and not written else code
