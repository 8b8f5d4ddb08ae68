"""Training, from a folder of images to a run with a model in it. options.py has what the user wants, choose.py decides
what is done, and recipe.py is that decision. prepare.py and resume.py make a training ready. fit.py is the loop,
trainer.py is one step of it. train.py is the whole: ``cnncli.train``. probe.py, budget.py, find_lr.py, folds.py and
sweep.py use the loop from outside.

The room is called training because ``cnncli.train`` is the function. What may not be here: judgements of a trained
model (evaluation/), and anything that prints.
"""
