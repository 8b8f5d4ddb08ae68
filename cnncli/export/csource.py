"""A model as one C file that needs nothing but libm: weights, the few functions that its layers need (runtime.c has
them all), and ``classify``, which takes an image of any size through the very steps of `cnn predict`. For
microcontrollers with memory to spare, for games, for whatever has a C compiler and no Python.
"""

import re
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import numpy as np

from .._version import __version__
from ..data.preprocessing import CROP_SHARE
from ..layers import AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Conv2d, LPPool2d, MaxPool2d
from ..model import Model
from ..network import INPUT, Node
from .windows import mean_factors

_PART = re.compile(r"^/\* ---- (\w+) ---- \*/\n", re.MULTILINE)
_NUMBERS_A_LINE = 10
_GREY = "(uint8_t)((rgb[3 * i] * 19595 + rgb[3 * i + 1] * 38470 + rgb[3 * i + 2] * 7471 + 32768) >> 16)"


def to_c(model: Model) -> str:
    """Return the C source."""
    return _Source(model).text()


class _Source:
    """Collects weights and calls, a layer at a time, and where in working memory each value lies."""

    def __init__(self, model: Model) -> None:
        self.model, self.network = model, model.network
        self.parts = {"start", "resize", "softmax"}
        self.weights: list[str] = []
        self.calls: list[str] = []
        self.memory = _Memory()
        last = {name: place for place, node in enumerate(self.network.nodes) for name in node.inputs}
        self.places = {INPUT: self.memory.take(_count(self.network.input_shape))}
        for place, node in enumerate(self.network.nodes):
            self.places[node.name] = self.memory.take(_count(node.shape))
            kind = next(base.__name__ for base in type(node.layer).__mro__ if base.__name__ in _WRITERS)
            _WRITERS[kind](self, node)
            for name in {*node.inputs}:
                if last[name] == place:
                    self.memory.give(self.places[name])

    def value(self, name: str) -> str:
        """Return the expression for a value's first number."""
        return f"at + {self.places[name][0]}"

    def call(self, part: str, function: str, *arguments: Any) -> None:
        """Append a call of a function that lies in a part of runtime.c."""
        self.parts.add(part)
        self.calls.append(f"{function}({', '.join(map(str, arguments))});")

    def numbers(self, name: str, array: Any) -> str:
        """Add an array of constants, to the bit, and return the expression for it."""
        bits = np.ascontiguousarray(array, np.float32).ravel().view(np.uint32).tolist()
        symbol = f"n{len(self.weights)}"
        starts = range(0, len(bits), _NUMBERS_A_LINE)
        body = ",\n".join(",".join(f"0x{v:x}" for v in bits[i : i + _NUMBERS_A_LINE]) for i in starts)
        kind = f"union {{ uint32_t bits[{len(bits)}]; float values[{len(bits)}]; }}"
        self.weights.append(f"/* {name} */\nstatic const {kind} {symbol} = {{{{\n{body}}}}};\n")
        return f"{symbol}.values"

    def text(self) -> str:
        """Return the whole file."""
        parts = _parts()
        used = [text for name, text in parts.items() if name in self.parts]
        return "\n".join([_heading(self.model), *used, *self.weights, self._classify()])

    def _classify(self) -> str:
        h, w, c = self.model.preprocessing.shape
        mean, std = self.model.preprocessing.mean, self.model.preprocessing.std
        names = ",\n    ".join(_quoted(name) for name in self.model.classes)
        last = self.network.nodes[-1].name
        return _FUNCTION.format(
            classes=len(self.model.classes), names=names, h=h, w=w, c=c, size=h * w * c, floats=self.memory.most,
            grey=_grey() if c == 1 else "", source="grey" if c == 1 else "rgb", box=_box(self.model),
            means=", ".join(map(_number, mean)), stds=", ".join(map(_number, std)), image=self.value(INPUT),
            calls="\n    ".join(self.calls), logits=self.value(last), temperature=_number(self.model.temperature),
            free="free(grey), " if c == 1 else "")


