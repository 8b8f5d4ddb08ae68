"""``cnn train``: a folder of images becomes a run with a model in it. Parses, calls cnncli.training and says where the
result is; train_view.py shows what happens meanwhile.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError, printable, quoted
from .command import (
    Command,
    Size,
    exact_option,
    group_by_option,
    json_option,
    labels_option,
    strict_option,
    threads_option,
)
from .completing import (
    architecture_names,
    augmentation_names,
    loss_names,
    optimiser_names,
    run_names,
    sampling_names,
    schedule_names,
    weight_names,
)
from .output import console, emit, emit_json, note, report_skipped

if TYPE_CHECKING:
    from ..training.observer import Observer

LATEST = "latest"
WATCHERS = ("live", "port", "tensorboard", "log")  # options that say who watches
EXAMPLES = (
    ("cnn train photos/", "a folder per class; everything chosen to suit the images"),
    ("cnn train photos/ --arch resnet20 --epochs 30", "a larger network, for longer"),
    ("cnn train photos/ --arch net.toml --size 64", "a network written by hand"),
    ("cnn train scans/ --augment digits --preview", "vary images as suits digits; look at augmented.png"),
    ("cnn train photos/ --init efficientnet_lite0", "start from a network that knows ImageNet"),
    ("cnn train photos/ --init efficientnet_lite0 --probe", "fit its last layer only: seconds"),
    ("cnn train photos/ --init runs/birds --freeze 3", "start from a model; its first three blocks stay"),
    ("cnn train photos/ --patience 5 --name birds", "stop when it gets no better; runs/birds/"),
    ("cnn train photos/ --time 30m", "as many epochs as end in half an hour"),
    ("cnn train photos/ --find-lr", "which learning rate? a plot and a suggestion, no training"),
    ("cnn train photos/ --folds 5", "cross-validation: five runs, mean and deviation"),
    ("cnn train slides/ --group-by 'patient(\\d+)'", "nobody is both learnt and tested"),
    ("cnn train images/ --labels labels.csv", "no class folders, but a table: file,label"),
    ("cnn train photos/ --recipe fast", "small pictures in minutes; then: cnn test --tta"),
    ("cnn train photos/ --live", "watch it on a web page of this machine"),
    ("cnn train photos/ --tensorboard tb", "for: tensorboard --logdir tb"),
    ("cnn train --resume", "continue the latest run where it was stopped"),
    ("cnn train --resume birds --epochs 40", "continue a finished run for longer"),
)


GROUPS = {
    "Images": "size grey labels group_by exclude split_seed sampling range cache strict",
    "Network": "arch init freeze probe recipe",
    "Learning": "epochs time lr find_lr batch_size patience optimizer schedule warmup weight_decay loss "
                "label_smoothing class_weights ema seed exact",
    "Augmentation": "augment preview no_augment",
    "Running": "name resume folds live port threads runs as_json",
}


class Blocks(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A number of blocks, or a word that stands for one."""

    name = "blocks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip()) else value


@click.command(cls=Command, examples=EXAMPLES, groups=GROUPS)
@click.argument("data", type=click.Path(), required=False)
@click.option("--arch", shell_complete=architecture_names, metavar="NAME|FILE.toml",
              help="auto, lenet5, classic, nin, vgg-small, resnet8, resnet9, resnet20, resnet18, resnet34, "
                   "resnet50, vgg11, vgg16, squeezenet1_1, mobilenet_v2, efficientnet_lite0, efficientnet_lite1, "
                   "efficientnet_lite2, or a TOML file.  [default: auto, by image size]")
@click.option("--init", shell_complete=weight_names, metavar="NAME|FILE",
              help="Weights to begin with: efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2, trained on "
                   "ImageNet, a model or run of ours, a .safetensors or a PyTorch file; none: fresh ones.  [default: "
                   "efficientnet_lite0 for photographs, where it is installed]")
@click.option("--freeze", type=Blocks(), metavar="N|all|none",
              help="With --init: how many blocks from the stem on do not learn; all but the last layer.  "
                   "[default: none]")
@click.option("--probe", is_flag=True, help="With --init: fit the last layer only, to features that are computed once.")
@click.option("--recipe", metavar="auto|fast",
              help="fast: a small network in few, large steps, for pictures of about 32 pixels; trains on all images, "
                   "keeping none for validation.  [default: auto]")
@click.option("--epochs", type=int, help="How often to go through the images.  [default: 15, more for few images]")
@click.option("--time", metavar="TIME", help="Instead of --epochs: as many as end in 10m, 90s or 1h30m, from now until "
                                             "all is done. Speed is measured first.")
@click.option("--batch-size", type=int, help="Images per step.  [default: 128, fewer for few images]")
@click.option("--lr", type=float, help="The learning rate's peak.  [default: to suit network, images and "
                                                          "optimiser]")
