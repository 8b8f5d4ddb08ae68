"""``cnn train``: a folder of images becomes a run with a model in it. Parses, calls cnncli.training and says where the
result is; train_view.py shows what happens meanwhile.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, printable, quoted
from .command import Command
from .output import console, emit, emit_json, note, report_skipped
from .train_options import train_options

if TYPE_CHECKING:
    from ..training.folds import CrossValidation
    from ..training.observer import Observer

MOST_GROUPS = 30  # that a cross-validation prints
WATCHERS = ("live", "port", "tensorboard", "log")  # options that say who watches
BY_HEART = 0.15  # by how much the training accuracy is above that of validation, from which it is told
EXAMPLES = (
    ("cnn train photos/", "train; everything is chosen to suit the images"),
    ("cnn train photos/ --arch resnet20 --epochs 30", "train a larger network for longer"),
    ("cnn train photos/ --init efficientnet_lite0", "start from weights trained on ImageNet"),
    ("cnn train photos/ --init efficientnet_lite0 --probe", "fit only the last layer, in seconds"),
    ("cnn train photos/ --init runs/birds --freeze 3", "start from your own model; keep its first blocks"),
    ("cnn train photos/ --arch net.toml --size 64", "train a network of your own, described in a file"),
    ("cnn train photos/ --time 30m", "train for half an hour"),
    ("cnn train photos/ --patience 5 --name birds", "stop when it gets no better; the run folder is runs/birds/"),
    ("cnn train photos/ --live", "watch the training on a web page"),
    ("cnn train photos/ --tensorboard tb", "watch it with TensorBoard: tensorboard --logdir tb"),
    ("cnn train photos/ --log trackio", "watch it with trackio: trackio show"),
    ("cnn train scans/ --augment digits --preview", "augment as suits digits, and draw examples"),
    ("cnn train slides/ --group-by 'patient(\\d+)'", "keep the images of each patient together"),
    ("cnn train images/ --labels labels.csv", "read the labels from a table with columns file,label"),
    ("cnn train photos/ --find-lr", "suggest a learning rate, without training"),
    ("cnn train photos/ --folds 5", "cross-validate with five runs"),
    ("cnn train photos/ --recipe fast", "train on small colour images; next: cnn test --tta"),
    ("cnn train --resume", "continue the latest run where it stopped"),
    ("cnn train --resume birds --epochs 40", "train a finished run for longer"),
)


@click.command(cls=Command, examples=EXAMPLES, grouped=True)
@click.argument("data", type=click.Path(), required=False)
@train_options
def command(data: str | None, resume: str | None, folds: int | None, find_lr: bool, as_json: bool,
            **options: Any) -> int:
    """Train a classifier on a folder of images.

    DATA is a folder with one folder per class. It may also hold train/, val/ and test/ with a folder per class in each.
    If val/ or test/ is missing, a tenth of the training images is used for it (at most 2,500 for validation). A hash of
    each file's path decides which; no file is copied or moved.

    The run is written to runs/NAME/: the model of the best epoch (model.safetensors), history.csv, curves.png,
    config.json, and what is needed to continue. The best epoch is the one with the highest validation accuracy; of
    epochs within one standard error of it, the latest is taken. Ctrl-C stops after the current step and saves
    everything.

    One line for each epoch goes to standard output. A star marks an epoch whose model was kept, because none before it
    was better by more than that standard error. The losses are cross-entropies. All other messages go to standard
    error. With --json the lines go to standard error, too, and one JSON object goes to standard output at the end.
    """
    from ..ranks.current import world
    from ..training.train import train

    complete(options)
    if not world().leads:
        return _follow(data, resume, folds, find_lr, options)
    if find_lr:
        return _find_lr(data, {"--resume": resume, "--folds": folds}, as_json, options)
    live = options["live"]
    watching = watched(data, as_json, options)
    if folds is not None:
        return _cross_validate(data, resume, folds, watching, as_json, options)
    with watching as observer:
        run = train(data, resume=False if resume is None else resume, observer=observer, **options)
    best = run.model.training
    if as_json:
        emit_json(run.as_json())
    if live:
        note(f"The page has ended with the training. To see it again: cnn watch {quoted(run.path)}")
    _say_where(run, best, options["runs"])
    return report_skipped(run.skipped)


def _follow(data: str | None, resume: str | None, folds: int | None, find_lr: bool, options: dict[str, Any]) -> int:
    """Train together with the process that leads, which shows what happens."""
    from ..training.find_lr import find_lr as test_rates
    from ..training.folds import cross_validate
    from ..training.train import train

    for name in WATCHERS:
        del options[name]
    if folds is not None:
        cross_validate(data, folds, resume=False if resume is None else resume, **options)
    elif find_lr:
        of_steps = {name: value for name, value in options.items() if name not in ("time", "name", "preview")}
        test_rates(data or "", **of_steps)
    else:
        train(data, resume=False if resume is None else resume, **options)
    return 0


def complete(options: dict[str, Any]) -> None:
    """Put what stands for other options in their place, and the threads beside them."""
    from .. import kernels

    if options.pop("no_augment"):
        if options["augment"] is not None:
            raise UsageError("--augment and --no-augment cannot be given together; leave one of them out.")
        options["augment"] = "none"
    options["threads"] = kernels.threads()


def watched(data: str | None, as_json: bool, options: dict[str, Any]) -> AbstractContextManager["Observer"]:
    """Take those of the options that say who watches; return what lets the terminal show what is trained, and whoever
    else is wanted."""
    watchers = {name: options.pop(name) for name in WATCHERS}
    if watchers["port"] is not None and not watchers["live"]:
        raise UsageError("--port needs --live, whose page it is for; add --live, or leave --port out.")
    return _watched(data, as_json, **watchers)


@contextmanager
def _watched(data: str | None, as_json: bool, live: bool, port: int | None, tensorboard: str | None,
             log: str | None) -> Iterator["Observer"]:
    from ..training.observer import Observers
    from .train_view import TrainView

    with ExitStack() as watching:
        several: list[Observer] = [watching.enter_context(TrainView(quiet_stdout=as_json))]
        if tensorboard is not None:
            from ..watching.tensorboard import TensorBoard

            several.append(TensorBoard(tensorboard, note, data))
        if log is not None:
            from ..watching.trackers import Tracker

            several.append(Tracker(log, note))
        if live:
            from ..watching.live import Live

            several.append(page := watching.enter_context(Live(port or 0, say=note)))
            note(f"To watch it: {page.address}")
        yield Observers(*several) if len(several) > 1 else several[0]


def _find_lr(data: str | None, others: dict[str, Any], as_json: bool, options: dict[str, Any]) -> int:
    """Test learning rates, print the one to take and how."""
    from ..training.find_lr import find_lr
    from .train_view import TrainView

    others |= {"--time": options["time"], "--name": options["name"], "--preview": options.pop("preview") or None,
               **{f"--{name}": options.pop(name) or None for name in WATCHERS}}
    for flag, value in others.items():
        if value is not None:
            raise UsageError(f"--find-lr and {flag} cannot be given together, because --find-lr does not train; leave "
                             "one of them out.")
    if data is None:
        raise UsageError("there are no images; give a folder with one sub-folder per class.")
    del options["name"]
    with TrainView(quiet_stdout=as_json) as view:
        found = find_lr(data, observer=view, **options)
    if as_json:
        emit_json(found.as_json())
    note(f"{printable(found.picture)}: the loss of {len(found.losses)} steps with a growing learning rate"
         + (f"; it diverged at {found.stopped:.2g}." if found.stopped else f", up to {found.rates[-1]:.2g}."))
    if found.suggestion is None:
        note("The loss fell at none of these rates, so there is no suggestion. Are the images in the right folders?")
        return 1
    if not as_json:
        emit(f"suggested learning rate: {found.suggestion:g}")
    note(f"It is a third of {found.lowest:.2g}, where the loss was lowest. To train with it, add: "
         f"--lr {found.suggestion:g}")
    return 0


def _print_folds(found: "CrossValidation") -> None:
    """Print what each fold reached, each group, and all of them together."""
    from ..report.tables import show

    emit()
    columns = (("run", "left"), ("images", "right"), ("best epoch", "right"), ("val loss", "right"),
               ("val accuracy", "right"), ("last epoch", "right"))
    show(console(), columns, [(f.run.name, f"{f.image_count:,}", str(f.epoch), f"{f.val_loss:.4f}",
                               f"{f.val_accuracy:.2%}", f"{f.last_accuracy:.2%}") for f in found.folds])
    emit()
    if found.groups:
        _print_groups(found)
    if found.classes:
        show(console(), (("class", "left"), ("precision", "right"), ("recall", "right"), ("F1", "right"),
                         ("images", "right")),
             [(c.name, f"{c.precision:.1%}", f"{c.recall:.1%}" if c.support else "-", f"{c.f1:.3f}", f"{c.support:,}")
              for c in found.classes])
        emit()
    low, high = found.last_interval
    emit(f"accuracy of {len(found.folds)} folds: {found.last_mean:.2%} ± {found.last_deviation:.2%} (mean, standard "
         "deviation over folds), after the last epoch")
    emit(f"          {low:.2%} to {high:.2%} is the 95 % interval of the mean")
    emit(f"          {found.last_right:,} of {found.image_count:,} images right, each judged by the fold that did not "
         "learn it")
    if interval := found.group_interval:
        emit(f"          {interval[0]:.2%} to {interval[1]:.2%} for images of new groups, by the {len(found.groups):,} "
             "groups tested")
    if found.mean != found.last_mean:
        emit(f"          {found.mean:.2%} ± {found.deviation:.2%} after the best epochs. This is a little too high, "
             "because the same images chose these epochs.")


def _print_groups(found: "CrossValidation") -> None:
    """Print a line for each group; if they are many, for those with the lowest accuracy."""
    from ..report.tables import show

    every = [(group, fold.run.name) for fold in found.folds for group in fold.groups]
    order = sorted(every, key=lambda one: one[0].right / one[0].image_count) if len(every) > MOST_GROUPS else every
    shown = sorted(order[:MOST_GROUPS], key=lambda one: one[0].name)
    show(console(), (("group", "left"), ("run", "left"), ("images", "right"), ("last epoch", "right")),
         [(group.name, run, f"{group.image_count:,}", f"{group.right / group.image_count:.2%}")
          for group, run in shown])
    if len(every) > len(shown):
        emit(f"These are the {len(shown)} groups with the lowest accuracy of {len(every):,}; folds.json has all.")
    emit()


def _cross_validate(data: str | None, resume: str | None, folds: int, watching: AbstractContextManager["Observer"],
                    as_json: bool, options: dict[str, Any]) -> int:
    """Train once for each fold, and print what they reached together."""
    from ..training.folds import cross_validate

    with watching as observer:
        found = cross_validate(data, folds, resume=False if resume is None else resume, observer=observer, **options)
    if as_json:
        emit_json(found.as_json())
    else:
        _print_folds(found)
    note(f"Written to {printable(found.path)}; {printable(found.path.with_name('folds.csv'))} has the answer for each "
         "image.")
    note("Next: to get a model for use, train with the same options, without --folds.")
    return report_skipped(found.skipped)


def _say_where(run: Any, best: dict[str, Any], runs: str) -> None:
    """Say how good the model is, where, and what to do next."""
    from ..runs import CURVES, HISTORY
    from ..runs.kept import highest

    if best.get("val_accuracy") is not None:
        top = highest(run.history)
        alike = f"{top['val_accuracy']:.2%}" == f"{best['val_accuracy']:.2%}"
        other = "" if top["epoch"] == best["epoch"] or alike else (
            f"; epoch {top['epoch']} had {top['val_accuracy']:.2%}, but so few images cannot tell the two apart")
        note(f"Best: epoch {best['epoch']}, {best['val_accuracy']:.2%} of the validation images right{other}.")
        learnt = (run.kept or {}).get("train_accuracy") or 0
        if learnt - best["val_accuracy"] > BY_HEART:
            note(f"Of the training images, {learnt:.2%} are right: the network knows some by heart. More images help.")
    beside = [name for name in (CURVES, HISTORY) if (run.path / name).exists()]
    note(f"Model: {printable(run.path)}/model.safetensors" + (f" ({' and '.join(beside)} beside it)" if beside else ""))
    if run.config.get("samples", {}).get("test") == 0:
        note("The split has no test images. To test the model on other images: cnn test DATA"
             + ("" if runs == "runs" else f" -m {quoted(run.path)}"))
        return
    note("Next: cnn test" if runs == "runs" else f"Next: cnn test -m {quoted(run.path)}")
