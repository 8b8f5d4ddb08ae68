"""model/modelfile.py and checkpoint.py against files that are damaged, not ours, or made to do harm: each is refused
with one sentence, at once, in little memory, and nothing but the file itself is touched."""

import hashlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from cnncli.errors import ModelError
from cnncli.model.checkpoint import load_model, save_model
from cnncli.model.modelfile import as_json, is_model, is_ours, pack, read_foreign

from ..small_model import small_model, weights

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 1.0, 200


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_model(path, small_model((2, 2), True))
    return path.read_bytes()


def refusal(path: Path, content: bytes | None = None) -> str:
    """Return the sentence with which a file is refused; it must be one, and name the file."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    sentence = str(caught.value)
    assert path.name in sentence
    assert sentence.isprintable()
    assert len(sentence) < 600
    assert sentence.endswith(".")
    assert caught.value.exit_code == 4
    return sentence


# ---- as it should be ----


def test_other_readers_open_it_and_it_is_in_order(tmp_path: Path) -> None:
    model = small_model()
    save_model(tmp_path / "m.safetensors", model)
    read = load_file(tmp_path / "m.safetensors")
    assert read.keys() == weights(model).keys()
    for name, array in weights(model).items():
        np.testing.assert_array_equal(read[name], array)
    assert read["conv1.weight"].shape == (4, 3, 3, 3)
    assert read["linear1.weight"].shape == (3, 4 * 6 * 5)


def test_the_same_content_is_the_same_bytes_and_the_digest_is_as_documented(rng: np.random.Generator) -> None:
    arrays = {name: rng.standard_normal(5).astype(np.float32) for name in "zyxwabc"}
    first = pack(arrays, {"b": "1", "a": "2"})
    for _ in range(5):
        assert pack(dict(sorted(arrays.items())), {"a": "2", "b": "1"}) == first
    digest = json.loads(first[8 : 8 + int.from_bytes(first[:8], "little")])["__metadata__"]["digest"]
    assert hashlib.sha256(first.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_json_in_one_fixed_form_and_the_data_on_lines_of_eight() -> None:
    assert as_json({"b": 1, "a": [float("nan"), 1.5, True, None, (2, {"d": float("-inf"), "c": "é"})]}) == (
        '{"a":[null,1.5,true,null,[2,{"c":"\\u00e9","d":null}]],"b":1}')
    for extra in range(9):
        packed = pack({"a": np.zeros(3, np.float32)}, {"x": "y" * extra})
        length = int.from_bytes(packed[:8], "little")
        assert length % 8 == 0
        assert packed[8 : 8 + length].rstrip(b" ").endswith(b"}")
        assert len(packed) == 8 + length + 12


def test_whose_a_file_is(saved: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    foreign = save({"a": np.zeros(3, np.float32)}, metadata={"format": "pt"})
    for content, model, ours in ((saved, True, True), (foreign, False, False), (save({}), False, False),
                                 (saved[:-1], False, True), (b"text", False, None)):
        path.write_bytes(content)
        assert is_model(str(path)) == model
        with open(path, "rb", buffering=0) as file, pytest.raises(ModelError) if ours is None else nullcontext():
            assert is_ours(file, str(path)) == ours
    assert not is_model(str(tmp_path / "gone"))


def test_arrays_of_other_programs_in_any_precision(tmp_path: Path, rng: np.random.Generator) -> None:
    """Half precision is widened; bfloat16, which NumPy lacks, is the upper half of a float32."""
    arrays = {name: (100 * rng.standard_normal((2, 3))).astype(name) for name in (
        "float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
        "bool")}
    path = tmp_path / "f.safetensors"
    path.write_bytes(save(arrays, metadata={"format": "pt"}))
    with open(path, "rb", buffering=0) as file:
        read = read_foreign(file, str(path))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        wanted = "float32" if name.startswith("float") else name
        np.testing.assert_array_equal(read[name], array.astype(wanted), strict=True)
    exact = np.array([1.0, -2.5, 0.0078125, np.inf], np.float32)
    half = (exact.view(np.uint32) >> 16).astype(np.uint16)
    path.write_bytes(seal(json.dumps({"a": tensor("BF16", (2, 2), (0, 8))}), half.tobytes()))
    with open(path, "rb", buffering=0) as file:
        np.testing.assert_array_equal(read_foreign(file, str(path))["a"], exact.reshape(2, 2))


@pytest.mark.parametrize(("start", "words"), [
    (b"PK\3\4", "a zip archive"), (b"PK\5\6", "a zip archive"), (b"\x80\x02", "a pickle"), (b"\x80\x05", "a pickle"),
    (b"\x80\x06", "does not begin like"), (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"), (b"BM", "an image"), (b"one\ttwo\r\nthree", "a text file"),
    (b"a\0b", "does not begin like")])
def test_what_it_looks_like_instead(start: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(tmp_path / "m", start + (start if words == "a text file" else b"\xf0") * 20)


# ---- damaged ----


@pytest.mark.slow
def test_every_truncation_is_refused(saved: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    for length in range(len(saved)):
        sentence = refusal(path, saved[:length])
        assert "damaged" in sentence or "not a model" in sentence, length
    assert "empty" in refusal(path, b"")
    assert "it ends after" in refusal(path, saved[:100])
    refusal(path, saved + b"\0")


@pytest.mark.slow
def test_a_flipped_bit_in_any_byte_is_refused(saved: bytes, tmp_path: Path) -> None:
    path, dice = tmp_path / "flipped.safetensors", random.Random(1)
    for place in range(len(saved)):
        flipped = bytearray(saved)
        flipped[place] ^= 1 << dice.randrange(8)
        refusal(path, bytes(flipped))


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_other_damage_is_refused(saved: bytes, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    damaged = bytearray(saved)
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(saved) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=40))
        damaged[begin : begin + len(piece)] = piece
    if bytes(damaged) != saved:
        refusal(tmp_path_factory.getbasetemp() / "damaged.safetensors", bytes(damaged))


def test_damage_is_called_damage_also_where_something_else_is_noticed_first(saved: bytes, tmp_path: Path) -> None:
    sentence = refusal(tmp_path / "m.safetensors", saved.replace(b'Flatten', b'Flattex'))
    assert "checksum" in sentence


# ---- made to do harm ----


def forge(metadata: Any = None, table: Any = None, data: bytes = b"", **changes: Any) -> bytes:
    """Return a file with any content and a digest that fits it; by default, the small model's, with changes."""
    model = small_model((2, 2), True)
    if metadata is None:
        metadata = {
            "format": "cnn-model", "version": "1", "network": json.dumps(model.network.config()),
            "classes": '["a", "b", "c"]', "preprocessing": json.dumps(model.preprocessing.config()), "training": "{}",
        }
    metadata = {**metadata, **changes}
    if table is None:
        plain = save(weights(model))
        length = int.from_bytes(plain[:8], "little")
        table, data = json.loads(plain[8 : 8 + length]), plain[8 + length :]
    return seal(json.dumps({"__metadata__": {**metadata, "digest": "0" * 64}, **table}, separators=(",", ":")), data)


