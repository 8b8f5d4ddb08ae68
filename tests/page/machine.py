"""What the engine does with a program, in a few lines of numpy: for small networks without a browser."""

from typing import Any

import numpy as np

from cnncli.page.program import Program


class Machine:
    """Working memory and constants, as engine.js has them, and the functions of runtime.c that small_model needs."""

    def __init__(self, made: Program) -> None:
        self.program = made.described
        self.memory = np.full(self.program["floats"], np.nan, np.float32)
        self.constants = [
            np.frombuffer(made.weights, "<f2" if one["half"] else "<f4", one["count"], one["at"]).astype(np.float32)
            for one in self.program["constants"]]

    def logits(self, image: Any) -> Any:
        """Run the network on a prepared image, uint8 (h, w, c)."""
        given = self.program["input"]
        values = (image / 255 - np.array(given["mean"])) / np.array(given["std"])
        self.memory[given["at"] : given["at"] + values.size] = values.ravel()
        for _, function, *arguments in self.program["calls"]:
            getattr(self, function)(*map(self._argument, arguments))
        return self.of(self.program["layers"][-1])

    def of(self, layer: dict[str, Any]) -> Any:
        """What a layer yields."""
        return self.memory[layer["at"] :][: int(np.prod(layer["shape"]))].reshape(layer["shape"])

    def _argument(self, given: Any) -> Any:
        if isinstance(given, str):
            return self.memory[int(given[1:]) :] if given[0] == "@" else self.constants[int(given[1:])]
        return given

    def conv(self, x: Any, h: int, w: int, ci: int, weights: Any, bias: Any, y: Any, oh: int, ow: int, co: int, kh: int,
             kw: int, sh: int, sw: int, top: int, left: int, dh: int, dw: int, groups: int) -> None:
        assert (sh, sw, dh, dw, groups) == (1, 1, 1, 1, 1)
        image = np.zeros((oh + kh - 1, ow + kw - 1, ci))
        image[top : top + h, left : left + w] = x[: h * w * ci].reshape(h, w, ci)
        kernel = weights.reshape(kh, kw, ci, co)
        found = sum(image[i : i + oh, j : j + ow] @ kernel[i, j] for i in range(kh) for j in range(kw))
        y[: oh * ow * co] = (found + bias).ravel()

    def affine(self, x: Any, pixels: int, c: int, scale: Any, shift: Any, y: Any) -> None:
        y[: pixels * c] = (x[: pixels * c].reshape(pixels, c) * scale + shift).ravel()

    def pointwise(self, x: Any, count: int, function: int, number: float, y: Any) -> None:
        assert function == 0  # a ReLU
        y[:count] = np.maximum(x[:count], 0)

    def flatten(self, x: Any, pixels: int, c: int, y: Any) -> None:
        y[: pixels * c] = x[: pixels * c].reshape(pixels, c).T.ravel()

    def linear(self, x: Any, inputs: int, weights: Any, bias: Any, y: Any, outputs: int) -> None:
        y[:outputs] = x[:inputs] @ weights.reshape(inputs, outputs) + bias
