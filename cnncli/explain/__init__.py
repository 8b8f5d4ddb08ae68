"""Why a network answers as it does: maps of where in an image the evidence for a class lies (explain.py and methods/,
one file a method), by gradients through the network as evaluation has it (look.py), laid on the image where they belong
(geometry.py), as pictures (picture.py).

What may not be here: training, and anything that prints.
"""

from .explain import Explanation, explain
from .methods import METHODS

__all__ = ["METHODS", "Explanation", "explain"]
