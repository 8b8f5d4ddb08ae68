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
from cnncli.weights import torchfile
from cnncli.weights.torchfile import read_torch, state_dict

from .torchfiles import (
    MAGIC,
    PROTOCOL,
    SYSTEM,
    described,
    in_a_row,
    named,
    number,
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


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] if name == "many instructions" else []) for name in HOSTILE])
def test_what_is_wrong_is_refused_in_a_sentence_and_at_once(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, words = HOSTILE[name]
    with pytest.raises(ModelError, match=words) as caught:
        state_dict(read(data), "weights.pth")
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith("weights.pth ")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
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


def view(key: str = "0", kind: str = "FloatStorage", count: int = 6, shape: Any = (6,), strides: Any = (1,),
         offset: int = 0) -> bytes:
    return pickled(ordered(text("w") + tensor(key, kind, count, shape, strides, offset)))


def viewed(data: bytes = ONE.tobytes(), **options: Any) -> Any:
    return read(zipped(view(**options), {"0": data}))["w"]


@pytest.mark.parametrize(("kind", "dtype", "becomes"), [
    ("FloatStorage", "<f4", "f4"), ("DoubleStorage", "<f8", "f4"), ("HalfStorage", "<f2", "f4"),
    ("LongStorage", "<i8", "i8"), ("IntStorage", "<i4", "i4"), ("ShortStorage", "<i2", "i2"),
    ("CharStorage", "i1", "i1"), ("ByteStorage", "u1", "u1"), ("BoolStorage", "?", "?")])
def test_every_kind_of_data(kind: str, dtype: str, becomes: str) -> None:
    values = np.array([1, 0, 100, 1, 0, 1]).astype(dtype)
    found = viewed(values.tobytes(), kind=kind)
    assert found.dtype == becomes
    assert found.tolist() == values.tolist()
    with pytest.raises(ModelError, match="data is missing"):
        viewed(values.tobytes()[:-1], kind=kind)
    with pytest.raises(ModelError, match="data is missing"):
        read(in_a_row(pickled(ordered(text("w") + tensor("0", kind, 6, (6,), (1,), legacy=True))),
                      {"0": (6, values.tobytes()[:-1])}))


@pytest.mark.parametrize(("shape", "strides", "offset", "values"), [
    ((2, 2), (3, 1), 2, [[2, 3], [5, 6]]), ((6,), (0,), 6, [6] * 6), ((7,), (1,), 0, [*range(7)]), ((), (), 3, 3),
    ((1,) * 8, (5,) * 8, 4, np.full((1,) * 8, 4).tolist()), ((0, 2), (9, 9), 7, []), ((2, 0), (1, 1), 0, [[], []])])
def test_any_view_within_its_data(shape: Any, strides: Any, offset: int, values: Any) -> None:
    seven = np.arange(7, dtype=np.float32)
    assert viewed(seven.tobytes(), count=7, shape=shape, strides=strides, offset=offset).tolist() == values


@pytest.mark.parametrize(("shape", "strides", "offset", "why"), [
    ((2, 2), (3, 1), 3, "larger than its data"), ((7,), (0,), 0, "larger than its data"),
    ((), (), 6, "larger than its data"), ((1,) * 9, (1,) * 9, 0, "impossible shape"), ((6,), (2**48,), 0, "impossible"),
    ((2,), (2**48 - 1,), 0, "larger than its data"), ((6,), (), 0, "impossible shape"), ((), (1,), 0, "impossible")])
def test_a_view_beyond_its_data(shape: Any, strides: Any, offset: int, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        viewed(shape=shape, strides=strides, offset=offset)


def test_tensors_may_lie_on_each_other_twice_over() -> None:
    """Weights that two layers share are saved once."""
    for times in (2, 3):
        shared = ordered(b"".join(text(str(number)) + tensor(**TENSOR, shape=(6,), strides=(1,))
                                  for number in range(times)))
        data = zipped(pickled(shared), {"0": ONE.tobytes()})
        if times == 2:
            assert np.array_equal(read(data)["1"], ONE)
        else:
            with pytest.raises(ModelError, match="its tensors overlap each other"):
                read(data)


def checkpoint(*keys: str, inner: bytes = ordered(text("w") + tensor(**TENSOR, shape=(6,), strides=(1,)))) -> bytes:
    for key in reversed(keys):
        inner = b"}(" + text(key) + inner + b"u"
    return zipped(pickled(inner), {"0": ONE.tobytes()})


@pytest.mark.parametrize("keys", [("state_dict",), ("model_state_dict",), ("model",), ("net",), ("model", "net")])
def test_what_checkpoints_call_the_state_dict_in_them(keys: tuple[str, ...]) -> None:
    assert [*state_dict(read(checkpoint(*keys)), "weights.pth")] == ["w"]


@pytest.mark.parametrize("keys", [("weights",), ("model", "model", "net")])
def test_what_lies_elsewhere_or_deeper_is_not_looked_for(keys: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=r"^weights.pth holds no named tensors; give a state dict, as model"):
        state_dict(read(checkpoint(*keys)), "weights.pth")


def test_a_state_dict_beside_tensors_is_not_looked_into() -> None:
    one, two = np.ones(1), np.zeros(1)
    assert state_dict({"w": one, "model": {"v": two}}, "") == {"w": one}
    assert state_dict({"state_dict": {"v": two}, "model": {"w": one}}, "") == {"v": two}
    assert state_dict({3: one, "epoch": 7}, "") == {"3": one}


def test_the_start_that_several_devices_give_names_is_left_out_where_all_have_it() -> None:
    one = np.ones(1)
    assert [*state_dict({"module.a": one, "module.module.b": one, "epoch": 3}, "")] == ["a", "module.b"]
    assert [*state_dict({"module.a": one, "b": one}, "")] == ["module.a", "b"]


def referred(body: bytes) -> bytes:
    """A state dict with a tensor whose storage is what these instructions push."""
    made = named("torch._utils", "_rebuild_tensor_v2") + b"(" + body + b"Q" + number(0) + numbers((6,)) + numbers((1,))
    return zipped(pickled(ordered(text("w") + made + b"\x89" + ordered() + b"tR")), {"0": ONE.tobytes()})


FLOATS = named("torch", "FloatStorage")


@pytest.mark.parametrize(("body", "why"), [
    (text("storage"), "refers to data in an unknown way"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + b"t", "in an unknown way"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(6) + b"NNt", "in an unknown way"),
    (b"(" + text("module") + FLOATS + text("0") + text("cpu") + number(6) + b"t", "in an unknown way"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(6) + numbers((1, 2)) + b"t",
     "its storages are views of others; save it with a newer PyTorch"),
    (b"(" + text("storage") + FLOATS + number(0) + text("cpu") + number(6) + b"t", "impossible size"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + b"\x88t", "impossible size"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(-1) + b"t", "impossible size"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(2**48) + b"t", "impossible size"),
    (b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(2**48 - 1) + b"t", "data is missing"),
    (b"(" + text("storage") + text("float") + text("0") + text("cpu") + number(6) + b"t", "are of the kind unknown"),
    (b"(" + text("storage") + named("torch", "Size") + text("0") + text("cpu") + number(6) + b"t", "kind torch.Size"),
])
def test_a_reference_to_no_storage(body: bytes, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        read(referred(body))
    good = b"(" + text("storage") + FLOATS + text("0") + text("cpu") + number(6)
    for end in (b"t", b"Nt"):
        assert np.array_equal(read(referred(good + end))["w"], ONE)


def test_a_storage_described_in_two_ways() -> None:
    both = ordered(b"".join(text(kind) + tensor("0", kind, 6, (6,), (1,)) for kind in ("FloatStorage", "IntStorage")))
    with pytest.raises(ModelError, match="it describes a storage in two ways"):
        read(zipped(pickled(both), {"0": ONE.tobytes()}))


def archive(members: dict[str, bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return file.getvalue()


def test_which_members_of_an_archive_count() -> None:
    """The folder may have any name or none, the order of bytes need not be told, and data may have more behind them."""
    for folder in ("", "a/"):
        members = {f"{folder}data.pkl": view(), f"{folder}data/0": ONE.tobytes() + b"more", "b/data/data.pkl": b"no"}
        assert np.array_equal(read(archive(members))["w"], ONE)
    for members in ({"a/data.pkl": view(), "b/data.pkl": view()}, {"a/b/data.pkl": view()}, {"a/my_data.pkl": view()}):
        with pytest.raises(ModelError, match=r"it is a zip archive, but none that torch\.save wrote"):
            read(archive({**members, "a/data/0": ONE.tobytes()}))


def legacy(system: Any = SYSTEM, protocol: int = PROTOCOL, keys: Any = ("0",), count: int = 6,
           data: bytes = ONE.tobytes(), behind: bytes = b"") -> bytes:
    parts = [pickle.dumps(value, 2) for value in (MAGIC, protocol, system)]
    parts += [described({"w": ONE}, True), pickle.dumps([*keys] if isinstance(keys, tuple) else keys, 2)]
    return b"".join([*parts, struct.pack("<q", count), data, behind])


def test_the_older_format_and_what_is_wrong_in_it() -> None:
    assert np.array_equal(read(legacy())["w"], ONE)
    assert np.array_equal(read(legacy(behind=b"more"))["w"], ONE)
    for wrong, why in [({"protocol": 1000}, "it is no file of PyTorch's"), ({"system": 3}, "big-endian"),
                       ({"system": {}}, "big-endian"), ({"keys": {"0": 1}}, "its list of storages is damaged"),
                       ({"keys": (0,)}, "list of storages is damaged"), ({"keys": ("0", "0")}, "storages is damaged"),
                       ({"count": 7}, "a part of its data is missing"), ({"count": 5}, "part of its data is missing"),
                       ({"data": ONE.tobytes()[:-1]}, "a part of its data is missing"),
                       ({"data": b""}, "a part of its data is missing")]:
        with pytest.raises(ModelError, match=why):
            read(legacy(**wrong))


@pytest.mark.parametrize(("limit", "holds", "why"), [
    ("_LARGEST_FILE", len(WHOLE), rf"it has {len(WHOLE):,} bytes"),
    ("_LARGEST_PICKLE", len(described({"w": ONE}, False)), "its description is too long"),
    ("_MOST_ITEMS", 2, "its dicts are too many"),  # the dict, and the tensor in it
])
def test_the_limits_hold(limit: str, holds: int, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchfile, limit, holds)
    assert np.array_equal(read(WHOLE)["w"], ONE)
    monkeypatch.setattr(torchfile, limit, holds - 1)
    with pytest.raises(ModelError, match=why):
        read(WHOLE)


@pytest.mark.parametrize("value", [b"}", b"N", b"](K\x01e", b"}(" + text("state_dict") + b"}u", numbers([1])])
def test_no_tensors_no_weights(value: bytes) -> None:
    with pytest.raises(ModelError, match="holds no named tensors"):
        state_dict(read(zipped(pickled(value), {})), "weights.pth")


def test_strides_of_the_tests_are_numpys() -> None:
    assert strides_of((2, 3, 4)) == [s // 4 for s in np.zeros((2, 3, 4), np.float32).strides]
