"""The pictures of images' explanations, one file each: named, claimed before the work begins, and drawn one after the
other."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..data.finding import Images, Missing, Picture, image_files, is_endless
from ..data.outputs import Kind
from ..errors import ImageError
from ..evaluation.subject import Subject
from ..ranks.current import world
from ..ranks.turns import in_turns
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from ..visualize.sheets import file_name
from . import where
from .explanation import DEFAULT, Beside, Explainer, Explanation, Note
from .methods import MethodName
from .picture import EXPLANATION, Drawn, draw, pixels_of
from .tally import Tally
from .which import labels_by_folder

_AT_ONCE = 8  # images that one of several processes explains before it hands the pictures in


@contextmanager
def claimed(opened: Opened, images: Images, folder: str | os.PathLike[str] | None = None, force: bool = False,
            beside: Mapping[str, Kind] | None = None, subject: Subject = where.HELD_OUT) -> Iterator[Path]:
    """Hold the files of the pictures of images, and those beside them, as long as this lasts; subject says which images
    they are, and so the folder where none is named (where.py). Raises UsageError or SaveError as
    ``cnncli.data.outputs.claim``."""
    taken = set[str]()
    paths = [image for image in image_files(images) if isinstance(image, str)]
    files = {file_name("explained", path, taken): EXPLANATION for path in paths} | {**(beside or {})}
    with where.claimed(opened, files, subject, folder, force, reads=paths) as into:
        yield into


@as_hinted
def draw_explanations(model: AnyModel, images: Images, method: MethodName = DEFAULT, target: str | None = None,
                      layer: str | None = None, seed: int = 0, note: Note | None = None,
                      besides: Sequence[Callable[[Explanation], Beside]] = (),
                      truths: Mapping[str, str] | None = None) -> Iterator[Drawn | Missing]:
    """Draw why images get their answers, as ``cnn explain`` does: one picture for each image.

    The picture shows the map of the model's answer, and beside it that of the true class, or of the next likeliest.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        images: A file, a folder, a pattern, an array, or a list of files and arrays, as ``predict`` takes them.
        method: The method: "hirescam", "gradcam", "gradcamplusplus", "layercam", "finercam", "scorecam" (at a layer),
            "gradient", "smoothgrad", "integrated", "guided", "deconvnet", "occlusion" or "rise" (of pixels).
        target: The class to explain. None: the model's answer for each image.
        layer: The layer whose positions are asked. None: the last one with positions.
        seed: The seed of methods that draw random numbers.
        note: Is called with sentences on images that are damaged although no pixel is missing, or are on another scale
            of values. None: nobody is told.
        besides: Functions from an Explanation to what is said and drawn beside its map.
        truths: The class of what is on each image, by its path. None: the name of the folder, if it is a class.

    Returns:
        An iterator over a Drawn for each image, or a Missing for what is no image.

    Raises:
        UsageError: There is no such method or class, or the layer has no positions.
        NetworkError: There is no such layer.
        DataError: images is a folder without images, or an array of another shape than images have.
        ModelError: There is no model, or its outputs are no numbers.
    """
    opened = open_model(model)
    explainer, together = Explainer(opened, method, layer, seed), world()
    if together.size == 1 or is_endless(images):
        return _each(opened, explainer.beside(images, target, note, truths), besides)
    found = image_files(images)
    known = labels_by_folder(images, found, opened.model.classes) if truths is None else truths

    def drawn(some: Sequence[str | Missing | Picture]) -> tuple[list[Drawn | Missing], Tally]:
        tally = Tally()
        return [*_each(opened, explainer.some(some, target, known, tally), besides)], tally

    return _of_all(opened, in_turns(together, found, _AT_ONCE, drawn), note)


def _of_all(opened: Opened, found: Iterator[tuple[list[Drawn | Missing], Tally]], note: Note | None
            ) -> Iterator[Drawn | Missing]:
    """Yield what several processes have drawn, with the names that files have if one draws all."""
    taken, everything = set[str](), Tally()
    for some, tally in found:
        everything.add(tally)
        for each in some:
            yield each if isinstance(each, Missing) else replace(
                each, file=file_name("explained", each.explanations[0].path, taken))
    for sentence in everything.sentences(opened.model.preprocessing) if note else ():
        note(sentence)  # type: ignore[misc]


def _each(opened: Opened, found: Iterator[list[Explanation] | Missing],
          besides: Sequence[Callable[[Explanation], Beside]]) -> Iterator[Drawn | Missing]:
    taken = set[str]()
    for every in found:
        if isinstance(every, Missing):
            yield every
            continue
        first, *others = every
        name = file_name("explained", first.path, taken)
        try:
            pixels = pixels_of(first)
            shown = [replace(first, besides=tuple(tell(first) for tell in besides)), *others]
            canvas = draw(shown, f"{os.path.basename(first.path)} in {opened.name}", pixels)
        except ImageError as error:
            yield Missing(error.path, str(error), error)
        else:
            yield Drawn(shown, pixels, name, canvas)
