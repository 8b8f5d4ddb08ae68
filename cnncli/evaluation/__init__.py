"""How good a model is: which images it is judged on (held_out.py), what it reaches on them (scores.py), how certain
that is (intervals.py), what would be reached without learning (baselines.py), and all of it in one call (evaluate.py).
This is what `cnn test` says, for Python too. check.py lets models judge the labels of a data folder.
listing.py puts runs beside each other.

What may not be here: pages and pictures of it (report/), and anything that prints.
"""
