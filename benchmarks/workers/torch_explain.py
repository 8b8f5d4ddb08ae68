"""PyTorch's side of explaining: captum's LayerGradCam, and grad-cam's GradCAM and HiResCAM, at the same layer, for the
class that is said. Runs under the peers' interpreter."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up
from benchmarks.workers.pytorch import read_images, read_network


class TorchExplain(Worker):
    def set_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def prepare(self, folder: str, threads: int, batch: int, method: str, layer: str, library: str, maps: str) -> Reply:
        """Write the maps (n, rows, columns), without what speaks against the class, to a file."""
        torch.set_num_threads(threads)
        model = read_network(Path(folder), in_place=False).eval()
        images, _ = read_images(Path(folder), batch)
        begin = _captum if library == "captum" else _grad_cam
        self.step = begin(model, images, model.parts[layer.replace(".", "/")], method)
        np.save(maps, np.asarray(self.step()))
        warm_up(self.step)
        return {"version": torch.__version__}


def _captum(model: Any, images: torch.Tensor, layer: Any, method: str) -> Any:
    from captum.attr import LayerGradCam

    explain = LayerGradCam(model, layer)

    def step() -> Any:
        with torch.no_grad():
            said = model(images).argmax(dim=1)
        return explain.attribute(images, target=said, relu_attributions=True)[:, 0].detach().numpy()

    return step


def _grad_cam(model: Any, images: torch.Tensor, layer: Any, method: str) -> Any:
    """Its maps without the scaling to 0..1 and the stretching that it does at the end."""
    from pytorch_grad_cam import GradCAM, HiResCAM

    explain = {"gradcam": GradCAM, "hirescam": HiResCAM}[method](model, [layer])

    def step() -> Any:
        outputs = explain.activations_and_grads(images)
        model.zero_grad()
        outputs.gather(1, outputs.argmax(dim=1, keepdim=True)).sum().backward()
        values, gradients = (each[0].numpy() for each in (explain.activations_and_grads.activations,
                                                          explain.activations_and_grads.gradients))
        return np.maximum(explain.get_cam_image(images, layer, None, values, gradients, False), 0)

    return step


if __name__ == "__main__":
    serve(TorchExplain())
