"""Pages and pictures of what an evaluation, a check or a training found: report.html (page.py), the confusion matrix,
the sheets of mistakes and offenders, curves, and tables for the terminal.

What may not be here: finding it (evaluation/, data/check/), and pictures of a network's inside (visualize/).
"""