_FUNCTION = """enum {{ CLASSES = {classes} }};
const char *const class_names[CLASSES] = {{
    {names}}};

/* Judges an image of h x w pixels, three bytes each (red, green, blue): probabilities gets CLASSES numbers that add up
 * to 1, and the place of the largest is returned, or -1 where there is no image or no memory. Threads may call it at
 * once. */
int classify(const uint8_t *rgb, int h, int w, float *probabilities) {{
    static const double mean[] = {{{means}}}, std[] = {{{stds}}};
    if (!rgb || h < 1 || w < 1) return -1;
{grey}    uint8_t *pixels = malloc({size});
    float *at = malloc({floats} * sizeof(float));
    double top = 0, bottom = h, left = 0, right = w;
{box}    if (!pixels || !at || !resize({source}, h, w, {c}, top, bottom, left, right, pixels, {h}, {w})) {{
        {free}free(pixels), free(at);
        return -1;
    }}
    for (int i = 0; i < {size}; i++) ({image})[i] = (float)((pixels[i] / 255.0 - mean[i % {c}]) / std[i % {c}]);
    {calls}
    softmax({logits}, 1, CLASSES, (float){temperature}, probabilities);
    {free}free(pixels), free(at);
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        if (probabilities[k] > probabilities[best]) best = k;
    return best;
}}
"""


def _heading(model: Model) -> str:
    name = ascii(str(model.training.get("architecture", "a network")))[1:-1].replace("*/", "")
    what = f"{name}, {len(model.classes)} classes, {model.preprocessing.describe().rstrip('.')}"
    return (f"/* {what}: written by cnn {__version__}.\n"
            " * Compile it with a C99 compiler, link it with -lm, and declare\n *\n"
            " *     int classify(const uint8_t *rgb, int h, int w, float *probabilities);\n"
            " *     extern const char *const class_names[];\n */\n")


def _parts() -> dict[str, str]:
    """Return runtime.c in parts, by name."""
    pieces = _PART.split(files(__package__).joinpath("runtime.c").read_text(encoding="utf-8"))
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _grey() -> str:
    return ("    uint8_t *grey = malloc((size_t)h * (size_t)w);\n    if (!grey) return -1;\n"
            f"    for (long i = 0; i < (long)h * w; i++) grey[i] = {_GREY};\n")


def _box(model: Model) -> str:
    """The part of the image that becomes the network's; all of it where images are squashed, or fit as they are."""
    h, w = model.preprocessing.size
    if model.preprocessing.resize == "squash":
        return ""
    return (f"    if (h != {h} || w != {w}) {{\n"
            f"        double scale = (w / {w}.0 < h / {h}.0 ? w / {w}.0 : h / {h}.0) * {_number(CROP_SHARE)};\n"
            f"        left = (w - {w} * scale) / 2, right = left + {w} * scale;\n"
            f"        top = (h - {h} * scale) / 2, bottom = top + {h} * scale;\n    }}\n")


# ---- layers ----


def _conv(source: _Source, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, Conv2d)
    (h, w, ci), (oh, ow, co) = source.network.shape_of(node.inputs[0]), node.shape
    top, _, left, _ = layer.zeros(h, w)
    weights = source.numbers(f"{node.name}.weight", layer.params["weight"].transpose(2, 3, 1, 0))
    source.call("conv", "conv", source.value(node.inputs[0]), h, w, ci, weights, _bias(source, node),
                source.value(node.name), oh, ow, co, *layer.kernel_size, *layer.stride, top, left, *layer.dilation,
                layer.groups)


def _linear(source: _Source, node: Node) -> None:
    weight = node.layer.params["weight"]
    source.call("linear", "linear", source.value(node.inputs[0]), weight.shape[1],
                source.numbers(f"{node.name}.weight", weight.T), _bias(source, node), source.value(node.name),
                weight.shape[0])


def _bias(source: _Source, node: Node) -> str:
    return source.numbers(f"{node.name}.bias", node.layer.params["bias"]) if "bias" in node.layer.params else "NULL"


def _batch_norm(source: _Source, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, BatchNorm2d)
    mean, var = (layer.state[name].astype(np.float64) for name in ("running_mean", "running_var"))
    scale = layer.params.get("weight", 1) / np.sqrt(var + layer.eps)
    shift = layer.params.get("bias", 0) - mean * scale
    source.call("affine", "affine", source.value(node.inputs[0]), _count(node.shape[:-1]), node.shape[-1],
                source.numbers(f"{node.name}, scale", scale), source.numbers(f"{node.name}, shift", shift),
                source.value(node.name))


def _max_pool(source: _Source, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, MaxPool2d)
    w = layer.windows
    source.call("maximum", "max_pool", *_images(source, node), *w.kernel, *w.stride, *w.padding, *w.dilation)


