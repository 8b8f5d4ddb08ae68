"""Training, from a folder of images to a run with a model in it. options.py: what somebody wants. choose.py: what is
therefore done, and why; recipe.py is what it decides. prepare.py and resume.py make a training's beginning, fit.py is
the loop that does what it is told, trainer.py one step of it. train.py is the whole, ``cnncli.train``. probe.py,
budget.py, find_lr.py and folds.py use the loop from outside.

The room is called training because ``cnncli.train`` is the function. What may not be here: what is said of a trained
model (evaluation/), and anything that prints.
"""
