"""ONNX Runtime's side of a measurement: inference on one thread, all graph optimisations on; in float32, or in int8 by
its own static quantisation."""

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
        with np.load(Path(folder) / "data.npz") as data:
            images = np.ascontiguousarray(np.moveaxis(data["images"][:batch], -1, 1))
        if options.get("precision") == "int8":
            model = quantised(model, images)
        session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self.step = lambda: session.run(None, {"images": images})[0]
        np.save(logits, self.step())
        warm_up(self.step)
        return {"version": onnxruntime.__version__}


def quantised(model: str, images: np.ndarray) -> str:
    """Write the model in int8 beside it: 8 bits for activations, and for weights, each output channel by itself."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        left = 1

        def get_next(self) -> dict[str, np.ndarray] | None:
            self.left -= 1
            return {"images": images} if self.left == 0 else None

    prepared, result = f"{model}.prepared", f"{model}.int8"
    quant_pre_process(model, prepared)
    quantize_static(prepared, result, Images(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return result


if __name__ == "__main__":
    serve(OnnxRuntime())
