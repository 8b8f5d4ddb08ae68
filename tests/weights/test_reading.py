"""weights/reading.py: files of all kinds, told apart by what is in them, and safetensors of others (modelfile.py),
right and wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.model.checkpoint import save_model
from cnncli.weights import read_weights

from ..small_model import small_model
from .torchfiles import saved


def safetensors(table: dict[str, Any], data: bytes, length: int | None = None) -> bytes:
    header = json.dumps(table).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_model_of_ours(tmp_path: Path) -> None:
    model = small_model()
    save_model(tmp_path / "model.safetensors", model)
    for path in (tmp_path / "model.safetensors", tmp_path):
        weights = read_weights(path)
        assert weights.model is not None
        assert weights.model.classes == model.classes
        assert weights.path == str(tmp_path / "model.safetensors")
        assert weights.arrays.keys() == {**model.network.parameters(), **model.network.buffers()}.keys()


def test_a_foreign_safetensors_with_halves(tmp_path: Path) -> None:
    values = np.array([1.5, -2], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    data = values.tobytes() + values.astype(np.float16).tobytes() + upper.tobytes()
    table = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 1], 0, 8), "b": entry("F16", [2], 8, 12),
             "c": entry("BF16", [2], 12, 16)}
    (tmp_path / "x.bin").write_bytes(safetensors(table, data))
    weights = read_weights(tmp_path / "x.bin")
    assert weights.model is None
    assert weights.arrays["a"].shape == (2, 1)
    for array in weights.arrays.values():
        assert array.dtype == np.float32
        assert np.array_equal(array.ravel(), values)


@pytest.mark.parametrize("legacy", [False, True])
def test_pytorchs(tmp_path: Path, legacy: bool) -> None:
    # what a file is called means nothing
    (tmp_path / "model.safetensors").write_bytes(saved({"w": np.ones((2, 2), np.float32)}, legacy))
    assert np.array_equal(read_weights(tmp_path / "model.safetensors").arrays["w"], np.ones((2, 2)))


@pytest.mark.parametrize(("data", "words"), [
    (b"", "holds no weights"),
    (b"hello, I am a text\n", "holds no weights"),
    (b"\x89PNG\r\n\x1a\n" + bytes(50), "holds no weights"),
    (safetensors({}, b"", 2**63), "not a model|damaged"),
    (safetensors({"a": entry("F32", [2**40], 0, 2**42)}, b"1234"), "damaged"),
    (safetensors({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, b"1234"), "overlaps"),
    (safetensors({"a": entry("F32", [1], 0, 4)}, b"1234567"), "should hold 4 bytes"),
    (safetensors({"a": entry("Q4", [1], 0, 4)}, b"1234"), "impossible type"),
    (safetensors({"a": 3}, b""), "impossible type"),
])
def test_what_is_no_file_of_weights(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(ModelError, match=words) as caught:
        read_weights(tmp_path / "w.pth")
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(str(tmp_path / "w.pth"))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model"):
        read_weights(tmp_path / "nothing.pth")
