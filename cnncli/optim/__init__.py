"""How weights are changed: optimisers, the learning rate of each step (schedule.py), slow weights that the fast ones
restart from (lookahead.py) and the moving average of weights (average.py). All of it works on named arrays.

What may not be here: networks, images, and what is usual for which training (training/).
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
