"""OpenVINO's side of a measurement: inference in float32 on one thread."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up


class OpenVino(Worker):
    def prepare(self, folder: str, threads: int, batch: int, model: str, logits: str, **options: Any) -> Reply:
        """Answer the batch once into the file ``logits``."""
        compiled = openvino.Core().compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY" if batch == 1 else "THROUGHPUT"})
        request = compiled.create_infer_request()
        with np.load(Path(folder) / "data.npz") as data:
            images = openvino.Tensor(np.ascontiguousarray(np.moveaxis(data["images"][:batch], -1, 1)))
        request.set_input_tensor(images)  # once: no copy in the steps

        self.step = request.infer
        self.step()
        np.save(logits, request.get_output_tensor().data)
        warm_up(self.step)
        return {"version": openvino.__version__.split("-")[0]}


if __name__ == "__main__":
    serve(OpenVino())
