"""PyTorch's side of a measurement, in one of its modes: eager or compiled, NCHW or channels_last; training also
in bfloat16 (autocast). Runs under the peers' interpreter; the network comes as plain data from the case's folder
(cases.py)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up
from benchmarks.workers.torch_network import TorchNetwork


def read_network(folder: Path, in_place: bool = True) -> TorchNetwork:
    """Return the case's network with its weights."""
    description = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    network = TorchNetwork(description["layers"], description["shapes"], in_place)
    with np.load(folder / "weights.npz") as weights:
        network.load(dict(weights))
    return network


def read_images(folder: Path, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the images, NCHW, and the labels of one batch."""
    with np.load(folder / "data.npz") as data:
        images, labels = data["images"][:batch], data["labels"][:batch]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1))), torch.from_numpy(labels)


class PyTorch(Worker):
    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def prepare(self, folder: str, task: str, threads: int, batch: int, channels_last: bool = False,
                compiled: bool = False, **options: Any) -> Reply:
        """Return the loss of the first step, or the file of the logits; and PyTorch's version."""
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        model = read_network(Path(folder))
        images, labels = read_images(Path(folder), batch)
        if channels_last:
            model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        reply: Reply = {"version": torch.__version__}
        if task == "training":
            self.step = _training(model, images, labels, compiled, options)
            reply["loss"] = float(self.step())
        else:
            self.step = _inference(model.eval(), images, compiled)
            np.save(options["logits"], self.step().numpy())
        warm_up(self.step)
        return reply


def _training(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, compiled: bool, options: Any) -> Any:
    model.train()
    # The fused update is the fastest of PyTorch's three; gradients are set to None, as is its default.
    optimiser = torch.optim.SGD(model.parameters(), options["lr"], options["momentum"], fused=True)
    run = torch.compile(model) if compiled else model
    half = options.get("precision") == "bfloat16"

    def step() -> torch.Tensor:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(run(images), labels)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def _inference(model: nn.Module, images: torch.Tensor, compiled: bool) -> Any:
    if compiled:
        import torch._inductor.config as inductor

        inductor.freezing = True  # folds batch norm and packs the weights
    run = torch.compile(model) if compiled else model
    mode = torch.no_grad if compiled else torch.inference_mode

    def step() -> torch.Tensor:
        with mode():
            return run(images)

    return step


if __name__ == "__main__":
    serve(PyTorch())
