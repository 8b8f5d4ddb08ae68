"""The program's commands, and what starts it in the shell that started it: so that what a message advises can be typed
as it stands there, also where ``cnn`` is not on the PATH. Imports nothing that a help text does not need."""

import os
import sys

from ..errors import quoted

# name -> (module that defines `command`, the line in `cnn --help`). The line stands here and not in the module, so
# that `cnn --help` imports none of them.
COMMANDS = {
    "train": ("train", "Train a classifier on a folder of images."),
    "sweep": ("sweep", "Train once for each of several settings, and show which does best."),
    "test": ("test", "Test a model on images that it was not trained on."),
    "predict": ("predict", "Print the label of each image, and how probable it is."),
    "merge": ("merging", "Join the parts that cnn predict --shard wrote."),
    "check": ("check", "Look for problems in a folder of images before you train on it."),
    "inspect": ("inspecting", "Show a model's layers, shapes, parameters and cost."),
    "visualize-filters": ("visualize_filters", "Draw a model's filters, and how its layers respond to images."),
    "explain": ("explaining", "Show which parts of an image speak for its label."),
    "export": ("export", "Write a model as an ONNX file, a C file or weights for PyTorch."),
    "quantize": ("quantize", "Make a smaller model, of 8-bit numbers, of a trained one."),
    "runs": ("listing_runs", "List the runs, or compare some of them."),
    "watch": ("watching", "Show one or several trainings on a web page of this machine."),
    "page": ("page", "Write a model as one web page that runs it in the browser."),
    "features": ("features", "Write the features that a model computes of images, for search and clustering."),
    "sample": ("sample", "Write the sample images of cnn, a small data set, into a folder."),
    "completion": ("completion", "Print the script that lets the Tab key complete commands, options and names."),
    "import": ("importing", "Turn a data set file (IDX or .npz) into a folder of images."),
    "pack": ("packing", "Put a folder of images into a few tar archives."),
}

TOGETHER = frozenset({"train", "test", "predict", "features", "check", "explain"})  # which several processes share


def typed(text: str, model: object = None, precision: str | None = None) -> str:
    """Return a message with the commands that it advises as they are typed here: those of ``cnn``, with the model and
    the precision that the running command was given, and pip's. Called from Python, the programs' names are left as
    they are."""
    if precision is not None and "cnn " in text:
        import re

        text = re.sub(r"(: cnn (?:test|predict|explain)\b)(?!.* --precision )(.*)$",
                      lambda found: f"{found[1]}{found[2]} --precision {precision}", text)
    if model is not None and "cnn " in text:
        import re

        # A whole command stands at the end of a message; behind it something has been decided about this model.
        text = re.sub(r"(: cnn (?:test|predict|explain|quantize)\b)(?!.* -m )(.*)$",
                      lambda found: f"{found[1]}{found[2]} -m {quoted(model)}", text)
    if not ("cnn " in text or "pip install " in text) or not (name := _started()):
        return text  # most lines advise nothing, and looking for programs takes time
    if "cnn " in text and name != "cnn":
        import re

        words = "|".join(map(re.escape, COMMANDS))
        text = re.sub(rf"(?<![\w./-])cnn (?=(?:{words}|--help)\b)", lambda _: f"{name} ", text)
    if "pip install " in text and not _found("pip", beside=sys.executable):
        text = text.replace("pip install ", f"{quoted(sys.executable)} -m pip install ")
    return text


def _started() -> str:
    """Return what starts this program: "cnn" where the shell finds it by that name, "" where Python called it."""
    started = sys.argv[0]
    if started == os.path.join(os.path.dirname(os.path.dirname(__file__)), "__main__.py"):
        return "cnn" if _found("cnn", beside=sys.executable) else f"{quoted(sys.orig_argv[0])} -m cnncli"
    if os.path.basename(started) != "cnn":
        return ""
    return "cnn" if _found("cnn", beside=started) else quoted(started)


def _found(name: str, beside: str) -> bool:
    """Return whether the program that a shell finds by a name is the one that lies in the folder of a file."""
    import shutil

    found, meant = shutil.which(name), os.path.join(os.path.dirname(beside), name)
    return found is not None and os.path.realpath(found) == os.path.realpath(meant)
