"""The page that `cnn test` writes: report.html, one file that needs no server, no network and no run folder. This
module says what is on it; page.html, page.css and page.js, beside it, how that looks and moves; pictures.py which
images are shown, charts.py the drawings.

Names of classes and files may be anything: ``printable`` makes one line of them, Jinja2 escapes what goes into HTML,
and the page's policy forbids every script, style and request but its own.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..data.outputs import Kind, marked
from ..data.outputs import write as write_output
from ..errors import printable
from ..evaluation.grouped import GroupScore
from ..evaluation.headline import LIKE_THOSE
from ..evaluation.intervals import wilson
from ..evaluation.scores import REJECTIONS, Evaluation, Withheld
from ..model.calibration import Calibration, confidences, coverage, expected_error, reliability
from . import charts
from .pictures import A_CELL, Album, Pixels, Shown, Why

MOST_CLASSES = 120  # of the matrix; of more, those with the most mistakes are shown
COUNTED = 32  # classes: with more, the cells of the matrix are shades alone
PAIRS = 10
SHADES = 9
MOST_GROUPS = 60
LISTED = 50  # skipped images
LEGEND = {  # of the reliability diagrams
    "right": "the share of right answers, up to the probability that the answers had",
    "said": "the probability that the answers had, on average",
    "sure": "missing: fewer answers were right than the probability says (the model was too sure)",
    "shy": "over: more answers were right than the probability says (the model was not sure enough)",
    "count": "how many images there are"}
PAGE = Kind("a report", ".html", marked(rb'<meta name="generator" content="cnn report">'))


def write(found: Evaluation, path: str | os.PathLike[str], *, title: str, pixels: Pixels, names: Sequence[Any],
          facts: Sequence[tuple[str, str]] = (), notes: Sequence[str] = (), groups: Sequence[GroupScore] = (),
          why: Why | None = None) -> Path:
    """Write the page about an evaluation; about what is said in the title.

    pixels gives prepared images for indices, uint8 (m, h, w, c), and names are the images' file names, in the
    evaluation's order. facts are (what, how much) pairs about the model, notes sentences about images and baselines,
    groups the scores of the groups that the images are in. why gives a strip of pictures for each of the mistakes that
    are shown, of where it comes from. Raises SaveError where the file cannot be written.
    """
    write_output(path, render(found, title=title, pixels=pixels, names=names, facts=facts, notes=notes,
                              groups=groups, why=why), PAGE)
    return Path(path)


def render(found: Evaluation, *, title: str, pixels: Pixels, names: Sequence[Any],
           facts: Sequence[tuple[str, str]] = (), notes: Sequence[str] = (), groups: Sequence[GroupScore] = (),
           why: Why | None = None) -> bytes:
    """Return the page's bytes, UTF-8; the same evaluation gives the same."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files(__package__)
    html, style, *scripts = ((here / name).read_text(encoding="utf-8")
                             for name in ("page.html", "page.css", "pictures.js", "page.js"))
    script = "\n".join(scripts)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, count=count)
    album = Album(found, pixels, names)
    cells = album.cells()
    classes = [printable(name) for name in found.class_names]
    matrix, top = _matrix(found), found.headline
    page = environment.from_string(html).render(
        title=printable(title),
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        data=Markup(_data(classes, cells.images, cells.places)),
        found=found,
        classes=classes,
        right=int(found.right.sum()),
        top=top,
        means=printable(top.means),
        like_those=LIKE_THOSE,
        usual=top.for_groups,
        verdict=top.verdict(found.baselines),
        baselines=[(name, b, _bar(b.accuracy, _interval(b), "other")) for name, b in found.baselines.items()],
        accuracy_bar=_bar(top.accuracy, top.interval),
        notes=[printable(note) for note in notes],
        groups=[(printable(group.name), group, _bar(group.right / group.image_count, wilson(
                    group.right, group.image_count) if top.interval else None, "other"))
                for group in groups[:MOST_GROUPS]],
        all_groups=len(groups),
        group_interval=top.group_interval,
        facts=[(printable(what), printable(value)) for what, value in facts],
        rows=[_row(i, found, top.interval is not None) for i in range(len(classes))],
        matrix=matrix,
        pairs=_pairs(found),
        worst=album.worst(why),
        reasons=why is not None,
        ambiguous=album.ambiguous(),
        best=album.best(),
        shown=len(cells.images),
        wrong_shown=sum(image.label != image.guess for image in cells.images),
        a_cell=A_CELL,
        trust=_trust(found),
        answers=_answers(found),
        skipped=[(printable(path), printable(reason)) for path, reason in found.skipped[:LISTED]],
    )
    return page.encode("utf-8")


def percent(share: float, digits: int = 1) -> str:
    """Return a share in per cent; what is not quite all is not called all."""
    text = f"{100 * share:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    if share < 1 and float(text) == 100:
        text = f"{100 - 10.0 ** -digits:.{digits}f}"
    return text + "\u202f%"


def count(number: int, word: str = "") -> str:
    """Return a number, and a word in its singular or plural: "1 image", "1,200 images"."""
    return f"{number:,}" + (f" {word}{'s' * (number != 1)}" if word else "")


