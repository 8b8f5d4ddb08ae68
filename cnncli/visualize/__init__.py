"""Pictures out of a model: its filters, and what an image lights up in it; canvas.py is the paper that all of them, and
most of report/, are drawn on.

What may not be here: how good the model is (evaluation/, report/).
"""