@click.option("--optimizer", shell_complete=optimiser_names, metavar="NAME", help="sgd (momentum 0.9, Nesterov), adam, adamw.  [default: sgd; with "
                                               "--init adamw]")
@click.option("--schedule", shell_complete=schedule_names, metavar="NAME", help="one-cycle, cosine, step, constant, triangular.  [default: one-cycle]")
@click.option("--warmup", type=float, metavar="EPOCHS", help="How long the learning rate climbs at the start.")
@click.option("--weight-decay", type=float, help="Spares biases and norms.  [default: 5e-4 for sgd]")
@click.option("--loss", shell_complete=loss_names, metavar="NAME", help="cross-entropy, squared-error.  [default: cross-entropy]")
@click.option("--label-smoothing", type=float, help="Share of the target spread over all classes.  [default: 0.1 with "
                                                    "batch norm, 0 without or with few parameters for each image]")
@click.option("--class-weights", metavar="balanced", help="Let every class count the same, however many images it has.")
@click.option("--sampling", shell_complete=sampling_names, metavar="NAME", help="shuffled: each image once an epoch; balanced: each class equally "
                                                 "often.  [default: shuffled]")
@click.option("--ema", type=float, metavar="PART",
              help="The last part of the training over which weights are averaged; 0 for none.  [default: 0.25]")
@click.option("--augment", shell_complete=augmentation_names, metavar="HOW",
              help="How training images are varied: auto, none, digits, photo, strong, or a list with strengths, as "
                   "shift=4,flip,rotate=10; there are shift, flip, rotate, scale, shear, colour, hue, randaugment, "
                   "erase, cutout, mixup and cutmix.  [default: auto: shifts, and flips unless images are grey]")
@click.option("--no-augment", is_flag=True, help="The same as --augment none.")
@click.option("--preview", is_flag=True, help="First draw augmented.png: some training images and how they are varied.")
@click.option("--size", type=Size(), metavar="N|WxH", help="Pixels to scale images to.  [default: to suit them]")
@click.option("--grey/--colour", default=None, help="One channel or three.  [default: what the images are]")
@click.option("--range", metavar="LOW:HIGH", help="What is black and what is white in images deeper than 8 bits, as "
                                                  "0:4095.  [default: found from the training images]")
@click.option("--seed", type=int, help="Of weights, order, augmentation and split.  [default: 0]")
@click.option("--split-seed", type=int, help="Of the split alone.  [default: that of --seed]")
@group_by_option
@labels_option
@click.option("--exclude", type=click.Path(), metavar="FILE",
              help="Leave out the images that this list names; cnn check --exclude-list writes one.")
@exact_option
@threads_option
@click.option("--patience", type=int, metavar="EPOCHS", help="Stop after so many epochs without a better one.")
@click.option("--folds", type=int, metavar="K", help="Cross-validation: train K times, each validated on another "
                                                   "K-th of all but the test images.")
@click.option("--find-lr", is_flag=True, help="Train nothing, but test learning rates: draws lr.png, suggests a peak.")
@click.option("--name", help="The run's name.  [default: architecture and a number, like resnet8-1]")
@click.option("--resume", shell_complete=run_names, is_flag=False, flag_value=LATEST, metavar="[RUN]",
              help="Continue a run, to the bits it would have reached: the latest, or by name or path.")
@click.option("--live", is_flag=True, help="Show the training on a web page of this machine while it runs, which can "
                                           "stop it, too; its address is printed. cnn watch shows it afterwards.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --live: the page's port.  [default: any free one]")
@click.option("--tensorboard", type=click.Path(), metavar="DIR",
              help="Write what happens for TensorBoard, too, into DIR/NAME/; for 'cnncli[tensorboard]'.")
@click.option("--log", metavar="wandb|trackio|mlflow",
              help="Tell it to this library, too, where it is installed; wandb: offline, unless WANDB_MODE is set.")
@click.option("--cache", metavar="ram|none", default="ram", show_default=True,
              help="Keep decoded images in memory, or decode them anew each epoch.")
