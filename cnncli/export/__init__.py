"""A model in forms that others run: onnx.py and onnx_layers.py write ONNX files, csource.py, c_layers.py and runtime.c
one C file, torch_names.py state dicts for PyTorch; golden.py makes the picture by which each is checked before it is
written.

What may not be here: anything that our own commands need to run a model.
"""

from .csource import to_c
from .onnx import to_onnx
from .torch_names import to_torch_names

__all__ = ["to_c", "to_onnx", "to_torch_names"]
