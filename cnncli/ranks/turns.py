"""A list of things that several processes do: each takes some of them in turn, and the leading process gets all results
in their order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from .world import World

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 4  # results that wait for the leading process, of each of the others


def in_turns(world: World, items: Sequence[T], at_once: int, work: Callable[[Sequence[T]], R]) -> Iterator[R]:
    """Yield what work makes of (at_once) items after the other: in the leading process of all, in their order. In the
    others nothing comes, but their part of the work is done as this is iterated to its end.
    """
    waiting = []
    for number, start in enumerate(range(0, len(items), at_once)):
        turn = number % world.size
        if turn == world.rank:
            done = work(items[start : start + at_once])
            if world.leads:
                yield done
                continue
            waiting.append(world.handed_in(done))
            if len(waiting) > _AHEAD:
                waiting.pop(0)()
        elif world.leads:
            yield world.handed_in_by(turn)
    for each in waiting:
        each()
