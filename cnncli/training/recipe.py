"""A training, decided. ``Recipe`` has everything that the result depends on. It is plain JSON, stands in the run's
config.json and in the model file, and makes the optimiser, schedule, loss and rates. choose.py decides it.
"""

import reprlib
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..data import Augmentation, Preprocessing
from ..data.order import Sampling
from ..data.preprocessing import Resize
from ..errors import CnnError, UsageError
from ..loss import Loss, LossName, loss_by_name
from ..model.precision import FLOAT32, Precision
from ..network import Network
from ..optim import Optimiser, OptimiserName, Schedule, optimiser_by_name
from ..optim.schedule import Kind
from . import fast, finetune
from .options import Options

# What is refused in a recipe as it is where it is asked for.
_AS_ASKED = ("epochs", "batch_size", "lr", "optimizer", "weight_decay", "loss", "label_smoothing", "size", "seed",
             "split_seed", "patience", "ema", "sampling", "fold", "shards")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training, decided. Entries are those of ``cnncli.train``, and:

    - schedule is a kind, or the config() of a Schedule without its lr; warmup is in epochs (None: the schedule's own).
    - class_weights has one number per class; augment is an Augmentation's config(); size is (h, w).
    - time is the seconds that the epochs were chosen for. fold is (which, of how many); its images are for validation.
    - exclude is the fingerprint of the list of images that were left out, labels that of the table of labels. group_by
      is the pattern, or the fingerprint of the table, by which images are kept together. split_seed None: seed draws
      the split.
    - recipe is the name by which choices were made. momentum is SGD's (None: the optimiser's own). norm_biases is the
      learning rate of the batch norms' biases as a multiple of lr (None: 1). lookahead: slow weights follow
      (lookahead.py).
    - init is where the first weights are from (None: random). freeze is how many blocks keep them, or "all" but the
      last. head_first: the last layer is fitted to features before the first step; probe: nothing else is done.
      stem_rate is the learning rate of the first block as a multiple of the last one's (None: 1). fixed_statistics: the
      batch norms' running statistics are kept.
    - range and float_range are those of a Preprocessing.
    - precision is what was chosen. shards is the number of parts that each batch is computed in.

    config() leaves out entries that equal their default, because runs of earlier versions lack them.
    """

    arch: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: OptimiserName
    schedule: Kind | dict[str, Any]
    warmup: float | None
    weight_decay: float
    loss: LossName
    label_smoothing: float | None
    class_weights: tuple[float, ...] | None
    augment: dict[str, Any] | None
    size: tuple[int, int]
    grey: bool
    resize: Resize
    seed: int
    patience: int | None
    ema: float
    exact: bool
    sampling: Sampling
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
    split_seed: int | None = None
    group_by: str | None = None
    labels: str | None = None
    range: tuple[float, float] | None = None
    float_range: tuple[float, float] | None = None
    precision: Precision = FLOAT32
    shards: int = 1

    def config(self) -> dict[str, Any]:
        """Return it as JSON values: Recipe.from_config takes them back."""
        usual = {f.name: f.default for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if v != usual[k]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recipe":
        """Read what ``config`` returned. Raises UsageError where it is not that, or makes no sense."""
        needed = {f.name for f in fields(cls) if f.default is MISSING}
        if not isinstance(config, dict) or not needed <= config.keys() <= {f.name for f in fields(cls)}:
            raise UsageError("the run's recipe is of another version of cnn; train again.")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        hints = get_type_hints(cls)
        for name, value in values.items():
            if not _fits(value, hints[name]):
                raise UsageError(f"the run's recipe has {name} = {reprlib.repr(config[name])}, which is not possible; "
                                 "put config.json back as it was, or train again.")
        try:
            Options(**{name: values.get(name) for name in _AS_ASKED})
            recipe = cls(**values)
            recipe.make_schedule(1), recipe.make_loss(), recipe.augmentation  # they refuse what makes no sense
        except (CnnError, LookupError, TypeError, ValueError) as error:
            raise UsageError(f"the run's recipe cannot be used ({str(error).partition(';')[0].rstrip('.')}); put "
                             "config.json back as it was, or train again.") from None
        return recipe

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to every image, without mean and standard deviation."""
        return Preprocessing(self.size, self.grey, self.resize, range=self.range, float_range=self.float_range)

    @property
    def augmentation(self) -> Augmentation | None:
        """How training images are varied."""
        return Augmentation.from_config(self.augment)

    def check_warmup(self) -> None:
        """Raise UsageError where the warm-up is longer than the training."""
        if self.warmup is not None and self.warmup > self.epochs:
            raise UsageError(f"a warm-up of {self.warmup:g} epochs does not fit into {self.epochs} epochs; make it "
                             "shorter.")

    def make_optimiser(self) -> Optimiser:
        """Return a fresh optimiser."""
        return optimiser_by_name(self.optimizer, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum)

    def make_rates(self, network: Network) -> dict[str, float] | None:
        """Return multiples of the learning rate for some parameters of the network, by name. None if all learn alike.
        """
        if self.stem_rate is not None:
            return finetune.rates(network, self.stem_rate)
        return None if self.norm_biases is None else fast.rates(network, self.norm_biases)

    def make_loss(self) -> Loss:
        """Return the loss to minimise."""
        weights = list(self.class_weights) if self.class_weights else None
        return loss_by_name(self.loss, label_smoothing=self.label_smoothing, class_weights=weights)

    def make_schedule(self, steps: int) -> Schedule:
        """Return the schedule for epochs of this many steps."""
        warmup = 0 if self.warmup is None else round(self.warmup * steps)
        schedule = Schedule(**self.schedule) if isinstance(self.schedule, dict) else Schedule(self.schedule)
        return schedule.filled(self.lr, self.epochs * steps, warmup)

    @property
    def schedule_kind(self) -> Kind:
        """The kind of schedule."""
        kind: Kind = self.schedule["kind"] if isinstance(self.schedule, dict) else self.schedule
        return kind


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value can be of a type. A whole number counts as a float, True and False count as no number."""
    kind, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind is tuple:
        inner = (parts[0],) * len(value) if isinstance(value, tuple) and parts[1] is ... else parts
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    if kind is dict:
        return isinstance(value, dict) and all(isinstance(name, str) for name in value)
    if parts:
        return any(_fits(value, each) for each in parts)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return isinstance(value, hint)


def schedule_config(given: Kind | Schedule) -> Kind | dict[str, Any]:
    """Return what a recipe says about a schedule: its kind, or its config() if it has options beside it."""
    if not isinstance(given, Schedule):
        return given
    config = {name: value for name, value in given.config().items() if name != "lr"}
    return given.kind if config == Schedule(given.kind).config() else config
