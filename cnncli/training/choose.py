"""What a training does, decided before it begins: options and facts about the images go in, a recipe (recipe.py) and
the reasons for it come out. What was given always wins over what would be chosen. prepare.py asks here once.
"""

import math
from collections.abc import Sequence
from typing import Any

from ..architectures.resnet9 import LARGEST_SIDE
from ..data import SAMPLINGS, Augmentation, Preprocessing, Splits, choose_size, describe, naming
from ..data.exclude import fingerprint
from ..errors import UsageError
from ..network import Network
from ..network.blocks import blocks, head
from . import defaults, fast, finetune, start
from .defaults import Defaults, has_norm, parameters
from .finetune import frozen_blocks
from .options import AUTO, FAST, Options
from .recipe import Recipe

SMALLEST_BATCH = 8
STEPS_AN_EPOCH = 40  # at least, or the batch is made smaller
# With fewer parameters than this for each image, and no batch norm, a network learns little by heart: variety only
# slows it down. LeNet-5 on 54,000 images of Fashion-MNIST in 8 epochs, of the validation images: 91.6 % without, 90.4 %
# with shifts.
TOO_FEW_PARAMETERS = 2


def choose(options: Options, splits: Splits) -> tuple[Recipe, start.Start, list[str]]:
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
    notes += _notes_on_fine_tuning(recipe, network) if beginning.source else []
    if recipe.time is None:
        recipe.check_warmup()
    return recipe, beginning, notes


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
        check_head(beginning.network, beginning.arch)
    freeze = finetune.ALL if options.probe else options.freeze or 0
    finetune.frozen_blocks(beginning.network, freeze)  # refuses more than there are
    return {"init": beginning.source,
            "freeze": freeze,
            "probe": bool(options.probe),
            "head_first": bool(options.probe) or (beginning.new_head and head(beginning.network) is not None),
            "stem_rate": stem_rate,
            "fixed_statistics": beginning.source is not None and batch_size < finetune.SMALL_BATCH}


def _notes_on_fine_tuning(recipe: Recipe, network: Network) -> list[str]:
    """Return what becomes of the layers, in words."""
    parts = len(blocks(network))
    frozen = frozen_blocks(network, recipe.freeze)
    if recipe.probe:
        return ["Learning: the last layer alone, fitted to features that are computed once."]
    said = "the last layer is fitted to features first; then " if recipe.head_first else ""
    layers = f"blocks {frozen + 1} to {parts} of {parts}" if frozen else "all layers"
    slower = "" if recipe.stem_rate is None or frozen == parts - 1 else (
        f", the nearer to the stem the more slowly, by down to {recipe.stem_rate:g}")
    fixed = "; batch norms keep their statistics, because batches are small" if recipe.fixed_statistics else ""
    return [f"Learning: {said}{layers}{slower}{fixed}."]


def check_head(network: Network, arch: str) -> None:
    """Raise UsageError where the last layer is none that can be fitted alone."""
    if head(network) is None:
        raise UsageError(f"the last layer of {arch} is no dense one behind others, so that --probe cannot fit it; give "
                         "--freeze all instead.")


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
    augmentation = asked_augmentation(given, preprocessing)
    chosen = not isinstance(given, Augmentation) and (not isinstance(given, str) or "flip" not in given)
    return augmentation, [describe(augmentation, preprocessing, chosen)]


def asked_augmentation(given: str | bool | Augmentation | None, preprocessing: Preprocessing) -> Augmentation | None:
    """Return the augmentation that somebody asked for; what suits the images where that was left to us."""
    if isinstance(given, Augmentation):
        return given
    return naming.named("none" if given is False else "auto", preprocessing) if not isinstance(given, str) else (
        naming.parse(given, preprocessing))


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
