"""Deconvnet: what goes back to the image by transposed filters, pooling switches and a ReLU of its own."""

from .gradient import strongest
from .method import Asked, Found, method


@method("deconvnet", "Deconvnet", on="image", paper="Zeiler and Fergus 2014",
        passes="1 forward, 1 backward", evidence=False, signed=False,
        says="What goes back from the class through the filters turned round, to where pooling took its maxima, with "
             "everything negative left out. Pretty, not evidence: it shows what excites filters, hardly which class.")
def deconvnet(asked: Asked) -> Found:
    """Return the largest absolute value of each pixel's channels."""
    return Found(strongest(asked.look.by_image(asked.images, asked.weights, "deconvnet")))
