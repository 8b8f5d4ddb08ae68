"""Hands our network to the inference peers: ONNX for ONNX Runtime and OpenVINO, ncnn's own format through pnnx. Both go
through the PyTorch module that the tests hold our layers to. Runs under the peers' interpreter, then is gone."""

import os
import warnings
from pathlib import Path

import torch

from benchmarks.workers.protocol import Reply, Worker, serve
from benchmarks.workers.pytorch import read_images, read_network


class Export(Worker):
    def prepare(self, folder: str, threads: int) -> Reply:
        return {"version": torch.__version__}

    def onnx(self, folder: str, batch: int, file: str) -> Reply:
        """Write the network for that many images at once."""
        import onnx

        model, (images, _) = read_network(Path(folder), in_place=False).eval(), read_images(Path(folder), batch)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # this exporter is the old one: the new one wants another package
            torch.onnx.export(model, (images,), file, dynamo=False, opset_version=17, input_names=["images"],
                              output_names=["logits"])
        onnx.checker.check_model(file)
        return {}

    def ncnn(self, folder: str, file: str) -> Reply:
        """Write FILE.param and FILE.bin, weights in float32, for one image at once."""
        import pnnx

        model, (images, _) = read_network(Path(folder), in_place=False).eval(), read_images(Path(folder), 1)
        os.chdir(Path(file).parent)  # pnnx leaves a file or two where it stands
        with torch.no_grad():
            pnnx.export(model, f"{file}.pt", images, ncnnparam=f"{file}.param", ncnnbin=f"{file}.bin", fp16=False,
                        pnnxparam=f"{file}.pnnx.param", pnnxbin=f"{file}.pnnx.bin", pnnxpy=f"{file}_pnnx.py",
                        pnnxonnx=f"{file}.pnnx.onnx", ncnnpy=f"{file}_ncnn.py")
        if not Path(f"{file}.param").exists():
            raise RuntimeError("pnnx wrote no network for ncnn")
        return {}


if __name__ == "__main__":
    serve(Export())
