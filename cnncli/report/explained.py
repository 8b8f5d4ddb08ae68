"""The page that `cnn explain` writes of many images: explain.html, one file like report.html (page.py), with the images
beside their maps and, by the class that was said, where the evidence lies. explained.html beside it is how it looks."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.finding import Images, Missing, image_files
from ..data.outputs import Kind, marked
from ..data.outputs import write as write_output
from ..errors import printable
from ..evaluation.subject import Subject
from ..explain import pictures, where
from ..explain.clusters import Cluster
from ..explain.collection import BORDER_AREA, CELLS, MIDDLE_AREA, Collection, Group, Kept, keep_largest
from ..explain.explanation import DEFAULT, Beside, Explanation, Note
from ..explain.methods import METHODS, MethodName
from ..explain.picture import strip
from ..explain.which import labels_by_folder
from ..kernels import Array
from ..ranks.current import world
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted
from ..visualize.canvas import signed
from .page import count, percent, policy
from .pictures import as_jpeg

FILE = "explain.html"
PAGE = Kind("a page of explanations", ".html", marked(rb'<meta name="generator" content="cnn explanations">'))
MOST, MOST_WRONG = 400, 100  # images on the page, and wrong answers, beside the surest of each class
LISTED = 50  # skipped images
_MEAN = 144  # pixels of a mean map


@dataclass(frozen=True)
class Shown:
    """One image on the page; truth is what is in it, where the answer is known to be wrong."""

    uri: str
    name: str
    label: str
    probability: float
    sentence: str | None
    truth: str | None

    @property
    def short(self) -> str:
        """The file's name and that of its folder."""
        return "/".join(Path(self.name).parts[-2:])


@as_hinted
def write(model: AnyModel, images: Images, folder: str | os.PathLike[str] | None = None, *,
          method: MethodName = DEFAULT, target: str | None = None, layer: str | None = None, seed: int = 0,
          force: bool = False, note: Note | None = None, besides: Sequence[Callable[[Explanation], Beside]] = (),
          truths: Mapping[str, str] | None = None, chosen: Sequence[str] = (), subject: Subject | None = None
          ) -> Iterator[tuple[Path, Explanation | None] | Missing]:
    """Write a picture of why each image gets its answer into a folder, by default explained/ in the run's, and for
    several images that were not held out of its training explained-photos/ or its like, else ./<model>-explained; and,
    of several images, the page explain.html when the last is done. Yields each picture's file with the explanation, or
    a Missing for what is no image, and at last the page's file, with None.

    subject says which images these are; None: the folder of images tells. chosen are sentences on that. Takes and
    raises what ``explanations`` does, and what ``cnncli.data.outputs.claim`` does before any work.
    """
    opened, found = open_model(model), image_files(images)
    subject = subject or where.subject_of(images)
    truths = labels_by_folder(images, found, opened.model.classes) if truths is None else truths
    if not world().leads:
        deque(pictures.draw_explanations(opened, found, method, target, layer, seed, None, besides, truths), maxlen=0)
        return
    several = len(found) > 1
    page, skipped = Explained(), list[tuple[str, str]]()
    with claimed(opened, found, folder, force, subject) as into:
        for drawn in pictures.draw_explanations(opened, found, method, target, layer, seed, note, besides, truths):
            if isinstance(drawn, Missing):
                skipped.append((drawn.path, drawn.error))
                yield drawn
                continue
            page.add(drawn.explanations, drawn.pixels)
            yield drawn.save(into), drawn.explanations[0]
        if several and page.first is not None:
            of = "" if subject.held_out else f" for {subject.named}"
            write_output(into / FILE, page.render(f"Why {opened.name} gives its answers{of}", skipped, chosen), PAGE)
            yield into / FILE, None


def claimed(model: AnyModel, images: Images, folder: str | os.PathLike[str] | None = None, force: bool = False,
            subject: Subject | None = None) -> AbstractContextManager[Path]:
    """Hold the files that ``write`` writes; whoever has work to do before calls it first."""
    found = image_files(images)
    if len(found) < 2:  # one picture, which has the image's name, takes the place of no other's
        return pictures.claimed(open_model(model), found, folder, force)
    return pictures.claimed(open_model(model), found, folder, force, {FILE: PAGE}, subject or where.subject_of(images))


