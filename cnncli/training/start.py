"""What a training starts with: a network with random weights, or with learnt weights that --init names. prepare.py asks
here before anything is chosen, and again when a run begins anew. weights/ reads and fits the files.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..architectures import ARCHITECTURES, architecture, automatic_architecture, from_toml
from ..data import Preprocessing, Sample, Splits, choose_size, typical_side
from ..data.preprocessing import Resize
from ..errors import ModelError, NetworkError, UsageError, did_you_mean, printable
from ..extras import install
from ..kernels import Array
from ..network import Network
from ..network.blocks import head
from ..runs import LATEST
from ..weights.fitting import Fitted, fit
from ..weights.pretrained import CLASSES, PRETRAINED, class_names, installed, is_pretrained, pretrained_weights
from ..weights.reading import Weights, read_weights
from . import fast
from .options import FAST, NONE, Options

AUTOMATIC = "efficientnet_lite0"  # for photographs, where its weights are installed
LARGEST_SMALL = 64  # pixels of a side; larger images are photographs
FEW = 5000  # photographs that profit much from what a network has learnt elsewhere
# What the weights that torchvision publishes were trained with: pixels, and the mean and deviation of ImageNet.
_SIZE, _MEAN, _STD = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Start:
    """A network with its first weights. preprocessing has mean and standard deviation if the weights need theirs; else
    they are fitted to the images. source says where the weights are from (None: random), and digest identifies them.
    new_head: the last layer has random weights all the same. seen has the marks of the images that the weights were
    trained on, as far as they are known. notes tell the user why.
    """

    arch: str
    network: Network
    preprocessing: Preprocessing
    source: str | None = None
    digest: str | None = None
    new_head: bool = False
    seen: Array | None = None
    notes: list[str] = field(default_factory=list)


def begin(options: Options, splits: Splits) -> Start:
    """Return the network that these options mean for these images, with its first weights and the preprocessing.

    Reads the headers of some images. Raises UsageError, NetworkError, ModelError or DataError if nothing fits.
    """
    arch, init, seed = options.arch, options.init, options.seed or 0
    said: list[str] = []
    if init in (None, NONE):
        preprocessing, why = choose_size(splits.train, options.size, options.grey, options.fit)
        if init is None and arch is None and options.recipe != FAST:
            init, said = automatic(splits.train, preprocessing, options.size)
        if init in (None, NONE):
            if options.probe or options.freeze:
                raise UsageError(f"{'--probe' if options.probe else '--freeze'} needs weights that were trained "
                                 "before; "
                                 "give them with --init.")
            found = fresh(arch or (fast.ARCH if options.recipe == FAST else None), preprocessing, len(splits.classes),
                          seed)
            return replace(found, notes=[*(f"Images: {reason}" for reason in why), *said, *found.notes])
    found = from_weights(init, arch, options.size, options.grey, splits.classes, seed, options.fit)
    return replace(found, notes=[*said, *found.notes])


def automatic(samples: Sequence[Sample], preprocessing: Preprocessing, size: int | tuple[int, int] | None
              ) -> tuple[str | None, list[str]]:
    """Return what to start from by default, and a sentence about it: a pretrained network for photographs, if one is
    installed; else None, for random weights.
    """
    wanted = (size, size) if isinstance(size, int) else size
    small = wanted is not None and min(wanted) <= LARGEST_SMALL
    if small or preprocessing.grey or typical_side(samples) <= LARGEST_SMALL:
        return None, []
    if not installed(AUTOMATIC):
        return None, [] if len(samples) > FEW else [
            f"With {len(samples):,} photographs, a network that starts from ImageNet's weights is usually more "
            f"accurate, and trained sooner. To use {AUTOMATIC} with them, stop this training, and train again after: "
            f"{install('pretrained')}"]
    return AUTOMATIC, [f"Architecture: {AUTOMATIC} with its ImageNet weights, because the images are photographs and "
                       f"these are installed; --init {NONE} begins from nothing."]


def fresh(arch: str | None, preprocessing: Preprocessing, classes: int, seed: int) -> Start:
    """Return a network with random weights. arch is a name, a TOML file, or None for what suits the images."""
    notes = []
    if arch is None:
        arch, why = automatic_architecture(preprocessing.shape)
        notes.append(f"Architecture: {why}.")
    return Start(arch_name(arch), _built(arch, preprocessing, classes, seed), preprocessing, notes=notes)


def from_weights(init: str, arch: str | None, size: int | tuple[int, int] | None, grey: bool | None,
          classes: Sequence[str], seed: int, fit: Resize | None = None) -> Start:
    """Return a network with the weights that init names: a pretrained network, a file or a run.

    fit says how images become the network's shape; None: as the weights know it.
    arch is needed if neither the file nor its name says which network it is. If the classes are others, the last layer
    has random weights. Raises ModelError if the file cannot be used or does not fit, UsageError if nothing says which
    network to take.
    """
    if not is_pretrained(init) and not os.path.lexists(init):
        raise ModelError(f"{printable(init)} is no file and no pretrained network; give a file of weights, a run, or "
                         f"one of {', '.join(PRETRAINED)}.{did_you_mean(init, list(PRETRAINED))}")
    weights = _read(init, is_pretrained(init))
    model = weights.model
    arch = arch or _arch_of(init, weights)
    preprocessing = _preprocessing(init, arch, weights, size, grey, fit)
    if model is not None and arch == model.training.get("architecture", ""):
        network = _with_classes(init, model.network, preprocessing, len(classes))
    else:
        network = _built(arch, preprocessing, len(classes), None)
    names = _classes_of(init, weights, len(classes))
    fitted = _fill(network, arch_name(arch), weights, names is None or names == list(classes), seed)
    return Start(arch_name(arch), network, preprocessing, source_of(init),
                 _digest(weights), bool(fitted.head), model.seen if model else None,
                 [_sentence(init, arch, preprocessing, fitted, len(classes))])


def first_network(config: Mapping[str, Any]) -> Network:
    """Return the network that a run's config.json describes, as it was before the first step. Raises ModelError if the
    weights that it started from are missing or have changed.
    """
    source, seed = config["recipe"]["init"], config["recipe"]["seed"]
    if source is None:
        return Network.from_config(config["network"], seed)
    network = Network.from_config(config["network"])
    weights = _read(source, source in PRETRAINED)
    if _digest(weights) != config["init"]["digest"]:
        raise ModelError(f"{printable(source)} holds other weights than when the run began; start a new run.")
    _fill(network, config["recipe"]["arch"], weights, not config["init"]["new_head"], seed)
    return network


def seen_by(source: str | None) -> Array | None:
    """Return the marks of the images that the weights at the start of a run were trained on, as far as they are known.
    """
    model = None if source is None or source in PRETRAINED else read_weights(source).model
    return model.seen if model else None


def source_of(init: str) -> str | None:
    """Return what a recipe calls the first weights: the name of a pretrained network, or an absolute path; None for
    random ones. For runs/latest, which soon leads elsewhere, it is the run's own path.
    """
    if init == NONE or is_pretrained(init):
        return None if init == NONE else init
    path = os.path.abspath(init)
    if os.path.basename(path) == LATEST and os.path.islink(path):
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return path


def arch_name(arch: str) -> str:
    """Return what a run calls its architecture; for a file, its name."""
    return printable(Path(arch).name) if arch.lower().endswith(".toml") else arch


def _read(source: str, named: bool) -> Weights:
    """Return the weights of a pretrained network, a file or a run."""
    return pretrained_weights(source) if named else read_weights(source)


def _fill(network: Network, arch: str, weights: Weights, head: bool, seed: int) -> Fitted:
    """Copy weights into a network whose own are zero. A last layer that gets none, or is to get none, has random ones.
    """
    fitted = fit(network, arch, weights, head)
    if fitted.head:
        network.initialise(seed, only=fitted.head)
    return fitted


def _built(arch: str, preprocessing: Preprocessing, classes: int, seed: int | None) -> Network:
    if arch.lower().endswith(".toml"):
        return from_toml(arch, preprocessing.shape, classes, seed)
    try:
        return architecture(arch, preprocessing.shape, classes, seed)
    except NetworkError as error:
        height, width = preprocessing.size
        raise NetworkError(f"{arch} does not suit images of {width} x {height} pixels; give a larger --size or another "
                           f"--arch ({str(error).partition(';')[0].rstrip('.')}).") from None


def _arch_of(init: str, weights: Weights) -> str:
    """Return the architecture of a file's weights: what the file says, or what its name begins with."""
    if is_pretrained(init):
        return init
    if weights.model is not None:
        return str(weights.model.training.get("architecture", ""))
    stem = Path(weights.path).name.lower().replace("-", "_")
    found = [name for name in ARCHITECTURES if stem.startswith(name.replace("-", "_"))]
    if not found:
        raise UsageError(f"{printable(weights.path)} does not say which network its weights are for; give its --arch.")
    return max(found, key=len)


