"""Our side of a measurement: whole steps of training through ``Trainer``, batches answered through
``Network.forward``. The network, its weights and the images come from the case's folder (cases.py)."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import read_network
from benchmarks.workers.protocol import Reply, Worker, serve, warm_up
from cnncli import Trainer, kernels
from cnncli.network import Network
from cnncli.optim import SGD
from cnncli.quantising.choosing import quantisation_of
from cnncli.quantising.folding import folded
from cnncli.quantising.observing import observe


class Ours(Worker):
    def set_threads(self, threads: int) -> None:
        kernels.set_threads(threads)

    def prepare(self, folder: str, task: str, threads: int, batch: int, **options: Any) -> Reply:
        """Return the loss of the first step, or the file of the logits; and the instruction set."""
        kernels.set_threads(threads)
        network = read_network(Path(folder))
        with np.load(Path(folder) / "data.npz") as data:
            images, labels = data["images"][:batch], data["labels"][:batch]
        isa = kernels.isas()[-1]
        if options.get("precision") == "bfloat16":
            network.precision, isa = "bfloat16", " ".join([isa, *sorted(kernels.words())])
        if task == "training":
            trainer = Trainer(network, SGD(lr=options["lr"], momentum=options["momentum"]))
            first = trainer.step(images, labels)
            self.step = lambda: trainer.step(images, labels)
            warm_up(self.step)
            return {"loss": first, "version": isa}
        if options.get("precision") == "int8":
            network = quantised(network, images)
            isa = " ".join([isa, *sorted(kernels.words())])
        logits = network.forward(images)
        np.save(options["logits"], logits)
        self.step = lambda: network.forward(images)
        warm_up(self.step)
        return {"version": isa}


def quantised(network: Network, images: kernels.Array) -> Network:
    """Return the network in int8, with ranges that cover all activations of these images."""
    result = folded(network)
    result.quantisation = quantisation_of(result, observe(result, lambda: iter([images])), "all values")
    return result


if __name__ == "__main__":
    serve(Ours())
