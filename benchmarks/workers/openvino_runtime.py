"""OpenVINO's side of a measurement: inference on one thread, in float32, in bfloat16, or in int8 as NNCF quantises.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up


class OpenVino(Worker):
    def prepare(self, folder: str, threads: int, batch: int, model: str, logits: str, **options: Any) -> Reply:
        """Answer the batch once into the file ``logits``."""
        with np.load(Path(folder) / "data.npz") as data:
            images = np.ascontiguousarray(np.moveaxis(data["images"][:batch], -1, 1))
        network = openvino.Core().read_model(model)
        if options.get("precision") == "int8":
            import nncf

            network = nncf.quantize(network, nncf.Dataset([images]))
        compiled = openvino.Core().compile_model(network, "CPU", {
            "INFERENCE_PRECISION_HINT": "bf16" if options.get("precision") == "bfloat16" else "f32",
            "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY" if batch == 1 else "THROUGHPUT"})
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(images))  # once: no copy in the steps

        self.step = request.infer
        self.step()
        np.save(logits, request.get_output_tensor().data)
        warm_up(self.step)
        return {"version": openvino.__version__.split("-")[0]}


if __name__ == "__main__":
    serve(OpenVino())
