"""Training, from a folder of images to a run's folder with a model in it: ``cnncli.train``. prepare.py or resume.py
makes a training ready, fit.py does it, signals.py stops it, observer.py is told about it. The command is cli/train.py.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from .. import kernels
from ..data import Augmentation, Data
from ..data.exclude import names_of
from ..data.groups import groups_of
from ..data.images import Cache
from ..data.labels import Labels, labels_of
from ..data.order import Sampling
from ..errors import CnnError, Interrupted, UsageError
from ..loss import LossName
from ..optim import OptimiserName, Schedule
from ..optim.schedule import Kind
from ..runs import AUGMENTED, CURVES, Run, newest_run, point_latest
from .fit import Fit
from .inside import Inside
from .observer import Observer
from .options import Freeze, Options, RecipeName
from .prepare import Prepared, Setting, begin
from .resume import resume as resumed
from .signals import StopFlag, catch_stops

__all__ = ["train"]

_Path = str | os.PathLike[str]


def train(
    data: Data | None = None,
    arch: str | None = "auto",
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    optimizer: OptimiserName | None = None,
    schedule: Kind | Schedule | None = None,
    warmup: float | None = None,
    weight_decay: float | None = None,
    loss: LossName | None = None,
    label_smoothing: float | None = None,
    class_weights: Literal["balanced"] | Sequence[float] | None = None,
    augment: str | bool | Augmentation | None = None,
    size: int | tuple[int, int] | None = None,
    grey: bool | None = None,
    seed: int | None = None,
    split_seed: int | None = None,
    patience: int | None = None,
    ema: float | None = None,
    exact: bool | None = None,
    sampling: Sampling | None = None,
    time: str | float | None = None,
    fold: tuple[int, int] | None = None,
    exclude: _Path | Collection[str] | None = None,
    labels: _Path | Labels | None = None,
    group_by: Any = None,
    threads: int | None = None,
    name: str | None = None,
    resume: bool | _Path = False,
    cache: Cache = "ram",
    strict: bool = False,
    runs: _Path = "runs",
    preview: bool = False,
    observer: Observer | None = None,
    recipe: RecipeName | None = None,
    init: str | os.PathLike[str] | None = None,
    freeze: Freeze | int | None = None,
    probe: bool = False,
    range: str | Sequence[float] | None = None,
) -> Run:
    """Train a classifier on a folder of images and return the run: its .path, .model (the best), .history, .skipped.

    data is a folder with a sub-folder for each class, or with train/, val/ and test/ of such; or arrays in memory,
    (images, labels) or {"train": (images, labels), "val": …, "test": …}: images uint8 (n, h, w[, 1 or 3]), the same as
    floats from 0 to 1, or a list of images of any sizes, and labels whole numbers or names. What is None is chosen to
    suit images and network, and said to the observer:

    arch: an architecture's name or a TOML file; "auto" chooses by image size. epochs: 15, more for few images.
    batch_size: 128, fewer for few images. lr: the schedule's peak. optimizer: "sgd" (with Nesterov momentum 0.9),
    "adam", or "adamw", the choice where init is given. schedule: "one-cycle", "cosine", "step", "constant",
    "triangular", or a cnncli.optim.Schedule, whose rate and steps may be left out; warmup: its length in epochs.
    weight_decay spares biases and norms.
    loss: "cross-entropy", with label_smoothing and class_weights ("balanced" or a number a class), or
    "squared-error". augment: "auto" (shifts, and flips where images have colour), "none", "digits", "photo", "strong",
    a list as "shift=4,flip,rotate=10", or an Augmentation. size: pixels, one number or (h, w).
    grey: one channel or three. range: what is black and what is white in images deeper than 8 bits, "0:4095" or two
    numbers, else found from the training images.
    seed (0): of weights, order, augmentation and, unless split_seed is given, of the split into training, validation
    and test images. patience: epochs without a better one after which to stop. ema: the last part of the steps over
    which weights are averaged, 0.25; 0 for none. exact: convolutions without Winograd's algorithm, slower and with a
    little less rounding; no.
    sampling: "shuffled", or "balanced", which draws every class equally often. time, instead of epochs: "10m", "1h30m"
    or seconds, from now until all is done; speed is measured first. fold: (k, K), train for cross-validation on all but
    the k-th of K parts of what is not test (cnncli.cross_validate does so for each). exclude: images to leave out,
    their paths inside data or a file that lists them, as `cnn check --exclude-list` writes it; the run remembers them.
    labels: a CSV file with the columns file (inside data), label and perhaps split, of images in no class folders.
    group_by: what keeps images together in split and folds: a pattern whose parentheses find a group's name in a path,
    a CSV file with the columns file and group, a mapping of paths to groups, or a group for each image of arrays.
    recipe: "fast" chooses otherwise: what learns small pictures in a few hundred large steps (training/fast.py),
    holding no image out for validation; "auto".
    init: weights to begin with: "efficientnet_lite0", _lite1 or _lite2 (trained on ImageNet), a model or run of ours, a
    .safetensors or PyTorch file; "none" for fresh ones also where photographs would get pretrained ones. The last layer
    is fresh where the classes are others, and is fitted to features first. freeze: how many blocks from the stem on
    keep these weights, or "all" but the last. probe: fit the last layer to features that are computed once, no more.

    The result does not depend on the rest: threads; cache "ram" or "none" (decode anew each epoch); strict: raise
    ImageError for the first image that cannot be used instead of skipping it; name of the run in the folder runs;
    preview: draw augmented.png, some training images as the first epochs vary them, into the run's folder first.

    resume continues a run to the very bits that it would have reached: True for the latest, or its name or path.
    data may then be left out, unless it was arrays. Options other than epochs and patience must be what they were.

    SIGINT and SIGTERM end it after the step, saved, with Interrupted. Raises UsageError, DataError, NetworkError,
    TrainingError (loss or gradient not finite; another process trains the run), SaveError, and, to resume, ModelError.
    """
    options = Options(
        arch=arch, epochs=epochs, batch_size=batch_size, lr=lr, optimizer=optimizer, schedule=schedule, warmup=warmup,
        weight_decay=weight_decay, loss=loss, label_smoothing=label_smoothing, class_weights=class_weights,
        augment=augment, size=size, grey=grey, seed=seed, split_seed=split_seed, patience=patience,
        ema=ema, exact=exact, sampling=sampling, time=time, fold=fold, recipe=recipe,
        exclude=None if exclude is None else names_of(exclude), labels=labels_of(labels), group_by=groups_of(group_by),
        init=None if init is None else os.fspath(init), freeze=freeze, probe=probe, range=range)
    if resume is not False and name is not None:
        raise UsageError("a run that is resumed keeps its name; leave --name out.")
    if threads is not None:
        kernels.set_threads(threads)
    setting = Setting(threads, cache, strict, observer or Observer())
    if resume is False:
        if data is None:
            raise UsageError("no images to train on; give a folder with one sub-folder per class."
                             if labels is None else "no images to train on; give the folder that the table's paths "
                             "are in: cnn train FOLDER --labels FILE.csv")
        prepared = begin(data, options, name, os.fspath(runs), setting)
    else:
        which = None if resume is True else os.fspath(resume)
        prepared = resumed(data, options, which, os.fspath(runs), setting)
    return carry_out(prepared, setting.observer, preview)


def carry_out(prepared: Prepared, observer: Observer, preview: bool = False) -> Run:
    """Train what is prepared to the end and draw its curves; first, where a preview is wanted, augmented.png."""
    with prepared.lock:
        if preview:
            _preview(prepared, observer)
        return _finish(prepared, observer)


def _finish(prepared: Prepared, observer: Observer) -> Run:
    run = prepared.lock.run
    if prepared.fit is None:
        observer.note(prepared.why)
        if newest_run(run.path.parent).name == run.name:  # it was killed just before runs/latest led to it
            _is_latest(run)
        if not (run.path / CURVES).exists():  # it was killed just before, or there was no space
            _draw(run, observer)
    else:
        with catch_stops() as stop:
            with _watched(prepared.fit, run, stop, observer):
                try:
                    prepared.fit.run_to_the_end(run, stop)
                except Interrupted:
                    _is_latest(run)
                    raise
                _is_latest(run)
            run.skipped = prepared.skipped
            prepared.fit = None  # images and arena: what draws the curves takes their memory
            _draw(run, observer)
    return run


@contextmanager
def _watched(fit: Fit, run: Run, stop: StopFlag, observer: Observer) -> Iterator[None]:
    """Tell of a training's beginning and, however it comes about, of its end. In between one may look inside."""
    inside, cause = Inside(fit.model, fit.trainer, fit.validation, stop), "an error"
    try:
        observer.started(run, fit.summary)
        observer.looking_inside(inside)
        yield
        cause = "finished"
    except Interrupted:
        cause = stop.cause
        raise
    finally:
        inside.close()
        observer.ended(cause)


def _is_latest(run: Run) -> None:
    """Let runs/latest lead to a run that has come to its end, or was stopped, if it has a model."""
    if run.has_model:
        with suppress(OSError):
            point_latest(run.path.parent, run.name)


def _preview(prepared: Prepared, observer: Observer) -> None:
    """Draw augmented.png. A training is not given up over a picture."""
    from ..report import augmented

    run = prepared.lock.run
    path: Path = run.path / AUGMENTED
    if prepared.fit is None:
        return
    try:
        augmented.draw(prepared.fit.batches, run.config["classes"], path, run.name)
        observer.note(f"{path} shows what training images look like.")
    except (OSError, ImportError, RuntimeError, CnnError) as error:  # RuntimeError: matplotlib got no thread
        observer.note(f"{path} could not be drawn: {error}")


def _draw(run: Run, observer: Observer) -> None:
    """Draw curves.png. A training that is done is not lost over a picture."""
    from ..report import curves

    path: Path = run.path / CURVES
    try:
        curves.draw(run.history, path, run.name)
    except (OSError, ImportError, RuntimeError, CnnError) as error:  # RuntimeError: matplotlib got no thread
        observer.note(f"{path} could not be drawn: {error}")
