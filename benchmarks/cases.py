"""What is measured: the networks with their shapes, batches and goals, and how one gets to the workers: a folder with
the network as plain data, its weights, images and labels, the same for everybody."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnncli.network import Network

CLASSES = 10
# Small steps, so that nobody's weights run away or die out while the same batch is learnt a thousand times.
LR, MOMENTUM = 1e-3, 0.9
RUNNING_STEPS = 2  # of training before inference is measured: batch norm's statistics are then no longer 0 and 1


@dataclass(frozen=True)
class Case:
    """One network. goals are ratios of ours to the best peer: training speed on two threads, then on one thread
    latency (less is better) and throughput."""

    name: str
    shape: tuple[int, int, int]
    batch: int
    large_batch: int
    training_goal: float
    latency_goal: float
    throughput_goal: float

    @property
    def image(self) -> str:
        return "x".join(map(str, self.shape))


CASES = (
    Case("lenet5", (28, 28, 1), 64, 64, 4.0, 0.8, 1.5),
    Case("classic", (32, 32, 3), 64, 64, 3.0, 0.7, 1.8),
    Case("resnet20", (32, 32, 3), 128, 64, 3.0, 0.7, 1.6),
    Case("resnet18", (224, 224, 3), 16, 16, 2.5, 0.7, 1.8),
    Case("efficientnet_lite0", (224, 224, 3), 16, 16, 2.2, 0.9, 1.2),
)


def named(names: list[str] | None) -> list[Case]:
    """Return the cases of these names; all of them for None. Raises ValueError for a name that is none."""
    known = {case.name: case for case in CASES}
    for name in names or []:
        if name not in known:
            raise ValueError(f"{name!r} is no network of the benchmarks; there are {', '.join(known)}.")
    return [known[name] for name in names] if names else list(CASES)


def write_case(case: Case, folder: Path, batch: int) -> Network:
    """Write the network (network.json, weights.npz) and a batch (data.npz) for the workers; return the network.

    Dropout is set to 0, because everybody draws it differently and the answers are compared. The weights are those
    of the seed, but for batch norm's, which a little training moves away from the trivial.
    """
    from cnncli import Trainer, architecture
    from cnncli.optim import SGD

    config = architecture(case.name, case.shape, CLASSES).config()
    for layer in config["layers"]:
        if layer["type"] == "Dropout":
            layer["p"] = 0.0
    network = Network.from_config(config, seed=0)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *case.shape), dtype=np.float32)
    labels = rng.integers(0, CLASSES, batch)
    trainer = Trainer(network, SGD(lr=LR, momentum=MOMENTUM))
    for _ in range(RUNNING_STEPS):
        trainer.step(images[: case.batch], labels[: case.batch])
    write_network(network, folder)
    np.savez(folder / "data.npz", images=images, labels=labels)
    return network


def write_network(network: Network, folder: Path) -> None:
    """Write a network as the workers read it."""
    shapes = {"input": network.input_shape, **{node.name: node.shape for node in network.nodes}}
    description: dict[str, Any] = {**network.config(), "shapes": shapes}
    (folder / "network.json").write_text(json.dumps(description), encoding="utf-8")
    arrays: dict[str, Any] = {**network.parameters(), **network.buffers()}
    np.savez(folder / "weights.npz", **arrays)


def read_network(folder: Path) -> Network:
    """Return what ``write_network`` wrote."""
    network = Network.from_config(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    own = {**network.parameters(), **network.buffers()}
    with np.load(folder / "weights.npz") as weights:
        for name, array in own.items():
            np.copyto(array, weights[name])
    return network
