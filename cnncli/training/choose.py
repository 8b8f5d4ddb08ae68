"""What a training does, decided before it begins. Options, facts about the images and the network as it starts go in. A
recipe (recipe.py) comes out, with the reasons for it. Nothing is read or changed here. What the user gave always wins
over what would be chosen.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..architectures.resnet9 import LARGEST_SIDE
from ..data import SAMPLINGS, Augmentation, Preprocessing, Splits, describe, naming
from ..data.depth import parse as parse_range
from ..data.exclude import fingerprint
from ..errors import UsageError, no_such
from ..model.precision import BFLOAT16, FLOAT32
from ..network import Network
from ..network.blocks import blocks, dense_head
from . import defaults, fast, finetune
from .defaults import Defaults, has_norm, parameters
from .finetune import frozen_blocks
from .options import ALL, AUTO, FAST, Options
from .recipe import Recipe, schedule_config
from .shards import FEWEST
from .start import Start

SMALLEST_BATCH = 8
STEPS_AN_EPOCH = 40  # at least, or the batch is made smaller
# With fewer parameters than this for each image, and no batch norm, a network learns little by heart: variety only
# slows it down. LeNet-5 on 54,000 images of Fashion-MNIST in 8 epochs, of the validation images: 91.6 % without, 90.4 %
# with shifts.
TOO_FEW_PARAMETERS = 2


@dataclass(frozen=True)
class Facts:
    """What a choice depends on beside options and network: how many training images each class has, how many validation
    images there are, the fingerprint of the list of images that were left out (None without one), and the names of the
    classes.
    """

    counts: tuple[int, ...]
    val: int
    excluded: str | None
    classes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many images are trained on."""
        return sum(self.counts)

    @classmethod
    def of(cls, splits: Splits) -> "Facts":
        """Return the facts about a data folder's images."""
        counts = Counter(sample.label for sample in splits.train)
        return cls(tuple(counts[label] for label in range(len(splits.classes))), len(splits.val),
                   fingerprint(splits.excluded), tuple(splits.classes))


@dataclass(frozen=True)
class Choice:
    """A recipe, and the sentences that tell the user why."""

    recipe: Recipe
    notes: list[str]


def choose(options: Options, facts: Facts, start: Start) -> Choice:
    """Choose whatever was not given, for a network as it starts. Nothing is read, drawn or changed.

    Raises UsageError if options do not fit the images or the network.
    """
    is_fast = options.recipe == FAST
    kind: Any = fast if is_fast else finetune if start.source else defaults
    usual: Defaults = kind.DEFAULTS
    preprocessing, network, images = start.preprocessing, start.network, facts.images
    epochs, few = _epochs(options, images, usual)
    patience, impatient = _patience(options, facts, usual)
    batch_size, small = _batch_size(options.batch_size, images, usual.batch_size)
    varied = fast.augmentation(preprocessing) if is_fast and options.augment in (None, True) else options.augment
    augmentation, how = _augmentation(varied, preprocessing, network, images)
    optimizer = options.optimizer or usual.optimizer
    tuning = kind.tuning(network, start.arch, optimizer, min(batch_size, images), images)
    notes = [*few, *impatient, *small, *how]
    if options.probe:  # sees every image once, as it is
        epochs, augmentation, notes = 1, None, []
    if is_fast:
        notes += _notes_on_fast(preprocessing, start.arch, optimizer, facts)
    recipe = Recipe(
        arch=start.arch,
        epochs=epochs,
        batch_size=batch_size,
        lr=tuning.lr if options.lr is None else float(options.lr),
        optimizer=optimizer,
        schedule=schedule_config(options.schedule or usual.schedule),
        warmup=None if options.warmup is None else float(options.warmup),
        weight_decay=float(tuning.weight_decay if options.weight_decay is None else options.weight_decay),
        loss=options.loss or "cross-entropy",
        label_smoothing=_label_smoothing(options, 0.0 if options.probe else tuning.label_smoothing),
        class_weights=_class_weights(options.class_weights, facts),
        augment=augmentation.config() if augmentation else None,
        size=preprocessing.size,
        grey=preprocessing.grey,
        resize=preprocessing.resize,
        seed=options.seed or 0,
        patience=patience,
        ema=usual.averaged if options.ema is None else float(options.ema),
        exact=bool(options.exact),
        sampling=options.sampling or SAMPLINGS[0],
        time=None if options.time is None else float(options.time),
        fold=options.fold,
        exclude=facts.excluded,
        split_seed=options.split_seed,
        group_by=options.group_by.fingerprint() if options.group_by else None,
        labels=options.labels.fingerprint() if options.labels else None,
        recipe=options.recipe or AUTO,
        momentum=tuning.momentum,
        norm_biases=tuning.norm_biases,
        lookahead=usual.lookahead,
        range=preprocessing.range if options.range is None else parse_range(options.range),  # None: found in decoding
        float_range=None if options.range else preprocessing.float_range,
        precision=BFLOAT16 if options.precision == BFLOAT16 else FLOAT32,  # auto: prepare.py measures
        shards=_shards(options.shards, min(batch_size, images)),
        **_fine_tuning(options, start, tuning.stem_rate, batch_size),
    )
    if start.source:
        notes += _notes_on_fine_tuning(recipe, network)
    if recipe.time is None:
        recipe.check_warmup()
    return Choice(recipe, notes)


