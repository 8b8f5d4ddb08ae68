"""From a folder of images to a training that is ready to run: the samples, their pixels, the recipe, the run's folder,
or, to resume, what was saved there and whether it still belongs to this data and these options. training/__init__.py
calls one of the two ways in here, ``begin`` and ``go_on``; fit.py does the training itself.
"""

import hashlib
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import __version__, checkpoint
from ..architectures import from_toml
from ..atomic import remove_leftovers
from ..data import Batches, Images, Preprocessing, Splits, fold_of, load_images, scan
from ..errors import DataError, ModelError, UsageError, printable
from ..lookahead import Lookahead
from ..model import Model
from ..runs import CONFIG, HISTORY, Run, RunLock, check_name, find_run, new_run, point_latest
from ..trainer import Trainer
from . import budget, finetune
from .fit import Fit, Progress, highest
from .observer import Observer
from .probe import HeadFirst
from .recipe import Options, Recipe, differences, fractions, resolve
from .start import first_network
from .whitening import fit_whitening

FORMAT = 1  # of config.json
_MAY_CHANGE = {"epochs", "patience"}  # when a run is resumed


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
    recipe, beginning, notes = resolve(options, splits)
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


def scan_fold(data: str, seed: int, fold: Sequence[int] | None, exclude: Collection[str] = (),
              recipe: str | None = None) -> Splits:
    """Return the splits of a data folder without the images to exclude, as the recipe of that name has them, divided
    anew where one fold of a cross-validation is meant."""
    splits = scan(data, fractions(recipe), seed=seed, exclude=exclude)
    return fold_of(splits, fold[0], fold[1], seed) if fold else splits


def go_on(data: str | None, options: Options, which: str | None, runs: str, setting: Setting) -> Prepared:
    """Prepare to continue a run where it was. Raises UsageError or DataError where options, classes or images are not
    what they were, naming them: it would not be the same training."""
    lock = RunLock(find_run(runs, which))
    try:
        return _go_on(lock, data, options, setting)
    except BaseException:
        lock.release()
        raise


def excluded(config: Mapping[str, Any]) -> list[str]:
    """Return the paths inside the data folder that a run's config says were left out."""
    names = config.get("excluded")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _go_on(lock: RunLock, data: str | None, options: Options, setting: Setting) -> Prepared:
    run, observer = lock.run, setting.observer
    config = run.config
    if config.get("format") != FORMAT:
        raise UsageError(f"{printable(run.path / CONFIG)} is of another version of cnn; train anew.")
    began_as = Recipe.from_config(config["recipe"])
    recipe = _changed(began_as, options, run)
    _check_architecture(options.arch, recipe, config, run)
    state = None
    with suppress(OSError):
        for file in (checkpoint.MODEL, CONFIG, HISTORY):
            remove_leftovers(run.path / file)
    if any(os.path.lexists(run.path / file) for file in (checkpoint.LAST, checkpoint.PREVIOUS)):
        state = checkpoint.load_state(run.path)
        if state.note:
            observer.note(state.note)
    progress = Progress.from_json(state.progress) if state else Progress()
    if recipe != began_as:
        progress = _extended(progress, recipe, run)
    if progress.finished:
        return Prepared(lock, None, _why_finished(progress, recipe, run))

    data = data or config["data"]
    splits = scan_fold(data, recipe.seed, recipe.fold, excluded(config), recipe.recipe)
    _check_data(data, splits, config, run)
    train, val = _load(splits, recipe.preprocessing, setting)
    if _counts(train, val) != config["images"]:
        raise DataError(f"{printable(data)}: not the same images can be read as when {printable(run.path)} began "
                        f"({_count_words(config['images'])} then, {_count_words(_counts(train, val))} now); start a "
                        "new run.")
    if recipe != began_as:
        config["recipe"] = recipe.config()
        run.write_config(config)
    if state:
        model = state.model
    else:
        model = _first_model(config, splits.classes, train)
    fit = _fit(recipe, model, train, val, config, setting)
    if state:
        _restore(fit, run, progress, state.arrays)
    for sentence in extension(began_as, recipe, fit.trainer.steps_done, fit.batches.steps):
        observer.note(sentence)
    run.write_history(progress.history)
    point_latest(run.path.parent, run.name)
    return Prepared(lock, fit)


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


def fingerprint(splits: Splits) -> dict[str, Any]:
    """Return how many samples each split has, and a hash of the relative paths, labels and sizes of them all."""
    digest = hashlib.sha256()
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    for split in ("train", "val"):
        for sample in named[split]:
            try:
                size = os.stat(sample.path).st_size
            except OSError:
                size = -1
            digest.update(f"{split}\0{sample.label}\0{size}\0".encode() + os.fsencode(sample.relative) + b"\0")
    return {**{split: len(samples) for split, samples in named.items()}, "fingerprint": digest.hexdigest()}


# ---- going on ----


def _changed(recipe: Recipe, options: Options, run: Run) -> Recipe:
    """Return the recipe to go on with. Raises UsageError where something else has changed than what may."""
    different = differences(options, recipe)
    refused = [name for name in different if name not in _MAY_CHANGE]
    if "time" in refused:
        raise UsageError(f"{printable(run.path)} is resumed for the epochs that it has, and measures nothing; to train "
                         "it for longer give --epochs in place of --time.")
    if refused:
        flags = ", ".join("--" + name.replace("_", "-") for name in refused)
        was = ", ".join(f"{name.replace('_', ' ')} {_shown(name, recipe.config()[name])}" for name in refused)
        raise UsageError(f"{printable(run.path)} was trained with {was}, and is resumed as it began: leave {flags} "
                         "out, or start a new run.")
    if "epochs" in different:
        recipe = replace(recipe, time=None)  # they were chosen for it
    recipe = replace(recipe, **{name: getattr(options, name) for name in different})
    recipe.check_warmup()
    return recipe


