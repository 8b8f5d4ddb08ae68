"""How good a model is: which images it is judged on (held_out.py), what it reaches on them (scores.py), how sure that
is (intervals.py), what would be reached without learning (baselines.py), and all of it in one call (evaluate.py). What
`cnn test` says, for Python too. check.py has a data folder's labels judged by models.

What may not be here: pages and pictures of it (report/), and anything that prints.
"""
