"""What a training does, settled before it begins: the options that somebody gave, and for the rest defaults that suit
the images and the network. A ``Recipe`` is plain JSON, stands in the run's config.json and in the model file, and
makes the optimiser, schedule, loss and network; what was given always wins over what would be chosen.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..architectures.resnet9 import LARGEST_SIDE
from ..data import SAMPLINGS, Augmentation, Preprocessing, Splits, check_fold, choose_size, describe
from ..data.exclude import fingerprint, names_of
from ..errors import UsageError, did_you_mean
from ..loss import Loss, loss_by_name
from ..network import Network
from ..optim import Optimiser, optimiser_by_name
from ..schedule import DEFAULT_SCHEDULE, Schedule
from . import defaults, fast, finetune, probe, start
from .budget import seconds_of
from .defaults import Defaults, has_norm, parameters

AUTO, FAST = NAMED = "auto", "fast"
SMALLEST_BATCH = 8
STEPS_AN_EPOCH = 40  # at least, or the batch is made smaller
# With fewer parameters than this for each image, and no batch norm, a network learns little by heart: variety only
# slows it down. LeNet-5 on 54,000 images of Fashion-MNIST in 8 epochs, of the validation images: 91.6 % without, 90.4 %
# with shifts.
TOO_FEW_PARAMETERS = 2
LARGEST_SIZE, LARGEST_SEED = 4096, 2**63 - 1


@dataclass(frozen=True)
class Options:
    """What somebody asked for; None is "choose for me". cnncli.train documents each."""

    arch: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    optimizer: str | None = None
    schedule: str | None = None
    warmup: float | None = None
    weight_decay: float | None = None
    loss: str | None = None
    label_smoothing: float | None = None
    class_weights: str | Sequence[float] | None = None
    augment: str | bool | Augmentation | None = None
    size: int | tuple[int, int] | None = None
    grey: bool | None = None
    seed: int | None = None
    patience: int | None = None
    ema: float | None = None
    exact: bool | None = None
    sampling: str | None = None
    time: str | float | None = None  # instead of epochs
    fold: tuple[int, int] | None = None  # which of how many, from 1
    exclude: Collection[str] | None = None  # names, or the file that lists them, which becomes its names
    recipe: str | None = None
    init: str | None = None  # what to begin with: a pretrained network, a file or run; "none" for fresh weights
    freeze: str | int | None = None  # blocks that do not learn, or "all" or "none"
    probe: bool | None = None

    def __post_init__(self) -> None:
        if self.arch == "auto":
            object.__setattr__(self, "arch", None)
        if isinstance(self.augment, str):
            Augmentation.parse(self.augment, Preprocessing((LARGEST_SIZE, LARGEST_SIZE)))  # refuses unknown words
            if self.augment == "auto":
                object.__setattr__(self, "augment", None)
        if self.recipe not in (None, *NAMED):
            raise UsageError(f"there is no recipe {self.recipe!r}; known are {', '.join(NAMED)}."
                             + did_you_mean(self.recipe, list(NAMED)))
        _check_whole("epochs", self.epochs, 1)
        _check_whole("batch size", self.batch_size, 1)
        _check_whole("patience", self.patience, 1)
        _check_whole("seed", self.seed, 0, LARGEST_SEED)
        if self.exclude is not None:
            object.__setattr__(self, "exclude", names_of(self.exclude))
        for side in self.size if isinstance(self.size, tuple | list) else [self.size]:
            _check_whole("size", side, 1, LARGEST_SIZE)
        _check_number("learning rate", self.lr, 0, above=True)
        _check_number("warm-up", self.warmup, 0)
        _check_number("averaged part", self.ema, 0, most=1)
        self._check_sampling()
        object.__setattr__(self, "probe", self.probe or None)
        if self.freeze == finetune.NONE:
            object.__setattr__(self, "freeze", 0)
        finetune.check(self)
        if self.init not in (None, start.NONE) and self.recipe == FAST:
            raise UsageError("the recipe fast begins from nothing; leave --init or --recipe out.")
        if self.time is not None:
            object.__setattr__(self, "time", seconds_of(self.time))
            if self.epochs is not None:
                raise UsageError("the time chooses the number of epochs; give one of --time and --epochs.")
        if self.fold is not None:
            check_fold(*self.fold)
        if isinstance(self.class_weights, str) and self.class_weights != "balanced":
            raise UsageError(f"the class weights are balanced, or a number for each class, not {self.class_weights!r}.")
        # These refuse unknown names and numbers that make no sense.
        optimiser_by_name(self.optimizer or "sgd", weight_decay=self.weight_decay)
        loss_by_name(self.loss or "cross-entropy", label_smoothing=self.label_smoothing)
        Schedule(self.schedule or DEFAULT_SCHEDULE, 1.0, 1)

    def _check_sampling(self) -> None:
        if self.sampling not in (None, *SAMPLINGS):
            raise UsageError(f"the sampling is {' or '.join(SAMPLINGS)}, not {self.sampling!r}."
                             + did_you_mean(str(self.sampling), list(SAMPLINGS)))
        if self.sampling == "balanced" and self.class_weights is not None:
            raise UsageError("balanced sampling and class weights would count rare classes twice; give one of them.")

    def given(self) -> dict[str, Any]:
        """Return the options that are not left to us."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class Recipe:
    """A training, resolved. lr is the schedule's peak, warmup in epochs (None: the schedule's own), weight_decay
    spares biases and norms, class_weights has a number a class, augment is an Augmentation's config(), size (h, w), ema
    the last part of all steps, over which weights are averaged, exact rules Winograd out. time is the seconds that the
    epochs were chosen for; fold is (which, of how many), and its images are validated on; exclude is the fingerprint of
    the list of images that were left out. recipe is the name that the choices go by, momentum SGD's (None: the
    optimiser's own), norm_biases the learning rate of the batch norms' biases as a multiple of lr (None: 1), lookahead
    whether slow weights follow (lookahead.py). init is where the first weights are from (None: they are fresh), freeze
    how many blocks keep them, or "all" but the last; head_first says whether the last layer is fitted to features
    before the first step, probe whether that is all; stem_rate is the learning rate of the first block as a multiple of
    the last one's (None: 1), fixed_statistics keeps the batch norms' running statistics as they are."""

    arch: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str
    schedule: str
    warmup: float | None
    weight_decay: float
    loss: str
    label_smoothing: float | None
    class_weights: tuple[float, ...] | None
    augment: dict[str, Any] | None
    size: tuple[int, int]
    grey: bool
    resize: str
    seed: int
    patience: int | None
    ema: float
    exact: bool
    sampling: str
    time: float | None
    fold: tuple[int, int] | None
    exclude: str | None
    recipe: str
    momentum: float | None
    norm_biases: float | None
    lookahead: bool
    init: str | None
    freeze: int | str
    probe: bool
    head_first: bool
    stem_rate: float | None
    fixed_statistics: bool

    def config(self) -> dict[str, Any]:
        """Return it as JSON values: Recipe.from_config takes them back."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recipe":
        """Read what ``config`` returned. Raises UsageError where it is not that."""
        if not isinstance(config, dict) or config.keys() != {f.name for f in fields(cls)}:
            raise UsageError("the run's recipe is not one of this version of cnn; train anew.")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        return cls(**values)

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to every image, but for mean and deviation."""
        return Preprocessing(self.size, self.grey, self.resize)

    @property
    def augmentation(self) -> Augmentation | None:
        """How training images are varied."""
        return Augmentation.from_config(self.augment)

    def check_warmup(self) -> None:
        """Raise UsageError where the warm-up is longer than the training."""
        if self.warmup is not None and self.warmup > self.epochs:
            raise UsageError(f"a warm-up of {self.warmup:g} epochs does not fit into {self.epochs}; shorten it.")

    def make_optimiser(self) -> Optimiser:
        """Return a fresh optimiser."""
        return optimiser_by_name(self.optimizer, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum)

    def make_rates(self, network: Network) -> dict[str, float] | None:
        """Return the learning rates of single parameters of the network, by name, as multiples of the others'."""
        if self.stem_rate is not None:
            return finetune.rates(network, self.stem_rate)
        return None if self.norm_biases is None else fast.rates(network, self.norm_biases)

    def make_loss(self) -> Loss:
        """Return the loss that is made small."""
        weights = list(self.class_weights) if self.class_weights else None
        return loss_by_name(self.loss, label_smoothing=self.label_smoothing, class_weights=weights)

    def make_schedule(self, steps: int) -> Schedule:
        """Return the schedule for epochs of that many steps."""
        warmup = 0 if self.warmup is None else round(self.warmup * steps)
        return Schedule(self.schedule, self.lr, self.epochs * steps, warmup)


