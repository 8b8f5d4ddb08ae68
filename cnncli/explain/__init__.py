"""Why a network answers as it does: maps of where in an image the evidence for a class lies (explanation.py; methods/,
one a file), by gradients through the network as evaluation has it (look.py), laid on the image where they belong
(geometry.py), as pictures (picture.py).

What may not be here: training, and anything that prints. ``cnncli.explain(model, image)`` is a call of this room, whose
name it shares.
"""

import sys
from types import ModuleType
from typing import Any

from .explanation import Explanation, explain
from .methods import METHODS

__all__ = ["METHODS", "Explanation", "explain"]


class _Room(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Explanation:
        return explain(*arguments, **options)


sys.modules[__name__].__class__ = _Room