def _preprocessing(init: str, arch: str, weights: Weights, size: int | tuple[int, int] | None, grey: bool | None,
                   fit: Resize | None = None) -> Preprocessing:
    """Return the preprocessing that the weights were trained with, for images of this size."""
    known = PRETRAINED.get(init if is_pretrained(init) else arch)
    if weights.model is not None:
        found = weights.model.preprocessing
    elif known is not None:
        found = known.preprocessing
    else:
        found = Preprocessing((_SIZE, _SIZE), False, "crop", _MEAN, _STD)
    if fit is not None:
        found = replace(found, resize=fit)
    if size is not None:
        found = replace(found, size=(size, size) if isinstance(size, int) else size)
    if grey is not None and grey != found.grey:  # the first layer's shape will tell whether that can be
        channels = 1 if grey else 3
        found = replace(found, grey=grey, mean=(sum(found.mean) / len(found.mean),) * channels,
                        std=(sum(found.std) / len(found.std),) * channels)
    return found


def _with_classes(init: str, network: Network, preprocessing: Preprocessing, classes: int) -> Network:
    """Return the same network with zero weights, for images of this size and this many classes."""
    config = network.config()
    config["input_shape"] = list(preprocessing.shape)
    last = head(network)
    for layer in config["layers"]:
        if last is not None and layer["name"] == last.name:
            layer.update({key: classes for key in ("out_features", "out_channels") if key in layer})
    try:
        return Network.from_config(config)
    except NetworkError as error:
        height, width = preprocessing.size
        raise ModelError(f"the network of {printable(init)} does not take images of {width} x {height} pixels "
                         f"({str(error).partition(';')[0].rstrip('.')}); leave --size out.") from None


def _classes_of(init: str, weights: Weights, count: int) -> list[str] | None:
    """Return the names of the classes that weights were trained for, None if not known."""
    if weights.model is not None:
        return list(weights.model.classes)
    return class_names() if is_pretrained(init) and count == CLASSES else None


def _digest(weights: Weights) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(weights.arrays.items()):
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode() + array.tobytes())
    return digest.hexdigest()


def _sentence(init: str, arch: str, preprocessing: Preprocessing, fitted: Fitted, classes: int) -> str:
    height, width = preprocessing.size
    where = f"{init}, trained on ImageNet" if is_pretrained(init) else printable(init)
    head = (f"; its last layer, {fitted.head}, is new, for {classes} classes" if fitted.head else
            "; its last layer is kept")
    return f"Start: {arch_name(arch)} with the weights of {where}, for {width} x {height} pixels{head}."