def _fine_tuning(options: Options, start: Start, stem_rate: float | None, batch_size: int) -> dict[str, Any]:
    """Return the fields of a recipe that say what happens to weights from elsewhere."""
    if options.probe:
        check_head(start.network, start.arch)
    freeze = ALL if options.probe else options.freeze or 0
    finetune.frozen_blocks(start.network, freeze)  # refuses more than there are
    return {"init": start.source,
            "freeze": freeze,
            "probe": bool(options.probe),
            "head_first": bool(options.probe) or (start.new_head and dense_head(start.network) is not None),
            "stem_rate": stem_rate,
            "fixed_statistics": start.source is not None and batch_size < finetune.SMALL_BATCH}


def _notes_on_fine_tuning(recipe: Recipe, network: Network) -> list[str]:
    """Return in words what happens to the layers."""
    parts = len(blocks(network))
    frozen = frozen_blocks(network, recipe.freeze)
    if recipe.probe:
        return ["Only the last layer learns. It is fitted to features that are computed once."]
    layers = f"blocks {frozen + 1} to {parts} of {parts} learn" if frozen else "all layers learn"
    said = f"First the last layer is fitted to features, then {layers}" if recipe.head_first else layers.capitalize()
    slower = "" if recipe.stem_rate is None or frozen == parts - 1 else (
        f", the first ones more slowly, down to {recipe.stem_rate:g} times the learning rate")
    fixed = " Batch norms keep their statistics, because batches are small." if recipe.fixed_statistics else ""
    return [f"{said}{slower}.{fixed}"]


def check_head(network: Network, arch: str) -> None:
    """Raise UsageError if the last layer cannot be fitted alone."""
    if dense_head(network) is None:
        raise UsageError(f"the last layer of {arch} is no dense one behind others, so that --probe cannot fit it; give "
                         "--freeze all instead.")


def _epochs(options: Options, images: int, usual: Defaults) -> tuple[int, list[str]]:
    """Return how many epochs: more for small sets, which would otherwise end before anything is learnt."""
    if options.epochs is not None:
        return options.epochs, []
    epochs = min(max(usual.epochs, math.ceil(usual.least_seen / images)), usual.most_epochs)
    few = epochs > usual.epochs and options.time is None
    return epochs, [f"{epochs} epochs, because there are only {images:,} training images."] if few else []


def _patience(options: Options, facts: Facts, usual: Defaults) -> tuple[int | None, list[str]]:
    """Return after how many epochs without a better one to stop. The usual number is chosen only if the epochs were
    chosen here, too, and there are validation images.
    """
    chosen_here = options.epochs is None and options.time is None and not options.probe
    if options.patience is not None or usual.patience is None or not facts.val or not chosen_here:
        return options.patience, []
    return usual.patience, [f"Training stops early after {usual.patience} epochs in a row that are no better; "
                            "--patience sets another number."]