def resolve(options: Options, splits: Splits) -> tuple[Recipe, start.Start, list[str]]:
    """Choose whatever was not given; return the recipe, what it begins with, and what to tell the user.

    Looks at the headers of some images. Raises UsageError, NetworkError or DataError where nothing fits.
    """
    is_fast = options.recipe == FAST
    beginning, preprocessing, notes = _begin(options, splits)
    arch, network = beginning.arch, beginning.network
    kind: Any = fast if is_fast else finetune if beginning.source else defaults
    usual: Defaults = kind.DEFAULTS
    epochs, few = _epochs(options, len(splits.train), usual)
    batch_size, small = _batch_size(options.batch_size, len(splits.train), usual.batch_size)
    varied = fast.augmentation(preprocessing) if is_fast and options.augment in (None, True) else options.augment
    augmentation, how = _augmentation(varied, preprocessing, network, len(splits.train))
    if options.probe:  # sees every image once, as it is
        epochs, augmentation = 1, None
    else:
        notes += few + small + how
    optimizer = options.optimizer or usual.optimizer
    tuning = kind.tuning(network, arch, optimizer, min(batch_size, len(splits.train)), len(splits.train))
    notes += _notes_on_fast(preprocessing, arch, optimizer, splits) if is_fast else []
    recipe = Recipe(
        arch=arch,
        epochs=epochs,
        batch_size=batch_size,
        lr=tuning.lr if options.lr is None else float(options.lr),
        optimizer=optimizer,
        schedule=options.schedule or usual.schedule,
        warmup=None if options.warmup is None else float(options.warmup),
        weight_decay=float(tuning.weight_decay if options.weight_decay is None else options.weight_decay),
        loss=options.loss or "cross-entropy",
        label_smoothing=_label_smoothing(options, 0.0 if options.probe else tuning.label_smoothing),
        class_weights=_class_weights(options.class_weights, splits),
        augment=augmentation.config() if augmentation else None,
        size=preprocessing.size,
        grey=preprocessing.grey,
        resize=preprocessing.resize,
        seed=options.seed or 0,
        patience=options.patience,
        ema=usual.averaged if options.ema is None else float(options.ema),
        exact=bool(options.exact),
        sampling=options.sampling or SAMPLINGS[0],
        time=None if options.time is None else float(options.time),
        fold=options.fold,
        exclude=fingerprint(splits.excluded),
        recipe=options.recipe or AUTO,
        momentum=tuning.momentum,
        norm_biases=tuning.norm_biases,
        lookahead=usual.lookahead,
        **_fine_tuning(options, beginning, tuning.stem_rate, batch_size),
    )
    notes += finetune.notes(recipe, network) if beginning.source else []
    if recipe.time is None:
        recipe.check_warmup()
    return recipe, beginning, notes


