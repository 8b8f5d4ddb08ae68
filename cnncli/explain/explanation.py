"""Explaining images: which class, by which method, at which layer; the map that says where in the image the evidence
for the class lies, at the image's own size."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.boxes import Box
from ..data.decode import read_header
from ..data.finding import Images, Missing, OneImage, Picture, images_of
from ..data.preprocessing import Preprocessing
from ..errors import DataError, ImageError, ModelError, UsageError, no_such, printable, quoted
from ..kernels import Array
from ..model import Model
from ..model.learnt import trained_on
from ..model.preparing import Reason
from ..network import Network
from ..network.analysis import has_positions, receptive_field
from ..network.graph import INPUT, Node
from ..plain import in_plain_json
from ..runs.opened import AnyModel, open_model
from ..values import as_hinted
from .geometry import PIXELS, Grid, on_image
from .look import Look
from .methods import METHODS, Asked, Method, MethodName
from .tally import Tally
from .which import labels_by_folder

DEFAULT: MethodName = "hirescam"
Note = Callable[[str], None]


@dataclass(frozen=True)
class Beside:
    """What a measure says about a map, beside it.

    Attributes:
        lines: Lines for people.
        figures: Entries for ``as_json``.
        box: A box that is drawn on the map. None: no box.
    """

    lines: list[str]
    figures: dict[str, Any]
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one image gets its answer: a map of where in it the evidence for a class lies.

    Attributes:
        path: The image's file, or "images[i]" for an array.
        size: Its (height, width) in pixels, upright.
        label: The model's answer.
        probability: The probability of the answer, 0 to 1.
        runner_up: (label, probability) of the next class. None if there is one class only.
        target: The class that the map is about.
        target_probability: The probability of that class, 0 to 1.
        method: The method that made the map.
        layer: The layer on whose positions the map lies. None for methods that explain pixels.
        values: The map as the method made it, float32 (rows, columns): above 0 speaks for the class, below 0 against
            it.
        residual: By what part the map misses the sum that it should add up to. None if it should add up to nothing.
        grid: Where the positions of the map lie on the prepared image.
        preprocessing: What was done to the image first.
        source: The image: its file's path, or its pixels.
        note: What is damaged in the file although no pixel is missing. None: nothing.
        besides: What measures of the map found, if they were asked.
        truth: The class of what is on the image. None if not known.
        against: Another class, if the map shows what speaks for the target rather than for it. None otherwise.
        doubt: Why the method's map of this image can mislead. None: nothing is known.
    """

    path: str
    size: tuple[int, int]
    label: str
    probability: float
    runner_up: tuple[str, float] | None
    target: str
    target_probability: float
    method: str
    layer: str | None
    values: NDArray[np.float32]
    residual: float | None
    grid: Grid = field(repr=False)
    preprocessing: Preprocessing = field(repr=False)
    source: str | Picture = field(repr=False)
    note: str | None = None
    besides: tuple[Beside, ...] = ()
    truth: str | None = None
    against: str | None = None
    doubt: str | None = None

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """The map laid on the image, float32 (height, width). It is 0 where the preprocessing cuts the image off."""
        return on_image(self.values, self.grid, self.preprocessing, self.size)

    @property
    def strongest(self) -> float:
        """The largest absolute value of the map, to which the colours of a picture reach."""
        return float(np.abs(self.values).max())

    @property
    def wrong(self) -> bool:
        """Whether the answer is known to be wrong."""
        return self.truth not in (None, self.label)

    @property
    def verdict(self) -> str | None:
        """The answer and the truth in words, if the answer is known to be wrong. None otherwise."""
        return f"said {printable(self.label)}, is {printable(self.truth)}" if self.wrong else None

    @property
    def sentence(self) -> str | None:
        """A sentence that says that nothing in the map speaks for the class. None if something does."""
        if self.values.max() > 0:
            return None
        if METHODS[self.method].shows:
            return f"the map is empty for {printable(self.target)}"
        where = f"at {self.layer}" if self.layer else "in its pixels"
        return f"nothing {where} speaks for {printable(self.target)}" + (
            f" rather than {printable(self.against)}" if self.against is not None else
            "; all of it speaks against" if self.values.min() < 0 else "")

    @property
    def lines(self) -> list[str]:
        """The lines that stand beside the map."""
        return [line for beside in self.besides for line in beside.lines]

    @property
    def printed(self) -> list[str]:
        """The lines that are printed if there is no picture: the verdict and ``lines``."""
        return [*filter(None, [self.verdict]), *self.lines]

    @property
    def boxes(self) -> list[Box]:
        """The boxes that are drawn on the map."""
        return [beside.box for beside in self.besides if beside.box]

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what ``cnn explain --json`` prints."""
        row, column = np.unravel_index(int(self.map.argmax()), self.map.shape)
        then = dict(zip(("label", "probability"), self.runner_up, strict=True)) if self.runner_up else None
        return {"image": self.path, "size": list(self.size), "label": self.label, "probability": self.probability,
                "truth": self.truth, "runner_up": then, "target": self.target,
                "target_probability": self.target_probability, "method": self.method, "layer": self.layer,
                "map": self.values, "strongest_at": [int(row), int(column)], "residual": self.residual,
                "sentence": self.sentence, "doubt": self.doubt, "note": self.note,
                **{name: value for beside in self.besides for name, value in beside.figures.items()}}


@as_hinted
def explain(model: AnyModel, image: OneImage, method: MethodName = DEFAULT, target: str | None = None,
            layer: str | None = None, seed: int = 0) -> Explanation:
    """Explain one image: where in it is the evidence for a class?

    docs/explaining.md says what the methods mean.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        image: The image's file, or an array as ``Model.predict`` takes it.
        method: The method: "hirescam", "gradcam", "gradcamplusplus", "layercam", "finercam", "scorecam" (at a layer),
            "gradient", "smoothgrad", "integrated", "guided", "deconvnet", "occlusion" or "rise" (of pixels).
        target: The class to explain. None: the model's answer.
        layer: The layer whose positions are asked, for methods that look at one. None: the last one with positions.
        seed: The seed of methods that draw random numbers.

    Returns:
        The explanation. Its .map is float32 (height, width).

    Raises:
        ImageError: The file cannot be used. It is a DataError, and has the path and the reason.
        DataError: The array is no image, or the folder has none.
        UsageError: There is no such method or class, the layer has no positions, or there are several images
            (``explanations`` takes those).
        NetworkError: There is no such layer.
        ModelError: There is no model, or its outputs are no numbers.

    Example::

        why = cnncli.explain("runs/latest", "a.png")
        print(why.label, why.probability, why.map.shape)
    """
    found = list(explanations(model, image, method, target, layer, seed))
    if len(found) != 1:
        raise UsageError(f"cnncli.explain takes one image, not {len(found):,}; give several to cnncli.explanations.")
    [one] = found
    if isinstance(one, Missing):
        raise one.exception or DataError(one.error)
    return one


@as_hinted
def explanations(model: AnyModel, images: Images, method: MethodName = DEFAULT, target: str | None = None,
                 layer: str | None = None, seed: int = 0, note: Note | None = None,
                 truths: Mapping[str, str] | None = None) -> Iterator[Explanation | Missing]:
    """Explain several images, one after the other.

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
        truths: The class of what is on each image, by its path. None: the name of the folder, if it is a class.

    Returns:
        An iterator over an Explanation for each image, or a Missing for what is no image.

    Raises:
        UsageError: There is no such method or class, or the layer has no positions.
        NetworkError: There is no such layer.
        DataError: images is a folder without images, or an array of another shape than images have.
        ModelError: There is no model, or its outputs are no numbers.
    """
    every = Explainer(model, method, layer, seed).beside(images, target, note, truths, alone=True)
    return (each if isinstance(each, Missing) else each[0] for each in every)


class Explainer:
    """Explains images by one method at one layer, of which everything is made ready once."""

    def __init__(self, model: AnyModel, method: str, layer: str | None, seed: int) -> None:
        self._model, self._way, self._seed = open_model(model).model, chosen_method(method), seed
        self._look = Look(self._model.network, chosen_layer(self._model.network, layer, self._way))
        on_layer = self._way.on == "layer"
        self._grid = Grid.of(receptive_field(self._model.network)[self._look.layer]) if on_layer else PIXELS

    def beside(self, images: Images, target: str | None = None, note: Note | None = None,
               truths: Mapping[str, str] | None = None, alone: bool = False) -> Iterator[list[Explanation] | Missing]:
        """Explain images as ``explanations`` does, and unless alone yield beside each explanation what it is seen
        beside: of an answer that is wrong the maps of the true class and of what speaks for the one rather than for the
        other, else that of the next likeliest class, or, where another class than the answer was asked for, of that."""
        about = None if target is None else class_number(self._model, target)
        every = images_of(images)
        if not isinstance(every, list):  # a generator, whose paths are not known yet
            truths = truths or {}
        known = labels_by_folder(images, every, self._model.classes) if truths is None else truths
        numbers = {path: class_number(self._model, name) for path, name in known.items()}
        return self._told(every, about, note, numbers, alone)

    def some(self, images: Sequence[str | Missing | Picture], target: str | None, truths: Mapping[str, str],
             tally: Tally) -> Iterator[list[Explanation] | Missing]:
        """Explain some of the images as ``beside`` does; tally gets what is to be told when all are done."""
        about = None if target is None else class_number(self._model, target)
        numbers = {path: class_number(self._model, name) for path, name in truths.items()}
        return self._each(images, about, numbers, False, tally)

    def _told(self, images: Iterable[str | Missing | Picture], about: int | None, note: Note | None,
              truths: Mapping[str, int], alone: bool) -> Iterator[list[Explanation] | Missing]:
        tally = Tally()
        yield from self._each(images, about, truths, alone, tally)
        for sentence in tally.sentences(self._model.preprocessing) if note else ():
            note(sentence)  # type: ignore[misc]

    def _each(self, images: Iterable[str | Missing | Picture], about: int | None, truths: Mapping[str, int],
              alone: bool, tally: Tally) -> Iterator[list[Explanation] | Missing]:
        forgiven: dict[str, str] = {}
        sources = iter(images)
        for batch in self._model.prepared(images, forgiven, tally.seen):
            good = [pixels for _, pixels in batch if not isinstance(pixels, str)]
            labels = np.array([truths.get(path, -1) for path, pixels in batch if not isinstance(pixels, str)])
            if good and (known := trained_on(self._model.seen, np.stack(good))) is not None:
                tally.learnt += int(known.sum())
            tally.shown, tally.every = tally.shown + len(good), tally.every + len(batch)
            answers = iter(self._answers(np.stack(good), labels, about, alone) if good else ())
            for path, pixels in batch:
                source = next(sources)
                if isinstance(pixels, Reason) or isinstance(source, Missing):
                    yield Missing(path, str(pixels), getattr(pixels, "error", None))
                    continue
                found = _placed(next(answers), path, source, self._grid, forgiven.get(path))
                if path in forgiven and not isinstance(found, Missing):
                    tally.forgiven.append((path, forgiven[path]))
                yield found

    def _answers(self, pixels: Array, truths: Array, about: int | None, alone: bool) -> list[list[dict[str, Any]]]:
        """Return what is found of images, uint8 (n, h, w, c) of the model's size; truths are what is in them, classes'
        numbers or -1, (n,)."""
        model, every = self._model, np.arange(len(pixels))
        images = model.preprocessing.normalise(pixels)
        logits = self._look.logits(images)
        if not np.isfinite(logits).all():
            raise ModelError("the outputs of the model are not finite numbers; train it again, with a smaller learning "
                             "rate.")
        chances = model.probabilities_of(logits)
        order = (-chances).argsort(axis=1, kind="stable")
        said = order[:, 0]
        targets = said if about is None else np.full(len(pixels), about)
        asked: list[tuple[Array, Array, Array | None]] = [(every, targets, None)]
        if not alone and order.shape[1] > 1:
            wrong = (truths >= 0) & (truths != said) & (about is None)
            others = np.where(targets == said, np.where(wrong, truths, order[:, 1]), said)
            asked += [(every, others, None), (every[wrong], said[wrong], truths[wrong])]
        found: list[list[dict[str, Any]]] = [[] for _ in every]
        for rows, classes, against in asked:
            for i, target, part in zip(rows.tolist(), classes.tolist(), self._maps(images, rows, classes, against),
                                       strict=True):
                first, *then = order[i].tolist()
                found[i].append({
                    "label": model.classes[first], "probability": float(chances[i, first]),
                    "runner_up": (model.classes[then[0]], float(chances[i, then[0]])) if then else None,
                    "target": model.classes[target], "target_probability": float(chances[i, target]),
                    "truth": model.classes[truths[i]] if truths[i] >= 0 else None, **part})
        return found

    def _maps(self, images: Array, rows: Array, classes: Array, against: Array | None) -> Iterator[dict[str, Any]]:
        """Yield what the method finds of some of the images, each about a class."""
        if not len(rows):
            return
        own = images if len(rows) == len(images) else images[rows]  # the same ones are not looked at again
        found = self._way.compute(Asked(self._model, self._look, own, classes, self._seed, against))
        for i, values in enumerate(found.maps):
            yield {"against": None if against is None else self._model.classes[against[i]], "values": values,
                   "residual": None if found.residual is None else float(found.residual[i]),
                   "doubt": None if found.doubts is None else found.doubts[i],
                   "method": self._way.name, "layer": self._look.layer if self._way.on == "layer" else None,
                   "preprocessing": self._model.preprocessing}


def _placed(answers: list[dict[str, Any]], path: str, source: str | Picture, grid: Grid, note: str | None
            ) -> list[Explanation] | Missing:
    try:
        size = source.pixels.shape[:2] if isinstance(source, Picture) else read_header(source)[:2]
    except ImageError as error:
        return Missing(path, str(error), error)
    return [Explanation(path=path, size=(size[0], size[1]), source=source, grid=grid, note=note, **answer)
            for answer in answers]


# ---- what can be asked for ----


def chosen_method(name: str) -> Method:
    """Return a method by name. Raises UsageError with the nearest name."""
    if not isinstance(name, str) or name not in METHODS:
        raise UsageError(no_such("method", name, sorted(METHODS)))
    return METHODS[name]


def class_number(model: Model, name: str) -> int:
    """Return a class's number by its name. Raises UsageError with the nearest name."""
    if name not in model.classes:
        raise UsageError(no_such("class", name, model.classes))
    return model.classes.index(name)


