"""From images, in a folder or in memory, to a new training that is ready to run: the samples, their pixels, the recipe,
the run's folder. resume.py does the same for a training that continues. fit.py does the training.
"""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .._version import __version__
from ..data import Batches, Data, Images, Preprocessing, Splits, load_images
from ..data.depth import sentences as on_depth
from ..data.images import CACHES, Cache
from ..data.marks import union
from ..data.outputs import check_runs
from ..data.sources import within
from ..errors import DataError, UsageError, brief, no_such, printable, told
from ..model import Model
from ..model.precision import AUTO, Precision, Wanted, decide, has_instructions, wanted
from ..network import Network
from ..optim.lookahead import Lookahead
from ..ranks.world import ALONE, World
from ..runs import Run, RunLock, check_name, marks, new_run
from ..runs.samples import division, fingerprint, place, scan_fold
from . import budget, finetune
from .choose import Facts, choose
from .fit import Fit
from .observer import Observer
from .options import Options
from .precision import ENTRY, HARDLY, Step, step_speeds
from .recipe import Recipe
from .start import begin as begin_with
from .start import first_network, seen_by
from .together import Followed, check_images
from .trainer import PartTrainer, Trainer
from .whitening import fit_whitening

FORMAT = 1  # of config.json
_SAVED = 8  # times the weights: two states and one that is being written, each with the optimiser's, and a model


@dataclass
class Setting:
    """What is not part of the recipe, because it does not change the result. load decodes images in place of
    ``load_images``. goes_on is the command that continues a stopped training, if that is not `cnn train --resume`.
    world has the processes that train together; only the leading one has an observer to tell, and a folder to write.
    began is the time.monotonic at which the training was asked for. Raises UsageError if cache or observer is none.
    """

    threads: int | None
    cache: Cache
    strict: bool
    observer: Observer
    load: Callable[..., Images] | None = None
    goes_on: str = ""
    world: World = ALONE
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.cache not in CACHES:
            raise UsageError(no_such("cache", self.cache, CACHES))
        if not isinstance(self.observer, Observer):
            raise UsageError(f"the observer must be a cnncli.Observer, not {brief(self.observer)}; derive its class "
                             "from that.")


@dataclass
class Prepared:
    """A training that can run, in a locked folder. fit is None if the run is finished already; why says so."""

    lock: "RunLock | Followed"
    fit: Fit | None
    why: str = ""

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """The images that could not be used, (path, reason)."""
        if self.fit is None:
            return []
        return self.fit.batches.images.skipped + (self.fit.validation.skipped if self.fit.validation else [])


@dataclass(frozen=True)
class Material:
    """What a training is made of, without its model: a recipe, the images (validation is None without any), and the
    content of the run's config.json.
    """

    recipe: Recipe
    splits: Splits
    train: Images
    validation: Images | None
    config: dict[str, Any]
    setting: Setting

    def first_model(self) -> Model:
        """Return the model as config describes it before the first step."""
        network = first_network(self.config)
        preprocessing = Preprocessing.from_config(self.config["preprocessing"])
        if self.config["init"] is None:
            fit_whitening(network, self.train, preprocessing)
        model = Model(network, self.config["classes"], preprocessing)
        model.seen = seen_by(self.recipe.init)
        return model

    @property
    def table(self) -> bytes:
        """What the run's images.csv holds."""
        return marks.as_csv(self.splits, self.train, self.validation)

    def fit(self, model: Model, *, observer: Observer | None = None,
            schedule: Callable[[int], float] | None = None) -> Fit:
        """Return the training of a model with this material. observer and schedule are the setting's and the recipe's
        unless others are given: a training that is measured and thrown away has no observer and other rates.
        """
        recipe, network = self.recipe, model.network
        self._set(network, recipe.precision)
        model.seen = union(model.seen, self.train.marks)
        world = ALONE if recipe.probe else self.setting.world  # a probe makes no steps
        trainer = self._trainer(network, world)
        batches = Batches(self.train, model.preprocessing, recipe.batch_size, recipe.seed, recipe.augmentation,
                          recipe.sampling, trainer.span if world.size > 1 else None)
        arrays = {**network.parameters(), **network.buffers()}
        return Fit(
            trainer=trainer,
            batches=batches,
            schedule=schedule or recipe.make_schedule(batches.steps),
            epochs=recipe.epochs,
            patience=recipe.patience,
            model=model,
            validation=self.validation,
            summary={"architecture": recipe.arch, "recipe": recipe.config(), "cnn": self.config["cnn"],
                     "images": self.config["images"], "fingerprint": self.config["samples"]["fingerprint"]},
            observer=observer or self.setting.observer,
            averaged=recipe.ema,
            lookahead=Lookahead(arrays, recipe.epochs * batches.steps) if recipe.lookahead else None,
            head_first=recipe.head_first,
            head_only=recipe.probe,
            goes_on=self.setting.goes_on,
            world=self.setting.world,
        )

    def _set(self, network: Network, precision: Precision) -> None:
        network.exact, network.fixed_statistics = self.recipe.exact, self.recipe.fixed_statistics
        network.precision = precision

    def speeds(self, network: Network) -> dict[Precision, float]:
        """Measure how many images a second this training learns from in each precision, with copies of the network."""
        recipe = self.recipe

        def step_in(precision: Precision) -> Step:
            copied = deepcopy(network)
            self._set(copied, precision)
            if recipe.probe:  # makes no steps
                return lambda images, labels: copied.forward(images)
            trainer = self._trainer(copied, ALONE)
            trainer.optimiser.lr = HARDLY
            return trainer.step

        return step_speeds(network, min(recipe.batch_size, len(self.train)), step_in)

    def _trainer(self, network: Network, world: World) -> Trainer:
        recipe = self.recipe
        optimiser, loss, rates = recipe.make_optimiser(), recipe.make_loss(), recipe.make_rates(network)
        frozen = finetune.frozen_blocks(network, recipe.freeze)
        if frozen:
            return PartTrainer(network, frozen, optimiser, loss, self.setting.threads, recipe.seed, rates,
                               recipe.shards, world)
        return Trainer(network, optimiser, loss, self.setting.threads, seed=recipe.seed, rates=rates,
                       precision=wanted(network.precision), shards=recipe.shards, world=world)


