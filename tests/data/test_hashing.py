"""data/hashing.py: no two purposes share a stream, and the numbers that purposes have are those that runs were begun
with."""

import ast
from pathlib import Path

import numpy as np

from cnncli.data import hashing
from cnncli.data.augmentation import LIMITS
from cnncli.data.hashing import random_bits

STREAMS = {name: value for name, value in vars(hashing).items() if name.isupper()}


def test_no_two_purposes_share_a_stream() -> None:
    most = int(LIMITS["randaugment"][0])
    taken = [value for name, value in STREAMS.items() if name != "RANDAUGMENT"]
    taken += range(hashing.RANDAUGMENT, hashing.RANDAUGMENT + 2 * most)
    assert len(set(taken)) == len(taken)


def test_every_draw_names_its_purpose() -> None:
    """A stream that is a bare number would be seen by nobody."""
    for path in (Path(hashing.__file__).parent).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "random_bits":
                assert not isinstance(node.args[2], ast.Constant), f"{path.name}, line {node.lineno}"


def test_streams_keep_their_numbers() -> None:
    """What was drawn in the release before is drawn again: a run is resumed by a later release."""
    assert STREAMS == {"ORDER": 1, "SHIFT_Y": 2, "SHIFT_X": 3, "FLIP": 4, "ROTATE": 5, "SCALE": 6, "SHEAR_X": 7,
                       "SHEAR_Y": 8, "BRIGHTNESS": 9, "CONTRAST": 10, "SATURATION": 11, "HUE": 12, "ERASE": 13,
                       "CUTOUT": 14, "MIX_KIND": 15, "MIX_PARTNER": 16, "MIX_SHARE": 17, "MIX_BOX": 18,
                       "RANDAUGMENT": 64, "RANK": 101, "REST": 102}
    assert random_bits(7, 3, hashing.ORDER, np.arange(2)).tolist() == [13165932047966906413, 5035167241342796039]
