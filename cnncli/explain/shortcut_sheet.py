"""A sheet of the shortcuts that were found: for each, images of the class with the place outlined, what lies there, and
images of other classes before and after it was pasted into them, with what the model says of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..data.outputs import drawing
from ..model import Model
from ..runs.opened import Opened
from ..visualize.canvas import FAINT, INK, PAPER, Canvas, picture, wrapped
from . import where
from .moving import Moved
from .places import Place
from .shortcuts import Shortcut, Shortcuts

SHORTCUTS = drawing("shortcuts")
FILE = "shortcuts.png"
SIDE, SHOWN, MARGIN, GAP = 120, 3, 24, 8
_WIDTH = 2 * MARGIN + (3 * SHOWN + 1) * (SIDE + GAP) + 40


@contextmanager
def claimed(opened: Opened, data: Any, folder: str | os.PathLike[str] | None = None, force: bool = False
            ) -> Iterator[Path]:
    """Hold the sheet's file as long as this lasts, and give its path; data says which images are looked at, and so the
    folder where none is named (where.py). Raises UsageError or SaveError as ``cnncli.data.outputs.claim``."""
    with where.claimed(opened, {FILE: SHORTCUTS}, where.subject_of(data), folder, force, data=data) as into:
        yield into / FILE


def write(found: Shortcuts, model: Model, path: Path) -> Path | None:
    """Write the sheet of what was found and return its path. If there is nothing to show, none is written, and that of
    an earlier search is removed. Raises SaveError where the file cannot be written."""
    if found.named or found.moved:
        return draw(found, model).save(path, SHORTCUTS)
    if path.is_file() and SHORTCUTS.ours(os.fspath(path)):
        path.unlink()
    return None


def draw(found: Shortcuts, model: Model) -> Canvas:
    """Return the sheet of what was found; a sentence where nothing was."""
    named: list[Shortcut | Moved] = [*found.named, *found.moved]
    notes = [line for sentence in found.notes for line in wrapped(sentence, _WIDTH - 2 * MARGIN)]
    texts = [wrapped(each.sentence, _WIDTH - 2 * MARGIN, 13) for each in named]
    top = MARGIN + 44 + 18 * len(notes)
    sheet = Canvas(_WIDTH, top + sum(20 * len(lines) + SIDE + 70 for lines in texts) + MARGIN)
    sheet.text(MARGIN, MARGIN - 4, f"Shortcuts of {found.name}", 18, bold=True, width=_WIDTH - 2 * MARGIN)
    sheet.paragraph(MARGIN, MARGIN + 28, notes)
    y = float(top)
    for each, lines in zip(named, texts, strict=True):
        y = sheet.paragraph(MARGIN, y, lines, 13, INK) + 6
        _row(sheet, each, found, model, y)
        y += SIDE + 64
    return sheet


def _row(sheet: Canvas, each: Shortcut | Moved, found: Shortcuts, model: Model, y: float) -> None:
    known, label = found.known, model.classes.index(each.label)
    place = each.place if isinstance(each, Shortcut) else None
    if isinstance(each, Shortcut):
        donors = list(dict.fromkeys(donor for _, donor in each.pasted.pairs))[:SHOWN]
        pairs = [(recipient, each.place.pasted(known.pixels[[recipient]], known.pixels[[donor]])[0])
                 for recipient, donor in each.pasted.pairs[:SHOWN]]
    else:
        donors, pairs = np.flatnonzero(known.labels == label)[:SHOWN].tolist(), each.pairs[:SHOWN]
    sheet.text(MARGIN, y, f"images of {each.label}", 12, INK, bold=True, width=SHOWN * (SIDE + GAP))
    x = float(MARGIN)
    for donor in donors:
        _tile(sheet, known.pixels[donor], x, y, f"says {model.classes[known.answers[donor]]}", place)
        x += SIDE + GAP
    x = MARGIN + SHOWN * (SIDE + GAP) + 20.0
    if place is not None:
        sheet.text(x, y, "what lies there", 12, INK, bold=True, width=SIDE)
        _tile(sheet, place.cut(known.pixels[donors[:1]])[0], x, y, "")
    x += SIDE + GAP + 20.0
    after = f"after {'it is pasted' if place is not None else 'that is moved'}"
    sheet.text(x, y, f"others before and {after}", 12, INK, bold=True, width=2 * SHOWN * (SIDE + GAP))
    for recipient, pixels in pairs:
        answer = int(model.logits(pixels[None]).argmax())
        _tile(sheet, known.pixels[recipient], x, y, f"says {model.classes[known.answers[recipient]]}")
        x += SIDE + GAP
        _tile(sheet, pixels, x, y, f"says {model.classes[answer]}", place, bold=answer == label)
        x += SIDE + GAP


def _tile(sheet: Canvas, pixels: NDArray[np.uint8], x: float, y: float, beneath: str, place: Place | None = None,
          bold: bool = False) -> None:
    """Draw an image, its longer side SIDE, with a place outlined, dark between light lines."""
    image = picture(np.ascontiguousarray(pixels))
    factor = SIDE / max(image.size)
    image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))),
                         Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BOX).convert("RGB")
    if place is not None:
        box = [round(end * factor) for end in (place.left, place.top, place.right, place.bottom)]
        lines = ImageDraw.Draw(image)
        for outset, colour in ((1, PAPER), (2, INK), (3, PAPER)):  # around the thing, which stays whole
            lines.rectangle((box[0] - outset, box[1] - outset, box[2] - 1 + outset, box[3] - 1 + outset),
                            outline=colour)
    sheet.paste(image, x, y + 20, frame=True)
    sheet.text(x, y + 22 + SIDE, beneath, 11, INK if bold else FAINT, bold=bold, width=SIDE)
