"""Explains images. ``cnncli.explain(model, image)`` returns a map of where in the image the evidence for a class lies;
the function ``explain`` below describes it. The room has the function's name, and can be called like it.

explanation.py makes explanations, by one of the methods in methods/ (one per file). look.py has gradients through the
network as in evaluation, geometry.py lays maps on the image, picture.py draws them.

What may not be here: training, and anything that prints.
"""

import sys
from types import ModuleType
from typing import Any

from .explanation import Explanation, explain
from .methods import METHODS

__all__ = ["METHODS", "Explanation", "explain"]


class _Room(ModuleType):
    __wrapped__ = staticmethod(explain)  # whose signature inspect and editors show, as help() shows __doc__

    def __call__(self, *arguments: Any, **options: Any) -> Explanation:
        return explain(*arguments, **options)


sys.modules[__name__].__class__ = _Room
__doc__ = explain.__doc__ or ""
