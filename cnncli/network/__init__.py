"""A network as plain data, and how it runs: the graph of named layers, the blocks that it is made of, which neighbours
run as one, the arena that all activations lie in, the plan of calls for one batch size, and what a network costs.

What may not be here: what classes are called, how images are prepared, anything that trains (model/, training/).
"""

from .graph import INPUT, LayerError, Node
from .network import Network

__all__ = ["INPUT", "LayerError", "Network", "Node"]
