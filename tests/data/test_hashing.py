"""data/hashing.py: no two purposes share a stream, and the numbers that purposes have are those that runs were begun
with."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cnncli.data import augmentation, hashing, order
from cnncli.data.augmentation import LIMITS, Augmentation
from cnncli.data.hashing import random_bits
from cnncli.kernels import Array

STREAMS = {name: value for name, value in vars(hashing).items() if name.isupper()}


def test_no_two_purposes_share_a_stream() -> None:
    most = int(LIMITS["randaugment"][0])
    taken = [value for name, value in STREAMS.items() if name != "RANDAUGMENT"]
    taken += range(hashing.RANDAUGMENT, hashing.RANDAUGMENT + 2 * most)
    assert len(set(taken)) == len(taken)


@pytest.mark.slow
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


def test_whatever_is_drawn_for_an_epoch_has_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counted(seed: int, epoch: int, stream: int, indices: Array) -> Array:
        drawn.append(stream)
        return hashing.random_bits(seed, epoch, stream, indices)

    for module in (augmentation, order):
        monkeypatch.setattr(module, "random_bits", counted)
    everything = Augmentation(shift=2, flip=True, rotate=5, scale=0.1, shear=5, brightness=0.1, contrast=0.1,
                              saturation=0.1, hue=0.1, randaugment=int(LIMITS["randaugment"][0]), magnitude=9,
                              erase=0.5, cutout=2, mixup=0.2, cutmix=1.0)
    indices = np.arange(6)
    everything.draw(1, 1, indices, (8, 8, 3))
    everything.mixing(1, 1, indices, (8, 8))
    order.epoch_order(np.array([0, 0, 0, 0, 1, 1]), "balanced", 1, 1)
    twice = {stream for stream, count in Counter(drawn).items() if count > 1}
    assert twice == {hashing.RANK}, "one draw for each class; all others are one each"
    assert set(drawn) >= set(STREAMS.values())
    assert len(set(drawn)) == len(STREAMS) - 1 + 2 * int(LIMITS["randaugment"][0])
