"""Writing a model's page: what is on it, where it goes, and what is said of it."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..data.outputs import Kind, checked_path, marked, write
from ..errors import UsageError, brief, printable
from ..explain.units import Progress
from ..export.csource import IN_FLOATS
from ..export.golden import elsewhere, golden
from ..model import Model
from ..plain import in_plain_json
from ..runs.again import changed_command
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from .program import Program, program
from .rendering import in_base64, render
from .samples import pictures
from .training import trained
from .units import LEAST, SHARE, units

FILE = "page.html"
PAGE = Kind("a model's page", ".html", marked(rb'<meta name="generator" content="cnn page">'))
MOST = 64_000_000  # bytes of weights: browsers open larger pages slowly or not at all
MEMORY = 2_000_000_000  # bytes that WebAssembly surely gets
_NAMED = 3  # classes in a title, where there are more than one more
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


@dataclass(frozen=True)
class Written:
    """A web page that was written.

    Attributes:
        path: The file.
        bytes: Its size in bytes.
        pictures: How many images are on it.
        halved: Whether its weights have 16 bits instead of 32.
        change: By how much that changes a logit of the model's own picture at most.
        filters: For how many filters it shows what excites them.
        looked_at: How many images were searched for that.
        skipped: (path, reason) of each image that could not be read.
        quantised: Whether the model is quantised, so that the page has the numbers that its int8 weights stand for.
    """

    path: Path
    bytes: int
    pictures: int
    halved: bool
    change: float
    filters: int = 0
    looked_at: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    quantised: bool = False

    @property
    def sentence(self) -> str:
        """What is to be known of the page, in a line."""
        said = [f"{self.bytes / 1e6:,.1f} MB"]
        if self.filters:
            said.append(f"it shows what excites each of {self.filters:,} filters most in {self.looked_at:,} images")
        if self.halved:
            said.append(f"its weights have 16 bits, which changes a logit by {self.change:.1g} at most")
        else:
            said.append("open it in a browser")
        return "; ".join(said) + "." + (f" {IN_FLOATS}" if self.quantised else "")

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn page --json` prints."""
        return {"path": self.path, "bytes": self.bytes, "pictures": self.pictures, "halved": self.halved,
                "change": self.change, "filters": self.filters, "looked_at": self.looked_at,
                "skipped": [{"path": path, "error": error} for path, error in self.skipped]}


@as_hinted
def write_page(model: AnyModel = None, data: Any = None, out: str | os.PathLike[str] | None = None, *,
               title: str | None = None, with_units: bool = True, force: bool = False, progress: Progress | None = None,
               note: Callable[[str], None] | None = None) -> Written:
    """Write a model as one web page that runs it in the browser. Of a quantised model, the page computes in float32.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        data: Images of which some are put on the page: a folder, a list of images, or () for none. None: those held out
            of the run's training; without a run, none.
        out: The file. None: page.html in the run's folder, or else ./<model>-page.html.
        title: The page's title. None: what the model tells apart, by its classes.
        with_units: Whether the page shows what excites each filter most, found in up to 200 of the images, if there are
            24 or more.
        force: True replaces any file of this name. An older page is always replaced.
        progress: Is called with (what, done, total). None: nobody is told.
        note: Is called with sentences that the user should know. None: nobody is told.

    Returns:
        The file, its size, and what is on the page.

    Raises:
        UsageError: The model is too large for a page, the title is no text, or another file has this name.
        DataError: The images cannot be used.
        SaveError: The file could not be written.
        ModelError: There is no model.
    """
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise UsageError(f"the title must be text, not {brief(title)}; leave --title out to have the classes in it.")
    opened = open_model(model)
    about, quantised = _about(opened), opened.model.network.quantisation is not None
    opened = replace(opened, model=elsewhere(opened.model.in_floats()))
    made = _program(opened)
    path = Path(checked_path(out)) if out is not None else (
        opened.run.path / f"{opened.called('page')}.html" if opened.run else Path(f"{opened.path.stem}-{FILE}"))
    reads = [image for image in data if isinstance(image, str)] if isinstance(data, list | tuple) else []
    with opened.claim({path: PAGE}, data=data, reads=reads, force=force):
        found = pictures(opened, data, note or (lambda sentence: None))
        golden_, change = _golden(opened.model, made)
        room = max(LEAST, len(made.weights) // SHARE)
        told = units(opened.model, found.items, found.labels, room, progress) if with_units else None
        page = render(_title_of(opened.model.classes) if title is None else printable(" ".join(title.split())),
                      opened.name, about, made, [golden_], found.shown, found.drawing, told,
                      title is not None, trained(opened))
        write(path, page, PAGE)
    return Written(path, len(page), len(found.shown), made.halved, change, told.filters if told else 0,
                   told.images if told else 0, found.skipped, quantised)


def _program(opened: Opened) -> Program:
    held = 2 * sum(array.size for array in opened.model.network.parameters().values())
    if held > MOST:
        raise UsageError(f"a page of {printable(opened.name)} would hold {held / 1e6:,.0f} MB of weights, and browsers "
                         f"take {MOST / 1e6:,.0f} MB; train a smaller architecture"
                         f"{changed_command(opened.run, '--arch resnet20')}")
    made = program(opened.model)
    memory = 4 * (made.described["floats"] + sum(one["count"] for one in made.described["constants"]))
    if memory > MEMORY:
        height, width = opened.model.preprocessing.size
        raise UsageError(f"a page of {printable(opened.name)} would need {memory / 1e6:,.0f} MB of memory for an image "
                         f"of {width} x {height} pixels, and browsers give {MEMORY / 1e6:,.0f} MB; train it for "
                         f"smaller images{changed_command(opened.run, '--size 224')}")
    return made


def _title_of(classes: Sequence[str]) -> str:
    """Return what a model tells apart, in the words of titleOf in learning.js. Names from right to left turn nothing
    beside them round."""
    few = classes if len(classes) <= _NAMED + 1 else classes[:_NAMED]
    told = [f"\u2068{name}\u2069" if _RIGHT_TO_LEFT.search(name) else name for name in map(printable, few)]
    if len(few) < len(classes):
        told.append(f"{len(classes) - len(few):,} more")
    return f"Tells {' and '.join([', '.join(told[:-1]), told[-1]] if told[1:] else told)} apart"


def _about(opened: Opened) -> str:
    model = opened.model
    images = model.preprocessing.describe().rstrip(".")
    floats = f" {IN_FLOATS}" if model.network.quantisation else ""
    return (f"{model.training.get('architecture', 'A network')} for {len(model.classes):,} classes. It takes {images}."
            f"{floats}")


def _golden(model: Model, made: Program) -> tuple[dict[str, Any], float]:
    """Return the model's own picture with the probabilities that the page should find, and by how much its rounded
    weights change a logit."""
    one = golden(model)
    exact = model.logits(one.image[None])[0]
    with made.as_stored(model):
        logits, probabilities = model.logits(one.image[None])[0], model.probabilities(one.image[None])[0]
    return ({"pixels": in_base64(one.image.tobytes()), "probabilities": probabilities.tolist()},
            float(abs(logits - exact).max()))
