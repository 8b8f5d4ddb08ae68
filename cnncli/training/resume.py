"""From a run's folder to a training that continues: what was saved there, and whether it still fits these images and
options. train.py asks here; prepare.py makes new trainings.
"""

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..architectures import from_toml
from ..atomic import remove_leftovers
from ..data import Augmentation, Data, Preprocessing, Splits, folder_of, name_of
from ..data.depth import in_words as range_in_words
from ..data.exclude import fingerprint as fingerprint_of_names
from ..errors import DataError, ModelError, UsageError, printable
from ..model import Model, checkpoint
from ..model.precision import AUTO, FLOAT32
from ..runs import CONFIG, Run, RunLock, as_written, begin_latest, find_run
from ..runs.kept import highest
from ..runs.marks import placed
from ..runs.marks import read as read_marks
from ..runs.samples import data_again, fingerprint, have_changed, is_path, of_run, place, splits_in
from . import start
from .choose import requested_augmentation, weights_by_name
from .fit import Fit
from .observer import Observer
from .options import Options
from .precision import check_back, check_resumed, gone_on, is_entry
from .prepare import FORMAT, Material, Prepared, Setting, counts, in_words, load, now
from .progress import Progress
from .recipe import Recipe, schedule_config
from .shards import check_shards
from .together import Followed, check_images

_MAY_CHANGE = {"epochs", "patience"}  # when a run is resumed
_HASHED = {"exclude": "another list", "labels": "another table", "group_by": "another pattern or table"}
_CHANGES_WITH_THEM = {"time"}  # what a recipe forgets then


def resume(data: Data | None, options: Options, which: str | None, runs: str, setting: Setting) -> Prepared:
    """Prepare to continue a run. Raises UsageError or DataError, naming them, if options, classes or images are not
    what they were: it would not be the same training.
    """
    world, found = setting.world, find_run(which, runs)
    lock = RunLock(found) if world.leads else Followed(found)
    try:
        return _resumed(lock, data, options, setting)
    except BaseException:
        lock.release()
        raise


def _resumed(lock: RunLock | Followed, data: Data | None, options: Options, setting: Setting) -> Prepared:
    run, observer, world = lock.run, setting.observer, setting.world
    config = run.config
    if config.get("format") != FORMAT:
        raise UsageError(f"{printable(run.path / CONFIG)} is of another version of cnn; train again.")
    _check_written(config, run)
    written = Recipe.from_config(config["recipe"])
    if config["preprocessing"].get("grey") != written.grey or config["preprocessing"].get("size") != [*written.size]:
        raise UsageError(f"{printable(run.path / CONFIG)} has other images in its recipe than in its preprocessing; "
                         "put it back as it was, or start a new run.")
    if isinstance(options.class_weights, Mapping):
        options = replace(options, class_weights=weights_by_name(options.class_weights, config["classes"]))
    check_back(config, options, run)
    recipe = _changed(written, options, run)
    _check_architecture(options.arch, recipe, config, run)
    state = None
    if not written.probe:
        check_shards(written.shards, world.size)
    if world.leads:
        remove_leftovers(run.path)
    if any(os.path.lexists(run.path / file) for file in (checkpoint.LAST, checkpoint.PREVIOUS)):
        state = checkpoint.load_state(run.path)
        if state.note:
            observer.note(state.note)
    progress = Progress.from_json(state.progress) if state else Progress()
    world.same("what was saved of the run", repr((config["recipe"], progress)), "wait until all machines see the same "
               "files, and start again.")
    before = _recipe_of(state.model, config, run) if state else written
    # By the recipe, not by what the state says: one that was made longer may have been killed before its next state.
    progress = _extended(progress, recipe, run)
    if progress.finished:
        if world.leads:
            _mend_history(progress, run)
            _record_place(run, data)
        return Prepared(lock, None, _why_finished(progress, recipe, run))

    check_resumed(config, recipe.precision, options, run)
    data = data_again(run, data)
    splits = of_run(run, data)
    _check_data(data, splits, config, run)
    check_images(world, splits)
    train, val = load(splits, recipe.preprocessing, setting)
    if counts(train, val) != config["images"]:
        raise DataError(f"{name_of(data)}: other images can be read now than when {printable(run.path)} began "
                        f"({in_words(config['images'])} then, {in_words(counts(train, val))} now); start a new run.")
    material = Material(recipe, splits, train, val, config, setting)
    _check_content(data, material, run)
    world.gathered(None)  # all have read what is changed now
    if world.leads:
        _write(run, data, options, material, gone_on(config, written.precision, recipe.precision, progress.epoch))
    fit = material.fit(state.model if state else material.first_model())
    if state:
        _restore(fit, run, progress, state.arrays)
    for sentence in extension(before, recipe, fit.trainer.steps_done, fit.batches.steps):
        observer.note(sentence)
    if world.leads:
        run.write_history(progress.history)
        begin_latest(run.path.parent, run.name)
    return Prepared(lock, fit)


