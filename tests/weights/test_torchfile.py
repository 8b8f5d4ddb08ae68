"""weights/torchfile.py and pickled.py: both formats of PyTorch's, and files that are wrong or mean harm: refused in one
sentence, at once, with nothing run. peers/test_torchfile.py compares with torch.save itself."""

import io
import pickle
import struct
import time
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.weights.torchfile import read_torch, state_dict

from .torchfiles import (
    described,
    in_a_row,
    named,
    numbers,
    ordered,
    pickled,
    saved,
    strides_of,
    tensor,
    text,
    zipped,
)

ARRAYS = {
    "conv.weight": np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3),
    "half": np.array([0.5, -2], np.float16), "double": np.array([[1.5]]), "count": np.array([7], np.int64),
    "nothing": np.zeros((0, 3), np.float32), "scalar": np.float32(3).reshape(()), "flags": np.array([True, False]),
}
ONE = np.arange(6, dtype=np.float32)


def read(data: bytes) -> Any:
    return read_torch(io.BytesIO(data), "weights.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_comes_back(legacy: bool) -> None:
    found = state_dict(read(saved(ARRAYS, legacy)), "weights.pth")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == (np.float32 if array.dtype.kind == "f" else array.dtype)
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("legacy", [False, True])
def test_views_are_read_as_they_lie(legacy: bool) -> None:
    views = {"turned": ((2, 3), (1, 2), 0), "part": ((2,), (3,), 1), "same": ((6,), (1,), 0)}
    description = pickled(ordered(b"".join(
        text(name) + tensor("0", "FloatStorage", 6, *view, legacy=legacy) for name, view in views.items()
        if name != "same" or not legacy)))
    data = in_a_row(description, {"0": (6, ONE.tobytes())}) if legacy else zipped(description, {"0": ONE.tobytes()})
    if not legacy:
        with pytest.raises(ModelError, match="overlap"):  # 14 values of 6: more than twice the data
            read(data)
        return
    found = read(data)
    assert np.array_equal(found["turned"], ONE.reshape(3, 2).T)
    assert np.array_equal(found["part"], ONE[[1, 4]])


def test_bfloat16_is_the_upper_half_of_a_float() -> None:
    values = np.array([1.0, -0.5, 3.0], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    description = pickled(ordered(text("w") + tensor("0", "BFloat16Storage", 3, (3,), (1,))))
    assert np.array_equal(read(zipped(description, {"0": data}))["w"], values)


def test_a_checkpoint_holds_a_state_dict_beside_other_things() -> None:
    inner = ordered(text("module.w") + tensor("0", "FloatStorage", 6, (2, 3), (3, 1)))
    whole = pickled(b"}(" + text("epoch") + b"K\x05" + text("args") + b"](K\x01K\x02e" + text("state_dict") + inner
                    + b"u")
    found = state_dict(read(zipped(whole, {"0": ONE.tobytes()})), "weights.pth")
    assert np.array_equal(found["w"], ONE.reshape(2, 3))


def test_a_parameter_is_its_tensor() -> None:
    made = named("torch._utils", "_rebuild_parameter") + b"(" + tensor("0", "FloatStorage", 6, (6,), (1,)) + b"\x88"
    value = read(zipped(pickled(ordered(text("w") + made + ordered() + b"tR")), {"0": ONE.tobytes()}))
    assert np.array_equal(value["w"], ONE)


def call(module: str, name: str, argument: bytes) -> bytes:
    return pickled(ordered(text("w") + named(module, name) + b"(" + argument + b"tR"))


def doubled(times: int) -> bytes:
    """A tuple of two of a tuple of two of …, and a dict with it for a key."""
    return pickled(b"}K\x01" + b"q\x00h\x00\x86" * times + b"Ns")


def nested_dicts() -> bytes:
    """Three dicts, each of which holds the next one a thousand times."""
    value = b"}"
    for _ in range(3):
        value += b"q\x000}(" + b"".join(text(str(i)) + b"h\x00" for i in range(1000)) + b"u"
    return pickled(value)


WHOLE = saved({"w": ONE})
OLD = saved({"w": ONE}, legacy=True)
TENSOR = {"key": "0", "kind": "FloatStorage", "count": 6}
HOSTILE = {
    "os.system": (zipped(call("os", "system", text("touch pwned")), {}), "kind os.system"),
    "posix.system": (in_a_row(call("posix", "system", text("touch pwned")), {}), "kind posix.system"),
    "eval": (zipped(call("builtins", "eval", text("1")), {}), "kind builtins.eval"),
    "getattr": (zipped(call("builtins", "getattr", text("1")), {}), "kind builtins.getattr"),
    "a module": (zipped(call("torch.nn.modules.conv", "Conv2d", text("1")), {}), "torch.nn.modules.conv.Conv2d"),
    "by stack": (zipped(pickled(text("os") + text("system") + b"\x93(" + text("x") + b"tR"), {}), "kind os.system"),
    "a plain pickle": (pickle.dumps({"a": 1}), "no file of PyTorch's"),
    "a pickle of an object": (pickle.dumps(time.struct_time(range(9))), "instruction|kind|no file"),
    "instance": (zipped(pickled(b"(ios\nsystem\n"), {}), "instruction INST"),
    "newobj": (zipped(pickled(named("collections", "OrderedDict") + b")\x81"), {}), "instruction NEWOBJ"),
    "extension": (zipped(pickled(b"\x82\x01"), {}), "instruction EXT1|damaged"),
    "not a function": (zipped(pickled(b"K\x01)R"), {}), "damaged"),
    "empty stack": (zipped(b"\x80\x020.", {}), "damaged"),
    "no end": (zipped(b"\x80\x02}", {}), "damaged|cut off"),
    "memo": (zipped(pickled(b"h\x07"), {}), "damaged"),
    "long string": (zipped(b"\x80\x04\x8d" + struct.pack("<Q", 2**63 - 1) + b"x.", {}), "damaged"),
    "large number": (zipped(pickled(b"\x8a\xff" + b"\x7f" * 255), {}), "damaged"),
    "hash bomb": (zipped(doubled(60), {}), "damaged"),
    "many instructions": (zipped(pickled(b"N0" * 300_000 + b"}"), {}), "more instructions"),
    "dicts in dicts": (zipped(nested_dicts(), {}), "too many"),
    "huge tensor": (zipped(pickled(ordered(text("w") + tensor(**TENSOR, shape=(2**40,), strides=(0,)))), {}),
                    "larger than its data"),
    "beyond its data": (zipped(pickled(ordered(text("w") + tensor(**TENSOR, shape=(6,), strides=(1,), offset=1))), {}),
                        "larger than its data"),
    "negative stride": (zipped(pickled(ordered(text("w") + tensor(**TENSOR, shape=(6,), strides=(-1,), offset=5))), {}),
                        "impossible shape"),
    "shape and strides": (zipped(pickled(ordered(text("w") + tensor(**TENSOR, shape=(6,), strides=(1, 1)))), {}),
                          "impossible shape"),
    "huge storage": (zipped(pickled(ordered(text("w") + tensor("0", "FloatStorage", 2**63, (1,), (1,)))), {}),
                     "impossible size"),
    "overlapping": (zipped(pickled(ordered(b"".join(
        text(str(i)) + tensor(**TENSOR, shape=(6,), strides=(1,)) for i in range(3)))), {"0": ONE.tobytes()}),
        "overlap"),
    "unknown storage": (zipped(pickled(ordered(text("w") + tensor("0", "QInt8Storage", 6, (6,), (1,)))), {}),
                        "torch.QInt8Storage"),
    "missing data": (zipped(described({"w": ONE}, False), {}), "data is missing"),
    "short data": (zipped(described({"w": ONE}, False), {"0": b"1234"}), "data is missing"),
    "big-endian": (zipped(described({"w": ONE}, False), {"0": ONE.tobytes()}, byteorder=b"big"), "big-endian"),
    "compressed": (zipped(described({"w": ONE}, False), {"0": bytes(10**7)}, zipfile.ZIP_DEFLATED), "compressed"),
    "two storages": (in_a_row(described({"w": ONE}, True), {"0": (5, ONE.tobytes())}), "data is missing"),
    "a storage too many": (in_a_row(described({"w": ONE}, True), {"0": (6, ONE.tobytes()), "1": (1, b"1234")}),
                           "data is missing"),
    "too few storages": (in_a_row(described({"w": ONE}, True), {}), "data is missing"),
    "another magic": (in_a_row(described({"w": ONE}, True), {}, magic=1), "no file of PyTorch's"),
    "old big-endian": (in_a_row(described({"w": ONE}, True), {}, system={"little_endian": False}), "big-endian"),
    "empty": (b"", "cut off|damaged"),
    "text": (b"not a model at all\n", "instruction|damaged|cut off"),
    "another zip": (b"PK\x03\x04" + bytes(100), "zip archive"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_is_refused_in_a_sentence_and_at_once(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, words = HOSTILE[name]
    with pytest.raises(ModelError, match=words) as caught:
        state_dict(read(data), "weights.pth")
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith("weights.pth ")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("whole", [WHOLE, OLD], ids=["zip", "pickles"])
def test_no_cut_and_no_wrong_byte_does_anything_but_fail_or_read(whole: bytes, rng: np.random.Generator) -> None:
    for length in range(0, len(whole), 7):
        with pytest.raises(ModelError):
            state_dict(read(whole[:length]), "weights.pth")
    for _ in range(400):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        with suppress(ModelError):
            state_dict(read(bytes(data)), "weights.pth")


@pytest.mark.parametrize("value", [b"}", b"N", b"](K\x01e", b"}(" + text("state_dict") + b"}u", numbers([1])])
def test_no_tensors_no_weights(value: bytes) -> None:
    with pytest.raises(ModelError, match="holds no named tensors"):
        state_dict(read(zipped(pickled(value), {})), "weights.pth")


def test_strides_of_the_tests_are_numpys() -> None:
    assert strides_of((2, 3, 4)) == [s // 4 for s in np.zeros((2, 3, 4), np.float32).strides]