@click.option("--runs", type=click.Path(), default="runs", show_default=True, help="The folder that runs go to.")
@strict_option
@json_option
def command(data: str | None, resume: str | None, folds: int | None, find_lr: bool, as_json: bool,
            **options: Any) -> int:
    """Train a classifier on a folder of images.

    DATA holds a folder for each class, with images in it and its sub-folders; or train/, val/ and test/ with such
    class folders. What is not there for validation and test is held out of the training images, 10 % each (2,500 at
    most for validation), by a hash of their names; nothing is copied or moved.

    The run goes to runs/NAME/: model.safetensors (the best epoch's, the latest of those within a standard error of the
    highest validation accuracy), history.csv, curves.png, config.json, and what resuming needs. Ctrl-C stops after the
    step, saved. An epoch's line goes to stdout (with --json to stderr, and one object at the end to stdout), everything
    else to stderr; losses are cross-entropy, a star marks the best epoch so far.
    """
    from ..training.train import train

    complete(options)
    if find_lr:
        return _find_lr(data, {"--resume": resume, "--folds": folds}, as_json, options)
    watching = watched(data, as_json, options)
    if folds is not None:
        return _cross_validate(data, resume, folds, watching, as_json, options)
    with watching as observer:
        run = train(data, resume=False if resume is None else resume, observer=observer, **options)
    best = run.model.training
    if as_json:
        emit_json(run.as_json())
    _say_where(run, best, options["runs"])
    return report_skipped(run.skipped)


def complete(options: dict[str, Any]) -> None:
    """Put what stands for other options in their place, and the threads beside them."""
    from .. import kernels

    if options.pop("no_augment"):
        if options["augment"] is not None:
            raise UsageError("--augment and --no-augment contradict each other; leave one of them out.")
        options["augment"] = "none"
    options["threads"] = kernels.threads()


def watched(data: str | None, as_json: bool, options: dict[str, Any]) -> AbstractContextManager["Observer"]:
    """Take those of the options that say who watches; return what lets the terminal show what is trained, and whoever
    else is wanted."""
    watchers = {name: options.pop(name) for name in WATCHERS}
    if watchers["port"] is not None and not watchers["live"]:
        raise UsageError("--port is where --live shows its page; add --live, or leave it out.")
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
            raise UsageError(f"--find-lr trains nothing, so that {flag} has no meaning beside it; leave one out.")
    if data is None:
        raise UsageError("no images to test learning rates on; give a folder with one sub-folder per class.")
    del options["name"]
    with TrainView(quiet_stdout=as_json) as view:
        found = find_lr(data, observer=view, **options)
    if as_json:
        emit_json(found.as_json())
    note(f"{printable(found.picture)}: the loss of {len(found.losses)} steps, as the rate grows"
         + (f"; at {found.stopped:.2g} it had run away." if found.stopped else f" to {found.rates[-1]:.2g}."))
    if found.suggestion is None:
        note("The loss fell at none of these rates: there is no suggestion. Are the images in the right folders?")
        return 1
    if not as_json:
        emit(f"suggested learning rate: {found.suggestion:g}")
    note(f"It is a third of {found.lowest:.2g}, where the loss was lowest. To train with it, add: "
         f"--lr {found.suggestion:g}")
    return 0


def _cross_validate(data: str | None, resume: str | None, folds: int, watching: AbstractContextManager["Observer"],
                    as_json: bool, options: dict[str, Any]) -> int:
    """Train once for each fold, and print what they reached together."""
    from ..report.tables import show
    from ..training.folds import cross_validate

    with watching as observer:
        found = cross_validate(data, folds, resume=False if resume is None else resume, observer=observer, **options)
    if as_json:
        emit_json(found.as_json())
    else:
        emit()
        columns = (("run", "left"), ("images", "right"), ("best epoch", "right"), ("val loss", "right"),
                   ("val accuracy", "right"), ("last epoch's", "right"))
        show(console(), columns, [(f.run.name, f"{f.images:,}", str(f.epoch), f"{f.val_loss:.4f}",
                                   f"{f.val_accuracy:.2%}", f"{f.last_accuracy:.2%}") for f in found.folds])
        emit(f"accuracy of {folds} folds: {found.mean:.2%} ± {found.deviation:.2%} (mean, standard deviation); of the "
             f"last epochs, which nothing was chosen by: {found.last_mean:.2%} ± {found.last_deviation:.2%}")
    note("Next: train on all of it, with the same options but --folds; cnn test tells of images that none has seen.")
    return report_skipped(found.skipped)


def _say_where(run: Any, best: dict[str, Any], runs: str) -> None:
    """Say how good the model is, where, and what to do next."""
    from ..runs import CURVES, HISTORY
    from ..training.progress import highest

    if best.get("val_accuracy") is not None:
        top = highest(run.history)
        other = "" if top["epoch"] == best["epoch"] else (
            f"; epoch {top['epoch']} had {top['val_accuracy']:.2%}, which so few images cannot tell from it")
        note(f"Best: epoch {best['epoch']}, {best['val_accuracy']:.2%} of the validation images right{other}.")
    beside = [name for name in (CURVES, HISTORY) if (run.path / name).exists()]
    note(f"Model: {printable(run.path)}/model.safetensors" + (f" ({' and '.join(beside)} beside it)" if beside else ""))
    note("Next: cnn test" if runs == "runs" else f"Next: cnn test -m {quoted(run.path)}")