def _write(run: Run, data: Data, options: Options, material: Material, precision: Mapping[str, Any]) -> None:
    """Write what a run's folder says of a training that continues. precision is what is new of its precision."""
    config, recipe = material.config, material.recipe
    if read_marks(run) is None:
        run.write_images(material.table)
    # A fold's options, which those begin with that come after it; and what was asked for, which sentences repeat.
    for entry in (each for each in ("options", "asked") if isinstance(config.get(each), dict)):
        config[entry] |= {name: getattr(recipe, name) for name in _MAY_CHANGE & options.given().keys()}
    config |= precision
    run.write_config({**config, **place(data, run.path.parent), "recipe": recipe.config(), "resumed": now()})


def differences(options: Options, recipe: Recipe) -> list[str]:
    """Return the names of the options that were given for resuming and differ from the recipe."""
    found = []
    for name, value in options.given().items():
        was: Any = recipe.resize if name == "fit" else getattr(recipe, name)
        if name == "size":
            value = (value, value) if isinstance(value, int) else tuple(value)
        elif name == "augment":
            was, value = _augmentation_config(was, value, recipe.preprocessing)
        elif name == "class_weights":
            was, value = (None, None) if value == "balanced" and _are_balanced(was) else (was, tuple(value))
        elif name == "arch":
            value = start.arch_name(value)
        elif name == "schedule":
            value = schedule_config(value)
        elif name == "exclude":
            value = fingerprint_of_names(value)
        elif name in ("labels", "group_by"):
            value = value.fingerprint()
        elif name == "split_seed":
            was = recipe.seed if was is None else was
        elif name == "init":
            value = start.source_of(value)
        elif name == "precision" and value == AUTO:  # it was chosen when the run began
            value = was
        if value != was:
            found.append(name)
    return found


def _are_balanced(weights: Sequence[float] | None) -> bool:
    """Return whether a run's class weights can be those of "balanced", which a recipe does not say: the class sizes, as
    parts of a mean class, are then their inverses.
    """
    return weights is not None and all(weights) and math.isclose(sum(1 / w for w in weights), len(weights))


def _augmentation_config(was: dict[str, Any] | None, given: str | bool | Augmentation, preprocessing: Preprocessing
                         ) -> tuple[Any, Any]:
    """Return the strengths of a recipe and of an option in the same form. True means whatever there was."""
    if given is True:
        return was is not None, True
    before, asked = Augmentation.from_config(was), requested_augmentation(given, preprocessing)
    return before and before.config(), asked and asked.config()


def _changed(recipe: Recipe, options: Options, run: Run) -> Recipe:
    """Return the recipe to continue with. Raises UsageError if something has changed that must not."""
    different = differences(options, recipe)
    refused = [name for name in different if name not in _MAY_CHANGE
               and not (name == "precision" and options.precision == FLOAT32)]
    if "time" in refused:
        raise UsageError(f"{printable(run.path)} keeps its number of epochs when it is resumed, and --time would "
                         "change it; to train it for longer, give --epochs instead of --time.")
    if refused:
        flags = ", ".join("--" + name.replace("_", "-") for name in refused)
        then = {**recipe.config(), "fit": recipe.resize, "precision": recipe.precision,
                "split_seed": recipe.seed if recipe.split_seed is None else recipe.split_seed}
        was = ", ".join(f"{name.replace('_', ' ')} {_shown(name, then.get(name))}" for name in refused)
        raise UsageError(f"{printable(run.path)} began with {was}, which a resumed run keeps; leave {flags} out, or "
                         "start a new run.")
    if "epochs" in different:
        recipe = replace(recipe, time=None)  # they were chosen for it
    recipe = replace(recipe, **{name: getattr(options, name) for name in different})
    recipe.check_warmup()
    return recipe