def policy(style: str, script: str, also: str = "") -> str:
    """Return the content security policy: this style, this script, images that are in the file, nothing else but what
    scripts may also do."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'{also}; "
            "img-src data:; base-uri 'none'; form-action 'none'")


def _data(classes: Sequence[str], images: Sequence[Shown], places: dict[tuple[int, int], list[int]]) -> str:
    """Return what page.js shows when it is asked."""
    return in_script({
        "classes": classes,
        "images": [[i.uri, i.name, i.label, i.guess, round(i.chance, 4)] for i in images],
        "cells": {f"{label} {guess}": own for (label, guess), own in places.items()},
    })


def in_script(value: Any) -> str:
    """Return JSON that may stand in a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _interval(baseline: Any) -> tuple[float, float]:
    return wilson(baseline.right, baseline.image_count)


def _bar(share: float, interval: tuple[float, float] | None, kind: str = "right") -> Any:
    """Return a bar with its interval, if that is known."""
    from markupsafe import Markup

    low, high = interval or (None, None)
    return Markup(charts.interval(share, low, high, kind))


def _row(index: int, found: Evaluation, known: bool) -> dict[str, Any]:
    """Return a class's row of the table; known says whether intervals are."""
    score = found.classes[index]
    return {
        "name": printable(score.name), "score": score, "index": index,
        "recall": _bar(score.recall, score.recall_interval if known else None) if score.support else None,
        "precision": _bar(score.precision, score.precision_interval if known else None) if score.guessed else None,
    }


def _matrix(found: Evaluation) -> dict[str, Any]:
    """Return the matrix's classes, and for each of its rows the counts and shades of the cells: "r7" right, "w3"
    wrong, "" for none."""
    counts = found.confusion_matrix
    total = len(counts)
    shown = np.arange(total)
    if total > MOST_CLASSES:
        wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
        shown = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = []
    for i in shown.tolist():
        # Half of a class's images taken for one other is as bad as it gets: mistakes are what one looks for.
        levels = np.ceil(SHADES * np.minimum(1, np.where(np.arange(total) == i, 1, 2) * share[i])).astype(int)
        rows.append((i, [(int(counts[i, j]), f"{'r' if i == j else 'w'}{levels[j]}" if counts[i, j] else "")
                         for j in shown.tolist()]))
    return {"shown": shown.tolist(), "rows": rows, "total": total, "dense": len(shown) > COUNTED}


def _pairs(found: Evaluation) -> list[tuple[int, int, int, float]]:
    """Return (true class, guess, images, their share of the class) of the commonest confusions."""
    counts = found.confusion_matrix.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(i), len(counts)) for i in order]
    return [(i, j, int(counts[i, j]), float(counts[i, j] / found.classes[i].support)) for i, j in places
            if counts[i, j]]


def _trust(found: Evaluation) -> dict[str, Any]:
    """Return the reliability diagrams, with and without the temperature, and their errors."""
    from markupsafe import Markup

    def one(temperature: float, what: str) -> tuple[Any, float]:
        bins = reliability(confidences(found.logits, temperature), found.right)
        error = expected_error(bins)
        return Markup(charts.reliability(bins, f"Reliability {what}: expected calibration error {error:.1%}")), error

    before = one(1.0, "without the temperature")
    after = one(found.calibration.temperature, "with the temperature") if found.calibration else None
    said, right = float(found.confidences.mean()), float(found.right.mean())
    return {"before": before, "after": after, "calibration": found.calibration, "said": said, "right": right,
            "legend": [(Markup(charts.legend(kind)), words) for kind, words in LEGEND.items()]}


def _answers(found: Evaluation) -> dict[str, Any]:
    """Return coverage against accuracy, and what comes of `--reject` on these images."""
    from markupsafe import Markup

    curve = coverage(found.confidences, found.right)
    rows, marks = [], []
    for wanted in REJECTIONS:
        one = found.withheld(wanted)
        rows.append(one)
        if one.answered and found.calibration:
            marks.append((one.answered / found.image_count, one.right / one.answered, f"{wanted:g}"))
    label = "Share of right answers, by the share of images with an answer"
    chart = Markup(charts.coverage(curve, marks, label))
    promise = _promise(found.calibration, rows) if found.calibration else ""
    return {"chart": chart, "rows": rows, "strange": found.strangeness is not None, "promise": promise}


def _promise(calibration: Calibration, rows: Sequence[Withheld]) -> str:
    """Return what the validation images promise of the answers that are given."""
    held = [f"{row.accuracy:g}" for row in rows if not row.doubt]
    validated = count(calibration.image_count, "validation image")
    if not held:
        promise = "promises" if calibration.image_count == 1 else "promise"
        return f"The {validated} {promise} nothing about these shares. Below is why."
    which = "" if len(held) == len(rows) else f" of {' and '.join(held)}"
    others = "" if len(held) == len(rows) else " The others are not promised. Below is why."
    return (f"The least probabilities{which} were chosen on {validated}, so that this share of the answers is right "
            f"with {100 * (calibration.confidence or 0):g} % confidence.{others}")
