"""How weights are changed: optimisers, and the learning rate of each step. ``OPTIMISERS`` and ``SCHEDULES`` have their
names; ``RECIPES`` has the options that ``optimiser_by_name`` uses by default.

What may not be here: networks, images, and what is usual for which training (training/). All of it works on named
arrays. Beside optimisers.py and schedule.py there are slow weights that the fast ones restart from (lookahead.py) and
the moving average of weights (average.py).
"""

from .optimisers import (
    OPTIMISERS,
    RECIPES,
    SGD,
    Adam,
    AdamW,
    Optimiser,
    OptimiserName,
    clip_scale,
    gradient_norm,
    optimiser_by_name,
)
from .schedule import SCHEDULES, Schedule

__all__ = ["OPTIMISERS", "RECIPES", "SCHEDULES", "SGD", "Adam", "AdamW", "Optimiser", "OptimiserName", "Schedule",
           "clip_scale", "gradient_norm", "optimiser_by_name"]