def _mean_pool(source: _Source, node: Node) -> None:
    layer = node.layer
    assert isinstance(layer, AvgPool2d | LPPool2d)
    w = layer.windows
    factors = source.numbers(f"{node.name}, factors", mean_factors(node, source.network.shape_of(node.inputs[0])))
    norm = float(layer.norm_type) if isinstance(layer, LPPool2d) else 1.0
    source.call("mean", "mean_pool", *_images(source, node), *w.kernel, *w.stride, *w.padding, factors,
                f"(float){_number(norm)}")


def _global_avg_pool(source: _Source, node: Node) -> None:
    h, w, c = source.network.shape_of(node.inputs[0])
    source.call("adaptive", "adaptive_pool", source.value(node.inputs[0]), h, w, c, source.value(node.name), 1, 1)


def _adaptive_avg_pool(source: _Source, node: Node) -> None:
    assert isinstance(node.layer, AdaptiveAvgPool2d)
    source.call("adaptive", "adaptive_pool", *_images(source, node))


def _images(source: _Source, node: Node) -> list[Any]:
    return [source.value(node.inputs[0]), *source.network.shape_of(node.inputs[0]), source.value(node.name),
            *node.shape[:2]]


def _flatten(source: _Source, node: Node) -> None:
    shape = source.network.shape_of(node.inputs[0])
    source.call("flatten", "flatten", source.value(node.inputs[0]), _count(shape[:-1]), shape[-1],
                source.value(node.name))


def _add(source: _Source, node: Node) -> None:
    _copy(source, node)
    for name in node.inputs[1:]:
        source.call("add", "add", source.value(name), _count(node.shape), source.value(node.name))


def _copy(source: _Source, node: Node) -> None:
    source.calls.append(f"memcpy({source.value(node.name)}, {source.value(node.inputs[0])}, "
                        f"{_count(node.shape)} * sizeof(float));")


def _concat(source: _Source, node: Node) -> None:
    first = 0
    for name in node.inputs:
        channels = source.network.shape_of(name)[-1]
        source.call("concat", "put_channels", source.value(name), _count(node.shape[:-1]), channels,
                    source.value(node.name), first, node.shape[-1])
        first += channels


def _softmax(source: _Source, node: Node) -> None:
    source.call("softmax", "softmax", source.value(node.inputs[0]), _count(node.shape[:-1]), node.shape[-1], "1",
                source.value(node.name))


def _pointwise(function: str, option: str = "") -> Callable[[_Source, Node], None]:
    def write(source: _Source, node: Node) -> None:
        number = node.layer.config()[option] if option else 0
        source.call("pointwise", "pointwise", source.value(node.inputs[0]), _count(node.shape), function,
                    f"(float){_number(number)}", source.value(node.name))
    return write


_WRITERS: dict[str, Callable[[_Source, Node], None]] = {
    "AdaptiveAvgPool2d": _adaptive_avg_pool,
    "Add": _add,
    "AvgPool2d": _mean_pool,
    "BatchNorm2d": _batch_norm,
    "Concat": _concat,
    "Conv2d": _conv,  # and Whitening, which is one
    "Dropout": _copy,
    "Flatten": _flatten,
    "GlobalAvgPool2d": _global_avg_pool,
    "LPPool2d": _mean_pool,
    "LeakyReLU": _pointwise("LEAKY_RELU", "negative_slope"),
    "Linear": _linear,
    "MaxPool2d": _max_pool,
    "ReLU": _pointwise("RELU"),
    "ReLU6": _pointwise("RELU6"),
    "Scale": _pointwise("SCALE", "factor"),
    "SiLU": _pointwise("SILU"),
    "Sigmoid": _pointwise("SIGMOID"),
    "Softmax": _softmax,
    "Tanh": _pointwise("TANH"),
}


# ---- memory ----


class _Memory:
    """Hands out stretches of working memory, each at the lowest place where nothing lies."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.most = 0

    def take(self, count: int) -> tuple[int, int]:
        start = 0
        for begin, end in sorted(self.taken):
            if start + count <= begin:
                break
            start = max(start, end)
        self.taken.append((start, start + count))
        self.most = max(self.most, start + count)
        return start, start + count

    def give(self, place: tuple[int, int]) -> None:
        self.taken.remove(place)


def _count(shape: Iterable[int]) -> int:
    return int(np.prod(list(shape), dtype=np.int64))


def _number(value: float) -> str:
    return repr(float(value))


def _quoted(name: str) -> str:
    """Return a class's name as a C string: what is not plain becomes octal escapes of its UTF-8."""
    data = name.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data) + '"'