def differences(options: Options, recipe: Recipe) -> list[str]:
    """Return the names of options that were given and are not what the recipe says, for somebody who resumes."""
    found = []
    for name, value in options.given().items():
        was = getattr(recipe, name)
        if name == "size":
            value = (value, value) if isinstance(value, int) else tuple(value)
        elif name == "augment":
            was, value = _augmentation_config(was, value, recipe.preprocessing)
        elif name == "class_weights":
            was, value = (None, None) if isinstance(value, str) == (was is not None) else (was, tuple(value))
        elif name == "arch":
            value = start.arch_name(value)
        elif name == "exclude":
            value = fingerprint(value)
        elif name == "init":
            value = start.source_of(value)
        if value != was:
            found.append(name)
    return found


# ---- single choices ----


def _begin(options: Options, splits: Splits) -> tuple[start.Start, Preprocessing, list[str]]:
    """Return the network with its first weights, what is done to images, and the reasons."""
    arch, init, seed = options.arch, options.init, options.seed or 0
    said: list[str] = []
    if init in (None, start.NONE):
        preprocessing, why = choose_size(splits.train, options.size, options.grey)
        if init is None and arch is None and options.recipe != FAST:
            init, said = start.automatic(splits.train, preprocessing, options.size)
        if init in (None, start.NONE):
            if options.probe or options.freeze:
                raise UsageError(f"{'--probe' if options.probe else '--freeze'} keeps what a network has learnt "
                                 "elsewhere; say which with --init.")
            beginning = start.fresh(arch or (fast.ARCH if options.recipe == FAST else None), preprocessing,
                                    len(splits.classes), seed)
            return beginning, preprocessing, [*(f"Images: {reason}" for reason in why), *beginning.notes]
    beginning = start.begun(init, arch, options.size, options.grey, splits.classes, seed)
    assert beginning.preprocessing is not None
    return beginning, beginning.preprocessing, [*said, *beginning.notes]


def _fine_tuning(options: Options, beginning: start.Start, stem_rate: float | None, batch_size: int) -> dict[str, Any]:
    """Return the fields of a recipe that say what others' weights become."""
    if options.probe:
        probe.check_head(beginning.network, beginning.arch)
    freeze = finetune.ALL if options.probe else options.freeze or 0
    finetune.frozen_blocks(beginning.network, freeze)  # refuses more than there are
    return {"init": beginning.source,
            "freeze": freeze,
            "probe": bool(options.probe),
            "head_first": bool(options.probe) or (beginning.new_head and probe.head(beginning.network) is not None),
            "stem_rate": stem_rate,
            "fixed_statistics": beginning.source is not None and batch_size < finetune.SMALL_BATCH}


