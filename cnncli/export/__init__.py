"""export/: a model in forms that others run. onnx.py writes ONNX files; cli/export.py is the command."""

from .onnx import to_onnx

__all__ = ["to_onnx"]
