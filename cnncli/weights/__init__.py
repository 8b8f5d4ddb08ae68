"""weights/: what others have learnt, as named arrays: a model of ours, any safetensors file, or one of PyTorch's
(torchfile.py). fitting.py brings them into a network, with the names that names.py has for each architecture.

What may not be here: training that begins with them (training/start.py), and anything that runs what it reads.
"""

from .reading import Weights, read_weights

__all__ = ["Weights", "read_weights"]
