"""Models, and the state of a training, on disk. A Model becomes one file: modelfile.py has its bytes, and atomic.py
writes it without ever endangering the file before it. A file becomes a Model again after everything in it has been
checked. training/ saves; everything that opens a model loads.

A run's folder holds model.safetensors, the best model. last.safetensors and previous.safetensors hold a model and what
resuming needs. They are model files like any other.
"""

import os
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..atomic import write_atomically
from ..data.preprocessing import Preprocessing
from ..errors import CnnError, ModelError, printable
from ..kernels import Array, allocation_limit
from ..layers import LAYERS
from ..network import Network
from ..network.graph import LARGEST_NUMBER, LONGEST_TEXT, MOST_LAYERS
from .calibration import Calibration
from .int8_file import quantisation_from, real_weights
from .model import SEEN, Model
from .modelfile import Header, as_json, check_digest, damaged, open_model, pack, parse, read_header, read_tensors
from .strangeness import Strangeness, parts

MODEL, LAST, PREVIOUS = "model.safetensors", "last.safetensors", "previous.safetensors"

_STATE = "state/"  # before the names of arrays that are not the model's; "/" is in no layer's name
_SLACK = 32 * 2**20  # bytes that a network may take beside twice its parameters
_UNBUILDABLE = (CnnError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError,
                ValueError)

Path = str | os.PathLike[str]


@dataclass
class State:
    """What a training left behind to continue from: the model as of its last step, the arrays and the progress that
    were saved with it, and the file they came from. note is a sentence for the user if that is not the newest file.
    """

    model: Model
    arrays: dict[str, Array]
    progress: dict[str, Any]
    path: str
    note: str = ""


# ---- saving ----


def save_model(path: Path, model: Model) -> None:
    """Write a model file. The same model gives the same bytes.

    Raises SaveError if it could not be written; a file that was there before is then unchanged.
    """
    write_atomically(path, pack(model.arrays(), model.metadata()))


def save_state(folder: Path, model: Model, arrays: dict[str, Array], progress: dict[str, Any]) -> None:
    """Write last.safetensors into a run's folder. What was last becomes previous.

    Whenever the process dies, last or previous is whole. arrays is what resuming needs beside the model (the
    optimiser's memory), progress any JSON object. Raises SaveError if it could not be written; both files are then
    unchanged.
    """
    data = pack({**model.arrays(), **{_STATE + name: array for name, array in arrays.items()}},
                {**model.metadata(), "progress": as_json(progress)})
    write_atomically(os.path.join(folder, LAST), data, keep_as=os.path.join(folder, PREVIOUS))


# ---- loading ----


def load_model(path: Path) -> Model:
    """Return the model in a file or a run's folder (runs/latest is one).

    Raises ModelError, naming the file and the remedy, if there is none or it cannot be trusted.
    """
    return _load(model_path(path))[0]


def load_state(path: Path) -> State:
    """Return what save_state wrote: from a run's last.safetensors or, if that is damaged or missing, from
    previous.safetensors, with a note that says so. Also takes such a file itself.

    Raises ModelError if neither can be used.
    """
    folder = _followed(os.fspath(path))
    if not os.path.isdir(folder):
        return _load_state(folder)
    last, previous = os.path.join(folder, LAST), os.path.join(folder, PREVIOUS)
    try:
        return _load_state(last)
    except ModelError as error:
        if not os.path.lexists(last) and not os.path.lexists(previous):
            raise ModelError(f"{printable(folder)} holds nothing to resume from (no {LAST}); start a new training "
                             "without --resume.") from None
        try:
            state = _load_state(previous)
        except ModelError:
            raise error from None
        state.note = f"{error} The state before it, {printable(previous)}, is used instead."
        return state


def model_path(path: Path) -> str:
    """Return the model file that a path means: itself, or model.safetensors of a run's folder. runs/latest may also be
    a text file that holds the name of a run beside it. Raises ModelError if there is none.
    """
    given = os.fspath(path)
    found = _followed(given)
    if os.path.isdir(found):
        inside = os.path.join(found, MODEL)
        if not os.path.lexists(inside):
            if os.path.isfile(os.path.join(found, "config.json")):
                raise ModelError(f"{printable(os.path.realpath(found))} has no model yet, because its training did not "
                                 "finish an epoch; name another run's folder with -m.")
            raise ModelError(f"{printable(given)} holds no {MODEL}; name a model file or a run folder with -m.")
        return inside
    if not os.path.lexists(found):
        raise ModelError(f"there is no model {printable(given)}; train one with 'cnn train DATA', or name a model file "
                         "or run folder with -m.")
    return found


