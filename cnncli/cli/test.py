"""``cnn test``: find the images that the model was not trained on, have it judge them, and show how good it is."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DataError, UsageError, printable
from .common import (
    Command,
    console,
    emit,
    emit_json,
    exact_option,
    json_option,
    model_option,
    note,
    progress,
    report_skipped,
    strict_option,
    threads_option,
    tta_option,
)
from .models import Opened, mirror, open_model

if TYPE_CHECKING:
    from ..data import Images, Sample, Splits
    from ..evaluation.scores import Evaluation
    from ..runs import Run

WRITTEN = ("report.html", "confusion.png", "confusion.csv", "mistakes.png", "test.json")
LEFT_OUT = "There is no comparison with the nearest neighbour"
EXAMPLES = (
    ("cnn test", "the latest model, on the images held out of its training"),
    ("cnn test -m runs/resnet8-1 --split val", "another one, on its validation images"),
    ("cnn test new-photos/ --out report/", "on other images, in folders named like the classes"),
    ("cnn test --json", "all numbers, for other programs"),
)


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("data", required=False, type=click.Path())
@model_option
@click.option("--split", type=click.Choice(["test", "val", "train"]),
              help="Which images of the folder that the model was trained on.  [default: test]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder for pictures and test.json.  [default: the run's]")
@json_option
@strict_option
@exact_option
@tta_option
@threads_option
def command(data: str | None, model: Path | None, split: str | None, out: Path | None, as_json: bool,
            strict: bool, exact: bool | None, tta: bool) -> int:
    """Tell how good a model is on images that it was not trained on.

    DATA is a folder of images; without it, the folder that the model was trained on, of which the held-out images are
    used. Of another folder its test/ is used, if it has one, else all its class folders. Class folders must have the
    names of the model's classes; some may be missing.

    Prints accuracy, loss and what is found of each class, and writes report.html (a page with all of it and the images
    themselves, for any browser), confusion.png, confusion.csv, mistakes.png (the worst mistakes) and test.json.
    """
    from ..evaluation.scores import evaluate

    opened = open_model(model)
    opened.model.network.exact = bool(exact)
    if tta:
        mirror(opened.model)
    samples, training = _samples(opened, data, split)
    images = _load(samples, opened, strict)
    with progress("testing", len(images)) as shown:
        found = evaluate(opened.model, images, progress=shown.set, name=os.fspath(opened.path))
    found, notes = _with_baselines(found, images, training, opened)
    folder = opened.folder(out, "test")
    _write(found, images, folder, opened, notes)
    if as_json:
        emit_json(found.as_json())
    else:
        _print(found)
    note(f"{printable(folder)}: {', '.join(WRITTEN)}.")
    return report_skipped(found.skipped)


# ---- which images ----


def _samples(opened: Opened, data: str | None, split: str | None) -> "tuple[list[Sample], list[Sample]]":
    """Return the images to test, and those that the model was trained on, none where they are not at hand. Raises
    UsageError or DataError where it is not clear which to test, or there are none."""
    trained_on = _trained_on(opened.run)
    if data is None:
        if trained_on is None:
            raise UsageError(f"{printable(opened.path)} lies in no run's folder, so it is not known what it was "
                             "trained on; name images: cnn test DATA")
        if not os.path.isdir(trained_on):
            raise UsageError(f"the images that {printable(opened.name)} was trained on are no longer in "
                             f"{printable(trained_on)}; name their folder: cnn test DATA")
        data = trained_on
    elif not _same(data, trained_on):
        return _labelled(_part(data, split), opened), _at_hand(opened, trained_on)
    return _held_out(opened, data, split or "test")


def _trained_on(run: "Run | None") -> str | None:
    data = run.config.get("data") if run else None
    return data if isinstance(data, str) else None


def _same(data: str, other: str | None) -> bool:
    try:
        return other is not None and os.path.samefile(data, other)
    except OSError:
        return False


def _scanned(opened: Opened, data: str) -> "Splits":
    """Return the folder that the model was trained on, split as the training split it."""
    from ..runs.samples import excluded, scan_fold

    assert opened.run is not None
    recipe = opened.run.config.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    return scan_fold(data, recipe.get("seed", 0), recipe.get("fold"), excluded(opened.run.config), recipe.get("recipe"))


def _relabelled(samples: "Sequence[Sample]", names: Sequence[str], opened: Opened) -> "list[Sample]":
    """Return samples of classes of those names as samples of the model's classes."""
    from dataclasses import replace

    numbers = {name: label for label, name in enumerate(opened.model.classes)}
    return [replace(sample, label=numbers[names[sample.label]]) for sample in samples if names[sample.label] in numbers]


def _at_hand(opened: Opened, trained_on: str | None) -> "list[Sample]":
    """Return the images that the model was trained on, none where they have gone."""
    if trained_on is None or not os.path.isdir(trained_on):
        return []
    try:
        splits = _scanned(opened, trained_on)
    except DataError:
        return []
    return _relabelled(splits.train, splits.classes, opened)


def _held_out(opened: Opened, data: str, split: str) -> "tuple[list[Sample], list[Sample]]":
    """Return a split of the folder that the model was trained on, drawn as the training drew it, and the training
    images."""
    from ..runs.samples import fingerprint

    assert opened.run is not None
    config, classes = opened.run.config, opened.model.classes
    splits = _scanned(opened, data)
    strange = [name for name in splits.classes if name not in classes]
    if strange:
        raise DataError(f"{printable(data)} now has class folders that {printable(opened.name)} does not know "
                        f"({', '.join(map(printable, strange[:5]))}); move them away, or train again.")
    if config.get("samples") != fingerprint(splits):
        note(f"{printable(data)} has changed since {printable(opened.name)} was trained: some of the images tested may "
             "be among those that it was trained on.")
    samples: list[Sample] = getattr(splits, split)
    if not samples:
        raise DataError(f"{printable(data)} has no {split} images; name a folder with images of the classes: "
                        "cnn test DATA")
    return _relabelled(samples, splits.classes, opened), _relabelled(splits.train, splits.classes, opened)


