"""A network with the names of its classes, what is done to an image before it, and how true its probabilities are
(model.py, calibration.py). Its file: modelfile.py has the bytes, checkpoint.py the meaning. What a model says of images
that somebody names (predict.py, flips.py, features.py), and what it consists of (summary.py).

What may not be here: anything that trains, and runs' folders.
"""

from .model import Model, Prediction

__all__ = ["Model", "Prediction"]