def _followed(path: str) -> str:
    """Return the run's folder that a text file named "latest" names. Any other path is returned unchanged."""
    if os.path.basename(os.path.normpath(path)) != "latest" or not os.path.isfile(path):
        return path
    with open(path, "rb") as file:
        name = os.fsdecode(file.read(1024).strip())
    if not name or "\0" in name or os.path.basename(name) != name or name in (os.curdir, os.pardir):
        raise ModelError(f"{printable(path)} does not hold the name of a run beside it; name a run folder with -m.")
    return os.path.join(os.path.dirname(path), name)


def _load_state(path: str) -> State:
    model, header, tensors = _load(path)
    if "progress" not in header.metadata:
        raise ModelError(f"{printable(path)} is a finished model without what resuming needs; give the run folder, "
                         f"which holds {LAST}.")
    progress = parse(header.metadata["progress"], path, "progress")
    arrays = {name.removeprefix(_STATE): array for name, array in tensors.items()
              if name.startswith(_STATE) and name != SEEN}
    return State(model, arrays, progress, path)


def _load(path: str) -> tuple[Model, Header, dict[str, Array]]:
    with open_model(path) as file:
        header = read_header(file, path)
        try:
            model = _build(header, path)
        except ModelError:
            check_digest(file, header, path)  # where the file is damaged, that is what to say
            raise
        tensors = read_tensors(file, header, path)
    _fill(model.network, header, tensors, path)
    model.path = path
    model.seen = _seen(tensors.get(SEEN), path)
    model.strangeness = _strangeness(model, header, tensors, path)
    return model, header, tensors


def _fill(network: Network, header: Header, tensors: dict[str, Array], path: str) -> None:
    """Give a network the numbers of a file, of int8 weights what they stand for, and how it computes with those."""
    found = None
    if "quantisation" in header.metadata:
        try:
            found = quantisation_from(parse(header.metadata["quantisation"], path, "quantisation"), network, tensors)
        except ValueError as error:
            raise damaged(path, f"its int8 weights cannot be used: {_short(error)}") from error
    for name, array in {**network.parameters(), **network.buffers()}.items():
        layer, _, part = name.rpartition(".")
        scales = found.scales.get(layer) if found and part == "weight" else None
        if (tensors[name].dtype == np.int8) != (scales is not None):
            raise damaged(path, f"{name} is not of the type that it says")
        array[...] = tensors[name] if scales is None else real_weights(tensors[name], scales)
    network.quantisation = found


def _build(header: Header, path: str) -> Model:
    """Return the model that a header describes, with zero weights. It is sure to fit the arrays of the file."""
    missing = [key for key in ("network", "classes", "preprocessing", "training") if key not in header.metadata]
    if missing:
        raise damaged(path, f"its part {missing[0]!r} is not there")
    values = {key: parse(text, path, key) for key, text in header.metadata.items()
             if key in ("network", "classes", "preprocessing", "training")}
    network = _network(values["network"], header, path)
    try:
        preprocessing = Preprocessing.from_config(values["preprocessing"])
    except _UNBUILDABLE as error:
        raise damaged(path, f"its preprocessing cannot be used: {_short(error)}") from error
    if preprocessing.shape != network.input_shape:
        raise damaged(path, f"its images of {preprocessing.shape} do not fit its network, which takes "
                            f"{network.input_shape}")
    classes = values["classes"]
    if not all(map(_is_name, classes)) or len(set(classes)) != len(classes):
        raise damaged(path, "its classes are not different names")
    if network.output_shape != (len(classes),):
        raise damaged(path, f"its network yields {network.output_shape}, not {len(classes)} classes")
    return Model(network, classes, preprocessing, values["training"], _calibration(header, path))


