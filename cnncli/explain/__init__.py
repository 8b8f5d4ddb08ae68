"""Explains images. ``cnncli.explain(model, image)`` returns a map of where in the image the evidence for a class lies.
The room has the function's name, and so the function itself stands in its place: it has the room's names as attributes.

explanation.py makes explanations, by one of the methods in methods/ (one per file). look.py has gradients through the
network as in evaluation, geometry.py lays maps on the image, picture.py draws them.

What may not be here: training, and anything that prints.
"""

import sys
from typing import Any

from .explanation import Explanation, explain
from .methods import METHODS

__all__ = ["METHODS", "Explanation", "explain"]

# So help() shows the function, and it can be pickled, for a pool of processes. Imports need the room's full __name__.
_room: Any = explain
vars(_room).update({name: value for name, value in globals().items() if name not in ("__doc__", "__name__")})
_room.__name__ = __name__
sys.modules[__name__] = _room
