"""tree.py, reduction.py and shared.py: one order of adding, whoever adds; a sum that is true to float32."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cnncli.ranks.tree import Block, Tree, places
from cnncli.ranks.world import World

from .threads import together

Arrays = list[NDArray[np.float32]]


def several(rng: np.random.Generator, count: int, length: int = 5) -> Arrays:
    return [rng.standard_normal(length).astype(np.float32) * np.float32(10.0 ** rng.integers(-4, 5))
            for _ in range(count)]


def written_out(parts: Arrays) -> NDArray[np.float32]:
    """The sum as the order is defined."""
    if len(parts) == 1:
        return parts[0]
    half = 1 << (len(parts) - 1).bit_length() - 1  # the largest power of two below
    return written_out(parts[:half]) + written_out(parts[half:])


def added(parts: Arrays) -> NDArray[np.float32]:
    tree = Tree()
    for number, part in enumerate(parts):
        tree.add(Block(number, 1, part.copy()))
    return tree.total()


@pytest.mark.parametrize("count", range(1, 18))
def test_sums_are_added_in_one_order(count: int, rng: np.random.Generator) -> None:
    arrays = several(rng, count)
    np.testing.assert_array_equal(added(arrays), written_out(arrays))


@pytest.mark.parametrize("count", range(1, 18))
def test_whoever_adds_some_of_them_adds_in_that_order(count: int, rng: np.random.Generator) -> None:
    arrays = several(rng, count)
    for shares in range(1, count + 1):
        tree = Tree()
        for share in range(shares):
            first, end = count * share // shares, count * (share + 1) // shares
            own = Tree()
            for part in range(first, end):
                own.add(Block(part, 1, arrays[part].copy()))
            assert [(block.first, block.parts) for block in own.blocks] == places(first, end)
            for block in own.blocks:
                tree.add(block)
        np.testing.assert_array_equal(tree.total(), written_out(arrays))


def test_arrays_are_used_again(rng: np.random.Generator) -> None:
    tree = Tree()
    for number, part in enumerate(several(rng, 8)):
        tree.add(Block(number, 1, part))
    total = tree.total()
    assert len({id(array) for array in [total, *tree.spare]}) == 8
    tree.add(Block(0, 1, total))
    tree.forget()
    assert not tree.blocks
    assert tree.spare[-1] is total


@pytest.mark.parametrize("in_memory", [False, True], ids=["sent", "in memory"])
@pytest.mark.parametrize("length", [1, 2, 7, 1000])
@pytest.mark.parametrize(("parts", "size"), [(2, 2), (4, 2), (4, 4), (6, 2), (12, 4), (15, 3), (3, 3)])
def test_a_reduction_adds_as_one_process_does(parts: int, size: int, length: int, in_memory: bool,
                                              rng: np.random.Generator) -> None:
    arrays = several(rng, parts, length)
    each = parts // size
    everybody = [places(rank * each, (rank + 1) * each) for rank in range(size)]

    def work(world: World) -> list[NDArray[np.float32]]:
        reduction, found = world.reduction(length), []
        for _ in range(2):  # the second time with arrays that were used
            own = Tree()
            for part in range(world.rank * each, (world.rank + 1) * each):
                own.add(Block(part, 1, arrays[part].copy()))
            reduction.start(own.blocks, everybody)
            reduction.progress()
            found.append(reduction.finish().copy())
        return found

    for found in together(size, work, in_memory):
        for total in found:
            np.testing.assert_array_equal(total, written_out(arrays))
            exact = np.sum(np.array(arrays, np.float64), axis=0)
            np.testing.assert_allclose(total, exact, rtol=0, atol=1e-6 * np.abs(arrays).max() * parts)


@pytest.mark.parametrize("in_memory", [False, True], ids=["sent", "in memory"])
def test_processes_without_parts_have_a_say_too(in_memory: bool, rng: np.random.Generator) -> None:
    arrays = several(rng, 2, 7)
    everybody = [places(0, 2), [], []]  # a last, small batch

    def work(world: World) -> NDArray[np.float32]:
        own = Tree()
        for part in range(2 if world.leads else 0):
            own.add(Block(part, 1, arrays[part].copy()))
        reduction = world.reduction(7)
        reduction.start(own.blocks, everybody)
        return reduction.finish()

    for total in together(3, work, in_memory):
        np.testing.assert_array_equal(total, arrays[0] + arrays[1])