class Explained:
    """Collects explanations for the page, one after the other."""

    def __init__(self) -> None:
        self.collection = Collection()
        self.first: Explanation | None = None
        self._about: str | None = None  # the class that was asked for, where it is not every image's answer
        self._shown: list[Shown] = []
        self._wrong: list[tuple[float, int, Shown]] = []

    def add(self, explanations: Sequence[Explanation], pixels: NDArray[Any]) -> None:
        """Take in those of an image, whose pixels are given: of its answer, and what is seen beside it."""
        found = explanations[0]
        shown = Shown(as_jpeg(strip([found], pixels)), printable(found.path), printable(found.label), found.probability,
                      " ".join(filter(None, [found.sentence, *found.lines])) or None,
                      printable(found.truth) if found.wrong else None)
        self.first = self.first or found
        if found.target != found.label:
            self._about = printable(found.target)
        self.collection.add(found, shown)
        if len(self._shown) < MOST:
            self._shown.append(shown)
        if explanations[-1].against is not None:
            beside = replace(shown, uri=as_jpeg(strip(explanations, pixels)))
            keep_largest(self._wrong, (found.probability, -self.collection.images, beside), MOST_WRONG)

    def render(self, title: str, skipped: Sequence[tuple[str, str]] = (), chosen: Sequence[str] = ()) -> bytes:
        """Return the page's bytes, UTF-8; the same explanations give the same."""
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        here = files(__package__)
        html, style, script = ((here / name).read_text(encoding="utf-8")
                               for name in ("explained.html", "page.css", "pictures.js"))
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters.update(percent=percent, count=count)
        first = self.first
        assert first is not None, "there is nothing to show"
        page = environment.from_string(html).render(
            title=printable(title), style=Markup(style), script=Markup(script), policy=policy(style, script),
            images=self.collection.images, method=METHODS[first.method], layer=first.layer,
            about=self._about, chosen=[printable(sentence) for sentence in chosen],
            groups=[_group(group) for group in self.collection.groups()], border_area=BORDER_AREA, cells=CELLS,
            middle_area=MIDDLE_AREA, shown=self._shown, skipped_images=len(skipped), judged=self.collection.judged,
            wrong=self.collection.wrong, mistakes=[each for *_, each in sorted(self._wrong, reverse=True)],
            skipped=[(printable(path), printable(reason)) for path, reason in skipped[:LISTED]])
        return page.encode("utf-8")


def _group(group: Group) -> dict[str, Any]:
    label = printable(group.label)
    clusters = [_cluster(*each) for each in group.clusters()]
    return {"label": label, "images": group.images, "judged": group.judged, "wrong": group.wrong, "shown": group.shown,
            "border": group.border, "middle": group.middle, "mean": _mean(group.mean) if group.shown > 1 else None,
            "most": float(group.mean.max()),
            "surest": [each.shown for each in group.surest], "compared": len(group.compared),
            "clusters": clusters if len(clusters) > 1 else []}


def _cluster(cluster: Cluster, surest: Sequence[Kept]) -> dict[str, Any]:
    return {"images": len(cluster.members), "share": cluster.share, "tightness": cluster.tightness,
            "place": _place(*cluster.peak), "mean": _mean(cluster.mean),
            "most": float(cluster.mean.max()),
            "surest": [each.shown for each in surest]}


def _place(row: float, column: float) -> str:
    """Say where in an image something is, of which each third has a name."""
    words = f"{('top', '', 'bottom')[min(int(3 * row), 2)]} {('left', '', 'right')[min(int(3 * column), 2)]}".strip()
    return f"at the {words}" if words else "in the middle"


def _mean(cells: Array) -> str:
    """Return a mean map as a picture, from no evidence to the most that any cell has."""
    pixels: NDArray[np.uint8] = signed(cells, float(cells.max()))
    large = Image.fromarray(pixels).resize((_MEAN, _MEAN), Image.Resampling.NEAREST)
    return as_jpeg(np.asarray(large))
