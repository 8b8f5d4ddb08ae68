"""``cnncli.train``: from a folder of images to a run's folder with a model in it. prepare.py or resume.py makes a
training ready, fit.py does it, signals.py stops it, observer.py is told about it. The command is cli/train.py.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from .. import kernels
from ..architectures import ArchName
from ..data import Augmentation, Data
from ..data.batches import steps_of
from ..data.exclude import names_of
from ..data.groups import groups_of
from ..data.images import Cache
from ..data.labels import Labels, labels_of
from ..data.order import Sampling
from ..data.preprocessing import Resize
from ..errors import CnnError, Interrupted, UsageError
from ..loss import LossName
from ..model.precision import Wanted
from ..optim import OptimiserName, Schedule
from ..optim.schedule import Kind
from ..ranks.current import world as found_world
from ..runs import AUGMENTED, CURVES, Run, end_latest, newest_run
from ..values import as_hinted
from .fit import Fit
from .inside import Inside
from .observer import Observer
from .options import Freeze, Options, RecipeName, seconds_of
from .prepare import Prepared, Setting, begin
from .recipe import Recipe
from .resume import resume as resumed
from .signals import StopFlag, catch_stops
from .together import Followed, begin_together, shards_for

__all__ = ["train"]

_Path = str | os.PathLike[str]


@as_hinted
def train(
    data: Data | None = None,
    arch: ArchName | _Path | None = "auto",
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
    class_weights: Literal["balanced"] | Sequence[float] | Mapping[str, float] | None = None,
    augment: str | bool | Augmentation | None = None,
    size: int | tuple[int, int] | None = None,
    grey: bool | None = None,
    seed: int | None = None,
    split_seed: int | None = None,
    patience: int | None = None,
    ema: float | None = None,
    exact: bool | None = None,
    sampling: Sampling | None = None,
    time: str | float | timedelta | None = None,
    fold: tuple[int, int] | None = None,
    exclude: _Path | Collection[str] | None = None,
    labels: _Path | Labels | None = None,
    group_by: Any = None,
    threads: int | None = None,
    name: str | None = None,
    resume: bool | _Path | Run = False,
    cache: Cache = "auto",
    strict: bool = False,
    runs: _Path = "runs",
    preview: bool = False,
    observer: Observer | None = None,
    recipe: RecipeName | None = None,
    init: str | os.PathLike[str] | None = None,
    freeze: Freeze | int | None = None,
    probe: bool = False,
    range: str | Sequence[float] | None = None,
    fit: Resize | None = None,
    precision: Wanted | None = None,
    shards: int | None = None,
) -> Run:
    """Train a classifier on a folder of images, or on arrays in memory.

    What is None is chosen to suit the images and the network. Each choice is told to the observer and written to
    config.json in the run's folder. Where a default depends on init, weights that were chosen by default count as well.

    Args:
        data: A folder with one sub-folder per class, or with train/, val/ and test/ of such sub-folders. Or arrays:
            (images, labels), or {"train": (images, labels), "val": …, "test": …}. Images are uint8 (n, h, w), (n, h, w,
            1) or (n, h, w, 3), the same as floats from 0 to 1, or a list of images of any sizes. Labels are whole
            numbers or names. None, with resume: the folder that the run was trained on.
        arch: "auto" chooses by the images' size. Or a TOML file, or the name of an architecture: "lenet5", "classic",
            "nin", "vgg-small", "resnet8", "resnet9", "resnet20", "resnet18", "resnet34", "resnet50", "vgg11", "vgg16",
            "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
        epochs: How many times to go through the training images. None: 15 (8 with init, 20 with recipe="fast"), more if
            there are few images.
        batch_size: Images in one step. None: 128 (32 with init, 1,024 with recipe="fast"), fewer if there are few
            images.
        lr: The highest learning rate. None: chosen by network, images and optimiser.
        optimizer: "sgd" (momentum 0.9, Nesterov), "adam" or "adamw". None: "adamw" with init, else "sgd".
        schedule: How the learning rate changes: "one-cycle", "cosine", "step", "constant", "triangular", or a
            ``cnncli.optim.Schedule``, whose rate and steps may be left out. None: "one-cycle" ("triangular" with
            recipe="fast").
        warmup: For how many epochs the learning rate rises to lr. None: as the schedule has it.
        weight_decay: How strongly large weights are penalised; biases and batch norms are left out. None: 5e-4 for
            "sgd" (0.00133 with recipe="fast"), 0 for "adam", 0.01 for "adamw".
        loss: "cross-entropy" or "squared-error". None: "cross-entropy".
        label_smoothing: The share of each label that is spread over all classes, 0 to 1; for cross-entropy only. None:
            0.1 with init and for networks with batch norm (0.2 with recipe="fast"); 0 for others, if there are few
            parameters for each image, and with probe.
        class_weights: "balanced", so that all classes count the same, one number per class, or a mapping of names of
            classes to numbers, {"cat": 2.0}; the other classes then have 1. None: all images count the same.
        augment: How training images are changed each time they are used: "auto" (shifted, and mirrored unless they are
            grey), "none", "digits", "photo", "strong", a list like "shift=4,flip,rotate=10", or a
            ``cnncli.data.Augmentation``. None and True are "auto", False is "none".
        size: The size that images are scaled to, in pixels: one number, or (height, width). None: chosen by the images'
            own sizes.
        grey: True for one channel, False for three. None: as the images are.
        seed: The seed of all random numbers: initial weights, order, augmentation, and the split unless split_seed is
            given. None: 0.
        split_seed: The seed of the split into training, validation and test images. None: seed.
        patience: Stop after this many epochs in a row without a better one. None: never; with init, 5 if neither epochs
            nor time is given.
        ema: The last part of all steps over which weights are averaged, 0 to 1; 0 turns this off. None: 0.25 (0 with
            recipe="fast").
        exact: True computes convolutions without Winograd's algorithm. This is slower, and rounds a little less. None:
            False.
        sampling: "shuffled" draws each image once in an epoch, "balanced" each class equally often. None: "shuffled".
        time: How long to train: "90s", "10m", "1h30m", seconds, or a timedelta. The number of epochs is chosen after
            the speed was measured. Replaces epochs. None: epochs decides.
        fold: (k, K): train for cross-validation. The images that are not for the test are dealt into K parts; part k,
            from 1, is for validation. ``cnncli.cross_validate`` does this for each k. None: no fold.
        exclude: Images to leave out: their paths inside data, or a file that lists them, as `cnn check --exclude-list`
            writes it. The run remembers them. None: none.
        labels: A CSV file with the columns file (a path inside data), label, and optionally split, if the images lie in
            no class folders. None: the folders are the classes.
        group_by: Which images stay together in one part of the split, or in one fold. A regular expression whose
            parentheses find the name of the group in a path, a CSV file with the columns file and group, a mapping of
            paths to groups, or a group for each image of arrays. None: each image is on its own.
        threads: How many threads to use, in the whole process. None: one for each CPU, or what was set before. The
            result does not depend on it.
        name: The name of the run. None: the architecture and a number, like resnet8-1.
        resume: Continue a run: True for the latest, its name or path, or a ``Run``. The result is the same, to the bit,
            as if it had never been stopped. Options other than epochs and patience must be what they were, but
            precision="float32" may end bfloat16. False: begin a run.
        cache: "ram" keeps decoded images in memory. "disk" keeps them in a file, which later trainings use, too; the
            environment variable CNN_CACHE_DIR says where. "none" decodes them again in each epoch. "auto" is "ram" if
            they fit into memory, else "disk", or "none" if it has no room. The result is the same.
        strict: True raises ImageError for the first image that cannot be used. False: such files are skipped. An image
            in memory that cannot be used is always an error.
        runs: The folder in which the run's folder is made.
        preview: True draws augmented.png into the run's folder first: some training images and their changed versions.
        observer: An ``Observer`` that is told of choices and progress. None: nobody is told.
        recipe: "fast" trains a small network in a few hundred large steps. It is for colour images of about 32 pixels,
            and keeps no images for validation. None and "auto" are the usual training.
        init: The weights to start from: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2" (trained on
            ImageNet), a model or run of cnn, a .safetensors file, a PyTorch file, or "none" for random weights. If the
            classes are others, the last layer is new and is fitted to features first. None: "efficientnet_lite0" for
            photographs if it is installed, else "none".
        freeze: How many blocks, from the first on, keep the weights of init as they are; "all": only the last layer
            learns. None and "none": all layers learn.
        probe: True computes the features of each image once and fits only the last layer of init to them.
        fit: How images get the network's shape: "crop" (scaled, then cut at the centre), "squash" (the whole image,
            stretched), or "pad" (the whole image, scaled to fit inside, with grey beside it). None: "crop" for
            photographs, "squash" for small images of one shape; with init, as its model has it.
        range: The values that become black and white in images of more than 8 bits: "0:4095" or two numbers. None:
            found from the training images.
        precision: "float32", or "bfloat16": what layers hand on is stored in half the memory, and rounded; weights and
            the model file stay float32. "auto" measures some steps of both first, and takes bfloat16 only if it is
            clearly faster. None: as the environment variable CNN_PRECISION says, else "float32"; with resume, what the
            run began with.
        shards: How many parts each batch is computed in, one after the other, in the memory of one. Each part has
            batch-norm statistics of its own, so that another number gives another model. If several processes train
            together (``mpiexec``), they share the parts. None: 1, or as many as there are processes.

    Returns:
        The run. Its .path is the folder, .model the model of the best epoch, .history one dict per epoch, .skipped the
        (path, reason) of each image that could not be used.

    Raises:
        UsageError: An option makes no sense, by itself or beside another one.
        DataError: The images cannot be used; with strict, ImageError for one of them.
        NetworkError: The architecture's layers do not fit together, or the images are too small for it.
        ModelError: The weights of init, or the run to resume, cannot be used.
        TrainingError: The loss or a gradient is not finite, or another process trains the run.
        SaveError: A file could not be written.
        Interrupted: Ctrl-C or SIGTERM stopped the training after a step. Everything is saved.

    Example::

        run = cnncli.train("photos/", arch="resnet20", epochs=10, seed=0)
        run.model.predict("new.png")
    """
    world = found_world()
    if resume is False:
        shards = shards_for(world, shards, probe)
    options = Options(
        arch=None if arch is None else os.fspath(arch), epochs=epochs, batch_size=batch_size, lr=lr,
        optimizer=optimizer, schedule=schedule, warmup=warmup, weight_decay=weight_decay, loss=loss,
        label_smoothing=label_smoothing, class_weights=class_weights, augment=augment, size=size,
        grey=grey, seed=seed, split_seed=split_seed, patience=patience, ema=ema, exact=exact,
        sampling=sampling, time=None if time is None else seconds_of(time), fold=fold, recipe=recipe,
        exclude=None if exclude is None else names_of(exclude), labels=labels_of(labels), group_by=groups_of(group_by),
        init=None if init is None else os.fspath(init), freeze=freeze, probe=probe, range=range, fit=fit,
        precision=precision, shards=shards)
    if resume is not False and name is not None:
        raise UsageError("a run that is resumed keeps its name; leave --name out.")
    if threads is not None:
        kernels.set_threads(threads)
    setting = Setting(threads, cache, strict, (world.leads and observer) or Observer(), world=world)
    begin_together(world, options, setting.observer)
    if resume is False:
        if data is None:
            raise UsageError("there are no images; give a folder with one sub-folder per class."
                             if labels is None else "there are no images beside the table of labels; give the folder "
                                                    "that its paths are in: cnn train FOLDER --labels FILE.csv")
        prepared = begin(data, options, name, os.fspath(runs), setting)
    else:
        which = None if resume is True else os.fspath(resume)
        prepared = resumed(data, options, which, os.fspath(runs), setting)
    return carry_out(prepared, setting.observer, preview)


def carry_out(prepared: Prepared, observer: Observer, preview: bool = False) -> Run:
    """Do a training that is prepared, and draw its curves; with preview, draw augmented.png first."""
    with prepared.lock as lock:
        if isinstance(lock, Followed):
            return _follow(prepared, lock.run)
        if preview:
            _preview(prepared, observer)
        return _finish(prepared, observer)


def _follow(prepared: Prepared, run: Run) -> Run:
    """Train together with the leading process, which writes the run."""
    if prepared.fit:
        with catch_stops() as stop:
            prepared.fit.run_to_the_end(run, stop)
    return run


def _finish(prepared: Prepared, observer: Observer) -> Run:
    run = prepared.lock.run
    if prepared.fit is None:
        observer.note(prepared.why)
        if newest_run(run.path.parent).name == run.name:  # it was killed just before runs/latest led to it
            end_latest(run)
        if not (run.path / CURVES).exists():  # it was killed just before, or there was no space
            _draw(run, observer)
    else:
        files = run.config.get("data") is not None  # named as a run that is resumed names them
        with catch_stops() as stop:
            with _watched(prepared.fit, run, stop, observer):
                try:
                    prepared.fit.run_to_the_end(run, stop)
                except Interrupted:
                    end_latest(run)
                    raise
                finally:
                    run.skipped = [(os.path.abspath(p) if files else p, why) for p, why in prepared.skipped]
                end_latest(run)
            prepared.fit = None  # images and arena: what draws the curves takes their memory
            _draw(run, observer)
    return run


@contextmanager
def _watched(fit: Fit, run: Run, stop: StopFlag, observer: Observer) -> Iterator[None]:
    """Tell the observer of a training's beginning and of its end, however it ends. In between it may look inside."""
    inside, cause = Inside(fit.model, fit.trainer, fit.validation, stop), "an error"
    try:
        observer.started(run, deepcopy(fit.summary))
        observer.looking_inside(inside)
        yield
        cause = "finished"
    except Interrupted:
        cause = stop.cause
        raise
    finally:
        inside.close()
        observer.ended(cause)


def _preview(prepared: Prepared, observer: Observer) -> None:
    """Draw augmented.png. If that fails, the training goes on."""
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
    """Draw curves.png. If that fails, the training is not lost."""
    from ..report import curves

    path: Path = run.path / CURVES
    try:
        curves.draw(run.history, path, run.name, run.kept, _rates(run))
    except (OSError, ImportError, RuntimeError, CnnError) as error:  # RuntimeError: matplotlib got no thread
        observer.note(f"{path} could not be drawn: {error}")


def _rates(run: Run) -> tuple[Callable[[int], float], int] | None:
    """Return the learning rate of each step of a run, and the steps of an epoch; None where its recipe does not tell.
    """
    with suppress(CnnError, LookupError, TypeError, ValueError):
        recipe = Recipe.from_config(run.config["recipe"])
        steps = steps_of(run.config["images"]["train"], recipe.batch_size)
        return recipe.make_schedule(steps), steps
    return None