def seal(header: str | bytes, data: bytes = b"") -> bytes:
    header = header.encode() if isinstance(header, str) else header
    whole = struct.pack("<Q", len(header)) + header + data
    return whole.replace(b"0" * 64, hashlib.sha256(whole).hexdigest().encode())


def network(*layers: dict[str, Any], shape: Any = (2, 2, 1)) -> str:
    return json.dumps({"input_shape": shape, "layers": list(layers)})


def tensor(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def layer(kind: str, **options: Any) -> dict[str, Any]:
    return {"name": f"{kind}-x", "type": kind, "inputs": ["input"], **options}


def doubling(times: int, *more: dict[str, Any]) -> str:
    """Return a network in which every layer has twice the channels of the one before."""
    layers = [layer("Concat", name=f"c{i}", inputs=[f"c{i - 1}" if i else "input"] * 2) for i in range(times)]
    return network(*layers, *more)


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_what_is_forged_well_loads(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(forge())
    assert load_model(tmp_path / "m.safetensors").classes == ("a", "b", "c")


HEADERS = {
    "length 2^63": struct.pack("<Q", 2**63) + b"{}" * 50,
    "length 2^64-1": struct.pack("<Q", 2**64 - 1) + b"{" * 50,
    "length over the file": struct.pack("<Q", 1000) + b"{}",
    "no object": seal(b"[]"),
    "no JSON": seal(b"{" + b"\xff" * 100 + b"}"),
    "deep nesting": seal('{"__metadata__":' + deep(100_000) + "}"),
    "a million lists": seal('{"a":[' + "[]," * 1_300_000 + "[]]}"),
    "no metadata": save({"a": np.zeros(3, np.float32)}),
    "metadata is a list": seal('{"__metadata__":[]}'),
    "metadata of numbers": forge(network=5),
    "no digest": seal('{"__metadata__":{"format":"cnn-model","version":"1"}}'),
    "later version": forge(version="3"),
    "version 10^3000": forge(version="1" + "0" * 3000),
    "version of other digits": forge(version="١"),
    "no network": forge(metadata={"format": "cnn-model", "version": "1"}),
    "classes in no list": forge(classes='{"a": 1}'),
    "classes twice": forge(classes='["a", "a", "b"]'),
    "too few classes": forge(classes='["a", "b"]'),
    "a class that is no text": forge(classes='["a", "\\ud800", "b"]'),
    "deep classes": forge(classes=deep(50_000)),
    "training is NaN": forge(training='{"a": NaN}'),
    "number of 5000 digits": forge(training='{"a": ' + "9" * 5000 + "}"),
    "preprocessing of other size": forge(preprocessing='{"size": [1000000, 1000000], "grey": true}'),
    "preprocessing of nothing": forge(preprocessing="{}"),
}
TABLES = {
    "overlap": {"a": tensor(), "b": tensor(offsets=(2, 6))},
    "the same place twice": {"a": tensor(), "b": tensor()},
    "gap": {"a": tensor(), "b": tensor(offsets=(8, 12))},
    "backwards": {"a": tensor(offsets=(4, 0))},
    "negative": {"a": tensor(shape=(-1,), offsets=(4, 0))},
    "beyond the file": {"a": tensor(shape=(1000,), offsets=(0, 4000))},
    "shape overflows 64 bits": {"a": tensor(shape=(2**32, 2**32), offsets=(0, 0))},
    "shape of 2^62": {"a": tensor(shape=(2**62,), offsets=(0, 2**64))},
    "a thousand dimensions": {"a": tensor(shape=(10**300,) * 1000, offsets=(0, 4))},
    "fractions": {"a": tensor(shape=(1.0,))},
    "truth values": {"a": tensor(shape=(True,))},
    "unknown dtype": {"a": tensor(dtype="F7")},
    "dtype is a list": {"a": tensor(dtype=["F32"])},
    "nothing": {"a": {}},
    "a string": {"a": "F32"},
    "100,000 tensors": {f"a{i}": tensor(shape=(0,), offsets=(0, 0)) for i in range(50_000)},
    "odd names": {"../../etc/passwd": tensor()},
    "other names": {"conv1.weight": tensor()},
}
NETWORKS = {
    "no network": "[]",
    "no layers": network(),
    "unknown layer": network(layer("Evil")),
    "layer of the system": network(layer("os.system")),
    "layer is a list": '{"input_shape": [2, 2, 1], "layers": [[]]}',
    "layer type is a list": network(layer("ReLU", type=["ReLU"])),
    "unknown option": network(layer("Linear", out_features=3, evil=1)),
    "terabytes in a layer": network(layer("Flatten"), layer("Linear", out_features=2**30, inputs=["Flatten-x"])),
    "terabytes in a kernel": network(layer("Conv2d", out_channels=3, kernel_size=[2**20, 2**20], padding=2**20)),
    "negative sizes": network(layer("Conv2d", out_channels=-3, kernel_size=1)),
    "sizes of 10^40": network(layer("Conv2d", out_channels=10**40, kernel_size=1)),
    "infinite sizes": '{"input_shape": [2, 2, 1], "layers": [{"type": "Linear", "out_features": 1e999}]}',
    "a large image": network(layer("BatchNorm2d"), shape=(2**19, 2**19, 2**19)),
    "an image without end": network(layer("ReLU"), shape=(10**30, 1, 1)),
    "input of text": network(layer("ReLU"), shape="abc"),
    "padding without end": network(layer("Conv2d", out_channels=1, kernel_size=1, padding=2**30)),
    "doubling": doubling(60, {"name": "n", "type": "BatchNorm2d", "inputs": ["c59"]}),
    "doubling to a gigabyte": doubling(25, {"name": "n", "type": "BatchNorm2d", "inputs": ["c24"]}),
    "doubling without end": doubling(3999),
    "a hundred thousand layers": network(*[layer("ReLU", name=f"r{i}") for i in range(40_000)]),
    "long names": json.dumps({"input_shape": [2, 2, 1], "layers": [
        {"name": f"{'x' * 190}{i}", "type": "ReLU", "inputs": [f"{'x' * 190}{i - 1}" if i else "input"]}
        for i in range(3000)] + [{"name": "y", "type": "ReLU", "inputs": ["x" * 195]}]}),
    "a name of a million letters": network(layer("x" * 1_000_000)),
    "deep options": network(layer("ReLU", x=json.loads(deep(500)))),
    "inputs that are no names": network(layer("ReLU", inputs=[["input"]])),
    "dropout of NaN": '{"input_shape": [2, 2, 1], "layers": [{"type": "Dropout", "p": NaN}]}',
    "other weights": network(layer("Flatten"), layer("Linear", out_features=3, inputs=["Flatten-x"])),
}


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def corpus(folder: Path) -> dict[str, Path]:
    """Write every hostile file into a folder: what is wrong with it -> path."""
    files = {
        **HEADERS,
        **{f"table: {name}": forge(table=table, data=bytes(4)) for name, table in TABLES.items()},
        **{f"network: {name}": forge(network=text) for name, text in NETWORKS.items()},
        "network, no weights": forge(table={}, network=NETWORKS["terabytes in a layer"]),
        "pickle": pickle.dumps(Evil()),
        "text": b"These are not the weights you are looking for.\n",
        "image": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "zeros": bytes(1000),
        "noise": random.Random(1).randbytes(5000),
    }
    paths = {}
    for number, (what, content) in enumerate(files.items()):
        paths[what] = folder / f"{number}.safetensors"
        paths[what].write_bytes(content)
    paths["a .pth file"] = folder / "model.pth"
    with zipfile.ZipFile(paths["a .pth file"], "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Evil()))
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "sparse").write_bytes(struct.pack("<Q", 10) + b"{}")
    os.truncate(folder / "sparse", 2**30)  # as large as scripts/mutants.py lets a file be
    return {**paths, **{name: folder / name for name in ("fifo", "loop", "folder", "sparse", "missing")}}


CHILD = """
import json, os, sys, time
import cnncli.model.checkpoint, difflib  # the nearest name is looked for with it
from cnncli.errors import ModelError
FORBIDDEN = ("subprocess", "socket", "shutil", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove",
             "os.rename", "os.mkdir", "exec", "pickle", "ctypes", "import", "compile")
allowed, seen = [None], []
def watch(event, arguments):
    elsewhere = event == "open" and arguments[0] != allowed[0] and type(arguments[0]) is not int
    if elsewhere or event.startswith(FORBIDDEN):
        seen.append([event, str(arguments)[:200]])
sys.addaudithook(watch)
results = {}
for what, path in json.load(sys.stdin).items():
    allowed[0] = path if not os.path.isdir(path) else None
    start = time.process_time()
    try:
        cnncli.model.checkpoint.load_model(path)
        said = None
    except ModelError as error:
        said = str(error)
    results[what] = [said, time.process_time() - start]
# Not getrusage: its maximum is inherited from the process that started this one.
print(json.dumps([results, list(seen), next(int(line.split()[1]) for line in open("/proc/self/status")
                                            if line.startswith("VmHWM")) / 1024]))
"""


@pytest.mark.linux
@pytest.mark.slow
def test_hostile_files_are_refused_quickly_in_little_memory_touching_nothing(tmp_path: Path) -> None:
    paths = corpus(tmp_path)
    before = sorted(os.listdir(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps({what: str(path) for what, path in paths.items()}),
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    results, seen, peak = json.loads(done.stdout)
    assert len(results) == len(paths)
    for what, (said, seconds) in results.items():
        assert said, f"{what}: accepted"
        assert paths[what].name in said, f"{what}: {said}"
        assert said.isprintable(), f"{what}: {said!r}"
        assert said.endswith("."), f"{what}: {said}"
        assert len(said) < 700, f"{what}: {said}"
        assert seconds < SECONDS, f"{what}: {seconds} s"
    assert seen == []
    assert peak < MEGABYTES
    assert sorted(os.listdir(tmp_path)) == before


def test_the_sentences_say_what_it_is(tmp_path: Path) -> None:
    paths = corpus(tmp_path)
    for what, words in {
        "pickle": "pickle", "a .pth file": "zip archive or a PyTorch", "text": "text file", "image": "an image",
        "no metadata": "without cnn's description", "later version": "later version of cnn (format 3; this one reads",
        "network: unknown layer": "of type Evil, which this version", "network: terabytes in a layer": "too large",
        "network: doubling": "too large", "network: doubling to a gigabyte": "more weights",
        "fifo": "not a regular file", "folder": "holds no model.safetensors",
        "missing": "there is no model", "table: overlap": "overlaps", "too few classes": "not 2 classes",
        "table: odd names": "in the file only", "no network": "part 'network' is not there", "no digest": "checksum",
        "preprocessing of nothing": "its preprocessing cannot be used", "classes twice": "not different names",
        "metadata of numbers": "not made of strings", "length over the file": "ends after 10 bytes, within its descr",
        "classes in no list": "not of the right kind", "table: gap": "leaves a gap", "deep nesting": "is no JSON",
    }.items():
        assert words in refusal(paths[what]), what
