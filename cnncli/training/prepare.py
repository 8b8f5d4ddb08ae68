"""From a folder of images to a new training that is ready to run: the samples, their pixels, the recipe, the run's
folder. resume.py is the way in for a training that goes on, fit.py does the training itself.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._version import __version__
from ..data import Batches, Images, Preprocessing, Splits, load_images
from ..errors import DataError, printable
from ..model import Model
from ..optim.lookahead import Lookahead
from ..runs import RunLock, check_name, new_run
from ..runs.samples import fingerprint, scan_fold
from . import budget, finetune
from .choose import choose
from .fit import Fit
from .observer import Observer
from .options import Options
from .probe import HeadFirst
from .recipe import Recipe
from .start import first_network
from .trainer import Trainer
from .whitening import fit_whitening

FORMAT = 1  # of config.json


@dataclass
class Setting:
    """What is not part of the recipe, because it does not change the result. began is when it was asked for, by
    time.monotonic."""

    threads: int | None
    cache: str
    strict: bool
    observer: Observer
    began: float = field(default_factory=time.monotonic)


@dataclass
class Prepared:
    """A training that can run, in a folder that is locked. fit is None where the run is finished already; why says
    so."""

    lock: RunLock
    fit: Fit | None
    why: str = ""

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """The images that could not be used, (path, reason)."""
        if self.fit is None:
            return []
        return self.fit.batches.images.skipped + (self.fit.validation.skipped if self.fit.validation else [])


def begin(data: str, options: Options, name: str | None, runs: str, setting: Setting) -> Prepared:
    """Prepare a new run. Nothing is written before everything that can be refused has been looked at."""
    if name is not None:
        check_name(runs, name)
    fit, config = _fresh(data, options, setting)
    if options.time is not None:
        config["recipe"] = _in_time(config, fit, runs, setting).config()
        fit = _again(fit, config, setting)
    return Prepared(new_run(runs, name, config["recipe"]["arch"].removesuffix(".toml"), config), fit)


def rehearse(data: str, options: Options, setting: Setting) -> Fit:
    """Return a training of these data and options that belongs to no run, to make steps with and throw away."""
    return _fresh(data, options, setting)[0]


def _fresh(data: str, options: Options, setting: Setting) -> tuple[Fit, dict[str, Any]]:
    """Return a training from the beginning, and what its config.json says."""
    splits = scan_fold(data, options.seed or 0, options.fold, options.exclude or (), options.recipe)
    recipe, beginning, notes = choose(options, splits)
    network = beginning.network
    for sentence in splits.notes + notes:
        setting.observer.note(sentence)
    train, val = _load(splits, recipe.preprocessing, setting)
    preprocessing = beginning.preprocessing or recipe.preprocessing.fitted(train.histogram)
    if not beginning.source and fit_whitening(network, train, preprocessing):
        setting.observer.note("The first layer whitens: it is computed from training images and does not learn.")
    config = {
        "format": FORMAT,
        "cnn": __version__,
        "data": os.path.abspath(data),
        "classes": splits.classes,
        "samples": fingerprint(splits),
        "excluded": splits.excluded,
        "images": _counts(train, val),
        "recipe": recipe.config(),
        "preprocessing": preprocessing.config(),
        "network": network.config(),
        "init": {"digest": beginning.digest, "new_head": beginning.new_head} if beginning.source else None,
    }
    if recipe.fold:
        config["options"] = options.given()  # the other folds begin with them
    return _fit(recipe, Model(network, splits.classes, preprocessing), train, val, config, setting), config


def _in_time(config: Mapping[str, Any], rehearsal: Fit, runs: str, setting: Setting) -> Recipe:
    """Return the recipe with as many epochs as end in its time; the rehearsal is of no use afterwards."""
    recipe = Recipe.from_config(config["recipe"])
    assert recipe.time is not None
    setting.observer.note("Measuring how fast it goes …")
    epochs, why = budget.choose(recipe.time, setting.began, rehearsal, runs)
    setting.observer.note(why)
    recipe = replace(recipe, epochs=epochs)
    recipe.check_warmup()
    return recipe


def _again(fit: Fit, config: Mapping[str, Any], setting: Setting) -> Fit:
    """Return the training that config describes, from the beginning, with the images that another has loaded."""
    recipe, model = Recipe.from_config(config["recipe"]), fit.model
    train = fit.batches.images
    return _fit(recipe, _first_model(config, model.classes, train), train, fit.validation, config, setting)


def _first_model(config: Mapping[str, Any], classes: Sequence[str], train: Images) -> Model:
    """Return the model that config describes as it was before the first step."""
    network, preprocessing = first_network(config), Preprocessing.from_config(config["preprocessing"])
    if config["init"] is None:
        fit_whitening(network, train, preprocessing)
    return Model(network, classes, preprocessing)


def _fit(recipe: Recipe, model: Model, train: Images, val: Images | None, config: Mapping[str, Any],
         setting: Setting) -> Fit:
    network = model.network
    network.exact, network.fixed_statistics = recipe.exact, recipe.fixed_statistics
    optimiser, loss, rates = recipe.make_optimiser(), recipe.make_loss(), recipe.make_rates(network)
    frozen = finetune.frozen_blocks(network, recipe.freeze)
    trainer = (finetune.PartTrainer(network, frozen, optimiser, loss, setting.threads, recipe.seed, rates) if frozen
               else Trainer(network, optimiser, loss, setting.threads, seed=recipe.seed, rates=rates))
    batches = Batches(train, model.preprocessing, recipe.batch_size, recipe.seed, recipe.augmentation, recipe.sampling)
    summary = {"architecture": recipe.arch, "recipe": recipe.config(), "cnn": config["cnn"],
               "images": config["images"], "fingerprint": config["samples"]["fingerprint"]}
    arrays = {**model.network.parameters(), **model.network.buffers()}
    lookahead = Lookahead(arrays, recipe.epochs * batches.steps) if recipe.lookahead else None
    parts = (trainer, batches, recipe.make_schedule(batches.steps), recipe.epochs, recipe.patience, model, val, summary,
             setting.observer)
    if recipe.head_first:
        return HeadFirst(*parts, averaged=recipe.ema, lookahead=lookahead, only=recipe.probe)
    return Fit(*parts, averaged=recipe.ema, lookahead=lookahead)


# ---- images ----


def _load(splits: Splits, preprocessing: Preprocessing, setting: Setting) -> tuple[Images, Images | None]:
    """Decode the training and validation images."""
    loaded = {}
    for what, samples in (("training", splits.train), ("validation", splits.val)):
        loaded[what] = load_images(
            samples, preprocessing, setting.threads, setting.cache, setting.strict,
            progress=lambda done, total, what=what: setting.observer.loading(what, done, total),  # type: ignore[misc]
        )
    train, val = loaded["training"], loaded["validation"]
    if not len(train):
        raise DataError(f"none of the {len(splits.train)} training images can be used; the first: "
                        f"{_sentence(*train.skipped[0])}")
    present = set(train.labels.tolist())
    for label, name in enumerate(splits.classes):
        if label not in present:
            raise DataError(f"none of the training images of {printable(name)} can be used; put some into its folder, "
                            "or remove it.")
    if not len(val):
        setting.observer.note("There are no validation images: the model of the last epoch is kept as the best.")
    return train, val if len(val) else None


def _sentence(path: str, reason: str) -> str:
    return f"{printable(path)}: {printable(reason).rstrip('.')}."


def _counts(train: Images, val: Images | None) -> dict[str, int]:
    return {"train": len(train), "val": len(val) if val else 0}


def _count_words(counts: Mapping[str, int]) -> str:
    return f"{counts['train']} for training and {counts['val']} for validation"


# ---- going on ----
