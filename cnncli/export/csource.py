"""A model as one C file that needs nothing but libm: weights, the few functions that its layers need (runtime.c has
them all), and ``classify``, which takes an image of any size through the very steps of `cnn predict`. For
microcontrollers with memory to spare, for games, for whatever has a C compiler and no Python. calls.py says which
functions a network calls.
"""

import re
from importlib.resources import files

import numpy as np

from .._version import __version__
from ..data.preprocessing import CROP_SHARE, GREY
from ..kernels import Array
from ..model import Model
from ..network import INPUT
from .calls import Call, Calls, Constants, Value

IN_FLOATS = "It computes in float32, with the numbers that the int8 weights stand for."  # said of quantised models
_NUMBERS_A_LINE = 10
# Part of runtime.c -> the parts that its functions call.
_CALLED = {"prepare": {"resize"}, "pointwise": {"exponential", "hyperbolic"}, "mean": {"exponential", "power"},
           "softmax": {"exponential"}}
_PART = re.compile(r"^/\* ---- (\w+) ---- \*/\n", re.MULTILINE)


def to_c(model: Model) -> str:
    """Return the C source. Raises UsageError for a layer that C cannot hold."""
    calls = Calls(model.network)
    parts = {"start", "prepare", "softmax", *calls.parts}
    parts = parts.union(*(_CALLED.get(part, ()) for part in parts))
    used = [text for name, text in parts_of("runtime.c").items() if name in parts]
    constants = [_constants(i, *each) for i, each in enumerate(calls.constants)]
    return "\n".join([heading(model, _USE), *used, *constants, _classify(model, calls)])


def _classify(model: Model, calls: Calls) -> str:
    h, w, c = model.preprocessing.shape
    mean, std = model.preprocessing.mean, model.preprocessing.std
    names = ",\n    ".join(quoted(name) for name in model.classes)
    pads = model.preprocessing.resize == "pad"
    return (_PADDED if pads else "") + _FUNCTION.format(
        prepare="prepare_padded" if pads else "prepare",
        classes=len(model.classes), names=names, h=h, w=w, c=c, floats=calls.memory.most,
        crop=_number({"crop": CROP_SHARE, "squash": 0, "pad": GREY}[model.preprocessing.resize]),
        means=", ".join(map(_number, mean)), stds=", ".join(map(_number, std)), image=_argument(calls.value(INPUT)),
        calls="\n    ".join(map(_call, calls.calls)), logits=_argument(calls.value(model.network.nodes[-1].name)),
        temperature=_number(model.temperature))


_PADDED = """/* An image of any size as the network's: the whole image in the middle of oh x ow pixels, the rest grey.
 * From the last pixel to the first, each is moved to its place, which is never before where it was. */
static int prepare_padded(const uint8_t *rgb, int h, int w, double grey, const double *mean, const double *std,
                          float *y, int oh, int ow, int c) {
    int ih = oh, iw = ow;
    if ((long long)w * oh >= (long long)h * ow)
        ih = (int)((2LL * h * ow + w) / (2LL * w));
    else
        iw = (int)((2LL * w * oh + h) / (2LL * h));
    if (ih < 1) ih = 1;
    if (iw < 1) iw = 1;
    int top = (oh - ih) / 2, left = (ow - iw) / 2;
    if (!prepare(rgb, h, w, 0, mean, std, y, ih, iw, c)) return 0;
    for (int i = oh - 1; i >= 0; i--)
        for (int j = ow - 1; j >= 0; j--)
            for (int k = c - 1; k >= 0; k--) {
                int inside = i >= top && i < top + ih && j >= left && j < left + iw;
                y[((long)i * ow + j) * c + k] = inside ? y[((long)(i - top) * iw + j - left) * c + k]
                                                       : (float)((grey / 255.0 - mean[k]) / std[k]);
            }
    return 1;
}

"""

_FUNCTION = """enum {{ CLASSES = {classes} }};
const int class_count = CLASSES;
const char *const class_names[CLASSES] = {{
    {names}}};

/* The comment at the head of the file says what it takes and returns. */
int classify(const uint8_t *rgb, int h, int w, float *probabilities) {{
    static const double mean[] = {{{means}}}, std[] = {{{stds}}};
    float *at = rgb && h > 0 && w > 0 ? malloc({floats} * sizeof(float)) : NULL;
    if (!at || !{prepare}(rgb, h, w, {crop}, mean, std, {image}, {h}, {w}, {c})) {{
        free(at);
        return -1;
    }}
    {calls}
    softmax({logits}, 1, CLASSES, (float){temperature}, probabilities);
    free(at);
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        if (probabilities[k] > probabilities[best]) best = k;
    return best;
}}
"""


def heading(model: Model, use: str) -> str:
    """Return the comment at the head of a file: what the model is, then how it is used."""
    name = ascii(str(model.training.get("architecture", "a network")))[1:-1].replace("*/", "")
    what = f"{name}, {len(model.classes)} classes, {model.preprocessing.describe().rstrip('.')}"
    return f"/* {what}: written by cnn {__version__}.\n{use}"


_USE = """ *
 *     cc -std=c99 -O2 -c FILE.c        and link with -lm. Declare in your program:
 *
 *     int classify(const uint8_t *rgb, int h, int w, float *probabilities);
 *     extern const char *const class_names[];
 *     extern const int class_count;
 *
 * classify takes an upright image of h rows and w columns, of any size: 3 bytes for each pixel in the order red, green,
 * blue, row by row from the top left, without gaps between the rows. A network for grey images takes the same bytes.
 * probabilities must have room for class_count floats. They get the probability of each class, and add up to 1.
 * classify returns the index of the most likely class: class_names[index] is its name, in UTF-8. It returns -1 if rgb
 * is NULL, if h or w is below 1, or if there is not enough memory; probabilities is then as it was.
 * Several threads may call it at once. It allocates memory, frees it before it returns, and changes nothing else. */
"""


def parts_of(file: str) -> dict[str, str]:
    """Return runtime.c or runtime_int8.c in parts, by name."""
    pieces = _PART.split(files(__package__).joinpath(file).read_text(encoding="utf-8"))
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _constants(index: int, name: str, array: Array) -> str:
    """Return an array, to the bit."""
    bits = array.ravel().view(np.uint32).tolist()
    starts = range(0, len(bits), _NUMBERS_A_LINE)
    body = ",\n".join(",".join(f"0x{v:x}" for v in bits[i : i + _NUMBERS_A_LINE]) for i in starts)
    kind = f"union {{ uint32_t bits[{len(bits)}]; float values[{len(bits)}]; }}"
    return f"/* {name} */\nstatic const {kind} n{index} = {{{{\n{body}}}}};\n"


def _call(call: Call) -> str:
    return f"{call.function}({', '.join(map(_argument, call.arguments))});"


def _argument(argument: Value | Constants | int | float | str | None) -> str:
    """Return the expression for an argument."""
    match argument:
        case Value(place):
            return f"at + {place}"
        case Constants(index):
            return f"n{index}.values"
        case None:
            return "NULL"
        case float():
            return f"(float){_number(argument)}"
    return str(argument)


def _number(value: float) -> str:
    """Return a number as C has it."""
    return repr(float(value))


def quoted(name: str) -> str:
    """Return a class's name as a C string: what is not plain becomes octal escapes of its UTF-8."""
    data = name.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in data) + '"'