def chosen_layer(network: Network, name: str | None, way: Method) -> str:
    """Return the name of the layer to look at: the one named, which must have positions, or ``last_positions``; for a
    method by pixels, which looks at none, the first."""
    if way.on == "image":
        if name is not None:
            units = "" if way.evidence or name not in {node.name for node in network.nodes} else (
                f" To see what each filter of a layer reacts to: cnn explain --units {quoted(name)}")
            raise UsageError(f"the method {way.name} explains pixels and looks at no layer; leave the layer out."
                             f"{units}")
        return network.nodes[0].name
    if name is None:
        return last_positions(network)
    node = network.node(name)
    if not has_positions(node):
        raise UsageError(f"layer {name} has no positions (its output is {' x '.join(map(str, node.shape))}); name one "
                         f"before it, like {last_positions(network)}.")
    return name


def last_positions(network: Network) -> str:
    """Return the last layer with more than one position that is no pooling: where a network has come furthest with
    what it sees, and still tells where it sees it. Raises UsageError where no layer has positions."""
    makers = {node.name: node for node in network.nodes}
    node = next(filter(has_positions, reversed(network.nodes)), None)
    while node is not None and _pools(node) and node.inputs[0] in makers:
        node = makers[node.inputs[0]]
    if node is None:
        raise UsageError("no layer of the network has positions; give a method that explains pixels, like gradient.")
    return node.name


def _pools(node: Node) -> bool:
    shapes = [node.shape]
    return not node.layer.params and node.inputs[0] != INPUT and node.layer.reach(*shapes) is not None