def begin(data: Data, options: Options, name: str | None, runs: str, setting: Setting) -> Prepared:
    """Prepare a new run. Everything that can be refused is checked before anything is written."""
    leads = setting.world.leads
    if leads and name is not None:
        check_name(runs, name)
    if leads:
        check_runs(runs, data)
    material, model = gather(data, options, setting)
    if leads:
        check_runs(runs, data, _SAVED * sum(array.nbytes for array in model.network.parameters().values()))
    if options.time is not None:
        material = _in_time(material, model, runs)
        model = material.first_model()
    fit, config = material.fit(model), {**material.config, **place(data, runs), "began": now()}
    lock: RunLock | Followed | None = None
    if leads:
        lock = new_run(runs, name, config["recipe"]["arch"].removesuffix(".toml"), config, material.table)
    path = setting.world.agreed(lambda: lock and lock.run.path)
    return Prepared(lock or Followed(Run(str(path))), fit)


def now() -> str:
    """Return the present time as config.json has it."""
    return datetime.now(timezone.utc).isoformat()


def gather(data: Data, options: Options, setting: Setting) -> tuple[Material, Model]:
    """Return what a training with these data and options is made of, and the model that it starts with. It belongs to
    no run yet, so it can also be measured and thrown away.
    """
    options = replace(options, precision=wanted(options.precision))
    labels, groups = within(data, options.labels, options.group_by)
    splits = scan_fold(data, options.drawn_by, options.fold, options.exclude or (), options.recipe, labels, groups)
    check_images(setting.world, splits)
    start = begin_with(options, splits)
    choice = choose(options, Facts.of(splits), start)
    for sentence in splits.notes + start.notes + choice.notes:
        setting.observer.note(told(sentence))
    network = start.network
    train, validation = load(splits, choice.recipe.preprocessing, setting, find_range=True)
    if choice.recipe.fold and validation is None:
        raise DataError(f"none of the {len(splits.val)} images that this fold is validated on can be used; give "
                        "others, or fewer --folds.")
    found = train.preprocessing
    for sentence in on_depth(train.seen, found.scales, "training images", options.range is not None):
        setting.observer.note(sentence)
    recipe = replace(choice.recipe, range=found.range, float_range=found.float_range)
    preprocessing = recipe.preprocessing.fitted(train.histogram)
    if start.source:
        preprocessing = replace(start.preprocessing, range=found.range, float_range=found.float_range)
    if not start.source and fit_whitening(network, train, preprocessing):
        setting.observer.note("The first layer whitens its input. It is computed from training images and does not "
                              "learn.")
    config = {
        "format": FORMAT,
        "cnn": __version__,
        "classes": splits.classes,
        "samples": fingerprint(splits),
        "excluded": splits.excluded,
        "images": counts(train, validation),
        "recipe": recipe.config(),
        "preprocessing": preprocessing.config(),
        "network": network.config(),
        "init": {"digest": start.digest, "new_head": start.new_head} if start.source else None,
        **division(splits, labels, groups),
    }
    config["asked"] = options.asked()
    if recipe.fold:
        config["options"] = options.config()  # the other folds begin with them
    model = Model(network, splits.classes, preprocessing)
    model.seen = start.seen
    return _in_precision(Material(recipe, splits, train, validation, config, setting), model, options.precision), model