def _seen(array: Array | None, path: str) -> Array | None:
    """Return the marks of the images that a model was trained on. Old files have none."""
    if array is None or (array.dtype == np.uint64 and array.ndim == 1):
        return array
    raise damaged(path, "its marks of images are damaged")


def _strangeness(model: Model, header: Header, tensors: dict[str, Array], path: str) -> Strangeness | None:
    """Return what tells images that belong to no class. Old files, and trainings that are not finished, have none."""
    split = parts(model.network)
    if "strangeness" not in header.metadata or split is None:
        return None
    config = parse(header.metadata["strangeness"], path, "strangeness")
    try:
        return Strangeness.from_parts(config, tensors, split[0].output_shape[-1], len(model.classes))
    except ValueError as error:
        raise damaged(path, f"its measure of strange images cannot be used: {_short(error)}") from error


def _calibration(header: Header, path: str) -> Calibration | None:
    """Return the calibration. Models trained without validation images, and old files, have none."""
    if "calibration" not in header.metadata:
        return None
    try:
        return Calibration.from_config(parse(header.metadata["calibration"], path, "calibration"))
    except ValueError as error:
        raise damaged(path, f"its calibration cannot be used: {_short(error)}") from error


def _network(config: dict[str, Any], header: Header, path: str) -> Network:
    """Build the network without taking more memory than the arrays in the file account for."""
    _check_plausible(config, path)
    wanted = {name: entry for name, entry in header.tensors.items() if not name.startswith(_STATE)}
    stored = sum(4 * prod(entry.shape) for entry in wanted.values())
    try:
        with allocation_limit(2 * stored + _SLACK):
            network = Network.from_config(config)
    except MemoryError as error:
        raise damaged(path, "its network needs more weights than it holds") from error
    except _UNBUILDABLE as error:
        raise ModelError(f"{printable(path)} holds a network that cannot be built ({_short(error)}); update cnn, or "
                         "train again.") from error
    arrays = {**network.parameters(), **network.buffers()}
    for name in sorted(arrays.keys() ^ wanted.keys()):
        raise damaged(path, f"{printable(name[:60])} is in {'its network' if name in arrays else 'the file'} only")
    for name, array in arrays.items():
        dtypes = (np.float32, np.int8) if "quantisation" in header.metadata else (array.dtype,)
        if array.shape != wanted[name].shape or wanted[name].dtype not in dtypes:
            raise damaged(path, f"{name} has the shape {wanted[name].shape}, its network needs {array.shape}")
    return network


def _check_plausible(config: dict[str, Any], path: str) -> None:
    """Refuse layers that are not known, and what would cost much time or memory while the network is built."""
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise damaged(path, f"its network is not a list of at most {MOST_LAYERS} layers")
    names: set[Any] = {"input"}
    for layer in layers:
        if not isinstance(layer, dict) or len(layer) > 50 or not _bounded(layer):
            raise damaged(path, "its network has a layer with impossible options")
        kind, name, inputs = layer.get("type"), layer.get("name"), layer.get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(text, str) for text in (kind, name, *inputs)):
            raise damaged(path, "its network has a layer without type, name or inputs")
        if kind not in LAYERS:
            raise ModelError(f"{printable(path)} holds a layer of type {printable(kind)}, which this version of cnn "
                             "does not know; import the module that defines it first, or, if it is a layer of cnn's "
                             "own, update cnn ('git pull' and 'pip install .' in the folder that it was installed "
                             "from).")
        if not names.issuperset(inputs):
            raise damaged(path, f"its layer {printable(name)} has an input that is no layer before it")
        names.add(name)


def _bounded(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict | list):
        items = list(value.values()) + list(value) if isinstance(value, dict) else value
        return depth < 4 and len(items) <= 100 and all(_bounded(item, depth + 1) for item in items)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return value is None or abs(value) < LARGEST_NUMBER


def _is_name(value: Any) -> bool:
    """Return whether a value can be the name of a folder; it may hold bytes that are no UTF-8."""
    try:
        return isinstance(value, str) and bool(value.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False


def _short(error: BaseException) -> str:
    text = printable(error).partition("; ")[0].rstrip(".") or type(error).__name__  # the remedy is another one here
    return text if len(text) < 300 else text[:300] + "…"