def _batch_size(given: int | None, images: int, usual: int) -> tuple[int, list[str]]:
    """Return the batch size: the usual one, halved for small sets until an epoch has enough steps."""
    if given is not None:
        return given, []
    size = usual
    while size > SMALLEST_BATCH and images < size * STEPS_AN_EPOCH:
        size //= 2
    return size, [f"Batches of {size}, because there are only {images:,} training images."] if size < usual else []


def _shards(given: int | None, batch: int) -> int:
    """Return the number of parts of a batch. Raises UsageError if there are more than it has images for."""
    if given is not None and given > 1 and given * FEWEST > batch:
        raise UsageError(f"--shards {given} leaves less than {FEWEST} of {batch} images for each part of a batch; give "
                         f"at most {max(1, batch // FEWEST)}, or larger batches with --batch-size.")
    return given or 1


def _augmentation(
    given: str | bool | Augmentation | None, preprocessing: Preprocessing, network: Network, images: int
) -> tuple[Augmentation | None, list[str]]:
    """Return how training images are changed, with the sentence that says so. They are not changed if that was asked
    for, or if it would only slow the training down.
    """
    count = parameters(network)
    if given is None and not has_norm(network) and count < TOO_FEW_PARAMETERS * images:
        more = "digits" if preprocessing.grey else "photo"
        return None, [f"Images are not changed in training, because {count:,} parameters cannot learn {images:,} "
                      f"images by heart; --augment {more} changes them all the same."]
    augmentation = requested_augmentation(given, preprocessing)
    chosen = not isinstance(given, Augmentation) and (not isinstance(given, str) or "flip" not in given)
    return augmentation, [describe(augmentation, preprocessing, chosen)]


def requested_augmentation(given: str | bool | Augmentation | None, preprocessing: Preprocessing
                           ) -> Augmentation | None:
    """Return the augmentation that was asked for, or one that suits the images if the choice was left to us."""
    if isinstance(given, Augmentation):
        return given
    return naming.named("none" if given is False else "auto", preprocessing) if not isinstance(given, str) else (
        naming.parse(given, preprocessing))


def _notes_on_fast(preprocessing: Preprocessing, arch: str, optimizer: str, facts: Facts) -> list[str]:
    notes = []
    if max(preprocessing.size) > LARGEST_SIDE:
        notes.append("The recipe fast is made for pictures of about 32 pixels; --size 32 scales them down.")
    if not fast.suits(arch, optimizer):
        notes.append("The learning rates are the usual ones, because those of the recipe fast suit only sgd and "
                     f"{fast.ARCH}.")
    if not facts.val:
        notes.append("The recipe fast trains on every image of train/ and holds none out; without a val/ beside it, "
                     "nothing says which epoch is best.")
    return notes


def _label_smoothing(options: Options, usual: float) -> float | None:
    if options.loss not in (None, "cross-entropy"):
        return None
    if options.label_smoothing is not None:
        return float(options.label_smoothing)
    return usual


def _class_weights(given: str | Sequence[float] | Mapping[str, float] | None, facts: Facts
                   ) -> tuple[float, ...] | None:
    """Return a weight for each class; "balanced" makes every class count the same, however many images it has."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return weights_by_name(given, facts.classes)
    if not isinstance(given, str):
        if len(given) != len(facts.counts):
            raise UsageError(f"there are {len(given)} class weights for {len(facts.counts)} classes; give one for each "
                             "class, in the order of the classes.")
        return tuple(float(weight) for weight in given)
    return tuple(facts.images / (len(facts.counts) * count) for count in facts.counts)


def weights_by_name(given: Mapping[str, float], classes: Sequence[str]) -> tuple[float, ...]:
    """Return a weight for each class from those that are given by name; the others have 1. Raises UsageError for a name
    that is no class's.
    """
    for name in given:
        if name not in classes:
            raise UsageError(no_such("class", name, classes))
    return tuple(float(given.get(name, 1.0)) for name in classes)
