"""How good a model is, in one call: which images (held_out.py), the model's answers and their scores (scores.py), what
would be reached without learning (baselines.py), and what else a report says. `cnn test` shows it; report/files.py
writes it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from .. import kernels
from ..data import Data, Images, Sample
from ..data.labels import Labels, labels_of
from ..data.splits import Split
from ..errors import UsageError, no_such, printable, told
from ..model import Model
from ..model.flips import with_flips
from ..model.precision import FLOAT32
from ..network import Network
from ..plain import in_plain_json
from ..ranks.current import world
from ..runs import Run
from ..runs.marks import unlike
from ..runs.opened import WHEN, AnyModel, Opened, open_model
from ..values import as_hinted
from . import baselines, grouped, scores
from .baselines import Baseline
from .grouped import GroupScore
from .headline import TRAINED, Headline, few_images, headline
from .held_out import Labelled, Note, Progress, labelled_images
from .intervals import wilson
from .scores import Evaluation
from .subject import Subject

LEFT_OUT = "There is no comparison with the nearest neighbour"


@dataclass(frozen=True, eq=False)
class ModelTest(Evaluation):
    """What a test of a model found: an ``Evaluation``, with more about the model and the images.

    Attributes:
        opened: The model, its file and its run.
        tested: The images; ``samples`` and ``pixels`` tell of them.
        facts: (what, value) pairs about the model, for people.
        notes: The sentences that were told during the test.
        comparison: Sentences that say why there is no comparison with a baseline.
        seen: Whether the model was trained on each image, by the image's content, bool (n,). None if not known.
        learnt: The names of the groups that the model was trained on. Empty if it was trained without groups.
        subject: Which images they are: the folder, and the part of it.
        computed_in: What the network computed in: "float32", "bfloat16" or "int8".
    """

    opened: Opened = field(kw_only=True, repr=False)
    tested: Images = field(kw_only=True, repr=False)
    facts: list[tuple[str, str]] = field(kw_only=True)
    notes: list[str] = field(kw_only=True)
    comparison: list[str] = field(kw_only=True)
    seen: NDArray[np.bool_] | None = field(kw_only=True, default=None)
    learnt: frozenset[str] = field(kw_only=True, default=frozenset())
    subject: Subject = field(kw_only=True)
    computed_in: str = field(kw_only=True, default=FLOAT32)

    @property
    def trained_on(self) -> int | None:
        """How many of the images the model was trained on. None if not known."""
        return None if self.seen is None else int(self.seen.sum())

    @property
    def accuracy_unseen(self) -> float | None:
        """The accuracy on images that the model was not trained on, 0 to 1. None if not known, or there are none."""
        return None if self.seen is None or self.seen.all() else float(self.right[~self.seen].mean())

    @property
    def groups(self) -> list[GroupScore]:
        """The scores of each group that the images are kept together in, by name. Empty if they are in no groups."""
        return grouped.scores_of(self.samples, self.right, self.learnt)

    @property
    def group_interval(self) -> tuple[float, float] | None:
        """The interval that holds the accuracy for images of new groups with 95 % confidence: (low, high).

        It counts the images that the model was not trained on. None if these come from fewer than two groups.
        """
        return self.headline.group_interval

    @property
    def headline(self) -> Headline:
        """The accuracy that says most about new images, with its interval and what that holds for.

        It counts the images that the model was not trained on. If these are of five groups or more, the interval is
        that for images of new groups.
        """
        return headline(self.samples, self.right, self.seen, self.learnt)

    @property
    def verdict(self) -> str:
        """A sentence that names the baselines that the accuracy is not clearly above, or ""."""
        return self.headline.verdict(self.baselines)

    @property
    def interval_unseen(self) -> tuple[float, float] | None:
        """The interval that holds ``accuracy_unseen`` with 95 % confidence: (low, high). None if there is none."""
        if self.seen is None or self.seen.all():
            return None
        return wilson(int(self.right[~self.seen].sum()), int((~self.seen).sum()))

    @in_plain_json
    def as_json(self) -> dict[str, Any]:
        """Return what `cnn test --json` prints."""
        groups = self.groups
        top = self.headline
        known = super().as_json()
        return {**known, "accuracy_interval": None if self.trained_on else known["accuracy_interval"],
                "accuracy_interval_missing": self._why_no_interval,
                "headline": top.as_json(), "verdict": self.verdict or None, **self.subject.as_json(),
                "computed_in": self.computed_in, "trained_on": self.trained_on,
                "accuracy_unseen": self.accuracy_unseen,
                "interval_unseen": list(self.interval_unseen) if self.interval_unseen else None,
                "trained": self.opened.trained.isoformat() if self.opened.trained else None,
                "groups": [group.as_json() for group in groups] if groups else None,
                "group_interval": list(top.group_interval) if top.group_interval else None}

    @property
    def _why_no_interval(self) -> str | None:
        if not self.trained_on:
            return None
        if self.trained_on == self.image_count:
            return TRAINED
        return (f"The model was trained on {self.trained_on:,} of these {self.image_count:,} images, so the accuracy "
                "on all of them has no interval; headline has that on the others, with its interval.")

    @property
    def samples(self) -> list[Sample]:
        """The files and labels of the images, in the order of ``logits``."""
        return self.tested.samples

    @property
    def surest_mistake(self) -> Sample | None:
        """The wrongly classified image with the highest probability. None without one, or if images are no files."""
        if self.right.all():
            return None
        sample = self.samples[int(np.where(self.right, -np.inf, self.confidences).argmax())]
        return sample if sample.pixels is None else None

    def pixels(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return images as the network saw them, uint8 (n, h, w, c).

        Args:
            indices: Which images, int (n,), in the order of ``logits``.
        """
        return self.tested.pixels(indices)


