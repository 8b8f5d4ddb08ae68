"""What training would take on many machines: a model of a step of data-parallel training, and a simulator that plays
its messages. scaling.py measures the inputs and writes them into a file. Nothing here is a measurement of a cluster.

    python -m benchmarks.scaling --json scaling.json
    python -m benchmarks.cluster scaling.json --latency 25

The model. Each of P nodes is one process with all threads of the machine that was measured.

- Computing n images takes what steps of so many images took, in straight lines between the measured sizes, and beyond
  them in proportion to the images. All nodes are equally fast.
- Bucket b of gradients is ready at the share of the step at which it was ready in the measured one.
- A bucket of B bytes is exchanged in two halves: out to be summed (Ialltoallv), and the sum back (Iallgatherv). In each
  a node sends P - 1 messages of B/P bytes, one after the other, and gets as many in the same time. Both together are
  2 (P-1)/P B bytes. A message takes a latency, and its bytes over the bandwidth of the node's link. The network between
  the links is never the bottleneck.
- A link carries what is ready in the order in which it became ready, while the node computes. The sum goes back when
  all of it came.
- Putting gradients into buckets and taking the sums out costs what was measured, after backward.
- At the end come three small exchanges (losses, logits, whether to stop), each a barrier and a collective of log2(P)
  messages one after the other.
- Reading and preparing images is not part of it.
"""

import argparse
import heapq
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.tables import number, table
from cnncli.training.shards import FEWEST

NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GIGABITS = (1, 10, 100)
LATENCY = 25.0  # microseconds of a message over TCP in one room
SMALL = 2 * 3  # barriers and collectives at the end of a step
STRONG = 8  # batches of one node are the batch of all in strong scaling
ENOUGH = 0.8


@dataclass(frozen=True)
class Node:
    """One machine with one network: seconds of steps of so many images; the share of a step at which each bucket is
    ready, and its bytes; seconds in which gradients are put into buckets and taken out."""

    images: tuple[int, ...]
    seconds: tuple[float, ...]
    ready: tuple[float, ...]
    sizes: tuple[int, ...]
    handling: float

    def compute(self, images: float) -> float:
        """Return the seconds of a step by itself."""
        points = sorted(zip(self.images, self.seconds, strict=True))
        if images <= points[0][0]:
            return points[0][1]  # a step has a cost of its own, which few images do not make less
        for (few, short), (many, long) in itertools.pairwise(points):
            if images <= many:
                return short + (long - short) * (images - few) / (many - few)
        return points[-1][1] * images / points[-1][0]


@dataclass(frozen=True)
class Link:
    """What connects a node with the others: bytes a second in each direction, seconds of a message."""

    bandwidth: float
    latency: float

    def half(self, size: float, nodes: int) -> float:
        """Return the seconds of half an exchange: P - 1 messages of a P-th each."""
        return (nodes - 1) * (self.latency + size / nodes / self.bandwidth)


def sent(size: float, nodes: int) -> float:
    """Return how many bytes a node sends so that an array of this size is summed over all nodes."""
    return 2 * (nodes - 1) / nodes * size


def exchanged(node: Node, link: Link, nodes: int, compute: float) -> float:
    """Return when the last sum has come, counted from the start of a step that computes so long."""
    left = [(share * compute, 0, bucket) for bucket, share in enumerate(node.ready)]
    heapq.heapify(left)
    free = 0.0  # when the link has sent what it was given
    while left:
        ready, half, bucket = heapq.heappop(left)
        free = max(free, ready) + link.half(node.sizes[bucket], nodes)
        if half == 0:
            heapq.heappush(left, (free, 1, bucket))
    return free


def step(node: Node, link: Link, nodes: int, images: float) -> float:
    """Return the seconds of a step of so many images a node."""
    compute = node.compute(images)
    if nodes == 1:
        return compute
    small = SMALL * math.ceil(math.log2(nodes)) * link.latency
    return max(compute, exchanged(node, link, nodes, compute)) + node.handling + small


