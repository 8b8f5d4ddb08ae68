"""HiResCAM: each position's share of the logit, at the last layer that still has positions."""

from .method import Asked, Found, method, summed


@method("hirescam", "HiResCAM", on="layer", paper="Draelos and Carin 2020", passes="1 forward, part of a backward",
        says="What each position of the layer adds to the class's logit: its values times their gradients. If one "
             "dense layer follows, with or without averaging, the map adds up to the logit without its bias.")
def hirescam(asked: Asked) -> Found:
    """Return the sum over channels of values times gradients, without averaging these."""
    values, gradients = asked.look.by_layer(asked.images, asked.weights)
    return Found(summed(values * gradients))
