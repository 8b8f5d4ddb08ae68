"""A quantised model as one C file for small devices: no floats, no library, memory that is fixed and known before. It
yields the bytes of our own int8 inference. calls_int8.py says which functions of runtime_int8.c a network calls.
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.preprocessing import CROP_SHARE, GREY
from ..kernels import Array, int8_quantise
from ..layers.int8 import ALL_BYTES
from ..model import Model
from ..network import INPUT
from .calls import Value
from .calls_int8 import UNIT, Calls, Constant, Finish
from .csource import heading, parts_of, quoted

_NUMBERS_A_LINE = 24
# Part of runtime_int8.c -> the parts that its functions call.
_CALLED = {"conv": {"inside", "finish", "products"}, "depthwise": {"inside", "finish"}, "maximum": {"inside", "clamp"},
           "mean": {"inside", "window"}, "adaptive": {"window"}, "window": {"span", "nearest", "clamp"},
           "inside": {"span"}, "finish": {"nearest", "clamp", "parts"}, "add": {"clamp", "parts"},
           "logits": {"nearest"}, "logits_of_means": {"nearest"}}


@dataclass(frozen=True)
class IntegerC:
    """A C file without floats. ram: the bytes of memory that it needs beside the stack. flash: the bytes of its
    constants, beside the code, where pointers have 4."""

    source: str
    ram: int
    flash: int

    def __str__(self) -> str:
        return f"RAM {self.ram:,} bytes beside the stack, flash {self.flash:,} bytes beside the code."


def to_integer_c(model: Model) -> IntegerC:
    """Return the C source of a quantised model. Raises UsageError for layers that are not computed of bytes."""
    calls = Calls(model.network)
    tables = calls.constant("pixels", "uint8_t", _tables(model))
    parts = _with_called({"start", "prepare", *calls.parts})
    used = [text for name, text in parts_of("runtime_int8.c").items() if name in parts]
    arena = _MEMORY.format(bytes=calls.memory.bytes, classes=len(model.classes))
    constants = [_constant(each) for each in calls.constants]
    source = "\n".join([heading(model, _use(model)), *used, arena, *constants, _classify(model, calls, tables)])
    names = sum(len(name.encode("utf-8", "surrogateescape")) + 1 + 4 for name in model.classes)
    return IntegerC(source, calls.memory.bytes + 4 * len(model.classes),
                    sum(each.bytes for each in calls.constants) + names)


_MEMORY = """enum {{ CLASSES = {classes} }};
int32_t class_logits[CLASSES];
static uint8_t arena[{bytes}];
"""


def _classify(model: Model, calls: Calls, tables: Constant) -> str:
    h, w, c = model.preprocessing.shape
    return _FUNCTION.format(
        names=",\n    ".join(quoted(name) for name in model.classes), pixels=h * w * c, channels=c,
        tables=_argument(tables), image=_argument(calls.value(INPUT)),
        calls="\n    ".join(f"{function}({', '.join(map(_argument, arguments))}); /* {_plain(layer)} */"
                            for layer, function, arguments in calls.calls))


_FUNCTION = """const int class_count = CLASSES;
const char *const class_names[CLASSES] = {{
    {names}}};

