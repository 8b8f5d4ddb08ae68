"""cnncli/data/importing.py on values deeper than 8 bits: one scale for all parts of a file."""

from pathlib import Path
from typing import Any

import numpy as np

from cnncli.data.decode import decode
from cnncli.data.importing import import_images, load_arrays


def test_all_parts_have_one_scale(tmp_path: Path) -> None:
    """Also where a part by itself would fit into fewer bits, or begin elsewhere."""
    labels = np.zeros(1, np.int64)
    told: list[str] = []

    def read(train: Any, test: Any, range_: Any = None) -> list[list[int]]:
        np.savez(tmp_path / "a.npz", x_train=np.array([[train]]), y_train=labels, x_test=np.array([[test]]),
                 y_test=labels)
        splits, _ = load_arrays([tmp_path / "a.npz"], None, range_, told.append)
        return [splits[name][0].ravel().tolist() for name in ("train", "test")]

    deep = np.uint16([0, 4095, 1000])
    assert read(deep, np.uint16([0, 200, 1000])) == [[0, 255, 62], [0, 12, 62]]
    assert told.pop() == "Values: integers from 0 to 4,095. 0 becomes black, 4,095 white; range='LOW:HIGH' sets others."
    assert read(deep, np.uint8([0, 200, 255])) == [[0, 255, 62], [0, 12, 16]], "the test's few are saved in a byte"
    assert read([0.0, 0.5, 1.0], [0.0, 0.25, 0.5])[1] == [0, 64, 128]
    assert read([0.0, 100.0, 250.0], [0.0, 0.5, 1.0])[1] == [0, 1, 1], "as bright as in the other part"
    assert read(np.int16([-1024, 3071]), np.int16([-1024, 1023])) == [[0, 255], [0, 127]]
    assert read(np.int8([-128, 127]), np.int8([0, 0])) == [[0, 255], [128, 128]]
    assert read(deep, deep, (0, 1000))[0] == [0, 255, 255]
    assert told.pop().endswith("what lies beyond is black or white, too; range='0:1000' was given.")
    told.clear()
    assert read(np.uint8([0, 9]), np.uint8([7, 9]), (0, 9)) == [[0, 9], [7, 9]]
    assert told == ["Values: there are none deeper than 8 bits, and range changes nothing."]


def test_a_folder_of_what_was_deep(tmp_path: Path) -> None:
    values = np.uint16([[[0, 4095], [2048, 1000]]])
    np.savez(tmp_path / "a.npz", images=values, labels=np.zeros(1, np.int64))
    for range_, shown in ((None, [0, 255, 128, 62]), ("0:8190", [0, 128, 64, 31])):
        target = tmp_path / f"out{range_ is None}"
        import_images(tmp_path / "a.npz", target, range=range_)
        (written,) = target.rglob("*.png")
        assert decode(written, grey=True).ravel().tolist() == shown
