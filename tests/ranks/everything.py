"""What each of several real processes does in test_many.py: every method of World, checked in each of them."""

import sys

import numpy as np
import pytest

from cnncli.errors import UsageError
from cnncli.ranks.current import apart, world
from cnncli.ranks.tree import Block, places
from cnncli.ranks.turns import in_turns
from cnncli.ranks.world import ALONE

found = world()
rank, size = found.rank, found.size
assert size == int(sys.argv[1])
assert found is world()
with apart():
    assert world() is ALONE
assert found.leads == (rank == 0)
assert found.agreed(lambda: f"by {rank}") == "by 0"
assert found.gathered(rank * 2) == [2 * each for each in range(size)]
assert found.largest(rank) == size - 1
counts = [each + 1 for each in range(size)]
rows = found.rows(np.full((counts[rank], 2), rank, np.float64), counts)
np.testing.assert_array_equal(rows[:, 1], np.repeat(np.arange(size), counts))
assert len(set(found.gathered(found.clock()))) == 1
shares = found.gathered(found.share(10))
assert [each for share in shares for each in share] == list(range(10))

memory = found.memory((sum(counts), 3), np.uint8)
mine = [range(sum(counts[:each]), sum(counts[: each + 1])) for each in range(size)]
memory[mine[rank].start : mine[rank].stop] = rank + 1
found.completed(memory, mine)
np.testing.assert_array_equal(memory[:, 0], np.repeat(np.arange(1, size + 1), counts))


def double() -> None:
    memory[...] *= 2


found.once(double)
np.testing.assert_array_equal(memory[:, 0], 2 * np.repeat(np.arange(1, size + 1), counts))
found.same("the number", 3, "take another.")
with pytest.raises(UsageError, match="the processes differ in the rank: rank 1 on "):
    found.same("the rank", rank, "take another.")

length = 1000
reduction = found.reduction(length)
everybody = [places(each, each + 1) for each in range(size)]
reduction.start([Block(rank, 1, np.full(length, rank + 1, np.float32))], everybody)
reduction.progress()
np.testing.assert_array_equal(reduction.finish(), size * (size + 1) / 2)
results = list(in_turns(found, range(23), 2, list))
assert results == ([list(range(start, min(start + 2, 23))) for start in range(0, 23, 2)] if found.leads else [])
found.advise("Do it again.")
print("all well")
