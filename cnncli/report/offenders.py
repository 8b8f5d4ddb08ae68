"""What `cnn check` found, as one sheet of pictures: a card for each finding, under the heading of its kind, copies side
by side with where each of them lies. The graver kinds come first.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from ..data.check import DUPLICATES, KINDS, File, Finding, Report
from ..data.decode import examine
from ..data.depth import Scales
from ..data.exclude import LIST
from ..data.outputs import claim, drawing
from ..errors import ImageError, printable
from ..visualize.canvas import FAINT, INK, LINE, RIGHT, WRONG, Canvas, fitted, wrapped

MOST, MOST_LABELS = 16, 45  # cards of a kind; of labels that are probably wrong
TILES = 6  # pictures on a card
COLUMNS = 9  # pictures beside each other
SIDE = 120  # pixels of a picture's longer side
GAP, MARGIN = 16, 24
HEADING, WORDS = 54, 92
_LINES = 5  # of text on a card
OFFENDERS = drawing("findings")
_SHOWN = frozenset((*DUPLICATES, "label-error", "blank", "dark", "blurred", "extreme-shape", "wrong-extension",
                    "animated", "rotated", "wide", "cmyk", "transparent", "mixed-colour"))


@contextmanager
def claimed(folder: str | os.PathLike[str], exclude_list: str | os.PathLike[str] | None,
            sheet: str | os.PathLike[str] | None, *, models: Iterable[str | os.PathLike[str]] = (),
            reads: Iterable[str | os.PathLike[str]] = (), force: bool = False) -> Iterator[None]:
    """Hold the list of images to exclude and the sheet that a check of a folder, by these models' files, is to write,
    where they are wanted. Raises UsageError or SaveError as ``cnncli.data.outputs.claim``."""
    with ExitStack() as held:
        for path, kind in ((exclude_list, LIST), (sheet, OFFENDERS)):
            if path:
                held.enter_context(claim({path: kind}, models=models, reads=reads, data=[folder], force=force))
        yield


def draw(report: Report, path: str | os.PathLike[str]) -> Path:
    """Draw the findings that have images. Raises SaveError where the disk refuses."""
    kinds = [(kind, shown) for kind, found in report.kinds()
             if (shown := [finding for finding in found if _pictured(finding)])]
    rows = {kind: _rows(found[:_most(kind)]) for kind, found in kinds}
    height = 64 + sum(HEADING + len(r) * (SIDE + WORDS + GAP) for r in rows.values())
    sheet = Canvas(2 * MARGIN + COLUMNS * (SIDE + GAP) - GAP, 2 * MARGIN + max(height, 130))
    width = sheet.image.width - 2 * MARGIN
    sheet.text(MARGIN, MARGIN, f"Found in {report.folder}", 18, bold=True, width=width)
    sheet.text(MARGIN, MARGIN + 26, f"{sum(report.image_counts().values()):,} images; {_summary(kinds)}", 13, FAINT,
               width=width)
    y = MARGIN + 64
    for kind, found in kinds:
        _heading(sheet, y, kind, len(found), width)
        y += HEADING
        for row in rows[kind]:
            x = MARGIN
            for finding in row:
                _card(sheet, x, y, finding, report.scales)
                x += _tiles(finding) * (SIDE + GAP)
            y += SIDE + WORDS + GAP
    return sheet.save(path, OFFENDERS)


def _pictured(finding: Finding) -> bool:
    """Whether there is something to see: not where files cannot be used, nor where it is about folders."""
    return finding.kind in _SHOWN


def _most(kind: str) -> int:
    """Return how many cards of a kind there are: of labels more, because the surest come first and are looked through.
    """
    return MOST_LABELS if kind == "label-error" else MOST


def _tiles(finding: Finding) -> int:
    return min(len(finding.files), TILES)


def _rows(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Put cards into rows, in order."""
    rows: list[list[Finding]] = []
    free = 0
    for finding in findings:
        if not rows or _tiles(finding) > free:
            rows.append([])
            free = COLUMNS
        rows[-1].append(finding)
        free -= _tiles(finding)
    return rows


def _summary(kinds: Sequence[tuple[str, list[Finding]]]) -> str:
    if not kinds:
        return "nothing was found that could be shown."
    return ", ".join(f"{len(found):,} x {kind}" for kind, found in kinds)


def _heading(sheet: Canvas, y: float, kind: str, count: int, width: float) -> None:
    level = KINDS[kind].level
    part = f", the first {_most(kind)} here" if count > _most(kind) else ""
    sheet.line(MARGIN, y, MARGIN + width, y)
    sheet.text(MARGIN, y + 6, f"{kind} ({level}): {count:,}{part}", 15, WRONG if level == "error" else INK, bold=True,
               width=width)
    sheet.text(MARGIN, y + 28, KINDS[kind].about, 12, FAINT, width=width)


def _card(sheet: Canvas, x: float, y: float, finding: Finding, scales: Scales) -> None:
    tiles = _tiles(finding)
    for place, file in enumerate(finding.files[:tiles]):
        left = x + place * (SIDE + GAP)
        _tile(sheet, left, y, file, kept=len(finding.files) > 1 and file not in finding.exclude, scales=scales)
        if place:
            sheet.line(left - GAP + 3, y + SIDE / 2, left - 4, y + SIDE / 2, LINE)
    width = tiles * (SIDE + GAP) - GAP
    more = f" {len(finding.files) - tiles} more files." if len(finding.files) > tiles else ""
    lines = wrapped(finding.text + more, width, 9)
    if len(lines) > _LINES:
        lines[_LINES - 1] += " …"
    for number, line in enumerate(lines[:_LINES]):
        sheet.text(x, y + SIDE + 28 + 12 * number, line, 9, FAINT, width=width)


def _tile(sheet: Canvas, x: float, y: float, file: File, kept: bool, scales: Scales) -> None:
    """A picture with its file's name and where it belongs; blue where it is the copy that may stay."""
    try:
        image = fitted(examine(file.path, (SIDE, SIDE), scales)[0].convert("RGB"), SIDE)
    except ImageError:
        image = Image.new("RGB", (SIDE, SIDE), LINE)
        sheet.paste(image, x, y, frame=True)
        sheet.text(x + SIDE / 2, y + SIDE / 2 - 8, "no image", 12, FAINT, align="centre")
    else:
        sheet.paste(image, x + (SIDE - image.width) / 2, y + (SIDE - image.height) / 2, frame=True)
    where = " / ".join(printable(part) for part in (file.split, file.label) if part)
    sheet.text(x, y + SIDE + 3, where, 9, RIGHT if kept else WRONG, width=SIDE)
    name = file.relative
    for known in (file.split, "train", file.label):  # what is drawn from train/ lies there
        name = name.removeprefix(f"{known}/")
    sheet.text(x, y + SIDE + 15, name, 9, INK, width=SIDE)
