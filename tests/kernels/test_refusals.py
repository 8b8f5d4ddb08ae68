"""What every entry point of csrc/cnn.h refuses: each is called once with arguments that it takes, and then with one of
them wrong at a time. A check that is gone is a test that fails, and so is an entry point without a line here.

Calls are made in a forked process: where nothing refuses, a kernel may run into memory that is not there."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from cnncli._kernels import ffi, lib

from .test_contract import PROTOTYPES

HUGE, BEYOND = 1 << 41, 1 << 61  # a size that no convolution takes, and one that no array has
ROOM = 1 << 16
x, y = ffi.new("float[]", ROOM), ffi.new("float[]", ROOM)
bytes_, longs, doubles = ffi.new("uint8_t[]", ROOM), ffi.new("int64_t[]", ROOM), ffi.new("double[]", ROOM)
words = ffi.new("uint64_t[]", ROOM)
NULL = ffi.NULL


def filled(kind: str, defaults: dict[str, Any], changes: dict[str, Any]) -> Any:
    return ffi.new(f"{kind} *", {name: changes.pop(name, value) for name, value in defaults.items()})


CONV = {"n": 1, "h": 5, "w": 4, "c": 4, "k": 6, "kh": 3, "kw": 3, "stride_h": 1, "stride_w": 1, "pad_top": 1,
        "pad_bottom": 1, "pad_left": 1, "pad_right": 1, "dilation_h": 1, "dilation_w": 1, "groups": 2, "oh": 5, "ow": 4,
        "exact": 0}  # fmt: skip
# Sizes of 0, below 0 and beyond reason; what does not divide; and results that do not follow from the rest.
WRONG_CONV = [{name: value} for name in CONV if name != "exact" for value in (-1, HUGE)]
WRONG_CONV += [{name: 0} for name in CONV if not name.startswith(("pad", "exact"))]
WRONG_CONV += [{"groups": 4}, {"c": 5}, {"k": 7}, {"oh": 4}, {"oh": 6}, {"ow": 3}, {"ow": 5},
               {"n": 1 << 30, "c": 1 << 30}]
# Sums of bytes may be too deep, too: 33155 products are the most.
WRONG_INT8 = [*WRONG_CONV, {"h": 182, "w": 183, "kh": 182, "kw": 183, "oh": 3, "ow": 3}, {"c": 7400, "groups": 2}]
FINISH = {"bias": NULL, "add": NULL, "activation": lib.CNN_RELU, "gate": NULL, "pooled": 0, "taps": NULL}
POOL = {"n": 1, "h": 5, "w": 4, "c": 3, "oh": 2, "ow": 2, "kh": 2, "kw": 2, "sh": 2, "sw": 2, "ph": 0, "pw": 0, "dh": 1,
        "dw": 1}
WRONG_POOL = [{name: value} for name in POOL for value in (-1, BEYOND)]
WRONG_POOL += [{name: 0} for name in POOL if name not in ("ph", "pw")]
WRONG_POOL += [{"oh": 4}, {"ow": 3}, {"ph": 2}, {"pw": 2}]
WRONG_MEAN = [*WRONG_POOL, {"dh": 2, "h": 9}, {"dw": 2, "w": 9}]
NORM = {"rows": 6, "c": 3, "x": x, "weight": NULL, "bias": NULL, "activation": lib.CNN_RELU, "statistics": doubles,
        "workspace": ffi.new("float[]", ROOM)}
WRONG_NORM = [{"rows": 0}, {"rows": -1}, {"rows": 1 << 60}, {"c": 0}, {"c": -1}, {"activation": -2}, {"activation": 2}]
IMAGES = {"stored": 2, "n": 2, "h": 4, "w": 5, "c": 3, "x": bytes_, "rows": longs, "moves": longs, "scale": x,
          "shift": x}
TARGETS = {"n": 2, "classes": 3, "labels": longs, "others": NULL, "shares": NULL}
WRONG_TARGETS = [{"n": 0}, {"n": -1}, {"classes": 0}, {"labels": ffi.new("int64_t[]", [0, 3])},
                 {"labels": ffi.new("int64_t[]", [-1, 0])}, {"others": longs}, {"shares": x},
                 {"others": ffi.new("int64_t[]", [0, 3]), "shares": x},
                 {"others": longs, "shares": ffi.new("float[]", [0.5, 1.5])},
                 {"others": longs, "shares": ffi.new("float[]", [-0.5, 1])}]
ERASURE = {"n": 1, "h": 4, "w": 5, "c": 3, "boxes": 1, "box": longs, "noise": words, "scale": x, "shift": x}
MIXTURE = {"n": 2, "h": 4, "w": 5, "c": 3, "partners": longs, "shares": x, "boxes": longs}
TENSOR = {"count": 5, "parameter": x, "gradient": x, "first": y, "second": ffi.new("float[]", 8),
          "weight_decay": 0.0, "rate": 1.0}
signed = ffi.new("int8_t[]", ROOM)
half, halved = ffi.new("uint16_t[]", ROOM), ffi.new("uint16_t[]", ROOM)  # bfloat16
BIAS, MULTIPLIER = ffi.new("int32_t[]", 8), ffi.new("float[]", 8)
REQUANTISE = {"bias": BIAS, "multiplier": MULTIPLIER, "zero": 3, "least": 0, "most": 255, "add": NULL, "add_zero": 0,
              "add_multiplier": 0, "real": NULL}
WRONG_BYTES = [{name: value} for name in ("zero", "least", "most") for value in (-1, 256)]
WRONG_REQUANTISE = [*WRONG_BYTES, {"bias": NULL}, {"multiplier": NULL}, {"least": 9, "most": 8}, {"zero_x": -1},
                    {"zero_x": 256}, {"add": bytes_, "real": x}, {"add": bytes_, "add_zero": -1},
                    {"add": bytes_, "add_zero": 256}, {"add": bytes_, "add_multiplier": 1 << 20},
                    {"add": bytes_, "add_multiplier": -1 << 20}]
SUM = {"a_zero": 1, "a_multiplier": 2, "b_zero": 3, "b_multiplier": 4, "zero": 5, "least": 0, "most": 255}
WRONG_SUM = [*WRONG_BYTES, {"least": 9, "most": 8}, {"count": -1}]
WRONG_SUM += [{name: value} for name in ("a_zero", "b_zero") for value in (-1, 256)]
WRONG_SUM += [{name: sign << 20} for name in ("a_multiplier", "b_multiplier") for sign in (-1, 1)]
HYPER = {"lr": 0.1, "scale": 1.0, "step": 1}


def conv(changes: dict[str, Any]) -> Any:
    return filled("cnn_conv2d", CONV, changes)


def conv_pass(function: Callable[..., int], source: Any, result: Any) -> Callable[..., int]:
    def call(**changes: Any) -> int:
        finish = filled("cnn_finish", FINISH, changes)
        return function(conv(changes), source, source, y, finish, result, y)

    return call


def halves_conv(changes: dict[str, Any]) -> Any:
    storage = [changes.pop("x_kind", lib.CNN_BFLOAT16), changes.pop("y_kind", lib.CNN_BFLOAT16)]
    return ffi.new("cnn_bf16_conv2d *", [conv(changes)[0], *storage])


def halves_pass(function: Callable[..., int]) -> Callable[..., int]:
    def call(**changes: Any) -> int:
        finish = filled("cnn_bf16_finish", FINISH, changes)
        return function(halves_conv(changes), half, x, y, finish, halved, y + 9984)

    return call


def int8_conv(changes: dict[str, Any]) -> int:
    zero_x, finish = changes.pop("zero_x", 9), filled("cnn_requantise", REQUANTISE, changes)
    return lib.cnn_int8_conv2d_forward(conv(changes), bytes_, zero_x, signed, finish, bytes_ + 9999)


def int8_sum(changes: dict[str, Any]) -> int:
    count, total = changes.pop("count", 5), filled("cnn_int8_sum", SUM, changes)
    return lib.cnn_int8_add(count, total, bytes_, bytes_, bytes_ + 9999)


# How it may not be stored: in neither way, or both in float32.
WRONG_HALVES = [*WRONG_CONV, {"x_kind": -1}, {"x_kind": 2}, {"y_kind": -1}, {"y_kind": 2},
                {"x_kind": lib.CNN_FLOAT32, "y_kind": lib.CNN_FLOAT32}]


def pool(function: Callable[..., int], *between: Any) -> Callable[..., int]:
    """A call of function(p, *between), of which "option" is the first."""
    def call(**changes: Any) -> int:
        rest = [changes.pop("option", between[0]), *between[1:]]
        if "taps" in changes:
            rest[-1] = changes.pop("taps")
        return function(filled("cnn_pool", POOL, changes), *rest)

    return call


def norm(function: Callable[..., int], *rest: Any) -> Callable[..., int]:
    def call(**changes: Any) -> int:
        arguments = [changes.pop(f"argument{i}", value) for i, value in enumerate(rest)]
        return function(filled("cnn_norm", NORM, changes), *arguments)

    return call


def box(*numbers: int) -> Any:
    return ffi.new("int64_t[]", [*numbers, 0, 0, 0, 0])


def simple(function: Callable[..., int], **defaults: Any) -> Callable[..., int]:
    def call(**changes: Any) -> int:
        return function(*({**defaults, **changes}.values()))

    return call


def optimiser(function: Callable[..., int], *rest: Any) -> Callable[..., int]:
    def call(**changes: Any) -> int:
        count, hyper = changes.pop("tensors", 1), filled("cnn_hyper", HYPER, changes)
        table = ffi.new("cnn_tensor[]", [{name: changes.pop(name, value) for name, value in TENSOR.items()}])
        return function(count, table, *((hyper, *rest) if rest else ()))

    return call


def lists(**changes: Any) -> int:
    steps = {"steps": 1, "operations": longs, "strengths": doubles}
    wanted = filled("cnn_lists", steps, changes)
    return lib.cnn_augment_batch(filled("cnn_images", IMAGES, changes), wanted, y)


def one_step(operation: int, strength: float) -> dict[str, Any]:
    return {"operations": ffi.new("int64_t[]", [operation] * 2), "strengths": ffi.new("double[]", [strength] * 2)}


WRONG_IMAGES = [{"n": -1}, {"stored": 1}, {"h": 0}, {"w": -1}, {"c": 0}, {"c": 17}, {"n": 3, "rows": NULL},
                {"rows": ffi.new("int64_t[]", [0, 2])}, {"rows": ffi.new("int64_t[]", [-1, 0])},
                {"moves": ffi.new("int64_t[]", [5, 0, 0, 0, 0, 0])},
                {"moves": ffi.new("int64_t[]", [0, -6, 0, 0, 0, 0])}]
WRONG_IMAGES[1]["rows"] = ffi.new("int64_t[]", [0, 1])
ROWS = {"rows": 4, "c": 3}
WRONG_ROWS = [{"rows": 0}, {"rows": -1}, {"c": 0}, {"c": -1}, {"rows": 1 << 60, "c": 1 << 60}]
WRONG_TENSORS = [{"tensors": -1}, {"count": -1}]
ADAPTIVE = {"n": 1, "h": 4, "w": 5, "c": 3, "oh": 2, "ow": 2, "from": x, "to": y}
WRONG_ADAPTIVE = [{name: value} for name in ("n", "h", "w", "c", "oh", "ow") for value in (0, -1, BEYOND)]
COPY = {"rows": 2, "width": 3, "from": x, "from_stride": 4, "to": y, "to_stride": 5}
FLAT = {"n": 2, "pixels": 4, "c": 3, "from": x, "to": y}
FLAT8 = {**FLAT, "from": bytes_, "to": bytes_ + 9999}
WRONG_FLAT = [{name: value} for name in ("n", "pixels", "c") for value in (0, -1)]
WRONG_FLAT8 = [change for change in WRONG_FLAT if change != {"n": 0}]
ADAPTIVE8 = {"n": 1, "h": 4, "w": 5, "c": 3, "oh": 2, "ow": 2, "multiplier": 1.0, "zero_x": 1, "zero": 2,
             "x": bytes_, "y": bytes_ + 9999}
COLUMNS8 = {"rows": 2, "width": 3, "table": NULL, "from": bytes_, "from_stride": 4, "to": bytes_ + 9999, "to_stride": 5}
WRONG_ZEROS = [{name: value} for name in ("zero_x", "zero") for value in (-1, 256)]
POINTS = {"activation": lib.CNN_RELU, "slope": 0.1, "count": 4}

# Name -> a call with arguments that are taken, what it then returns, the wrong ones, and what is then returned.
TABLE: dict[str, tuple[Callable[..., int], int | None, list[dict[str, Any]], int]] = {
    "cnn_isa_supported": (simple(lib.cnn_isa_supported, isa=1), 1, [{"isa": -1}, {"isa": 9}], 0),
    "cnn_isa_set": (simple(lib.cnn_isa_set, isa=1), 0, [{"isa": -1}, {"isa": 9}], lib.CNN_NO_ISA),
    "cnn_words_set": (simple(lib.cnn_words_set, words=0), 0, [{"words": -1}, {"words": 1 << 20}], lib.CNN_NO_ISA),
    "cnn_threads_set": (simple(lib.cnn_threads_set, threads=2), 0, [{"threads": 0}, {"threads": 257}], 1),
    "cnn_cross_entropy": (lambda smoothing=0.1, **changes: lib.cnn_cross_entropy(
        filled("cnn_targets", TARGETS, changes), smoothing, x, NULL, doubles, y), 0,
        [*WRONG_TARGETS, {"smoothing": -0.1}, {"smoothing": 1.1}, {"smoothing": float("nan")}], 1),
    "cnn_squared_error": (lambda **changes: lib.cnn_squared_error(
        filled("cnn_targets", TARGETS, changes), x, doubles, y), 0, WRONG_TARGETS, 1),
    "cnn_sgd": (optimiser(lib.cnn_sgd, 0.9, 0.0, 0), 0,
                [*WRONG_TENSORS, {"step": 0}, {"parameter": NULL}, {"first": NULL}], 1),
    "cnn_adam": (optimiser(lib.cnn_adam, 0.9, 0.99, 1e-8, 0), 0,
                 [*WRONG_TENSORS, {"step": 0}, {"parameter": NULL}, {"first": NULL}, {"second": NULL}], 1),
    "cnn_gradient_norm_partials": (optimiser(lib.cnn_gradient_norm_partials), 1, WRONG_TENSORS, -1),
    "cnn_gradient_norm": (optimiser(lambda count, table: lib.cnn_gradient_norm(count, table, doubles, doubles + 100)),
                          0, WRONG_TENSORS, 1),
    "cnn_conv2d_workspace": (lambda which=2, **changes: lib.cnn_conv2d_workspace(conv(changes), which), None,
                             [*WRONG_CONV, {"which": -1}, {"which": 3}], -1),
    "cnn_conv2d_packed": (lambda which=0, **changes: lib.cnn_conv2d_packed(conv(changes), which), None,
                          [*WRONG_CONV, {"which": -1}, {"which": 2}], -1),
    "cnn_conv2d_pools": (lambda **changes: lib.cnn_conv2d_pools(conv({"groups": 1, "c": 16, "k": 16} | changes)), 1,
                         [*WRONG_CONV[:-8], {"groups": 2}, {"h": 1, "oh": 1}, {"w": 1, "ow": 1}], 0),
    "cnn_conv2d_pack": (lambda which=0, **changes: lib.cnn_conv2d_pack(conv(changes), which, x, y), 0,
                        [*WRONG_CONV, {"which": -1}, {"which": 2}], 1),
    "cnn_conv2d_forward": (conv_pass(lib.cnn_conv2d_forward, x, y + 9999), 0,
                           [*WRONG_CONV, {"activation": -2}, {"activation": 2}, {"pooled": 1}], 1),
    "cnn_conv2d_backward_data": (conv_pass(lib.cnn_conv2d_backward_data, x, y + 9999), 0,
                                 [*WRONG_CONV, {"activation": -2}, {"activation": 2}, {"pooled": 1}], 1),
    "cnn_conv2d_backward_weights": (lambda **changes: lib.cnn_conv2d_backward_weights(
        conv(changes), x, x, y, y + 9999, y + 19999), 0, WRONG_CONV, 1),
    "cnn_peak": (simple(lib.cnn_peak, rounds=1, flops=doubles), 0, [{"rounds": 0}, {"rounds": 1 << 60}], 1),
    "cnn_activation_forward": (simple(lib.cnn_activation_forward, **POINTS, x=x, y=y), 0,
                               [{"activation": -1}, {"activation": 6}, {"count": -1}], 1),
    "cnn_activation_backward": (simple(lib.cnn_activation_backward, **POINTS, x=x, y=y, dy=x, dx=y), 0,
                                [{"activation": -1}, {"activation": 6}, {"count": -1}, {"y": NULL},
                                 {"activation": lib.CNN_SILU, "x": NULL}], 1),
    "cnn_image_batch": (lambda **changes: lib.cnn_image_batch(filled("cnn_images", IMAGES, changes), y), 0,
                        WRONG_IMAGES, 1),
    "cnn_image_histogram": (simple(lib.cnn_image_histogram, pixels=4, c=3, x=bytes_, counts=longs + 1000), 0,
                            [{"pixels": -1}, {"c": 0}, {"c": -1}], 1),
    "cnn_augment_batch": (lists, 0, [
        *WRONG_IMAGES, {"c": 2}, {"steps": -1}, {"steps": 33}, {"h": (1 << 20) + 1}, {"w": (1 << 20) + 1},
        one_step(16, 0), one_step(-1, 0), one_step(lib.CNN_SCALE, 6), one_step(lib.CNN_SHEAR_X, 81),
        one_step(lib.CNN_SHEAR_Y, -81), one_step(lib.CNN_POSTERISE, 0), one_step(lib.CNN_POSTERISE, 9),
        one_step(lib.CNN_ROTATE, 2e5), one_step(lib.CNN_HUE, float("nan")), one_step(lib.CNN_SCALE, -4.99) | {
            "steps": 2, "operations": ffi.new("int64_t[]", [lib.CNN_SCALE] * 4),
            "strengths": ffi.new("double[]", [-4.9] * 4)}], 1),
    "cnn_erase_batch": (lambda **changes: lib.cnn_erase_batch(filled("cnn_erasure", ERASURE, changes), y), 0, [
        {"n": -1}, {"h": 0}, {"w": -1}, {"c": 0}, {"boxes": -1}, {"box": box(-1, 0, 1, 1)}, {"box": box(0, -1, 1, 1)},
        {"box": box(0, 0, -1, 1)}, {"box": box(0, 0, 1, -1)}, {"box": box(1, 0, 4, 1)}, {"box": box(0, 1, 1, 5)}], 1),
    "cnn_mix_batch": (lambda **changes: lib.cnn_mix_batch(filled("cnn_mixture", MIXTURE, changes), x, y), 0, [
        {"n": -1}, {"h": 0}, {"w": -1}, {"c": 0}, {"partners": box(2)}, {"partners": box(-1)},
        {"boxes": box(1, 0, 4, 1)}, {"boxes": box(0, 1, 1, 5)}, {"boxes": box(-1, 0, 1, 1)}], 1),
    "cnn_batch_norm_workspace": (simple(lib.cnn_batch_norm_workspace, rows=6, c=3), None, WRONG_ROWS, -1),
    "cnn_batch_norm_train": (norm(lib.cnn_batch_norm_train, 1e-5, 0.1, NULL, y, x + 100, x + 200), 0,
                             [*WRONG_NORM, {"rows": 1}, {"argument4": NULL}, {"argument5": NULL}], 1),
    "cnn_batch_norm_again": (norm(lib.cnn_batch_norm_again, y), 0, WRONG_NORM, 1),
    "cnn_batch_norm_infer": (norm(lib.cnn_batch_norm_infer, 1e-5, x, x, NULL, y), 0, WRONG_NORM, 1),
    "cnn_batch_norm_backward": (norm(lib.cnn_batch_norm_backward, NULL, x, 0, y, y + 100, NULL, NULL), 0,
                                [*WRONG_NORM, {"argument3": y + 100}], 1),
    "cnn_max_pool_tap_bytes": (simple(lib.cnn_max_pool_tap_bytes, kh=2, kw=2), 1,
                               [{"kh": 0}, {"kw": -1}, {"kh": 256, "kw": 256}], 0),
    "cnn_max_pool_forward": (pool(lib.cnn_max_pool_forward, lib.CNN_RELU, x, y, bytes_), 0,
                             [*WRONG_POOL, {"option": -2}, {"option": 2}], 1),
    "cnn_max_pool_backward": (pool(lib.cnn_max_pool_backward, lib.CNN_IDENTITY, NULL, bytes_, x, y), 0,
                              [*WRONG_POOL, {"option": -2}, {"option": 2}, {"option": lib.CNN_RELU}], 1),
    "cnn_average_pool_forward": (pool(lib.cnn_average_pool_forward, 0, x, y), 0, WRONG_MEAN, 1),
    "cnn_average_pool_backward": (pool(lib.cnn_average_pool_backward, 0, x, y), 0, WRONG_MEAN, 1),
    "cnn_lp_pool_forward": (pool(lib.cnn_lp_pool_forward, 2.0, x, y), 0,
                            [*WRONG_MEAN, {"option": 0.0}, {"ph": 1, "oh": 3}, {"pw": 1, "ow": 3}], 1),
    "cnn_lp_pool_backward": (pool(lib.cnn_lp_pool_backward, 2.0, x, x, x, y), 0,
                             [*WRONG_MEAN, {"option": 0.0}, {"ph": 1, "oh": 3}, {"pw": 1, "ow": 3}], 1),
    "cnn_adaptive_average_pool_forward": (simple(lib.cnn_adaptive_average_pool_forward, **ADAPTIVE), 0,
                                          WRONG_ADAPTIVE, 1),
    "cnn_adaptive_average_pool_backward": (simple(lib.cnn_adaptive_average_pool_backward, **ADAPTIVE), 0,
                                           WRONG_ADAPTIVE, 1),
    "cnn_add": (simple(lib.cnn_add, count=4, a=x, b=x, out=y), 0, [{"count": -1}], 1),
    "cnn_scale": (simple(lib.cnn_scale, count=4, factor=2, x=x, y=y), 0, [{"count": -1}], 1),
    "cnn_dropout": (simple(lib.cnn_dropout, p=0.5, clock=words, stream=1, count=4, x=x, y=y), 0,
                    [{"count": -1}, {"p": -0.1}, {"p": 1.1}, {"p": float("nan")}], 1),
    "cnn_softmax_forward": (simple(lib.cnn_softmax_forward, **ROWS, x=x, y=y), 0, WRONG_ROWS, 1),
    "cnn_softmax_backward": (simple(lib.cnn_softmax_backward, **ROWS, y=x, dy=x, dx=y), 0, WRONG_ROWS, 1),
    "cnn_copy_columns": (simple(lib.cnn_copy_columns, **COPY), 0,
                         [{"rows": 0}, {"rows": -1}, {"width": 0}, {"width": 5}, {"from_stride": 2},
                          {"to_stride": 2}], 1),
    "cnn_flatten_forward": (simple(lib.cnn_flatten_forward, **FLAT), 0, WRONG_FLAT, 1),
    "cnn_flatten_backward": (simple(lib.cnn_flatten_backward, **FLAT), 0, WRONG_FLAT, 1),
    "cnn_int8_conv2d_fits": (lambda **changes: lib.cnn_int8_conv2d_fits(conv(changes)), 1, WRONG_INT8, 0),
    "cnn_int8_conv2d_packed": (lambda **changes: lib.cnn_int8_conv2d_packed(conv(changes)), None, WRONG_INT8, -1),
    "cnn_int8_conv2d_pack": (lambda **changes: lib.cnn_int8_conv2d_pack(conv(changes), signed, signed + 9984), 0,
                             WRONG_INT8, 1),
    "cnn_int8_conv2d_forward": (lambda **changes: int8_conv(changes), 0, [*WRONG_INT8, *WRONG_REQUANTISE], 1),
    "cnn_int8_quantise": (simple(lib.cnn_int8_quantise, count=5, per_step=1.0, zero=3, x=x, y=bytes_), 0,
                          [{"count": -1}, {"zero": -1}, {"zero": 256}], 1),
    "cnn_int8_dequantise": (simple(lib.cnn_int8_dequantise, count=5, step=1.0, zero=3, x=bytes_, y=y), 0,
                            [{"count": -1}, {"zero": -1}, {"zero": 256}], 1),
    "cnn_int8_columns": (simple(lib.cnn_int8_columns, **COLUMNS8), 0,
                         [{"rows": -1}, {"width": 0}, {"width": 5}, {"from_stride": 2}, {"to_stride": 2}], 1),
    "cnn_int8_add": (lambda **changes: int8_sum(changes), 0, WRONG_SUM, 1),
    "cnn_int8_max_pool": (pool(lambda p, _, *rest: lib.cnn_int8_max_pool(p, *rest), 0, bytes_, bytes_ + 9999), 0,
                          WRONG_POOL, 1),
    "cnn_int8_average_pool": (lambda zero_x=1, zero=2, **changes: lib.cnn_int8_average_pool(
        filled("cnn_pool", POOL, changes), 0, 1.0, zero_x, zero, bytes_, bytes_ + 9999), 0,
        [*WRONG_MEAN, *WRONG_ZEROS], 1),
    "cnn_int8_adaptive_average_pool": (simple(lib.cnn_int8_adaptive_average_pool, **ADAPTIVE8), 0,
                                       [*WRONG_ADAPTIVE, *WRONG_ZEROS], 1),
    "cnn_int8_flatten": (simple(lib.cnn_int8_flatten, **FLAT8), 0, WRONG_FLAT8, 1),
}
TABLE |= {  # csrc/cnn_bf16.h
    "cnn_bf16_expand": (simple(lib.cnn_bf16_expand, count=4, x=half, y=y), 0, [{"count": 0}, {"count": -1}], 1),
    "cnn_bf16_round": (simple(lib.cnn_bf16_round, count=4, x=x, y=half), 0, [{"count": 0}, {"count": -1}], 1),
    "cnn_bf16_conv2d_workspace": (lambda which=2, **changes: lib.cnn_bf16_conv2d_workspace(halves_conv(changes), which),
                                  None, [*WRONG_HALVES, {"which": -1}, {"which": 3}], -1),
    "cnn_bf16_conv2d_packed": (lambda which=0, **changes: lib.cnn_bf16_conv2d_packed(halves_conv(changes), which), None,
                               [*WRONG_HALVES, {"which": -1}, {"which": 2}], -1),
    "cnn_bf16_conv2d_pools": (lambda **changes: lib.cnn_bf16_conv2d_pools(halves_conv(
        {"groups": 1, "c": 16, "k": 16} | changes)), 1, [*WRONG_CONV[:-8], {"h": 1, "oh": 1}, {"w": 1, "ow": 1}], 0),
    "cnn_bf16_conv2d_pack": (lambda which=0, **changes: lib.cnn_bf16_conv2d_pack(halves_conv(changes), which, x, y), 0,
                             [*WRONG_HALVES, {"which": -1}, {"which": 2}], 1),
    "cnn_bf16_conv2d_forward": (halves_pass(lib.cnn_bf16_conv2d_forward), 0,
                                [*WRONG_HALVES, {"activation": -2}, {"activation": 2}, {"pooled": 1}], 1),
    "cnn_bf16_conv2d_backward_data": (halves_pass(lib.cnn_bf16_conv2d_backward_data), 0,
                                      [*WRONG_HALVES, {"activation": -2}, {"activation": 2}, {"pooled": 1}], 1),
    "cnn_bf16_conv2d_backward_weights": (lambda **changes: lib.cnn_bf16_conv2d_backward_weights(
        halves_conv(changes), half, halved, y, y + 9984, y + 19968), 0, WRONG_HALVES, 1),
    "cnn_bf16_batch_norm_train": (norm(lib.cnn_bf16_batch_norm_train, 1e-5, 0.1, half, NULL, halved, x + 100, x + 200),
                                  0, [*WRONG_NORM, {"rows": 1}, {"argument5": NULL}, {"argument6": NULL}], 1),
    "cnn_bf16_batch_norm_again": (norm(lib.cnn_bf16_batch_norm_again, half, halved), 0, WRONG_NORM, 1),
    "cnn_bf16_batch_norm_infer": (norm(lib.cnn_bf16_batch_norm_infer, 1e-5, x, x, half, NULL, halved), 0,
                                  WRONG_NORM, 1),
    "cnn_bf16_batch_norm_backward": (
        norm(lib.cnn_bf16_batch_norm_backward, half, NULL, half, 0, halved, halved + 100, NULL, NULL), 0,
        [*WRONG_NORM, {"argument4": halved + 100}], 1),
    "cnn_bf16_activation_forward": (simple(lib.cnn_bf16_activation_forward, **POINTS, x=half, y=halved), 0,
                                    [{"activation": -1}, {"activation": 6}, {"count": -1}], 1),
    "cnn_bf16_activation_backward": (
        simple(lib.cnn_bf16_activation_backward, **POINTS, x=half, y=half, dy=half, dx=halved), 0,
        [{"activation": -1}, {"activation": 6}, {"count": -1}, {"y": NULL}, {"activation": lib.CNN_SILU, "x": NULL}],
        1),
    "cnn_bf16_add": (simple(lib.cnn_bf16_add, count=4, a=half, b=half, out=halved), 0, [{"count": -1}], 1),
    "cnn_bf16_scale": (simple(lib.cnn_bf16_scale, count=4, factor=2, x=half, y=halved), 0, [{"count": -1}], 1),
    "cnn_bf16_dropout": (simple(lib.cnn_bf16_dropout, p=0.5, clock=words, stream=1, count=4, x=half, y=halved), 0,
                         [{"count": -1}, {"p": -0.1}, {"p": 1.1}, {"p": float("nan")}], 1),
    "cnn_bf16_copy_columns": (simple(lib.cnn_bf16_copy_columns, **(COPY | {"from": half, "to": halved})), 0,
                              [{"rows": 0}, {"rows": -1}, {"width": 0}, {"width": 5}, {"from_stride": 2},
                               {"to_stride": 2}], 1),
    "cnn_bf16_flatten_forward": (simple(lib.cnn_bf16_flatten_forward, **(FLAT | {"from": half})), 0, WRONG_FLAT, 1),
    "cnn_bf16_max_pool_forward": (pool(lib.cnn_bf16_max_pool_forward, lib.CNN_RELU, half, halved, bytes_), 0,
                                  [*WRONG_POOL, {"option": -2}, {"option": 2}], 1),
    "cnn_bf16_max_pool_backward": (pool(lib.cnn_bf16_max_pool_backward, lib.CNN_IDENTITY, NULL, bytes_, half, halved),
                                   0, [*WRONG_POOL, {"option": -2}, {"option": 2}, {"option": lib.CNN_RELU}], 1),
    "cnn_bf16_average_pool_forward": (
        lambda kind=1, **changes: lib.cnn_bf16_average_pool_forward(filled("cnn_pool", POOL, changes), 0, half, kind,
                                                                    y),
        0, [*WRONG_MEAN, {"kind": -1}, {"kind": 2}], 1),
    "cnn_bf16_average_pool_backward": (
        lambda kind=0, **changes: lib.cnn_bf16_average_pool_backward(filled("cnn_pool", POOL, changes), 0, kind, x,
                                                                     halved),
        0, [*WRONG_MEAN, {"kind": -1}, {"kind": 2}], 1),
    "cnn_bf16_adaptive_average_pool_forward": (
        simple(lib.cnn_bf16_adaptive_average_pool_forward, **(ADAPTIVE | {"from": half, "to": halved})), 0,
        WRONG_ADAPTIVE, 1),
    "cnn_bf16_adaptive_average_pool_backward": (
        simple(lib.cnn_bf16_adaptive_average_pool_backward, **(ADAPTIVE | {"from": half, "to": halved})), 0,
        WRONG_ADAPTIVE, 1),
    "cnn_bf16_flatten_backward": (simple(lib.cnn_bf16_flatten_backward, **(FLAT | {"to": halved})), 0, WRONG_FLAT, 1),
}
NOTHING_TO_REFUSE = {"cnn_isa_active", "cnn_threads_get", "cnn_words_active"}  # they take nothing


def test_every_entry_point_has_a_line():
    assert set(TABLE) == set(PROTOTYPES) - NOTHING_TO_REFUSE


def answers(call: Callable[..., int], asked: list[dict[str, Any]]) -> list[int | str]:
    """Return what calls return, made one after the other in a process of their own, or how that ended; then the rest
    of them is made in another."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for changes in asked:
                os.write(writing, f"{call(**changes)}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said: list[int | str] = [int(line) for line in pipe]
    _, status = os.waitpid(child, 0)
    if len(said) == len(asked):
        return said
    return [*said, f"ended by signal {os.WTERMSIG(status)}", *answers(call, asked[len(said) + 1 :])]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="refusals were not looked at: this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", TABLE)
def test_it_takes_what_is_right_and_refuses_what_is_wrong(name):
    call, taken, wrong, refused = TABLE[name]
    right, *found = answers(call, [{}, *map(dict, wrong)])
    assert right == taken if taken is not None else isinstance(right, int) and right >= 0
    assert [(said, changes) for said, changes in zip(found, wrong, strict=True) if said != refused] == []