def extension(before: Recipe, now: Recipe, done: int, steps: int) -> list[str]:
    """Return what to say of a run of so many steps an epoch that goes on, after so many in all, in another way.

    The rule for the learning rate: from here on it is that of a schedule of the new length, as if the run had begun
    with it. So a longer run goes on higher, and where a schedule had come to its end that is a warm restart
    (Loshchilov and Hutter 2017), the smaller the fewer epochs are added.
    """
    notes = []
    if now.patience != before.patience:
        notes.append(f"The patience is {now.patience} epochs from now on, not {before.patience} as the run began.")
    if now.epochs == before.epochs:
        return notes
    notes.append(f"The epochs are {now.epochs} from now on, not {before.epochs} as the run began.")
    if now.schedule == "constant":
        return [*notes, f"The learning rate stays at {now.lr:g}."]
    old, new = before.make_schedule(steps), now.make_schedule(steps)
    was, goes_on = old(max(done - 1, 0)), new(done)
    how = "is raised again" if goes_on > 1.5 * was else "goes on"
    notes.append(f"The learning rate {how}, from {was:.2g} to {goes_on:.2g}, where a {now.schedule} schedule of "
                 f"{now.epochs} epochs is by now, and ends at {new(now.epochs * steps - 1):.2g}; the result is not "
                 "that of an uninterrupted run. The best model is kept until an epoch is as good.")
    return notes


def _why_finished(progress: Progress, recipe: Recipe, run: Run) -> str:
    """Return the sentence for a run that nothing is left of, with what would continue it."""
    done, name = len(progress.history), printable(run.name)
    if done < recipe.epochs and recipe.patience:
        return (f"{printable(run.path)} is finished already: it stopped early after {done} of {recipe.epochs} epochs, "
                f"{recipe.patience} of them no better. To continue: cnn train --resume {name} --patience "
                f"{2 * recipe.patience}")
    return (f"{printable(run.path)} is finished already, after {done} epochs; there is nothing to resume. For more of "
            f"them: cnn train --resume {name} --epochs {2 * done}")


def _check_architecture(arch: str | None, recipe: Recipe, config: Mapping[str, Any], run: Run) -> None:
    """Raise UsageError where a TOML file is given again but describes another network by now."""
    if arch is None or not arch.lower().endswith(".toml"):
        return
    if from_toml(arch, recipe.preprocessing.shape, len(config["classes"]), None).config() != config["network"]:
        raise UsageError(f"{printable(arch)} describes another network than when {printable(run.path)} began: leave "
                         "--arch out, or start a new run.")


def _shown(name: str, value: Any) -> str:
    if name == "exclude" and value is not None:
        return "another list"
    if isinstance(value, dict):  # strengths of augmentation
        return ",".join(f"{key}={strength}" for key, strength in value.items() if strength)
    return "x".join(map(str, value)) if isinstance(value, list) else "off" if value is None else str(value)


def _extended(progress: Progress, recipe: Recipe, run: Run) -> Progress:
    """Return the progress of a run whose epochs or patience have been changed."""
    done = len(progress.history)
    if recipe.epochs < done or (recipe.epochs == done and progress.step):
        raise UsageError(f"{printable(run.path)} has done {progress.epoch if progress.step else done} epochs already; "
                         "--epochs must be more.")
    waited = done - highest(progress.history)["epoch"] if done else 0
    impatient = recipe.patience is not None and waited >= recipe.patience
    return replace(progress, finished=done >= recipe.epochs or impatient)


def _check_data(data: str, splits: Splits, config: Mapping[str, Any], run: Run) -> None:
    shown, now, then = printable(data), fingerprint(splits), config["samples"]
    if splits.classes != config["classes"]:
        new, gone = sorted(set(splits.classes) - set(config["classes"])), sorted(
            set(config["classes"]) - set(splits.classes))
        what = "; ".join(f"{word}: {', '.join(map(printable, names[:5]))}" for word, names in
                         (("new", new), ("gone", gone)) if names)
        raise DataError(f"{shown} has other classes than when {printable(run.path)} began ({what}); start a new run.")
    if now["fingerprint"] != then["fingerprint"]:
        what = (f"{_count_words(then)} then, {_count_words(now)} now" if _two(then) != _two(now)
                else "as many, but with other names or sizes")
        raise DataError(f"{shown} holds other images than when {printable(run.path)} began ({what}); put them back, or "
                        "start a new run.")


def _two(counts: Mapping[str, Any]) -> tuple[int, int]:
    return counts["train"], counts["val"]


def _restore(fit: Fit, run: Run, progress: Progress, arrays: dict[str, Any]) -> None:
    """Put a fit where a saved state was."""
    if progress.best and _best_on_disk(run.path / checkpoint.MODEL, fit.observer) != progress.best["epoch"]:
        progress.best = None  # the next epoch's takes its place, also where it was on its way there when killed
    fit.restore(progress, arrays)
    fit.observer.resumed(progress.history, progress.step)


def _best_on_disk(path: Path, observer: Observer) -> int | None:
    """Return the epoch whose weights model.safetensors holds, None where it cannot be used."""
    try:
        return checkpoint.load_model(path).training.get("epoch")
    except ModelError as error:
        observer.note(f"{error} The best model from now on takes its place.")
        return None