def weak(node: Node, link: Link, nodes: int, batch: int) -> float:
    """Return the efficiency with a batch of so many images for each node."""
    return node.compute(batch) / step(node, link, nodes, batch)


def strong(node: Node, link: Link, nodes: int, batch: int) -> float | None:
    """Return the efficiency with a batch of so many images for all together; None where parts would be too small."""
    if batch < FEWEST * nodes:
        return None
    return node.compute(batch) / nodes / step(node, link, nodes, batch / nodes)


Efficiency = Callable[[Node, Link, int, int], float | None]


def stops(efficiencies: Sequence[float | None]) -> str:
    """Return how many nodes can be used with an efficiency that is enough."""
    good = 0
    for nodes, efficiency in zip(NODES, efficiencies, strict=True):
        if efficiency is None or efficiency < ENOUGH:
            break
        good = nodes
    return f"{good}{' or more' * (good == NODES[-1])}"


def show(rows: Sequence[dict[str, Any]], latency: float = LATENCY) -> str:
    """Return the table of what the model expects, of rows with the inputs of one network each."""
    lines = []
    for row in rows:
        node, batch = from_json(row["node"]), row["batch"]
        for gigabits in GIGABITS:
            link = Link(gigabits * 1e9 / 8, latency * 1e-6)
            kinds: tuple[tuple[str, Efficiency, int], ...] = (("weak", weak, batch), ("strong", strong, STRONG * batch))
            for name, kind, images in kinds:
                found = [kind(node, link, nodes, images) for nodes in NODES]
                cells = ["-" if each is None else f"{each:.2f}" for each in found]
                whose = "a node" if kind is weak else "in all"
                lines.append([row["network"], f"{name}: {images:,} {whose}", gigabits, *cells[1:], stops(found)])
    head = ["network", "images", "Gbit/s", *map(str, NODES[1:]), f"nodes with {ENOUGH} or more"]
    alone = {row["network"]: row["batch"] / from_json(row["node"]).compute(row["batch"]) for row in rows}
    made = [f"{row['network']}: a node alone computes {number(alone[row['network']])} images a second, and the nodes "
            f"exchange {sum(row['node']['sizes']) / 2**20:.1f} MiB in each step." for row in rows]
    return "\n\n".join([table(head, lines), f"Latency of a message: {latency:g} microseconds. \"-\": parts of fewer "
                        f"than {FEWEST} images.", *made])


def check(row: dict[str, Any]) -> dict[str, float]:
    """Return what the model says of the two points that were measured, as it was not told them: a step of one process
    with half the images, from the other sizes; and one of two processes on this machine, whose link is its memory.
    """
    node, held_out, measured = from_json(row["node"]), row["batch"] // 2, row["check"]
    place = node.images.index(held_out)
    others = replace(node, images=node.images[:place] + node.images[place + 1 :],
                     seconds=node.seconds[:place] + node.seconds[place + 1 :])
    size, apart = sum(node.sizes), measured["apart"]
    link = Link(sent(size, 2) / measured["alone"], 0.0)
    one = replace(node, images=(held_out,), seconds=(apart,))
    expected = step(one, link, 2, held_out) + SMALL / 3 * measured["message"]  # a trainer's: losses and logits
    return {"one": others.compute(held_out), "one measured": node.seconds[place], "two": expected,
            "two measured": measured["step"]}


def from_json(values: dict[str, Any]) -> Node:
    """Return the node of a row."""
    lists = {name: tuple(values[name]) for name in ("images", "seconds", "ready", "sizes")}
    return Node(**lists, handling=values["handling"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path, help="what python -m benchmarks.scaling --json has written")
    parser.add_argument("--latency", type=float, default=LATENCY, help="of a message, in microseconds")
    given = parser.parse_args()
    print(show(json.loads(given.inputs.read_text(encoding="utf-8"))["rows"], given.latency))


if __name__ == "__main__":
    main()
