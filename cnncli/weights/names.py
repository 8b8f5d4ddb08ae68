"""What others call the layers of our architectures. Ours bear the names that torchvision gives them, or timm where
torchvision has no such network; where a network has been published under further names, a table says which layer is
meant. fitting.py tries them all and takes the one that fits best.
"""

from collections.abc import Callable, Iterable, Sequence

from ..architectures.mobilenet import STAGES

# Another's name of a layer -> ours.
Table = dict[str, str]

# The layers of an inverted residual block: of one that widens, and of one that does not.
_Block = tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]

# The EfficientNet-PyTorch line of packages, efficientnet_lite_pytorch among them, against timm.
_LUKEMELAS: _Block = (
    (("_expand_conv", "conv_pw"), ("_bn0", "bn1"), ("_depthwise_conv", "conv_dw"), ("_bn1", "bn2"),
     ("_project_conv", "conv_pwl"), ("_bn2", "bn3")),
    (("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2")),
)
# timm's mobilenetv2_100 against torchvision.
_TIMM_MOBILENET: _Block = (
    (("conv_pw", "conv.0.0"), ("bn1", "conv.0.1"), ("conv_dw", "conv.1.0"), ("bn2", "conv.1.1"),
     ("conv_pwl", "conv.2"), ("bn3", "conv.3")),
    (("conv_dw", "conv.0.0"), ("bn1", "conv.0.1"), ("conv_pw", "conv.1"), ("bn2", "conv.2")),
)


def tables(architecture: str, layers: Sequence[str]) -> list[Table]:
    """Return the tables for an architecture whose layers are called so, ours: none where it has only its own names."""
    make = _TABLES.get(architecture)
    return [make(layers)] if make else []


def _efficientnet_lite(layers: Sequence[str]) -> Table:
    blocks = _prefixes(layers, "blocks.", 3)
    table = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    for number, block in enumerate(blocks):
        widens = f"{block}.conv_pwl" in layers
        table |= _block(f"_blocks.{number}", block, _LUKEMELAS[0 if widens else 1])
    return table


def _mobilenet_v2(layers: Sequence[str]) -> Table:
    theirs = [f"blocks.{place}.{block}" for place, stage in enumerate(STAGES) for block in range(stage.repeats)]
    head = len(theirs) + 1
    table = {"conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": f"features.{head}.0",
             "bn2": f"features.{head}.1", "classifier": "classifier.1"}
    for number, name in enumerate(theirs, start=1):
        widens = f"features.{number}.conv.3" in layers
        table |= _block(name, f"features.{number}", _TIMM_MOBILENET[0 if widens else 1])
    return table


def _vgg(layers: Sequence[str]) -> Table:
    """timm's, where the dense layers are convolutions: the same numbers in the same order."""
    table = {name: name for name in layers if name.startswith("features.")}
    return table | {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}


def _block(theirs: str, ours: str, parts: Iterable[tuple[str, str]]) -> Table:
    return {f"{theirs}.{part}": f"{ours}.{own}" for part, own in parts}


def _prefixes(layers: Sequence[str], start: str, parts: int) -> list[str]:
    """Return the first `parts` parts of the names that begin so, each once, in order."""
    return list(dict.fromkeys(".".join(name.split(".")[:parts]) for name in layers if name.startswith(start)))


_TABLES: dict[str, Callable[[Sequence[str]], Table]] = {
    **dict.fromkeys(("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"), _efficientnet_lite),
    "mobilenet_v2": _mobilenet_v2,
    **dict.fromkeys(("vgg11", "vgg16"), _vgg),
}