def _recipe_of(model: Model, config: Mapping[str, Any], run: Run) -> Recipe:
    """Return the recipe that a saved state was trained with. Raises UsageError if config.json has been edited since; it
    holds the same recipe except for what may change.
    """
    as_usual = {"precision": FLOAT32}  # which a recipe leaves out
    then = {**as_usual, **model.training["recipe"], "classes": [*model.classes], "network": model.network.config(),
            "preprocessing": model.preprocessing.config()}
    now = {**as_usual, **config["recipe"], **{part: config[part] for part in ("classes", "network", "preprocessing")}}
    # What only one of them has is of another version of cnn.
    edited = [name for name in then.keys() & now.keys() - _MAY_CHANGE - _CHANGES_WITH_THEM if then[name] != now[name]
              and not (name == "precision" and now[name] == FLOAT32)]  # gone on in float32, and not saved since
    for name in sorted(edited):
        values = (f" ({_shown(name, now[name])}, but {_shown(name, then[name])} when the state was saved)"
                  if name in config["recipe"] else "")
        raise UsageError(f"{printable(run.path / CONFIG)} differs from the saved training in its "
                         f"{name.replace('_', ' ')}{values}; put it back as it was, or start a new run.")
    return Recipe.from_config({**config["recipe"], **model.training["recipe"]})


def _mend_history(progress: Progress, run: Run) -> None:
    """Write the history of a finished run again if it is damaged or missing; the state has all of it."""
    with suppress(UsageError):
        if len(run.history) == len(progress.history):
            return
    run.write_history(progress.history)


def extension(before: Recipe, now: Recipe, done: int, steps: int) -> list[str]:
    """Return what to say about a run that continues in another way, with this many steps per epoch, after this many in
    all.

    The rule for the learning rate: from here on it is that of a schedule of the new length, as if the run had begun
    with it. So a longer run continues with a higher rate. If a schedule had come to its end, this is a warm restart
    (Loshchilov and Hutter 2017), which is smaller the fewer epochs are added.
    """
    notes = []
    if now.patience != before.patience:
        notes.append(f"The patience is {now.patience} epochs from now on, not {before.patience} as before.")
    if now.precision != before.precision:
        notes.append(f"The precision is {now.precision} from now on, not {before.precision} as before.")
    if now.epochs == before.epochs:
        return notes
    notes.append(f"The epochs are {now.epochs} from now on, not {before.epochs} as before.")
    if now.schedule_kind == "constant":
        return [*notes, f"The learning rate stays at {now.lr:g}."]
    old, new = before.make_schedule(steps), now.make_schedule(steps)
    was, goes_on = old(max(done - 1, 0)), new(done)
    how = "is raised again" if goes_on > 1.5 * was else "goes on"
    notes.append(f"The learning rate {how}, from {was:.2g} to {goes_on:.2g}, where a {now.schedule_kind} schedule of "
                 f"{now.epochs} epochs is by now, and ends at {new(now.epochs * steps - 1):.2g}. The result is not "
                 "that of an uninterrupted run. The best model is kept until an epoch is as good.")
    return notes


def _why_finished(progress: Progress, recipe: Recipe, run: Run) -> str:
    """Return the sentence for a run that is finished, with what would continue it."""
    done, name = len(progress.history), run.as_option()
    if done < recipe.epochs and recipe.patience:
        return (f"{printable(run.path)} is finished already: it stopped early after {done} of {recipe.epochs} epochs, "
                f"{recipe.patience} of them no better. To continue: cnn train --resume {name} --patience "
                f"{2 * recipe.patience}")
    return (f"{printable(run.path)} is finished already, after {done} epoch{'s' * (done != 1)}; there is nothing to "
            f"resume. For more of them: cnn train --resume {name} --epochs {2 * done}")


def _check_written(config: Mapping[str, Any], run: Run) -> None:
    """Raise UsageError if config.json no longer says what a training must know about its run."""
    classes, data = config.get("classes"), config.get("data")
    good = {part: isinstance(config.get(part), dict) for part in ("recipe", "preprocessing", "network")}
    good |= {part: _counted(config.get(part)) for part in ("samples", "images")}
    good |= {"samples": good["samples"] and isinstance(config["samples"].get("fingerprint"), str),
             "classes": isinstance(classes, list) and all(map(is_path, classes)) and len(set(classes)) == len(classes),
             "cnn": isinstance(config.get("cnn"), str), "data": data is None or is_path(data),
             "init": isinstance(config.get("init", ""), dict | None),
             "precision": is_entry(config.get("precision", {}))}
    for part in [part for part, is_good in good.items() if not is_good]:
        raise UsageError(f"{printable(run.path / CONFIG)} does not have the {part} of the training as cnn wrote it; "
                         "put it back as it was, or start a new run.")


def _counted(value: Any) -> bool:
    """Return whether a value says how many images there are for training and validation."""
    return isinstance(value, dict) and all(
        isinstance(value.get(split), int) and value[split] >= 0 for split in ("train", "val"))


