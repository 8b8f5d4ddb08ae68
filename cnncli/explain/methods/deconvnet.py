"""Deconvnet: what goes back to the image by transposed filters, pooling switches and a ReLU of its own."""

from .gradient import strongest
from .method import Asked, Found, method


@method("deconvnet", "Deconvnet", on="image", paper="Zeiler and Fergus 2014",
        passes="1 forward, 1 backward", evidence=False, signed=False, shows="what the network reacts to (deconvnet)",
        says="What passes back from the class's logit to the pixels through the transposed filters, if only positive "
             "values may pass. It is not evidence for the class, because what speaks against it is dropped at every "
             "layer. It shows what excites the filters, and suits a single filter.")
def deconvnet(asked: Asked) -> Found:
    """Return the largest absolute value of each pixel's channels."""
    return Found(strongest(asked.look.by_image(asked.images, asked.weights, "deconvnet")))
