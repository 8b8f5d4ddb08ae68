"""The sheets that show a model: its filters, and what images light up in it, each with a name for its file. filters.py
and activations.py draw one sheet; which layers are on it, and what is written there, is settled here.
"""

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.depth import Seen, doubts
from ..data.finding import Images, Missing, Picture, image_files, images_of
from ..data.images import forgiven_in_words
from ..data.outputs import Kind, StrPath, claim, drawing, write
from ..errors import ImageError, ModelError, printable
from ..network import INPUT
from ..plain import in_plain_json
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from . import activations, filters
from .canvas import Canvas

BEST = 5  # classes named beside an image
LONGEST_STEM = 60
FILTERS, ACTIVATIONS = drawing("filters"), drawing("activations")
NUMBERS = Kind("the numbers of filters", ".npy",  # which have no room for a mark; the picture beside them has it
               lambda path: FILTERS.ours(os.path.splitext(path)[0] + ".png"))


@dataclass(frozen=True)
class Sheet:
    """A sheet of pictures of a model.

    Attributes:
        kind: "filters" or "activations".
        image: The image that the activations are of. None for filters.
        layers: The layers on the sheet.
        file: The name of its file.
        canvas: The drawing; canvas.image is a Pillow image.
    """

    kind: str
    image: str | None
    layers: list[str]
    file: str
    canvas: Canvas

    @property
    def file_kind(self) -> Kind:
        """The kind of file, by which it is recognised later."""
        return FILTERS if self.kind == "filters" else ACTIVATIONS

    @as_hinted
    def save(self, folder: str | os.PathLike[str], force: bool = False) -> Path:
        """Write the sheet into a folder, as PNG.

        Args:
            folder: The folder, which is made if need be. An older sheet of this name is replaced.
            force: True replaces any file of this name.

        Returns:
            The file.

        Raises:
            UsageError: Another file has this name.
            SaveError: The file could not be written.
        """
        path = Path(folder, self.file)
        with claim({path: self.file_kind}, force=force, make=True):
            return self.canvas.save(path, self.file_kind)

    @as_hinted
    @in_plain_json
    def as_json(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return what `cnn visualize-filters --json` prints of the sheet.

        Args:
            path: Where it was written.
        """
        return {"path": os.fspath(path), "kind": self.kind, "image": self.image, "layers": self.layers}


@as_hinted
def draw_filters(model: AnyModel = None, layers: Sequence[str] = ()) -> list[Sheet]:
    """Draw the filters of convolutions, one sheet each.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        layers: The names of the layers; those that are no convolutions are left out. If none is left, the first
            convolution is drawn.

    Returns:
        The sheets; none if the network has no convolution.

    Raises:
        NetworkError: There is no such layer; the message has the nearest name.
        ModelError: There is no model.
    """
    opened = open_model(model)
    return [Sheet("filters", None, [each.name], _filters_file(each),
                  _drawn(each, opened, f"Filters of {each.name} in {opened.name}"))
            for each in _convolutions(opened, layers)]


def _convolutions(opened: Opened, layers: Sequence[str]) -> list[filters.Filters]:
    """Return the convolutions among these layers, or the first one."""
    names = _checked(opened, layers)
    every = filters.convolutions(opened.model.network.nodes)
    return [each for each in every if each.name in names] or every[:1]


def _filters_file(each: filters.Filters) -> str:
    return f"filters-{each.name}.png"


@as_hinted
def write_filters(model: AnyModel, folder: str | os.PathLike[str], force: bool = False) -> list[Path]:
    """Write every convolution's filters, as a picture and as .npy, into a folder; return the files. force replaces
    others of these names, and lets them lie among images that models learn from."""
    opened, into = open_model(model), Path(folder)
    every = filters.convolutions(opened.model.network.nodes)
    kinds: dict[StrPath, Kind] = {}
    for each in every:
        kinds |= {into / f"{each.name}.png": FILTERS, into / f"{each.name}.npy": NUMBERS}
    with opened.claim(kinds, force=force, make=True):
        for each in every:
            data = io.BytesIO()
            np.save(data, each.weight, allow_pickle=False)
            write(into / f"{each.name}.npy", data.getvalue(), NUMBERS)
            _drawn(each, opened, f"{each.name} of {opened.name}").save(into / f"{each.name}.png", FILTERS)
    return [*map(Path, kinds)]


@contextmanager
def claimed(opened: Opened, layers: Sequence[str], images: Images, folder: str | os.PathLike[str] | None = None,
            force: bool = False) -> Iterator[Path]:
    """Hold the files of the sheets that are drawn of a model's layers and of images, as long as this lasts; the folder
    is by default pictures/ in the run's, else ./<model>-pictures. Raises UsageError or SaveError as
    ``cnncli.data.outputs.claim``."""
    into, taken = opened.place(folder, "pictures", inside=opened.called("pictures")), set[str]()
    paths = [image for image in image_files(images) if isinstance(image, str)]
    kinds: dict[StrPath, Kind] = {into / _filters_file(each): FILTERS for each in _convolutions(opened, layers)}
    kinds |= {into / file_name("activations", path, taken): ACTIVATIONS for path in paths}
    with opened.claim(kinds, reads=paths, force=force, make=True):
        yield into


@as_hinted
def draw_activations(model: AnyModel, images: Images, layers: Sequence[str] = (),
                     note: Callable[[str], None] | None = None) -> Iterator[Sheet | Missing]:
    """Draw what each image excites in some layers, one sheet per image.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        images: A file, a folder, a pattern, an array, or a list of files and arrays, as ``predict`` takes them.
        layers: The names of the layers. If empty, convolutions and poolings spread over the network.
        note: Is called with sentences on images that are damaged although no pixel is missing, hold several pages, or
            are on another scale of values. None: nobody is told.

    Returns:
        An iterator over a Sheet for each image, or a Missing for what is no image.

    Raises:
        NetworkError: There is no such layer.
        DataError: images is a folder without images, or an array of another shape than images have.
        ModelError: There is no model, or its outputs are no numbers.
    """
    opened = open_model(model)
    names = _checked(opened, layers) or activations.default_layers(opened.model.network.nodes)
    return _sheets(opened, images_of(images), names, note or (lambda sentence: None))


def _sheets(opened: Opened, images: Iterable[str | Missing | Picture], names: list[str], note: Callable[[str], None]
            ) -> Iterator[Sheet | Missing]:
    taken: set[str] = set()
    forgiven: list[tuple[str, str]] = []
    seen = Seen()
    for image in images:
        if isinstance(image, Missing):
            yield image
            continue
        path = image.path if isinstance(image, Picture) else image
        notes: list[str] = []
        try:
            canvas = _answer(opened, image, names, notes, seen)
        except ImageError as error:
            yield Missing(error.path, str(error), error)
        else:
            forgiven += [(path, "; ".join(notes))] if notes else []
            yield Sheet("activations", path, names, file_name("activations", path, taken), canvas)
    for sentence in [*forgiven_in_words(forgiven), *doubts(seen, opened.model.preprocessing.scales)]:
        note(sentence)


def _checked(opened: Opened, layers: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(layers))
    for name in names:
        opened.model.network.node(name)  # raises with the nearest name
    return names


def _drawn(each: filters.Filters, opened: Opened, title: str) -> Canvas:
    first = {node.name for node in opened.model.network.nodes if node.inputs == (INPUT,)}
    return filters.draw(each, title, first=each.name in first)


def _answer(opened: Opened, image: str | Picture, names: Sequence[str], notes: list[str], seen: Seen) -> Canvas:
    """Return the sheet of one image; notes get what is to be said of its file, seen its values where they are deeper
    than 8 bits. Raises ImageError where it cannot be used."""
    model = opened.model
    pixels = (image.prepared(model.preprocessing, notes, seen) if isinstance(image, Picture)
              else model.preprocessing.prepare(image, notes, seen))
    answers = model.network.activations(model.preprocessing.normalise(pixels[None]), list(names))
    nodes = {node.name: node for node in model.network.nodes}
    chances = model.probabilities(pixels[None])[0]
    if not np.isfinite(chances).all():
        raise ModelError(f"the outputs of {printable(opened.path)} are not finite numbers; train it again, with a "
                         "smaller learning rate.")
    verdict = [(model.classes[i], float(chances[i])) for i in (-chances).argsort(kind="stable")[:BEST]]
    title = f"{os.path.basename(image.path if isinstance(image, Picture) else image)} in {opened.name}"
    return activations.draw(pixels, activations.maps(nodes, answers, names, 0), title, verdict)


def file_name(kind: str, image: str, taken: set[str]) -> str:
    """Return a new name for a picture of some kind about an image: the image's own, made fit for any disk, numbered
    where two are alike."""
    stem = re.sub(r"[^\w.-]+", "_", printable(os.path.splitext(os.path.basename(image))[0]))[:LONGEST_STEM]
    name, number = f"{kind}-{stem}.png", 1
    while name.lower() in taken:
        number += 1
        name = f"{kind}-{stem}-{number}.png"
    taken.add(name.lower())
    return name
