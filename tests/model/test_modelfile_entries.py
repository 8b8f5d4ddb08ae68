"""model/modelfile.py, a file's header one entry after the other: what of it is refused, and with which sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from cnncli.errors import ModelError
from cnncli.model.checkpoint import load_model
from cnncli.model.modelfile import _DTYPES, Entry, _entry, read_header

from .test_modelfile import forge, seal, tensor

DAMAGED = "; use a whole copy of it, or train again."
NOT_OURS = "; give a model.safetensors that 'cnn train' wrote, or the folder of its run."
A_TABLE = "its array a has an impossible type or size"


def sentence(path: Path, content: bytes) -> str:
    """Return the sentence with which a file is refused, from where it has named the file."""
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path} ")
    return str(caught.value).removeprefix(f"{path} ")


@pytest.mark.parametrize(("content", "why"), [
    (b"", "it is empty"),
    ((1000).to_bytes(8, "little") + b"{}", "it ends after 10 bytes, within its description"),
    (seal(b"{5}"), "its part 'header' is no JSON"),
    (seal('{"__metadata__":{"format":"cnn-model","version":1}}'), "its description is not made of strings"),
    (seal('{"__metadata__":{"format":"cnn-model","version":"1"}}'), "its checksum is not there"),
    (forge(classes='{"a": 1}'), "its part 'classes' is not of the right kind"),
    (forge(training="[]"), "its part 'training' is not of the right kind"),
    (forge(training='{"a": NaN}'), "its part 'training' is no JSON"),
    (forge(table={"a": tensor(dtype="F7")}, data=bytes(4)), A_TABLE),
    (forge(table={"a": tensor(), "b": tensor(offsets=(8, 12))}, data=bytes(12)),
     "its array b overlaps another one or leaves a gap"),
    (forge(table={"a": tensor()}, data=bytes(5)), "it should hold 4 bytes of arrays and holds 5"),
    (forge().replace(b"Flatten", b"Flattex"), "its checksum does not fit its content"),
])
def test_damage(content: bytes, why: str, tmp_path: Path) -> None:
    assert sentence(tmp_path / "m", content) == f"is damaged ({why}){DAMAGED}"


@pytest.mark.parametrize(("content", "why"), [
    (seal("{}"), "a safetensors file, but without cnn's description"),
    (seal('{"__metadata__":{"format":"pt"}}'), "a safetensors file, but without cnn's description"),
    (b"\x80\2" + bytes(40), "it looks like a pickle, which cnn never opens"),
    ((2**40).to_bytes(8, "little") + b"{}", "it does not begin like a safetensors file"),
])
def test_what_is_not_ours(content: bytes, why: str, tmp_path: Path) -> None:
    assert sentence(tmp_path / "m", content) == f"is not a model of cnn ({why}){NOT_OURS}"


@pytest.mark.parametrize(("version", "later"), [
    ("", False), ("0", False), ("-1", False), ("1.0", False), (" 1", False), ("١", False), ("1234567890", False),
    ("3", True), ("003", True), ("123456789", True)])
def test_versions(version: str, later: bool, tmp_path: Path) -> None:
    expected = (f"was written by a later version of cnn (format {int(version)}; this one reads up to 2); update cnn "
                "('git pull' and 'pip install .' in the folder that it was installed from)."
                if later else f"is damaged (its format version is no number){DAMAGED}")
    assert sentence(tmp_path / "m", forge(version=version)) == expected
    (tmp_path / "ours").write_bytes(forge(version="01"))
    assert load_model(tmp_path / "ours").classes == ("a", "b", "c")


@pytest.mark.parametrize("value", [
    [], "F32", {}, {"dtype": "F32"}, {"shape": [1], "data_offsets": [0, 4]}, {"dtype": "F32", "data_offsets": [0, 4]},
    {"dtype": "F32", "shape": [1]}, tensor(dtype=["F32"]), tensor(dtype="F16"), tensor(offsets=[4]),
    tensor(offsets=[0, 4, 8]), tensor(offsets=[]), tensor(offsets=[4, 0]), tensor(offsets=[-4, 0]), tensor(offsets=4),
    tensor(shape=[2]), tensor(shape=[0]), tensor(shape=[1.0]), tensor(shape=[True]), tensor(shape=[-1, -1]),
    tensor(shape=[1] * 9), tensor(shape=1), tensor(shape={"1": 1}), tensor("F64"), tensor("U8")])
def test_an_array_that_cannot_be(value: Any, tmp_path: Path) -> None:
    if isinstance(value, dict):
        value = {key: list(part) if isinstance(part, tuple) else part for key, part in value.items()}
    assert _entry(value, _DTYPES) is None
    assert A_TABLE in sentence(tmp_path / "m", forge(table={"a": value}, data=bytes(4)))


def test_arrays_that_can_be(tmp_path: Path) -> None:
    shapes = ([], [1], [1] * 8, [0, 5], [2, 3])
    table, end = {}, 0
    for number, (dtype, size) in enumerate((("F32", 4), ("F64", 8), ("U8", 1), ("I64", 8), ("BOOL", 1))):
        begin, end = end, end + size * (1, 1, 1, 0, 6)[number]
        table[f"a{number}"] = {"dtype": dtype, "shape": shapes[number], "data_offsets": [begin, end]}
    (tmp_path / "m").write_bytes(forge(table=table, data=bytes(end)))
    with open(tmp_path / "m", "rb", buffering=0) as file:
        header = read_header(file, "m")
    assert header.tensors == {name: Entry(_DTYPES[entry["dtype"]], tuple(entry["shape"]), *entry["data_offsets"])
                              for name, entry in table.items()}
    assert header.data_bytes == end == 4 + 8 + 1 + 6
    assert json.loads(header.metadata["classes"]) == ["a", "b", "c"]
    assert header.metadata.keys() == {"format", "network", "classes", "preprocessing", "training"}