def _check_architecture(arch: str | None, recipe: Recipe, config: Mapping[str, Any], run: Run) -> None:
    """Raise UsageError if the TOML file that is given again describes another network now."""
    if arch is None or not arch.lower().endswith(".toml"):
        return
    if from_toml(arch, recipe.preprocessing.shape, len(config["classes"]), None).config() != config["network"]:
        raise UsageError(f"{printable(arch)} describes another network than when {printable(run.path)} began; leave "
                         "--arch out, or start a new run.")


def _shown(name: str, value: Any) -> str:
    if name in _HASHED and value is not None:
        return _HASHED[name]
    if name in ("range", "float_range") and value is not None:
        return range_in_words(value)
    if name == "class_weights" and value is not None:
        return f"[{', '.join(f'{weight:g}' for weight in value)}]"
    if isinstance(value, dict):  # strengths of augmentation
        return ",".join(f"{key}={strength}" for key, strength in value.items() if strength)
    return "x".join(map(str, value)) if isinstance(value, list) else "off" if value is None else str(value)


def _extended(progress: Progress, recipe: Recipe, run: Run) -> Progress:
    """Return the progress of a run, finished or not by its recipe's epochs and patience, which may have changed."""
    done = len(progress.history)
    if recipe.epochs < done or (recipe.epochs == done and progress.step):
        raise UsageError(f"{printable(run.path)} has done {progress.epoch if progress.step else done} epochs already; "
                         "give a larger --epochs.")
    waited = done - highest(progress.history)["epoch"] if done else 0
    impatient = recipe.patience is not None and waited >= recipe.patience
    return replace(progress, finished=done >= recipe.epochs or impatient)


def _check_data(data: Data, splits: Splits, config: Mapping[str, Any], run: Run) -> None:
    shown, now, then = name_of(data), fingerprint(splits), config["samples"]
    if splits.classes != config["classes"]:
        new, gone = sorted(set(splits.classes) - set(config["classes"])), sorted(
            set(config["classes"]) - set(splits.classes))
        what = "; ".join(f"{word}: {', '.join(map(printable, names[:5]))}" for word, names in
                         (("new", new), ("gone", gone)) if names)
        raise DataError(f"{shown} has other classes than when {printable(run.path)} began ({what}); name them as "
                        "before, or start a new run.")
    if now["fingerprint"] != then["fingerprint"] and have_changed(run, splits):
        what = (f"{in_words(then)} then, {in_words(now)} now" if _two(then) != _two(now)
                else f"as many, but with other {'names or sizes' if folder_of(data) else 'labels or pixels'}")
        raise DataError(f"{shown} holds other images than when {printable(run.path)} began ({what}); put them back, or "
                        "start a new run.")


def _check_content(data: Data, material: Material, run: Run) -> None:
    """Raise DataError if files with the same names and sizes hold other images than at the beginning of the run."""
    listed = placed(read_marks(run) or {}, material.splits.train + material.splits.val)
    other = [sample.path for images in (material.train, material.validation) if images is not None
             for sample, marks in zip(images.samples, images.marks.tolist(), strict=True)
             if sample.pixels is None and (was := listed.get(sample.relative)) and not was.is_like(marks)]
    if other:
        raise DataError(f"{name_of(data)} holds other images than when {printable(run.path)} began ({len(other):,} of "
                        f"the same names and sizes, the first {printable(other[0])}); put them back, or start a new "
                        "run.")


def _record_place(run: Run, data: Data | None) -> None:
    """Write down where the images of a finished run lie now, if the user says so and they are the run's."""
    with suppress(DataError):
        if isinstance(data, str | os.PathLike) and splits_in(run, os.fspath(data)) is not None:
            config = run.config
            moved = {**config, **place(data, run.path.parent)}
            if moved != config:
                run.write_config(moved)


def _two(counts: Mapping[str, Any]) -> tuple[int, int]:
    return counts["train"], counts["val"]


def _restore(fit: Fit, run: Run, progress: Progress, arrays: dict[str, Any]) -> None:
    """Set a fit to a saved state."""
    if progress.best and _best_on_disk(run.path / checkpoint.MODEL, fit.observer) != progress.best["epoch"]:
        progress.best = None  # the next epoch's takes its place, also where it was on its way there when killed
    fit.restore(progress, arrays)
    fit.observer.resumed([as_written(row) for row in progress.history], progress.step)


def _best_on_disk(path: Path, observer: Observer) -> int | None:
    """Return the epoch whose weights model.safetensors holds, None where it cannot be used."""
    try:
        return checkpoint.load_model(path).training.get("epoch")
    except ModelError as error:
        observer.note(f"{error} The best model from now on takes its place.")
        return None
