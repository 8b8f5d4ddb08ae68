"""A run's folder (run.py: names, configuration, history, lock, runs/latest), and which images a run was trained,
validated and tested on (samples.py), by what they are (marks.py), which everybody asks here.

What may not be here: what is inside a model file, and anything that trains.
"""

from .run import (
    AUGMENTED,
    COLUMNS,
    CONFIG,
    CURVES,
    HISTORY,
    LATEST,
    Row,
    Run,
    RunLock,
    check_name,
    find_run,
    latest_run,
    new_run,
    point_latest,
)

__all__ = ["AUGMENTED", "COLUMNS", "CONFIG", "CURVES", "HISTORY", "LATEST", "Row", "Run", "RunLock", "check_name",
           "find_run", "latest_run", "new_run", "point_latest"]
