"""A trained model in memory: the network, what its outputs are called, and what is done to an image before it. Whoever
asks what is on an image (cnn predict, cnn test, Python) asks here, so that all get the same answer. checkpoint.py
brings models from and to disk.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from threading import Lock
from typing import Any

import numpy as np

from ..data.depth import Seen
from ..data.finding import Images, Missing, Picture, each_image
from ..data.outputs import Kind, claim, write
from ..data.pixels import as_array
from ..data.preprocessing import Preprocessing
from ..errors import DataError, ImageError, UsageError, printable
from ..kernels import Array, threads
from ..network import Network
from ..network.analysis import has_positions
from .calibration import Calibration, softmax
from .modelfile import SUFFIX, as_json, is_model, pack
from .strangeness import Strangeness, flat, parts

SEEN = "state/seen"  # the name of that array: beside the network's, so that earlier versions pass it over
_IMAGES_AT_ONCE = 64  # decoded and judged together: enough to keep every core busy, little to wait for
_PIECE = 8  # of them that a thread decodes at a time, at most
_PIXELS_AT_ONCE = 2**24  # bytes of decoded images, for networks with large ones
MODEL_FILE = Kind("a model file", SUFFIX, is_model)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image: path is its file's, or "images[i]" of an array.

    top holds (label, probability) pairs, the likeliest first; label and probability are the first of them. Where the
    image could not be judged, error is the sentence that says why, top is empty and the others are None. Where the
    answer was withheld (predict.withhold), rejected is True, label is "unknown" and withheld says why: "unsure",
    "strange" or both; the rest stays. strangeness is above 0 for what belongs to no class, None where nobody asked or
    the model cannot tell. note says what is damaged in the file, where that was no pixel; else it is None.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    top: list[tuple[str, float]] = field(default_factory=list)
    error: str | None = None
    rejected: bool = False
    note: str | None = None
    withheld: tuple[str, ...] = ()
    strangeness: float | None = None


class Model:
    """A classifier: network, class names in the order of its outputs, preprocessing, and how it was trained.

    training is a JSON object without times, hosts or numbers of threads, so that the same training gives the same file.
    calibration is what was fitted on validation images, None without any: its temperature goes into probabilities.
    flips, False until somebody sets it, lets ``logits`` and all that asks it look at each image and its mirror image.
    path is the file that it was read from, None where it comes from none. seen has the marks (data/marks.py) of the
    images that it was trained on, uint64 in order, None where they are not known. strangeness tells images that belong
    to no class, None where that was not fitted.
    Raises UsageError where classes, preprocessing and network do not go together.
    """

    def __init__(self, network: Network, classes: Sequence[str], preprocessing: Preprocessing,
                 training: dict[str, Any] | None = None, calibration: Calibration | None = None) -> None:
        if not isinstance(network, Network) or not isinstance(preprocessing, Preprocessing):
            raise UsageError("a model is made of a Network, its classes and a Preprocessing, not of "
                             f"{type(network).__name__} and {type(preprocessing).__name__}.")
        self.network = network
        self.classes = _checked(classes)
        self.preprocessing = preprocessing
        self.training = dict(training or {})
        self.flips = False
        self.path: str | None = None
        self.seen: Array | None = None
        self.strangeness: Strangeness | None = None
        self.calibration = calibration
        if network.output_shape != (len(self.classes),) or network.input_shape != preprocessing.shape:
            raise UsageError(f"a network from {network.input_shape} to {network.output_shape} does not fit "
                             f"{len(self.classes)} classes of images {preprocessing.shape}.")

    # ---- saving ----

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the model into a file whose name ends in .safetensors, whole or not at all; cnncli.load brings it back
        with the same bits.

        An older model file of that name is replaced, once the new one is on the disk; whatever else is called so, with
        force. Raises UsageError where that is not given, or the name is another, SaveError where the disk refuses.
        """
        with claim({path: MODEL_FILE}, force=force, remedy="give another name, or force=True"):
            write(path, pack(self.arrays(), self.metadata()), MODEL_FILE)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the model file by name: what the network has learnt and counted, and what is
        known of images beside that."""
        seen = {} if self.seen is None else {SEEN: self.seen}
        strangeness = self.strangeness.arrays() if self.strangeness else {}
        return {**self.network.parameters(), **self.network.buffers(), **seen, **strangeness}

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the model file: all the rest, as JSON."""
        entries = {"network": self.network.config(), "classes": self.classes,
                 "preprocessing": self.preprocessing.config(), "training": self.training}
        if self.calibration:
            entries["calibration"] = self.calibration.config()
        if self.strangeness:
            entries["strangeness"] = self.strangeness.config()
        return {name: as_json(part) for name, part in entries.items()}

    # ---- judging ----

    def logits(self, images: Array) -> Array:
        """Return the network's outputs, float32 (n, classes), before softmax.

        images: uint8 (n, h, w, c) as decoded, of any size: brought to the model's and normalised like files; or
        floats (n, h, w, c) of the model's size that are normalised already. An image's outputs are the same bits
        whichever images are beside it. With ``flips`` they are the mean of the image's and its mirror image's.
        Raises DataError where images are neither.
        """
        return self._through(self.network.forward, images)

    def judging(self) -> Callable[[Array], tuple[Array, Array | None]]:
        """Return what tells of images their ``logits``, the same bits, and how strange they are, float64 (n,): above 0
        they belong to no class. None for the latter where the model cannot tell."""
        split, strange = parts(self.network), self.strangeness
        if split is None or strange is None:
            return lambda images: (self.logits(images), None)
        before, behind = split
        found: list[Array] = []

        def forward(images: Array) -> Array:
            features = before.forward(images)
            found.append(strange(flat(features)))
            return behind.forward(features)

        def judge(images: Array) -> tuple[Array, Array | None]:
            found.clear()
            logits = self._through(forward, images)
            if self.flips:  # those of each part, and of its mirror image
                found[:] = [(one + other) / 2 for one, other in zip(found[::2], found[1::2], strict=True)]
            return logits, np.concatenate([np.empty(0), *found])

        return judge

    def _through(self, forward: Callable[[Array], Array], images: Array) -> Array:
        images = self._batch(images)
        outputs = np.empty((len(images), len(self.classes)), np.float32)
        step = self.network.images_at_once()
        for start in range(0, len(images), step):
            part = self._normalised(images[start : start + step])
            outputs[start : start + step] = self._with_mirrored(forward, part) if self.flips else forward(part)
        return outputs

    @staticmethod
    def _with_mirrored(forward: Callable[[Array], Array], images: Array) -> Array:
        """Return the mean logits of normalised images and of the same turned left to right, float32 (n, classes).

        The mean of logits rather than of probabilities: it is what a temperature divides, so that calibration and loss
        go on meaning the same, and its softmax is the geometric mean of the two probabilities, made to add up to 1.
        Krizhevsky et al. 2012 average the probabilities of crops and flips, Jordan 2024 (airbench) the logits, as here.
        """
        mirrored = forward(np.ascontiguousarray(images[:, :, ::-1]))
        mean: Array = (forward(images) + mirrored) * np.float32(0.5)
        return mean

    def probabilities(self, images: Array) -> Array:
        """Return softmax(logits(images) / temperature), float64 (n, classes); each row adds up to 1. The temperature is
        the calibration's, 1 without one."""
        return self.probabilities_of(self.logits(images))

    def probabilities_of(self, logits: Array) -> Array:
        """Return the probabilities, float64 (n, classes), that logits (n, classes) mean."""
        return softmax(logits, self.temperature)

    @property
    def temperature(self) -> float:
        """What logits are divided by for probabilities."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def has_positions(self) -> bool:
        """Whether a layer of the network tells where in an image it sees what, so that answers can be explained."""
        return any(map(has_positions, self.network.nodes))

    def predict(self, images: Images, top: int | None = None) -> list[Prediction]:
        """Judge images: one Prediction each, in the order given. top is how many labels each lists (all).

        images: a file's path, a folder (all images under it), an array (one image (h, w) or (h, w, 1 or 3), or several,
        (n, h, w) or (n, h, w, 1 or 3)), or a list of paths and of arrays of one image. Arrays are uint8, or floats from
        0 to 1 where 1 is white, of any size and as they would be decoded: they get the answer of a file with these
        pixels, and the path "images[i]".

        Files that cannot be read get a Prediction with an error; nothing is raised for them. Raises UsageError or
        DataError where something is no image.
        """
        return list(self.predictions(images, top))

    def predictions(self, images: Images, top: int | None = None, strangeness: bool = False,
                    seen: Seen | None = None) -> Generator[Prediction, None, None]:
        """As ``predict``, but yields each Prediction as soon as it is known; images may be a generator. With
        strangeness each says how strange the image is, where the model can tell. seen gets the values of files deeper
        than 8 bits.

        Files are decoded in threads while the network judges those before. Memory does not grow with their number.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1):
            raise UsageError(f"top is a number of labels, 1 or more, not {top!r}.")
        forgiven: dict[str, str] = {}
        judge = self.judging() if strangeness else lambda images: (self.logits(images), None)
        with closing(self.prepared(images, forgiven, seen)) as batches:
            for batch in batches:
                for answer in self._judge(judge, batch, top):
                    note = forgiven.pop(answer.path, None)
                    yield replace(answer, note=note) if note else answer

    def prepared(self, images: Images, forgiven: dict[str, str] | None = None, seen: Seen | None = None
                 ) -> Generator[list[tuple[str, Array | str]], None, None]:
        """Yield what ``predict`` takes a batch at a time, each image as (path, uint8 (h, w, c) of the model's size), or
        (path, the sentence that says why it cannot be read); in order, decoded in threads ahead of whoever asks.
        forgiven gets, by path, what is damaged in a file and no pixel; seen the values of files deeper than 8 bits."""
        from ..data.decode import quiet
        from ..data.prefetch import ConcurrencyLimit, prefetch

        h, w, c = self.preprocessing.shape
        at_once = max(1, min(_IMAGES_AT_ONCE, _PIXELS_AT_ONCE // (h * w * c)))
        given = each_image(images)
        first, count = list(islice(given, at_once)), threads()
        size = max(1, min(_PIECE, at_once // 2, len(first) // (2 * count)))
        every, limit, lock = chain(first, given), ConcurrencyLimit(count), Lock()

        def prepare(piece: list[str | Missing | Picture]) -> list[tuple[str, Array | str]]:
            with limit.slot(len(piece)), quiet():
                own = Seen()
                ready = [self._prepare(image, forgiven, own) for image in limit.wanted(piece)]
            if seen is not None and own.images:
                with lock:
                    seen.add(own)
            return ready

        pieces = iter(lambda: list(islice(every, size)), [])
        with closing(prefetch(prepare, pieces, count, max(2 * count, at_once // size), None, limit)) as prepared:
            batch: list[tuple[str, Array | str]] = []
            for piece in prepared:
                batch += piece or []
                if len(batch) >= at_once:
                    yield batch
                    batch = []
            if batch:
                yield batch

    def _prepare(self, image: str | Missing | Picture, forgiven: dict[str, str] | None, seen: Seen
                 ) -> tuple[str, Array | str]:
        if isinstance(image, Missing):
            return image.path, image.error
        if isinstance(image, Picture):
            return image.path, self.preprocessing.prepare(image.pixels)
        notes: list[str] = []
        try:
            pixels = self.preprocessing.prepare(image, notes, seen)
        except ImageError as error:
            return image, str(error)
        if notes and forgiven is not None:
            forgiven[image] = "; ".join(notes)
        return image, pixels

    def _judge(self, judge: Callable[[Array], tuple[Array, Array | None]], batch: list[tuple[str, Array | str]],
               top: int | None) -> Iterator[Prediction]:
        good = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        logits, strange = judge(np.stack(good)) if good else (np.empty((0, len(self.classes)), np.float32), None)
        with np.errstate(invalid="ignore"):  # of logits that are no numbers
            each = [None] * len(good) if strange is None else strange.tolist()
            rows = zip(logits, softmax(logits, self.temperature), each, strict=True)
        for path, pixels in batch:
            yield (Prediction(path, error=pixels) if isinstance(pixels, str)
                   else self._prediction(path, *next(rows), top))

    def _prediction(self, path: str, logits: Array, probabilities: Array, strangeness: float | None,
                    top: int | None) -> Prediction:
        if not np.isfinite(logits).all():
            return Prediction(path, error="the model's answer for it is not a number; train the model again.")
        order = np.argsort(-logits, kind="stable")[:top]  # what is too close for probabilities still has an order
        ranked = [(self.classes[i], float(probabilities[i])) for i in order]
        return Prediction(path, *ranked[0], top=ranked, strangeness=strangeness)

    def _batch(self, given: Any) -> Array:
        """Return what ``logits`` takes as an array. Raises DataError where it is none of images."""
        images, channels = as_array(given, "images"), self.preprocessing.channels
        if images.ndim != 4 or images.shape[3] != channels or not all(images.shape[1:]):
            raise DataError(f"images must have the shape (n, h, w, {channels}), not {images.shape}.")
        if images.dtype == np.uint8:
            return images
        if images.dtype.kind != "f":
            raise DataError(f"images must be uint8 as decoded, or floats that are normalised, not {images.dtype}.")
        if images.shape[1:] != self.preprocessing.shape:
            raise DataError(f"floats must be of the model's size, {self.preprocessing.shape} each, not "
                            f"{images.shape[1:]}.")
        if not np.isfinite(images).all():
            raise DataError("images hold values that are infinite or no numbers; give finite ones.")
        return images

    def _normalised(self, images: Array) -> Array:
        if images.dtype != np.uint8:
            return np.ascontiguousarray(images, np.float32)
        if images.shape[1:] != self.preprocessing.shape:
            images = np.stack([self.preprocessing.prepare_array(image) for image in images])
        return self.preprocessing.normalise(images)


def _checked(classes: Sequence[str]) -> list[str]:
    """Return class names that a model file can hold. Raises UsageError for others."""
    names = [] if isinstance(classes, str) else list(classes)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"classes are a list of names, one for each output of the network, not {classes!r}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two classes are called {printable(twice)!r}; give each its own name.")
    return names