@as_hinted
def evaluate(model: AnyModel = None, data: Data | None = None, *, split: Split | None = None,
             tta: bool | None = None, exact: bool | None = None, strict: bool = False, threads: int | None = None,
             labels: str | os.PathLike[str] | Labels | None = None, compare: bool = True,
             progress: Progress | None = None, note: Note | None = None) -> ModelTest:
    """Test how good a model is on images that it was not trained on.

    Args:
        model: A Model, a model file, a run or its folder, or the name of a pretrained network. None: the latest run's.
        data: A folder with one sub-folder per class, named like the model's classes; some may be missing. Of a folder
            with train/, val/ and test/, split is used. Or arrays, as ``train`` takes them. None: the folder that the
            model was trained on, divided as the training divided it; not for a model that was trained on arrays.
        split: "train", "val" or "test". None: "test", or all images of a folder without parts.
        tta: True judges each image together with its mirror image. None: as the model is set.
        exact: True computes convolutions without Winograd's algorithm. None: as the model is set.
        strict: True raises ImageError for the first image that cannot be used. False: such images are skipped.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before.
        labels: A CSV file with the labels of images in data that lie in no class folders, as ``train`` takes it; of
            several parts, the test images are used. None: the folders are the classes.
        compare: Whether to find what would be reached without learning: by the most frequent class, and by the nearest
            training image.
        progress: Is called with (what, done, total). What it raises ends the test. None: nobody is told.
        note: Is called with sentences that the user should know. None: nobody is told; the result has them, too.

    Returns:
        The accuracy with its interval, the scores of each class, the confusion matrix, and each image's answer.

    Raises:
        UsageError: It is not clear which images are meant, or there is no such split.
        DataError: No image can be used.
        ModelError: There is no model, its file cannot be trusted, or its outputs are no numbers.

    Example::

        found = cnncli.evaluate("runs/latest")
        print(found.accuracy, found.interval)
    """
    if split is not None and split not in get_args(Split):
        raise UsageError(no_such("split", split, get_args(Split)))
    opened = open_model(model)
    if threads is not None:
        kernels.set_threads(threads)
    notes: list[str] = []

    def tell(sentence: str) -> None:
        notes.append(told(sentence))
        if note:
            note(told(sentence))

    for sentence in opened.notes:
        tell(sentence)
    judge = with_flips(opened.model, tta, tell)
    with _exact(judge.network, exact):
        labelled = labelled_images(opened, data, split, strict, tell, progress, labels_of(labels))
        images = labelled.images
        found = scores.evaluate(judge, images, progress=_step("testing", progress), name=os.fspath(opened.path),
                                world=world())
    for warning in _warnings(found, labelled, opened.run):
        tell(f"Warning: {warning}")
    known, why = _baselines(found, labelled, opened, progress) if compare and world().leads else ({}, [])
    everything = {f.name: getattr(found, f.name) for f in fields(found)} | {"baselines": known}
    return ModelTest(**everything, opened=opened, tested=images, facts=_facts(judge, opened), notes=notes,
                     comparison=why, seen=labelled.seen, learnt=labelled.learnt, subject=labelled.subject,
                     computed_in=_precision(judge.network))


