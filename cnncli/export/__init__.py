"""export/: a model in forms that others run. onnx.py writes ONNX files, csource.py C, torch_names.py state dicts for
PyTorch; cli/export.py is the command.
"""

from .csource import to_c
from .onnx import to_onnx
from .torch_names import to_torch_names

__all__ = ["to_c", "to_onnx", "to_torch_names"]