def _in_precision(material: Material, model: Model, asked: Wanted | None) -> Material:
    """Return the material of a training in the precision that was asked for, or measured to be faster."""
    if asked is None:
        return material
    if asked == AUTO and has_instructions():
        material.setting.observer.note("Measuring how fast each precision is …")
    chosen = material.setting.world.agreed(lambda: decide(asked, lambda: material.speeds(model.network)))
    material.setting.observer.note(chosen.sentence)
    recipe = replace(material.recipe, precision=chosen.precision)
    return replace(material, recipe=recipe, config={
        **material.config, "recipe": recipe.config(), ENTRY: chosen.config()})


def _in_time(material: Material, model: Model, runs: str) -> Material:
    """Return the material of a training of as many epochs as fit into its time. The model cannot be used afterwards."""
    recipe, setting = material.recipe, material.setting
    assert recipe.time is not None
    setting.observer.note("Measuring how fast it goes …")
    rehearsal = material.fit(model, observer=Observer())
    found = budget.choose_epochs(recipe.time, setting.began, rehearsal, runs)
    epochs, why = setting.world.agreed(lambda: found)
    setting.observer.note(why)
    recipe = replace(recipe, epochs=epochs)
    recipe.check_warmup()
    return replace(material, recipe=recipe, config={**material.config, "recipe": recipe.config()})


# ---- images ----


def load(splits: Splits, preprocessing: Preprocessing, setting: Setting, find_range: bool = False
         ) -> tuple[Images, Images | None]:
    """Decode the training and validation images. With find_range, the training images decide what is black and white in
    images of more than 8 bits, unless the preprocessing says it.
    """
    loaded = {}
    for what, samples in (("training", splits.train), ("validation", splits.val)):
        loaded[what] = (setting.load or load_images)(
            samples, preprocessing, setting.threads, setting.cache, setting.strict,
            progress=lambda done, total, what=what: setting.observer.loading(what, done, total),  # type: ignore[misc]
            note=setting.observer.note,
            find_range=find_range and what == "training",
            part=what,
            **({} if setting.world.size == 1 else {"world": setting.world}),
        )
        preprocessing = loaded[what].preprocessing
    train, val = loaded["training"], loaded["validation"]
    if not len(train):
        raise DataError(f"none of the {len(splits.train)} training images can be used; give others. The first: "
                        f"{_sentence(*train.skipped[0])}")
    present = set(train.labels.tolist())
    for label, name in enumerate(splits.classes):
        if label not in present:
            raise DataError(f"none of the training images of {printable(name)} can be used; put some into its folder, "
                            "or remove it.")
    if unused := _unused(train, val, splits):
        setting.observer.note(unused)
    if not len(val):
        setting.observer.note("There are no validation images, so the model of the last epoch is kept as the best.")
    return train, val if len(val) else None


def _unused(train: Images, val: Images, splits: Splits) -> str:
    """Return the sentence that says how many of the images that were found cannot be used, "" for none."""
    parts = [f"{len(images.skipped):,} of the {len(found):,} for {what}" for what, images, found in (
        ("training", train, splits.train), ("validation", val, splits.val)) if images.skipped]
    many = len(train.skipped) + len(val.skipped)
    return (f"{many:,} image{'s' * (many != 1)} cannot be used: {' and '.join(parts)}. "
            f"{'They are' if many != 1 else 'It is'} named at the end.") if parts else ""


def _sentence(path: str, reason: str) -> str:
    return f"{printable(path)}: {printable(reason).rstrip('.')}."


def counts(train: Images, val: Images | None) -> dict[str, int]:
    """Return how many images can be used, as config.json has it."""
    return {"train": len(train), "val": len(val) if val else 0}


def in_words(of: Mapping[str, int]) -> str:
    """Return these numbers for a sentence."""
    return f"{of['train']} for training and {of['val']} for validation"
