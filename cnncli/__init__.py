"""Image classifiers with convolutional networks, for folders of images, on an ordinary CPU::

    run = cnncli.train("photos/", arch="resnet20", epochs=10, seed=0)   # a folder, or (images, labels)
    model = cnncli.load("runs/latest")                                  # a file, a run's folder, "efficientnet_lite0"
    model.predict(["a.png"])                                            # paths, a folder or arrays: Predictions
    model.save("birds.safetensors")
    found = cnncli.evaluate(model, "photos/", split="test")             # accuracy, interval, classes, confusion_matrix
    cnncli.write_report(found, "report/")                               # report.html, confusion.png, test.json, …

For a training loop of your own::

    network = cnncli.architecture("resnet20", input_shape=(32, 32, 3), classes=10)
    trainer = cnncli.Trainer(network, cnncli.optim.SGD(lr=0.1, momentum=0.9), threads=2)
    loss = trainer.step(images, labels)

A name is imported when it is first used: ``import cnncli`` takes no time and changes nothing in the process.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import errors, layers, loss, optim
    from .architectures import architecture
    from .data.check.findings import Finding, Report
    from .data.finding import Missing, find_images
    from .data.importing import Imported, import_images
    from .data.pack import Packed, pack_images
    from .data.sample import write_sample
    from .evaluation.check import check
    from .evaluation.evaluate import ModelTest, evaluate
    from .evaluation.listing import ListedRun, compare_runs, list_runs
    from .explain.explained_units import ExplainedUnits, explain_units
    from .explain.explanation import Explanation, explain, explanations
    from .explain.picture import Drawn
    from .explain.pictures import draw_explanations
    from .explain.sanity import Sanity, sanity
    from .explain.shortcuts import Shortcuts, shortcuts
    from .explain.trust import Trust, trust
    from .export import Exported, export_model
    from .model import Model, Prediction
    from .model.features import Features
    from .model.summary import Summary
    from .network import Network
    from .page import write_page
    from .page.writing import Written
    from .quantising.quantise import Quantised, quantise
    from .report.files import write as write_report
    from .report.merging import Merged, merge_predictions
    from .runs.answering import features, predict, summarise
    from .runs.kept import Row
    from .runs.latest import find_run
    from .runs.opened import load
    from .runs.run import Run
    from .training.find_lr import RangeTest, find_lr
    from .training.folds import CrossValidation, cross_validate
    from .training.observer import Observer, Observers, TrainingSummary
    from .training.sweep import Sweep, sweep
    from .training.train import train
    from .training.trainer import Trainer
    from .visualize.sheets import Sheet, draw_activations, draw_filters
    from .watching.live import Live
    from .watching.server import Server
    from .watching.tensorboard import TensorBoard
    from .watching.trackers import Tracker
    from .watching.watch import watch


# name -> (module, the name in it; "" for the module itself)
_HOMES = {
    "CrossValidation": ("training.folds", "CrossValidation"),
    "Drawn": ("explain.picture", "Drawn"),
    "ExplainedUnits": ("explain.explained_units", "ExplainedUnits"),
    "Explanation": ("explain.explanation", "Explanation"),
    "Exported": ("export", "Exported"),
    "Features": ("model.features", "Features"),
    "Finding": ("data.check.findings", "Finding"),
    "Imported": ("data.importing", "Imported"),
    "ListedRun": ("evaluation.listing", "ListedRun"),
    "Live": ("watching.live", "Live"),
    "Merged": ("report.merging", "Merged"),
    "Missing": ("data.finding", "Missing"),
    "Model": ("model", "Model"),
    "ModelTest": ("evaluation.evaluate", "ModelTest"),
    "Network": ("network", "Network"),
    "Observer": ("training.observer", "Observer"),
    "Observers": ("training.observer", "Observers"),
    "Packed": ("data.pack", "Packed"),
    "Prediction": ("model", "Prediction"),
    "Quantised": ("quantising.quantise", "Quantised"),
    "RangeTest": ("training.find_lr", "RangeTest"),
    "Report": ("data.check.findings", "Report"),
    "Row": ("runs.kept", "Row"),
    "Run": ("runs.run", "Run"),
    "Sanity": ("explain.sanity", "Sanity"),
    "Server": ("watching.server", "Server"),
    "Sheet": ("visualize.sheets", "Sheet"),
    "Shortcuts": ("explain.shortcuts", "Shortcuts"),
    "Summary": ("model.summary", "Summary"),
    "Sweep": ("training.sweep", "Sweep"),
    "TensorBoard": ("watching.tensorboard", "TensorBoard"),
    "Tracker": ("watching.trackers", "Tracker"),
    "Trainer": ("training.trainer", "Trainer"),
    "TrainingSummary": ("training.observer", "TrainingSummary"),
    "Trust": ("explain.trust", "Trust"),
    "Written": ("page.writing", "Written"),
    "architecture": ("architectures", "architecture"),
    "check": ("evaluation.check", "check"),
    "compare_runs": ("evaluation.listing", "compare_runs"),
    "cross_validate": ("training.folds", "cross_validate"),
    "draw_activations": ("visualize.sheets", "draw_activations"),
    "draw_explanations": ("explain.pictures", "draw_explanations"),
    "draw_filters": ("visualize.sheets", "draw_filters"),
    "errors": ("errors", ""),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "explain": ("explain", ""),
    "explain_units": ("explain.explained_units", "explain_units"),
    "explanations": ("explain.explanation", "explanations"),
    "export_model": ("export", "export_model"),
    "features": ("runs.answering", "features"),
    "find_images": ("data.finding", "find_images"),
    "find_lr": ("training.find_lr", "find_lr"),
    "find_run": ("runs.latest", "find_run"),
    "import_images": ("data.importing", "import_images"),
    "layers": ("layers", ""),
    "list_runs": ("evaluation.listing", "list_runs"),
    "load": ("runs.opened", "load"),
    "loss": ("loss", ""),
    "merge_predictions": ("report.merging", "merge_predictions"),
    "optim": ("optim", ""),
    "pack_images": ("data.pack", "pack_images"),
    "predict": ("runs.answering", "predict"),
    "quantise": ("quantising.quantise", "quantise"),
    "sanity": ("explain.sanity", "sanity"),
    "shortcuts": ("explain.shortcuts", "shortcuts"),
    "summarise": ("runs.answering", "summarise"),
    "sweep": ("training.sweep", "sweep"),
    "train": ("training.train", "train"),
    "trust": ("explain.trust", "trust"),
    "watch": ("watching.watch", "watch"),
    "write_page": ("page", "write_page"),
    "write_report": ("report.files", "write"),
    "write_sample": ("data.sample", "write_sample"),
}

__all__ = ["CrossValidation", "Drawn", "ExplainedUnits", "Explanation", "Exported", "Features", "Finding", "Imported",
           "ListedRun", "Live", "Merged", "Missing", "Model", "ModelTest", "Network", "Observer", "Observers", "Packed",
           "Prediction", "Quantised", "RangeTest", "Report", "Row", "Run", "Sanity", "Server", "Sheet", "Shortcuts",
           "Summary", "Sweep", "TensorBoard", "Tracker", "Trainer", "TrainingSummary", "Trust", "Written",
           "__version__", "architecture", "check", "compare_runs", "cross_validate", "draw_activations",
           "draw_explanations", "draw_filters", "errors", "evaluate", "explain", "explain_units", "explanations",
           "export_model", "features", "find_images", "find_lr", "find_run", "import_images", "layers", "list_runs",
           "load", "loss", "merge_predictions", "optim", "pack_images", "predict", "quantise", "sanity", "shortcuts",
           "summarise", "sweep", "train", "trust", "watch", "write_page", "write_report", "write_sample"]


if not TYPE_CHECKING:  # so that type checkers refuse a name that is misspelt

    def __getattr__(name: str) -> Any:
        """Import what is asked for, once."""
        if name not in _HOMES:
            raise AttributeError(f"module 'cnncli' has no attribute {name!r}")
        module, inside = _HOMES[name]
        value = import_module(f"{__name__}.{module}")
        if inside:
            value = getattr(value, inside)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
