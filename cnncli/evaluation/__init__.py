"""How good a model is: which images it is judged on (held_out.py), what it reaches on them (scores.py), how sure that
is (intervals.py), and what would be reached without learning (baselines.py). All that `cnn test` says, for Python too.

What may not be here: pages and pictures of it (report/), and anything that prints.
"""
