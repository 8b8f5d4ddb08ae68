"""One method of explaining a file: each returns a map for each image, on the positions of a layer or on the pixels of
the image. Whatever file lies here is taken into METHODS by itself.

What may not be here: pictures, files, and images that are not prepared yet.
"""

from importlib import import_module
from pkgutil import iter_modules

from .method import METHODS, Asked, Found, Method, MethodName

for _each in iter_modules(__path__):
    import_module(f"{__name__}.{_each.name}")

__all__ = ["METHODS", "Asked", "Found", "Method", "MethodName"]
