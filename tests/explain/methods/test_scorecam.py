"""Score-CAM by its definition: a forward pass for each channel."""

import numpy as np

from cnncli.explain.methods import METHODS

from .conftest import Plain, close


def laid(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A channel of relu2 on the image, pixel by pixel. The middle of its first position's window lies between pixels 2
    and 3 (a window of 3 x 3 on pooled pairs of pixels), that of the next one two farther."""
    found = np.zeros(size)
    for y, x in np.ndindex(*size):
        i, j = (min(max((at - 2.5) / 2, 0), n - 1) for at, n in zip((y, x), channel.shape, strict=True))
        for a, b in np.ndindex(*channel.shape):
            found[y, x] += max(0, 1 - abs(i - a)) * max(0, 1 - abs(j - b)) * channel[a, b]
    return found


def test_channels_times_what_they_let_through(asked):
    of = asked()
    of.look.at_once = 3
    plain = Plain(of.model.network)
    values = plain.before(of.images)
    wanted = np.zeros(values.shape[:3])
    for n, (image, target) in enumerate(zip(of.images, of.targets, strict=True)):
        scores = np.zeros(8)
        for k in range(8):
            mask = laid(values[n, :, :, k], image.shape[:2])
            if mask.max() > mask.min():
                mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores[k] = plain.logits(image[None] * mask[None, :, :, None])[0, target]
        weights = np.exp(scores) / np.exp(scores).sum()
        assert weights.std() > 0.02  # they differ by something
        wanted[n] = (weights * values[n]).sum(axis=2)
    assert not values[:, :, :, 5].any()  # a channel that is never on has its share of the weights, too
    close(METHODS["scorecam"].compute(of).maps, wanted)
