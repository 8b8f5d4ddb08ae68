"""ONNX Runtime's side of a measurement: inference on one thread, all graph optimisations on."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.workers.protocol import Reply, Worker, serve, warm_up


class OnnxRuntime(Worker):
    def prepare(self, folder: str, threads: int, batch: int, model: str, logits: str, **options: Any) -> Reply:
        """Answer the batch once into the file ``logits``."""
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        with np.load(Path(folder) / "data.npz") as data:
            images = np.ascontiguousarray(np.moveaxis(data["images"][:batch], -1, 1))
        self.step = lambda: session.run(None, {"images": images})[0]
        np.save(logits, self.step())
        warm_up(self.step)
        return {"version": onnxruntime.__version__}


if __name__ == "__main__":
    serve(OnnxRuntime())
