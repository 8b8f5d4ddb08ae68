"""A run's folder (run.py: configuration, history, lock; begin.py: how it begins; latest.py: which is meant where none
is named; kept.py: which epoch's model a run keeps), and which images a run was trained, validated and tested on
(samples.py), by what they are (marks.py), which everybody asks here.

What may not be here: what is inside a model file, and anything that trains.
"""

from .begin import check_name, new_run
from .kept import Row
from .latest import LATEST, all_runs, begin_latest, end_latest, find_run, latest_run, newest_run
from .run import (
    AUGMENTED,
    COLUMNS,
    CONFIG,
    CURVES,
    HISTORY,
    MODEL,
    SWEEP,
    Run,
    RunLock,
    as_written,
    resuming,
    runs_option,
)

__all__ = ["AUGMENTED", "COLUMNS", "CONFIG", "CURVES", "HISTORY", "LATEST", "MODEL", "SWEEP", "Row", "Run",
           "RunLock", "all_runs", "as_written", "begin_latest", "check_name", "end_latest", "find_run", "latest_run",
           "new_run", "newest_run", "resuming", "runs_option"]
