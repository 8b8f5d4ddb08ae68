"""A network with what its outputs are called, what is done to an image before it and what its probabilities are worth
(model.py, calibration.py); its file (modelfile.py has the bytes, checkpoint.py the meaning); what a model says of
images that somebody names (predict.py, flips.py, features.py); and what it consists of (summary.py).

What may not be here: anything that trains, and runs' folders.
"""

from .model import Model, Prediction

__all__ = ["Model", "Prediction"]
