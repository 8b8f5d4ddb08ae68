"""What the shell's Tab key completes: names of networks, schedules, runs and classes. Each function is the
shell_complete of an option or argument, and takes what click gives it: the context, the parameter, and what was typed
of the word. What it needs is imported when Tab is pressed. completion.py prints what a shell has to be told once.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import CnnError, printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list["CompletionItem"]]


def _of(names: Callable[[click.Context], Iterable[str]], files: bool = False) -> Complete:
    """Return what completes a word to one of some names, or, with files, to the path of a file."""

    def complete(ctx: click.Context, parameter: click.Parameter, typed: str) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem

        try:
            found = [CompletionItem(name) for name in names(ctx) if name.startswith(typed) and printable(name) == name]
        except (CnnError, OSError):
            found = []
        return found or ([CompletionItem(typed, type="file")] if files else [])

    return complete


def _architectures(ctx: click.Context) -> list[str]:
    from ..architectures import ARCHITECTURES

    return ["auto", *ARCHITECTURES]


def _weights(ctx: click.Context) -> list[str]:
    from ..weights.pretrained import PRETRAINED

    return [*PRETRAINED, "none", *_run_folders(ctx)]


def _schedules(ctx: click.Context) -> list[str]:
    from ..optim.schedule import SCHEDULES

    return list(SCHEDULES)


def _optimisers(ctx: click.Context) -> list[str]:
    from ..optim import OPTIMISERS

    return list(OPTIMISERS)


def _precisions(ctx: click.Context) -> list[str]:
    from ..model.precision import WANTED

    return list(WANTED)


def _losses(ctx: click.Context) -> list[str]:
    from ..loss import LOSSES

    return list(LOSSES)


def _fits(ctx: click.Context) -> list[str]:
    from ..data.preprocessing import RESIZES

    return list(RESIZES)


def _samplings(ctx: click.Context) -> list[str]:
    from ..data.order import SAMPLINGS

    return list(SAMPLINGS)


def _augmentations(ctx: click.Context) -> list[str]:
    from ..data.naming import NAMES

    return list(NAMES)


def _run_names(ctx: click.Context) -> list[str]:
    from ..evaluation.listing import list_runs

    return [each.name for each in list_runs(ctx.params.get("runs") or "runs")]


def _run_folders(ctx: click.Context) -> list[str]:
    folder = Path("runs")
    return [os.path.join("runs", name) for name in ("latest", *_run_names(ctx))] if folder.is_dir() else []


def _models(ctx: click.Context) -> list[str]:
    from ..weights.pretrained import PRETRAINED

    return [*_run_folders(ctx), *PRETRAINED]


def _classes(ctx: click.Context) -> list[str]:
    from ..runs.opened import open_model

    return list(open_model(ctx.params.get("model")).model.classes)


def _networks(ctx: click.Context) -> list[str]:
    from ..architectures import ARCHITECTURES

    return list(dict.fromkeys((*_models(ctx), *ARCHITECTURES)))


def _methods(ctx: click.Context) -> list[str]:
    from ..explain.methods import METHODS

    return list(METHODS)


def _sweep_names(ctx: click.Context) -> list[str]:
    from ..evaluation.listing import sweeps_in

    return [path.name for path in sweeps_in(ctx.params.get("runs") or "runs")]


architecture_names = _of(_architectures, files=True)
augmentation_names = _of(_augmentations)
class_names = _of(_classes)
fit_names = _of(_fits)
loss_names = _of(_losses)
method_names = _of(_methods)
model_names = _of(_models, files=True)
network_names = _of(_networks, files=True)
optimiser_names = _of(_optimisers)
precision_names = _of(_precisions)
run_names = _of(_run_names)
sampling_names = _of(_samplings)
schedule_names = _of(_schedules)
sweep_names = _of(_sweep_names)
weight_names = _of(_weights, files=True)


def setting_values(ctx: click.Context, parameter: click.Parameter, typed: str) -> list["CompletionItem"]:
    """Complete the values of a setting of ``cnn sweep``, as its option's are: those after "arch=" and each comma. Some
    shells hand over "arch=res", others, which break words at "=", only "res"."""
    from click.shell_completion import CompletionItem

    name, equals, values = typed.rpartition("=") if "=" in typed else ("", "", typed)
    words = [] if equals else [word for word in ctx.params.get("settings") or () if word != "="]
    setting = name or (words[-1] if words else "")
    option = next((each for each in ctx.command.params if f"--{setting}" in each.opts), None)
    if option is None:
        return []
    before = max(values.rfind(","), values.rfind(";")) + 1
    return [CompletionItem(f"{name}{equals}{values[:before]}{item.value}")
            for item in option.shell_complete(ctx, values[before:]) if item.type == "plain"]