def _warnings(found: Evaluation, labelled: Labelled, run: Run | None) -> list[str]:
    """Return what is to be known of few groups and of classes with few images, by those that the model was not trained
    on."""
    new = np.ones(found.image_count, bool) if labelled.seen is None else ~labelled.seen
    tested = [sample for sample, counts in zip(labelled.images.samples, new, strict=True) if counts]
    supports = np.bincount(found.labels[new], minlength=len(found.class_names)).tolist()
    few = grouped.warning(grouped.scores_of(tested, found.right[new]), run)
    return list(filter(None, (few, few_images(dict(zip(found.class_names, supports, strict=True))))))


@contextmanager
def _exact(network: Network, exact: bool | None) -> Iterator[None]:
    """Let a network compute convolutions as asked, inside the with statement."""
    before = network.exact
    try:
        if exact is not None:
            network.exact = exact
        yield
    finally:
        network.exact = before


def _step(what: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)


def _baselines(found: Evaluation, labelled: Labelled, opened: Opened, progress: Progress | None
               ) -> tuple[dict[str, Baseline], list[str]]:
    """Return what would be reached without learning, by name, and sentences that say what is not known."""
    images, training = labelled.images, labelled.training
    known = {baselines.MAJORITY: baselines.majority(found.labels, list(map(printable, found.class_names)), training)}
    tested = {os.path.abspath(sample.path) for sample in images.samples}
    seen = labelled.seen is not None and bool(labelled.seen.any())
    others = [sample for sample in (unlike(opened.run, training, images.marks) if opened.run and seen else training)
              if os.path.abspath(sample.path) not in tested]
    if not others:
        why = "these images are what it was trained on" if training else "the training images are not at hand"
        return known, [f"{LEFT_OUT}: {why}."]
    nearest = baselines.nearest_neighbour(images, others, opened.model.preprocessing, kernels.threads(),
                                          _step("comparing", progress))
    if nearest is None:
        return known, [f"{LEFT_OUT}: the training images cannot be read."]
    return {baselines.NEAREST: nearest, **known}, []


def _precision(network: Network) -> str:
    """Return what a network computes in."""
    return "int8" if network.quantisation else network.precision


def _facts(model: Model, opened: Opened) -> list[tuple[str, str]]:
    """Return what the report says about the model, as far as its file knows."""
    said = model.training
    facts = [("network", str(said.get("architecture") or "")),
             ("parameters", f"{sum(array.size for array in model.network.parameters().values()):,}"),
             ("images as", model.preprocessing.describe().rstrip(".")), ("epoch", str(said.get("epoch") or "")),
             ("precision", "" if _precision(model.network) == FLOAT32 else _precision(model.network))]
    counts = said.get("images")
    if isinstance(counts, dict) and counts.get("train"):
        facts.append(("trained on", f"{counts['train']:,} images"))
    if opened.trained:
        facts.append(("trained", opened.trained.astimezone().strftime(WHEN)))
    if opened.run and (done := opened.run.epochs_done):
        facts.append(("stopped after", done))
    if model.flips:
        facts.append(("judged by", "each image and its mirror image"))
    return [(what, value) for what, value in facts if value]
