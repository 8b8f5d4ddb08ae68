"""Guided backpropagation: what goes back to the image by what was active and speaks for the class at every step."""

from .gradient import strongest
from .method import Asked, Found, method


@method("guided", "Guided backpropagation", on="image", paper="Springenberg et al. 2015",
        passes="1 forward, 1 backward", evidence=False, signed=False, shows="what the network reacts to (guided)",
        says="The gradient, where each activation lets only positive values pass on the way back. It is not "
             "evidence: it draws the image's edges for any class, and hardly changes when the network gets new "
             "random weights.")
def guided(asked: Asked) -> Found:
    """Return the largest absolute value of each pixel's channels."""
    return Found(strongest(asked.look.by_image(asked.images, asked.weights, "guided")))
