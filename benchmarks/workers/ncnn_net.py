"""ncnn's side of a measurement: inference in float32 on one thread, Winograd on, image by image (it knows no batches).
"""

from pathlib import Path
from typing import Any

import ncnn
import numpy as np

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up


class Ncnn(Worker):
    def prepare(self, folder: str, threads: int, batch: int, model: str, logits: str, **options: Any) -> Reply:
        """Answer the batch once into the file ``logits``."""
        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_vulkan_compute = False
        net.opt.use_packing_layout = net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = True
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = net.opt.use_bf16_packed = False
        if net.load_param(f"{model}.param") or net.load_model(f"{model}.bin"):
            raise RuntimeError("ncnn cannot load what pnnx wrote")
        with np.load(Path(folder) / "data.npz") as data:
            images = [np.ascontiguousarray(np.moveaxis(image, -1, 0)) for image in data["images"][:batch]]
        inputs = [ncnn.Mat(image).clone() for image in images]  # a Mat of an array does not keep the array
        first, last = net.input_names()[0], net.output_names()[0]

        def answer(image: ncnn.Mat) -> ncnn.Mat:
            extractor = net.create_extractor()
            extractor.input(first, image)
            return extractor.extract(last)[1]

        def step() -> None:
            for image in inputs:
                answer(image)

        self.step = step
        np.save(logits, np.stack([np.array(answer(image)) for image in inputs]))
        warm_up(self.step)
        return {"version": ncnn.__version__}


if __name__ == "__main__":
    serve(Ncnn())
