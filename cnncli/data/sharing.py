"""What is computed of each image of a list, by all processes that work together: each takes a stretch of the list, and
all get the whole.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Protocol

from ..kernels import Array, aligned_empty
from ..ranks.world import World


class InOrder(Protocol):
    """Images that come in their order, as those of images.py."""

    labels: Any

    def in_order(self, at_once: int, of: range | None = None) -> Generator[Any, None, None]:
        """Yield all images, uint8 (at_once, h, w, c) at a time; with of, only the batches of these numbers."""
        ...


def shared_rows(images: InOrder, compute: Callable[[Array], Array], shape: Sequence[int], dtype: Any, at_once: int,
                watch: Callable[[int], None], world: World) -> Array:
    """Return what compute makes of all images, a row of this shape for each. It gets (at_once, h, w, c) pixels at a
    time. watch is called equally often in all processes, with about how many images are done; what it raises, it has
    to raise in all of them.
    """
    total = len(images.labels)
    whole = -(-total // at_once)
    shares = [range(whole * rank // world.size, whole * (rank + 1) // world.size) for rank in range(world.size)]
    counts = [min(share.stop * at_once, total) - min(share.start * at_once, total) for share in shares]
    found, done = aligned_empty((counts[world.rank], *shape), dtype), 0
    own = None if world.size == 1 else shares[world.rank]
    with closing(images.in_order(at_once) if own is None else images.in_order(at_once, own)) as batches:
        for number in range(max(map(len, shares))):
            for pixels in islice(batches, 1):
                found[done : done + len(pixels)] = compute(pixels)
                done += len(pixels)
            watch(min(total, sum(min((number + 1) * at_once, count) for count in counts)))
    return world.rows(found, counts)
