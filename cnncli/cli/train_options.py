"""The options of ``cnn train`` in the groups of its help, the most used of each group first. ``cnn sweep`` has most of
them, too."""

import re
from functools import partial
from typing import Any

import click

from .command import (
    Function,
    Option,
    Size,
    exact_option,
    exclude_option,
    group_by_option,
    json_option,
    labels_option,
    port_option,
    range_option,
    strict_option,
    threads_option,
)
from .completing import (
    architecture_names,
    augmentation_names,
    fit_names,
    loss_names,
    optimiser_names,
    precision_names,
    run_names,
    sampling_names,
    schedule_names,
    weight_names,
)

LATEST = "latest"


class Blocks(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A number of blocks, or a word that stands for one."""

    name = "blocks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip()) else value


_images, _network, _learning, _augmentation, _running = (
    partial(click.option, cls=Option, heading=heading)
    for heading in ("Images", "Network", "Learning", "Augmentation", "Running"))

_OPTIONS = (
    _images("--size", type=Size(), metavar="N|WxH",
            help="Scale the images to this size, in pixels.  [default: chosen by the images' own sizes]"),
    _images("--fit", metavar="NAME", shell_complete=fit_names,
            help="How images get the network's shape. crop: scaled, then cut at the centre. squash: the whole image, "
                 "stretched. pad: the whole image, scaled to fit inside, with grey beside it.  [default: crop for "
                 "photographs, squash for small images of one shape]"),
    _images("--grey/--colour", default=None,
            help="Use one channel (grey) or three (colour).  [default: as the images are]"),
    labels_option,
    group_by_option,
    exclude_option,
    _images("--sampling", metavar="NAME", shell_complete=sampling_names,
            help="How images are drawn. shuffled: each image once in an epoch. balanced: each class equally often.  "
                 "[default: shuffled]"),
    _images("--split-seed", type=int, metavar="N",
            help="Divide the images differently into training, validation and test.  [default: the value of --seed]"),
    range_option,
    _images("--cache", metavar="auto|ram|disk|none", default="auto", show_default=True,
            help="ram: keep decoded images in memory. disk: keep them in a file in the folder CNN_CACHE_DIR, for later "
                 "trainings, too. none: decode them again in each epoch. auto: ram if they fit into memory, else disk, "
                 "or none if there is no room."),
    strict_option,
    _network("--arch", metavar="NAME|FILE.toml", shell_complete=architecture_names,
             help="The network: auto, lenet5, classic, nin, vgg-small, resnet8, resnet9, resnet20, resnet18, resnet34, "
                  "resnet50, vgg11, vgg16, squeezenet1_1, mobilenet_v2, efficientnet_lite0, efficientnet_lite1, "
                  "efficientnet_lite2, or a TOML file.  [default: auto, which chooses by the images' size]"),
    _network("--init", metavar="NAME|FILE", shell_complete=weight_names,
             help="The weights to start from: efficientnet_lite0, efficientnet_lite1 or efficientnet_lite2 (trained on "
                  "ImageNet), a model or run of cnn, a .safetensors file, a PyTorch file, or none (random weights).  "
                  "[default: efficientnet_lite0 for photographs, if it is installed; else none]"),
    _network("--freeze", type=Blocks(), metavar="N|all|none",
             help="With --init: keep the weights of the first N blocks as they are. all: only the last layer learns.  "
                  "[default: none]"),
    _network("--probe", is_flag=True,
             help="With --init: compute the features of each image once and fit only the last layer to them. Takes "
                  "seconds."),
    _network("--recipe", metavar="auto|fast",
             help="fast: a small network in few, large steps, for colour images of about 32 pixels. It learns from all "
                  "images and keeps none for validation.  [default: auto]"),
    _learning("--epochs", type=int, metavar="N",
              help="How many times to go through the training images.  [default: 15, or 8 with --init; more if there "
                   "are few images]"),
    _learning("--time", metavar="TIME",
              help="Train as many epochs as fit into this time, like 90s, 10m or 1h30m. The time counts from the start "
                   "of the command. Replaces --epochs."),
    _learning("--lr", type=float, metavar="RATE",
              help="The highest learning rate.  [default: chosen by network, images and optimiser]"),
    _learning("--find-lr", is_flag=True,
              help="Do not train. Test learning rates, draw the loss of each in runs/lr.png, "
                   "and suggest one."),
    _learning("--batch-size", type=int, metavar="N",
              help="How many images each step learns from.  [default: 128, or 32 with --init; fewer if there are few "
                   "images]"),
    _learning("--patience", type=int, metavar="EPOCHS",
              help="Stop when this many epochs in a row were not better than the best one.  [default: 5 with --init "
                   "if neither --epochs nor --time is given; else never]"),
    _learning("--seed", type=int, metavar="N",
              help="The seed of all random numbers: initial weights, order, augmentation, and the split unless "
                   "--split-seed is given. The same seed gives the same model.  [default: 0]"),
    _learning("--optimizer", metavar="NAME", shell_complete=optimiser_names,
              help="How gradients become steps: sgd (momentum 0.9, Nesterov), adam or adamw.  [default: sgd, or adamw "
                   "with --init]"),
    _learning("--schedule", metavar="NAME", shell_complete=schedule_names,
              help="How the learning rate changes during training: one-cycle, cosine, step, constant, triangular.  "
                   "[default: one-cycle]"),
    _learning("--warmup", type=float, metavar="EPOCHS",
              help="Raise the learning rate from 0 to its highest value over this many epochs.  [default: the "
                   "rise of the schedule, if it has one]"),
    _learning("--weight-decay", type=float, metavar="STRENGTH",
              help="How strongly large weights are penalised. Biases and normalisation layers are left out.  [default: "
                   "5e-4 for sgd, 0 for adam, 0.01 for adamw]"),
    _learning("--loss", metavar="NAME", shell_complete=loss_names,
              help="The loss to minimise: cross-entropy or squared-error.  [default: cross-entropy]"),
    _learning("--label-smoothing", type=float, metavar="SHARE",
              help="The share of each label that is spread over all classes.  [default: 0.1 for networks with batch "
                   "normalisation; 0 for others, or if there are few parameters for each image]"),
    _learning("--class-weights", metavar="balanced",
              help="balanced: errors in small classes count more, so that all classes count the same."),
    _learning("--ema", type=float, metavar="PART",
              help="Average the weights over the last part of the training, a share of its steps; 0 turns this off.  "
                   "[default: 0.25]"),
    exact_option,
    _learning("--precision", metavar="NAME", shell_complete=precision_names,
              help="float32, or bfloat16: what layers hand on is stored in half the memory, and rounded. auto: measure "
                   "some steps of both, and take bfloat16 if it is clearly faster.  [default: CNN_PRECISION, or "
                   "float32]"),
    _learning("--shards", type=int, metavar="K",
              help="Compute each batch in K parts, one after the other, in the memory of one. Each part has batch-norm "
                   "statistics of its own, so that another number gives another model.  [default: 1]"),
    _augmentation("--augment", metavar="HOW", shell_complete=augmentation_names,
                  help="How training images are changed each time they are used: auto, none, digits, photo, strong, or "
                       "a list of changes with their strengths, like shift=4,flip,rotate=10. The changes are shift, "
                       "flip, rotate, scale, shear, colour, hue, randaugment, erase, cutout, mixup and cutmix.  "
                       "[default: auto, which shifts images, and mirrors them unless they are grey]"),
    _augmentation("--preview", is_flag=True,
                  help="Before training, draw some training images and their changed versions in "
                       "augmented.png in the run folder."),
    _augmentation("--no-augment", is_flag=True, help="The same as --augment none."),
    _running("--name", metavar="NAME",
             help="The name of the run.  [default: the architecture and a number, like resnet8-1]"),
    _running("--resume", is_flag=False, flag_value=LATEST, metavar="[RUN]", shell_complete=run_names,
             help="Continue a run that was stopped, or train a finished one for longer: the latest, or by name or "
                  "path. The result is the same as without the stop."),
    _running("--folds", type=int, metavar="K",
             help="Cross-validation: train K times. Each time another K-th of the images is used for validation. Test "
                  "images are left out."),
    _running("--live", is_flag=True,
             help="Show the training on a web page of this machine while it runs. The page can also stop it. The "
                  "address is printed; cnn watch shows the page again later."),
    port_option(help="With --live: the port of the page, 0 to 65535.  [default: 0, any free one]"),
    _running("--tensorboard", type=click.Path(), metavar="DIR",
             help="Also write the training's numbers and pictures for TensorBoard, into DIR/NAME/. Needs the package "
                  "tensorboardX."),
    _running("--log", metavar="wandb|trackio|mlflow",
             help="Also send the training's numbers to this library, if it is installed. wandb works offline, unless "
                  "WANDB_MODE says otherwise."),
    threads_option,
    _running("--runs", type=click.Path(), metavar="DIR", default="runs", show_default=True,
             help="The folder that runs are written to."),
    json_option,
)


def train_options(function: Function) -> Function:
    """Give a command all of them, in this order."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