def _part(data: str, split: str | None) -> str:
    """Return the folder of a split of some other folder, or that folder itself where none is asked for."""
    from ..data.folder import SPLITS

    if split is None:
        return data
    names = os.listdir(data) if os.path.isdir(data) else []
    for name in sorted(names):
        if SPLITS.get(name.lower()) == split and os.path.isdir(os.path.join(data, name)):
            return os.path.join(data, name)
    raise UsageError(f"{printable(data)} has no {split}/, and is not the folder that the model was trained on; leave "
                     "--split out to test on all of its images.")


def _labelled(data: str, opened: Opened) -> "list[Sample]":
    from ..data import scan_labelled

    samples, notes = scan_labelled(data, opened.model.classes)
    for sentence in notes:
        note(sentence)
    return samples


def _load(samples: "Sequence[Sample]", opened: Opened, strict: bool) -> "Images":
    """Decode the images, kept in memory where they fit. Raises DataError where none of them can be used."""
    from ..data import load_images
    from ..data.images import check_memory
    from ..kernels import threads

    preprocessing, cache = opened.model.preprocessing, "ram"
    try:
        check_memory(len(samples), preprocessing.shape)
    except DataError:
        cache = "none"
    with progress("reading images", len(samples)) as shown:
        images = load_images(samples, preprocessing, threads(), cache, strict, progress=shown.set)
    if not len(images):
        path, reason = images.skipped[0]
        raise DataError(f"none of the {len(samples):,} images can be used; the first: {printable(path)}: {reason}.")
    return images


# ---- what is found ----


def _with_baselines(found: "Evaluation", images: "Images", training: "list[Sample]",
                    opened: Opened) -> "tuple[Evaluation, list[str]]":
    """Return the evaluation with what would be reached without learning, and sentences on what is not known."""
    from dataclasses import replace

    from ..evaluation import baselines
    from ..kernels import threads

    known = {baselines.MAJORITY: baselines.majority(found.labels, list(map(printable, found.class_names)), training)}
    tested = {os.path.abspath(sample.path) for sample in images.samples}
    others = [sample for sample in training if os.path.abspath(sample.path) not in tested]
    if not others:
        why = "these images are what it was trained on" if training else "the training images are not at hand"
        return replace(found, baselines=known), [f"{LEFT_OUT}: {why}."]
    with progress("comparing", None) as shown:
        nearest = baselines.nearest_neighbour(images, others, opened.model.preprocessing, threads(), shown.set)
    if nearest is None:
        return replace(found, baselines=known), [f"{LEFT_OUT}: the training images cannot be read."]
    return replace(found, baselines={baselines.NEAREST: nearest, **known}), []


def _write(found: "Evaluation", images: "Images", folder: Path, opened: Opened, notes: Sequence[str]) -> None:
    from ..atomic import write_atomically
    from ..report import confusion, mistakes, page

    name, relative = opened.name, [sample.relative for sample in images.samples]
    page.write(found, folder / "report.html", title=f"Test of {name}", pixels=images.pixels, names=relative,
               facts=_facts(opened), notes=notes)
    confusion.draw(found, folder / "confusion.png", f"Confusion matrix of {name}")
    confusion.write_csv(found, folder / "confusion.csv")
    paths = [sample.path for sample in images.samples]
    mistakes.draw(found, images.pixels, paths, folder / "mistakes.png", f"Worst mistakes of {name}")
    write_atomically(folder / "test.json", (json.dumps(found.as_json(), indent=2) + "\n").encode())


def _facts(opened: Opened) -> list[tuple[str, str]]:
    """Return what the page says about the model, as far as its file knows."""
    model, said = opened.model, opened.model.training
    facts = [("network", str(said.get("architecture") or "")),
             ("parameters", f"{sum(array.size for array in model.network.parameters().values()):,}"),
             ("images as", model.preprocessing.describe().rstrip(".")), ("epoch", str(said.get("epoch") or ""))]
    counts = said.get("images")
    if isinstance(counts, dict) and counts.get("train"):
        facts.append(("trained on", f"{counts['train']:,} images"))
    if model.flips:
        facts.append(("judged by", "each image and its mirror image"))
    return [(what, value) for what, value in facts if value]


def _print(found: "Evaluation") -> None:
    from ..report.tables import show

    right = int(found.confusion_matrix.diagonal().sum())
    low, high = found.interval
    emit(f"accuracy  {found.accuracy:.2%}  ({right:,} of {found.images:,} images)")
    emit(f"          {low:.2%} to {high:.2%} with 95 % confidence")
    for name, baseline in found.baselines.items():
        emit(f"          {baseline.accuracy:.2%} {name} ({baseline.how})")
    if found.top5 is not None:
        emit(f"top-5     {found.top5:.2%}")
    emit(f"loss      {found.loss:.4f}")
    emit()
    columns = (("class", "left"), ("precision", "right"), ("recall", "right"), ("F1", "right"), ("images", "right"))
    show(console(), columns, [
        (c.name, f"{c.precision:.1%}", f"{c.recall:.1%}" if c.support else "-", f"{c.f1:.3f}", f"{c.support:,}")
        for c in found.classes
    ])
