"""Our side of explaining: maps of a batch of images by the class that is said, the forward pass included."""

from pathlib import Path

import numpy as np

from benchmarks.cases import CLASSES, read_network
from benchmarks.workers.protocol import Reply, Worker, serve, warm_up
from cnncli import kernels
from cnncli.data import Preprocessing
from cnncli.explain.look import Look
from cnncli.explain.methods import METHODS, Asked
from cnncli.kernels import Array
from cnncli.model import Model


class OursExplain(Worker):
    def set_threads(self, threads: int) -> None:
        kernels.set_threads(threads)

    def prepare(self, folder: str, threads: int, batch: int, method: str, layer: str, maps: str) -> Reply:
        """Write the maps (n, rows, columns) of the batch to a file."""
        kernels.set_threads(threads)
        network = read_network(Path(folder))
        h, w, c = network.input_shape
        model = Model(network, [f"class {i}" for i in range(CLASSES)], Preprocessing((h, w), c == 1))
        with np.load(Path(folder) / "data.npz") as data:
            stored = data["images"][:batch]
        compute = METHODS[method].compute

        def step() -> Array:
            images = stored.view()  # another array each time: nothing is kept from the step before
            look_at = look.logits(images).argmax(axis=1)
            return compute(Asked(model, look, images, look_at)).maps

        look = Look(network, layer)
        self.step = step
        np.save(maps, step())
        warm_up(step)
        return {"version": kernels.isas()[-1]}


if __name__ == "__main__":
    serve(OursExplain())
