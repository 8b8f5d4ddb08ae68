"""A model as one C file that needs nothing but libm: weights, the few functions that its layers need (runtime.c has
them all), and ``classify``, which takes an image of any size through the very steps of `cnn predict`. For
microcontrollers with memory to spare, for games, for whatever has a C compiler and no Python. c_layers.py writes the
network.
"""

import re
from importlib.resources import files

from .._version import __version__
from ..data.preprocessing import CROP_SHARE
from ..model import Model
from ..network import INPUT
from .c_layers import Source, number

_PART = re.compile(r"^/\* ---- (\w+) ---- \*/\n", re.MULTILINE)
_GREY = "(uint8_t)((rgb[3 * i] * 19595 + rgb[3 * i + 1] * 38470 + rgb[3 * i + 2] * 7471 + 32768) >> 16)"


def to_c(model: Model) -> str:
    """Return the C source. Raises UsageError for a layer that C cannot hold."""
    source = Source(model.network)
    source.parts |= {"start", "resize", "softmax"}
    used = [text for name, text in _parts().items() if name in source.parts]
    return "\n".join([_heading(model), *used, *source.weights, _classify(model, source)])


def _classify(model: Model, source: Source) -> str:
    h, w, c = model.preprocessing.shape
    mean, std = model.preprocessing.mean, model.preprocessing.std
    names = ",\n    ".join(_quoted(name) for name in model.classes)
    return _FUNCTION.format(
        classes=len(model.classes), names=names, h=h, w=w, c=c, size=h * w * c, floats=source.memory.most,
        grey=_grey() if c == 1 else "", source="grey" if c == 1 else "rgb", box=_box(model),
        means=", ".join(map(number, mean)), stds=", ".join(map(number, std)), image=source.value(INPUT),
        calls="\n    ".join(source.calls), logits=source.value(model.network.nodes[-1].name),
        temperature=number(model.temperature), free="free(grey), " if c == 1 else "")


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
            f"        double scale = (w / {w}.0 < h / {h}.0 ? w / {w}.0 : h / {h}.0) * {number(CROP_SHARE)};\n"
            f"        left = (w - {w} * scale) / 2, right = left + {w} * scale;\n"
            f"        top = (h - {h} * scale) / 2, bottom = top + {h} * scale;\n    }}\n")


def _quoted(name: str) -> str:
    """Return a class's name as a C string: what is not plain becomes octal escapes of its UTF-8."""
    data = name.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data) + '"'