def _epochs(options: Options, images: int, usual: Defaults) -> tuple[int, list[str]]:
    """Return how many epochs: more for small sets, which would otherwise be over before anything is learnt."""
    if options.epochs is not None:
        return options.epochs, []
    epochs = min(max(usual.epochs, math.ceil(usual.least_seen / images)), usual.most_epochs)
    few = epochs > usual.epochs and options.time is None
    return epochs, [f"{epochs} epochs, because there are only {images:,} training images."] if few else []


def _batch_size(given: int | None, images: int, usual: int) -> tuple[int, list[str]]:
    """Return the batch size: the usual one, halved for small sets until an epoch has steps enough to learn from."""
    if given is not None:
        return given, []
    size = usual
    while size > SMALLEST_BATCH and images < size * STEPS_AN_EPOCH:
        size //= 2
    return size, [f"Batches of {size}, because there are only {images:,} training images."] if size < usual else []


def _augmentation(
    given: str | bool | Augmentation | None, preprocessing: Preprocessing, network: Network, images: int
) -> tuple[Augmentation | None, list[str]]:
    """Return how to vary the training images, with the sentence that says so: not at all where that was asked for or
    would only slow things down."""
    count = parameters(network)
    if given is None and not has_norm(network) and count < TOO_FEW_PARAMETERS * images:
        return None, [f"Images are not varied in training: {count:,} parameters cannot learn {images:,} images by "
                      f"heart; --augment {'digits' if preprocessing.grey else 'photo'} varies them all the same."]
    augmentation = _asked(given, preprocessing)
    chosen = not isinstance(given, Augmentation) and (not isinstance(given, str) or "flip" not in given)
    return augmentation, [describe(augmentation, preprocessing, chosen)]


def _asked(given: str | bool | Augmentation | None, preprocessing: Preprocessing) -> Augmentation | None:
    """Return the augmentation that somebody asked for; what suits the images where that was left to us."""
    if isinstance(given, Augmentation):
        return given
    return Augmentation.named("none" if given is False else "auto", preprocessing) if not isinstance(given, str) else (
        Augmentation.parse(given, preprocessing))


def _augmentation_config(was: dict[str, Any] | None, given: str | bool | Augmentation, preprocessing: Preprocessing
                         ) -> tuple[Any, Any]:
    """Return the strengths of a recipe and of an option in the same form; True is whatever there was."""
    if given is True:
        return was is not None, True
    before, asked = Augmentation.from_config(was), _asked(given, preprocessing)
    return before and before.config(), asked and asked.config()


def _notes_on_fast(preprocessing: Preprocessing, arch: str, optimizer: str, splits: Splits) -> list[str]:
    notes = []
    if max(preprocessing.size) > LARGEST_SIDE:
        notes.append("The recipe fast is made for pictures of about 32 pixels; --size 32 scales them down.")
    if not fast.suits(arch, optimizer):
        notes.append(f"Learning rates are the usual ones: those of the recipe fast suit sgd and {fast.ARCH} only.")
    if not splits.val:
        notes.append("The recipe fast trains on every image of train/ and holds none out; without a val/ beside it, "
                     "nothing says which epoch is best.")
    return notes


def fractions(recipe: str | None) -> tuple[float, float, float]:
    """Return how a folder's images are divided into training, validation and test where it does not say."""
    return fast.FRACTIONS if recipe == FAST else (0.8, 0.1, 0.1)


def _label_smoothing(options: Options, usual: float) -> float | None:
    if options.loss not in (None, "cross-entropy"):
        return None
    if options.label_smoothing is not None:
        return float(options.label_smoothing)
    return usual


def _class_weights(given: str | Sequence[float] | None, splits: Splits) -> tuple[float, ...] | None:
    """Return a weight for each class; "balanced" makes every class count the same, however many images it has."""
    if given is None:
        return None
    if not isinstance(given, str):
        if len(given) != len(splits.classes):
            raise UsageError(f"there are {len(given)} class weights for {len(splits.classes)} classes.")
        return tuple(float(weight) for weight in given)
    counts = [0] * len(splits.classes)
    for sample in splits.train:
        counts[sample.label] += 1
    return tuple(len(splits.train) / (len(counts) * count) for count in counts)


# ---- checks ----


def _check_whole(what: str, value: Any, least: int, most: int | None = None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(f"the {what} must be a whole number {limits}, not {value!r}.")


def _check_number(what: str, value: Any, least: float, above: bool = False, most: float = math.inf) -> None:
    if value is None:
        return
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < least or (above and value == least) or value > most:
        limit = f" and of at most {most:g}" if math.isfinite(most) else ""
        raise UsageError(f"the {what} must be a finite number {'above' if above else 'of at least'} {least:g}{limit}, "
                         f"not {value!r}.")