/* The comment at the head of the file says what it takes and returns. */
int classify(const uint8_t *pixels) {{
    int best = 0;
    if (!pixels) return -1;
    prepare(pixels, {pixels}, {channels}, {tables}, {image});
    {calls}
    for (int k = 1; k < CLASSES; k++)
        if (class_logits[k] > class_logits[best]) best = k;
    return best;
}}
"""


def _use(model: Model) -> str:
    h, w, c = model.preprocessing.shape
    colours = "3 bytes for each pixel, in the order red, green, blue" if c == 3 else "1 byte a pixel, 0 for black"
    resized = _RESIZED[model.preprocessing.resize].format(h=h, w=w)
    said = [text.format(h=h, w=w, bytes=h * w * c, colours=colours, resized=resized, unit=2**UNIT,
                        temperature=model.temperature) for text in _USE]
    if c == 1:
        said[-1] += " Grey is 0.299 red + 0.587 green + 0.114 blue."
    paragraphs = (textwrap.fill(text, 115, initial_indent=" * ", subsequent_indent=" * ") for text in said)
    return _DECLARED + "\n *\n".join(paragraphs) + " */\n"


_DECLARED = """ *
 *     cc -std=c99 -O2 -c FILE.c        It needs no library and no floating point. Declare in your program:
 *
 *     int classify(const uint8_t *pixels);
 *     extern const char *const class_names[];
 *     extern const int class_count;
 *     extern int32_t class_logits[];
 *
"""
_USE = (
    "classify takes an upright image of {h} rows and {w} columns, {bytes:,} bytes: {colours}, row by row from the top "
    "left. It returns the index of the most likely class: class_names[index] is its name, in UTF-8. It returns -1 if "
    "pixels is NULL. Two calls must not run at once, because they share their memory.",
    "class_logits then has a number for each class. The probability of class k is e^z[k], divided by the sum of e^z "
    "over all classes, where z[k] = class_logits[k] / ({unit} * {temperature}).",
    "Resize photographs before, as cnn does: {resized}. It interpolates bicubically, with a kernel that is as much "
    "wider as the image gets smaller.")
_RESIZED = {
    "squash": "the whole image becomes {w} x {h}",
    "crop": f"of the largest box of {{w}} : {{h}} in the middle of the image, {CROP_SHARE} of its width and height "
            "become {w} x {h}",
    "pad": "the whole image becomes as large as fits into {w} x {h} with its proportions, and lies in the middle; the "
           f"rest is grey, {GREY}"}


def _tables(model: Model) -> Array:
    """Return the network's first bytes for each byte of a pixel: (channels, 256)."""
    assert model.network.quantisation is not None
    c, steps = model.preprocessing.shape[2], model.network.quantisation.steps[INPUT]
    real = model.preprocessing.normalise(np.repeat(ALL_BYTES, c).reshape(16, 16, c)[None])
    found = np.empty(real.shape, np.uint8)
    int8_quantise(real, steps.scale, steps.zero, found)()
    return np.ascontiguousarray(found.reshape(256, c).T)


def _with_called(parts: set[str]) -> set[str]:
    more = parts.union(*(_CALLED.get(part, ()) for part in parts))
    return more if more == parts else _with_called(more)


def _constant(constant: Constant | Finish) -> str:
    """Return a constant's definition."""
    index, name = constant.index, _plain(constant.name)
    if isinstance(constant, Finish):
        return f"static const struct finish n{index} = {{{', '.join(map(_argument, constant.parts))}}}; /* {name} */\n"
    if constant.kind == "struct mean":
        body = ", ".join(f"{{{', '.join(map(str, row))}}}" for row in constant.values.tolist())
        return f"static const struct mean n{index}[] = {{{body}}}; /* {name} */\n"
    numbers = constant.values.ravel().tolist()
    lines = (numbers[i : i + _NUMBERS_A_LINE] for i in range(0, len(numbers), _NUMBERS_A_LINE))
    body = ",\n".join(",".join(map(str, line)) for line in lines)
    return f"/* {name} */\nstatic const {constant.kind} n{index}[{len(numbers)}] = {{\n{body}}};\n"


def _argument(argument: Any) -> str:
    """Return the expression for an argument."""
    match argument:
        case Value(place):
            return f"arena + {place}"
        case Finish():
            return f"&n{argument.index}"
        case Constant():
            return f"n{argument.index}"
        case None:
            return "NULL"
    return str(argument)


def _plain(name: str) -> str:
    """Return a layer's name as a comment can hold it."""
    return ascii(name)[1:-1].replace("*/", "* /")
