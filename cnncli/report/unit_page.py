"""The page that `cnn explain --units` writes: units-LAYER.html, one file like report.html (page.py), with every filter
that was asked for: what excites it most, what in that it answers to, an image made to please it, and the classes that
it speaks for. unit_page.html and unit_page.js beside it are how it looks and moves; explain/unit_sheet.py draws the
same as a picture, of the first filters."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.outputs import Kind, marked
from ..data.outputs import write as write_output
from ..errors import printable
from ..explain import unit_sheet, where
from ..explain.explained_units import STOPPED, ExplainedUnits, Note, Unit, search, units_one_by_one
from ..explain.unit_sheet import BACK, UNITS, classes_in_words, images_in_words, in_colours, light_in_words
from ..explain.units import COUNT, Progress, Window
from ..runs.opened import AnyModel, Opened, open_model
from ..values import as_hinted
from ..visualize.canvas import fitted, number, picture
from .page import LISTED, count, policy
from .pictures import data_uri

PAGE = Kind("a page of filters", ".html", marked(rb'<meta name="generator" content="cnn filters">'))
_SIDES = ((64, 96), (256, 64))  # of so many filters at most, so many pixels are a picture's longer side
_SMALLEST = 32
_PLAIN = 28  # pixels that a smaller picture is enlarged to at least, each of its own to a square


@as_hinted
def write(model: AnyModel, layers: Mapping[str, Iterable[int] | None], data: Any = None, top: int | None = None,
          folder: str | os.PathLike[str] | None = None, *, seed: int = 0, force: bool = False,
          progress: Progress | None = None, note: Note = lambda sentence: None
          ) -> Iterator[tuple[ExplainedUnits, tuple[Path, Path]]]:
    """Write what layers' channels, or those given, look for into a folder, by default explained/ in the run's, and for
    other images than those held out of its training explained-photos/ or its like, else ./<model>-explained: of each
    layer a sheet of the first 64, and a page of all. Yields each when it is done, without the pictures of those that
    are on no sheet, with the sheet's and the page's files. All layers are searched for in one pass over the images;
    somebody who stops that gets all, who stops later the layer at hand as the last.

    Takes and raises what ``explain_units`` does, and what ``cnncli.data.outputs.claim`` does before any work.
    """
    opened = open_model(model)
    with claimed(opened, list(layers), data, folder, force) as files:
        searched = search(opened, layers, data, top, progress, note)
        for (layer, channels), (sheet, page) in zip(layers.items(), files, strict=True):
            found, each = units_one_by_one(searched, layer, channels, seed, progress, note)
            made, units = UnitPage(found.wanted, top or COUNT), list[Unit]()
            try:
                for unit in each:
                    made.add(unit, found)
                    on_sheet = len(units) < unit_sheet.MOST
                    units.append(unit_sheet.for_sheet(unit) if on_sheet else unit.without_pictures())
            except KeyboardInterrupt:  # also while one was drawn
                if not units or searched.found.stopped:
                    raise
                note(STOPPED)
            found = replace(found, units=units)
            unit_sheet.draw(found).save(sheet, UNITS)
            write_output(page, made.render(found), PAGE)
            yield found, (sheet, page)
            if found.stopped and not searched.found.stopped:
                return


@contextmanager
def claimed(opened: Opened, layers: Sequence[str], data: Any, folder: str | os.PathLike[str] | None = None,
            force: bool = False) -> Iterator[list[tuple[Path, Path]]]:
    """Hold the files of layers' sheets and pages, as long as this lasts, and give their paths, of each layer two.
    Raises UsageError or SaveError as ``cnncli.data.outputs.claim``."""
    names = [(f"units-{layer}{UNITS.suffix}", f"units-{layer}{PAGE.suffix}") for layer in layers]
    reads = [each for each in data if isinstance(each, str)] if isinstance(data, list) else []
    kinds = {name: kind for both in names for name, kind in zip(both, (UNITS, PAGE), strict=True)}
    with where.claimed(opened, kinds, where.subject_of(data), folder, force, data=data, reads=reads) as into:
        yield [(into / sheet, into / page) for sheet, page in names]


@dataclass(frozen=True)
class _Tile:
    """A picture on the page: what is said of it to whom cannot see it, beneath it, and beneath it when it is large."""

    uri: str
    alt: str
    value: str
    name: str = ""
    short: str = ""
    more: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    """A filter on the page; made is None where somebody stopped before there was one."""

    channel: int
    stands_for: str | None
    dead: bool
    top: list[_Tile]
    made: _Tile | None
    classes: list[tuple[str, str]]


class UnitPage:
    """Collects filters for the page, one after the other; count is how many there will be, and top of how many images
    each: that says how large their pictures can be in a file of sensible size."""

    def __init__(self, count: int, top: int = COUNT) -> None:
        self._side = next((side for most, side in _SIDES if count * top <= most * COUNT), _SMALLEST)
        self._rows: list[_Row] = []

    def add(self, unit: Unit, found: ExplainedUnits) -> None:
        """Take in a filter."""
        what, dead = f"filter {unit.channel}", found.is_dead(unit)
        tiles = []
        shown = zip(unit.values, unit.paths, unit.windows, unit.patches, unit.answers, strict=True)
        for i, (value, path, seen, patch, answer) in enumerate(() if dead else shown):
            shades, most = in_colours(answer, self._side)
            name, short = printable(path), printable("/".join(Path(path).parts[-2:]))
            more = [_place(seen, found), f"below: what the filter reacts to; its full colours stand for {number(most)}"]
            tiles.append(_Tile(
                _one_above_other(patch, shades, self._side), f"{what}, number {i + 1}: {number(value)} in {name}",
                number(value), name, short, more))
        made = None
        if unit.made is not None and unit.made_value is not None:
            reached = number(unit.made_value)
            made = _Tile(_uri(unit.made, 2 * self._side), f"image made to excite {what}: {reached}", reached,
                         more=[f"made to excite {what}"])
        classes = [(printable(name), f"{by:+.2g}") for name, by in unit.classes]
        stands_for = printable(found.names[unit.channel]) if found.names else None
        self._rows.append(_Row(unit.channel, stands_for, dead, tiles, made, classes))

    def render(self, found: ExplainedUnits) -> bytes:
        """Return the page's bytes, UTF-8; the same filters give the same."""
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        here = files(__package__)
        html, style, *scripts = ((here / name).read_text(encoding="utf-8")
                                 for name in ("unit_page.html", "page.css", "pictures.js", "unit_page.js"))
        script = "\n".join(scripts)
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters.update(count=count)
        named = sorted({name for row in self._rows for name, _ in row.classes})
        page = environment.from_string(html).render(
            title=printable(f"What the filters of {found.layer} look for, in {found.name}"), style=Markup(style),
            script=Markup(script), policy=policy(style, script), found=found, rows=self._rows, classes=named,
            numbers={name: i for i, name in enumerate(named)}, back=BACK[found.back], images=images_in_words(found),
            light=light_in_words(found), speaks=classes_in_words(found),
            dead=[row.channel for row in self._rows if row.dead],
            unfinished=sum(row.made is None for row in self._rows),
            skipped=[(printable(path), printable(reason)) for path, reason in found.skipped[:LISTED]])
        return page.encode("utf-8")


def _place(seen: Window, found: ExplainedUnits) -> str:
    """Return where in an image a part of it lies."""
    height, width = found.size
    if found.sees is None:
        return f"all of the image, {width} x {height} pixels"
    return (f"columns {max(seen.left, 0) + 1} to {min(seen.right, width)} and rows {max(seen.top, 0) + 1} to "
            f"{min(seen.bottom, height)} of {width} x {height}")


def _one_above_other(patch: NDArray[np.uint8], shades: NDArray[np.uint8], side: int) -> str:
    """Return a part of an image, and beneath it what the filter answers to there, as a URI."""
    upper, lower = (np.asarray(_sized(each, side)) for each in (patch, shades))
    gap = np.full((2, upper.shape[1], 3), 255, np.uint8)
    return data_uri(np.concatenate([upper, gap, lower]), 2 * side + 2, side)


def _uri(pixels: NDArray[np.uint8], side: int) -> str:
    return data_uri(np.asarray(_sized(pixels, side)), side, side // 2)


def _sized(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    """Return a picture of at most that side; of few pixels, each as a square of several."""
    image = picture(pixels)
    return fitted(image, min(side, max(_PLAIN, *image.size)))
