"""A trained model in memory: the network, the names of its classes, and what is done to an image before it. Everything
that asks what is on an image (cnn predict, cnn test, Python) asks here, so the answers are the same. checkpoint.py
reads and writes models.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.depth import Seen
from ..data.finding import Images
from ..data.outputs import Kind, claim, write
from ..data.pixels import as_array
from ..data.placed import Placed
from ..data.preprocessing import Preprocessing
from ..errors import Cause, CnnError, DataError, ModelError, UsageError, brief
from ..kernels import Array
from ..network import Network
from ..network.analysis import has_positions
from ..values import as_hinted
from .calibration import Calibration, softmax
from .int8_file import arrays_of, config_of
from .learnt import trained_on
from .modelfile import SUFFIX, WITH_INT8, as_json, is_int8_model, is_model, pack
from .precision import FLOAT32
from .preparing import Reason, Waiting, prepared
from .strangeness import Strangeness, flat, parts

SEEN = "state/seen"  # the name of that array: beside the network's, so that earlier versions pass it over
MODEL_FILE = Kind("a model file", SUFFIX, is_model)
INT8_FILE = Kind("a quantised model's file", SUFFIX, is_int8_model)  # which does not replace what it was made of


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    Attributes:
        path: The image's file, or "images[i]" for an array.
        label: The most likely class; "unknown" if the answer was withheld; None if the image could not be read.
        probability: The probability of the most likely class, 0 to 1. None if the image could not be read.
        top: (label, probability) pairs, the most likely class first.
        error: Why there is no answer, in a sentence. None if there is one.
        rejected: Whether the answer was withheld (``predict`` with reject).
        note: What is damaged in the file although no pixel is missing. None: nothing.
        withheld: Why the answer was withheld: "unsure", "strange" or both.
        strangeness: Above 0 if the image seems to belong to no class. None if nobody asked or the model cannot tell.
        trained_on: Whether the image is one of those that the model was trained on, by its pixels. None if not known.
        exception: The error of that sentence: an ``ImageError``, with a cause, if the image could not be read.
            None if there is an answer.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    top: list[tuple[str, float]] = field(default_factory=list, hash=False)
    error: str | None = None
    rejected: bool = False
    note: str | None = None
    withheld: tuple[str, ...] = ()
    strangeness: float | None = None
    trained_on: bool | None = None
    exception: CnnError | None = field(default=None, compare=False, repr=False)

    @property
    def cause(self) -> Cause | None:
        """Why the image could not be read, in a word: "missing", "damaged" or another of ``ImageError.cause``.

        None if it could, or if the image is not the reason that there is no answer.
        """
        return getattr(self.exception, "cause", None)


class Model:
    """A classifier: a network with its class names and with what is done to an image before the network sees it.

    Several threads may use one model: they wait for each other while the network computes.

    Args:
        network: The network.
        classes: The names of the classes, in the order of the network's outputs. The model keeps them as a tuple.
        preprocessing: What is done to an image first.
        training: How it was trained, as JSON values. None: not known.
        calibration: What was fitted on validation images, so that probabilities are true. None: nothing.

    Attributes:
        flips: Whether each image is judged together with its mirror image. False at first; may be set.
        seen: Marks of the images that it was trained on, uint64. None if not known.
        strangeness: What tells images that belong to no class. None if that was not fitted.

    Raises:
        UsageError: Classes, preprocessing and network do not fit together.
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
        self._place: Placed | None = None
        self.seen: Array | None = None
        self.strangeness: Strangeness | None = None
        self.calibration = calibration
        if network.output_shape != (len(self.classes),) or network.input_shape != preprocessing.shape:
            raise UsageError(f"the network takes {network.input_shape} and returns {network.output_shape}, but the "
                             f"model has images of {preprocessing.shape} and {len(self.classes)} classes; give a "
                             "network that fits them.")

    @property
    def path(self) -> str | None:
        """The file that it was read from, as it was named; absolute if the current folder is another now. Or None."""
        return None if self._place is None else self._place.text

    @path.setter
    def path(self, path: str | None) -> None:
        self._place = None if path is None else Placed(path)

    def __repr__(self) -> str:
        shown = ", ".join([*map(brief, self.classes[:3]), *["…"] * (len(self.classes) > 3)])
        kind = self.training.get("architecture") or f"{len(self.network.nodes)} layers"
        of = f", of {self.path!r}" if self.path else ""
        return f"<Model {kind}: images {self.network.input_shape}, {len(self.classes)} classes ({shown}){of}>"

    # ---- saving ----

    @as_hinted
    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write the model into a file, which ``cnncli.load`` reads back to the same bits.

        Args:
            path: The file; its name ends in .safetensors. An older model file of this name is replaced, whole or not at
                all; but a quantised model replaces none that is not quantised.
            force: True replaces any file of this name.

        Raises:
            UsageError: The name has another ending, another file has this name, or its folder is not there.
            SaveError: The file could not be written.
        """
        kind = INT8_FILE if self.network.quantisation else MODEL_FILE
        with claim({path: kind}, force=force, remedy="give another name, or force=True"):
            write(path, pack(self.arrays(), self.metadata()), kind)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the model file by name: weights, statistics, and what is known of images."""
        seen = {} if self.seen is None else {SEEN: self.seen}
        strangeness = self.strangeness.arrays() if self.strangeness else {}
        return {**arrays_of(self.network), **seen, **strangeness}

    def metadata(self) -> dict[str, str]:
        """Return the metadata of the model file, as JSON: network, classes, preprocessing, training and calibration."""
        entries = {"network": self.network.config(), "classes": self.classes,
                 "preprocessing": self.preprocessing.config(), "training": self.training}
        if self.calibration:
            entries["calibration"] = self.calibration.config()
        if self.strangeness:
            entries["strangeness"] = self.strangeness.config()
        if self.network.quantisation:
            entries["quantisation"] = config_of(self.network.quantisation)
        version = {"version": str(WITH_INT8)} if self.network.quantisation else {}
        return {name: as_json(part) for name, part in entries.items()} | version

    def in_floats(self) -> "Model":
        """Return the model as it computes in float32: of a quantised one, with the numbers that its bytes stand for."""
        if not self.network.quantisation and self.network.precision == FLOAT32:
            return self
        result, network = copy(self), Network.from_config(self.network.config())
        own = {**self.network.parameters(), **self.network.buffers()}
        for name, array in {**network.parameters(), **network.buffers()}.items():
            array[...] = own[name]
        result.network = network
        return result

    # ---- judging ----

    def logits(self, images: Array) -> NDArray[np.float32]:
        """Return the network's outputs before softmax.

        An image's outputs are the same bits whatever other images are given. With ``flips`` they are the mean of the
        image's and its mirror image's.

        Args:
            images: uint8 (n, h, w, c) of any size, which are scaled and normalised like files; or floats (n, h, w, c)
                of the model's size that are normalised already.

        Returns:
            The outputs, float32 (n, classes).

        Raises:
            DataError: The images are neither.
        """
        return self._through(self.network.forward, images)

    def judging(self) -> Callable[[Array], tuple[NDArray[np.float32], NDArray[np.float64] | None]]:
        """Return a function from images to their ``logits`` and their strangeness, float64 (n,).

        Strangeness is above 0 for images that seem to belong to no class. It is None if the model cannot tell.
        """
        split, strange = parts(self.network), self.strangeness
        if split is None or strange is None:
            return lambda images: (self.logits(images), None)
        before, behind = split
        found: list[Array] = []

        def forward(images: Array) -> Array:
            features = before.forward(images)
            found.append(strange(flat(features)))
            return behind.forward(features)

        def judge(images: Array) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
            found.clear()
            logits = self._through(forward, images)
            if self.flips:  # those of each part, and of its mirror image
                found[:] = [(one + other) / 2 for one, other in zip(found[::2], found[1::2], strict=True)]
            return logits, np.concatenate([np.empty(0), *found])

        return judge

    def _through(self, forward: Callable[[Array], Array], images: Array) -> NDArray[np.float32]:
        images = self._batch(images)
        outputs = np.empty((len(images), len(self.classes)), np.float32)
        step = self.network.images_at_once()
        for start in range(0, len(images), step):
            part = self._normalised(images[start : start + step])
            outputs[start : start + step] = self._with_mirrored(forward, part) if self.flips else forward(part)
        return outputs

    @staticmethod
    def _with_mirrored(forward: Callable[[Array], Array], images: Array) -> Array:
        """Return the mean logits of normalised images and of their mirror images, float32 (n, classes).

        Logits are averaged, not probabilities: logits are what a temperature divides, so calibration and loss keep
        their meaning. The softmax of the mean is the geometric mean of the two probabilities, scaled to the sum 1.
        Krizhevsky et al. 2012 average the probabilities of crops and flips, Jordan 2024 (airbench) the logits, as here.
        """
        mirrored = forward(np.ascontiguousarray(images[:, :, ::-1]))
        mean: Array = (forward(images) + mirrored) * np.float32(0.5)
        return mean

    def probabilities(self, images: Array) -> NDArray[np.float64]:
        """Return the probabilities of the classes: softmax(logits / temperature), float64 (n, classes).

        Args:
            images: The images, as ``logits`` takes them.

        Raises:
            DataError: They are no such images.
        """
        return self.probabilities_of(self.logits(images))

    def probabilities_of(self, logits: Array) -> NDArray[np.float64]:
        """Return the probabilities that logits mean, float64 (n, classes).

        Args:
            logits: The network's outputs (n, classes).
        """
        return softmax(logits, self.temperature)

    @property
    def temperature(self) -> float:
        """What logits are divided by for probabilities: the calibration's, or 1 without one."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def has_positions(self) -> bool:
        """Whether a layer tells where in an image it sees something, so that ``cnncli.explain`` works."""
        return any(map(has_positions, self.network.nodes))

    @as_hinted
    def predict(self, images: Images, top: int | None = None) -> list[Prediction]:
        """Classify images: return one Prediction for each, in order.

        A file that cannot be read has a Prediction with an error; nothing is raised for it. Of a list, whatever is no
        image has one. An argument that is as a whole no image, and no folder of images, is an error that is raised.

        Args:
            images: A file's path, a folder (all images in it), an array, the bytes of a file (an upload), an open file,
                a Pillow image, or a list of these. An array is one image (h, w), (h, w, 1) or (h, w, 3), or several,
                with n first: uint8, or floats from 0 to 1, of any size.
            top: How many labels each Prediction lists. None: all.

        Raises:
            UsageError: The argument is nothing that could be images, or top is no number of labels.
            DataError: The argument is a folder without images, or an array of another shape than images have.
        """
        return list(self.predictions(images, top))

    @as_hinted
    def predictions(self, images: Images, top: int | None = None, strangeness: bool = False,
                    seen: Seen | None = None) -> Generator[Prediction, None, None]:
        """Classify images, like ``predict``, but yield each Prediction as soon as it is known.

        Files are decoded in threads while the network classifies the earlier ones. Memory does not grow with their
        number. Of a generator no more images are taken than come at once, so it may be slow, or never end.

        Args:
            images: As in ``predict``; may be a generator.
            top: How many labels each Prediction lists. None: all.
            strangeness: True computes each Prediction's strangeness, if the model can tell.
            seen: Collects the values of files with more than 8 bits. None: they are not collected.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1):
            raise UsageError(f"top must be a whole number of at least 1, not {brief(top)}.")
        forgiven = Waiting()
        judge = self.judging() if strangeness else lambda images: (self.logits(images), None)
        with closing(self.prepared(images, forgiven, seen)) as batches:
            for batch in batches:
                for answer in self._judge(judge, batch, top):
                    note = forgiven.taken(answer.path)
                    yield replace(answer, note=note) if note else answer

    def prepared(self, images: Images, forgiven: dict[str, str] | None = None, seen: Seen | None = None
                 ) -> Generator[list[tuple[str, Array | Reason]], None, None]:
        """Yield what ``predict`` takes in batches of (path, image), decoded and scaled: uint8 (h, w, c).

        An image that cannot be read is (path, the sentence that says why). Files are decoded ahead, in threads. Of a
        generator no more images are taken than come at once.

        Args:
            images: As in ``predict``.
            forgiven: Gets what is damaged in a file although no pixel is missing, by path. None: not collected.
            seen: Collects the values of files with more than 8 bits. None: not collected.
        """
        return prepared(self.preprocessing, images, forgiven, seen)

    def _judge(self, judge: Callable[[Array], tuple[Array, Array | None]], batch: list[tuple[str, Array | Reason]],
               top: int | None) -> Iterator[Prediction]:
        good = [pixels for _, pixels in batch if not isinstance(pixels, str)]
        stacked = np.stack(good) if good else np.empty((0, *self.preprocessing.shape), np.uint8)
        logits, strange = judge(stacked) if good else (np.empty((0, len(self.classes)), np.float32), None)
        learnt = trained_on(self.seen, stacked)
        with np.errstate(invalid="ignore"):  # of logits that are no numbers
            each = [None] * len(good) if strange is None else strange.tolist()
            known = [None] * len(good) if learnt is None else learnt.tolist()
            rows = zip(logits, softmax(logits, self.temperature), each, known, strict=True)
        for path, pixels in batch:
            yield (Prediction(path, error=str(pixels), exception=pixels.error) if isinstance(pixels, str)
                   else self._prediction(path, *next(rows), top))

    def _prediction(self, path: str, logits: Array, probabilities: Array, strangeness: float | None,
                    learnt: bool | None, top: int | None) -> Prediction:
        if not np.isfinite(logits).all():
            error = ModelError("the model's answer for it is not a number; train the model again.")
            return Prediction(path, error=str(error), exception=error)
        order = np.argsort(-logits, kind="stable")[:top]  # what is too close for probabilities still has an order
        ranked = [(self.classes[i], float(probabilities[i])) for i in order]
        return Prediction(path, *ranked[0], top=ranked, strangeness=strangeness, trained_on=learnt)

    def _batch(self, given: Any) -> Array:
        """Return what ``logits`` takes, as an array. Raises DataError if it is no array of images."""
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
            raise DataError("the images hold infinities or NaN; give finite numbers.")
        return images

    def _normalised(self, images: Array) -> Array:
        if images.dtype != np.uint8:
            return np.ascontiguousarray(images, np.float32)
        if images.shape[1:] != self.preprocessing.shape:
            images = np.stack([self.preprocessing.prepare_array(image) for image in images])
        return self.preprocessing.normalise(images)


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    """Return class names that a model file can hold. Raises UsageError for others."""
    names = [] if isinstance(classes, str) else list(classes)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError("the classes must be a list of names, one for each output of the network, not "
                         f"{brief(classes)}.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two classes are called {brief(twice)}; give each its own name.")
    return tuple(names)
